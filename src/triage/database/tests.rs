//! The rules of the database on readings made up for them.

use super::*;
use crate::domain::app_state::{AppProcess, AppReading};
use crate::domain::database::{
    Archiver, Crowd, Dead, Engine, Holder, KeyKind, KeySpace, KeyTypes, MailQueue, MailState, Replica, Room, Session,
    Slot, SqliteFile, TableState, TxidAge, Upkeep, Wal,
};
use crate::domain::history::History;
use crate::domain::service::Role;

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const GB: u64 = 1024 * 1024 * 1024;

fn postgres() -> DatabaseReading {
    DatabaseReading {
        sessions: Some(8),
        usable_sessions: Some(97),
        waiting: Some(0),
        ..DatabaseReading::new(Engine::Postgresql, "15.18", 0.4)
    }
}

fn told(db: &DatabaseReading) -> Vec<Claim> {
    let limits = Thresholds::default();
    let look = Look { db, at: NOW, limits: &limits };
    let mut out = Vec::new();
    look.all(&mut out);
    out
}

fn rules(db: &DatabaseReading) -> Vec<(&'static str, Level)> {
    told(db).iter().map(|claim| (claim.rule, claim.level)).collect()
}

fn upkeep(upkeep: Upkeep) -> DatabaseReading {
    DatabaseReading { upkeep: Some(Box::new(upkeep)), ..postgres() }
}

fn wal(wal: Wal) -> DatabaseReading {
    DatabaseReading { wal: Some(Box::new(wal)), ..postgres() }
}

fn session(pid: i64, state: &str, transaction_s: f64) -> Session {
    Session { pid, application: "web".to_owned(), state: state.to_owned(), transaction_s, ..Session::default() }
}

fn waiter(pid: i64, wait: &str, since_s: f64) -> Session {
    Session { wait: wait.to_owned(), since_s, ..session(pid, "active", since_s) }
}

fn behind(root: Session, behind: Vec<Session>) -> DatabaseReading {
    let blocks = u32::try_from(behind.len()).unwrap();
    let longest_wait_s = behind.iter().map(|s| s.since_s).fold(0.0, f64::max);
    let advisory = u32::try_from(behind.iter().filter(|s| s.waits_for_advisory()).count()).unwrap();
    DatabaseReading {
        waiting: Some(blocks),
        advisory_waiters: Some(advisory),
        longest_wait_s,
        blockers: vec![Session { blocks, behind, ..root }],
        ..postgres()
    }
}

#[test]
fn a_database_that_is_well_claims_nothing() {
    assert_eq!(rules(&postgres()), []);
    let quiet = Upkeep {
        txid: Some(TxidAge { age: 190_000_000, ..TxidAge::default() }),
        dead: vec![Dead { table: "t".to_owned(), live: 1_000_000, dead: 150_000, vacuumed: None }],
        ..Upkeep::default()
    };
    assert_eq!(rules(&upkeep(quiet)), []);
    let log = Wal {
        slots: vec![
            Slot { name: "a".to_owned(), active: true, retained: Some(9 * GB), ..Slot::default() },
            Slot { name: "b".to_owned(), retained: Some(1024), ..Slot::default() },
        ],
        archiver: Some(Archiver {
            failed: 3,
            failed_at: Some(NOW.plus_secs(-90)),
            archived_at: Some(NOW),
            ..Archiver::default()
        }),
        replicas: vec![Replica { behind_s: Some(0.2), behind_bytes: Some(900), ..Replica::default() }],
        ..Wal::default()
    };
    assert_eq!(rules(&wal(log)), []);
}

#[test]
fn a_dump_at_night_is_no_fault() {
    let dump = Session { application: "pg_dump".to_owned(), ..session(1, "active", 7_200.0) };
    let leader = Session { since_s: 7_200.0, state: "idle in transaction".to_owned(), ..dump.clone() };
    assert_eq!(rules(&DatabaseReading { transactions: vec![dump, leader], ..postgres() }), []);
}

#[test]
fn waits_of_milliseconds_are_no_fault_and_long_ones_are() {
    let root = || session(7, "active", 8.0);
    assert_eq!(rules(&behind(root(), vec![waiter(8, "Lock transactionid", 0.3)])), []);
    assert_eq!(rules(&behind(root(), vec![waiter(8, "Lock transactionid", 3.0)])), [("database-lock", Level::Warning)]);
    let many = (0..4).map(|n| waiter(8 + n, "Lock relation", 6.0)).collect();
    assert_eq!(rules(&behind(root(), many)), [("database-lock", Level::Critical)]);
    let root = session(7, "idle in transaction", 60.0);
    let found = told(&behind(root, vec![waiter(8, "Lock relation", 4.0)]));
    assert_eq!((found[0].rule, found[0].level), ("database-lock", Level::Critical));
    assert_eq!(found[0].since.map(|s| s.at), Some(NOW.plus_secs(-4)), "since somebody waits");
    assert_eq!(found[0].details.len(), 2);
}

#[test]
fn buyers_in_a_row_are_told_as_such_until_one_of_them_sleeps() {
    let waiters = |n: i64| (0..n).map(|n| waiter(20 + n, "Lock advisory", 2.5)).collect::<Vec<_>>();
    let root = |state, age| session(7, state, age);
    assert_eq!(rules(&behind(root("active", 3.0), waiters(2))), []);
    assert_eq!(
        rules(&behind(root("idle in transaction", 3.0), waiters(6))),
        [("advisory-lock-waiters", Level::Warning)]
    );
    assert_eq!(rules(&behind(root("idle in transaction", 45.0), waiters(6))), [("database-lock", Level::Critical)]);
}

#[test]
fn connections_are_told_with_who_has_them() {
    let crowd = |application: &str, state: &str, count| Crowd {
        application: application.to_owned(),
        state: state.to_owned(),
        count,
        longest_s: 40,
    };
    let db = DatabaseReading {
        sessions: Some(95),
        crowd: vec![crowd("pretix-web", "idle", 60), crowd("", "idle in transaction", 20)],
        ..postgres()
    };
    let found = told(&db);
    assert_eq!((found[0].rule, found[0].level), ("database-connections", Level::Critical));
    assert!(found[0].title.contains("95 of 97"));
    assert!(found[0].evidence.ends_with("60 idle from pretix-web, 20 idle in transaction from no name given"));
    assert_eq!(rules(&DatabaseReading { sessions: Some(80), ..db }), [("database-connections", Level::Warning)]);
}

#[test]
fn a_refusal_is_told_apart_from_silence() {
    let of = |why: &str| gone(why, NOW, None).rule;
    assert_eq!(
        of("PostgreSQL at h:1 has no free connection (sorry, too many clients already): …"),
        "database-connections"
    );
    assert_eq!(of("PostgreSQL at h:1 is not ready: the database system is starting up."), "database-recovering");
    assert_eq!(of("The SQLite database /x is damaged (malformed)"), "database-corrupt");
    assert_eq!(of("PostgreSQL at h:1 refuses connections: nothing listens there."), "database-down");
    let full = gone("… There is no space left where its data are: 0 B of 40 GB free in /var/lib.", NOW, None);
    assert!(full.rule == "database-down" && full.title.contains("disk of its data is full"));
}

fn key(kind: KeyKind, last: u64, per_day: Option<f64>) -> KeySpace {
    KeySpace {
        column: "log.id".to_owned(),
        sequence: "log_id_seq".to_owned(),
        kind,
        type_name: "integer".to_owned(),
        column_type: "bigint".to_owned(),
        last,
        limit: 2_147_483_647,
        per_day,
    }
}

#[test]
fn a_key_is_told_by_its_share_and_by_its_days() {
    let of = |key| rules(&upkeep(Upkeep { keys: vec![key], ..Upkeep::default() }));
    assert_eq!(of(key(KeyKind::Column, 1_500_000_000, None)), []);
    assert_eq!(of(key(KeyKind::Column, 1_500_000_000, Some(10_000_000.0))), [("key-space", Level::Warning)]);
    assert_eq!(of(key(KeyKind::Column, 1_900_000_000, None)), [("key-space", Level::Warning)]);
    assert_eq!(of(key(KeyKind::Sequence, 2_090_000_000, None)), [("key-space", Level::Critical)]);
    let found =
        told(&upkeep(Upkeep { keys: vec![key(KeyKind::Sequence, 2_090_000_000, Some(5e6))], ..Upkeep::default() }));
    assert_eq!(found[0].title, "Sequence log_id_seq is used to 97 % of integer, although log.id is bigint");
    assert!(found[0].evidence.contains("at 2,090,000,000 of 2,147,483,647; 11 days left"), "{}", found[0].evidence);
    let narrow = |last| KeyTypes {
        column: "line.log".to_owned(),
        type_name: "integer".to_owned(),
        to: "log.id".to_owned(),
        to_type: "bigint".to_owned(),
        last,
        limit: 2_147_483_647,
    };
    let of = |last| rules(&upkeep(Upkeep { key_types: vec![narrow(last)], ..Upkeep::default() }));
    assert_eq!(of(Some(5)), [("key-types", Level::Note)]);
    assert_eq!(of(None), [("key-types", Level::Note)]);
    assert_eq!(of(Some(2_100_000_000)), [("key-space", Level::Critical)]);
}

/// INC-18: two thousand million transactions are not made in a test.
#[test]
fn transaction_ids_are_told_with_who_holds_them() {
    let of = |age, holders| {
        upkeep(Upkeep {
            txid: Some(TxidAge { database: "pretix".to_owned(), age, multixact_age: 9, holders, vacuums: 0 }),
            ..Upkeep::default()
        })
    };
    assert_eq!(rules(&of(499_999_999, Vec::new())), []);
    assert_eq!(rules(&of(600_000_000, Vec::new())), [("txid-wraparound", Level::Warning)]);
    let slot = Holder { what: "replication slot dead".to_owned(), age: 1_399_000_000 };
    let found = told(&of(1_400_000_000, vec![slot]));
    assert_eq!((found[0].rule, found[0].level), ("txid-wraparound", Level::Critical));
    assert_eq!(found[0].title, "The transaction ids of database pretix are 1,400 million old");
    assert_eq!(found[0].evidence, "747 million left until writes are refused; held back by replication slot dead");
    let multi =
        TxidAge { database: "x".to_owned(), age: 5, multixact_age: 700_000_000, vacuums: 2, ..TxidAge::default() };
    let found = told(&upkeep(Upkeep { txid: Some(multi), ..Upkeep::default() }));
    assert!(found[0].title.contains("multixact") && found[0].evidence.contains("2 autovacuum workers at work"));
}

#[test]
fn a_slot_is_as_bad_as_the_room_it_leaves() {
    let slot =
        Slot { name: "dead".to_owned(), retained: Some(2 * GB), per_hour: Some(1_073_741_824.0), ..Slot::default() };
    let of = |free, slot: &Slot, slot_limit| {
        let room = Some(Room { directory: "/pg".to_owned(), free, total: 100 * GB });
        told(&wal(Wal { slots: vec![slot.clone()], room, slot_limit, ..Wal::default() }))
    };
    let found = of(7 * GB, &slot, None);
    assert_eq!((found[0].level, found[0].subject.as_str()), (Level::Critical, "dead"));
    assert!(found[0].evidence.contains("growing 1.00 GB/h · disk full in 7h00m"), "{}", found[0].evidence);
    assert_eq!(of(90 * GB, &slot, None)[0].level, Level::Warning);
    assert_eq!(of(7 * GB, &slot, Some(3 * GB))[0].level, Level::Warning, "it is bounded");
    let lost = Slot { wal_status: "lost".to_owned(), retained: None, per_hour: None, ..slot };
    assert!(of(7 * GB, &lost, None)[0].title.contains("has lost the log"));
}

#[test]
fn what_lies_behind_is_told() {
    let replica =
        Replica { name: "standby2".to_owned(), behind_s: Some(95.0), behind_bytes: Some(GB), ..Replica::default() };
    let failing = Archiver { failed: 12, last_failed: "0001A1".to_owned(), failed_at: Some(NOW), archived_at: None };
    let found = rules(&wal(Wal { replicas: vec![replica], archiver: Some(failing), ..Wal::default() }));
    assert_eq!(found, [("wal-archive", Level::Warning), ("replica-lag", Level::Warning)]);
    let table = |rows| Upkeep { never_analyzed: vec![TableState { table: "o".to_owned(), rows }], ..Upkeep::default() };
    assert_eq!(rules(&upkeep(table(1_200))), [("never-analyzed", Level::Note)]);
    assert_eq!(rules(&upkeep(table(90_000))), [("never-analyzed", Level::Warning)]);
    let dead = Dead { table: "o".to_owned(), live: 200_000, dead: 900_000, vacuumed: None };
    assert_eq!(rules(&upkeep(Upkeep { dead: vec![dead], ..Upkeep::default() })), [("dead-rows", Level::Note)]);
}

#[test]
fn mail_is_stuck_when_it_waits_for_too_long_for_its_state() {
    let of = |state: &str, count, secs: i64| {
        let state = MailState { state: state.to_owned(), count, oldest: Some(NOW.plus_secs(-secs)) };
        rules(&DatabaseReading { mail: Some(MailQueue { states: vec![state], ..MailQueue::default() }), ..postgres() })
    };
    assert_eq!(of("queued", 400, 120), []);
    assert_eq!(of("queued", 4, 700), [("mail-stuck", Level::Warning)]);
    assert_eq!(of("queued", 4, 4_000), [("mail-stuck", Level::Critical)]);
    assert_eq!(of("awaiting_retry", 2, 90_000), [], "a mistyped address");
    assert_eq!(of("awaiting_retry", 40, 9_000), [("mail-stuck", Level::Warning)]);
    assert_eq!(of("failed", 900, 900_000), []);
    assert_eq!(of("inflight", 1, 4_000), [("mail-stuck", Level::Warning)]);
}

#[test]
fn a_file_is_told_by_its_writer() {
    let file = |locked, damage: Option<&str>, wal| SqliteFile {
        path: "/srv/db".to_owned(),
        size: 40,
        locked,
        damage: damage.map(str::to_owned),
        wal,
        ..SqliteFile::default()
    };
    let of = |blockers, file| DatabaseReading {
        blockers,
        file: Some(file),
        ..DatabaseReading::new(Engine::Sqlite, "3", 0.1)
    };
    let writer = |age| vec![session(7, "has a write transaction open", age)];
    assert_eq!(rules(&of(writer(1.0), file(false, None, None))), [], "writing is what it is for");
    assert_eq!(rules(&of(writer(6.0), file(true, None, None))), [("database-lock", Level::Warning)]);
    assert_eq!(rules(&of(writer(40.0), file(true, None, None))), [("database-lock", Level::Critical)]);
    assert_eq!(rules(&of(Vec::new(), file(true, None, None))), [("database-lock", Level::Warning)]);
    assert_eq!(rules(&of(Vec::new(), file(false, Some("x"), None))), [("database-corrupt", Level::Critical)]);
    assert_eq!(rules(&of(Vec::new(), file(false, None, Some(GB)))), [("sqlite-wal", Level::Note)]);
}

#[test]
fn numbers_are_read_in_groups() {
    assert_eq!([grouped(7), grouped(1_000), grouped(2_147_483_647)], ["7", "1,000", "2,147,483,647"]);
}

/// FIELD INC-38, as far as eyes can see it: another server in the place of the one the application began with.
#[test]
fn a_server_that_was_set_up_under_a_running_application_is_another_one() {
    let found = |made_s_ago: i64, code_s_ago: i64, engine: Engine| {
        let system = (u64::try_from(NOW.as_millis() / 1000 - made_s_ago).unwrap() << 32) | 0x0005_1a2b;
        let mut db = DatabaseReading::new(engine, "15.18", 0.4);
        db.identity.system = Some(system.to_string());
        let process = AppProcess {
            pid: 7,
            role: Role::Web,
            code_since: NOW.plus_secs(-code_s_ago),
            holders: 2,
            old_code: 0,
            old_config: 0,
            old_secret: 0,
        };
        let on_disk = AppReading { processes: vec![process], ..AppReading::default() };
        let history = History::new();
        let facts = SiteFacts {
            database: &Reading::Fresh { value: db, at: NOW, took_ms: 3 },
            on_disk: &Reading::Fresh { value: on_disk, at: NOW, took_ms: 3 },
            ..SiteFacts::unseen("pretix 2026.8.0", &history, NOW)
        };
        let claims = claims(&facts, &Thresholds::default());
        claims.into_iter().find(|claim| claim.rule == "database-another")
    };
    let told = found(720, 300_000, Engine::Postgresql).unwrap();
    assert_eq!(told.level, Level::Warning);
    assert_eq!(
        told.title,
        "The database is another one: its server was set up 12m00s ago, the application runs for 3d 11h"
    );
    assert_eq!(told.since.map(|since| since.at), Some(NOW.plus_secs(-720)));
    assert!(found(720, 600, Engine::Postgresql).is_none(), "the application was started after it");
    assert!(found(720, 900, Engine::Postgresql).is_none(), "both were set up for the first time");
    assert!(found(100_000, 300_000, Engine::Postgresql).is_none(), "yesterday's news");
    assert!(found(-60, 300_000, Engine::Postgresql).is_none(), "a clock that is ahead");
    assert!(found(720, 300_000, Engine::Mysql).is_none());
}
