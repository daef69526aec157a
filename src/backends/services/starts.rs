//! What is remembered from look to look: starts that nobody asked for, how the last one ended, since when a process is
//! stuck.

use std::collections::BTreeMap;

use crate::domain::service::{Manager, OOM_TOLD_MS, RECENT_MS, Service, State, StuckHow};
use crate::domain::time::Timestamp;

/// Starts that are remembered of each service.
const MOST: usize = 20;
/// Two beginnings that differ by less are the same: managers give whole seconds, `/proc` hundredths from boot.
const SAME_START_MS: u64 = 1_500;

/// The starts of all services.
#[derive(Debug, Default)]
pub(super) struct Starts {
    by_name: BTreeMap<String, Past>,
}

#[derive(Debug, Default)]
struct Past {
    looked: bool,
    pid: Option<u32>,
    started: Option<Timestamp>,
    restarts: Option<u32>,
    crashed: Vec<Timestamp>,
    restarted: Option<Timestamp>,
    gone: Option<Timestamp>,
    exit: Option<(String, Timestamp)>,
    stuck: Option<(StuckHow, Timestamp)>,
    oom_kills: Option<u64>,
    oom: Option<Timestamp>,
}

impl Starts {
    /// Lays what is remembered over what was just seen, and remembers that. `oom_kills` is the kernel's count in the
    /// service's control group.
    pub(super) fn note(&mut self, service: &mut Service, oom_kills: Option<u64>, now: Timestamp) {
        let past = self.by_name.entry(service.name.clone()).or_default();
        past.starts(service, now);
        past.kills(service, oom_kills, now);
        if let Some(exit) = &service.exit {
            past.exit = Some((exit.clone(), now));
        } else if let Some((exit, at)) = &past.exit
            && now.millis_since(*at) <= RECENT_MS
        {
            service.exit = Some(exit.clone());
        }
        past.stuck = service.stuck.map(|stuck| match past.stuck {
            Some((how, since)) if how == stuck.how => (how, since),
            Some(_) | None => (stuck.how, now),
        });
        if let (Some(stuck), Some((_, since))) = (&mut service.stuck, past.stuck) {
            stuck.since = since;
        }
        past.looked = true;
    }
}

impl Past {
    fn starts(&mut self, service: &mut Service, now: Timestamp) {
        let at = service.started.filter(|at| *at <= now && now.millis_since(*at) <= RECENT_MS).unwrap_or(now);
        let other = |a: Timestamp, b: Timestamp| a.millis_since(b).max(b.millis_since(a)) > SAME_START_MS;
        let begun_again = match (self.started, service.started) {
            (Some(before), Some(after)) => other(before, after) || (self.pid.is_some() && self.pid != service.pid),
            _ => false,
        };
        let counted = match (self.restarts, service.restarts) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => 0,
        };
        // Who counts, tells a crash from what a person did; of the others every start counts.
        let counts = matches!(service.manager, Manager::Systemd | Manager::SystemdUser | Manager::Compose);
        let crashes = if counts { counted } else { u32::from(begun_again) };
        self.crashed.extend((0..crashes).take(MOST).map(|_| at));
        self.crashed.retain(|at| now.millis_since(*at) <= RECENT_MS);
        let surplus = self.crashed.len().saturating_sub(MOST);
        self.crashed.drain(..surplus);
        if begun_again || counted > 0 {
            self.restarted = Some(at);
        }
        // Of processes that are gone nobody else knows since when.
        self.gone = (service.state == State::Missing).then(|| self.gone.unwrap_or(now));
        service.since = service.since.or(self.gone);
        self.pid = service.pid.or(self.pid);
        self.started = service.started.or(self.started);
        self.restarts = service.restarts.or(self.restarts);
        service.crashed.clone_from(&self.crashed);
        service.restarted = self.restarted;
    }

    fn kills(&mut self, service: &mut Service, oom_kills: Option<u64>, now: Timestamp) {
        match (self.oom_kills, oom_kills) {
            (Some(before), Some(after)) if after > before => self.oom = Some(now),
            // Killed before anybody watched: since the control group began, which is told only where that is not long ago.
            (None, Some(after)) if after > 0 && !self.looked => {
                self.oom = service.started.filter(|at| now.millis_since(*at) <= OOM_TOLD_MS);
            }
            _ => {}
        }
        self.oom_kills = oom_kills.or(self.oom_kills);
        self.oom = service.oom.or(self.oom).filter(|at| now.millis_since(*at) <= OOM_TOLD_MS);
        service.oom = self.oom;
    }
}

#[cfg(test)]
mod tests {
    use super::Starts;
    use crate::domain::service::{Manager, Role, Service, State, Stuck, StuckHow};
    use crate::domain::time::Timestamp;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn seen(manager: Manager, pid: u32, started: i64, restarts: Option<u32>) -> Service {
        let mut service = Service::new("web", Role::Web, manager, "x");
        service.state = State::Running;
        (service.pid, service.started, service.restarts) = (Some(pid), Some(at(started)), restarts);
        service
    }

    #[test]
    fn what_the_manager_counts_are_crashes_and_what_a_person_does_is_none() {
        let mut starts = Starts::default();
        let mut look = |pid, started, restarts, now| {
            let mut service = seen(Manager::Systemd, pid, started, Some(restarts));
            starts.note(&mut service, None, at(now));
            (service.crashes(at(now)), service.restarted.map(Timestamp::as_secs))
        };
        assert_eq!(look(10, 100, 7, 1000), (0, None), "restarts before the first look are of unknown age");
        assert_eq!(look(10, 100, 7, 1010), (0, None));
        assert_eq!(look(11, 1015, 8, 1020), (1, Some(1015)));
        assert_eq!(look(15, 1029, 10, 1030), (3, Some(1029)));
        // `systemctl restart`: a new process, the count from 0 again.
        assert_eq!(look(20, 1039, 0, 1040), (3, Some(1039)));
        assert_eq!(look(20, 1039, 0, 1331), (0, Some(1039)), "forgotten after five minutes");
        assert_eq!(look(20, 1039, 0, 1341), (0, Some(1039)));
    }

    #[test]
    fn of_plain_processes_every_start_counts_also_across_a_gap() {
        let mut starts = Starts::default();
        let mut look = |pid: Option<u32>, started, now| {
            let mut service = seen(Manager::Process, pid.unwrap_or(0), started, None);
            if pid.is_none() {
                (service.pid, service.started, service.state) = (None, None, State::Missing);
            }
            starts.note(&mut service, None, at(now));
            service.crashes(at(now))
        };
        assert_eq!(look(Some(10), 100, 1000), 0);
        assert_eq!(look(None, 0, 1010), 0);
        assert_eq!(look(Some(11), 1012, 1020), 1);
        assert_eq!(look(Some(11), 1012, 1030), 1);
    }

    #[test]
    fn an_end_and_a_kill_are_remembered_for_a_while() {
        let mut starts = Starts::default();
        let mut look = |exit: Option<&str>, kills, now| {
            let mut service = seen(Manager::Systemd, 10, 100, Some(0));
            service.exit = exit.map(ToOwned::to_owned);
            starts.note(&mut service, kills, at(now));
            (service.exit, service.oom.map(Timestamp::as_secs))
        };
        assert_eq!(look(None, Some(3), 5000), (None, None), "kills of long ago are no news");
        assert_eq!(look(Some("killed"), Some(4), 5010), (Some("killed".to_owned()), Some(5010)));
        assert_eq!(look(None, Some(4), 5020), (Some("killed".to_owned()), Some(5010)));
        assert_eq!(look(None, None, 5400), (None, Some(5010)));
        assert_eq!(look(None, Some(4), 9000), (None, None));
    }

    #[test]
    fn since_when_it_is_stuck_is_kept() {
        let mut starts = Starts::default();
        let mut look = |how: Option<StuckHow>, now| {
            let mut service = seen(Manager::Process, 10, 100, None);
            let stuck = |how| Stuck { how, processes: 1, of: 1, main: true, since: at(now) };
            service.stuck = how.map(stuck);
            starts.note(&mut service, None, at(now));
            service.stuck.map(|stuck| stuck.since.as_secs())
        };
        assert_eq!(look(Some(StuckHow::DiskSleep), 1000), Some(1000));
        assert_eq!(look(Some(StuckHow::DiskSleep), 1010), Some(1000));
        assert_eq!(look(Some(StuckHow::Stopped), 1020), Some(1020));
        assert_eq!(look(None, 1030), None);
        assert_eq!(look(Some(StuckHow::Stopped), 1040), Some(1040));
    }
}
