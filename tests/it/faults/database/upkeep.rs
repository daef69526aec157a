//! What a PostgreSQL needs over days, and what the application keeps in it.

use midwatch::domain::level::Level;
use sqlx::{Connection, Executor, Row};

use super::{SITE, configure, healthy, owned_alike, server, standing_on, url, watch};
use crate::support::eyes::holds;
use crate::support::site::StandsOn;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_sequence_that_is_nearly_used_up() {
    let (server, mut admin) = server(&[]).await;
    let app = "create table log (id bigint primary key); create sequence log_id_seq as int owned by log.id; \
        alter table log alter id set default nextval('log_id_seq'); select setval('log_id_seq', 2105000000); \
        create table line (log int references log); alter table log owner to app; alter table line owner to app";
    admin.execute(app).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = watch(&dir, "web", &url(&server, "app"), StandsOn::default(), "");
    let both = |m: &midwatch::app::model::Model| m.findings.iter().filter(|f| f.rule == "key-space").count() == 2;
    eyes.until("the sequence and what refers to its key", both).await;
    let found = eyes.top(SITE, "key-space").await;
    assert_eq!((found.level, found.subject.as_str()), (Level::Critical, "line.log"), "{found:?}");
    assert!(found.title.contains("line.log is integer and used to 98 %: it refers to log.id"), "{found:?}");
    let of_sequence = eyes.model.findings.iter().find(|f| f.subject == "log.id").unwrap();
    assert!(of_sequence.title.contains("Sequence log_id_seq is used to 98 % of integer"), "{of_sequence:?}");
    admin.execute("alter sequence log_id_seq as bigint; alter table line alter log type bigint").await.unwrap();
    eyes.gone(SITE, "key-space").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_slot_that_nobody_reads() {
    let (server, mut admin) = server(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    admin.execute("select pg_create_physical_replication_slot('dead', true)").await.unwrap();
    for _ in 0..6 {
        admin.execute("insert into thing values (1)").await.unwrap();
        admin.execute("select pg_switch_wal()").await.unwrap();
    }
    let mut eyes = standing_on(&dir, &server);
    let found = eyes.top(SITE, "wal-slot").await;
    assert!(found.level >= Level::Warning && found.subject == "dead", "{found:?}");
    assert!(found.title.contains("is inactive and holds") && found.evidence.contains("physical slot"), "{found:?}");
    assert!(found.evidence.contains("free in ") && found.evidence.contains("without a bound"), "{found:?}");
    admin.execute("select pg_drop_replication_slot('dead')").await.unwrap();
    eyes.gone(SITE, "wal-slot").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_log_that_is_not_archived() {
    let (server, mut admin) = server(&["archive_mode=on"]).await;
    admin.execute("alter system set archive_command = 'false'").await.unwrap();
    admin.execute("select pg_reload_conf()").await.unwrap();
    admin.execute("insert into thing values (1)").await.unwrap();
    admin.execute("select pg_switch_wal()").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = standing_on(&dir, &server);
    let found = eyes.top(SITE, "wal-archive").await;
    assert!(found.title.ends_with("failed") && found.evidence.contains("none was ever archived"), "{found:?}");
    admin.execute("alter system set archive_command = 'true'").await.unwrap();
    admin.execute("select pg_reload_conf()").await.unwrap();
    admin.execute("insert into thing values (1)").await.unwrap();
    admin.execute("select pg_switch_wal()").await.unwrap();
    eyes.gone(SITE, "wal-archive").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn tables_that_were_restored_and_never_analyzed() {
    let (server, mut admin) = server(&["autovacuum=off"]).await;
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = watch(&dir, "web", &url(&server, "app"), StandsOn::default(), "");
    healthy(&mut eyes).await;
    let restore = "create table orders as select generate_series(1, 20000) as id; \
        alter table orders add primary key (id); alter table orders owner to app";
    admin.execute(restore).await.unwrap();
    // Statistics are told a moment after what they count.
    while admin
        .fetch_one("select coalesce(max(n_live_tup), 0) from pg_stat_user_tables where relname = 'orders'")
        .await
        .unwrap()
        .get::<i64, _>(0)
        < 20_000
    {
        tokio::task::yield_now().await;
    }
    eyes.end().await;
    let mut eyes = watch(&dir, "web", &url(&server, "app"), StandsOn::default(), "");
    let found = eyes.top(SITE, "never-analyzed").await;
    assert!(found.level == Level::Warning && found.evidence.contains("public.orders with 20,000 rows"), "{found:?}");
    admin.execute("analyze").await.unwrap();
    eyes.gone(SITE, "never-analyzed").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn mail_that_is_stuck() {
    let (server, mut admin) = server(&[]).await;
    let mails = "create table pretixbase_outgoingmail (id bigserial primary key, status text not null, \
        created timestamptz not null, inflight_since timestamptz, error text); \
        insert into pretixbase_outgoingmail (status, created) select 'sent', now() from generate_series(1, 50); \
        insert into pretixbase_outgoingmail (status, created, error) select 'queued', now() - interval '20 min', \
        'connection to mail.example.org refused, password=hunter2' from generate_series(1, 12); \
        alter table pretixbase_outgoingmail owner to app";
    admin.execute(mails).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = watch(&dir, "web", &url(&server, "app"), StandsOn::default(), "");
    let found = eyes.top(SITE, "mail-stuck").await;
    assert!(found.level == Level::Warning && found.title.starts_with("12 mails wait to be sent"), "{found:?}");
    assert!(found.evidence.contains("mail.example.org refused") && !found.evidence.contains("hunter2"), "{found:?}");
    admin.execute("update pretixbase_outgoingmail set status = 'sent'").await.unwrap();
    eyes.gone(SITE, "mail-stuck").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

/// A file system of memory over the server's data, gone with its guard.
struct Small(std::path::PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let done = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "the mount stays");
    }
}

fn run(program: &str, words: &[&std::ffi::OsStr]) {
    assert!(std::process::Command::new(program).args(words).status().unwrap().success(), "{program} {words:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL, and root for a file system of its own"]
async fn a_full_disk_below_the_database_as_root() {
    let (mut server, admin) = server(&["max_wal_size=64MB", "min_wal_size=32MB"]).await;
    drop(admin.close().await);
    server.stop();
    let (data, aside) = (server.path().join("data"), server.path().join("aside"));
    std::fs::rename(&data, &aside).unwrap();
    std::fs::create_dir(&data).unwrap();
    run(
        "mount",
        &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), "size=160m".as_ref(), "midwatch".as_ref(), data.as_ref()],
    );
    let small = Small(data.clone());
    run("cp", &["-a".as_ref(), aside.join(".").as_ref(), data.as_ref()]);
    owned_alike(&aside, &data);
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    configure(&server, "restart_after_crash = on");
    server.begin();
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = standing_on(&dir, &server);
    healthy(&mut eyes).await;
    let filler = data.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    let block = vec![0; 65_536];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    // An application that goes on writing: each time the server comes up again, it goes down again.
    let admin = url(&server, "postgres");
    let writer = tokio::spawn(async move {
        loop {
            let Ok(mut session) = sqlx::PgConnection::connect(&admin).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let log = "select pg_logical_emit_message(true, 'x', repeat('x', 1000000))";
            while session.execute(log).await.is_ok() {}
        }
    });
    let gone = |f: &&midwatch::triage::Finding| f.is_any(&["database-down", "database-recovering"]);
    eyes.until("the full disk is the cause, the database that stopped follows from it", |m| {
        m.findings.iter().any(|f| f.rule == "disk-full" && f.symptoms.iter().any(|s| gone(&s)))
    })
    .await;
    let down = eyes.model.findings.iter().flat_map(|f| &f.symptoms).find(gone).unwrap();
    assert!(down.evidence.contains("no space left where its data are"), "{down:?}");
    assert!(server.log().contains("No space left on device"));
    writer.abort();
    // What is deleted and held open keeps its room.
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    server.stop();
    server.begin();
    eyes.until("all is well again", |m| {
        let down = |f: &midwatch::triage::Finding| holds(f, "database-down") || holds(f, "database-recovering");
        !m.findings.iter().any(down)
    })
    .await;
    healthy(&mut eyes).await;
    eyes.end().await;
    server.stop();
    drop(small);
    std::fs::remove_dir_all(&aside).unwrap();
}
