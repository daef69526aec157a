//! CPU time from `/proc/stat`: shares of all cores and each core, and what the hypervisor took.
//!
//! Read here rather than through sysinfo: it counts stolen time as busy, knows cores by position (one taken offline
//! shifts all behind it), and does not give the stolen time, so the file would have to be read twice.

/// CPU time since boot, as the kernel counts it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CpuSample {
    all: CpuTime,
    /// By number of the core; those that are offline are missing.
    cores: Vec<(u32, CpuTime)>,
}

/// Ticks of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct CpuTime {
    busy: u64,
    steal: u64,
    total: u64,
}

/// Shares of the time between two samples, 0.0 to 1.0.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CpuShares {
    pub(super) busy: f64,
    pub(super) steal: f64,
    pub(super) cores: Vec<f64>,
}

/// The CPU lines of `/proc/stat`; `None` if the line of all cores isn't among them.
pub(super) fn parse_stat(text: &str) -> Option<CpuSample> {
    let mut all = None;
    let mut cores = Vec::new();
    for line in text.lines() {
        let Some((name, ticks)) = line.strip_prefix("cpu").and_then(|rest| rest.split_once(' ')) else { continue };
        let Some(time) = CpuTime::parse(ticks) else { continue };
        if name.is_empty() {
            all = Some(time);
        } else if let Ok(number) = name.parse() {
            cores.push((number, time));
        }
    }
    all.map(|all| CpuSample { all, cores })
}

impl CpuTime {
    /// `user nice system idle iowait irq softirq steal`; guest time is part of user (`proc_stat(5)`).
    fn parse(ticks: &str) -> Option<Self> {
        let mut fields = ticks.split_ascii_whitespace().map(str::parse::<u64>);
        let mut next = || fields.next().transpose().ok();
        let (user, nice, system, idle) = (next()??, next()??, next()??, next()??);
        let [iowait, irq, softirq, steal] = [next()?, next()?, next()?, next()?].map(Option::unwrap_or_default);
        let busy = [user, nice, system, irq, softirq].into_iter().fold(0, u64::saturating_add);
        let total = [busy, idle, iowait, steal].into_iter().fold(0, u64::saturating_add);
        Some(Self { busy, steal, total })
    }

    /// Shares of busy and stolen time since `before`; `None` if no time went by or the counters were set back.
    #[expect(clippy::cast_precision_loss, reason = "differences of ticks are small")]
    fn since(self, before: Self) -> Option<(f64, f64)> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)? as f64;
        let share = |now: u64, before: u64| (now.saturating_sub(before) as f64 / total).min(1.0);
        Some((share(self.busy, before.busy), share(self.steal, before.steal)))
    }
}

impl CpuSample {
    /// The shares since `before`; `None` if no time went by.
    pub(super) fn since(&self, before: &Self) -> Option<CpuShares> {
        let (busy, steal) = self.all.since(before.all)?;
        let core = |(number, now): &(u32, CpuTime)| {
            let (_, before) = before.cores.iter().find(|(other, _)| other == number)?;
            now.since(*before).map(|(busy, _)| busy)
        };
        Some(CpuShares { busy, steal, cores: self.cores.iter().filter_map(core).collect() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CpuShares, parse_stat};

    const BEFORE: &str = "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 50 0 50 400 0 0 0 0 0 0\ncpu1 50 0 50 400 0 0 0 0 0 0\n\
                          intr 1 2 3\nctxt 5\nbtime 1795236406\n";

    #[test]
    fn shares_come_from_two_samples() {
        let later = "cpu  150 0 120 880 0 10 0 40 0 0\ncpu0 100 0 50 450 0 0 0 0 0 0\ncpu1 50 0 70 430 0 10 0 40 0 0\n";
        let shares = parse_stat(later).unwrap().since(&parse_stat(BEFORE).unwrap()).unwrap();
        assert_eq!(shares, CpuShares { busy: 0.4, steal: 0.2, cores: vec![0.5, 0.3] });
    }

    #[test]
    fn a_core_taken_offline_does_not_shift_the_others() {
        let later = "cpu  150 0 120 880 0 10 0 40\ncpu1 50 0 70 430 0 10 0 40\ncpu2 1 1 1 1\n";
        let shares = parse_stat(later).unwrap().since(&parse_stat(BEFORE).unwrap()).unwrap();
        assert_eq!(shares.cores, [0.3]);
    }

    #[test]
    fn no_time_or_counters_set_back_give_nothing() {
        let sample = parse_stat(BEFORE).unwrap();
        assert_eq!(sample.since(&sample), None);
        assert_eq!(parse_stat("cpu 1 1 1 1").unwrap().since(&sample), None);
    }

    #[test]
    fn what_is_not_a_cpu_line_is_left_out() {
        assert_eq!(parse_stat(""), None);
        assert_eq!(parse_stat("cpu  1 2"), None);
        assert_eq!(parse_stat("cpu  1 2 3 x"), None);
        assert_eq!(parse_stat("cpufreq 1 2 3 4\ncpu0 1 2 3 4\n"), None);
        assert_eq!(parse_stat("cpu 1 2 3 4\ncpuX 1 2 3 4\ncpu0 1 2"), parse_stat("cpu 1 2 3 4"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(cpu[0-9]{0,3} ([0-9]{1,20} ?){0,12}\n|\\PC{0,40}\n){0,8}") {
            if let (Some(a), Some(b)) = (parse_stat(&text), parse_stat(BEFORE)) {
                for shares in [a.since(&b), b.since(&a)].into_iter().flatten() {
                    prop_assert!((0.0..=1.0).contains(&shares.busy) && (0.0..=1.0).contains(&shares.steal));
                    prop_assert!(shares.cores.iter().all(|core| (0.0..=1.0).contains(core)));
                }
            }
        }
    }
}
