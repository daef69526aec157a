//! What the database says (FIELD INC-15, INC-16, INC-20 to INC-22).

use super::{Claim, Rule, Since, SiteFacts, Thresholds};
use crate::domain::database::DatabaseReading;
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::text;
use crate::domain::time::Timestamp;

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "database-down",
        incidents: &["INC-20", "INC-21"],
        reads: &[SourceKind::Database],
        thresholds: &[],
        meaning: "The database does not answer: it is stopped, refuses, or is starting up.",
        mend: "Read why in its log first. Start it only if it is stopped; a database in recovery is waited for.",
        danger: "Restarting during recovery begins it anew; deleting files of pg_wal destroys the database.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "database-read-only",
        incidents: &["INC-22"],
        reads: &[SourceKind::Database],
        thresholds: &[],
        meaning: "The application is connected to a standby or to a server that was set read-only: every write fails.",
        mend: "Find out which node is the primary and who switched; hand over to who runs the cluster.",
        danger: "Promoting the stale node loses data.",
        runbook: None,
    },
    Rule {
        id: "database-connections",
        incidents: &["INC-16"],
        reads: &[SourceKind::Database],
        thresholds: &["connections_warning", "connections_critical"],
        meaning: "The slots an ordinary role can have are nearly or wholly in use; new sessions are refused.",
        mend: "End the oldest idle-in-transaction sessions, then the idle ones of one application; stop what leaks.",
        danger: "max_connections changes only with a restart, which drops everybody.",
        runbook: Some("unblock-locks"),
    },
    Rule {
        id: "database-lock",
        incidents: &["INC-15", "INC-24"],
        reads: &[SourceKind::Database],
        thresholds: &["blocked_s"],
        meaning: "A session holds a lock that others wait for; the one at the root waits for nobody.",
        mend: "Cancel the root session, terminate it only if that is not enough; check pid and backend start again right before.",
        danger: "Ending the visible victim mends nothing; kill -9 of a backend resets every session.",
        runbook: Some("unblock-locks"),
    },
];

/// What the database claims.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let mut out = Vec::new();
    match facts.database {
        Reading::Fresh { value, at, .. } => database(value, *at, limits, &mut out),
        Reading::Stale { failed_since, why, .. } => out.push(gone(why, *failed_since, true)),
        Reading::Failed { failed_since, why } => out.push(gone(why, *failed_since, false)),
        Reading::Never | Reading::Unseen { .. } => {}
    }
    out
}

fn gone(why: &str, at: Timestamp, seen: bool) -> Claim {
    // It answers, by refusing: who waits for it to come back waits in vain.
    if why.contains("no free connection") {
        let title = "The database has no free connection";
        return Claim::new("database-connections", Level::Critical, title, why, SourceKind::Database, at)
            .since(at, seen);
    }
    Claim::new("database-down", Level::Critical, "The database does not answer", why, SourceKind::Database, at)
        .since(at, seen)
}

fn claim(rule: &'static str, level: Level, title: String, evidence: String, at: Timestamp) -> Claim {
    Claim::new(rule, level, title, evidence, SourceKind::Database, at)
}

fn database(db: &DatabaseReading, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    let name = db.engine.name();
    if db.read_only {
        out.push(claim(
            "database-read-only",
            Level::Critical,
            format!("{name} refuses writes: it is read-only or a standby"),
            format!("{name} {}", db.version),
            at,
        ));
    }
    if let (Some(used), Some(usable)) = (db.sessions, db.usable_sessions.filter(|n| *n > 0)) {
        let part = f64::from(used) / f64::from(usable);
        let level = if part >= limits.connections_critical {
            Some(Level::Critical)
        } else {
            (part >= limits.connections_warning).then_some(Level::Warning)
        };
        if let Some(level) = level {
            let title = format!("{name} has {used} of {usable} connections in use");
            let evidence = format!("{} of what an ordinary role can have", text::percent(part));
            out.push(claim("database-connections", level, title, evidence, at));
        }
    }
    let worst = db.blockers.iter().max_by_key(|b| b.blocks);
    if let Some(root) = worst.filter(|b| b.transaction_s >= 5.0 || db.waiting.unwrap_or(0) > 0) {
        let level =
            if root.transaction_s >= limits.blocked_s || root.blocks >= 3 { Level::Critical } else { Level::Warning };
        let app = if root.application.is_empty() { String::new() } else { format!(" ({})", root.application) };
        let title =
            format!("A lock in {name}: session {}{app} blocks {}", root.pid, text::count(root.blocks.into(), "other"));
        let evidence = format!(
            "{} in a transaction of {}; nothing blocks it: it is the root",
            root.state,
            seconds(root.transaction_s)
        );
        let mut lock = claim("database-lock", level, title, evidence, at);
        #[expect(clippy::cast_possible_truncation, reason = "a transaction's age in milliseconds fits")]
        let began = at.plus_millis(-((root.transaction_s * 1000.0) as i64));
        lock.since = Some(Since::told(began, true, SourceKind::Database));
        out.push(lock);
    } else if let Some(waiting) = db.waiting.filter(|n| *n > 0) {
        let title = format!(
            "{} in {name} for a lock",
            if waiting == 1 { "1 session waits".to_owned() } else { format!("{waiting} sessions wait") }
        );
        let evidence = "who blocks them can't be seen with this role".to_owned();
        out.push(claim("database-lock", Level::Warning, title, evidence, at));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a span can show")]
fn seconds(s: f64) -> String {
    text::span((s.clamp(0.0, 1e12) * 1000.0) as u64)
}
