//! The clock: whether a time service runs and keeps it in step (FIELD INC-34, T-20).
//!
//! chrony is asked; systemd-timesyncd leaves a file; others are only known to run. `timedatectl` is not asked: it starts a
//! service.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::program;
use crate::domain::host::Clock;
use crate::domain::text::plain;

/// Between two questions.
const SPACING: Duration = Duration::from_mins(2);
/// A time service needs so long after the start of the machine.
const SETTLED_S: u64 = 300;
/// How long chrony may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Asks now and then.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    asked: Option<Instant>,
    last: Clock,
}

impl Clocks {
    /// What is known; `names` are the processes there are.
    pub(super) fn look(&mut self, names: &BTreeSet<String>, uptime_s: u64) -> Clock {
        if self.asked.is_none_or(|asked| asked.elapsed() >= SPACING) {
            self.asked = Some(Instant::now());
            self.last = ask(names, uptime_s);
        }
        self.last.clone()
    }
}

fn ask(names: &BTreeSet<String>, uptime_s: u64) -> Clock {
    let runs = |wanted: &[&'static str]| wanted.iter().find(|name| names.contains(**name)).copied();
    let told = |synchronised, offset_ms, by: &str| Clock { synchronised, offset_ms, by: by.to_owned() };
    if runs(&["chronyd"]).is_some() {
        return match program::output("chronyc", &["-n", "-c", "tracking"], 4096, LIMIT) {
            Ok(text) => {
                parse_tracking(&text).unwrap_or_else(|| told(None, None, "chrony, whose answer is not understood"))
            }
            Err(why) => told(None, None, &plain(&format!("chrony runs, and chronyc does not tell: {why}"), 160)),
        };
    }
    // A name is cut to 15 characters by the kernel.
    if runs(&["systemd-timesyn", "systemd-timesyncd"]).is_some() {
        let done = std::path::Path::new("/run/systemd/timesync/synchronized").exists();
        let young = !done && uptime_s < SETTLED_S;
        return told((!young).then_some(done), None, "systemd-timesyncd");
    }
    if let Some(other) = runs(&["ntpd", "ntpd-rs", "ntp-daemon", "openntpd"]) {
        return told(None, None, &format!("{other}, which is not asked"));
    }
    if names.contains("systemd") || names.contains("init") {
        return told(Some(false), None, "no time service runs (chrony, systemd-timesyncd, ntpd)");
    }
    told(None, None, "no time service runs here: in a container the clock is the host's")
}

/// `chronyc -c tracking`: the fifth field is how far the clock is behind, the last the state of leap seconds.
fn parse_tracking(text: &str) -> Option<Clock> {
    let fields: Vec<&str> = text.lines().next()?.split(',').collect();
    let behind_s = fields.get(4)?.parse::<f64>().ok().filter(|s| s.is_finite() && s.abs() < 1e9)?;
    let synchronised = *fields.last()? != "Not synchronised";
    #[expect(clippy::cast_possible_truncation, reason = "within the bound checked")]
    let offset_ms = (-behind_s * 1000.0).round() as i64;
    Some(Clock {
        synchronised: Some(synchronised),
        offset_ms: synchronised.then_some(offset_ms),
        by: "chrony".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chronys_answer_is_understood() {
        let good = "A29FC87B,162.159.200.123,4,1795250000.123456789,2.500000000,-0.000012,0.00002,-1.5,0.001,0.02,0.01,0.002,64.5,Normal\n";
        let clock = parse_tracking(good).unwrap();
        assert_eq!((clock.synchronised, clock.offset_ms), (Some(true), Some(-2500)));
        let bad = "00000000,,0,0.0,0.000000000,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n";
        assert_eq!(parse_tracking(bad).map(|clock| clock.synchronised), Some(Some(false)));
        assert_eq!(parse_tracking("506 Cannot talk to daemon"), None);
    }

    #[test]
    fn without_any_service_it_is_said_so() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(ask(&names(&["systemd", "sshd"]), 9_999).synchronised, Some(false));
        assert_eq!(ask(&names(&["gunicorn"]), 9_999).synchronised, None);
        assert_eq!(ask(&names(&["systemd", "ntpd"]), 9_999).synchronised, None);
    }
}
