//! Pressure stall information (`/proc/pressure`) and the kernel's count of processes killed for want of memory.

/// One file under `/proc/pressure`: shares 0.0 to 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Stall {
    /// `some avg10`.
    pub(super) some_10: f64,
    /// `some avg60`.
    pub(super) some_60: f64,
    /// `full avg60`; 0 where there is none (a CPU before Linux 5.13).
    pub(super) full_60: f64,
    /// `some avg300`.
    pub(super) some_300: f64,
    /// `full avg300`.
    pub(super) full_300: f64,
}

/// What one file says.
pub(super) fn parse_pressure(text: &str) -> Option<Stall> {
    let of = |kind: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let percent = line.split_ascii_whitespace().find_map(|field| field.strip_prefix(name))?.parse::<f64>().ok()?;
        percent.is_finite().then(|| (percent / 100.0).clamp(0.0, 1.0))
    };
    Some(Stall {
        some_10: of("some ", "avg10=")?,
        some_60: of("some ", "avg60=").unwrap_or(0.0),
        full_60: of("full ", "avg60=").unwrap_or(0.0),
        some_300: of("some ", "avg300=").unwrap_or(0.0),
        full_300: of("full ", "avg300=").unwrap_or(0.0),
    })
}

/// `oom_kill` of `/proc/vmstat`: since boot; kernels before 4.13 don't have it.
pub(super) fn parse_oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Stall, parse_oom_kills, parse_pressure};

    #[test]
    fn the_kernels_lines_are_read() {
        let text =
            "some avg10=12.50 avg60=0.03 avg300=0.23 total=73797960\nfull avg10=99.00 avg60=7.00 avg300=0.00 total=0\n";
        let stall = Stall { some_10: 0.125, some_60: 0.0003, full_60: 0.07, ..Stall::default() };
        assert_eq!(parse_pressure(text).map(|s| (s.some_10, s.full_60)), Some((stall.some_10, 0.07)));
        assert!(parse_pressure(text).is_some_and(|s| (s.some_60 - stall.some_60).abs() < 1e-9));
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
            prop_assert!(parse_pressure(&text).is_none_or(|stall| (0.0..=1.0).contains(&stall.some_10)));
            let _: Option<u64> = parse_oom_kills(&text);
        }
    }
}
