//! The journal of some units, followed by one `journalctl -f`: started again when it ends, from the place it had come to.

#![expect(clippy::wildcard_enum_match_arm, reason = "all that is not named is told alike")]

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

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
    let unit = ["UNIT", "USER_UNIT", "_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT"].into_iter().find_map(text);
    let priority = text("PRIORITY").and_then(|p| p.parse().ok()).map(Severity::from_priority);
    let at = Timestamp::from_millis(micros / 1000);
    Some(News::Row { of: unit.unwrap_or(KERNEL).to_owned(), row, at, priority })
}

#[cfg(test)]
mod tests {
    use super::{News, entry};
    use crate::domain::log::Severity;

    #[test]
    fn entries_as_journalctl_prints_them() {
        let mut cursor = None;
        let json = br#"{"__REALTIME_TIMESTAMP":"1795231776643738","PRIORITY":"3","MESSAGE":"Failed to start x","_SYSTEMD_UNIT":"init.scope","__CURSOR":"s=1;i=7b9","UNIT":"x.service"}"#;
        let Some(News::Row { of, row, at, priority }) = entry(json, &mut cursor) else { panic!("no entry") };
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
