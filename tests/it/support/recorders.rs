//! Stands between midwatch and a server, and keeps every byte that midwatch says to it.
#![cfg(test)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

type Said = Arc<Mutex<Vec<Vec<u8>>>>;

/// What was said, a row of bytes for each connection. Its threads end with the connections; who listens ends with the tests.
pub(crate) struct Recorder(Said);

impl Recorder {
    /// On a free port, for the server at this port of 127.0.0.1; its own port.
    pub(crate) fn tcp(server: u16) -> (u16, Self) {
        let (said, listener) = (Said::default(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (port, kept) = (listener.local_addr().unwrap().port(), Arc::clone(&said));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let end = |stream: TcpStream| move || drop(stream.shutdown(Shutdown::Both));
                pass((from, to), Some(&kept), end(server.try_clone().unwrap()));
                pass((server, client.try_clone().unwrap()), None, end(client));
            }
        });
        (port, Self(said))
    }

    /// At this path, for the server at the other.
    pub(crate) fn unix(path: &Path, server: PathBuf) -> Self {
        let (said, listener) = (Said::default(), UnixListener::bind(path).unwrap());
        let kept = Arc::clone(&said);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = UnixStream::connect(&server) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let end = |stream: UnixStream| move || drop(stream.shutdown(Shutdown::Both));
                pass((from, to), Some(&kept), end(server.try_clone().unwrap()));
                pass((server, client.try_clone().unwrap()), None, end(client));
            }
        });
        Self(said)
    }

    pub(crate) fn said(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().clone()
    }
}

/// Hands on what comes from one side to the other until it ends, and keeps it where that is asked for.
fn pass<S: Read + Write + Send + 'static>(
    (mut from, mut to): (S, S),
    keep: Option<&Said>,
    end: impl FnOnce() + Send + 'static,
) {
    let keep = keep.map(|said| {
        let mut all = said.lock().unwrap();
        all.push(Vec::new());
        (Arc::clone(said), all.len() - 1)
    });
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if let Some((said, at)) = &keep {
                said.lock().unwrap()[*at].extend_from_slice(&bytes[..count]);
            }
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        end();
    });
}

/// The commands in what was said to a Redis: `*2\r\n$4\r\nINFO\r\n…`, each with its arguments.
pub(crate) fn redis(said: &[u8]) -> Vec<Vec<String>> {
    let mut rest = said;
    let mut line = || -> Option<String> {
        let at = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = String::from_utf8_lossy(&rest[..at]).into_owned();
        rest = &rest[at + 2..];
        Some(line)
    };
    let mut all = Vec::new();
    while let Some(head) = line() {
        let Some(words) = head.strip_prefix('*').and_then(|count| count.parse::<usize>().ok()) else {
            all.push(vec![head]);
            continue;
        };
        let word = |_| {
            line()?;
            line()
        };
        all.push((0..words).map_while(word).collect());
    }
    all
}

/// The methods that were called over a D-Bus connection: what follows the greeting, little-endian as all of today's machines.
pub(crate) fn dbus(said: &[u8]) -> Vec<String> {
    const BEGIN: &[u8] = b"BEGIN\r\n";
    let Some(at) = said.windows(BEGIN.len()).position(|part| part == BEGIN) else { return Vec::new() };
    let mut rest = &said[at + BEGIN.len()..];
    let mut all = Vec::new();
    while rest.len() >= 16 {
        assert_eq!(rest[0], b'l', "a message that is not little-endian");
        let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        let (body, fields) = (number(4), number(12));
        let end = (16 + fields).next_multiple_of(8) + body;
        all.push(
            member(&rest[..16 + fields]).unwrap_or_else(|| format!("a message of type {} without a name", rest[1])),
        );
        rest = rest.get(end..).unwrap_or_default();
    }
    all
}

/// The name of the method: field 3 of a message's header.
fn member(header: &[u8]) -> Option<String> {
    let mut at = 16;
    while at < header.len() {
        at = at.next_multiple_of(8);
        let (code, signature) = (*header.get(at)?, *header.get(at + 2)?);
        at += 4;
        let length = if signature == b'g' {
            usize::from(*header.get(at)?) + 2
        } else {
            at = at.next_multiple_of(4);
            let number = u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?) as usize;
            at += 4;
            if signature == b'u' { 0 } else { number + 1 }
        };
        if code == 3 {
            return Some(String::from_utf8_lossy(header.get(at..at + length - 1)?).into_owned());
        }
        at += length;
    }
    None
}
