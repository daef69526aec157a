//! The tools' JSON.

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::super::moment;
use super::Kept;
use crate::config::backups::{Repository, Tool};
use crate::domain::backup::header::civil;
use crate::domain::backup::kind::Kind;
use crate::domain::backup::proof::{Flaw, Proof};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// What a tool's answer lists; `None`: its form is not known.
pub(in super::super) fn parse(repository: &Repository, text: &str) -> Option<Vec<Kept>> {
    match repository.tool {
        Tool::Restic => restic(text),
        Tool::Borg => borg(text),
        Tool::PgBackRest => pgbackrest(text),
        Tool::Barman => barman(text),
    }
}

fn listed(command: &str) -> Proof {
    Proof::Listed { why: Some(format!("midwatch lists repositories, it does not read them: `{command}` does")) }
}

#[derive(Deserialize)]
struct Snapshot {
    time: String,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    short_id: String,
    #[serde(default)]
    summary: Option<Summary>,
}

#[derive(Deserialize)]
struct Summary {
    total_bytes_processed: Option<u64>,
}

/// `restic snapshots --json`: a list; before its first snapshot `null`.
fn restic(text: &str) -> Option<Vec<Kept>> {
    let snapshots: Option<Vec<Snapshot>> = serde_json::from_str(text).ok()?;
    let one = |s: Snapshot| {
        let at: jiff::Timestamp = s.time.parse().ok()?;
        Some(Kept {
            name: plain(&s.short_id, 40),
            kind: Kind::Restic,
            made: Timestamp::from_millis(at.as_millisecond()),
            bytes: s.summary.and_then(|s| s.total_bytes_processed),
            proof: listed("restic check --read-data"),
            paths: s.paths.iter().map(|path| plain(path, 160)).take(12).collect(),
        })
    };
    Some(snapshots.unwrap_or_default().into_iter().filter_map(one).collect())
}

#[derive(Deserialize)]
struct Archives {
    archives: Vec<Archive>,
}

#[derive(Deserialize)]
struct Archive {
    name: String,
    start: String,
}

/// `borg list --json`: times are local, without a zone; a name that ends in `.checkpoint` was never finished.
fn borg(text: &str) -> Option<Vec<Kept>> {
    let list: Archives = serde_json::from_str(text).ok()?;
    let one = |a: Archive| {
        let local = civil(a.start.split('.').next()?.replace('T', " ").as_str())?;
        let made = moment::at(local, &TimeZone::system())?;
        let unfinished = a.name.contains(".checkpoint");
        Some(Kept {
            name: plain(&a.name, 80),
            kind: Kind::Borg,
            made,
            bytes: None,
            proof: if unfinished {
                let why = "a checkpoint: borg was stopped before the archive was finished".to_owned();
                Proof::Broken { flaw: Flaw::Unfinished, why, at: made }
            } else {
                listed("borg check --verify-data")
            },
            paths: Vec::new(),
        })
    };
    Some(list.archives.into_iter().filter_map(one).collect())
}

#[derive(Deserialize)]
struct Stanza {
    #[serde(default)]
    backup: Vec<StanzaBackup>,
}

#[derive(Deserialize)]
struct StanzaBackup {
    label: String,
    #[serde(default)]
    error: Option<bool>,
    timestamp: Span,
    #[serde(default)]
    info: Option<Sizes>,
}

#[derive(Deserialize)]
struct Span {
    stop: i64,
}

#[derive(Deserialize)]
struct Sizes {
    size: Option<u64>,
}

/// `pgbackrest info --output=json`.
fn pgbackrest(text: &str) -> Option<Vec<Kept>> {
    let stanzas: Vec<Stanza> = serde_json::from_str(text).ok()?;
    let one = |b: StanzaBackup| {
        let made = Timestamp::from_millis(b.timestamp.stop.saturating_mul(1000));
        let damaged = || "pgBackRest found pages with a wrong checksum while it was made".to_owned();
        Kept {
            name: plain(&b.label, 80),
            kind: Kind::PgBackRest,
            made,
            bytes: b.info.and_then(|i| i.size),
            proof: if b.error == Some(true) {
                Proof::Broken { flaw: Flaw::Damaged, why: damaged(), at: made }
            } else {
                listed("pgbackrest verify")
            },
            paths: Vec::new(),
        }
    };
    Some(stanzas.into_iter().flat_map(|s| s.backup).map(one).collect())
}

/// `barman -f json list-backup SERVER`: lists by server, and words of its own under `_INFO` and the like.
fn barman(text: &str) -> Option<Vec<Kept>> {
    let answer: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let lists = answer.iter().filter(|(name, _)| !name.starts_with('_')).filter_map(|(_, list)| list.as_array());
    let one = |b: &serde_json::Value| {
        let name = b.get("backup_id")?.as_str()?;
        let at = b.get("end_time_timestamp").and_then(|v| v.as_i64().or_else(|| v.as_str()?.parse().ok()));
        // One that failed has no end; its name is its beginning.
        let begun = || crate::domain::backup::name::date(name).and_then(|date| moment::at(date, &TimeZone::system()));
        let made = at.map(|secs| Timestamp::from_millis(secs.saturating_mul(1000))).or_else(begun)?;
        let status = b.get("status").and_then(serde_json::Value::as_str).unwrap_or("DONE");
        let proof = match status {
            "FAILED" => Proof::Broken { flaw: Flaw::Failed, why: "Barman says that it failed".to_owned(), at: made },
            "EMPTY" | "STARTED" | "SYNCING" => Proof::Running { why: format!("Barman says {status}") },
            _ => listed("barman verify-backup"),
        };
        let bytes = b.get("size_bytes").and_then(serde_json::Value::as_u64);
        Some(Kept { name: plain(name, 80), kind: Kind::Barman, made, bytes, proof, paths: Vec::new() })
    };
    Some(lists.flatten().filter_map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(tool: Tool) -> Repository {
        Repository { tool, repo: String::new(), password_file: None, name: None }
    }

    fn told(tool: Tool, text: &str) -> Vec<(String, i64, Option<u64>, &'static str)> {
        let kept = parse(&repository(tool), text).unwrap();
        kept.into_iter().map(|k| (k.name, k.made.as_secs(), k.bytes, k.proof.word())).collect()
    }

    #[test]
    fn what_restic_lists() {
        let text = r#"[{"time":"2026-11-21T09:02:55.185481079Z","tree":"ae","paths":["/var/pretix/data"],"hostname":"vm","username":"root","id":"910b","short_id":"910bad30"},{"time":"2026-11-20T09:02:55+01:00","short_id":"b","summary":{"total_bytes_processed":42}}]"#;
        assert_eq!(
            told(Tool::Restic, text),
            [
                ("910bad30".to_owned(), 1_795_251_775, None, "listed"),
                ("b".to_owned(), 1_795_161_775, Some(42), "listed"),
            ]
        );
        assert_eq!(told(Tool::Restic, "null"), []);
        assert_eq!(parse(&repository(Tool::Restic), "<html>"), None);
    }

    #[test]
    fn what_borg_lists() {
        let text = r#"{"archives":[{"archive":"a1","name":"a1","start":"2026-11-21T09:02:57.000000"},{"name":"a2.checkpoint","start":"2026-11-21T09:02:57"}],"repository":{}}"#;
        let words: Vec<&str> = told(Tool::Borg, text).into_iter().map(|t| t.3).collect();
        assert_eq!(words, ["listed", "broken"]);
    }

    #[test]
    fn what_pgbackrest_lists() {
        let text = r#"[{"name":"main","status":{"code":0,"message":"ok"},"backup":[{"label":"20261120-093006F","type":"full","error":false,"timestamp":{"start":1795100000,"stop":1795100612},"info":{"size":20162900,"repository":{"size":2369186}}},{"label":"x","error":true,"timestamp":{"start":1,"stop":2}}]},{"name":"empty","status":{"code":2,"message":"no valid backups"}}]"#;
        assert_eq!(
            told(Tool::PgBackRest, text),
            [
                ("20261120-093006F".to_owned(), 1_795_100_612, Some(20_162_900), "listed"),
                ("x".to_owned(), 2, None, "broken"),
            ]
        );
    }

    #[test]
    fn what_barman_lists() {
        let text = r#"{"main":[{"backup_id":"20261112T152347","end_time":"Thu Nov 12 15:24:08 2026","end_time_timestamp":"1794497048","size_bytes":25690112,"status":"DONE"},{"backup_id":"20261113T152347","status":"FAILED"}],"_INFO":["x"]}"#;
        let told = told(Tool::Barman, text);
        assert_eq!(told[0], ("20261112T152347".to_owned(), 1_794_497_048, Some(25_690_112), "listed"));
        assert_eq!((told[1].0.as_str(), told[1].3), ("20261113T152347", "broken"));
    }
}
