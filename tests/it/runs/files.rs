//! Backups taken, databases and directories restored, put back and released: with real files, cut off at every step.

mod point;
mod rotate;
mod shop;
mod storms;
mod tasks;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use midwatch::runbook::run::Outcome;

use self::shop::Shop;
use super::drill;
use super::ground::Ground;
use crate::support::servers::{PostgresServer, eventually};

fn tar(args: &[&str]) -> String {
    let output = Command::new("tar").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The one backup whose name ends so.
fn taken(shop: &Shop, ending: &str) -> String {
    let names: Vec<_> = shop.names("backups", "shop-").into_iter().filter(|name| name.ends_with(ending)).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    shop.text(&format!("backups/{}", names[0]))
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_backup_is_taken_whole_while_the_database_is_written_to_as_root() {
    let shop = Shop::new(50);
    let stop = AtomicBool::new(false);
    let (before, after) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| shop.write_until(&stop));
        let before = eventually("it writes", || Some(shop.orders(&shop.database())).filter(|orders| *orders > 60));
        let (code, said) = shop.ground.call(&["runbook", "run", "take-backup", "--yes"]);
        stop.store(true, Ordering::SeqCst);
        assert_eq!(code, 0, "{said}");
        (before, writing.join().unwrap())
    });
    let database = taken(&shop, ".sqlite3");
    assert_eq!(fs::metadata(&database).unwrap().mode() & 0o777, 0o600);
    let saved = shop.orders(Path::new(&database));
    assert!((before..=after).contains(&saved), "{before} {saved} {after}");
    let archive = taken(&shop, ".tar.zst");
    assert_eq!(fs::metadata(&archive).unwrap().mode() & 0o777, 0o600);
    let names = tar(&["--list", "--file", &archive]);
    assert!(names.contains("./media/logo.txt") && names.contains("./.secret"), "{names}");
    assert!(!names.contains("logs") && !names.contains("sqlite3"), "{names}");
    assert_eq!(shop.names("backups", ".partial"), [] as [&str; 0]);
    let (_, listed) = shop.ground.call(&["backups", "list"]);
    for path in [&database, &archive] {
        let name = path.rsplit('/').next().unwrap();
        assert!(listed.contains(name), "{name}: {listed}");
    }
    assert!(shop.runs(), "nothing was stopped");
    // What the run has read to its end counts at once, and another backup in the same second is another file.
    for path in [&database, &archive] {
        assert_eq!(drill::proof(&shop.ground, Path::new(path)), "complete", "{path}");
    }
    let before: Vec<_> = [&database, &archive].map(|path| fs::read(path).unwrap()).into();
    for _ in 0..2 {
        let (code, said) = shop.ground.call(&["runbook", "run", "take-backup", "--yes"]);
        assert_eq!(code, 0, "{said}");
    }
    assert_eq!(shop.names("backups", "shop-").len(), 6);
    assert_eq!(before, [&database, &archive].map(|path| fs::read(path).unwrap()));
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_backup_is_whole_wherever_its_runner_was_killed_as_root() {
    for step in 0..2 {
        let shop = Shop::new(400);
        let run = shop.ground.begin(&["take-backup", "--yes"]);
        shop.ground.kill_at(&run, step);
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &["--yes"]);
            assert_eq!(code, 0, "killed at {step}: {said}");
        }
        assert_eq!(shop.orders(Path::new(&taken(&shop, ".sqlite3"))), 400);
        assert!(tar(&["--list", "--file", &taken(&shop, ".tar.zst")]).contains("./media/logo.txt"));
        assert_eq!(shop.names("backups", ".partial"), [] as [&str; 0]);
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_place_that_others_can_write_is_no_place_for_a_backup_as_root() {
    let shop = Shop::new(1);
    let wish = format!("directory={}", shop.text("backups"));
    fs::set_permissions(shop.path("backups"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(shop.refused(&["take-backup", &wish]).contains("can be written by others"));
    fs::set_permissions(shop.path("backups"), fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(shop.path("backups"), Some(65_534), None).unwrap();
    assert!(shop.refused(&["take-backup", &wish]).contains("who could put something in the way"));
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_postgresql_is_dumped_and_its_password_is_seen_nowhere_as_root() {
    let server = PostgresServer::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "discover = false\n[sites.shop]\nurl = \"http://127.0.0.1:9\"\n\
         database = \"postgresql://postgres:super-pw@127.0.0.1:{}/postgres\"\n",
        server.port
    );
    let ground = Ground::new(&config, "");
    let (code, said) =
        ground.call(&["runbook", "run", "take-backup", &format!("directory={}", dir.path().display()), "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("super-pw"), "{said}");
    let dump = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(dump.extension().unwrap(), "dump");
    assert_eq!(fs::metadata(&dump).unwrap().mode() & 0o777, 0o600);
    let found = Command::new("grep").args(["-rl", "super-pw"]).arg(ground.state()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

/// Whatever came of it: nothing of one database lies beside another, and both are whole.
fn sound(shop: &Shop, live: i64, held: i64) {
    // Read as it lies there: what SQLite makes of it with all that is beside it.
    assert_eq!(shop.orders(&shop.database()), live);
    assert_eq!(shop.orders(&shop.held("data")), held);
    assert_eq!(shop.names("data", ".mw-"), [] as [&str; 0]);
    assert!(shop.runs(), "the site runs again");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_database_is_restored_put_back_and_what_was_held_is_released_as_root() {
    let shop = Shop::new(40);
    std::os::unix::fs::chown(shop.database(), Some(65_534), Some(65_534)).unwrap();
    fs::set_permissions(shop.database(), fs::Permissions::from_mode(0o640)).unwrap();
    let backup = format!("backup={}", shop.backup("shop-2026-11-20.sqlite3", 25).display());
    let (_, plan) = shop.ground.call(&["runbook", "plan", "restore-database", &backup]);
    assert!(plan.contains("lacks 15 rows"), "{plan}");
    let (code, said) = shop.run(&["restore-database", &backup]);
    assert_eq!(code, 0, "{said}");
    sound(&shop, 25, 40);
    let meta = fs::metadata(shop.database()).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (65_534, 65_534, 0o640));

    let first = shop.held("data");
    let wish = format!("held={}", first.display());
    let why = shop.refused(&["release-held-file", &wish]);
    assert!(why.contains("no proven backup of the database that is newer"), "{why}");
    let (code, said) = shop.run(&["swap-back-file", &wish]);
    assert_eq!(code, 0, "{said}");
    sound(&shop, 40, 25);

    let second = shop.held("data");
    assert_ne!(first, second);
    let displaced = std::time::Instant::now();
    eventually("a later second", || (displaced.elapsed().as_millis() > 2_000).then_some(()));
    let (code, said) = shop.ground.call(&["runbook", "run", "take-backup", "--yes"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = shop.run(&["release-held-file", &format!("held={}", second.display())]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(shop.names("data", ".held-"), [] as [&str; 0]);
    assert_eq!(shop.orders(&shop.database()), 40);
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_restore_is_killed_at_every_step_and_nothing_is_mixed_or_lost_as_root() {
    for step in 0..5 {
        let shop = Shop::new(60);
        let backup = format!("backup={}", shop.backup("shop-2026-11-20.sqlite3", 30).display());
        let run = shop.begin(&["restore-database", &backup]);
        shop.ground.kill_at(&run, step);
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &[]);
            assert_eq!(code, 0, "killed at {step}: {said}");
        }
        assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Done, "killed at {step}");
        sound(&shop, 30, 60);
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_restore_that_was_cut_off_is_undone_as_root() {
    for step in 0..5 {
        let shop = Shop::new(60);
        let backup = format!("backup={}", shop.backup("shop-2026-11-20.sqlite3", 30).display());
        let run = shop.begin(&["restore-database", &backup]);
        // Past its end there is nothing to undo.
        if !shop.ground.kill_at(&run, step) {
            continue;
        }
        let (code, said) = shop.ground.resume(&run, &["--revert"]);
        assert_eq!(code, 1, "killed at {step}: {said}");
        assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Reverted, "killed at {step}: {said}");
        assert_eq!(shop.orders(&shop.database()), 60, "killed at {step}");
        assert_eq!(shop.names("data", ".mw-"), [] as [&str; 0]);
        assert!(shop.runs(), "killed at {step}");
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn what_is_no_good_backup_of_this_database_is_refused_before_anything_is_done_as_root() {
    let shop = Shop::new(5);
    let good = shop.backup("shop-2026-11-20.sqlite3", 200);
    let whole = fs::read(&good).unwrap();
    let bad = shop.path("bad.sqlite3");
    let wish = format!("backup={}", bad.display());
    let refused = |content: &[u8], why: &str| {
        fs::write(&bad, content).unwrap();
        let said = shop.refused(&["restore-database", &wish]);
        assert!(said.contains(why), "{why}: {said}");
    };
    refused(b"", "it is empty");
    refused(b"no database at all, but a letter", "");
    for part in [1, 3, 5, 7] {
        refused(&whole[..whole.len() * part / 8 - 1], "broken");
    }
    for page in [1, 7, 11] {
        let mut flipped = whole.clone();
        flipped[page * 4096..page * 4096 + 16].iter_mut().for_each(|byte| *byte ^= 0x5a);
        refused(&flipped, "broken");
    }
    fs::copy(&good, &bad).unwrap();
    shop.sql(&bad, &["insert into django_migrations (app, name) values ('base', '0003_new')"]);
    assert!(shop.refused(&["restore-database", &wish]).contains("schema is newer"));
    fs::remove_file(&bad).unwrap();
    shop.sql(&bad, &["create table songs (id integer)", "create table bands (id integer)"]);
    assert!(shop.refused(&["restore-database", &wish]).contains("another application"));
    let live = format!("backup={}", shop.database().display());
    assert!(shop.refused(&["restore-database", &live]).contains("in use"));
    assert_eq!(shop.orders(&shop.database()), 5);
    assert_eq!(shop.names("data", ".mw-"), [] as [&str; 0]);
    assert!(shop.runs());
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_packed_backup_is_checked_when_it_is_unpacked_before_anything_is_stopped_as_root() {
    let shop = Shop::new(9);
    let pack = |name: &str, program: &str| {
        let path = shop.text(&format!("backups/{name}"));
        assert!(Command::new(program).args(["-k", "-q", &path]).status().unwrap().success());
        fs::remove_file(&path).unwrap();
    };
    shop.backup("one.sqlite3", 12);
    pack("one.sqlite3", "gzip");
    let packed = shop.path("backups/one.sqlite3.gz");
    let (wish, whole) = (format!("backup={}", packed.display()), fs::read(&packed).unwrap());
    for content in [&whole[..whole.len() / 2], &whole[..20], &[whole.as_slice(), b"rubbish"].concat()] {
        fs::write(&packed, content).unwrap();
        shop.refused(&["restore-database", &wish]);
    }
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    fs::write(&packed, &flipped).unwrap();
    assert!(shop.refused(&["restore-database", &wish]).contains("broken"));
    fs::write(&packed, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert!(shop.refused(&["restore-database", &wish]).contains("holds nothing"));

    // Of another application: that is seen once it is unpacked, and the site goes on.
    shop.sql(
        &shop.path("backups/two.sqlite3"),
        &["create table songs (id integer)", "create table bands (id integer)"],
    );
    pack("two.sqlite3", "xz");
    let other = format!("backup={}", shop.text("backups/two.sqlite3.xz"));
    let (code, said) = shop.run(&["restore-database", &other]);
    assert!(code == 1 && said.contains("another application"), "{code}: {said}");
    assert!(shop.runs());
    assert_eq!(shop.names("data", ".held-"), [] as [&str; 0]);

    fs::write(&packed, &whole).unwrap();
    let (code, said) = shop.run(&["restore-database", &wish]);
    assert_eq!(code, 0, "{said}");
    sound(&shop, 12, 9);
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_database_that_somebody_else_has_open_is_not_exchanged_as_root() {
    let shop = Shop::new(4);
    let backup = format!("backup={}", shop.backup("shop-2026-11-20.sqlite3", 3).display());
    let open = fs::File::open(shop.database()).unwrap();
    let (code, said) = shop.run(&["restore-database", &backup]);
    assert!(code == 1 && said.contains("is still open in"), "{code}: {said}");
    assert_eq!(shop.names("data", ".held-"), [] as [&str; 0]);
    drop(open);
    let run = said.split_whitespace().nth(1).unwrap();
    let (code, said) = shop.ground.resume(run, &["--retry"]);
    assert_eq!(code, 0, "{said}");
    sound(&shop, 3, 4);
}

/// What is in the media directory: names, content, mode.
fn media(shop: &Shop) -> Vec<(String, String, u32)> {
    let of = |name: &String| {
        let path = shop.path("data/media").join(name);
        (name.clone(), fs::read_to_string(&path).unwrap(), fs::metadata(&path).unwrap().mode() & 0o777)
    };
    shop.names("data/media", "").iter().map(of).collect()
}

/// A shop whose media were saved by a run of its own, and have changed since; the archive, and what was saved.
fn changed() -> (Shop, String, Vec<(String, String, u32)>) {
    let shop = Shop::new(3);
    fs::write(shop.path("data/media/map.txt"), "map").unwrap();
    fs::set_permissions(shop.path("data/media/map.txt"), fs::Permissions::from_mode(0o604)).unwrap();
    fs::set_permissions(shop.path("data/media"), fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::chown(shop.path("data/media"), Some(65_534), Some(65_534)).unwrap();
    let (code, said) = shop.ground.call(&["runbook", "run", "take-backup", "--yes"]);
    assert_eq!(code, 0, "{said}");
    let saved = media(&shop);
    fs::write(shop.path("data/media/logo.txt"), "another").unwrap();
    fs::remove_file(shop.path("data/media/map.txt")).unwrap();
    fs::write(shop.path("data/media/new.txt"), "new").unwrap();
    let archive = taken(&shop, ".tar.zst");
    (shop, archive, saved)
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_directory_is_restored_and_put_back_as_root() {
    let (shop, archive, saved) = changed();
    let now = media(&shop);
    let (backup, directory) = (format!("backup={archive}"), format!("directory={}", shop.text("data/media")));
    let wish = ["restore-files", &backup, &directory];
    let (code, said) = shop.run(&wish);
    assert_eq!(code, 0, "{said}");
    assert_eq!(media(&shop), saved);
    let meta = fs::metadata(shop.path("data/media")).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o777), (65_534, 0o750));
    assert_eq!(shop.names("data", ".mw-"), [] as [&str; 0]);
    let held = shop.held("data");
    assert!(held.join("new.txt").exists());
    assert!(
        shop.refused(&["release-held-file", &format!("held={}", held.display())])
            .contains("no proven backup of the files")
    );
    let (code, said) = shop.run(&["swap-back-file", &format!("held={}", held.display())]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(media(&shop), now);
    assert!(shop.held("data").join("map.txt").exists());

    // From a folder that was copied.
    let copy = shop.path("backups/copy");
    fs::create_dir(&copy).unwrap();
    fs::create_dir(copy.join("media")).unwrap();
    fs::write(copy.join("media/logo.txt"), "copied").unwrap();
    let (code, said) = shop.run(&["restore-files", &format!("backup={}", copy.display()), &directory]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(media(&shop), [("logo.txt".to_owned(), "copied".to_owned(), 0o644)]);
    assert!(shop.runs());
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_directory_is_whole_wherever_its_restore_was_killed_as_root() {
    for step in 0..4 {
        let (shop, archive, saved) = changed();
        let (backup, directory) = (format!("backup={archive}"), format!("directory={}", shop.text("data/media")));
        let run = shop.begin(&["restore-files", &backup, &directory]);
        shop.ground.kill_at(&run, step);
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &[]);
            assert_eq!(code, 0, "killed at {step}: {said}");
        }
        assert_eq!(media(&shop), saved, "killed at {step}");
        assert!(shop.held("data").join("new.txt").exists());
        assert_eq!(shop.names("data", ".mw-"), [] as [&str; 0]);
        assert!(shop.runs());
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn an_archive_that_reaches_out_or_a_directory_that_must_stay_is_refused_as_root() {
    let shop = Shop::new(3);
    let directory = format!("directory={}", shop.text("data/media"));
    let wish = |path: &str| format!("backup={}", shop.text(path));
    let pack = |name: &str, args: &[&str]| {
        let file = format!("--file={}", shop.text(name));
        tar(&[&["--create", &file, "--directory", &shop.text("make"), "--absolute-names"], args].concat());
        shop.refused(&["restore-files", &wish(name), &directory])
    };
    fs::create_dir_all(shop.path("make/media")).unwrap();
    fs::write(shop.path("make/media/logo.txt"), "x").unwrap();
    fs::write(shop.path("evil"), "x").unwrap();
    let said = pack("one.tar", &["media", "../evil"]);
    assert!(said.contains("its entry `../evil` leads out"), "{said}");
    let said = pack("two.tar", &["media", "/etc/hostname"]);
    assert!(said.contains("its entry `/etc/hostname` leads out"), "{said}");
    std::os::unix::fs::symlink("/etc/passwd", shop.path("make/media/out")).unwrap();
    let said = pack("three.tar.gz", &["--gzip", "media"]);
    assert!(said.contains("its link `media/out` leads out, to /etc/passwd"), "{said}");
    fs::remove_file(shop.path("make/media/out")).unwrap();

    // Cut off, of something else, not an archive.
    let good = ["--create", "--directory", &shop.text("make"), "media"].map(ToOwned::to_owned);
    let good: Vec<&str> = good.iter().map(String::as_str).collect();
    tar(&[&good[..], &["--file", &shop.text("good.tar")]].concat());
    let whole = fs::read(shop.path("good.tar")).unwrap();
    fs::write(shop.path("cut.tar"), &whole[..1100]).unwrap();
    assert!(shop.refused(&["restore-files", &wish("cut.tar"), &directory]).contains("broken"));
    tar(&["--create", "--file", &shop.text("other.tar"), "--directory", &shop.text("data"), "logs"]);
    assert!(shop.refused(&["restore-files", &wish("other.tar"), &directory]).contains("nothing that could be"));

    let refused = |path: &str, why: &str| {
        let said = shop.refused(&["restore-files", &wish("good.tar"), &format!("directory={}", shop.text(path))]);
        assert!(said.contains(why), "{said}");
    };
    refused("data", "holds the database");
    refused("backups", "is no directory of the site's data");
    assert_eq!(shop.names("data", ".mw-"), [] as [&str; 0]);
    assert!(shop.runs());
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn an_sqlite_backup_is_proven_as_root() {
    let shop = Shop::new(50);
    let backup = shop.backup("shop.sqlite3", 40);
    let (run, said) = drill::prove(&shop.ground, &backup);
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Done, "{said}");
    assert_eq!(drill::proof(&shop.ground, &backup), "restored", "{said}");
    drill::nothing_left(&shop.ground, &run);
    assert!(shop.runs(), "nothing was stopped");
    assert_eq!(shop.orders(&shop.database()), 50);
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn an_archive_is_proven_and_the_newest_backup_by_its_word_as_root() {
    let (shop, archive, _) = changed();
    let archive = Path::new(&archive);
    let (run, said) = drill::prove(&shop.ground, archive);
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Done, "{said}");
    assert_eq!(drill::proof(&shop.ground, archive), "restored", "{said}");
    drill::nothing_left(&shop.ground, &run);
    // What a timer asks for: nobody is there to choose.
    let database = taken(&shop, ".sqlite3");
    let (code, said) = shop.ground.call(&["runbook", "run", "prove-backup", "backup=newest", "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(drill::proof(&shop.ground, Path::new(&database)), "restored", "{said}");
    fs::remove_file(database).unwrap();
    assert!(shop.refused(&["prove-backup", "backup=newest"]).contains("no good backup of the database"));
}
