//! The few questions that are put to daemons behind a socket: Docker (or Podman) and supervisord.
//!
//! Invariant: what is not a [`Question`] can't be asked; each is one that only reads. (supervisord's interface knows no
//! GET: its one question is a POST whose body is fixed here.)

pub mod container;

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use crate::config::Listener;

/// More of an answer is not read: about 3000 containers.
const MOST: u64 = 8 * 1024 * 1024;

/// All that can be asked.
#[derive(Clone)]
pub enum Question<'a> {
    /// Docker: every container of a Compose project, of any project with `None`, also those that ended.
    Containers(Option<&'a str>),
    /// Docker: one container.
    Container(&'a str),
    /// Docker: the image it has under a name.
    Image(&'a str),
    /// supervisord: every program; with user and password.
    Programs(Option<&'a (String, SecretString)>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// No connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// An answer that isn't one of success.
    #[error("it answers {0}")]
    Status(u16),
    /// Something else answers.
    #[error("its answer is not understood ({0})")]
    Strange(&'static str),
}

impl SocketError {
    /// Whether the socket is there and may not be used.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied)
            || matches!(self, Self::Status(401 | 403))
    }

    /// Whether nobody listens there.
    pub fn is_absent(&self) -> bool {
        let kinds = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
        matches!(self, Self::Io(error) if kinds.contains(&error.kind()))
    }
}

/// Puts a question and reads the answer's body. Blocks for `limit` at most (connecting to a Unix socket whose daemon
/// has stopped accepting can take longer: call it on a thread of its own).
///
/// # Errors
/// No connection, no answer in time, an answer that isn't one.
pub fn ask(listener: &Listener, question: &Question<'_>, limit: Duration) -> Result<Vec<u8>, SocketError> {
    let deadline = Instant::now() + limit;
    let request = question.request().ok_or(SocketError::Strange("the name is none of a container or image"))?;
    let answer = match listener {
        Listener::Unix(path) => exchange(UnixStream::connect(path)?, &request, deadline)?,
        Listener::Tcp(address) => exchange(tcp(address, limit)?, &request, deadline)?,
    };
    body(answer)
}

fn tcp(address: &str, limit: Duration) -> io::Result<TcpStream> {
    let nowhere = || io::Error::new(io::ErrorKind::NotFound, "the address is not understood");
    let address = address.to_socket_addrs()?.next().ok_or_else(nowhere)?;
    TcpStream::connect_timeout(&address, limit)
}

/// A stream whose reads and writes can be given a time.
trait Timed: Read + Write {
    fn limit(&self, span: Duration) -> io::Result<()>;
}

impl Timed for UnixStream {
    fn limit(&self, span: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(span))?;
        self.set_write_timeout(Some(span))
    }
}

impl Timed for TcpStream {
    fn limit(&self, span: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(span))?;
        self.set_write_timeout(Some(span))
    }
}

fn exchange<S: Timed>(mut stream: S, request: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    let left = |stream: &S| {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late()) } else { stream.limit(left) }
    };
    left(&stream)?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        left(&stream)?;
        let n = match stream.read(&mut buffer) {
            Ok(0) => return Ok(answer),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(buffer.get(..n).unwrap_or_default());
        if u64::try_from(answer.len()).unwrap_or(u64::MAX) > MOST {
            return Err(io::Error::other("the answer is longer than 8 MB"));
        }
    }
}

impl Question<'_> {
    /// As HTTP/1.0: the answer then comes in one piece and ends with the connection. `None`: a name that is none.
    fn request(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::Containers(None) => {
                get("/containers/json?all=1&filters=%7B%22label%22%3A%5B%22com.docker.compose.project%22%5D%7D")
            }
            Self::Containers(Some(project)) => {
                let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                if project.is_empty() || !project.chars().all(safe) {
                    return None;
                }
                get(&format!(
                    "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22com.docker.compose.project%3D{project}%22%5D%7D"
                ))
            }
            Self::Container(id) => {
                if id.is_empty() || id.len() > 128 || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
                    return None;
                }
                get(&format!("/containers/{id}/json"))
            }
            Self::Image(name) => {
                let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
                let part = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(safe);
                if name.len() > 300 || !name.split('/').all(part) {
                    return None;
                }
                get(&format!("/images/{name}/json"))
            }
            Self::Programs(login) => {
                let body = "<?xml version=\"1.0\"?><methodCall><methodName>supervisor.getAllProcessInfo</methodName>\
                            <params></params></methodCall>";
                let login = login.map(|(user, password)| {
                    let plain = format!("{user}:{}", password.expose_secret());
                    format!("Authorization: Basic {}\r\n", base64(plain.as_bytes()))
                });
                format!(
                    "POST /RPC2 HTTP/1.0\r\nHost: localhost\r\nContent-Type: text/xml\r\n{}Content-Length: {}\r\n\r\n{body}",
                    login.unwrap_or_default(),
                    body.len()
                )
                .into_bytes()
            }
        })
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n").into_bytes()
}

/// The body of an answer of success.
fn body(answer: Vec<u8>) -> Result<Vec<u8>, SocketError> {
    let end = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or(SocketError::Strange("no end of its head"))?;
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let status = head.split_ascii_whitespace().nth(1).and_then(|word| word.parse::<u16>().ok());
    match status {
        Some(200) if head.starts_with("http/1.") && !head.contains("\r\ntransfer-encoding:") => {
            let mut answer = answer;
            answer.drain(..end + 4);
            Ok(answer)
        }
        Some(200) => Err(SocketError::Strange("it comes in pieces")),
        Some(status) => Err(SocketError::Status(status)),
        None => Err(SocketError::Strange("no HTTP")),
    }
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4_usize {
            let letter = usize::try_from(word >> (18 - 6 * place) & 63).ok().and_then(|at| LETTERS.get(at));
            out.push(if place <= chunk.len() { letter.map_or('=', |b| char::from(*b)) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Question, SocketError, base64, body};

    #[test]
    fn only_names_of_containers_get_into_a_request() {
        for id in ["", "../../images/json", "a/json?x=", "a b", "a\r\nDELETE /"] {
            assert!(Question::Container(id).request().is_none(), "{id:?}");
        }
        for project in ["", "a\"b", "a%22", "a b\r\n"] {
            assert!(Question::Containers(Some(project)).request().is_none(), "{project:?}");
        }
        for image in ["", "a/../b", "/a", "a//b", "a b", "a?x=", "a%2f", "a\r\nDELETE /", "-a"] {
            assert!(Question::Image(image).request().is_none(), "{image:?}");
        }
        let request = Question::Image("ghcr.io:443/shop/web_app:2026.8.0-a").request().unwrap();
        assert!(request.starts_with(b"GET /images/ghcr.io:443/shop/web_app:2026.8.0-a/json HTTP/1.0\r\n"));
        let request = Question::Container("d88cb047").request().unwrap();
        assert!(request.starts_with(b"GET /containers/d88cb047/json HTTP/1.0\r\n"));
    }

    #[test]
    fn only_success_in_one_piece_is_an_answer() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n[1]".to_vec()).unwrap(), b"[1]");
        assert!(matches!(body(b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec()), Err(SocketError::Status(404))));
        for strange in ["", "x", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2"] {
            assert!(matches!(body(strange.as_bytes().to_vec()), Err(SocketError::Strange(_))), "{strange}");
        }
    }

    #[test]
    fn base64_is_as_the_rfc_has_it() {
        let all = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        assert!(all.iter().all(|(plain, coded)| base64(plain.as_bytes()) == *coded));
    }
}
