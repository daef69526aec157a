//! `midwatch config` and `doctor` as an operator calls them, the sample and the schema that ship.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;

use super::file::EVERY_KEY;

/// An operator's home with a `midwatch.toml`; nothing of this machine's own configuration is read.
struct Operator(TempDir);

impl Operator {
    fn new(text: &str) -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("midwatch.toml"), text).unwrap();
        Self(dir)
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_midwatch"))
            .args(["-c", "midwatch.toml"])
            .args(words)
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.0.path())
            .timeout(Duration::from_mins(1))
            .output()
            .unwrap()
    }

    /// The exit code and what was printed.
    fn says(&self, words: &[&str]) -> (i32, String) {
        let out = self.run(words);
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
    }
}

fn asset(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name)).unwrap()
}

const QUIET: &str = "discover = false\n[sites.a]\nurl = \"https://a.org\"\n";

#[test]
fn check_says_right_or_what_is_wrong() {
    let (code, said) = Operator::new(QUIET).says(&["config", "check"]);
    assert_eq!((code, said.as_str()), (0, "the configuration is right; 1 site watched\n"));
    let (code, said) = Operator::new("[pace]\nheath = \"5s\"\n").says(&["config", "check"]);
    assert_eq!(code, 2);
    for part in ["midwatch.toml:2:1", "2 | heath", "did you mean `health`?"] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn check_knows_keys_themes_and_roles() {
    let wrong = [
        ("[keys]\nqiut = \"x\"\n", "did you mean `quit`?"),
        ("[keys]\nquit = \"Ctrl-Alt-Nothing\"\n", "keys.quit: "),
        ("[look]\ntheme = \"drak\"\n", "there is no theme `drak`"),
        ("[look.roles]\ncritcal = \"red\"\n", "critcal"),
    ];
    for (text, part) in wrong {
        let (code, said) = Operator::new(&[QUIET, text].concat()).says(&["config", "check"]);
        assert_eq!(code, 2, "{text}{said}");
        assert!(said.contains(part) && said.contains("midwatch.toml:5:1"), "{text}{said}");
    }
    let (code, said) = Operator::new(&[QUIET, "[keys]\nquit = [\"x\", \"F9\"]\n"].concat()).says(&["config", "check"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn check_warns_of_what_is_missing_and_is_no_failure() {
    let text = format!("{QUIET}redis = {{ env = \"GONE\" }}\n");
    let (code, said) = Operator::new(&text).says(&["config", "check"]);
    assert_eq!(code, 0);
    assert!(said.starts_with("warning: a redis: the environment has no GONE\n"), "{said}");
}

#[test]
fn what_show_prints_can_be_read_back() {
    let text = EVERY_KEY.replace("{ env = \"DB_PASSWORD\" }", "\"hunter2\"").replace("/run/secrets/broker", "broker");
    let first = Operator::new(&format!(
        "{text}[look]\ncolor = \"256\"\n[look.roles]\ncritical = \"bold red\"\n[keys]\nquit = \"x\"\n"
    ));
    std::fs::write(first.0.path().join("broker"), "redis://:hunter2@h/2").unwrap();
    let (code, shown) = first.says(&["config", "show"]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("# metrics_password: [redacted]") && !shown.contains("hunter2"), "{shown}");
    let again = Operator::new(&format!("discover = false\n{shown}"));
    let (code, second) = again.says(&["config", "show"]);
    assert_eq!(code, 0, "{second}");
    let kept = |text: &str| -> Vec<String> {
        // A user without the password that isn't shown is no login.
        let holds = |l: &&str| !l.starts_with('#') && !l.starts_with("metrics_user") && !l.is_empty();
        text.lines().filter(holds).map(ToOwned::to_owned).collect()
    };
    assert_eq!(kept(&second), kept(&shown));
}

#[test]
fn path_names_every_file_and_directory() {
    let operator = Operator::new(QUIET);
    let (code, said) = operator.says(&["config", "path", "--state-dir", "state"]);
    assert_eq!(code, 0, "{said}");
    let at = |path: &str| operator.0.path().canonicalize().unwrap().join(path).display().to_string();
    assert!(said.contains(&format!("config  {} (there)", at("midwatch.toml"))), "{said}");
    assert!(said.contains(".config/midwatch/themes (not there)"), "{said}");
    assert!(said.contains(&format!("state   {}", at("state"))), "{said}");
    std::fs::remove_file(operator.0.path().join("midwatch.toml")).unwrap();
    let (code, said) = operator.says(&["config", "path"]);
    assert_eq!(code, 2);
    assert!(said.contains("midwatch.toml (not there)") && said.contains("No such file"), "{said}");
}

#[test]
fn doctor_tells_of_every_part_of_a_site() {
    let (code, said) = Operator::new(QUIET).says(&["doctor"]);
    assert_eq!(code, 0, "{said}");
    for part in
        ["ok     url            https://a.org/ (a)", "no     database       a database is not configured for this site"]
    {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let (code, _) = Operator::new("discover = false\n").says(&["doctor"]);
    assert_eq!(code, 3, "nothing to watch");
    let (code, said) = Operator::new(&format!("{QUIET}redis = {{ env = \"GONE\" }}\n")).says(&["doctor", "-ojson"]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, report["exit_code"].as_i64(), report["schema_version"].as_i64()), (1, Some(1), Some(1)));
}

#[test]
fn the_schema_is_the_one_that_ships() {
    let (code, said) = Operator::new(QUIET).says(&["config", "schema"]);
    assert_eq!(code, 0);
    assert!(said == asset("midwatch.schema.json"), "run: midwatch config schema > assets/midwatch.schema.json");
}

/// Every property of an object in the schema, wherever it is.
fn properties(schema: &serde_json::Value, name: &str) -> BTreeSet<String> {
    let at = if name.is_empty() { "/properties".to_owned() } else { format!("/$defs/{name}/properties") };
    let found = schema.pointer(&at).and_then(serde_json::Value::as_object);
    found.unwrap_or_else(|| panic!("{name} has no properties")).keys().cloned().collect()
}

#[test]
fn the_sample_is_right_and_names_every_key() {
    let sample = asset("midwatch.toml");
    let (code, said) = Operator::new(&format!("discover = false\n{sample}")).says(&["config", "check"]);
    assert_eq!((code, said.as_str()), (0, "the configuration is right; 0 sites watched\n"));
    let schema: serde_json::Value = serde_json::from_str(&asset("midwatch.schema.json")).unwrap();
    let words: BTreeSet<&str> = sample.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    for table in ["", "SiteFile", "ServiceFile", "PaceFile", "LookFile", "Thresholds"] {
        for key in properties(&schema, table) {
            assert!(words.contains(key.as_str()), "{key} of {table} is not in assets/midwatch.toml");
        }
    }
    for key in properties(&schema, "SiteFile") {
        assert!(EVERY_KEY.contains(&key) || key == "app_config", "{key} of a site has no test");
    }
}
