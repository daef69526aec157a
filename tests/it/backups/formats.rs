//! What needs no server: archives, SQLite files, SQL, and everything packed.
#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use midwatch::backends::backups::check::{Outcome, check};
use midwatch::backends::backups::meter::Control;
use midwatch::backends::backups::program::Tools;
use midwatch::domain::backup::kind::Kind;
use midwatch::domain::backup::proof::Flaw;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::{cut_at_random, cut_everywhere, flaw, folder, missed, run, verdict, whole};

const SQL: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc123\n\n-- Dumped from database version 15.18\n-- Dumped by pg_dump version 15.18\n\nSET lock_timeout = 0;\n\nCOPY public.t (a) FROM stdin;\n1\n2\n\\.\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc123\n\n";

/// An SQLite database with some rows.
pub(crate) async fn sqlite(path: &Path) {
    let mut db = SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap();
    db.execute("create table t (a integer primary key, b text)").await.unwrap();
    db.execute("create index i on t (b)").await.unwrap();
    let rows = "with recursive n(x) as (select 1 union all select x + 1 from n where x < 3000) insert into t select x, hex(randomblob(20)) from n";
    db.execute(rows).await.unwrap();
    db.close().await.unwrap();
}

/// A data directory as pretix has it.
pub(crate) fn data(dir: &Path) {
    for (name, text) in [
        ("data/.secret", "very secret"),
        ("data/media/pub/org/banner.png", "image"),
        ("data/media/invoices/0001.pdf", "invoice"),
        ("data/logs/pretix.log", "log"),
    ] {
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        fs::write(dir.join(name), text.repeat(300)).unwrap();
    }
}

#[test]
fn sql_is_whole_with_its_mark_and_never_without() {
    let dir = folder();
    let path = dir.path().join("pretix.sql");
    for text in [SQL.to_owned(), SQL.replace("\\restrict abc123\n\n", "").replace("\\unrestrict abc123\n\n", "")] {
        fs::write(&path, text).unwrap();
        assert_eq!(whole(&path).kind, Some(Kind::PgSql));
        cut_everywhere(&path, 0);
    }
    // Another token is another dump's end.
    fs::write(&path, SQL.replace("\\unrestrict abc123", "\\unrestrict abc124")).unwrap();
    assert_eq!(flaw(&path), Flaw::Truncated);
    // The mark among the rows is no mark.
    let within = SQL.split("\\.\n").next().unwrap().replace("2\n", "\n-- PostgreSQL database dump complete\n--\n\n3\n");
    fs::write(&path, within).unwrap();
    assert_eq!(flaw(&path), Flaw::Truncated);
    // Nobody can tell the end of SQL without comments.
    fs::write(&path, "create table t (a int);\ninsert into t values (1);\n").unwrap();
    assert!(matches!(verdict(&path).outcome, Outcome::Unproven(_)));
    fs::write(&path, [0; 5000]).unwrap();
    assert_eq!(flaw(&path), Flaw::Empty);
    fs::write(&path, vec![0; 50_000]).unwrap();
    assert_eq!(flaw(&path), Flaw::Damaged);
}

#[test]
fn a_dump_without_rows_says_so() {
    let dir = folder();
    let path = dir.path().join("pretix.sql");
    let rows = |text: &str| {
        fs::write(&path, text).unwrap();
        whole(&path).header.unwrap().rows
    };
    assert_eq!(rows(SQL), Some(true));
    let (before, rest) = SQL.split_once("COPY").unwrap();
    let (_, after) = rest.split_once("\\.\n").unwrap();
    let (schema, filler) = ([before, after].concat(), "-- nothing\n".repeat(8_000));
    assert_eq!(rows(&schema), Some(false));
    // Wherever the buffer ends.
    for cut in 0..12 {
        let filler = filler.get(..65_536 - cut - before.len()).unwrap();
        assert_eq!(rows(&[before, filler, "\nCOPY t (a) FROM stdin;\n\\.\n", after].concat()), Some(true), "{cut}");
    }
    let mysql = "-- MySQL dump 10.13\n--\n-- Host: localhost    Database: shop\n\nCREATE TABLE `t` (`a` int);\n-- Dump completed on 2026-11-21\n";
    assert_eq!(rows(mysql), Some(false));
    assert_eq!(rows(&mysql.replace("-- Dump", "INSERT INTO `t` VALUES (1);\n-- Dump")), Some(true));
}

#[test]
fn what_is_cut_off_is_not_told_with_what_stood_there() {
    let dir = folder();
    let path = dir.path().join("pretix.sql");
    fs::write(&path, SQL.replace("2\n", "guest@example.org\n").split("\\.\n").next().unwrap()).unwrap();
    let Outcome::Broken(Flaw::Truncated, why) = verdict(&path).outcome else { panic!("it is cut off") };
    assert!(!why.contains("guest"), "{why}");
}

#[test]
fn packed_files_are_unpacked_to_their_end() {
    let dir = folder();
    let plain = dir.path().join("pretix.sql");
    fs::write(&plain, SQL.replace("1\n2\n", &"12345 67890 abcdef\n".repeat(4000))).unwrap();
    for (tool, ending) in [("gzip", "gz"), ("zstd", "zst"), ("xz", "xz"), ("bzip2", "bz2")] {
        if Command::new(tool).arg("--version").output().is_err() {
            continue;
        }
        let path = dir.path().join(format!("pretix.sql.{ending}"));
        fs::write(&path, run(Command::new(tool).arg("-c").arg(&plain))).unwrap();
        assert_eq!(whole(&path).kind, Some(Kind::PgSql), "{tool}");
        cut_everywhere(&path, 0);
        // Sound to its end, and still not all of the dump.
        let short = dir.path().join("short.sql");
        fs::write(&short, &fs::read(&plain).unwrap()[..30_000]).unwrap();
        fs::write(&path, run(Command::new(tool).arg("-c").arg(&short))).unwrap();
        assert_eq!(flaw(&path), Flaw::Truncated, "{tool}");
        let nothing = dir.path().join("nothing.sql");
        fs::write(&nothing, "").unwrap();
        fs::write(&path, run(Command::new(tool).arg("-c").arg(&nothing))).unwrap();
        assert_eq!(flaw(&path), Flaw::Empty, "{tool}");
    }
    let gz = dir.path().join("pretix.sql.gz");
    fs::write(&gz, run(Command::new("gzip").arg("-c").arg(&plain))).unwrap();
    let length = fs::read(&gz).unwrap().len();
    assert_eq!(missed(&gz, (0..30).map(|n| 20 + n * (length - 40) / 30)), []);
}

/// What needs no program to be read is cut a thousand times.
#[tokio::test]
async fn nothing_that_is_cut_at_a_random_place_is_ever_called_whole() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("p.sql"), SQL.replace("1\n2\n", &"12345 67890 abcdef\n".repeat(2000))).unwrap();
    data(dir.path());
    for (flags, name) in [("-cf", "d.tar"), ("-czf", "d.tar.gz")] {
        run(Command::new("tar").arg("-C").arg(dir.path()).arg(flags).arg(at(name)).arg("data"));
    }
    for (tool, ending) in [("gzip", "gz"), ("zstd", "zst"), ("xz", "xz"), ("bzip2", "bz2")] {
        fs::write(at(&format!("p.sql.{ending}")), run(Command::new(tool).arg("-c").arg(at("p.sql")))).unwrap();
    }
    sqlite(&at("d.sqlite3")).await;
    // tar fills its last record with zeros, which may be missing.
    let tar = fs::read(at("d.tar")).unwrap();
    let content = tar.iter().rposition(|b| *b != 0).unwrap() / 512 * 512 + 512;
    fs::write(at("d.tar"), &tar[..content + 1024]).unwrap();
    tokio::task::spawn_blocking(move || {
        for (name, times) in [
            ("p.sql", 1000),
            ("p.sql.gz", 1000),
            ("d.tar", 1000),
            ("d.tar.gz", 1000),
            ("d.sqlite3", 1000),
            ("p.sql.zst", 100),
            ("p.sql.xz", 100),
            ("p.sql.bz2", 100),
        ] {
            whole(&dir.path().join(name));
            cut_at_random(&dir.path().join(name), times);
        }
    })
    .await
    .unwrap();
}

#[test]
fn archives_are_read_to_their_mark_and_their_names_counted() {
    let dir = folder();
    data(dir.path());
    let at = |name: &str| dir.path().join(name);
    for format in ["gnu", "ustar", "pax"] {
        let path = at(&format!("data-{format}.tar"));
        run(Command::new("tar")
            .arg("--format")
            .arg(format)
            .arg("-C")
            .arg(dir.path())
            .arg("-cf")
            .arg(&path)
            .arg("data"));
        let contents = whole(&path).contents.unwrap();
        assert_eq!((contents.files, contents.media, contents.secret), (4, 2, true), "{format}");
        // tar fills its last record with zeros; only the two blocks that mark the end are needed.
        let bytes = fs::read(&path).unwrap();
        let content = bytes.iter().rposition(|b| *b != 0).unwrap() / 512 * 512 + 512;
        fs::write(&path, &bytes[..content + 1024]).unwrap();
        whole(&path);
        cut_everywhere(&path, 0);
    }
    let long = "data/media/".to_owned() + &"very-long-name-".repeat(12) + "/picture.png";
    fs::create_dir_all(at(&long).parent().unwrap()).unwrap();
    fs::write(at(&long), "x").unwrap();
    let path = at("data.tar.gz");
    run(Command::new("tar").arg("-C").arg(dir.path()).args(["-czf"]).arg(&path).arg("data"));
    let contents = whole(&path).contents.unwrap();
    assert_eq!((contents.files, contents.media), (5, 3));
    assert!(contents.sample.iter().any(|name| name.contains("very-long-name")), "{contents:?}");
    cut_everywhere(&path, 0);
    // An archive of nothing saves nothing.
    let none = at("none.tar");
    run(Command::new("tar").args(["-cf"]).arg(&none).args(["-T", "/dev/null"]));
    assert_eq!(flaw(&none), Flaw::Empty);
}

#[tokio::test]
async fn sqlite_files_are_checked_by_sqlite_itself() {
    let dir = folder();
    let path = dir.path().join("db.sqlite3");
    sqlite(&path).await;
    let check = |path: &Path| {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || verdict(&path))
    };
    let good = check(&path).await.unwrap();
    assert_eq!((good.outcome, good.kind), (Outcome::Whole, Some(Kind::Sqlite)));
    let beside: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(beside.len(), 1, "nothing was written beside it: {beside:?}");
    let cut = path.clone();
    tokio::task::spawn_blocking(move || cut_everywhere(&cut, 0)).await.unwrap();
    // A page of an index in the wrong place.
    let mut bytes = fs::read(&path).unwrap();
    let page = 4096;
    let (from, to) = (page * 3, page * 5);
    let copy: Vec<u8> = bytes[from..from + page].to_vec();
    bytes[to..to + page].copy_from_slice(&copy);
    let bad = dir.path().join("bad.sqlite3");
    fs::write(&bad, &bytes).unwrap();
    let outcome = check(&bad).await.unwrap().outcome;
    assert!(matches!(outcome, Outcome::Broken(Flaw::Damaged, _)), "{outcome:?}");
}

#[test]
fn a_file_that_grows_is_not_broken() {
    let dir = folder();
    let path = dir.path().join("pretix.sql");
    fs::write(&path, SQL.repeat(40_000)).unwrap();
    let control = Control::default();
    let (told, written) = (control.clone(), path.clone());
    let writer = std::thread::spawn(move || {
        // Once it is being read, it grows.
        let start = Instant::now();
        while told.progress().0 == 0 && start.elapsed() < Duration::from_secs(30) {
            std::thread::yield_now();
        }
        let mut file = fs::File::options().append(true).open(written).unwrap();
        std::io::Write::write_all(&mut file, b"-- more\nCOPY").unwrap();
    });
    let outcome = check(&path, &Tools::find(), &control).outcome;
    writer.join().unwrap();
    assert!(matches!(outcome, Outcome::Growing(_)), "{outcome:?}");
}

#[test]
fn a_check_can_be_stopped() {
    let dir = folder();
    let path = dir.path().join("pretix.sql");
    fs::write(&path, SQL).unwrap();
    let control = Control::default();
    control.stop();
    assert_eq!(check(&path, &Tools::find(), &control).outcome, Outcome::Stopped);
}
