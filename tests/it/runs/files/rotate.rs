//! Old backups go by a policy, and nothing else does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use midwatch::runbook::run::Outcome;

use super::super::ground::Ground;
use super::shop::Shop;

/// Gives the place of backups this policy.
fn policy(shop: &Shop, written: &str) {
    let path = shop.ground.path().join("c.toml");
    let config = fs::read_to_string(&path).unwrap();
    let place = format!("path = \"{}\"\n", shop.text("backups"));
    let before = config.split(&place).next().unwrap();
    let behind = config.split("[sites.shop.services.web]").nth(1).unwrap();
    fs::write(&path, format!("{before}{place}{written}[sites.shop.services.web]{behind}")).unwrap();
}

/// Backups of one night each, the newest of yesterday: `shop-0.sqlite3` is the newest.
fn nights(shop: &Shop, count: u64) -> Vec<PathBuf> {
    let first = shop.backup("shop-0.sqlite3", 3);
    let mut all = vec![first.clone()];
    for night in 1..count {
        let path = shop.path("backups").join(format!("shop-{night}.sqlite3"));
        fs::copy(&first, &path).unwrap();
        all.push(path);
    }
    for (night, path) in all.iter().enumerate() {
        aged(path, u64::try_from(night).unwrap() + 1);
    }
    all
}

fn aged(path: &Path, days: u64) {
    let at = SystemTime::now() - Duration::from_hours(24 * days);
    fs::File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
}

fn there(shop: &Shop) -> Vec<String> {
    let mut all: Vec<_> = fs::read_dir(shop.path("backups")).unwrap().flatten().collect();
    all.sort_by_key(fs::DirEntry::file_name);
    all.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn verify(shop: &Shop) {
    shop.ground.call(&["backups", "verify"]);
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn old_backups_go_by_policy_and_never_the_last_proven_one_as_root() {
    let shop = Shop::new(3);
    let wish = ["rotate-backups", &format!("directory={}", shop.text("backups"))];
    let all = nights(&shop, 7);
    let before = there(&shop);
    let refused = |why: &str| {
        let said = shop.refused(&wish);
        assert!(said.contains(why), "{why}: {said}");
        assert_eq!(there(&shop), before);
    };
    refused("nothing says how many backups stay");
    policy(&shop, "keep = 2\n");
    let (code, said) = shop.ground.call(&["config", "check"]);
    assert!(code != 0 && said.contains("needs a pattern"), "{code}: {said}");
    policy(&shop, "pattern = \"shop-*.sqlite3\"\nkeep = 2\n");
    // Nobody has read one: there is no reason to let another go.
    refused("nothing goes from");
    // What is broken is no reason either, though it is the newest, nor what is not the pattern's.
    verify(&shop);
    fs::write(&all[0], b"SQLite format 3\0 and then nothing").unwrap();
    aged(&all[0], 1);
    fs::copy(&all[1], shop.path("backups/other-0.sqlite3")).unwrap();
    verify(&shop);
    // A link leads to one, another has two names, one is of yesterday's place, and one is a folder.
    std::os::unix::fs::symlink(&all[4], shop.path("backups/latest.sqlite3")).unwrap();
    fs::hard_link(&all[5], shop.path("other-name.sqlite3")).unwrap();
    fs::create_dir(shop.path("backups/shop-folder.sqlite3")).unwrap();

    let (code, said) = shop.ground.call(&[&["runbook", "plan"][..], &wish].concat());
    assert_eq!(code, 0, "{said}");
    for part in [
        "read shop-1.sqlite3 again",
        "delete shop-3.sqlite3",
        "delete shop-6.sqlite3",
        "7 days old, complete",
        "a link leads to it",
        "has other names",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        !said.contains("delete shop-1") && !said.contains("delete shop-0") && !said.contains("delete other"),
        "{said}"
    );

    // Somebody reads one that would go: it stays, with what comes after it.
    let reader = fs::File::open(&all[6]).unwrap();
    let token = shop.ground.token(&wish);
    let (code, said) = shop.ground.call(&[&["runbook", "run"][..], &wish, &["--confirm", &token]].concat());
    assert!(code == 1 && said.contains("is open and is not deleted"), "{code}: {said}");
    assert!(there(&shop).contains(&"shop-3.sqlite3".to_owned()), "{:?}", there(&shop));
    drop(reader);

    // Killed in the middle, it is taken up; what is left is what the plan said.
    let token = shop.ground.token(&wish);
    let run = shop.ground.begin(&[&wish[..], &["--confirm", &token]].concat());
    shop.ground.kill_at(&run, 1);
    if shop.ground.view(&run).ended().is_none() {
        let (code, said) = shop.ground.resume(&run, &[]);
        assert_eq!(code, 0, "{said}");
    }
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Done);
    assert_eq!(
        there(&shop),
        [
            "latest.sqlite3",
            "other-0.sqlite3",
            "shop-0.sqlite3",
            "shop-1.sqlite3",
            "shop-2.sqlite3",
            "shop-4.sqlite3",
            "shop-5.sqlite3",
            "shop-folder.sqlite3"
        ]
    );
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn what_stays_is_read_again_before_anything_goes_as_root() {
    let shop = Shop::new(3);
    let wish = ["rotate-backups", &format!("directory={}", shop.text("backups"))];
    let all = nights(&shop, 3);
    policy(&shop, "pattern = \"shop-*\"\nkeep_days = 2\n");
    verify(&shop);
    let before = there(&shop);
    // The disk has changed what would stay: its size and its time are the same.
    let mut bytes = fs::read(&all[0]).unwrap();
    let at = bytes.windows(20).position(|part| part == b"x".repeat(20)).unwrap();
    bytes[at] = b'y';
    let modified = fs::metadata(&all[0]).unwrap().modified().unwrap();
    fs::write(&all[0], bytes).unwrap();
    fs::File::options().append(true).open(&all[0]).unwrap().set_modified(modified).unwrap();
    let token = shop.ground.token(&wish);
    let run: fn(&Ground, &[&str], &str) -> (i32, String) =
        |ground, wish, token| ground.call(&[&["runbook", "run"][..], wish, &["--confirm", token]].concat());
    let (code, said) = run(&shop.ground, &wish, &token);
    assert!(code == 1 && said.contains("is not what it was when the plan was made"), "{code}: {said}");
    assert_eq!(there(&shop), before);
    // What another site counts as its own stays, too.
    verify(&shop);
    let config = shop.ground.path().join("c.toml");
    let alone = fs::read_to_string(&config).unwrap();
    let theirs = format!(
        "[sites.cafe]\nurl = \"http://127.0.0.1:9\"\n[[sites.cafe.backups]]\npath = \"{}\"\n",
        shop.text("backups")
    );
    fs::write(&config, format!("{alone}{theirs}")).unwrap();
    let (code, said) = shop.ground.call(&[&["runbook", "plan", "--site", "shop"][..], &wish].concat());
    assert!(code != 0 && said.contains("another site counts it as its own"), "{code}: {said}");
    fs::write(&config, alone).unwrap();
    // Two days are written: what is of three goes, by itself, and the site is not touched.
    let token = shop.ground.token(&wish);
    let (code, said) = run(&shop.ground, &wish, &token);
    assert_eq!(code, 0, "{said}");
    assert_eq!(there(&shop), ["shop-0.sqlite3"]);
    assert_eq!(shop.orders(&shop.database()), 3);
}
