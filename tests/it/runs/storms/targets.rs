//! A restore goes to the server and the database that its plan named, in the part they had then, or nowhere.

use std::path::PathBuf;
use std::process::Command;

use midwatch::runbook::run::Outcome;

use super::super::shop::{Holder, Shop, from};
use crate::support::servers::{PostgresServer, eventually};

/// The place of a step in the run's plan.
fn step(shop: &Shop, run: &str, name: &str) -> usize {
    let plan = shop.ground.view(run).record.plan;
    plan.steps.iter().position(|step| step.name == name).unwrap()
}

/// A run whose runner was killed as soon as it began this step.
fn cut_off(shop: &Shop, name: &str) -> String {
    let run = shop.begin_restore();
    assert!(shop.ground.kill_at(&run, step(shop, &run, name)));
    run
}

/// Where a server listens on this machine.
fn socket(server: &PostgresServer) -> PathBuf {
    server.path().join(format!(".s.PGSQL.{}", server.port))
}

fn beside(shop: &Shop) -> String {
    shop.databases().into_iter().find(|name| name.starts_with("shop_mw_")).unwrap()
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn another_database_than_the_plans_is_refused_as_root() {
    let shop = Shop::open();
    let backup = from(&shop.dump("plain.sql", &["-Fp", "--no-owner"]));
    shop.sql("postgres", "create database other template shop owner shop");
    let token = shop.ground.token(&["restore-database", &backup]);
    // Somebody edits the configuration after the plan was read.
    let config = shop.ground.path().join("c.toml");
    let before = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, before.replace("/shop'''", "/other'''")).unwrap();
    let (code, said) = shop.ground.call(&["runbook", "run", "restore-database", &backup, "--confirm", &token]);
    assert!(code == 12 && said.contains("the world has changed"), "{code}: {said}");
    std::fs::write(&config, before).unwrap();
    // Another database has taken the name.
    shop.sql("postgres", "alter database shop rename to aside; alter database other rename to shop");
    let (code, said) = shop.ground.call(&["runbook", "run", "restore-database", &backup, "--confirm", &token]);
    assert!(code == 12 && said.contains("the world has changed"), "{code}: {said}");
    assert_eq!(shop.databases(), ["aside", "shop"]);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn another_server_at_the_same_address_is_left_alone_as_root() {
    let mut shop = Shop::open();
    let backup = from(&shop.backup("shop.dump"));
    let token = shop.ground.token(&["restore-database", &backup]);
    let run = cut_off(&shop, "gather statistics");
    let made = beside(&shop);
    let mut first = shop.replaced();
    // It listens at the same place on this machine, too.
    std::os::unix::fs::symlink(socket(&shop.server), socket(&first)).unwrap();
    // It has a database of that name, too, which nobody has marked.
    shop.sql("postgres", &format!("create database {made}"));
    let there = shop.databases();
    let untouched = |shop: &Shop| {
        assert_eq!(shop.databases(), there);
        assert_eq!(shop.orders(), "2000");
    };
    let (code, said) = shop.ground.call(&["runbook", "run", "restore-database", &backup, "--confirm", &token]);
    assert!(code == 11 || code == 12, "{code}: {said}");
    untouched(&shop);
    let (code, said) = shop.ground.resume(&run, &[]);
    assert!(code == 1 && said.contains("this is another server"), "{code}: {said}");
    untouched(&shop);
    let (code, said) = shop.ground.resume(&run, &["--revert"]);
    assert!(code == 1 && said.contains("this is another server"), "{code}: {said}");
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Failed);
    untouched(&shop);
    // When the right one is back, so is the way back.
    shop.server.stop();
    std::fs::remove_file(socket(&first)).unwrap();
    first.begin();
    shop.server = first;
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Reverted, "{said}");
    assert_eq!((shop.databases(), shop.orders().as_str()), (vec!["shop".to_owned()], "2007"));
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn what_another_server_does_not_have_is_not_taken_for_released_as_root() {
    let mut shop = Shop::open();
    let held = "shop_held_20200101000000";
    shop.sql("postgres", &format!("create database {held}"));
    shop.sql("postgres", &format!("comment on database {held} is 'midwatch holds this database: it was shop'"));
    shop.ground.call(&["backups", "verify"]);
    let wish = ["release-held", &format!("held={held}")];
    let token = shop.ground.token(&wish);
    // It is dropped when nobody is in it any more.
    let holder = Holder::within(&shop, held, "select 1;");
    let run = shop.ground.begin(&[&wish[..], &["--confirm", &token]].concat());
    assert!(shop.ground.kill_at(&run, 0));
    let mut first = shop.replaced();
    drop(holder);
    std::os::unix::fs::symlink(socket(&shop.server), socket(&first)).unwrap();
    let (code, said) = shop.ground.resume(&run, &[]);
    assert!(code == 1 && said.contains("this is another server"), "{code}: {said}");
    shop.server.stop();
    std::fs::remove_file(socket(&first)).unwrap();
    first.begin();
    shop.server = first;
    assert_eq!(shop.databases(), ["shop", held]);
    let (code, said) = shop.ground.resume(&run, &["--retry"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!((shop.databases(), shop.orders().as_str()), (vec!["shop".to_owned()], "2007"));
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_server_that_became_a_standby_is_left_alone_as_root() {
    let mut shop = Shop::open();
    let run = cut_off(&shop, "gather statistics");
    let before = shop.databases();
    let signal = shop.server.path().join("data/standby.signal");
    shop.server.stop();
    std::fs::write(&signal, "").unwrap();
    shop.server.launch();
    let answers = || shop.asked("postgres", "select pg_is_in_recovery()").ok();
    assert_eq!(eventually("the standby answers", answers), "t");
    for how in [&[][..], &["--revert"]] {
        let (code, said) = shop.ground.resume(&run, how);
        assert!(code == 1 && said.contains("this server is a standby"), "{code}: {said}");
        assert_eq!(shop.databases(), before);
    }
    shop.server.stop();
    std::fs::remove_file(signal).unwrap();
    shop.server.begin();
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Reverted, "{said}");
    assert_eq!((shop.databases(), shop.orders().as_str()), (vec!["shop".to_owned()], "2007"));
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn what_came_to_hang_on_it_since_the_plan_keeps_it_in_place_as_root() {
    let shop = Shop::open();
    let run = cut_off(&shop, "gather statistics");
    shop.sql("shop", "select pg_create_logical_replication_slot('follower', 'pgoutput')");
    let (code, said) = shop.ground.resume(&run, &[]);
    assert!(code == 1 && said.contains("a replication slot or a subscription hangs on shop"), "{code}: {said}");
    assert_eq!(shop.orders(), "2007");
    shop.sql("shop", "select pg_drop_replication_slot('follower')");
    // Of one that nobody has ended, nothing is renamed.
    shop.sql("shop", "begin; insert into shop_item (name) values ('p'); prepare transaction 'p'");
    let (code, said) = shop.ground.resume(&run, &["--retry"]);
    assert!(code == 1 && said.contains("failed"), "{code}: {said}");
    assert_eq!(shop.orders(), "2007");
    shop.sql("shop", "rollback prepared 'p'");
    let (code, said) = shop.ground.resume(&run, &["--retry"]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    shop.ended_restored();
}

/// A small file system, which is taken away with its guard.
struct Small(PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "the mount stays");
    }
}

/// Fills a file system until so many bytes are free.
fn fill(small: &Small, left: u64) -> PathBuf {
    let path = small.0.join("filler");
    let mut file = std::fs::File::create(&path).unwrap();
    let block = vec![0; 65_536];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    file.set_len(file.metadata().unwrap().len() - left).unwrap();
    path
}

#[test]
#[ignore = "needs root: takes the locks of the machine, mounts a small tmpfs; needs PostgreSQL"]
fn where_there_is_no_room_nothing_is_begun_or_nothing_is_left_as_root() {
    let mut shop = Shop::open();
    shop.server.stop();
    let (data, aside) = (shop.server.path().join("data"), shop.server.path().join("aside"));
    std::fs::rename(&data, &aside).unwrap();
    std::fs::create_dir(&data).unwrap();
    let run = |program: &str, words: &[&str]| assert!(Command::new(program).args(words).status().unwrap().success());
    let [data_path, aside_path] = [&data, &aside].map(|path| path.to_str().unwrap());
    run("mount", &["-t", "tmpfs", "-o", "size=300m", "midwatch", data_path]);
    let small = Small(data.clone());
    run("cp", &["-a", &format!("{aside_path}/."), data_path]);
    run("chown", &["--reference", aside_path, data_path]);
    run("chmod", &["0700", data_path]);
    std::fs::remove_dir_all(&aside).unwrap();
    shop.server.begin();

    // For one as large as that in use.
    let filler = fill(&small, 4 << 20);
    let said = shop.refused(&["restore-database", &from(&shop.backup("shop.dump"))]);
    assert!(said.contains("no room for a second database"), "{said}");
    std::fs::remove_file(&filler).unwrap();
    // For what a large backup becomes, though what is in use is small.
    let filler = fill(&small, 30 << 20);
    let large = shop.dump("large.sql", &["-Fp"]);
    let sql = std::fs::read_to_string(&large).unwrap();
    let comment = format!("-- {}\n", "x".repeat(60)).repeat(600_000);
    std::fs::write(&large, sql.replacen("SET statement_timeout", &format!("{comment}SET statement_timeout"), 1))
        .unwrap();
    // Packed it has hardly any bytes: what it has without its packing counts.
    run("gzip", &["--keep", large.to_str().unwrap()]);
    let packed = large.with_added_extension("gz");
    assert!(std::fs::metadata(&packed).unwrap().len() < 4 << 20);
    for large in [large, packed] {
        let said = shop.refused(&["restore-database", &from(&large)]);
        assert!(said.contains("no room for a second database"), "{said}");
    }
    std::fs::remove_file(&filler).unwrap();

    // It is used up while it is restored.
    shop.sql("shop", "insert into shop_order (code) select md5(n::text) from generate_series(1, 300000) n");
    shop.dump("shop.dump", &["-Fc"]);
    let begun = cut_off(&shop, "restore into it");
    let filler = fill(&small, 0);
    let (code, said) = shop.ground.resume(&begun, &[]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(shop.ground.view(&begun).ended().unwrap().0, Outcome::Failed);
    assert!(shop.server.log().contains("No space left on device"), "{said}");
    std::fs::remove_file(&filler).unwrap();
    if shop.asked("postgres", "select 1").is_err() {
        shop.server.stop();
        shop.server.begin();
    }
    assert_eq!(shop.orders(), "302007");
    let (_, said) = shop.ground.resume(&begun, &["--revert"]);
    assert_eq!(shop.ground.view(&begun).ended().unwrap().0, Outcome::Reverted, "{said}");
    assert_eq!((shop.databases(), shop.orders().as_str()), (vec!["shop".to_owned()], "302007"));
    shop.server.stop();
    drop(small);
}
