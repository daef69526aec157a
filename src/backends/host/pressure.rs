//! Pressure stall information (`/proc/pressure`) and the kernel's count of processes killed for want of memory.

/// `some avg10` of one file under `/proc/pressure`, as a share 0.0 to 1.0.
pub(super) fn parse_pressure(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let percent = some.split_ascii_whitespace().find_map(|field| field.strip_prefix("avg10="))?.parse::<f64>().ok()?;
    percent.is_finite().then(|| (percent / 100.0).clamp(0.0, 1.0))
}

/// `oom_kill` of `/proc/vmstat`: since boot; kernels before 4.13 don't have it.
pub(super) fn parse_oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{parse_oom_kills, parse_pressure};

    #[test]
    fn the_kernels_lines_are_read() {
        let text =
            "some avg10=12.50 avg60=0.03 avg300=0.23 total=73797960\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(parse_pressure(text), Some(0.125));
        assert_eq!(parse_oom_kills("pgsteal_file 0\noom_kill_extra 9\noom_kill 3\n"), Some(3));
    }

    #[test]
    fn broken_lines_are_nothing() {
        for text in ["", "some", "some avg10=", "some avg10=x", "some avg10=NaN", "full avg10=1.00"] {
            assert_eq!(parse_pressure(text), None, "{text}");
        }
        assert_eq!(parse_oom_kills("oom_kill \noom_kill x"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(some avg10=)?\\PC{0,60}") {
            prop_assert!(parse_pressure(&text).is_none_or(|share| (0.0..=1.0).contains(&share)));
            let _: Option<u64> = parse_oom_kills(&text);
        }
    }
}
