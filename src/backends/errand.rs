//! Blocking work on a thread of its own, of which at most one is under way.
//!
//! Not the runtime's pool of blocking threads: a call that never comes back (a dead NFS server, a process stuck in
//! the kernel) would keep the runtime from ending, and the program with it.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

const STACK: usize = 512 * 1024;

/// One kind of blocking work. Dropping it leaves a thread that hangs to itself.
#[derive(Debug)]
pub(in crate::backends) struct Errand<T> {
    under_way: Option<UnderWay<T>>,
}

#[derive(Debug)]
struct UnderWay<T> {
    since: Instant,
    answer: oneshot::Receiver<T>,
}

/// What has come of an errand.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::backends) enum Answer<T> {
    /// It came back with this.
    Came(T),
    /// It is under way for this long.
    Waiting(Duration),
    /// It was not sent, or its thread ended without an answer.
    Lost,
}

impl<T> Default for Errand<T> {
    fn default() -> Self {
        Self { under_way: None }
    }
}

impl<T: Send + 'static> Errand<T> {
    /// Whether an answer is still to be fetched.
    pub(in crate::backends) const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Starts `work` unless one is under way. An error means that there is no thread to be had.
    pub(in crate::backends) fn begin(&mut self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
        if self.is_under_way() {
            return Ok(());
        }
        let (tell, answer) = oneshot::channel();
        let thread = thread::Builder::new().name("midwatch-host".to_owned()).stack_size(STACK);
        drop(thread.spawn(move || drop(tell.send(work())))?);
        self.under_way = Some(UnderWay { since: Instant::now(), answer });
        Ok(())
    }

    /// The answer, waited for until `deadline`; one that is there already is taken even after it.
    pub(in crate::backends) async fn answer(&mut self, deadline: Instant) -> Answer<T> {
        let Some(under_way) = &mut self.under_way else { return Answer::Lost };
        let Ok(answer) = timeout_at(deadline.into(), &mut under_way.answer).await else {
            return Answer::Waiting(under_way.since.elapsed());
        };
        self.under_way = None;
        answer.map_or(Answer::Lost, Answer::Came)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::{Answer, Errand};

    #[tokio::test]
    async fn a_second_is_not_sent_while_the_first_is_under_way() {
        let (release, gate) = mpsc::channel();
        let mut errand = Errand::default();
        errand.begin(move || gate.recv().map_or(0, |()| 1)).unwrap();
        errand.begin(|| 2).unwrap();
        assert!(matches!(errand.answer(Instant::now()).await, Answer::Waiting(_)));
        release.send(()).unwrap();
        let patience = Instant::now() + Duration::from_secs(30);
        assert_eq!(errand.answer(patience).await, Answer::Came(1));
        assert_eq!(errand.answer(patience).await, Answer::Lost);
    }
}
