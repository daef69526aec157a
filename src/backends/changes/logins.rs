//! Who logged in and when the machine was started (wtmp), and what was done as root (sudo's lines in the log).

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::packages::tail;
use crate::backends::command_line;
use crate::backends::plain;
use crate::backends::roll::refusal;
use crate::backends::stamps;
use crate::domain::change::{Change, ChangeKind, Known};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Bytes of one record of utmp and wtmp (utmp(5), glibc on every 64-bit Linux).
const RECORD: usize = 384;
/// Records read from the end of wtmp.
const RECORDS: u64 = 400;
/// Commands of sudo that are told.
const COMMANDS: usize = 60;

/// What a record of utmp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backends) enum Entry {
    /// The machine was started.
    Boot,
    /// It was told to stop.
    Shutdown,
    /// Somebody logged in and, in utmp, is still there.
    Login,
}

/// One record of utmp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backends) struct Record {
    /// What it says.
    pub(in crate::backends) entry: Entry,
    /// The process of the session.
    pub(in crate::backends) pid: u32,
    /// The user.
    pub(in crate::backends) user: String,
    /// The terminal.
    pub(in crate::backends) line: String,
    /// From where.
    pub(in crate::backends) host: String,
    /// When.
    pub(in crate::backends) at: Timestamp,
}

/// The last records of a file of utmp's kind.
pub(in crate::backends) fn records(path: &Path) -> std::io::Result<Vec<Record>> {
    let mut file = plain::open(path)?;
    let meta = file.metadata()?;
    let size = u64::try_from(RECORD).unwrap_or(384);
    let whole = meta.len() / size;
    file.seek(SeekFrom::Start(whole.saturating_sub(RECORDS) * size))?;
    let mut bytes = Vec::new();
    file.take(RECORDS * size).read_to_end(&mut bytes)?;
    Ok(bytes.chunks_exact(RECORD).filter_map(record).collect())
}

fn record(bytes: &[u8]) -> Option<Record> {
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes);
    let text = |from: usize, len: usize| {
        let field = bytes.get(from..from + len)?;
        let end = field.iter().position(|b| *b == 0).unwrap_or(len);
        Some(plain(&String::from_utf8_lossy(field.get(..end)?), 80))
    };
    let kind = i16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let user = text(44, 32)?;
    let entry = match kind {
        2 => Entry::Boot,
        1 if user == "shutdown" => Entry::Shutdown,
        7 if !user.is_empty() => Entry::Login,
        _ => return None,
    };
    let at = Timestamp::from_millis(i64::from(number(340)?).saturating_mul(1000));
    let pid = u32::try_from(number(4)?).unwrap_or(0);
    Some(Record { entry, pid, user, line: text(8, 32)?, host: text(76, 256)?, at })
}

/// Logins, starts and stops of the machine.
pub(super) fn logins(root: &Path, unseen: &mut Vec<String>) -> Vec<Change> {
    let found = match records(&root.join("var/log/wtmp")) {
        Ok(found) => found,
        Err(error) => {
            unseen.extend(refusal("/var/log/wtmp (logins)", &error, "add it to the group utmp"));
            Vec::new()
        }
    };
    let told = |record: Record| {
        let (kind, text) = match record.entry {
            Entry::Boot => (ChangeKind::Boot, "the machine was started".to_owned()),
            Entry::Shutdown => (ChangeKind::Boot, "the machine was told to stop".to_owned()),
            Entry::Login => {
                let from = if record.host.is_empty() { String::new() } else { [" from ", &record.host].concat() };
                (ChangeKind::Login, format!("{} logged in on {}{from}", record.user, record.line))
            }
        };
        let who = (record.entry == Entry::Login).then_some(record.user);
        Change::new(record.at, kind, text, Known::Logged).by(who)
    };
    found.into_iter().map(told).collect()
}

/// A look is no change.
const LOOKS: [&str; 12] =
    ["ls", "cat", "less", "tail", "head", "grep", "journalctl", "df", "du", "ps", "ss", "midwatch"];

/// What was done with sudo: `an : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/systemctl restart pretix-web`.
pub(super) fn commands(root: &Path, now: Timestamp, unseen: &mut Vec<String>) -> Vec<Change> {
    let text = match tail(&root.join("var/log/auth.log")) {
        Ok(text) => text,
        Err(error) => {
            let grant = "add it to the group adm, and commands run with sudo are told";
            unseen.extend(refusal("/var/log/auth.log", &error, grant));
            return Vec::new();
        }
    };
    let mut out: Vec<Change> = text.lines().rev().filter_map(|line| command(line, now)).take(COMMANDS).collect();
    out.reverse();
    out
}

fn command(line: &str, now: Timestamp) -> Option<Change> {
    // Most lines of the log are somebody else's.
    if !line.contains("COMMAND=") {
        return None;
    }
    let (at, "sudo", said) = stamps::syslog(line, now)? else { return None };
    let (who, rest) = said.trim_start().split_once(" : ")?;
    let (settings, command) = rest.split_once("COMMAND=")?;
    let user = settings.split(" ; ").find_map(|part| part.trim().strip_prefix("USER=")).unwrap_or("root");
    let words: Vec<&str> = command.split_ascii_whitespace().collect();
    let program = words.first().map(|w| w.rsplit('/').next().unwrap_or(w))?;
    if LOOKS.contains(&program) {
        return None;
    }
    let text = format!("sudo as {}: {}", plain(user, 40), command_line::shown(&words));
    Some(Change::new(at, ChangeKind::Command, plain(&text, 200), Known::Logged).by(Some(plain(who, 40))))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::{Entry, RECORD, command, commands, logins, record, records};
    use crate::backends::stamps;
    use crate::domain::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_millis(1_795_230_000_000);

    /// A record as login(1) writes it.
    pub(super) fn written(kind: i16, user: &str, line: &str, host: &str, secs: i32) -> Vec<u8> {
        let mut bytes = vec![0; RECORD];
        bytes[..2].copy_from_slice(&kind.to_ne_bytes());
        bytes[4..8].copy_from_slice(&4711_i32.to_ne_bytes());
        bytes[8..8 + line.len()].copy_from_slice(line.as_bytes());
        bytes[44..44 + user.len()].copy_from_slice(user.as_bytes());
        bytes[76..76 + host.len()].copy_from_slice(host.as_bytes());
        bytes[340..344].copy_from_slice(&secs.to_ne_bytes());
        bytes
    }

    #[test]
    fn logins_and_starts_are_read_from_wtmp() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("var/log")).unwrap();
        let mut bytes = written(2, "reboot", "~", "6.1.0", 1_795_220_000);
        bytes.extend(written(7, "an", "pts/1", "192.0.2.7", 1_795_220_500));
        bytes.extend(written(8, "", "pts/1", "", 1_795_220_900));
        bytes.extend(written(1, "shutdown", "~~", "6.1.0", 1_795_221_000));
        bytes.extend([7; 100]);
        fs::write(root.path().join("var/log/wtmp"), &bytes).unwrap();
        let mut unseen = Vec::new();
        let found = logins(root.path(), &mut unseen);
        let told: Vec<(&str, Option<&str>, i64)> =
            found.iter().map(|c| (c.text.as_str(), c.who.as_deref(), c.at.as_secs())).collect();
        assert_eq!(
            told,
            [
                ("the machine was started", None, 1_795_220_000),
                ("an logged in on pts/1 from 192.0.2.7", Some("an"), 1_795_220_500),
                ("the machine was told to stop", None, 1_795_221_000),
            ]
        );
        assert!(unseen.is_empty());
        assert_eq!(records(&root.path().join("var/log/wtmp")).unwrap()[1].pid, 4711);
    }

    #[test]
    fn commands_of_sudo_are_told_without_their_secrets() {
        let line = "Nov 21 09:20:02 web1 sudo:       an : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/mysql -phunter2 shop";
        let told = command(line, NOW).unwrap();
        assert_eq!(told.who.as_deref(), Some("an"));
        assert!(
            told.text.starts_with("sudo as root: /usr/bin/mysql -p") && !told.text.contains("hunter2"),
            "{}",
            told.text
        );
        assert_eq!(told.at, stamps::syslog(line, NOW).unwrap().0);
        let look = "Nov 21 09:20:02 web1 sudo: an : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/tail -f x";
        assert_eq!(command(look, NOW), None);
        assert_eq!(command("Nov 21 09:20:02 web1 sshd[7]: COMMAND=x", NOW), None);
    }

    #[test]
    fn what_may_not_be_read_is_told_and_what_is_not_there_is_not() {
        let root = tempfile::tempdir().unwrap();
        let mut unseen = Vec::new();
        assert!(commands(root.path(), NOW, &mut unseen).is_empty());
        assert!(unseen.is_empty());
        fs::create_dir_all(root.path().join("var/log/auth.log")).unwrap();
        commands(root.path(), NOW, &mut unseen);
        assert_eq!(unseen.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let read = record(&bytes);
            prop_assert!(read.is_none() || bytes.len() >= 344);
            prop_assert!(read.is_none_or(|r| r.entry != Entry::Login || !r.user.is_empty()));
        }
    }
}
