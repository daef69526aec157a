//! What the application keeps in it: mail (INC-11); SQLite's file (INC-24), and whether it should be SQLite at all.

use super::Look;
use crate::domain::database::{DatabaseReading, Engine, MailState};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::service::Role;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::triage::{Claim, SiteFacts};

/// Bytes of a `-wal` that say that it is never taken back into the file: SQLite does so at 4 MB by itself (own).
const LARGE_WAL: u64 = 256 * 1024 * 1024;
/// A database of pretix or pretalx without events has less than so many bytes [measured: 2 to 3 MB after migrate].
const NEARLY_EMPTY: u64 = 5 * 1024 * 1024;
/// pretix tries again after an hour (FIELD INC-11): who waits for longer waits in vain.
const RETRY_MS: u64 = 3_600_000;
/// A few that wait for another try are mistyped addresses (own).
const FEW: u32 = 5;
/// For so many seconds a server that was made while the application ran is worth a word (own).
const ANOTHER_S: u64 = 86_400;
/// What is set up for the first time starts in any order, within so many seconds (own).
const TOGETHER_S: u64 = 600;

impl Look<'_> {
    /// Mail that waits.
    pub(super) fn mail(&self, out: &mut Vec<Claim>) {
        let Some(mail) = &self.db.mail else { return };
        let aged = |state: &MailState| state.oldest.map_or(0, |at| self.at.millis_since(at));
        let mut level = Level::Ok;
        let (mut waiting, mut oldest) = (0_u32, 0);
        for state in &mail.states {
            let age = aged(state);
            let by_state = match state.state.as_str() {
                "queued" if age >= self.limits.mail_wait_critical_s * 1000 => Level::Critical,
                "queued" if age >= self.limits.mail_wait_warning_s * 1000 => Level::Warning,
                "inflight" if age >= RETRY_MS => Level::Warning,
                "awaiting_retry" if age >= RETRY_MS && state.count >= FEW => Level::Warning,
                _ => Level::Ok,
            };
            if by_state > Level::Ok {
                level = level.max(by_state);
            }
            if state.state != "failed" {
                waiting = waiting.saturating_add(state.count);
                oldest = oldest.max(age);
            }
        }
        if level == Level::Ok {
            return;
        }
        let wait = if waiting == 1 { "1 mail waits".to_owned() } else { format!("{waiting} mails wait") };
        let title = format!("{wait} to be sent, the oldest for {}", text::span(oldest));
        let evidence = mail.error.clone().unwrap_or_else(|| "no error is noted: nobody takes them up".to_owned());
        let line = |s: &MailState| format!("{} {}, the oldest for {}", s.count, s.state, text::span(aged(s)));
        let claim = self.claim("mail-stuck", level, title, evidence).with(mail.states.iter().map(line));
        out.push(claim.since(self.at.plus_millis(-i64::try_from(oldest).unwrap_or(0)), true));
    }

    /// What is beside SQLite's file.
    pub(super) fn file(&self, out: &mut Vec<Claim>) {
        let Some(file) = &self.db.file else { return };
        if let Some(damage) = &file.damage {
            let title = "The database is damaged".to_owned();
            let evidence = format!("quick_check of {} says: {damage}", file.path);
            out.push(self.claim("database-corrupt", Level::Critical, title, evidence));
        }
        // With a holder that is known, the lock has its own claim.
        if file.locked && self.db.blockers.is_empty() {
            let title = "SQLite is locked, even for reading".to_owned();
            let evidence = format!("{}: which process holds it can't be seen in /proc/locks from here", file.path);
            out.push(self.claim("database-lock", Level::Warning, title, evidence));
        }
        if let Some(wal) = file.wal.filter(|wal| *wal >= LARGE_WAL) {
            let title = format!("The -wal file of SQLite has {}", text::bytes(wal));
            let evidence = format!(
                "{} itself has {}; a reader that never ends keeps it from being taken back",
                file.path,
                text::bytes(file.size)
            );
            out.push(self.claim("sqlite-wal", Level::Note, title, evidence));
        }
    }
}

/// An application that is meant for a server and runs on a file: pretix takes SQLite where its configuration names no
/// database, or can't be read. For pretalx SQLite is legal.
pub(super) fn fallback(facts: &SiteFacts<'_>, db: &DatabaseReading, at: Timestamp) -> Option<Claim> {
    let app = facts.app_name.split(' ').next().unwrap_or_default();
    if facts.practice || db.engine != Engine::Sqlite || !matches!(app, "pretix" | "pretalx") {
        return None;
    }
    let server =
        facts.services.value().and_then(|services| services.services.iter().find(|s| s.role == Role::Database));
    let file = db.file.as_ref();
    let fresh = file.filter(|file| file.size < NEARLY_EMPTY);
    let level = match (app, server, fresh) {
        ("pretix", _, _) | (_, Some(_), _) => Level::Warning,
        _ => Level::Note,
    };
    let mut parts = Vec::new();
    parts.extend(file.map(|file| format!("{} has {}", file.path, text::bytes(file.size))));
    if fresh.is_some() {
        parts.push("no more than an empty installation has".to_owned());
    }
    match server {
        Some(server) => parts.push(format!("while {} runs and is not asked", server.name)),
        None => parts.push("is it what was meant? It is what is taken where no database is configured".to_owned()),
    }
    let title = format!("{app} keeps its data in SQLite, not in a database server");
    let claim = Claim::new("database-sqlite-fallback", level, title, parts.join("; "), SourceKind::Database, at);
    Some(if server.is_some() { claim.suspected() } else { claim })
}

/// A server that was set up while the application ran, so that it is not the one the application began with.
pub(super) fn another(facts: &SiteFacts<'_>, db: &DatabaseReading, at: Timestamp) -> Option<Claim> {
    let system = db.identity.system.as_deref().filter(|_| db.engine == Engine::Postgresql)?;
    let made = made(system).filter(|made| at.secs_since(*made) < ANOTHER_S && *made <= at)?;
    let oldest = facts.on_disk.fresh()?.processes.iter().map(|process| process.code_since).min()?;
    if made.secs_since(oldest) < TOGETHER_S {
        return None;
    }
    let title = format!(
        "The database is another one: its server was set up {} ago, the application runs for {}",
        text::span(at.millis_since(made)),
        text::span(at.millis_since(oldest))
    );
    let evidence = format!("system identifier {system}; it has the time of its making in it");
    Some(Claim::new("database-another", Level::Warning, title, evidence, SourceKind::Database, at).since(made, true))
}

/// When a cluster of PostgreSQL was made: the upper half of its system identifier are the seconds of that moment
/// (`BootStrapXLOG` in `xlog.c`).
fn made(system: &str) -> Option<Timestamp> {
    let seconds = i64::try_from(system.parse::<u64>().ok()? >> 32).ok()?;
    Some(Timestamp::from_millis(seconds * 1000))
}
