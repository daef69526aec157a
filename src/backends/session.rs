//! One session with one server, kept from look to look.
//!
//! Invariant: there is never a second session beside the first, and never a second question while one is unanswered.
//! A server that hangs is not helped by a queue of abandoned connections, each of which it has to admit, authenticate
//! and throw away when it wakes. So a question that isn't answered in time stays open, is reported as unanswered, and
//! is waited for again at the next look; only after [`PATIENCE`] is its connection closed, and each time that is in
//! vain the patience doubles.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// How long one unanswered question is kept open before its connection is given up. Long enough for a server that
/// wakes up, short enough for a connection whose path is gone without a word.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the patience grows to while nothing is answered.
const MOST_PATIENCE: Duration = Duration::from_mins(15);
/// How long nothing is tried after a refusal that doesn't mend itself, such as a wrong password: each attempt is a
/// line in the server's log.
const REST: Duration = Duration::from_secs(30);

/// A server that can be asked one thing, in a session.
pub(crate) trait Server: Send + Sync + 'static {
    /// The session.
    type Session: Send + 'static;
    /// What it answers.
    type Answer: Send + 'static;

    /// Opens a session.
    fn connect(&self) -> impl Future<Output = Result<Self::Session, Trouble>> + Send;

    /// Asks in it.
    fn ask(&self, session: &mut Self::Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send;

    /// The sentence for no answer within `seconds`; `admitted`: there is a session, only the answer is missing.
    fn silent(&self, admitted: bool, seconds: u64) -> String;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What, where, and what to do.
    pub(crate) sentence: String,
    /// What it means for the session.
    pub(crate) then: Then,
}

/// What a trouble means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The session can still be used.
    Stay,
    /// The session is gone; a new one may be tried at once.
    Reconnect,
    /// There is none, and trying again soon is of no use.
    Rest,
}

impl Trouble {
    /// A trouble told by `sentence`.
    pub(crate) fn new(sentence: impl Into<String>, then: Then) -> Self {
        Self { sentence: sentence.into(), then }
    }
}

/// What a question brings: the session, if it can still be used, and the answer.
type Outcome<S> = (Option<<S as Server>::Session>, Result<<S as Server>::Answer, Trouble>);

/// A question that was put and is not answered yet. It owns the session meanwhile.
struct Question<S: Server> {
    answer: Pin<Box<dyn Future<Output = Outcome<S>> + Send>>,
    put: Instant,
    admitted: Arc<AtomicBool>,
}

/// The one session with a server. Dropping it closes the connection.
pub(crate) struct KeptSession<S: Server> {
    server: Arc<S>,
    limit: Duration,
    session: Option<S::Session>,
    question: Option<Question<S>>,
    patience: Duration,
    rest: Option<(Instant, String)>,
}

impl<S: Server> KeptSession<S> {
    /// A session that is opened at the first look; each look takes at most `limit`.
    pub(crate) fn new(server: S, limit: Duration) -> Self {
        Self { server: Arc::new(server), limit, session: None, question: None, patience: PATIENCE, rest: None }
    }

    /// Looks once: an answer, or a sentence. May be dropped at any point without leaving a second session behind.
    pub(crate) async fn look(&mut self) -> Result<S::Answer, String> {
        let start = Instant::now();
        if let Some((until, why)) = &self.rest
            && start < *until
        {
            return Err(why.clone());
        }
        loop {
            let question = match self.question.take() {
                Some(open) => self.question.insert(open),
                None => self.question.insert(put(&self.server, self.session.take())),
            };
            let Ok((session, answer)) = timeout_at(start + self.limit, question.answer.as_mut()).await else {
                return Err(self.unanswered());
            };
            let overdue = question.put < start;
            self.question = None;
            self.session = session;
            self.patience = PATIENCE;
            // An answer to an earlier look says how things were then.
            if !overdue {
                return answer.map_err(|trouble| self.refused(trouble));
            }
        }
    }

    fn refused(&mut self, trouble: Trouble) -> String {
        if trouble.then == Then::Rest {
            self.rest = Some((Instant::now() + REST, trouble.sentence.clone()));
        }
        trouble.sentence
    }

    fn unanswered(&mut self) -> String {
        let Some(question) = &self.question else { return self.server.silent(false, self.limit.as_secs()) };
        let waited = question.put.elapsed();
        let sentence = self.server.silent(question.admitted.load(Ordering::Relaxed), waited.as_secs());
        if waited >= self.patience {
            self.question = None;
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
        }
        sentence
    }
}

/// Puts a question: in the kept session, or in a new one when there is none or it was ended between two looks.
fn put<S: Server>(server: &Arc<S>, kept: Option<S::Session>) -> Question<S> {
    let admitted = Arc::new(AtomicBool::new(kept.is_some()));
    let (server, flag) = (Arc::clone(server), Arc::clone(&admitted));
    let answer = async move {
        if let Some(mut session) = kept {
            match server.ask(&mut session).await {
                Err(trouble) if trouble.then == Then::Reconnect => drop(session),
                answer => return (Some(session), answer),
            }
        }
        flag.store(false, Ordering::Relaxed);
        let mut session = match server.connect().await {
            Ok(session) => session,
            Err(trouble) => return (None, Err(trouble)),
        };
        flag.store(true, Ordering::Relaxed);
        let answer = server.ask(&mut session).await;
        let usable = answer.as_ref().err().is_none_or(|trouble| trouble.then == Then::Stay);
        (usable.then_some(session), answer)
    };
    Question { answer: Box::pin(answer), put: Instant::now(), admitted }
}

#[cfg(test)]
mod tests;
