//! What the application on disk says (FIELD INC-12, INC-14, INC-40; T-23, T-25).

mod rules;

use super::{Claim, SiteFacts, Thresholds};
use crate::domain::app_state::{AppProcess, AppReading, MissingDir, SecretPlace, pending, unknown};
use crate::domain::database::Migrated;
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::service::Role;
use crate::domain::text;
use crate::domain::time::Timestamp;

pub use rules::RULES;

/// Names of migrations that are told.
const NAMED: usize = 30;

/// What is claimed.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let Reading::Fresh { value, at, .. } = facts.on_disk else { return Vec::new() };
    let mut out: Vec<Claim> = [
        old_code(value, facts, limits, *at),
        secret_changed(value, *at),
        secret_missing(value, *at),
        secret_open(value, *at),
        old_config(value, *at),
        debug(value, facts, *at),
        profiling(value, *at),
    ]
    .into_iter()
    .flatten()
    .collect();
    out.extend(value.static_missing.iter().map(|dir| no_statics(dir, *at)));
    let applied = facts.database.fresh().and_then(|database| database.migrations.as_deref()).unwrap_or_default();
    out.extend(migrations(value, applied, limits, *at));
    out.extend(schema_ahead(value, applied, limits, *at));
    out
}

fn claim(rule: &'static str, level: Level, title: String, evidence: String, at: Timestamp) -> Claim {
    Claim::new(rule, level, title, evidence, SourceKind::App, at)
}

fn app<'a>(facts: &SiteFacts<'a>) -> &'a str {
    facts.app_name.split(' ').next().unwrap_or("the application")
}

/// `web` and `worker`, as they are said.
fn roles(processes: &[&AppProcess]) -> String {
    let mut words: Vec<&str> = processes.iter().map(|p| p.role.word()).collect();
    words.dedup();
    words.join(" and ")
}

/// Whether something that was written so long ago is still on its way into use: an upgrade has steps.
fn settling(written: Option<Timestamp>, limits: &Thresholds, at: Timestamp) -> bool {
    written.is_some_and(|written| at.secs_since(written) < limits.upgrade_settle_s)
}

/// Processes that hold other code than is on disk (T-23: "upgraded", but the old code runs).
fn old_code(app_on_disk: &AppReading, facts: &SiteFacts<'_>, limits: &Thresholds, at: Timestamp) -> Option<Claim> {
    let old: Vec<&AppProcess> = app_on_disk.processes.iter().filter(|p| p.old_code > 0).collect();
    let installed = app_on_disk.installed?;
    if old.is_empty() {
        return None;
    }
    let version = app_on_disk.version.as_deref().unwrap_or("new code");
    let before = app_on_disk.before.as_ref().map(|v| format!(" (it was {v} before)")).unwrap_or_default();
    let under_way = settling(Some(installed), limits, at);
    let title = if under_way {
        format!("{} {version} was put on disk: {} still to be started anew", app(facts), roles(&old))
    } else {
        let verb = if old.len() == 1 { "runs" } else { "run" };
        format!("{} {version} is on disk, {} {verb} since before the upgrade", app(facts), roles(&old))
    };
    let level = if under_way { Level::Note } else { Level::Warning };
    let evidence = format!("installed {} ago{before}", text::span(at.millis_since(installed)));
    let details = old.iter().map(|p| {
        let began = text::span(at.millis_since(p.code_since));
        format!(
            "{} pid {}: {} of {} hold older code, the oldest began {began} ago",
            p.role.word(),
            p.pid,
            p.old_code,
            p.holders
        )
    });
    Some(claim("code-newer-than-processes", level, title, evidence, at).since(installed, true).with(details))
}

/// Migrations that come with the code and are not in the database (T-25: the healthcheck stays green).
fn migrations(app_on_disk: &AppReading, applied: &[Migrated], limits: &Thresholds, at: Timestamp) -> Option<Claim> {
    let missing = pending(&app_on_disk.migrations, applied);
    let first = missing.first()?;
    let n = u64::try_from(missing.len()).unwrap_or(u64::MAX);
    let settling = settling(app_on_disk.installed, limits, at);
    let web: Vec<&AppProcess> = app_on_disk.processes.iter().filter(|p| p.role == Role::Web).collect();
    // New code that already runs meets the old schema: pages that need it fail.
    let runs = web.iter().any(|p| p.old_code < p.holders);
    let level = match (settling, runs) {
        (true, false) => Level::Note,
        (true, true) | (false, false) => Level::Warning,
        (false, true) => Level::Critical,
    };
    let version = app_on_disk.version.as_deref().unwrap_or("the new version");
    let what = if n == 1 { "1 migration is".to_owned() } else { format!("{n} migrations are") };
    let so = if runs { ": the new code runs on the old schema" } else { "" };
    let title = format!("{what} pending for {version}{so}");
    let more = if n > 1 { format!(" and {} more", n - 1) } else { String::new() };
    let claim = claim("migrations-pending", level, title, format!("{first}{more}"), at);
    let claim = claim.with(missing.into_iter().take(NAMED));
    Some(match app_on_disk.installed {
        Some(installed) => claim.since(installed, true),
        None => claim,
    })
}

/// The schema has seen migrations that the code does not know: the code went back, the database did not.
fn schema_ahead(app_on_disk: &AppReading, applied: &[Migrated], limits: &Thresholds, at: Timestamp) -> Option<Claim> {
    let ahead = unknown(&app_on_disk.migrations, applied);
    let first = ahead.first()?;
    let last = ahead.iter().filter_map(|head| head.at).max();
    let level = if settling(last, limits, at) { Level::Note } else { Level::Warning };
    let version = app_on_disk.version.as_deref().unwrap_or("the version on disk");
    let title = format!("The schema of the database is newer than {version}: the code went back without it");
    let evidence = format!("{}.{} is applied, and the code does not know it", first.app, first.head());
    let claim = claim("schema-newer-than-code", level, title, evidence, at);
    let claim = claim.with(ahead.iter().map(|head| [head.app.as_str(), ".", head.head()].concat()));
    Some(match last {
        Some(last) => claim.since(last, true),
        None => claim,
    })
}

/// The secret that signs sessions is another one than it was (INC-40).
fn secret_changed(app_on_disk: &AppReading, at: Timestamp) -> Option<Claim> {
    let secret = &app_on_disk.secret;
    if secret.place != SecretPlace::File {
        return None;
    }
    let old: Vec<&AppProcess> = app_on_disk.processes.iter().filter(|p| p.old_secret > 0).collect();
    let new = app_on_disk.processes.iter().any(|p| p.old_secret < p.holders);
    if secret.changed.is_none() && old.is_empty() {
        return None;
    }
    let when = secret.changed.or(secret.written)?;
    let path = secret.path.as_deref().unwrap_or(".secret");
    let (level, title) = match (old.is_empty(), new) {
        (true, false) => {
            (Level::Warning, "The secret changed: sessions and links from before it are invalid".to_owned())
        }
        (true, true) => {
            (Level::Critical, "The secret changed: all sessions and links from before it are invalid".to_owned())
        }
        (false, false) => {
            let title =
                "The secret on disk is another than the one in use: with the next start all sessions and links end";
            (Level::Warning, title.to_owned())
        }
        (false, true) => {
            let title = "The secret changed and only some processes have the new one: sessions come and go by chance";
            (Level::Critical, title.to_owned())
        }
    };
    let evidence =
        format!("{path} was written {} ago; put the old one back, then restart", text::span(at.millis_since(when)));
    let claim = claim("secret-changed", level, title, evidence, at).since(when, true);
    // That it was written is seen; that the content differs, only where midwatch looked before.
    Some(if secret.changed.is_none() || level == Level::Critical { claim.suspected() } else { claim })
}

/// There is no secret: whatever starts next makes a new one.
fn secret_missing(app_on_disk: &AppReading, at: Timestamp) -> Option<Claim> {
    let secret = &app_on_disk.secret;
    if secret.place != SecretPlace::Missing || app_on_disk.processes.is_empty() {
        return None;
    }
    let title = "The application's secret is gone: the next start makes a new one, and all sessions and links end";
    let path = secret.path.as_deref().unwrap_or(".secret");
    let evidence = format!("{path} is not there, and the configuration holds none");
    let claim = claim("secret-missing", Level::Critical, title.to_owned(), evidence, at);
    Some(match secret.changed {
        Some(changed) => claim.since(changed, true),
        None => claim,
    })
}

/// Everybody on the host can read the secret.
fn secret_open(app_on_disk: &AppReading, at: Timestamp) -> Option<Claim> {
    let secret = &app_on_disk.secret;
    let mode = secret.mode.filter(|mode| mode & 0o004 != 0)?;
    let title = "Every user of this host may read the application's secret".to_owned();
    let path = secret.path.as_deref().unwrap_or(".secret");
    Some(claim("secret-exposed", Level::Note, title, format!("{path} has mode {mode:04o}; 0600 is right"), at))
}

/// The configuration was written after the processes began: a restart is missing, or still to come.
fn old_config(app_on_disk: &AppReading, at: Timestamp) -> Option<Claim> {
    let config = app_on_disk.config.as_ref()?;
    let old: Vec<&AppProcess> = app_on_disk.processes.iter().filter(|p| p.old_config > 0).collect();
    let written = config.written?;
    if old.is_empty() {
        return None;
    }
    let verb = if old.len() == 1 { "runs" } else { "run" };
    let title = format!("{} was changed, {} {verb} since before that", config.path, roles(&old));
    let evidence = format!("written {} ago; what changed is not in use yet", text::span(at.millis_since(written)));
    Some(claim("config-newer", Level::Note, title, evidence, at).since(written, true))
}

fn debug(app_on_disk: &AppReading, facts: &SiteFacts<'_>, at: Timestamp) -> Option<Claim> {
    let config = app_on_disk.config.as_ref().filter(|c| c.debug == Some(true))?;
    let level = if facts.practice { Level::Note } else { Level::Warning };
    let title = format!("{} runs with debug switched on: its error pages show settings to visitors", app(facts));
    let evidence = format!("debug = true in {} or its environment", config.path);
    Some(claim("debug-on", level, title, evidence, at))
}

fn profiling(app_on_disk: &AppReading, at: Timestamp) -> Option<Claim> {
    let config = app_on_disk.config.as_ref()?;
    let rate = config.profile.as_ref()?;
    let title = "Profiling is on: it takes CPU, and the directory profiles grows".to_owned();
    Some(claim("profiling-on", Level::Note, title, format!("[django] profile = {rate} in {}", config.path), at))
}

fn no_statics(dir: &MissingDir, at: Timestamp) -> Claim {
    let title = format!("Static files are not where {} looks for them: pages have no styles", dir.named_by);
    let evidence = match &dir.instead {
        Some(there) => format!("{} is gone; {there} is there", dir.path),
        None => format!("{} is not there or has no list of files; a rebuild makes it", dir.path),
    };
    claim("static-root-missing", Level::Warning, title, evidence, at).of(dir.path.clone())
}

#[cfg(test)]
mod tests;
