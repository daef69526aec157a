//! Tools with repositories of their own, asked for real.
#![cfg(test)]

use std::fs;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

use super::formats::data;
use super::{folder, run};

#[test]
#[ignore = "needs restic and borg: tests/run installs them"]
fn restic_and_borg_are_listed_without_a_lock() {
    let dir = folder();
    data(dir.path());
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::write(at("password"), "geheim\n").unwrap();
    let restic = |args: &[&str]| {
        run(Command::new("restic")
            .args(["-r", &at("restic"), "--password-file", &at("password"), "--no-cache"])
            .args(args))
    };
    restic(&["init"]);
    restic(&["backup", &at("data")]);
    let borg = |args: &[&str]| {
        run(Command::new("borg").env("BORG_BASE_DIR", at("borg-base")).env("BORG_PASSPHRASE", "geheim").args(args))
    };
    borg(&["init", "-e", "repokey", &at("borg")]);
    borg(&["create", &format!("{}::first", at("borg")), &at("data")]);
    let config = format!(
        "discover = false\n[sites.shop]\nurl = \"http://127.0.0.1:1\"\ndata_dir = \"{data}\"\n\
         [[sites.shop.backups]]\ntool = \"restic\"\nrepo = \"{restic}\"\npassword_file = \"{password}\"\n\
         [[sites.shop.backups]]\ntool = \"borg\"\nrepo = \"{borg}\"\npassword_file = \"{password}\"\n",
        data = at("data"),
        restic = at("restic"),
        borg = at("borg"),
        password = at("password"),
    );
    fs::write(at("midwatch.toml"), config).unwrap();
    let list = |read_only: bool| -> Value {
        let mut command = Command::new(cargo_bin!("midwatch"));
        command.args(["-c", &at("midwatch.toml"), "--state-dir", &at("state"), "backups", "list", "-o", "json"]);
        command.env("BORG_BASE_DIR", at("borg-base")).env("RUST_BACKTRACE", "0");
        if read_only {
            command.arg("--read-only");
        }
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    };
    let told = list(false);
    let kinds: Vec<&str> = told["backups"].as_array().unwrap().iter().map(|b| b["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"restic") && kinds.contains(&"borg"), "{told:#}");
    assert!(
        told["backups"]
            .as_array()
            .unwrap()
            .iter()
            .all(|b| b["proof"] == "listed" && b["age_s"].as_f64().unwrap() < 3600.0)
    );
    assert_eq!(fs::read_dir(dir.path().join("restic/locks")).unwrap().count(), 0);
    // borg would write a cache to answer.
    let told = list(true);
    let kinds: Vec<&str> = told["backups"].as_array().unwrap().iter().map(|b| b["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["restic"], "{told:#}");
    assert!(told["places"].to_string().contains("--read-only forbids"), "{told:#}");
}
