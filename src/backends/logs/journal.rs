//! The journal of some units, followed by one `journalctl -f`: started again when it ends, from the place it had come to.

#![expect(clippy::wildcard_enum_match_arm, reason = "all that is not named is told alike")]

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use super::follow::News;
use super::zone;
use crate::domain::log::Severity;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Entries of the past that are read first.
const PAST: &str = "500";
/// An entry longer than this is passed over.
const ENTRY_MAX: usize = 256 * 1024;
/// Entries that come so late, in milliseconds, say that the journal grows faster than it is read.
const BEHIND_MS: u64 = 30_000;
/// After it ended it is started again after so long, twice as long each time it ends at once.
const AGAIN: Duration = Duration::from_secs(2);
/// How long its last words are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Never later than this.
const AGAIN_MOST: Duration = Duration::from_mins(2);

/// Whose journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// The system's units.
    System,
    /// This user's own units.
    User,
    /// The kernel.
    Kernel,
}

/// The name under which the kernel's entries come.
pub(super) const KERNEL: &str = "kernel";

/// Follows the journal of these units for ever.
pub(super) async fn follow(of: Of, units: Vec<String>, news: Sender<News>) {
    let mut cursor: Option<String> = None;
    let mut pause = AGAIN;
    loop {
        let begun = tokio::time::Instant::now();
        match start(of, &units, cursor.as_deref()) {
            Ok(child) => match read(of, child, &mut cursor, &news).await {
                End::Behind => {
                    cursor = None;
                    if news.send(News::Skipped(0)).await.is_err() {
                        return;
                    }
                }
                End::Closed => return,
                End::Ended(why) => {
                    if news.send(News::Trouble(why)).await.is_err() {
                        return;
                    }
                }
            },
            Err(why) => {
                if news.send(News::Trouble(why)).await.is_err() {
                    return;
                }
            }
        }
        pause = if begun.elapsed() > AGAIN_MOST { AGAIN } else { (pause * 2).min(AGAIN_MOST) };
        sleep(pause).await;
    }
}

/// Why reading ended.
enum End {
    /// It could not keep up.
    Behind,
    /// Nobody listens any more.
    Closed,
    /// journalctl ended.
    Ended(String),
}

fn start(of: Of, units: &[String], cursor: Option<&str>) -> Result<Child, String> {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--output=json", "--follow"]);
    command.arg("--output-fields=MESSAGE,PRIORITY,_SYSTEMD_UNIT,_SYSTEMD_USER_UNIT,UNIT,USER_UNIT");
    match cursor {
        Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
        None => command.args(["--lines", PAST]),
    };
    match of {
        Of::System => command.args(units.iter().map(|unit| format!("--unit={unit}"))),
        Of::User => command.arg("--user").args(units.iter().map(|unit| format!("--user-unit={unit}"))),
        Of::Kernel => command.arg("--dmesg"),
    };
    command.env("LC_ALL", "C").env("SYSTEMD_COLORS", "0").env_remove("JOURNAL_STREAM");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "journalctl is not installed here".to_owned(),
        _ => format!("journalctl can't be started: {error}"),
    })
}

async fn read(of: Of, mut child: Child, cursor: &mut Option<String>, news: &Sender<News>) -> End {
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return End::Ended("journalctl could not be listened to".to_owned());
    };
    let (mut out, mut err) = (BufReader::with_capacity(64 * 1024, out), err.take(8 * 1024));
    let (mut row, mut said) = (Vec::new(), Vec::new());
    let (mut going, mut past, mut too_long) = (false, true, false);
    let mut deaf = false;
    loop {
        let more = tokio::select! {
            biased;
            more = async { out.fill_buf().await.map(<[u8]>::len) } => more,
            n = err.read_buf(&mut said), if !deaf => {
                deaf = !matches!(n, Ok(1..));
                if let Some(why) = refused(of, &said)
                    && news.send(News::Trouble(why)).await.is_err()
                {
                    return End::Closed;
                }
                continue;
            }
        };
        if !matches!(more, Ok(1..)) {
            break;
        }
        let buffer = out.buffer();
        let end = memchr::memchr(b'\n', buffer);
        let taken = end.map_or(buffer.len(), |end| end + 1);
        if row.len() + taken <= ENTRY_MAX {
            row.extend_from_slice(buffer.get(..taken).unwrap_or_default());
        } else {
            too_long = true;
        }
        out.consume(taken);
        if end.is_none() {
            continue;
        }
        let entry = if too_long { None } else { entry(&row, cursor) };
        row.clear();
        too_long = false;
        let Some(entry) = entry else { continue };
        if !going {
            going = true;
            if refused(of, &said).is_none() && news.send(News::Going).await.is_err() {
                return End::Closed;
            }
        }
        if let News::Row { at, .. } = &entry {
            let late = zone::now().millis_since(*at) > BEHIND_MS;
            past &= late;
            if late && !past && news.capacity() == 0 {
                return End::Behind;
            }
        }
        if news.send(entry).await.is_err() {
            return End::Closed;
        }
    }
    // What it said last tells why it ended.
    if !deaf {
        timeout(LAST_WORDS, err.read_to_end(&mut said)).await.ok();
    }
    let status = child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
    let said = plain(&String::from_utf8_lossy(&said), 200);
    End::Ended(refused(of, said.as_bytes()).unwrap_or_else(|| format!("journalctl ended ({status}): {said}")))
}

/// What journalctl says when it may not see everything.
fn refused(of: Of, said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let whose = match of {
        Of::System => "these units",
        Of::User => "this user's units",
        Of::Kernel => "the kernel",
    };
    if said.contains("insufficient permissions") || said.contains("not seeing messages from other users") {
        return Some(format!(
            "the journal of {whose} may not be read by this user: usermod -aG systemd-journal USER (or group adm) would open it"
        ));
    }
    said.contains("No journal files were found").then(|| format!("there is no journal of {whose} on this host"))
}

/// One entry of the journal, and its cursor. Public to the tests with recorded entries.
pub(super) fn entry(json: &[u8], cursor: &mut Option<String>) -> Option<News> {
    let entry: Map<String, Value> = serde_json::from_slice(json).ok()?;
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    if let Some(at) = text("__CURSOR") {
        *cursor = Some(at.to_owned());
    }
    let micros: i64 = text("__REALTIME_TIMESTAMP")?.parse().ok()?;
    let row = match entry.get("MESSAGE")? {
        Value::String(message) => message.clone(),
        // Bytes that are not UTF-8 come as numbers.
        Value::Array(bytes) => {
            let byte = |value: &Value| value.as_u64().and_then(|n| u8::try_from(n).ok());
            String::from_utf8_lossy(&bytes.iter().filter_map(byte).collect::<Vec<u8>>()).into_owned()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    // What systemd itself says of a unit names it in UNIT.
    let told = ["UNIT", "USER_UNIT"].into_iter().find_map(text);
    let unit = told.or_else(|| ["_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT"].into_iter().find_map(text));
    let priority = text("PRIORITY").and_then(|p| p.parse().ok()).map(Severity::from_priority);
    let at = Timestamp::from_millis(micros / 1000);
    Some(News::Row { of: unit.unwrap_or(KERNEL).to_owned(), row, at, priority, whole: told.is_some() })
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::sync::mpsc;

    use super::{Command, End, News, Of, entry, read};
    use crate::backends::logs::follow::{Came, Follow};
    use crate::domain::log::Severity;

    /// What comes of a program in the place of journalctl.
    fn program(script: &str) -> super::Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true).spawn().unwrap()
    }

    #[tokio::test]
    async fn recorded_entries_become_lines_of_their_units() {
        let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal.jsonl");
        let entries = std::fs::read_to_string(recorded).unwrap().lines().count();
        let (tell, told) = tokio::sync::oneshot::channel();
        let parts = [("pretalx-web.service", 0), ("shop-crashloop.service", 1)];
        let parts = parts.map(|(unit, source)| (unit.to_owned(), source)).to_vec();
        let mut follow = Follow::new(parts, |news| async move {
            let mut cursor = None;
            let end = read(Of::System, program(&format!("cat '{recorded}'")), &mut cursor, &news).await;
            assert!(tell.send((matches!(end, End::Ended(_)), cursor)).is_ok());
        });
        let (ended, cursor) = told.await.unwrap();
        assert!(ended && cursor.is_some_and(|c| c.starts_with("s=")));
        let later = super::zone::now().plus_secs(60);
        let lines: Vec<_> = follow
            .came(later, 10_000)
            .into_iter()
            .filter_map(|came| match came {
                Came::Entry(source, entry) => Some((source, entry)),
                Came::Why(..) | Came::Skipped(..) => None,
            })
            .collect();
        assert_eq!(lines.len(), entries);
        assert!(lines.iter().all(|(_, entry)| entry.dated));
        let failed = lines.iter().find(|(_, entry)| entry.text.starts_with("Failed to start")).unwrap();
        assert_eq!((failed.0, failed.1.level, failed.1.at.as_millis()), (1, Severity::Error, 1_795_231_776_643));
        // gunicorn's own words within the journal's: its level, the journal's time.
        let booting = lines.iter().find(|(_, entry)| entry.text.starts_with("Booting worker")).unwrap();
        assert_eq!((booting.0, booting.1.level, booting.1.at.as_millis()), (0, Severity::Info, 1_795_231_724_709));
    }

    #[tokio::test]
    async fn a_refusal_is_told_with_what_would_open_it() {
        let script = "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1";
        let (news, _kept) = mpsc::channel(8);
        let End::Ended(why) = read(Of::System, program(script), &mut None, &news).await else { panic!("not ended") };
        assert!(why.contains("usermod -aG systemd-journal USER"), "{why}");
        let End::Ended(why) = read(Of::System, program("echo broken >&2; exit 3"), &mut None, &news).await else {
            panic!("not ended")
        };
        assert!(why.contains("exit status: 3") && why.contains("broken"), "{why}");
    }

    #[tokio::test]
    async fn an_entry_without_an_end_takes_no_memory() {
        let (news, mut came) = mpsc::channel(8);
        let script = "head -c 50000000 /dev/zero; echo; echo '{\"__REALTIME_TIMESTAMP\":\"1\",\"MESSAGE\":\"after\"}'";
        assert!(matches!(read(Of::Kernel, program(script), &mut None, &news).await, End::Ended(_)));
        assert_eq!(came.recv().await, Some(News::Going));
        assert!(matches!(came.recv().await, Some(News::Row { row, .. }) if row == "after"));
    }

    #[test]
    fn entries_as_journalctl_prints_them() {
        let mut cursor = None;
        let json = br#"{"__REALTIME_TIMESTAMP":"1795231776643738","PRIORITY":"3","MESSAGE":"Failed to start x","_SYSTEMD_UNIT":"init.scope","__CURSOR":"s=1;i=7b9","UNIT":"x.service"}"#;
        let Some(News::Row { of, row, at, priority, .. }) = entry(json, &mut cursor) else { panic!("no entry") };
        assert_eq!((of.as_str(), row.as_str(), at.as_millis()), ("x.service", "Failed to start x", 1_795_231_776_643));
        assert_eq!((priority, cursor.as_deref()), (Some(Severity::Error), Some("s=1;i=7b9")));
    }

    #[test]
    fn a_message_may_be_bytes_or_nothing() {
        let mut cursor = None;
        let bytes = br#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":[104,105,255],"_SYSTEMD_UNIT":"x.service"}"#;
        assert!(matches!(entry(bytes, &mut cursor), Some(News::Row { row, .. }) if row == "hi\u{fffd}"));
        let null = br#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":null,"_SYSTEMD_UNIT":"x.service","__CURSOR":"c"}"#;
        assert_eq!(entry(null, &mut cursor), None);
        assert_eq!(cursor.as_deref(), Some("c"));
        assert_eq!(entry(b"{\"MESSAGE\":", &mut cursor), None);
    }
}
