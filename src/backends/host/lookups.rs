//! How the names resolve that sites are configured with (FIELD INC-33): each on a thread of its own, at most one at a
//! time, through the system's own resolver, as the application does it.

use std::net::ToSocketAddrs as _;
use std::time::{Duration, Instant};

use crate::backends::errand::{Answer, Errand};
use crate::domain::host::Lookup;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Between two questions.
const SPACING: Duration = Duration::from_secs(30);
/// The same while it fails.
const AGAIN: Duration = Duration::from_secs(5);
/// An answer that takes longer is slow (FIELD INC-33).
const SLOW: Duration = Duration::from_secs(1);

/// Resolves names now and then.
pub(super) struct Lookups {
    names: Vec<Name>,
}

struct Name {
    errand: Errand<(Result<u32, String>, Duration)>,
    asked: Option<Instant>,
    last: Option<Lookup>,
    asked_for: String,
    used_for: String,
}

impl Lookups {
    pub(super) fn new(names: &[(String, String)]) -> Self {
        let name = |(name, used_for): &(String, String)| Name {
            errand: Errand::default(),
            asked: None,
            last: None,
            asked_for: name.clone(),
            used_for: used_for.clone(),
        };
        Self { names: names.iter().map(name).collect() }
    }

    /// Asks what is due, takes what has come, waits for nothing.
    pub(super) async fn look(&mut self, now: Instant, at: Timestamp) -> Vec<Lookup> {
        let mut out = Vec::new();
        for name in &mut self.names {
            name.look(now, at).await;
            out.extend(name.last.clone());
        }
        out
    }
}

impl Name {
    async fn look(&mut self, now: Instant, at: Timestamp) {
        let failing = self.last.as_ref().is_some_and(|last| last.failures > 0 || last.slow > 0);
        let spacing = if failing { AGAIN } else { SPACING };
        if !self.errand.is_under_way() && self.asked.is_none_or(|asked| now.duration_since(asked) >= spacing) {
            let name = self.asked_for.clone();
            // A thread that can't be had is no fault of the name's: the next look tries again.
            if self.errand.begin(move || resolve(&name)).is_ok() {
                self.asked = Some(now);
            }
        }
        if !self.errand.is_under_way() {
            return;
        }
        match self.errand.answer(Instant::now()).await {
            Answer::Came((result, took)) => self.note(result, took, at),
            Answer::Waiting(since) if since >= SLOW => {
                if let Some(last) = &mut self.last {
                    last.took_ms = millis(since);
                    last.slow = last.slow.max(1);
                } else {
                    self.note(Err("no answer yet".to_owned()), since, at);
                }
            }
            Answer::Waiting(_) => {}
            Answer::Lost => self.note(Err("asking ended without an answer".to_owned()), Duration::ZERO, at),
        }
    }

    fn note(&mut self, result: Result<u32, String>, took: Duration, at: Timestamp) {
        let before = self.last.take();
        let (failures, slow) = before.as_ref().map_or((0, 0), |last| (last.failures, last.slow));
        let failed = result.is_err();
        let since = before.and_then(|last| last.failing_since);
        self.last = Some(Lookup {
            name: plain(&self.asked_for, 253),
            used_for: self.used_for.clone(),
            result,
            took_ms: millis(took),
            failures: if failed { failures.saturating_add(1) } else { 0 },
            slow: if took >= SLOW { slow.saturating_add(1) } else { 0 },
            failing_since: failed.then(|| since.unwrap_or(at)),
        });
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn resolve(name: &str) -> (Result<u32, String>, Duration) {
    let begun = Instant::now();
    let result = match (name, 0).to_socket_addrs() {
        Ok(addresses) => Ok(u32::try_from(addresses.count()).unwrap_or(u32::MAX))
            .and_then(|count| if count == 0 { Err("it has no address".to_owned()) } else { Ok(count) }),
        Err(error) => Err(plain(&error.to_string(), 160)),
    };
    (result, begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until(lookups: &mut Lookups, wanted: impl Fn(&Lookup) -> bool) -> Lookup {
        let given_up = Instant::now() + Duration::from_secs(30);
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let seen = lookups.look(Instant::now(), Timestamp::from_millis(7)).await;
            if let Some(lookup) = seen.first().filter(|lookup| wanted(lookup)) {
                return lookup.clone();
            }
            assert!(Instant::now() < given_up, "{seen:?}");
        }
    }

    #[tokio::test]
    async fn a_name_resolves_or_says_why_not() {
        let good = until(&mut Lookups::new(&[("localhost".to_owned(), "test".to_owned())]), |l| l.result.is_ok()).await;
        assert!(good.result.is_ok_and(|n| n > 0) && good.failures == 0 && good.failing_since.is_none());
        let mut bad = Lookups::new(&[("midwatch-test.invalid".to_owned(), "test".to_owned())]);
        let bad = until(&mut bad, |l| l.result.as_ref().is_err_and(|why| why != "no answer yet")).await;
        assert!(bad.failures >= 1 && bad.failing_since == Some(Timestamp::from_millis(7)), "{bad:?}");
    }
}
