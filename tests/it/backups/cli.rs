//! `midwatch backups`, as it is called.
#![cfg(test)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::formats::{data, sqlite};
use super::{aged, folder, run};
use crate::support::servers::eventually;

fn midwatch(state: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("midwatch"));
    command.env("RUST_BACKTRACE", "0").env_remove("MIDWATCH_CONFIG").arg("--state-dir").arg(state).args(args);
    command
}

fn told(state: &Path, verb: &str, path: &Path) -> (Value, i32) {
    let out = midwatch(state, &["backups", verb, "-o", "json", "--path"]).arg(path).output().unwrap();
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    (serde_json::from_slice(&out.stdout).unwrap(), out.status.code().unwrap())
}

fn proof(told: &Value, name: &str) -> String {
    let backups = told["backups"].as_array().unwrap();
    let found = backups.iter().find(|b| b["name"] == name).unwrap_or_else(|| panic!("no {name} in {told:#}"));
    found["proof"].as_str().unwrap().to_owned()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn a_bare_folder_is_listed_and_verified_without_a_site() {
    let (dir, state) = (folder(), folder());
    let at = |name: &str| dir.path().join(name);
    sqlite(&at("db.sqlite3")).await;
    data(dir.path());
    run(Command::new("tar").arg("-C").arg(dir.path()).arg("-czf").arg(at("data.tgz")).arg("data"));
    fs::remove_dir_all(at("data")).unwrap();
    fs::write(at("empty.dump"), "").unwrap();
    fs::write(at("none.sql.gz"), gzip(b"")).unwrap();
    let (list, code) = told(state.path(), "list", dir.path());
    assert_eq!((proof(&list, "data.tgz").as_str(), code), ("listed", 2), "an empty one is known to be broken at sight");
    let (verified, code) = told(state.path(), "verify", dir.path());
    for (name, expected) in
        [("db.sqlite3", "complete"), ("data.tgz", "complete"), ("empty.dump", "broken"), ("none.sql.gz", "broken")]
    {
        assert_eq!(proof(&verified, name), expected, "{name}");
    }
    assert_eq!((code, verified["schema_version"].as_u64(), verified["exit_code"].as_u64()), (2, Some(1), Some(2)));
    let archive = verified["backups"].as_array().unwrap().iter().find(|b| b["name"] == "data.tgz").unwrap();
    assert_eq!(
        (archive["contents"]["secret"].as_bool(), archive["contents"]["media_files"].as_u64()),
        (Some(true), Some(2))
    );
    assert!(archive["bytes"].is_u64() && archive["age_s"].is_f64() && archive["sha256"].is_string(), "{archive:#}");
    assert!(archive["made_at"].as_str().unwrap().ends_with('Z'), "{archive:#}");
    // What was found out is remembered.
    assert_eq!(proof(&told(state.path(), "list", dir.path()).0, "data.tgz"), "complete");
    // With nothing broken it is fine, and with nothing at all nobody knows.
    for name in ["empty.dump", "none.sql.gz"] {
        fs::remove_file(at(name)).unwrap();
    }
    assert_eq!(told(state.path(), "verify", dir.path()).1, 0);
    assert_eq!(told(state.path(), "verify", folder().path()).1, 3);
    let gone = midwatch(state.path(), &["backups", "list", "--path", "/nowhere/at/all"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("/nowhere/at/all"));
    assert_eq!(midwatch(state.path(), &["backups", "lost"]).output().unwrap().status.code(), Some(3));
}

#[test]
fn a_folder_is_named_as_an_argument_as_well() {
    let (dir, state) = (folder(), folder());
    fs::write(dir.path().join("none.sql.gz"), gzip(b"")).unwrap();
    for verb in ["list", "verify"] {
        let out = midwatch(state.path(), &["backups", verb]).arg(dir.path()).args(["-o", "json"]).output().unwrap();
        let json: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(json["backups"][0]["name"], "none.sql.gz", "{verb}");
    }
    let both = midwatch(state.path(), &["backups", "list", "--path", "/a", "/b"]).output().unwrap();
    assert_eq!(both.status.code(), Some(3), "one of the two");
}

#[test]
fn a_changed_file_loses_its_proof() {
    let (dir, state) = (folder(), folder());
    let path = dir.path().join("a.tar");
    data(dir.path());
    run(Command::new("tar").arg("-C").arg(dir.path()).arg("-cf").arg(&path).arg("data"));
    fs::remove_dir_all(dir.path().join("data")).unwrap();
    assert_eq!(told(state.path(), "verify", dir.path()).1, 0);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..1500]).unwrap();
    assert_eq!(proof(&told(state.path(), "list", dir.path()).0, "a.tar"), "listed");
    assert_eq!(proof(&told(state.path(), "verify", dir.path()).0, "a.tar"), "broken");
}

#[test]
fn what_may_not_be_read_says_what_would_open_it() {
    let (dir, state) = (folder(), folder());
    let (closed, file) = (dir.path().join("closed"), dir.path().join("pretix.dump"));
    fs::create_dir(&closed).unwrap();
    fs::write(&file, "PGDMP").unwrap();
    for path in [&closed, &file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    for path in [dir.path(), state.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let program = reachable();
    let mut command = Command::new(program.path().join("midwatch"));
    command.arg("--state-dir").arg(state.path()).args(["backups", "verify", "-o", "json", "--path"]).arg(dir.path());
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let out = command.env("RUST_BACKTRACE", "0").env("HOME", "/nonexistent").output().unwrap();
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(3), "{told:#}");
    let (backup, place) = (&told["backups"][0], &told["places"][0]);
    assert_eq!(backup["proof"], "listed", "{told:#}");
    assert!(backup["why"].as_str().unwrap().contains("may not read"), "{told:#}");
    assert!(place["error"].as_str().unwrap().contains("closed"), "{told:#}");
}

/// The program where every user can start it.
fn reachable() -> TempDir {
    let dir = folder();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let to = dir.path().join("midwatch");
    fs::copy(cargo_bin!("midwatch"), &to).unwrap();
    dir
}

#[test]
fn two_hundred_thousand_files_are_listed_about_as_fast_as_their_names_can_be_read() {
    let (dir, state) = (folder(), folder());
    for n in 0..200_000_u32 {
        fs::File::create(dir.path().join(format!("session-{n:06}.dat"))).unwrap();
    }
    for n in 0..50 {
        let path = dir.path().join(format!("pretix-202611{:02}-{n:04}.sql", n % 28 + 1));
        fs::write(path, "x").unwrap();
    }
    let start = Instant::now();
    let names = fs::read_dir(dir.path()).unwrap().flatten().filter(|e| e.file_name().len() > 3).count();
    let plain = start.elapsed();
    let start = Instant::now();
    let (told, _) = told(state.path(), "list", dir.path());
    let took = start.elapsed();
    assert_eq!((names, told["backups"].as_array().unwrap().len()), (200_050, 50));
    assert_eq!(told["places"][0]["entries"], 200_050);
    assert!(took < plain * 12 + Duration::from_millis(500), "{took:?} against {plain:?} for the names alone");
}

#[test]
fn a_verification_stops_when_it_is_told_to() {
    let (dir, state) = (folder(), folder());
    let path = dir.path().join("big.sql");
    // Long enough to be stopped in the middle: it is all zeros and takes no room.
    let file = fs::File::create(&path).unwrap();
    (&file).write_all(b"--\n-- PostgreSQL database dump\n--\n").unwrap();
    file.set_len(200 << 30).unwrap();
    aged(&path, 1);
    let mut child = midwatch(state.path(), &["backups", "verify", "--path"])
        .arg(dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let io = format!("/proc/{}/io", child.id());
    eventually("the file being read", || {
        let text = fs::read_to_string(&io).ok()?;
        let read: u64 = text.lines().find_map(|l| l.strip_prefix("rchar: "))?.parse().ok()?;
        (read > 8 << 20).then_some(())
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    eventually("its end", || child.try_wait().unwrap());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&out.stdout).contains("listed"), "what is known is still told");
}
