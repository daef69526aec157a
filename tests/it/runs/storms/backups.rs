//! Every bad backup that can be built is refused before anything is stopped, with the reason; what can't be seen is labelled.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::super::shop::{Shop, from};
use crate::backups::numbers;

fn packed(program: &str, path: &Path) -> Vec<u8> {
    let done = Command::new(program).arg("-c").arg(path).output().unwrap();
    assert!(done.status.success());
    done.stdout
}

/// With these bytes in the place of others, of which there are as many.
fn with(bytes: &[u8], before: &[u8], after: &[u8]) -> Vec<u8> {
    assert_eq!(before.len(), after.len());
    let mut out = bytes.to_vec();
    let places: Vec<usize> =
        bytes.windows(before.len()).enumerate().filter(|(_, part)| *part == before).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        out[at..at + after.len()].copy_from_slice(after);
    }
    out
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[at] ^= 0x10;
    out
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn no_bad_dump_gets_as_far_as_a_plan_as_root() {
    let shop = Shop::open();
    let refused = |name: &str, content: &[u8], reason: &str| {
        let path = shop.backup(name);
        fs::write(&path, content).unwrap();
        let said = shop.refused(&["restore-database", &from(&path)]);
        assert!(said.contains(reason), "{name}: {said}");
        fs::remove_file(path).unwrap();
    };
    // Rows that repeat nothing: of packed repetitions a changed bit may mean the same.
    shop.sql("shop", "update shop_order set code = md5(id::text)");
    let custom = fs::read(shop.dump("whole.dump", &["-Fc"])).unwrap();
    let tar = fs::read(shop.dump("whole.tar", &["-Ft"])).unwrap();
    let path = shop.dump("whole.sql", &["-Fp"]);
    let plain = fs::read(&path).unwrap();
    for name in ["bad.dump", "bad.tar", "bad.sql", "bad.sql.gz", "bad.sql.zst"] {
        refused(name, b"", "0 bytes");
    }
    let kinds = [("gzip", "bad.sql.gz"), ("zstd", "bad.sql.zst"), ("xz", "bad.sql.xz"), ("bzip2", "bad.sql.bz2")];
    for (program, name) in kinds {
        let whole = packed(program, &path);
        refused(name, &whole[..whole.len() * 2 / 3], "is broken");
        refused(name, &flipped(&whole, whole.len() / 2), "is broken");
        fs::write(shop.backup("nothing"), "").unwrap();
        refused(name, &packed(program, &shop.backup("nothing")), "holds nothing");
        // Sound to its end, and not all of the dump.
        fs::write(shop.backup("short"), &plain[..plain.len() - 100]).unwrap();
        refused(name, &packed(program, &shop.backup("short")), "is broken");
    }
    for n in numbers(7).take(12) {
        let cut = |bytes: &[u8]| n % bytes.len();
        refused("bad.dump", &custom[..cut(&custom)], "bad.dump");
        refused("bad.tar", &tar[..cut(&tar)], "bad.tar");
    }
    refused("bad.dump", &flipped(&custom, custom.len() / 2), "is broken");
    refused("bad.sql", &plain[..plain.len() - 1], "is broken");
    let cut = plain.windows(17).position(|part| part == b"-- PostgreSQL dat").unwrap();
    let end = plain.windows(17).rposition(|part| part == b"-- PostgreSQL dat").unwrap();
    assert!(cut < end);
    refused("bad.sql", &plain[..end], "is broken");

    // Of a newer pg_dump, of a newer server.
    let mut newer = custom.clone();
    newer[6] = 99;
    refused("bad.dump", &newer, "can't be proven whole");
    let major = shop.sql("postgres", "select split_part(current_setting('server_version'), '.', 1)");
    let said = [format!("\0\0{major}."), "\0\x0099.".to_owned()].map(String::into_bytes);
    refused("bad.dump", &with(&custom, &said[0], &said[1]), "is of PostgreSQL 99");
    let said = [format!("-- Dumped from database version {major}."), "-- Dumped from database version 99.".to_owned()];
    refused("bad.sql", &with(&plain, said[0].as_bytes(), said[1].as_bytes()), "is of PostgreSQL 99");
    refused("bad.dump", &with(&custom, b"\x04\0\0\0shop", b"\x04\0\0\0cafe"), "is of the database cafe");
    refused("all.sql", &with(&plain, b"-- PostgreSQL database dump\n", b"-- PostgreSQL database d..p\n"), "all.sql");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn what_no_format_shows_is_told_and_seen_where_it_was_read_before_as_root() {
    let shop = Shop::open();
    let planned = |path: &Path| shop.ground.call(&["runbook", "plan", "restore-database", &from(path)]);
    let (_, said) = planned(&shop.backup("shop.dump"));
    assert!(said.contains("definitions unchecked"), "{said}");
    let path = shop.dump("plain.sql", &["-Fp"]);
    let rested = std::time::SystemTime::now() - std::time::Duration::from_mins(5);
    let rest = || fs::File::options().append(true).open(&path).unwrap().set_modified(rested).unwrap();
    rest();
    let whole = fs::read(&path).unwrap();
    let other = with(&whole, b"\told 7\t", b"\tolx 7\t");
    // Nobody has read it before: nothing in it tells, and that is said.
    fs::write(&path, &other).unwrap();
    rest();
    let (code, said) = planned(&path);
    assert!(code == 0 && said.contains("content unchecked"), "{code}: {said}");
    fs::write(&path, &whole).unwrap();
    rest();
    let (_, said) = shop.ground.call(&["backups", "verify"]);
    assert!(said.contains("content unchecked"), "{said}");
    assert_eq!(planned(&path).0, 0);
    // The disk has lost a bit of it since: its size and its time are the same.
    fs::write(&path, &other).unwrap();
    rest();
    let said = shop.refused(&["restore-database", &from(&path)]);
    assert!(said.contains("is not what was read") && said.contains("the disk"), "{said}");
    let said = shop.refused(&["prove-backup", &from(&path)]);
    assert!(said.contains("is not what was read"), "{said}");
    // Packed, all of it is checked.
    let gz = shop.dump("plain.sql.gz", &["-Fp", "-Z", "6"]);
    let (code, said) = planned(&gz);
    assert!(code == 0 && !said.contains("unchecked"), "{code}: {said}");
}
