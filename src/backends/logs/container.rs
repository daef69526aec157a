//! The log of a container, followed through Docker's API on its socket: two GET requests, nothing else is ever sent.

#![expect(clippy::wildcard_enum_match_arm, reason = "all that is not named is told alike")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use super::follow::News;
use super::zone;
use crate::domain::log::calendar::Scan;
use crate::domain::time::Timestamp;

/// Rows of the past that are read first.
const PAST: u32 = 500;
/// How long the daemon may take for its first answer.
const ANSWER: Duration = Duration::from_secs(5);
/// After the log ended (the container stopped) it is asked for again after so long.
const AGAIN: Duration = Duration::from_secs(5);
/// A row longer than this is cut.
const ROW_MAX: usize = 64 * 1024;
/// Most bytes of an answer that is not a log.
const ANSWER_MAX: usize = 8 * 1024 * 1024;

/// The name under which a container's rows come.
pub(super) const PART: &str = "";

/// Which container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// By name or id.
    Named(String),
    /// The newest one of a Compose service.
    Service {
        /// The project; empty: whichever has such a service.
        project: String,
        /// The service.
        service: String,
    },
}

/// Follows the log of this container for ever.
pub(super) async fn follow(socket: PathBuf, which: Which, news: Sender<News>) {
    let mut last: Option<Timestamp> = None;
    loop {
        let end = once(&socket, &which, &mut last, &news).await;
        let why = match end {
            Ok(()) if news.is_closed() => return,
            Ok(()) => "has ended its log: the container is stopped, or was removed".to_owned(),
            Err(why) => why,
        };
        if news.send(News::Trouble(why)).await.is_err() {
            return;
        }
        sleep(AGAIN).await;
    }
}

type Stream = BufReader<UnixStream>;

async fn once(socket: &Path, which: &Which, last: &mut Option<Timestamp>, news: &Sender<News>) -> Result<(), String> {
    let name = match which {
        Which::Named(name) => quoted(name),
        Which::Service { project, service } => container_of(socket, project, service).await?,
    };
    // Whether rows come in frames or bare depends on the container's terminal.
    let (status, about) = whole(socket, &format!("/containers/{name}/json")).await?;
    match status {
        200 => {}
        404 => return Err("is not there (yet)".to_owned()),
        other => return Err(format!("can't be asked for: Docker answers {other}")),
    }
    let framed = !about.pointer("/Config/Tty").and_then(Value::as_bool).unwrap_or(false);
    let past = match last {
        Some(at) => format!("since={}.{:03}", at.as_secs(), at.as_millis().rem_euclid(1000)),
        None => format!("tail={PAST}"),
    };
    let path = format!("/containers/{name}/logs?follow=1&stdout=1&stderr=1&timestamps=1&{past}");
    let (status, chunked, mut stream) = ask(socket, &path).await?;
    if status != 200 {
        return Err(format!("has a log driver that keeps nothing to read (Docker answers {status})"));
    }
    if news.send(News::Going).await.is_err() {
        return Ok(());
    }
    let mut rows = Rows { framed, ..Rows::default() };
    let mut read = Body { stream: &mut stream, chunked, left: 0, done: false };
    let told = *last;
    while let Some(piece) = read.piece().await? {
        for (row, at) in rows.take(&piece) {
            // What was told before the log was asked for again.
            if told.is_some_and(|told| at <= told) {
                continue;
            }
            *last = Some(at);
            let row = News::Row { of: PART.to_owned(), row, at, priority: None, whole: false };
            if news.send(row).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The id of the newest container of a Compose service.
async fn container_of(socket: &Path, project: &str, service: &str) -> Result<String, String> {
    let mut labels = vec![format!("com.docker.compose.service={service}")];
    if !project.is_empty() {
        labels.push(format!("com.docker.compose.project={project}"));
    }
    let filters = serde_json::json!({ "label": labels }).to_string();
    let path = format!("/containers/json?all=1&filters={}", encoded(&filters));
    let (status, containers) = whole(socket, &path).await?;
    if status != 200 {
        return Err(format!("can't be asked for: Docker answers {status}"));
    }
    let all = containers.as_array().map(Vec::as_slice).unwrap_or_default();
    let newest = all.iter().max_by_key(|container| container.get("Created").and_then(Value::as_i64));
    let id = newest.and_then(|container| container.get("Id")).and_then(Value::as_str);
    id.map(quoted).ok_or_else(|| "has no container (yet)".to_owned())
}

/// Asks for a whole answer, and takes it for JSON.
async fn whole(socket: &Path, path: &str) -> Result<(u16, Value), String> {
    let (status, chunked, mut stream) = ask(socket, path).await?;
    let mut body = Vec::new();
    let mut read = Body { stream: &mut stream, chunked, left: 0, done: false };
    while let Some(piece) = timeout(ANSWER, read.piece()).await.map_err(|_elapsed| silent())?? {
        body.extend(piece);
        if body.len() > ANSWER_MAX {
            return Err("can't be asked for: Docker's answer is too long".to_owned());
        }
    }
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Text as it may stand in a query.
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn silent() -> String {
    format!("can't be asked for: Docker has not answered for {} s", ANSWER.as_secs())
}

/// A name as it may stand in a path.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

/// Asks; the status, whether the body is chunked, and the connection at the beginning of the body.
async fn ask(socket: &Path, path: &str) -> Result<(u16, bool, Stream), String> {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut stream = BufReader::new(stream);
        let (mut status, mut chunked) = (0, false);
        for at in 0..100 {
            let mut line = String::new();
            (&mut stream).take(16 * 1024).read_line(&mut line).await?;
            if at == 0 {
                status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
            }
            let line = line.trim_end().to_ascii_lowercase();
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
            if line.is_empty() {
                break;
            }
        }
        Ok((status, chunked, stream))
    };
    match timeout(ANSWER, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(trouble(socket, &error)),
        Err(_elapsed) => Err(silent()),
    }
}

fn trouble(socket: &Path, error: &std::io::Error) -> String {
    let socket = socket.display();
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            format!("can't be read: {socket} is closed to this user; group docker opens it, and with it the whole host")
        }
        std::io::ErrorKind::NotFound => format!("can't be read: there is no {socket}, Docker does not run here"),
        _ => format!("can't be read: {socket}: {error}"),
    }
}

/// A body, chunked or to the end of the connection.
struct Body<'a> {
    stream: &'a mut Stream,
    chunked: bool,
    left: usize,
    done: bool,
}

impl Body<'_> {
    /// The next bytes; `None`: it is at its end.
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.next().await.map_err(|error| format!("Docker's answer broke off: {error}"))
    }

    async fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if self.chunked && self.left == 0 && !self.done {
            let mut size = String::new();
            while size.trim().is_empty() {
                size.clear();
                if (&mut *self.stream).take(64).read_line(&mut size).await? == 0 {
                    return Ok(None);
                }
            }
            self.left = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            self.done = self.left == 0;
        }
        if self.done {
            return Ok(None);
        }
        let most = if self.chunked { self.left.min(64 * 1024) } else { 64 * 1024 };
        let mut piece = vec![0; most];
        let n = self.stream.read(&mut piece).await?;
        piece.truncate(n);
        self.left = self.left.saturating_sub(n);
        Ok((n > 0).then_some(piece))
    }
}

/// Puts frames and rows together.
#[derive(Debug, Default)]
struct Rows {
    framed: bool,
    raw: Vec<u8>,
    /// Rows under way, of standard output and standard error.
    under_way: [Vec<u8>; 2],
}

impl Rows {
    fn take(&mut self, piece: &[u8]) -> Vec<(String, Timestamp)> {
        let mut out = Vec::new();
        if !self.framed {
            self.text(0, piece, &mut out);
            return out;
        }
        self.raw.extend_from_slice(piece);
        // A frame: stream, three zeroes, four bytes of length, text.
        while let Some(([stream, _, _, _, a, b, c, d], rest)) = self.raw.split_first_chunk::<8>() {
            let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
            // Longer than Docker ever writes: this is no frame.
            if length > 16 * 1024 * 1024 {
                self.raw.clear();
                break;
            }
            let Some(text) = rest.get(..length).map(<[u8]>::to_vec) else { break };
            let stream = usize::from(*stream == 2);
            self.raw.drain(..8 + length);
            self.text(stream, &text, &mut out);
        }
        out
    }

    fn text(&mut self, stream: usize, text: &[u8], out: &mut Vec<(String, Timestamp)>) {
        let Some(row) = self.under_way.get_mut(stream) else { return };
        for part in text.split_inclusive(|b| *b == b'\n') {
            if row.len() < ROW_MAX {
                row.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                out.push(dated(&String::from_utf8_lossy(row)));
                row.clear();
            }
        }
    }
}

/// A row with the time that Docker puts before it.
fn dated(row: &str) -> (String, Timestamp) {
    let mut scan = Scan::new(row);
    let now = zone::now();
    let at = scan.iso().map_or(now, |stamp| stamp.as_utc(now));
    (scan.rest().trim_start_matches(' ').trim_end().to_owned(), at)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;
    use tokio::sync::mpsc;

    use super::{News, PART, Rows, Which, follow};

    /// A daemon that answers each request with what its path is given, and keeps the paths.
    fn daemon(socket: &std::path::Path, answers: Vec<(&'static str, Vec<u8>)>) -> mpsc::UnboundedReceiver<String> {
        let listener = UnixListener::bind(socket).unwrap();
        let (asked, paths) = mpsc::unbounded_channel();
        drop(tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let n = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..n]).into_owned();
                asked.send(head.lines().next().unwrap_or_default().to_owned()).unwrap();
                let answer = answers.iter().find(|(path, _)| head.contains(path));
                let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}".to_vec();
                stream.write_all(&answer.map_or(missing, |(_, answer)| answer.clone())).await.unwrap();
            }
        }));
        paths
    }

    fn json(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in pieces {
            out.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            out.extend_from_slice(piece);
            out.extend(b"\r\n");
        }
        out.extend(b"0\r\n\r\n");
        out
    }

    #[tokio::test]
    async fn a_compose_services_newest_container_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let row = frame(2, "2026-11-21T03:34:56.484786583Z ERROR 2026-11-21 03:34:56,1 a b bad\n");
        let (first, second) = row.split_at(20);
        let mut paths = daemon(
            &socket,
            vec![
                ("/containers/json?", json(r#"[{"Id":"old","Created":1},{"Id":"new","Created":2}]"#)),
                ("/containers/new/json", json(r#"{"Config":{"Tty":false}}"#)),
                ("/containers/new/logs", chunked(&[first, second])),
            ],
        );
        let (news, mut came) = mpsc::channel(16);
        let which = Which::Service { project: "shop".to_owned(), service: "web".to_owned() };
        let task = tokio::spawn(follow(socket, which, news));
        assert_eq!(came.recv().await, Some(News::Going));
        let Some(News::Row { of, row, at, .. }) = came.recv().await else { panic!("no row") };
        assert_eq!((of.as_str(), row.as_str()), (PART, "ERROR 2026-11-21 03:34:56,1 a b bad"));
        assert_eq!(at.as_millis(), 1_795_232_096_484);
        assert!(matches!(came.recv().await, Some(News::Trouble(why)) if why.contains("ended its log")));
        task.abort();
        while let Ok(path) = paths.try_recv() {
            assert!(path.starts_with("GET /containers/"), "nothing but looking: {path}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let (news, mut came) = mpsc::channel(16);
        let task = tokio::spawn(follow(socket.clone(), Which::Named("x".to_owned()), news));
        assert!(matches!(came.recv().await, Some(News::Trouble(why)) if why.contains("Docker does not run here")));
        task.abort();
        let _paths = daemon(&socket, Vec::new());
        let (news, mut came) = mpsc::channel(16);
        let task = tokio::spawn(follow(socket, Which::Named("x".to_owned()), news));
        assert_eq!(came.recv().await, Some(News::Trouble("is not there (yet)".to_owned())));
        task.abort();
    }

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    #[test]
    fn frames_are_put_together_wherever_they_are_cut() {
        let mut bytes = frame(1, "2026-11-21T03:34:56.484786583Z hello\n");
        bytes.extend(frame(2, "2026-11-21T03:34:57.5Z Trace"));
        bytes.extend(frame(1, "2026-11-21T03:34:58.5Z other\n"));
        bytes.extend(frame(2, "back\n"));
        for cut in 0..bytes.len() {
            let mut rows = Rows { framed: true, ..Rows::default() };
            let mut all = rows.take(&bytes[..cut]);
            all.extend(rows.take(&bytes[cut..]));
            let told: Vec<(&str, i64)> = all.iter().map(|(row, at)| (row.as_str(), at.as_millis() % 100_000)).collect();
            assert_eq!(told, [("hello", 96_484), ("other", 98_500), ("Traceback", 97_500)], "cut at {cut}");
        }
    }

    #[test]
    fn a_terminal_has_no_frames() {
        let mut rows = Rows::default();
        let all = rows.take(b"2026-11-21T03:34:56.484Z a\r\n2026-11-21T03:34:57Z b\r\n");
        assert_eq!(all.iter().map(|(row, _)| row.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
