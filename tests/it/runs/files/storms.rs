//! Files and SQLite: backups that are bad in every way.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::shop::Shop;
use super::tar;

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
