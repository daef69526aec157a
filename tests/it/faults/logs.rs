//! Faults that are seen in the logs: a process writes what the programs write, into files that are read like theirs.
//! The windows are shortened in the configuration, so that a fault is seen to go.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use midwatch::domain::log::{LogReading, Severity};
use midwatch::triage::Finding;

use crate::support::eyes::Eyes;

/// A site of which only logs are known.
struct Logged {
    dir: tempfile::TempDir,
    eyes: Eyes,
}

const SITE: &str = "shop";

impl Logged {
    fn open(logs: &[&str], more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = format!(
            "discover = false\n[pace]\nlogs = \"1s\"\nhealth = \"1h\"\n[thresholds]\nlog_window_s = 4\n{more}\n[sites.{SITE}]\nurl = \"http://127.0.0.1:9/\"\n"
        );
        for log in logs {
            let path = dir.path().join(log);
            config.push_str(&format!("[[sites.{SITE}.logs]]\npath = \"{}\"\n", path.display()));
            std::fs::write(path, "").unwrap();
        }
        let eyes = Eyes::open(dir.path(), &config);
        Self { dir, eyes }
    }

    fn path(&self, log: &str) -> PathBuf {
        self.dir.path().join(log)
    }

    /// A process writes these rows.
    fn write(&self, log: &str, rows: &str) {
        let file = OpenOptions::new().append(true).open(self.path(log)).unwrap();
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).stdout(file).spawn().unwrap();
        child.stdin.take().unwrap().write_all(rows.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Whether a finding has this rule; `web-unreachable` is there too, for nothing listens at the site.
    async fn until(&mut self, rule: &str) -> Finding {
        self.eyes.until(rule, |m| all(&m.findings).any(|f| f.rule == rule)).await;
        all(&self.eyes.model.findings).find(|f| f.rule == rule).unwrap().clone()
    }

    fn reading(&self) -> &LogReading {
        self.eyes.model.sites[0].logs.value().unwrap()
    }
}

fn all(findings: &[Finding]) -> Box<dyn Iterator<Item = &Finding> + '_> {
    Box::new(findings.iter().flat_map(|f| std::iter::once(f).chain(all(&f.symptoms))))
}

/// The time as Python's logging writes it, a while ago.
fn stamp(pattern: &str, ago_s: i64) -> String {
    (jiff::Zoned::now() - jiff::Span::new().seconds(ago_s)).strftime(pattern).to_string()
}

fn gunicorn(level: &str, text: &str) -> String {
    format!("[{}] [21015] [{level}] {text}\n", stamp("%Y-%m-%d %H:%M:%S %z", 0))
}
