use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use super::{FIRST, ROUND, Round, Tail};
use crate::domain::log::Severity;
use crate::domain::time::Timestamp;

/// Long after whatever the tests write: nothing waits for more rows.
fn later() -> Timestamp {
    super::zone::now().plus_secs(10)
}

fn add(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn told(round: &Round) -> Vec<&str> {
    round.entries.iter().map(|e| &*e.text).collect()
}

fn row(n: u64, text: &str) -> String {
    format!("[2026-11-21 03:28:{:02} +0000] [{n}] [ERROR] {text} {n}\n", n % 60)
}

#[test]
fn what_is_there_comes_first_then_what_is_added() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    add(&path, &row(1, "old"));
    let mut tail = Tail::new(path.clone());
    let round = tail.round(later());
    assert_eq!((told(&round), round.whole, round.grown), (vec!["old 1"], true, 0));
    assert_eq!(round.entries[0].level, Severity::Error);
    assert_eq!(told(&tail.round(later())), [""; 0]);
    add(&path, &row(2, "new"));
    // Half a row waits for its end.
    add(&path, "[2026-11-21 03:28:03 +0000] [3] [ERR");
    assert_eq!(told(&tail.round(later())), ["new 2"]);
    add(&path, "OR] whole\n");
    assert_eq!(told(&tail.round(later())), ["whole"]);
}

#[test]
fn a_huge_file_is_read_from_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.log");
    // Twenty gigabytes that take no room.
    let file = File::create(&path).unwrap();
    file.set_len(20 << 30).unwrap();
    drop(file);
    add(&path, &format!("\n{}", row(7, "the end")));
    let mut tail = Tail::new(path);
    let begun = std::time::Instant::now();
    let round = tail.round(later());
    assert_eq!(told(&round).last(), Some(&"the end 7"));
    assert!(!round.whole && begun.elapsed().as_secs() < 5);
}

#[test]
fn rotation_by_rename_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("a.log"), dir.path().join("a.log.1"));
    add(&path, &row(1, "a"));
    let mut tail = Tail::new(path.clone());
    tail.round(later());
    // Written between two looks: to the old file, then to the new one.
    add(&path, &row(2, "a"));
    std::fs::rename(&path, &old).unwrap();
    add(&old, &row(3, "a"));
    assert_eq!(told(&tail.round(later())), ["a 2", "a 3"]);
    // The writer has not opened its new file yet, and still writes to the old one.
    add(&old, &row(4, "a"));
    add(&path, &row(5, "b"));
    assert_eq!(told(&tail.round(later())), ["a 4", "b 5"]);
    add(&path, &row(6, "b"));
    assert_eq!(told(&tail.round(later())), ["b 6"]);
}

#[test]
fn truncation_begins_anew_even_when_it_has_grown_past_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    add(&path, &row(1, "a"));
    let mut tail = Tail::new(path.clone());
    tail.round(later());
    File::create(&path).unwrap();
    add(&path, "x y\n");
    assert_eq!(told(&tail.round(later())), ["x y"]);
    File::create(&path).unwrap();
    for n in 10..20 {
        add(&path, &row(n, "much more than before"));
    }
    assert_eq!(tail.round(later()).entries.len(), 10);
}

#[test]
fn a_deleted_file_is_let_go_and_a_new_one_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    add(&path, &row(1, "a"));
    let mut tail = Tail::new(path.clone());
    tail.round(later());
    std::fs::remove_file(&path).unwrap();
    let round = tail.round(later());
    assert!(round.why.is_some_and(|why| why.contains("not there")));
    // Nothing of this process holds it open.
    let held = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|e| std::fs::read_link(e.unwrap().path()).ok());
    assert!(!held.into_iter().any(|to| to.starts_with(dir.path())));
    add(&path, &row(2, "b"));
    let round = tail.round(later());
    assert_eq!((told(&round), round.why.as_deref()), (vec!["b 2"], None));
}

#[test]
fn a_flood_is_passed_over_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    add(&path, &row(1, "a"));
    let mut tail = Tail::new(path.clone());
    tail.round(later());
    let mut text = String::new();
    for n in 0..100_000 {
        writeln!(text, "[2026-11-21 03:28:03 +0000] [3] [ERROR] flood {n}").unwrap();
    }
    add(&path, &text);
    let round = tail.round(later());
    let length = text.len() as u64;
    assert_eq!((round.grown, round.skipped), (length, length - ROUND));
    assert_eq!(told(&round).last(), Some(&"flood 99999"));
    assert!(round.entries.len() < 20_000);
    // The first whole row after the gap, not the rest of one.
    assert!(told(&round)[0].starts_with("flood "));
}

#[test]
fn rows_without_an_end_and_bytes_without_sense_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    add(&path, "start\n");
    let mut tail = Tail::new(path.clone());
    tail.round(later());
    let noise: Vec<u8> = (0..ROUND).map(|n| u8::try_from(n % 251).unwrap()).filter(|b| *b != b'\n').collect();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&noise).unwrap();
    let round = tail.round(later());
    assert!(round.entries.iter().all(|e| e.text.chars().count() <= crate::domain::log::TEXT_MAX + 1));
    add(&path, &format!("\n{}", row(9, "after")));
    assert_eq!(told(&tail.round(later())).last(), Some(&"after 9"));
}

#[test]
fn what_is_no_file_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Tail::new(dir.path().to_owned()).round(later()).why.is_some_and(|why| why.contains("no regular file")));
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(Tail::new(pipe).round(later()).why.is_some());
}

#[test]
fn no_more_than_asked_for_is_read_at_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let mut text = String::new();
    while text.len() as u64 <= FIRST * 2 {
        text.push_str(&row(1, "many"));
    }
    add(&path, &text);
    let round = Tail::new(path).round(later());
    let read: usize = round.entries.len() * row(1, "many").len();
    assert!(read as u64 <= FIRST && read as u64 > FIRST / 2 && round.skipped == 0 && !round.whole);
}
