use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Request, load, mistake_at};
use crate::config::Found;
use crate::discovery::Surroundings;

/// A machine with one configuration file and nothing else.
fn machine(text: &str) -> (TempDir, Surroundings, Request) {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("midwatch.toml"), text).unwrap();
    let around = Surroundings { root: tree.path().to_owned(), cwd: PathBuf::from("/"), ..Surroundings::default() };
    let state_dir = Some(PathBuf::from("/state"));
    let request = Request { config: Some(PathBuf::from("midwatch.toml")), state_dir, ..Request::default() };
    (tree, around, request)
}

const SITE: &str = "[sites.shop]\nurl = \"https://shop.example.org\"\n";

#[test]
fn a_mistake_of_a_key_has_its_place() {
    let (_tree, around, request) = machine("[pace]\nquit = 1\n\n[keys]\n# quit = \"x\"\n  quit = \"F99\" # mine\n");
    let error = mistake_at(&request, &around, "keys", "quit", "keys.quit: there is no F99".to_owned()).to_string();
    assert!(error.contains("/midwatch.toml:6:3"), "{error}");
    assert!(error.contains("keys.quit: there is no F99"), "{error}");
    let (_tree, around, request) = machine("look.theme = \"drak\"\n");
    let error = mistake_at(&request, &around, "look", "theme", "there is no theme `drak`".to_owned()).to_string();
    assert!(error.contains("/midwatch.toml:1:1"), "{error}");
}

#[test]
fn a_mistake_that_no_file_holds_is_told_without_a_place() {
    let (_tree, around, request) = machine(SITE);
    let error = mistake_at(&request, &around, "look", "theme", "there is no theme `drak`".to_owned());
    assert_eq!(error.to_string(), "there is no theme `drak`");
}

#[test]
fn a_secret_in_a_file_that_everyone_may_read_is_told() {
    let secrets = [
        "metrics_url = \"https://shop.example.org/metrics\"\nmetrics_user = \"m\"\nmetrics_password = \"hunter2\"",
        "redis = \"redis://:hunter2@127.0.0.1/0\"",
        "database = \"postgresql://shop:hunter2@127.0.0.1/shop\"",
    ];
    for secret in secrets {
        let (tree, around, request) = machine(&[SITE, secret].concat());
        let told = |mode: u32| {
            let file = tree.path().join("midwatch.toml");
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
            let config = load(&request, &around).unwrap();
            assert!(!format!("{config:?}").contains("hunter2"), "{secret}");
            config.trail.iter().any(|t| matches!(&t.outcome, Found::Broken(why) if why.contains("every user may read")))
        };
        assert!(told(0o644), "{secret}");
        assert!(!told(0o640), "{secret}");
    }
    let harmless = "redis = \"redis://127.0.0.1/0\"\nmetrics_password = { env = \"NONE\" }";
    let (tree, around, request) = machine(&[SITE, harmless].concat());
    fs::set_permissions(tree.path().join("midwatch.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let config = load(&request, &around).unwrap();
    let exposed = |t: &crate::config::Trace| matches!(&t.outcome, Found::Broken(why) if why.contains("every user"));
    assert!(!config.trail.iter().any(exposed));
}
