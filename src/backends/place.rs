//! Where a server is, and what it means when it can't be reached, for every kind of server alike.

use std::fmt;
use std::io::{Error, ErrorKind};
use std::path::PathBuf;

use super::session::{Then, Trouble};
use crate::domain::text::plain;

/// The address of a server, as shown to people; never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Host and port.
    Tcp(String, u16),
    /// A Unix socket.
    Socket(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{}]:{port}", plain(host, 80)),
            Self::Tcp(host, port) => write!(f, "{}:{port}", plain(host, 80)),
            Self::Socket(path) => f.write_str(&plain(&path.to_string_lossy(), 120)),
        }
    }
}

/// The sentence for a connection that couldn't be made or broke, to the server called `name`.
pub(crate) fn unreachable(name: &str, place: &Place, error: &Error) -> Trouble {
    let text = plain(&error.to_string(), 120);
    let sentence = match (error.kind(), place) {
        (ErrorKind::ConnectionRefused, Place::Tcp(..)) => {
            format!("{name} at {place} refuses connections: nothing listens there. See whether it runs.")
        }
        (ErrorKind::ConnectionRefused, Place::Socket(_)) => {
            format!("{name} left its socket {place}, and nothing listens on it. See whether it runs.")
        }
        (ErrorKind::NotFound, Place::Socket(_)) => {
            format!("There is no socket {place}: {name} is stopped, or keeps its socket elsewhere.")
        }
        (ErrorKind::PermissionDenied, _) => {
            format!("This user may not open {name}'s socket {place}. Run midwatch as a user who may.")
        }
        (ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable, _) => {
            format!("{name} at {place} can't be reached: {text}. See whether that host is up and the way to it open.")
        }
        (ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe, _) => {
            format!("{name} at {place} closed the connection without a word. Its own log says why.")
        }
        _ if text.contains("lookup address") => {
            format!("The host name in {place}, where {name} should be, can't be resolved: {text}.")
        }
        _ => format!("{name} at {place} can't be reached: {text}."),
    };
    Trouble::new(sentence, Then::Reconnect)
}

/// The sentence for no answer within `seconds`.
pub(crate) fn silent(name: &str, place: &Place, admitted: bool, seconds: u64) -> String {
    if admitted {
        format!(
            "{name} at {place} accepted the connection and has not answered for {seconds} s: it hangs. See its host."
        )
    } else {
        format!("{name} at {place} has opened no session for {seconds} s: it hangs, or the network drops packets.")
    }
}
