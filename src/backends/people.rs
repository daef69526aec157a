//! Who else is on the host: logins, other midwatches, package managers and people's work at the database.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::changes::{Entry, records};
use super::errand::{Answer, Errand};
use super::roll::{self, Proc, Users, base, only_starts, refusal};
use crate::config::Config;
use crate::domain::people::{PeopleReading, Presence, PresenceKind};
use crate::domain::reading::Seen;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;
use crate::ports::Observe;

/// How long the errand is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sessions of logind that are looked at.
const SESSIONS: usize = 200;

/// Programs that change a machine or a database while they run.
const CHANGING: &[&str] = &[
    "apt",
    "apt-get",
    "aptitude",
    "dpkg",
    "unattended-upgrade",
    "unattended-upgrades",
    "dnf",
    "yum",
    "rpm",
    "zypper",
    "pacman",
    "apk",
    "snap",
    "pip",
    "pip3",
    "uv",
    "npm",
    "certbot",
    "pg_restore",
    "pg_upgradecluster",
    "pg_upgrade",
    "ansible-playbook",
    "puppet",
    "chef-client",
    "salt-call",
    "docker-compose",
    "do-release-upgrade",
];
/// Commands of Django that change the schema or the files.
const DJANGO: &[&str] = &["migrate", "rebuild", "updateassets", "collectstatic", "updatestyles", "flush", "loaddata"];
/// Clients of databases that people sit at.
const CLIENTS: &[&str] = &["psql", "mysql", "mariadb", "redis-cli", "valkey-cli", "sqlite3", "mycli", "pgcli"];

/// Looks at it.
pub struct PeopleProbe {
    root: PathBuf,
    errand: Errand<PeopleReading>,
}

impl PeopleProbe {
    /// A probe for this configuration.
    pub fn new(_config: &Config) -> Self {
        Self { root: PathBuf::from("/"), errand: Errand::default() }
    }
}

fn look(root: &Path) -> PeopleReading {
    let mut reading = PeopleReading::default();
    let users = Users::read(root);
    let proc = root.join("proc");
    let found = roll::processes(&proc, |words| kind(words).is_some());
    let working: Vec<&Proc> = found.iter().filter(|p| !only_starts(&p.words)).collect();
    for process in &working {
        let Some(kind) = kind(&process.words) else { continue };
        // apt starts dpkg, which starts dpkg: the first of them is told.
        let parent = working.iter().find(|p| p.pid == process.parent);
        if parent.is_some_and(|p| self::kind(&p.words) == Some(kind)) {
            continue;
        }
        let what = if kind == PresenceKind::Midwatch { format!("midwatch {}", process.pid) } else { process.shown() };
        reading.people.push(Presence {
            who: users.name(process.uid),
            what,
            since: Some(process.started),
            kind,
            pid: Some(process.pid),
        });
    }
    let logins = logins(root, &mut reading.unseen);
    reading.people.extend(logins);
    reading.tidy();
    reading
}

fn kind(words: &[String]) -> Option<PresenceKind> {
    let program = words.first().map_or("", |word| base(word));
    let interpreted = program.starts_with("python") || program.starts_with("perl");
    let mut rest = words.iter().skip(usize::from(interpreted)).map(String::as_str);
    let told = rest.next().unwrap_or_default();
    let name = if interpreted && told == "-m" { rest.next().unwrap_or_default() } else { base(told) };
    let mut after = rest.filter(|word| !word.starts_with('-'));
    let first = after.next().unwrap_or_default();
    // Debian's and pip's names carry a version: `pip3.11`.
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let changing = match stem {
        "apt" | "apt-get" | "pip" | "uv" | "npm" | "snap" | "dnf" | "yum" => {
            // To look for a package changes nothing.
            !matches!(first, "list" | "show" | "search" | "policy" | "freeze" | "info" | "cache" | "run" | "check" | "")
        }
        "manage.py" | "django-admin" | "pretix" | "pretalx" => DJANGO.contains(&first),
        _ => CHANGING.contains(&name) || CHANGING.contains(&stem),
    };
    if changing {
        Some(PresenceKind::Change)
    } else if name == "midwatch" {
        Some(PresenceKind::Midwatch)
    } else {
        CLIENTS.contains(&stem).then_some(PresenceKind::Client)
    }
}

/// Everyone who is logged in: as utmp says, or logind where there is no utmp any more.
fn logins(root: &Path, unseen: &mut Vec<String>) -> Vec<Presence> {
    let proc = root.join("proc");
    match records(&root.join("run/utmp")) {
        Ok(found) => {
            let here = found.into_iter().filter(|r| r.entry == Entry::Login);
            // One whose process is gone was not logged out properly.
            let here = here.filter(|r| proc.join(r.pid.to_string()).exists());
            here.map(|r| login(r.user, &r.line, &r.host, Some(r.at), Some(r.pid))).collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => sessions(root, unseen),
        Err(error) => {
            unseen.extend(refusal("/run/utmp (who is logged in)", &error, "it is open to all by default"));
            Vec::new()
        }
    }
}

fn login(user: String, line: &str, host: &str, since: Option<Timestamp>, pid: Option<u32>) -> Presence {
    let line = if line.is_empty() { String::new() } else { [" on ", line].concat() };
    let from = if host.is_empty() { String::new() } else { [" from ", host].concat() };
    Presence { who: user, what: ["login", &line, &from].concat(), since, kind: PresenceKind::Login, pid }
}

/// `/run/systemd/sessions/*`: `KEY=value` lines that systemd-logind writes for all to read.
fn sessions(root: &Path, unseen: &mut Vec<String>) -> Vec<Presence> {
    let dir = root.join("run/systemd/sessions");
    let files = match roll::list(&dir, SESSIONS) {
        Ok(files) => files,
        Err(error) => {
            unseen.extend(refusal("/run/systemd/sessions (who is logged in)", &error, "run midwatch as root"));
            return Vec::new();
        }
    };
    let one = |path: &PathBuf| {
        // Beside each lies a pipe, which `text` refuses.
        let text = roll::text(path).ok()?;
        let get = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(plain(value.trim_matches('"'), 80))
        };
        if get("CLASS").is_some_and(|class| class != "user") || get("STATE").is_some_and(|state| state == "closing") {
            return None;
        }
        let since = get("REALTIME").and_then(|t| t.parse::<i64>().ok()).map(|t| Timestamp::from_millis(t / 1000));
        let pid = get("LEADER").and_then(|pid| pid.parse().ok());
        Some(login(get("USER")?, &get("TTY").unwrap_or_default(), &get("REMOTE_HOST").unwrap_or_default(), since, pid))
    };
    files.iter().filter_map(one).collect()
}

impl Observe for PeopleProbe {
    type Value = PeopleReading;

    async fn observe(&mut self) -> Seen<PeopleReading> {
        let root = self.root.clone();
        if let Err(error) = self.errand.begin(move || look(&root)) {
            return Seen::Failed(format!("Who is here can't be seen: no thread to be had ({error})."));
        }
        match self.errand.answer(Instant::now() + PATIENCE).await {
            Answer::Came(reading) => Seen::Value(reading),
            Answer::Waiting(since) => Seen::Failed(format!("/proc has not answered for {} s.", since.as_secs())),
            Answer::Lost => Seen::Failed("The look at who is here ended without an answer.".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{kind, look};
    use crate::domain::people::PresenceKind;

    #[test]
    fn what_changes_things_is_told_from_what_looks() {
        let of = |line: &str| kind(&line.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>());
        for line in [
            "apt-get install -y openssl",
            "/usr/bin/python3 /usr/bin/unattended-upgrade",
            "/v/bin/python3 -m pip install -U pretix",
            "/v/bin/python /v/bin/pip3.11 install pretix",
            "/v/bin/python -m pretix migrate",
            "python manage.py migrate --plan",
            "pg_restore -d pretix /b/pretix.dump",
        ] {
            assert_eq!(of(line), Some(PresenceKind::Change), "{line}");
        }
        for line in ["apt list --upgradable", "pip freeze", "/v/bin/python -m pretix runperiodic", "vim", "uv run x"] {
            assert_eq!(of(line), None, "{line}");
        }
        assert_eq!(of("psql -d pretix"), Some(PresenceKind::Client));
        assert_eq!(of("/usr/lib/postgresql/15/bin/psql pretix"), Some(PresenceKind::Client));
        assert_eq!(of("/usr/bin/midwatch record"), Some(PresenceKind::Midwatch));
    }

    #[test]
    fn sessions_of_logind_stand_in_for_utmp() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("run/systemd/sessions");
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir_all(root.path().join("proc")).unwrap();
        let session =
            "UID=1000\nUSER=an\nCLASS=user\nTTY=pts/1\nREMOTE_HOST=192.0.2.7\nREALTIME=1795220500000000\nLEADER=7\n";
        fs::write(dir.join("3"), session).unwrap();
        fs::write(dir.join("4"), "USER=root\nCLASS=manager\n").unwrap();
        let reading = look(root.path());
        assert_eq!(reading.people.len(), 1, "{reading:?}");
        let an = &reading.people[0];
        assert_eq!((an.who.as_str(), an.what.as_str()), ("an", "login on pts/1 from 192.0.2.7"));
        assert_eq!(an.since.map(crate::domain::time::Timestamp::as_secs), Some(1_795_220_500));
        assert!(reading.unseen.is_empty());
    }
}
