//! Files and SQLite: runner and application are killed at once, at every step; backups that are bad in every way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Child;
use std::time::Instant;

use midwatch::runbook::run::Outcome;

use super::shop::Shop;
use super::{changed, media, sound, tar};

/// Kills runner and application at every step of one run, and takes it up; how often it was hit.
fn through_it_all(shop: &Shop, run: &str) -> usize {
    let names: Vec<String> = shop.ground.view(run).record.plan.steps.into_iter().map(|step| step.name).collect();
    let started = names.iter().position(|name| name == "start web").unwrap();
    let (mut hit, mut following) = (0, None::<Child>);
    for step in 0..names.len() {
        shop.ground.taken_up(run, hit + 1);
        shop.ground.kill_at(run, step);
        shop.kill_application();
        if let Some(mut child) = following.take() {
            child.wait().unwrap();
        }
        // What the run had started and has died since does not come by itself: somebody starts it by hand.
        if shop.ground.acted(run, started) {
            shop.start_application();
        }
        if shop.ground.view(run).ended().is_some() {
            break;
        }
        hit += 1;
        following = Some(shop.ground.resume_aside(run, &[]));
    }
    if let Some(mut child) = following {
        child.wait().unwrap();
    }
    let (outcome, left) = shop.ground.view(run).progress().ended.unwrap();
    assert_eq!(outcome, Outcome::Done, "{left}");
    hit
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_database_file_comes_through_it_all_and_back_as_root() {
    let shop = Shop::new(60);
    let backup = format!("backup={}", shop.backup("shop-2026-11-20.sqlite3", 30).display());
    let run = shop.begin(&["restore-database", &backup]);
    assert!(through_it_all(&shop, &run) > 0);
    sound(&shop, 30, 60);
    let held = format!("held={}", shop.held("data").display());
    let run = shop.begin(&["swap-back-file", &held]);
    assert!(through_it_all(&shop, &run) > 0);
    sound(&shop, 60, 30);
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_directory_comes_through_it_all_as_root() {
    let (shop, archive, saved) = changed();
    let (backup, directory) = (format!("backup={archive}"), format!("directory={}", shop.text("data/media")));
    let run = shop.begin(&["restore-files", &backup, &directory]);
    assert!(through_it_all(&shop, &run) > 0);
    assert_eq!(media(&shop), saved);
    assert!(shop.held("data").join("new.txt").exists());
    assert_eq!(shop.names("data", ".mw-"), [] as [&str; 0]);
    assert!(shop.runs());
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_database_file_that_the_disk_has_changed_is_refused_as_root() {
    let shop = Shop::new(5);
    let path = shop.backup("shop-2026-11-20.sqlite3", 40);
    let rested = std::time::SystemTime::now() - std::time::Duration::from_mins(5);
    let rest = || fs::File::options().append(true).open(&path).unwrap().set_modified(rested).unwrap();
    rest();
    let wish = format!("backup={}", path.display());
    let (_, said) = shop.ground.call(&["backups", "verify"]);
    assert!(said.contains("content unchecked"), "{said}");
    let (code, said) = shop.ground.call(&["runbook", "plan", "restore-database", &wish]);
    assert!(code == 0 && said.contains("content unchecked"), "{said}");
    // In a row, where SQLite itself sees nothing.
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(20).position(|part| part == b"x".repeat(20)).unwrap();
    bytes[at] = b'y';
    fs::write(&path, bytes).unwrap();
    rest();
    for runbook in ["restore-database", "prove-backup"] {
        let said = shop.refused(&[runbook, &wish]);
        assert!(said.contains("is not what was read"), "{runbook}: {said}");
    }
    assert_eq!(shop.orders(&shop.database()), 5);
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn no_bad_archive_gets_as_far_as_a_plan_as_root() {
    let shop = Shop::new(3);
    let directory = format!("directory={}", shop.text("data/media"));
    let refused = |why: &str| {
        let backup = format!("backup={}", shop.text("bad.tar"));
        let said = shop.refused(&["restore-files", &backup, &directory]);
        assert!(said.contains(why), "{why}: {said}");
    };
    let pack = || {
        fs::remove_file(shop.path("bad.tar")).ok();
        tar(&["--create", "--file", &shop.text("bad.tar"), "--directory", &shop.text("make"), "media"]);
        fs::read(shop.path("bad.tar")).unwrap()
    };
    let write = |bytes: &[u8]| fs::write(shop.path("bad.tar"), bytes).unwrap();
    fs::create_dir_all(shop.path("make/media/a")).unwrap();
    fs::write(shop.path("make/media/logo.txt"), "logo").unwrap();
    let whole = pack();
    for content in [&b""[..], &whole[..700], &whole[..1536]] {
        write(content);
        refused("bad.tar");
    }
    let mut flipped = whole.clone();
    flipped[100] ^= 0x10;
    write(&flipped);
    refused("does not add up");
    // A link that stays within by its words, and leads out by way of another.
    std::os::unix::fs::symlink("..", shop.path("make/media/a/up")).unwrap();
    std::os::unix::fs::symlink("up/../../x", shop.path("make/media/a/out")).unwrap();
    pack();
    refused("its link `media/a/out` leads out");
    fs::remove_file(shop.path("make/media/a/out")).unwrap();
    // Within the archive, and out of what is restored: the site's secret would be served.
    std::os::unix::fs::symlink("../.secret", shop.path("make/media/key")).unwrap();
    pack();
    refused("its link `media/key` leads out");
    fs::remove_file(shop.path("make/media/key")).unwrap();
    fs::set_permissions(shop.path("make/media/logo.txt"), fs::Permissions::from_mode(0o4755)).unwrap();
    pack();
    refused("would run as its owner");
    assert_eq!(shop.names("data", ".mw-"), [] as [&str; 0]);
    assert!(shop.runs());
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_service_that_ends_as_soon_as_it_is_started_is_told_of_at_once_as_root() {
    let shop = Shop::new(1);
    fs::write(shop.path("start"), "#!/bin/sh\nexit 0\n").unwrap();
    let begun = Instant::now();
    let (code, said) = shop.run(&["restart-services", "service=web"]);
    assert!(code != 0 && said.contains("it was started, and has not run for 10 s"), "{code}: {said}");
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
