//! What the package managers did: apt's history, and dpkg's log for what was installed without apt.

use std::io::{Read, Seek as _, SeekFrom};
use std::path::Path;

use crate::backends::plain;
use crate::backends::roll::refusal;
use crate::backends::stamps;
use crate::domain::change::{Change, ChangeKind, Known};
use crate::domain::redact::redact;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Bytes read from the end of a log.
const TAIL: u64 = 512 * 1024;
/// Packages named in one line.
const NAMED: usize = 3;
/// Packages that are named before others: what a site stands on.
const TELLING: &[&str] = &[
    "pretix",
    "pretalx",
    "postgresql",
    "mariadb",
    "mysql",
    "redis",
    "valkey",
    "nginx",
    "haproxy",
    "gunicorn",
    "openssl",
    "libssl",
    "libc6",
    "linux-image",
    "python3",
    "docker",
    "containerd",
    "systemd",
    "openssh",
];

/// One run of apt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Transaction {
    started: Timestamp,
    ended: Option<Timestamp>,
    by: Option<String>,
    /// `openssl 3.0.17 → 3.0.18`, with its name for sorting.
    upgraded: Vec<(String, String)>,
    installed: Vec<(String, String)>,
    removed: Vec<(String, String)>,
    error: Option<String>,
}

/// The last bytes of a log, from a whole line on.
pub(in crate::backends) fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = plain::open(path)?;
    let meta = file.metadata()?;
    let cut = meta.len().saturating_sub(TAIL);
    if cut > 0 {
        file.seek(SeekFrom::Start(cut))?;
    }
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if cut > 0 { text.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned()) } else { text })
}

fn rotated(path: &Path) -> Option<String> {
    let file = plain::open(path).ok()?;
    let mut bytes = Vec::new();
    // The newest stands at the end; a month of history is far smaller than this.
    flate2::read::MultiGzDecoder::new(file.take(TAIL)).take(8 * TAIL).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Everything the package managers of this machine did of late; `reboot` are packages that wait for one.
pub(super) fn changes(root: &Path, reboot: &[String], unseen: &mut Vec<String>) -> Vec<Change> {
    let logs = root.join("var/log");
    let mut transactions = Vec::new();
    match tail(&logs.join("apt/history.log")) {
        Ok(text) => transactions = history(&text),
        Err(error) => unseen.extend(refusal("/var/log/apt/history.log", &error, "it is open to all by default")),
    }
    // Rotated at the first of a month: what happened in the night before is there.
    transactions.extend(rotated(&logs.join("apt/history.log.1.gz")).map(|text| history(&text)).unwrap_or_default());
    let mut out: Vec<Change> = transactions.iter().filter_map(|t| told(t, reboot)).collect();
    match tail(&logs.join("dpkg.log")) {
        Ok(text) => out.extend(by_hand(&text, &transactions)),
        Err(error) => unseen.extend(refusal("/var/log/dpkg.log", &error, "add it to the group adm")),
    }
    out
}

fn history(text: &str) -> Vec<Transaction> {
    let mut out: Vec<Transaction> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(": ") else { continue };
        if key == "Start-Date" {
            let started = stamps::local(value);
            out.extend(started.map(|started| Transaction { started, ..Transaction::default() }));
            continue;
        }
        let Some(now) = out.last_mut() else { continue };
        match key {
            "End-Date" => now.ended = stamps::local(value),
            "Requested-By" => now.by = value.split(' ').next().map(|name| plain(name, 40)),
            "Commandline" if value.contains("unattended-upgrade") => {
                now.by.get_or_insert_with(|| "unattended-upgrades".to_owned());
            }
            "Error" => now.error = Some(plain(&redact(value), 120)),
            "Upgrade" | "Downgrade" => now.upgraded.extend(packages(value)),
            "Install" | "Reinstall" => now.installed.extend(packages(value)),
            "Remove" | "Purge" => now.removed.extend(packages(value)),
            _ => {}
        }
    }
    out
}

/// `a:amd64 (1, 2), b:amd64 (3, automatic)`: names, and how each is told.
fn packages(value: &str) -> Vec<(String, String)> {
    let one = |part: &str| {
        let (name, versions) = part.split_once(" (")?;
        let name = plain(name.split(':').next().unwrap_or(name).trim_start_matches([',', ' ']), 60);
        let versions: Vec<&str> = versions.split(", ").filter(|v| *v != "automatic").collect();
        let told = match versions.as_slice() {
            [from, to] => format!("{name} {} → {}", plain(from, 40), plain(to, 40)),
            [one] => format!("{name} {}", plain(one, 40)),
            _ => name.clone(),
        };
        Some((name, told))
    };
    value.split(')').filter_map(one).collect()
}

fn told(transaction: &Transaction, reboot: &[String]) -> Option<Change> {
    let kinds =
        [("upgraded", &transaction.upgraded), ("installed", &transaction.installed), ("removed", &transaction.removed)];
    let n: usize = kinds.iter().map(|(_, packages)| packages.len()).sum();
    let mut parts = Vec::new();
    for (verb, packages) in kinds {
        // An upgrade of one package says so by its arrow.
        let alone = verb == "upgraded" && packages.len() == n && n <= NAMED;
        parts.extend(
            named(packages).map(|list| if alone { list } else { format!("{} {verb}: {list}", packages.len()) }),
        );
    }
    if parts.is_empty() && transaction.error.is_none() {
        return None;
    }
    let waits = kinds.iter().flat_map(|(_, packages)| packages.iter()).any(|(name, _)| reboot.contains(name));
    let mut text = ["apt: ", &parts.join("; ")].concat();
    text.push_str(if waits { ", reboot needed" } else { "" });
    if let Some(error) = &transaction.error {
        text.push_str(&format_args!("; it failed: {error}").to_string());
    }
    let change = Change::new(transaction.started, ChangeKind::Package, plain(&text, 200), Known::Logged);
    Some(change.by(transaction.by.clone()))
}

/// The first few of them, the most telling first.
fn named(packages: &[(String, String)]) -> Option<String> {
    let mut sorted: Vec<&(String, String)> = packages.iter().collect();
    sorted.sort_by_key(|(name, _)| TELLING.iter().position(|t| name.starts_with(t)).unwrap_or(TELLING.len()));
    let shown: Vec<&str> = sorted.iter().take(NAMED).map(|(_, told)| told.as_str()).collect();
    let more = packages.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!shown.is_empty()).then(|| [shown.join(", "), more].concat())
}

/// What dpkg did outside of any run of apt: `2026-11-21 09:20:02 upgrade openssl:amd64 3.0.17 3.0.18`.
fn by_hand(log: &str, transactions: &[Transaction]) -> Vec<Change> {
    let mut batches: Vec<(Timestamp, Timestamp, Transaction)> = Vec::new();
    let oldest = transactions.iter().map(|t| t.started).min();
    for line in log.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [date, clock, verb @ ("install" | "upgrade" | "remove"), package, from, to, ..] = words.as_slice() else {
            continue;
        };
        let Some(at) = stamps::local(&[date, " ", clock].concat()) else { continue };
        let within = |t: &Transaction| {
            at >= t.started.plus_secs(-2) && at <= t.ended.unwrap_or_else(|| t.started.plus_secs(3600)).plus_secs(2)
        };
        // Before the oldest run of apt that is known, nobody can tell.
        if transactions.iter().any(within) || oldest.is_some_and(|oldest| at < oldest) {
            continue;
        }
        let name = plain(package.split(':').next().unwrap_or(package), 60);
        let (into, told): (fn(&mut Transaction) -> &mut Vec<_>, String) = match *verb {
            "install" => (|t| &mut t.installed, format!("{name} {}", plain(to, 40))),
            "upgrade" => (|t| &mut t.upgraded, format!("{name} {} → {}", plain(from, 40), plain(to, 40))),
            _ => (|t| &mut t.removed, name.clone()),
        };
        if batches.last().is_none_or(|(_, last, _)| at.secs_since(*last) > 60) {
            batches.push((at, at, Transaction { started: at, ..Transaction::default() }));
        }
        if let Some((_, last, batch)) = batches.last_mut() {
            *last = at;
            into(batch).push((name, told));
        }
    }
    let told = |batch: &Transaction| {
        let mut change = told(batch, &[])?;
        change.text = change.text.replacen("apt:", "dpkg:", 1);
        Some(change)
    };
    batches.iter().filter_map(|(_, _, batch)| told(batch)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::{changes, history, tail};
    use crate::domain::change::Change;

    const HISTORY: &str = "
Start-Date: 2026-11-21  01:12:44
Commandline: /usr/bin/unattended-upgrade
Upgrade: libssl3:amd64 (3.0.17, 3.0.18), openssl:amd64 (3.0.17, 3.0.18)
End-Date: 2026-11-21  01:12:50

Start-Date: 2026-11-21  02:00:00
Commandline: apt-get install -y a
Requested-By: an (1000)
Install: a:amd64 (1.0), b:amd64 (2.0, automatic), c:all (1), d:all (1), redis-server:amd64 (5:7.0.15)
Remove: x:amd64 (1)
Error: Sub-process /usr/bin/dpkg returned an error code (1)
End-Date: 2026-11-21  02:00:09
";
    const DPKG: &str = "2026-11-21 01:12:46 upgrade openssl:amd64 3.0.17 3.0.18
2026-11-21 01:12:46 status half-configured openssl:amd64 3.0.17
2026-11-21 03:00:00 startup archives install
2026-11-21 03:00:00 install mytool:amd64 <none> 1.2
2026-11-21 03:00:30 upgrade other:all 1 2
";

    fn look(files: &[(&str, &[u8])], reboot: &[&str]) -> (Vec<Change>, Vec<String>) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("var/log/apt")).unwrap();
        for (path, text) in files {
            fs::write(root.path().join("var/log").join(path), text).unwrap();
        }
        let (mut unseen, reboot) = (Vec::new(), reboot.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>());
        (changes(root.path(), &reboot, &mut unseen), unseen)
    }

    #[test]
    fn runs_of_apt_are_told_with_who_and_what() {
        let (found, unseen) =
            look(&[("apt/history.log", HISTORY.as_bytes()), ("dpkg.log", DPKG.as_bytes())], &["libssl3"]);
        let told: Vec<(&str, Option<&str>)> = found.iter().map(|c| (c.text.as_str(), c.who.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("apt: openssl 3.0.17 → 3.0.18, libssl3 3.0.17 → 3.0.18, reboot needed", Some("unattended-upgrades")),
                (
                    "apt: 5 installed: redis-server 5:7.0.15, a 1.0, b 2.0 and 2 more; 1 removed: x 1; it failed: \
                     Sub-process /usr/bin/dpkg returned an error code (1)",
                    Some("an")
                ),
                ("dpkg: 1 upgraded: other 1 → 2; 1 installed: mytool 1.2", None),
            ]
        );
        assert!(unseen.is_empty());
    }

    #[test]
    fn the_night_before_the_first_of_a_month_is_read_from_the_rotated_log() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(HISTORY.as_bytes()).unwrap();
        let (found, _) = look(&[("apt/history.log", b""), ("apt/history.log.1.gz", &gz.finish().unwrap())], &[]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_huge_log_is_read_from_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = fs::File::create(&path).unwrap();
        file.set_len(20 * 1024 * 1024 * 1024).unwrap();
        drop(file);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"\nStart-Date: 2026-11-21  01:12:44\nInstall: a:all (1)\n").unwrap();
        assert_eq!(history(&tail(&path).unwrap()).len(), 1);
    }

    proptest! {
        #[test]
        fn any_history_is_survived(text in "(Start-Date: 2026-11-21  01:12:44\n)?(Upgrade|Install): [a-z:, ()→0-9]{0,60}\n.{0,30}") {
            history(&text);
        }
    }
}
