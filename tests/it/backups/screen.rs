//! The screen of backups as text, at the sizes people have.
#![cfg(test)]

use jiff::tz::{TimeZone, offset};
use midwatch::app::model::{Model, Screen};
use midwatch::domain::backup::header::{Civil, Header};
use midwatch::domain::backup::kind::{Kind, Subject};
use midwatch::domain::backup::proof::{Flaw, Proof};
use midwatch::domain::backup::{Backup, BackupsReading, Checking, Contents, Job, Needs, Ownership, Place};
use midwatch::domain::reading::Reading;
use midwatch::ui::theme::Theme;
use midwatch::ui::{self, Glyphs, Look};

use crate::support::fixtures::{self, ago};

const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn backup(path: &str, subject: Subject, minutes: i64, proof: Proof) -> Backup {
    let files = subject == Subject::Files;
    Backup {
        path: format!("/srv/backups/pretix/{path}"),
        subject,
        kind: if files { Kind::Tar } else { Kind::PgCustom },
        made: ago(minutes * 60),
        changed: ago(minutes * 60 - 40),
        named: None,
        bytes: Some(if files { 48_000_000_000 } else { 2_930_000_000 - 40_000 * minutes.unsigned_abs() }),
        proof,
        header: (!files).then(|| Header {
            database: Some("pretix".into()),
            server: Some("15.18 (Debian 15.18-0+deb12u1)".into()),
            tool: Some("15.18 (Debian 15.18-0+deb12u1)".into()),
            format: Some((1, 14)),
            created: Civil::new((2026, 11, 21), (0, 4, 0)),
            entries: Some(1561),
            rows: Some(true),
        }),
        contents: files.then(|| Contents {
            files: 81_204,
            bytes: 51_000_000_000,
            newest: Some(ago(minutes * 60 + 300)),
            secret: false,
            media: 80_990,
            database: false,
            missing: None,
            sample: vec!["data/media/pub/org/banner.png".into(), "data/media/invoices/0001.pdf".into()],
        }),
        digest: matches!(proof_word(minutes), "complete").then(|| DIGEST.to_owned()),
        seal: None,
        owner: Some(Ownership { mode: 0o640, user: "postgres".into(), group: "backup".into() }),
        exposed: Vec::new(),
        stray_in: None,
        same_disk: Some(!files),
        off_host: false,
        place: 0,
    }
}

fn proof_word(minutes: i64) -> &'static str {
    if minutes > 60 { "complete" } else { "none" }
}

fn reading() -> BackupsReading {
    let complete = |minutes: i64| Proof::Complete { at: ago(minutes * 60 - 600), took_ms: 254_000 };
    let mut backups = vec![
        backup(
            "pretix-20261121-0340.dump.partial",
            Subject::Database,
            4,
            Proof::Running { why: "a program holds it open for writing".into() },
        ),
        backup(
            "pretix-20261121-0300.dump",
            Subject::Database,
            60,
            Proof::Broken {
                flaw: Flaw::Truncated,
                why: "pg_restore can't read it to its end: could not read from input file: end of file".into(),
                at: ago(3000),
            },
        ),
        backup("data-20261120.tar.gz", Subject::Files, 1700, complete(1700)),
    ];
    backups.extend((1..=20).map(|day| {
        let minutes = day * 1440 - 1200;
        backup(&format!("pretix-202611{:02}-0000.dump", 21 - day), Subject::Database, minutes, complete(minutes))
    }));
    backups.extend((2..=9).map(|day| {
        backup(&format!("data-202611{:02}.tar.gz", 20 - day), Subject::Files, day * 1440 + 225, Proof::UNREAD)
    }));
    backups.sort_by_key(|b| std::cmp::Reverse(b.made));
    BackupsReading {
        backups,
        places: vec![
            Place {
                path: "/srv/backups/pretix".into(),
                found_by: "cron /etc/cron.d/pretix-backup".into(),
                backups: 31,
                entries: 33,
                bytes: 460_000_000_000,
                oldest: Some(ago(20 * 86_400)),
                kept_days: Some(21),
                ..Place::default()
            },
            Place {
                path: "s3:https://s3.example.org/pretix".into(),
                found_by: "configuration".into(),
                named: true,
                off_host: Some(true),
                unseen: Some("restic is not installed here, so its repository can't be listed".into()),
                ..Place::default()
            },
        ],
        jobs: vec![Job {
            name: "cron /etc/cron.d/pretix-backup".into(),
            subject: Some(Subject::Database),
            schedule: "0 3 * * *".into(),
            command: "/usr/local/bin/pretix-backup".into(),
            user: Some("postgres".into()),
            last: Some(ago(3600)),
            next: None,
            failure: Some("its log ends with: pg_dump: error: query failed: FATAL: terminating connection".into()),
            running: false,
        }],
        needs: Needs {
            database: Some("PostgreSQL pretix".into()),
            files: Some("/var/pretix/data".into()),
            database_max_age_s: 26 * 3600,
            files_max_age_s: 26 * 3600,
            secret_file: Some(true),
            media: Some(true),
            practice: false,
        },
        checking: Some(Checking {
            path: "/srv/backups/pretix/data-20261118.tar.gz".into(),
            done: 12_000_000_000,
            total: 48_000_000_000,
            since: ago(140),
        }),
        waiting: 7,
        ..BackupsReading::default()
    }
}

fn model(reading: Reading<BackupsReading>) -> Model {
    let mut model = fixtures::healthy();
    model.screen = Screen::Backups;
    model.sites[0].backups = reading;
    model
}

pub(crate) fn fresh() -> Model {
    model(Reading::Fresh { value: reading(), at: ago(12), took_ms: 20 })
}

fn snapshot(name: &str, model: &Model) {
    let theme = Theme::built_in("dark").unwrap();
    let look = Look { theme, glyphs: Glyphs::Unicode, zone: TimeZone::fixed(offset(1)) };
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (width, height) in [(60, 15), (80, 24), (120, 40), (160, 48)] {
        let screen = ui::plain(model, &look, width, height);
        settings.bind(|| insta::assert_snapshot!(format!("{name}@{width}x{height}"), screen));
    }
}

#[test]
fn restore_points_with_what_they_are_worth() {
    snapshot("backups", &fresh());
}

#[test]
fn one_restore_point_with_all_that_is_known() {
    let mut model = fresh();
    model.backups.open = Some("/srv/backups/pretix/pretix-20261120-0000.dump".into());
    snapshot("backups-one", &model);
    model.backups.open = Some("/srv/backups/pretix/pretix-20261121-0300.dump".into());
    snapshot("backups-broken", &model);
}

#[test]
fn none_and_nothing_seen() {
    let needs = reading().needs;
    let none = BackupsReading { needs, ..BackupsReading::default() };
    snapshot("backups-none", &model(Reading::Fresh { value: none, at: ago(12), took_ms: 20 }));
    let why = "a place of backups has not answered for 40 s: a mount may hang".to_owned();
    snapshot("backups-unseen", &model(Reading::Failed { failed_since: ago(40), why }));
}
