//! No secret that any input holds is ever shown: in reports, in `Debug`, by `config` or by `doctor`.

use std::time::Duration;

use assert_cmd::Command;
use midwatch::cli::doctor::doctor;
use midwatch::config::report::masked;
use midwatch::config::without_login;
use midwatch::runtime::sandbox::Sandbox;
use proptest::prelude::*;

use super::Machine;

/// What a password may be, with letters enough that it can't turn up by chance.
fn secret() -> impl Strategy<Value = String> {
    ("[A-Za-z0-9]{8}", "[a-z0-9;#%:@=\"'\\\\{}\\[\\]é密 ]{0,6}", "[A-Za-z0-9]{8}")
        .prop_map(|(a, b, c)| [a, b, c].concat())
}

/// Whether the text holds a recognisable part of the secret.
fn shows(text: &str, secret: &str) -> bool {
    let (head, tail) = (secret.get(..8).unwrap(), secret.get(secret.len() - 8..).unwrap());
    text.contains(head) || text.contains(tail)
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Everything midwatch would say of this machine.
fn said(machine: &Machine, toml: &str) -> String {
    match machine.load(toml) {
        Ok(config) => {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let model = midwatch::watch::model(&config);
            let (text, _) = runtime.block_on(doctor(&config, &model, &Sandbox::Off, false));
            let (json, _) = runtime.block_on(doctor(&config, &model, &Sandbox::Off, true));
            format!("{config:?}\n{config:#?}\n{text}\n{json}")
        }
        Err(error) => format!("{error}\n{error:?}\n{error:#?}"),
    }
}

/// A `midwatch.toml` that holds the secret wherever one may stand. The values are written as TOML writes them.
fn toml_with(secret: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let login = format!("https://op:{}@tickets.example.org", encoded(secret));
    let url = |kind: &str| quoted(&format!("{kind}://u:{}@h/1", encoded(secret)));
    [
        "[sites.a]".to_owned(),
        format!("url = {}", quoted(&login)),
        format!("direct = {}", quoted(&login)),
        format!("metrics_url = {}", quoted(&login)),
        "metrics_user = \"m\"".to_owned(),
        format!("metrics_password = {}", quoted(secret)),
        format!("database = {}", url("postgresql")),
        format!("database_password = {}", quoted(secret)),
        format!("redis = {}", url("redis")),
        format!("broker = {}", url("amqp")),
    ]
    .join("\n")
}

fn cfg_with(secret: &str) -> String {
    let encoded = encoded(secret);
    format!(
        "[pretix]\nurl = https://op:{encoded}@tickets.example.org\n[database]\nbackend = postgresql\npassword = {secret}\n\
         [redis]\nlocation = redis://:{encoded}@h/0\npassword = {secret}\n[celery]\nbroker = redis://:{encoded}@h/1\n\
         [metrics]\nenabled = on\nuser = m\npassphrase = {secret}\n[django]\nsecret = {secret}\n"
    )
}

/// Ways to spoil one line of a file.
fn spoilt(line: &str, how: usize) -> String {
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    match how {
        0 => format!("{key} {value}"),
        1 => format!("{}x = {value}", key.trim()),
        2 => format!("{line} trailing"),
        3 => line.replacen('"', "", 1),
        4 => line.trim_end_matches(['"', '\'']).to_owned(),
        5 => format!("{line}\n{line}"),
        6 => format!("{key} = [{value}"),
        7 => format!("{key} = {{ literal = {value} }}"),
        8 => format!("{key}: {value}"),
        9 => format!("title = \"x\", {line}"),
        10 => format!("inner = {{ {line} }}"),
        11 => format!("# {line}\n= {value}"),
        12 => format!("{key} = \"\"\"\n{value}\n"),
        13 => format!("{} = {value}", key.trim().replace('_', "")),
        14 => format!("title = {value}\ntitle = {value}\nhealth_path = {value}"),
        _ => format!("{key} ={value}\n[sites.a]"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_works_shows_a_secret(secret in secret()) {
        let machine = Machine::new();
        machine.write("/etc/pretix/pretix.cfg", cfg_with(&secret));
        let words = ["/venv/bin/celery", "-A", "pretix.celery_app", "-b", &format!("redis://:{}@h/0", encoded(&secret))];
        machine.process(7, &words, Some(&[("HOME", "/var/pretix"), ("PRETIX_MAIL_PASSWORD", &secret)]));
        let text = said(&machine, &toml_with(&secret));
        prop_assert!(text.contains("tickets.example.org"), "{text}");
        prop_assert!(!shows(&text, &secret), "{secret}\n{text}");
    }

    #[test]
    fn no_mistake_shows_a_secret(secret in secret(), line in 1_usize..10, how in 0_usize..16) {
        let toml = toml_with(&secret);
        // `metrics_user` holds none; spoilt way 14 puts a secret behind keys that never hold one, and only URLs can be told.
        let mut lines: Vec<String> = toml.lines().map(ToOwned::to_owned).collect();
        prop_assume!(how != 14 || lines[line].contains("://"));
        lines[line] = spoilt(&lines[line], how);
        let text = said(&Machine::new(), &lines.join("\n"));
        prop_assert!(!shows(&text, &secret), "{secret}\n{}\n{text}", lines.join("\n"));
    }

    #[test]
    fn a_broken_application_file_shows_no_secret(secret in secret(), cut in 0_usize..200, noise in "[\\[\\]=: \n]{1,3}") {
        let machine = Machine::new();
        let mut text = cfg_with(&secret);
        // Not within the site's URL: noise there can make the login its host, which can't be told from one.
        let start = text.find("[database]").unwrap();
        let at = (start..=(start + cut).min(text.len())).rfind(|i| text.is_char_boundary(*i)).unwrap_or(start);
        text.insert_str(at, &noise);
        machine.write("/etc/pretix/pretix.cfg", &text);
        let said = said(&machine, "");
        prop_assert!(!shows(&said, &secret), "{secret}\n{text}\n{said}");
    }

    #[test]
    fn masking_keeps_every_byte_in_its_place(text in "(\\PC|[\n\r\t=\"'\\[\\]@#]|url|database_password|é|密){0,80}") {
        let masked = masked(&text);
        prop_assert_eq!(masked.len(), text.len());
        let breaks = |t: &str| t.match_indices('\n').map(|(i, _)| i).collect::<Vec<_>>();
        prop_assert_eq!(breaks(&masked), breaks(&text));
    }
}

#[test]
fn masking_shows_what_helps_and_no_more() {
    let cases = [
        ("[sites.\"a\"]", "[sites.\"a\"]"),
        ("url = \"https://a.org\"", "url = \"https://a.org\""),
        ("url = \"https://u:p@a.org\"", "url = \"*****************\""),
        ("metrics_password = '密é'", "metrics_password = '*****'"),
        ("  redis = \"5s\"", "  redis = \"5s\""),
        ("redis = \"redis://h/0\"", "redis = \"redis://h/0\""),
        ("database = \"hunter2\"", "database = \"*******\""),
        ("health = \"5 bananas\"", "health = \"5 bananas\""),
        ("disk_warning = 90", "disk_warning = 90"),
        ("title = \"x\" # was hunter2", "title = \"*\" * *** *******"),
        ("metrics_password \"hunter2\"", "metrics_password \"*******\""),
        ("hunter2", "*******"),
        ("# password: hunter2", "* ********* *******"),
        ("a = \"\"\"\nhunter2\n\"\"\"\n\ntitle = \"x\"", "a = \"\"\"\n*******\n\"\"\"\n\ntitle = \"x\""),
    ];
    for (text, shown) in cases {
        assert_eq!(masked(text), shown);
    }
}

#[test]
fn a_url_is_shown_without_what_may_be_a_secret() {
    let shown = |url: &str| without_login(&url::Url::parse(url).unwrap()).to_string();
    assert_eq!(shown("https://u:hunter2@a.org/metrics"), "https://a.org/metrics");
    assert_eq!(shown("https://a.org/metrics?token=hunter2#hunter2"), "https://a.org/metrics");
    assert_eq!(shown("https://=//u:hunter2@a.org"), "https://=/", "a slip that makes the login a path");
}

#[test]
fn the_program_shows_no_secret() {
    let dir = tempfile::TempDir::new().unwrap();
    let secret = "HunTer22;#%'\"é=Tr33house";
    let cfg = dir.path().join("pretix.cfg");
    std::fs::write(&cfg, cfg_with(secret)).unwrap();
    let good = dir.path().join("good.toml");
    std::fs::write(&good, toml_with(secret)).unwrap();
    let bad = dir.path().join("bad.toml");
    std::fs::write(&bad, toml_with(secret).replace("database_password =", "database_pasword =")).unwrap();
    for file in [good, bad] {
        for words in
            [["config", "check"], ["config", "show"], ["config", "path"], ["doctor", "-otext"], ["doctor", "-ojson"]]
        {
            let out = Command::new(env!("CARGO_BIN_EXE_midwatch"))
                .args(words)
                .arg("-c")
                .arg(&file)
                .arg("--app-config")
                .arg(&cfg)
                .env("HOME", dir.path())
                .env("MIDWATCH_STATE_DIR", dir.path().join("state"))
                .timeout(Duration::from_mins(1))
                .output()
                .unwrap();
            let said = [out.stdout, out.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            assert!(!said.is_empty() && !shows(&said, secret), "{words:?}\n{said}");
        }
    }
}
