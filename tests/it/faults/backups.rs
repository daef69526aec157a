//! Faults of the backups (FIELD INC-36, INC-37): made for real, named, mended, gone.
#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::backups::formats::data;
use crate::backups::postgres::{dump, pg_dump, server};
use crate::backups::{aged, run};
use crate::support::eyes::{Eyes, top};
use crate::support::servers::PostgresServer;
use crate::support::site::{StandsOn, serve};

/// A site with a real database, a data directory and a folder for backups.
struct Ground {
    dir: TempDir,
    server: PostgresServer,
    port: u16,
}

impl Ground {
    async fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("midwatch-shop-").tempdir().unwrap();
        data(dir.path());
        fs::create_dir(dir.path().join("backups")).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Self { dir, server: server().await, port: serve(StandsOn::default()) }
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("backups").join(name)
    }

    /// A real dump, made so many hours ago.
    fn dump(&self, name: &str, hours: u64) {
        dump(&self.server, &["-Fp"], &self.at(name));
        aged(&self.at(name), hours);
    }

    /// A real archive of the data directory.
    fn archive(&self, name: &str, hours: u64, what: &str) {
        let mut tar = Command::new("tar");
        run(tar.arg("-C").arg(self.dir.path()).arg("-czf").arg(self.at(name)).arg(what));
        aged(&self.at(name), hours);
    }

    fn eyes(&self, place: &str) -> Eyes {
        let config = format!(
            "discover = false\n[pace]\nbackups = \"1s\"\nhealth = \"1s\"\n[sites.shop]\nurl = \"http://127.0.0.1:{}\"\n\
             data_dir = \"{}\"\ndatabase = \"postgresql://postgres:super-pw@127.0.0.1:{}/postgres\"\n\
             [[sites.shop.backups]]\npath = \"{}\"\n{place}",
            self.port,
            self.dir.path().join("data").display(),
            self.server.port,
            self.dir.path().join("backups").display(),
        );
        Eyes::open(self.dir.path(), &config)
    }
}

/// Everything is well: both subjects are proven, and there is no finding.
async fn well(eyes: &mut Eyes) {
    eyes.until("both are proven and nothing is wrong", |m| {
        let proven = |b: &midwatch::domain::backup::Backup| b.proven();
        m.sites[0].backups.value().is_some_and(|r| r.backups.iter().filter(|b| proven(b)).count() >= 2)
            && top(m, "shop").is_none()
    })
    .await;
}

fn half(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn backups_that_are_useless_are_named_and_mended() {
    let ground = Ground::new().await;
    let mut eyes = ground.eyes("off_host = true\n");
    // It never ran.
    let none = eyes.top("shop", "backup-none").await;
    assert!(none.title.contains("there should be one"), "{}", none.title);
    ground.archive("data.tgz", 2, "data");
    ground.dump("shop-1.sql", 20);
    well(&mut eyes).await;

    // The newest is cut off, and its listing would not say so.
    ground.dump("shop-2.sql", 2);
    half(&ground.at("shop-2.sql"));
    aged(&ground.at("shop-2.sql"), 2);
    let broken = eyes.top("shop", "backup-broken").await;
    assert!(broken.evidence.contains("shop-1.sql") && broken.evidence.contains("at risk: 20h"), "{}", broken.evidence);
    fs::remove_file(ground.at("shop-2.sql")).unwrap();
    eyes.gone("shop", "backup-broken").await;

    // What a failed pipe leaves behind, with an exit status of 0.
    let script = "\"$0\" postgresql://nobody@127.0.0.1:1/none 2>/dev/null | gzip > \"$1\"";
    run(Command::new("sh").args(["-c", script]).arg(pg_dump()).arg(ground.at("shop-3.sql.gz")));
    aged(&ground.at("shop-3.sql.gz"), 1);
    let empty = eyes.top("shop", "backup-empty").await;
    assert!(empty.title.contains("shop-3.sql.gz"), "{}", empty.title);
    ground.dump("shop-3.sql", 1);
    fs::remove_file(ground.at("shop-3.sql.gz")).unwrap();
    eyes.gone("shop", "backup-empty").await;

    // The job stopped running.
    for name in ["shop-1.sql", "shop-3.sql"] {
        aged(&ground.at(name), 60);
    }
    let old = eyes.top("shop", "backup-old").await;
    assert_eq!(old.level, midwatch::domain::level::Level::Critical);
    // A dump under way is no backup yet, and no broken one either.
    fs::write(ground.at("shop-4.sql.partial"), "--\n-- PostgreSQL database dump\n--\n").unwrap();
    eyes.until("the dump that runs is seen", |m| {
        m.sites[0].backups.value().is_some_and(|r| r.backups.iter().any(|b| b.proof.word() == "running"))
    })
    .await;
    assert_eq!(top(&eyes.model, "shop").unwrap().rule, "backup-old");
    fs::remove_file(ground.at("shop-4.sql.partial")).unwrap();
    ground.dump("shop-4.sql", 0);
    well(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn backups_that_die_with_the_disk_or_are_open_to_all_are_named_and_mended() {
    let ground = Ground::new().await;
    ground.dump("shop.sql", 2);
    ground.archive("data.tgz", 2, "data");
    let mut eyes = ground.eyes("");
    let same = eyes.top("shop", "backup-same-disk").await;
    assert!(same.evidence.contains("one file system"), "{}", same.evidence);
    eyes.end().await;
    // The operator says that they are copied away.
    let mut eyes = ground.eyes("off_host = true\n");
    well(&mut eyes).await;

    // Everybody may read them.
    fs::set_permissions(ground.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(ground.at("shop.sql"), fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = eyes.top("shop", "backup-exposed").await;
    assert!(exposed.evidence.contains("every user"), "{}", exposed.evidence);
    for name in ["shop.sql", "data.tgz"] {
        fs::set_permissions(ground.at(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    well(&mut eyes).await;

    // They lie in a checkout of code.
    fs::create_dir(ground.at(".git")).unwrap();
    eyes.top("shop", "backup-in-checkout").await;
    fs::remove_dir(ground.at(".git")).unwrap();
    well(&mut eyes).await;

    // The archive lost what can't be made again.
    ground.archive("data.tgz", 1, "data/logs");
    eyes.top("shop", "backup-media-missing").await;
    let rules: Vec<&str> = eyes.model.findings.iter().map(|f| f.rule.as_str()).collect();
    assert!(rules.contains(&"backup-secret-missing"), "{rules:?}");
    ground.archive("data.tgz", 1, "data");
    fs::set_permissions(ground.at("data.tgz"), fs::Permissions::from_mode(0o600)).unwrap();
    well(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn rotation_of_the_last_good_one_and_a_sudden_loss_of_size_are_named() {
    let ground = Ground::new().await;
    ground.archive("data.tgz", 2, "data");
    for day in 0..6 {
        ground.dump(&format!("shop-{day}.sql"), 24 * day + 2);
    }
    let mut eyes = ground.eyes("off_host = true\n");
    well(&mut eyes).await;
    // A dump of the schema alone is whole, and brings nothing back.
    let newest = ground.at("shop-0.sql");
    dump(&ground.server, &["-Fp", "--schema-only"], &newest);
    aged(&newest, 2);
    let rowless = eyes.top("shop", "backup-empty").await;
    assert!(rowless.title.contains("holds no rows") && rowless.evidence.contains("shop-1.sql"), "{rowless:?}");
    ground.dump("shop-0.sql", 2);
    well(&mut eyes).await;
    // One of a single table is whole, and far too small.
    dump(&ground.server, &["-Fp", "--table=empty"], &newest);
    aged(&newest, 2);
    let small = eyes.top("shop", "backup-small").await;
    assert!(small.evidence.contains("median"), "{}", small.evidence);
    ground.dump("shop-0.sql", 2);
    well(&mut eyes).await;
    // All but the oldest are broken, and the oldest is next to go.
    for day in 0..5 {
        let path = ground.at(&format!("shop-{day}.sql"));
        half(&path);
        aged(&path, 24 * day + 2);
    }
    eyes.top("shop", "backup-broken").await;
    eyes.until("the last good one is named", |m| {
        m.findings.iter().any(|f| f.rule == "backup-rotation" && f.evidence.contains("shop-5.sql"))
    })
    .await;
    for day in 0..5 {
        ground.dump(&format!("shop-{day}.sql"), 24 * day + 2);
    }
    well(&mut eyes).await;
    eyes.end().await;
}
