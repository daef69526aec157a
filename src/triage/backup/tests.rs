use super::*;
use crate::domain::backup::header::Header;
use crate::domain::backup::kind::Kind;
use crate::domain::backup::proof::{Flaw, Proof};
use crate::domain::backup::{Contents, Job, Needs, Place};

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

fn ago(hours: i64) -> Timestamp {
    NOW.plus_secs(-hours * 3600)
}

const COMPLETE: Proof = Proof::Complete { at: NOW, took_ms: 1 };

fn broken(flaw: Flaw) -> Proof {
    Proof::Broken { flaw, why: "it ends too early".to_owned(), at: NOW }
}

fn backup(name: &str, subject: Subject, hours: i64, proof: Proof) -> Backup {
    Backup {
        path: format!("/srv/backups/{name}"),
        subject,
        kind: if subject == Subject::Files { Kind::Tar } else { Kind::PgCustom },
        made: ago(hours),
        changed: ago(hours),
        named: None,
        bytes: Some(1_000),
        proof,
        header: None,
        contents: (subject != Subject::Database).then(|| Contents {
            files: 3,
            secret: true,
            media: 2,
            ..Contents::default()
        }),
        digest: None,
        seal: None,
        owner: None,
        exposed: Vec::new(),
        stray_in: None,
        same_disk: Some(false),
        off_host: false,
        place: 0,
    }
}

/// A site whose database and files are saved every night, as they should be.
fn healthy() -> BackupsReading {
    BackupsReading {
        backups: vec![
            backup("pretix.dump", Subject::Database, 3, COMPLETE),
            backup("data.tar", Subject::Files, 4, COMPLETE),
            backup("pretix-1.dump", Subject::Database, 27, COMPLETE),
        ],
        places: vec![Place { path: "/srv/backups".to_owned(), backups: 3, named: true, ..Place::default() }],
        needs: Needs {
            database: Some("PostgreSQL pretix".to_owned()),
            files: Some("/var/pretix/data".to_owned()),
            database_max_age_s: 26 * 3600,
            files_max_age_s: 26 * 3600,
            secret_file: Some(true),
            media: Some(true),
            practice: false,
        },
        ..BackupsReading::default()
    }
}

fn told(reading: &BackupsReading) -> Vec<Claim> {
    let claims = judged(reading, NOW, NOW, &Thresholds::default());
    for claim in &claims {
        assert!(RULES.iter().any(|r| r.id == claim.rule), "{} is not in the catalogue", claim.rule);
    }
    claims
}

fn rules(reading: &BackupsReading) -> Vec<(&'static str, Level)> {
    told(reading).into_iter().map(|c| (c.rule, c.level)).collect()
}

fn changed(change: impl FnOnce(&mut BackupsReading)) -> Vec<(&'static str, Level)> {
    let mut reading = healthy();
    change(&mut reading);
    rules(&reading)
}

#[test]
fn what_is_as_it_should_be_is_no_finding() {
    assert_eq!(rules(&healthy()), []);
    // Nor while the nightly dump runs.
    let running = Proof::Running { why: "pg_dump".to_owned() };
    assert_eq!(changed(|r| r.backups.insert(0, backup("n.dump", Subject::Database, 0, running.clone()))), []);
    let late = changed(|r| {
        r.backups = vec![
            backup("n.dump", Subject::Database, 0, running.clone()),
            backup("o.dump", Subject::Database, 27, COMPLETE),
            backup("data.tar", Subject::Files, 4, COMPLETE),
        ];
    });
    assert_eq!(late, []);
    // Nor on a practice site, nor where there is nothing to save.
    assert_eq!(
        changed(
            |r| *r = BackupsReading { needs: Needs { practice: true, ..r.needs.clone() }, ..BackupsReading::default() }
        ),
        []
    );
    assert_eq!(rules(&BackupsReading::default()), []);
}

#[test]
fn age_is_judged_by_policy_and_by_what_could_be_restored() {
    let aged = |hours| {
        changed(|r| {
            r.backups = vec![
                backup("pretix.dump", Subject::Database, hours, COMPLETE),
                backup("data.tar", Subject::Files, 4, COMPLETE),
            ];
        })
    };
    assert_eq!(aged(25), []);
    assert_eq!(aged(27), [("backup-old", Level::Warning)]);
    assert_eq!(aged(49), [("backup-old", Level::Critical)]);
    assert_eq!(changed(|r| r.needs.files_max_age_s = 3600), [("backup-old", Level::Critical)]);
    let unfinished = changed(|r| {
        r.backups.insert(0, backup("x.dump.partial", Subject::Database, 1, broken(Flaw::Unfinished)));
    });
    assert_eq!(unfinished, [("backup-broken", Level::Warning)]);
}

#[test]
fn the_newest_that_is_broken_names_the_last_good_one_and_what_is_at_risk() {
    let mut reading = healthy();
    reading.backups.insert(0, backup("new.dump", Subject::Database, 1, broken(Flaw::Truncated)));
    let claims = told(&reading);
    assert_eq!(claims.len(), 1);
    let claim = claims.first().unwrap();
    assert_eq!((claim.rule, claim.level, claim.subject.as_str()), ("backup-broken", Level::Warning, "database"));
    assert!(claim.title.contains("new.dump") && claim.title.contains("cut off"), "{}", claim.title);
    assert!(claim.evidence.contains("pretix.dump") && claim.evidence.contains("at risk: 3h00m"), "{}", claim.evidence);
    // With nothing good within the policy it is critical, and once only.
    let alone = changed(|r| {
        r.backups.retain_mut(|b| {
            b.proof = if b.subject == Subject::Database { broken(Flaw::Empty) } else { COMPLETE };
            true
        });
    });
    assert_eq!(alone, [("backup-empty", Level::Critical)]);
    // An older one that is broken is no news.
    assert_eq!(changed(|r| r.backups[2].proof = broken(Flaw::Damaged)), []);
}

#[test]
fn no_backup_is_worse_where_one_was_promised() {
    let without = |named: bool, unseen: Option<&str>| {
        changed(|r| {
            r.backups.retain(|b| b.subject == Subject::Files);
            r.places[0].named = named;
            r.places[0].unseen = unseen.map(str::to_owned);
        })
    };
    assert_eq!(without(false, None), [("backup-none", Level::Warning)]);
    assert_eq!(without(true, None), [("backup-none", Level::Critical)]);
    assert_eq!(without(true, Some("no right")), [("backup-unseen", Level::Unknown)]);
    let job = changed(|r| {
        r.backups.retain(|b| b.subject == Subject::Files);
        r.places.clear();
        r.jobs = vec![Job { name: "cron x".to_owned(), ..Job::default() }];
    });
    assert_eq!(job, [("backup-none", Level::Critical)]);
}

#[test]
fn a_sudden_loss_of_size_is_told() {
    let sized = |bytes| {
        changed(|r| {
            r.backups.extend((1..=6).map(|n| backup(&format!("o{n}"), Subject::Database, 24 * n + 30, COMPLETE)));
            r.backups[0].bytes = Some(bytes);
        })
    };
    assert_eq!(sized(400), [("backup-small", Level::Warning)]);
    assert_eq!(sized(600), []);
    assert_eq!(changed(|r| r.backups[0].bytes = Some(1)), [], "two are no trend");
}

#[test]
fn a_dump_of_the_schema_alone_is_no_backup_to_be_calm_about() {
    let rowless = |reading: &mut BackupsReading| {
        let newest = reading.backups.iter_mut().filter(|b| b.saves(Subject::Database)).max_by_key(|b| b.made);
        if let Some(newest) = newest {
            newest.header = Some(Header { rows: Some(false), ..Header::default() });
        }
    };
    assert_eq!(changed(rowless), [("backup-empty", Level::Warning)]);
    let mut reading = healthy();
    rowless(&mut reading);
    let claim = told(&reading).remove(0);
    assert!(claim.title.starts_with("The newest backup of the database holds no rows: "), "{}", claim.title);
    assert!(claim.evidence.starts_with("the schema alone; the last other one: "), "{}", claim.evidence);
    for backup in &mut reading.backups {
        backup.header = Some(Header { rows: Some(true), ..Header::default() });
    }
    assert_eq!(rules(&reading), []);
}

#[test]
fn where_they_lie_and_who_reads_them() {
    let same = |n: usize| changed(|r| r.backups.iter_mut().take(n).for_each(|b| b.same_disk = Some(true)));
    assert_eq!(same(2), [("backup-same-disk", Level::Warning)], "the files alone");
    assert_eq!(same(3), [("backup-same-disk", Level::Warning); 2]);
    assert_eq!(changed(|r| r.backups[1].same_disk = None), []);
    assert_eq!(changed(|r| r.backups[0].exposed = vec!["everybody".to_owned()]), [("backup-exposed", Level::Warning)]);
    assert_eq!(
        changed(|r| r.backups[0].stray_in = Some("/srv/code".to_owned())),
        [("backup-in-checkout", Level::Warning)]
    );
}

#[test]
fn what_the_files_lack_is_told_only_where_it_is_known() {
    let lacks = |change: &dyn Fn(&mut Contents)| changed(|r| change(r.backups[1].contents.as_mut().unwrap()));
    assert_eq!(lacks(&|c| c.secret = false), [("backup-secret-missing", Level::Warning)]);
    assert_eq!(lacks(&|c| c.media = 0), [("backup-media-missing", Level::Warning)]);
    assert_eq!(changed(|r| r.backups[1].contents = None), []);
    let elsewhere = changed(|r| {
        r.backups[1].contents.as_mut().unwrap().secret = false;
        r.needs.secret_file = Some(false);
    });
    assert_eq!(elsewhere, [], "the configuration has a secret of its own");
}

#[test]
fn rotation_that_would_delete_the_last_good_one() {
    let rotated = |good_days: i64, kept: Option<u32>| {
        changed(|r| {
            r.backups.retain(|b| b.subject == Subject::Files);
            r.backups.extend(
                (0..good_days).map(|n| backup(&format!("b{n}"), Subject::Database, 24 * n + 1, broken(Flaw::Empty))),
            );
            r.backups.push(backup("good", Subject::Database, 24 * good_days + 1, COMPLETE));
            r.places[0].kept_days = kept;
        })
    };
    let told = [("backup-empty", Level::Critical), ("backup-rotation", Level::Warning)];
    assert_eq!(rotated(6, Some(8)), told);
    assert_eq!(rotated(6, None), told, "the oldest that is kept tells as well");
    assert_eq!(rotated(2, Some(14)), [("backup-empty", Level::Critical)]);
    let never = changed(|r| (r.places[0].backups, r.places[0].oldest) = (200, Some(ago(24 * 200))));
    assert_eq!(never, [("backup-rotation", Level::Note)]);
}

#[test]
fn a_job_that_failed_is_told_unless_it_runs_again() {
    let job = |running| {
        changed(|r| {
            r.jobs =
                vec![Job { name: "timer x".to_owned(), failure: Some("exit 1".to_owned()), running, ..Job::default() }];
        })
    };
    assert_eq!(job(false), [("backup-job-failed", Level::Warning)]);
    assert_eq!(job(true), []);
}

#[test]
fn what_cannot_be_read_is_a_note_once_it_has_rested() {
    let listed = |hours| {
        changed(|r| {
            r.backups[0].proof = Proof::Listed { why: Some("needs pg_restore 17".to_owned()) };
            r.backups[0].changed = ago(hours);
        })
    };
    assert_eq!(listed(3), [("backup-unproven", Level::Note)]);
    assert_eq!(listed(0), []);
}
