//! What the database says (FIELD INC-11, INC-13, INC-15 to INC-24).

mod catalogue;
mod kept;
mod sessions;
#[cfg(test)]
mod tests;
mod upkeep;

use super::{Claim, SiteFacts, Thresholds};
use crate::domain::database::{DatabaseReading, says};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::text;
use crate::domain::time::Timestamp;

pub use catalogue::RULES;

/// What the database claims.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let mut out = Vec::new();
    match facts.database {
        Reading::Fresh { value, at, .. } => {
            let look = Look { db: value, at: *at, limits };
            look.all(&mut out);
            out.extend(kept::fallback(facts, value, *at));
            out.extend(kept::another(facts, value, *at));
        }
        Reading::Stale { value, failed_since, why, .. } => out.push(gone(why, *failed_since, Some(value))),
        Reading::Failed { failed_since, why } => out.push(gone(why, *failed_since, None)),
        Reading::Never | Reading::Unseen { .. } => {}
    }
    out
}

/// One look at a database that answers.
#[derive(Clone, Copy)]
struct Look<'a> {
    db: &'a DatabaseReading,
    at: Timestamp,
    limits: &'a Thresholds,
}

impl Look<'_> {
    const fn name(&self) -> &'static str {
        self.db.engine.name()
    }

    /// What it claims of itself.
    fn all(&self, out: &mut Vec<Claim>) {
        self.role(out);
        self.connections(out);
        self.locks(out);
        self.transactions(out);
        self.keys(out);
        self.txid(out);
        self.slots(out);
        self.archiver(out);
        self.replicas(out);
        self.statistics(out);
        self.mail(out);
        self.file(out);
    }

    fn claim(&self, rule: &'static str, level: Level, title: String, evidence: impl Into<String>) -> Claim {
        Claim::new(rule, level, title, evidence, SourceKind::Database, self.at)
    }
}

/// It does not answer, or only to refuse; `before` is what it last said.
fn gone(why: &str, at: Timestamp, before: Option<&DatabaseReading>) -> Claim {
    let seen = before.is_some();
    // It answers, by refusing: who waits for it to come back waits in vain.
    let (rule, title) = if why.contains(says::FULL) {
        ("database-connections", "The database has no free connection")
    } else if why.contains(says::RECOVERING) {
        ("database-recovering", "The database is up and not ready yet: wait, do not restart it")
    } else if why.contains(says::DAMAGED) {
        ("database-corrupt", "The database is damaged")
    } else if why.contains(says::NO_SPACE) {
        ("database-down", "The database does not answer, and the disk of its data is full")
    } else {
        ("database-down", "The database does not answer")
    };
    let held = before.filter(|_| rule == "database-connections").map(sessions::crowd).unwrap_or_default();
    Claim::new(rule, Level::Critical, title, why, SourceKind::Database, at).since(at, seen).with(held)
}

/// Seconds as people say them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a span can show")]
fn span(seconds: f64) -> String {
    text::span((seconds.clamp(0.0, 1e12) * 1000.0) as u64)
}

/// So many seconds before `at`.
#[expect(clippy::cast_possible_truncation, reason = "clamped to what a time can hold")]
fn ago(at: Timestamp, seconds: f64) -> Timestamp {
    at.plus_millis(-((seconds.clamp(0.0, 1e12) * 1000.0) as i64))
}

/// A whole number in groups of three.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
