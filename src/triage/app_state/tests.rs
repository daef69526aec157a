//! Each rule about the application on disk, on a model.

use super::claims;
use crate::domain::app_state::{AppMigrations, AppProcess, AppReading, ConfigFile, MissingDir, Secret, SecretPlace};
use crate::domain::database::{DatabaseReading, Engine, Migrated};
use crate::domain::history::History;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::service::Role;
use crate::domain::time::Timestamp;
use crate::triage::{Claim, SiteFacts, Thresholds, rule};

const NOW: Timestamp = Timestamp::from_millis(1_795_230_000_000);

fn ago(secs: i64) -> Timestamp {
    NOW.plus_secs(-secs)
}

fn told(reading: AppReading, migrations: Option<Vec<Migrated>>) -> Vec<Claim> {
    let on_disk = Reading::Fresh { value: reading, at: NOW, took_ms: 3 };
    let database = DatabaseReading { migrations, ..DatabaseReading::new(Engine::Postgresql, "15.18", 0.4) };
    let database = Reading::Fresh { value: database, at: NOW, took_ms: 3 };
    let history = History::new();
    let facts = SiteFacts {
        database: &database,
        on_disk: &on_disk,
        app_name: "pretix 2026.7.0",
        ..SiteFacts::unseen("pretix 2026.7.0", &history, NOW)
    };
    let claims = claims(&facts, &Thresholds::default());
    assert!(claims.iter().all(|claim| rule::rule(claim.rule).is_some()));
    claims
}

fn levels(claims: &[Claim]) -> Vec<(&'static str, Level)> {
    claims.iter().map(|c| (c.rule, c.level)).collect()
}

fn process(role: Role, holders: u32) -> AppProcess {
    AppProcess { pid: 7, role, code_since: ago(90_000), holders, old_code: 0, old_config: 0, old_secret: 0 }
}

/// pretix 2026.8.0, installed so long ago, with a web server and a worker that began long before midwatch.
fn installed(secs: i64) -> AppReading {
    AppReading {
        version: Some("2026.8.0".to_owned()),
        installed: Some(ago(secs)),
        processes: vec![process(Role::Web, 2), process(Role::Worker, 1)],
        secret: Secret {
            place: SecretPlace::File,
            path: Some("/var/pretix/data/.secret".to_owned()),
            written: Some(ago(9_000_000)),
            mode: Some(0o600),
            changed: None,
        },
        config: Some(ConfigFile {
            path: "/etc/pretix/pretix.cfg".to_owned(),
            debug: Some(false),
            ..ConfigFile::default()
        }),
        migrations: vec![AppMigrations {
            label: "pretixbase".to_owned(),
            names: ["0300_a", "0301_b", "0302_c"].map(ToOwned::to_owned).to_vec(),
        }],
        ..AppReading::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as the reading has it")]
fn head(name: &str) -> Option<Vec<Migrated>> {
    let (app, name) = ("pretixbase".to_owned(), name.to_owned());
    Some(vec![Migrated { app, names: vec![name], at: Some(ago(5000)), count: 300 }])
}

#[test]
fn a_sound_installation_is_told_nothing_of() {
    assert_eq!(levels(&told(installed(90), head("0302_c"))), []);
    assert_eq!(levels(&told(installed(900_000), head("0302_c"))), []);
    assert_eq!(levels(&told(installed(900_000), None)), []);
    assert_eq!(levels(&told(AppReading::default(), head("0302_c"))), []);
}

#[test]
fn code_that_waits_for_a_restart_is_a_note_at_first_and_a_warning_later() {
    let old = |secs: i64| {
        let mut reading = installed(secs);
        for process in &mut reading.processes {
            process.old_code = process.holders;
        }
        reading.before = Some("2026.7.0".to_owned());
        told(reading, head("0302_c"))
    };
    assert_eq!(levels(&old(60)), [("code-newer-than-processes", Level::Note)]);
    let found = old(3600);
    assert_eq!(levels(&found), [("code-newer-than-processes", Level::Warning)]);
    assert_eq!(found[0].title, "pretix 2026.8.0 is on disk, web and worker run since before the upgrade");
    assert_eq!(found[0].evidence, "installed 1h00m ago (it was 2026.7.0 before)");
    assert_eq!(found[0].since.map(|s| s.at), Some(ago(3600)));
}

#[test]
fn pending_migrations_are_critical_where_the_new_code_runs_already() {
    let of = |secs: i64, old_code: u32, name: &str| {
        let mut reading = installed(secs);
        reading.processes.retain(|p| p.role == Role::Web);
        for process in &mut reading.processes {
            process.old_code = old_code;
        }
        let found = told(reading, head(name));
        found.into_iter().filter(|c| c.rule == "migrations-pending").collect::<Vec<_>>()
    };
    assert_eq!(levels(&of(3600, 0, "0302_c")), []);
    let found = of(3600, 0, "0300_a");
    assert_eq!(levels(&found), [("migrations-pending", Level::Critical)]);
    assert_eq!(found[0].title, "2 migrations are pending for 2026.8.0: the new code runs on the old schema");
    assert_eq!(found[0].details, ["pretixbase.0301_b", "pretixbase.0302_c"]);
    assert_eq!(levels(&of(3600, 1, "0300_a")), [("migrations-pending", Level::Critical)], "one of two workers has it");
    assert_eq!(levels(&of(3600, 2, "0300_a")), [("migrations-pending", Level::Warning)], "the old code still runs");
    assert_eq!(levels(&of(60, 2, "0300_a")), [("migrations-pending", Level::Note)], "an upgrade has steps");
}

#[test]
fn a_schema_that_is_ahead_of_the_code_is_told() {
    let found = told(installed(3600), head("0305_future"));
    assert_eq!(levels(&found), [("schema-newer-than-code", Level::Warning)]);
    assert_eq!(found[0].evidence, "pretixbase.0305_future is applied, and the code does not know it");
}

#[test]
fn a_secret_that_changed_matters_by_who_has_it() {
    let of = |changed: Option<i64>, old: &[u32]| {
        let mut reading = installed(90_000);
        reading.secret.changed = changed.map(ago);
        for (process, old) in reading.processes.iter_mut().zip(old) {
            process.old_secret = *old;
        }
        told(reading, head("0302_c"))
    };
    assert_eq!(levels(&of(None, &[0, 0])), []);
    let unused = of(Some(60), &[2, 1]);
    assert_eq!(levels(&unused), [("secret-changed", Level::Warning)]);
    assert!(unused[0].title.contains("with the next start") && !unused[0].suspected);
    let mixed = of(Some(60), &[1, 1]);
    assert_eq!(levels(&mixed), [("secret-changed", Level::Critical)]);
    assert!(mixed[0].title.contains("by chance") && mixed[0].suspected);
    assert!(of(Some(60), &[0, 0])[0].title.contains("all sessions and links from before it are invalid"));
    let dated = of(None, &[2, 1]);
    assert!(dated[0].suspected, "only its time is known");
}

#[test]
fn a_secret_that_is_gone_is_critical_while_something_runs() {
    let mut reading = installed(90_000);
    reading.secret = Secret { place: SecretPlace::Missing, path: Some("/d/.secret".to_owned()), ..Secret::default() };
    assert_eq!(levels(&told(reading.clone(), None)), [("secret-missing", Level::Critical)]);
    reading.processes.clear();
    assert_eq!(levels(&told(reading, None)), [], "not installed yet, or elsewhere");
    let mut open = installed(90_000);
    open.secret.mode = Some(0o644);
    assert_eq!(levels(&told(open, None)), [("secret-exposed", Level::Note)]);
}

#[test]
fn configuration_and_static_files_are_told() {
    let mut reading = installed(90_000);
    reading.processes[0].old_config = 2;
    reading.config = Some(ConfigFile {
        path: "/etc/pretix/pretix.cfg".to_owned(),
        written: Some(ago(600)),
        debug: Some(true),
        profile: Some("0.1".to_owned()),
    });
    let path = "/v/lib/python3.11/site-packages/pretix/static.dist".to_owned();
    let instead = Some("/v/lib/python3.12/site-packages/pretix/static.dist".to_owned());
    reading.static_missing = vec![MissingDir { path, named_by: "nginx".to_owned(), instead }];
    let found = told(reading, None);
    let expected = [
        ("config-newer", Level::Note),
        ("debug-on", Level::Warning),
        ("profiling-on", Level::Note),
        ("static-root-missing", Level::Warning),
    ];
    assert_eq!(levels(&found), expected);
    assert_eq!(found[0].title, "/etc/pretix/pretix.cfg was changed, web runs since before that");
    assert!(found[3].evidence.contains("is gone; /v/lib/python3.12/"));
}
