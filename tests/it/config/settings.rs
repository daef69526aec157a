//! An application's own INI files, read as Python reads them.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use midwatch::config::AppKind;
use midwatch::discovery::{Settings, SettingsError};

use super::{Machine, fixture};

fn read(machine: &Machine, files: &[&str]) -> Result<Settings, SettingsError> {
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    Settings::read(&machine.around, &files, AppKind::Pretix, &machine.around.env)
}

fn text(text: impl AsRef<[u8]>) -> Result<Settings, SettingsError> {
    let machine = Machine::new();
    machine.write("/etc/pretix/pretix.cfg", text);
    read(&machine, &["/etc/pretix/pretix.cfg"])
}

fn why(result: Result<Settings, SettingsError>) -> String {
    match result {
        Ok(_) => panic!("the file was taken"),
        Err(error) => error.to_string(),
    }
}

/// The expected values were written by Python 3.11: `RawConfigParser().read("pretix.cfg")`, every section's `items()`.
#[test]
fn as_python_does() {
    let expected: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(&fixture("pretix.cfg.json")).unwrap();
    let settings = text(fixture("pretix.cfg")).unwrap();
    for (section, options) in &expected {
        for (option, value) in options {
            // Python keeps the spaces of `[ celery section ]`; nobody writes such a thing for an application to find.
            let own = settings.get(section.trim(), option);
            assert_eq!(own.as_deref(), Some(value.as_str()), "[{section}] {option}");
        }
    }
    assert!(expected.len() > 4, "the fixture lost its sections");
    assert_eq!(settings.get("database", "password").unwrap(), r#"a;b#c%20"x'"#);
    assert_eq!(settings.get("database", "no such option"), None);
    assert_eq!(settings.get("no such section", "user"), None, "a default needs a section to be inherited by");
}

#[test]
fn defaults_reach_every_file_and_never_win_over_a_section() {
    let machine = Machine::new();
    machine.write("/one", "[DEFAULT]\nhost = default1\n[database]\npassword = own\n");
    machine.write("/two", "[DEFAULT]\npassword = default2\nname = default2\n[redis]\nlocation = here\n");
    let settings = read(&machine, &["/one", "/two"]).unwrap();
    assert_eq!(settings.get("database", "password").as_deref(), Some("own"));
    assert_eq!(settings.get("database", "name").as_deref(), Some("default2"));
    assert_eq!(settings.get("redis", "host").as_deref(), Some("default1"));
}

#[test]
fn the_environment_wins_and_a_named_file_wins_over_it() {
    let mut machine = Machine::new();
    machine.write("/cfg", "[database]\npassword = file\nuser = file\nname = file\n");
    machine.write("/run/secrets/db", "  from a secret \n");
    machine.env("PRETIX_DATABASE_USER", "environment");
    machine.env("PRETIX_DATABASE_PASSWORD", "environment");
    machine.env("FILE__PRETIX_DATABASE_PASSWORD", "/run/secrets/db");
    machine.env("PRETIX_MAIL_ODD_OPTION", "odd");
    machine.env("PRETALX_DATABASE_NAME", "another application's");
    let settings = read(&machine, &["/cfg"]).unwrap();
    assert_eq!(settings.get("database", "password").as_deref(), Some("from a secret"));
    assert_eq!(settings.get("database", "user").as_deref(), Some("environment"));
    assert_eq!(settings.get("database", "name").as_deref(), Some("file"));
    assert_eq!(settings.get("mail", "odd-option").as_deref(), Some("odd"), "what is no letter becomes `_`");
}

#[test]
fn switches() {
    let settings = text("[m]\na=on\nb=True\nc=1\nd=off\ne=No\nf=0\ng=perhaps\nh=\n").unwrap();
    let read = |option: &str| settings.switch("m", option);
    assert_eq!([read("a"), read("b"), read("c")], [Some(true); 3]);
    assert_eq!([read("d"), read("e"), read("f")], [Some(false); 3]);
    assert_eq!([read("g"), read("h"), read("i")], [None; 3]);
}

#[test]
fn what_is_no_configuration_is_told_with_its_path_and_without_its_text() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.at("/etc/pretix/pretix.cfg")).unwrap();
    assert_eq!(why(read(&machine, &["/etc/pretix/pretix.cfg"])), "/etc/pretix/pretix.cfg: is no file");
    assert_eq!(why(read(&machine, &["/nowhere.cfg"])), "/nowhere.cfg: isn't there");
    symlink("/nowhere/at/all", machine.at("/link.cfg")).unwrap();
    assert_eq!(why(read(&machine, &["/link.cfg"])), "/link.cfg: is a link to a file that isn't there");
    assert_eq!(
        why(text(b"[pretix]\nurl = x\ninstance_name = Z\xfcrich\n")),
        "/etc/pretix/pretix.cfg: line 3 is not UTF-8"
    );
    assert_eq!(
        why(text(vec![b'#'; 1024 * 1024 + 1])),
        "/etc/pretix/pretix.cfg: is longer than 1 MB: that is no configuration"
    );
    assert!(text(vec![b'#'; 1024 * 1024]).is_ok());
    assert_eq!(
        why(text("[database]\npassword = hunter2\n[hunter2\n")),
        "/etc/pretix/pretix.cfg: line 3 is not understood"
    );
    assert_eq!(why(text("[a]\n = hunter2\n")), "/etc/pretix/pretix.cfg: line 2 is not understood");
}

#[test]
fn a_pipe_is_not_waited_for() {
    let machine = Machine::new();
    let path = machine.at("/pretix.cfg");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(why(read(&machine, &["/pretix.cfg"])), "/pretix.cfg: is no file");
}

#[test]
fn a_file_of_somebody_else() {
    let machine = Machine::new();
    machine.write("/cfg", "[pretix]\nurl = https://example.org\n");
    std::fs::set_permissions(machine.at("/cfg"), std::fs::Permissions::from_mode(0o0)).unwrap();
    let result = read(&machine, &["/cfg"]);
    if rustix::process::geteuid().is_root() {
        assert_eq!(result.unwrap_or_else(|e| panic!("{e}")).get("pretix", "url").unwrap(), "https://example.org");
    } else {
        let said = why(result);
        assert_eq!(said, "/cfg: can't be read by this user; run midwatch as root or as the application's user");
    }
}
