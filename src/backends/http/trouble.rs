//! What went wrong when no answer could be read, found in a chain of errors and told once, in plain words.

use std::error::Error;
use std::io;

use crate::domain::text::plain;

/// Why no answer could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The name has no address.
    Name(String),
    /// Nothing listens there.
    Refused,
    /// The network doesn't lead there.
    NoRoute,
    /// The connection was reset before it stood.
    Reset,
    /// No connection stood in time.
    NoConnection,
    /// The server doesn't speak TLS.
    NotTls,
    /// TLS could not be agreed on.
    Handshake(String),
    /// Connected, asked, and the connection was closed before a whole answer had come.
    Closed,
    /// What came back isn't HTTP.
    NotHttp,
    /// What came back has a head too large to be read.
    HeadTooLarge,
    /// Anything else.
    Other(String),
}

impl Trouble {
    /// What `error` comes from. Its URL, which may hold a password, is never looked at.
    pub(super) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let connecting = error.is_connect();
        let timed_out = error.is_timeout();
        let chain = chain(&error);
        if let Some(found) = chain.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            return Self::tls(found);
        }
        if chain.iter().any(|cause| cause.to_string() == "dns error") {
            let why = chain.last().map(ToString::to_string).unwrap_or_default();
            return Self::Name(plain(why.trim_start_matches("failed to lookup address information: "), 120));
        }
        if connecting && timed_out {
            return Self::NoConnection;
        }
        if let Some(http) = chain.iter().find_map(|cause| cause.downcast_ref::<hyper::Error>()) {
            if http.is_parse_too_large() {
                return Self::HeadTooLarge;
            }
            if http.is_parse() {
                return Self::NotHttp;
            }
            if http.is_incomplete_message() {
                return Self::Closed;
            }
        }
        let kind = chain.iter().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        match kind.and_then(|kind| Self::io(kind, connecting)) {
            Some(trouble) => trouble,
            None => Self::Other(explain(&error)),
        }
    }

    fn tls(error: &rustls::Error) -> Self {
        let text = error.to_string();
        if let rustls::Error::InvalidMessage(_) = error {
            return Self::NotTls;
        }
        Self::Handshake(plain(&text, 160))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds are many, open-ended, and most say nothing here")]
    const fn io(kind: io::ErrorKind, connecting: bool) -> Option<Self> {
        match kind {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
                Some(Self::NoRoute)
            }
            io::ErrorKind::TimedOut if connecting => Some(Self::NoConnection),
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof if connecting => Some(Self::Reset),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                Some(Self::Closed)
            }
            _ => None,
        }
    }
}

/// The causes of `error`, outermost first, those wrapped in an I/O error included (which hides them from `source`).
fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes = Vec::new();
    let mut next: Option<&'a (dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        causes.push(cause);
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
        if causes.len() > 16 {
            break;
        }
    }
    causes
}

/// What `error` comes from in one sentence, each cause once.
pub(super) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut told: Vec<String> = Vec::new();
    let causes = chain(error);
    let last = causes.len().saturating_sub(1);
    for (depth, cause) in causes.iter().enumerate() {
        let text = cause.to_string();
        // The layers of the HTTP client only say that they failed.
        let layer = cause.is::<reqwest::Error>() || text.starts_with("client error (");
        if (layer && depth < last) || told.iter().any(|before| before.contains(&text)) {
            continue;
        }
        told.retain(|before| !text.contains(before.as_str()));
        told.push(text);
    }
    plain(&told.join(": "), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(String, #[source] io::Error);

    #[test]
    fn each_cause_is_told_once() {
        let inner = io::Error::other("disk on fire");
        assert_eq!(explain(&Layer("can't read: disk on fire".to_owned(), inner)), "can't read: disk on fire");
        let inner = io::Error::other(Layer("can't read".to_owned(), io::Error::other("disk on fire")));
        assert_eq!(explain(&Layer("can't start".to_owned(), inner)), "can't start: can't read: disk on fire");
    }
}
