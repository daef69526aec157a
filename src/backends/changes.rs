//! What changed on the host: packages, versions, units, configuration, reboots, logins, services that were started.
//!
//! Only logs and times of files are read, logs from their end; what midwatch itself sees to change between two looks is
//! told with that time.

mod files;
mod logins;
mod packages;
mod starts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::files::Files;
use self::starts::Starts;
use super::app_state::install::{self, Installed};
use super::errand::{Answer, Errand};
use super::roll;
use crate::config::{AppKind, Config};
use crate::domain::change::{Change, ChangeKind, ChangesReading, Known};
use crate::domain::reading::Seen;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::ports::Observe;

pub(super) use logins::{Entry, records};
pub(super) use packages::tail;

/// How long the errand is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Changes of versions and kills that were seen and are kept.
const SEEN: usize = 50;

/// Looks at it.
pub struct ChangesProbe {
    plan: Arc<Plan>,
    looker: Option<Looker>,
    errand: Errand<(Looker, ChangesReading)>,
}

/// What there is to look at.
struct Plan {
    root: PathBuf,
    /// Files beside the usual ones: the sites' own configuration.
    beside: Vec<(PathBuf, ChangeKind)>,
    /// The sites' applications, with where they may be installed.
    apps: Vec<(AppKind, Vec<PathBuf>)>,
}

/// What looks, on a thread of its own, and what it remembers.
#[derive(Default)]
struct Looker {
    files: Files,
    starts: Starts,
    versions: BTreeMap<PathBuf, Installed>,
    kills: Option<u64>,
    seen: Vec<Change>,
}

impl ChangesProbe {
    /// A probe for this configuration.
    pub fn new(config: &Config) -> Self {
        let mut beside = Vec::new();
        let mut apps = Vec::new();
        for site in &config.sites {
            beside.extend(site.source.iter().map(|path| (path.clone(), ChangeKind::Config)));
            let near: Vec<&Path> = site.data_dir.iter().chain(&site.source).map(PathBuf::as_path).collect();
            // The variables and the Compose file that stand beside it.
            if let Some(dir) = site.source.as_deref().and_then(Path::parent) {
                let names = [".env", "docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml"];
                beside.extend(names.map(|name| (dir.join(name), ChangeKind::Config)));
            }
            apps.push((site.app, install::usual(site.app, &near)));
        }
        beside.sort();
        beside.dedup();
        Self::of(Plan { root: PathBuf::from("/"), beside, apps })
    }

    fn of(plan: Plan) -> Self {
        Self { plan: Arc::new(plan), looker: None, errand: Errand::default() }
    }
}

impl Looker {
    fn look(&mut self, plan: &Plan, now: Timestamp) -> ChangesReading {
        let mut reading = ChangesReading::default();
        let (root, unseen) = (plan.root.as_path(), &mut reading.unseen);
        let reboot = roll::text(&root.join("run/reboot-required.pkgs")).unwrap_or_default();
        let reboot: Vec<String> = reboot.lines().map(|line| text::plain(line, 60)).collect();
        let mut found = packages::changes(root, &reboot, unseen);
        found.extend(logins::logins(root, unseen));
        found.extend(logins::commands(root, now, unseen));
        found.extend(self.files.look(root, &plan.beside, now, unseen));
        found.extend(self.starts.look(root, now));
        found.extend(self.versions(plan));
        self.kills(root, now);
        // wtmp knows more starts than this one, where it is kept.
        let boot = roll::boot_time(&root.join("proc"));
        let known = |boot: Timestamp| {
            found.iter().any(|c| c.kind == ChangeKind::Boot && c.at.as_secs().abs_diff(boot.as_secs()) < 120)
        };
        if let Some(boot) = boot.filter(|boot| !known(*boot)) {
            found.push(Change::new(boot, ChangeKind::Boot, "the machine was started".to_owned(), Known::Logged));
        }
        found.extend(self.seen.iter().cloned());
        reading.changes = found;
        reading.tidy(now);
        reading
    }

    /// When the applications were installed; of one whose version changes while midwatch looks, from what to what.
    fn versions(&mut self, plan: &Plan) -> Vec<Change> {
        let mut out = Vec::new();
        let wanted =
            |words: &[String]| words.iter().take(8).any(|w| ["pretix", "pretalx"].iter().any(|app| w.starts_with(app)));
        let running = roll::processes(&plan.root.join("proc"), wanted);
        let places: Vec<PathBuf> = running.iter().flat_map(|p| install::environments(&p.words)).collect();
        for (app, usual) in &plan.apps {
            let Some(name) = install::package(*app) else { continue };
            for place in places.iter().chain(usual) {
                let Some(found) = install::find(&plan.root, *app, std::slice::from_ref(place)) else { continue };
                let before = self.versions.insert(found.packages.clone(), found.clone());
                if let Some(before) = before.filter(|before| before.version != found.version) {
                    let text =
                        format!("{name} {} → {} in {}", before.version, found.version, roll::shown(&plan.root, place));
                    self.seen.push(Change::new(found.at, ChangeKind::App, text, Known::Seen));
                }
                let told = self.seen.iter().any(|c| c.kind == ChangeKind::App && c.at == found.at);
                let text = format!("{name} {} was installed in {}", found.version, roll::shown(&plan.root, place));
                let change = Change::new(found.at, ChangeKind::App, text, Known::File);
                if !told && !out.contains(&change) {
                    out.push(change);
                }
            }
        }
        out
    }

    /// What the kernel killed for want of memory since the last look.
    fn kills(&mut self, root: &Path, now: Timestamp) {
        let stat = std::fs::read_to_string(root.join("proc/vmstat")).unwrap_or_default();
        let kills = stat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
        if let (Some(before), Some(kills)) = (self.kills, kills)
            && kills > before
        {
            let what = text::count(kills - before, "process").replace("processs", "processes");
            let text = format!("the kernel killed {what} for want of memory");
            self.seen.push(Change::new(now, ChangeKind::Kill, text, Known::Seen));
        }
        self.kills = kills.or(self.kills);
        let surplus = self.seen.len().saturating_sub(SEEN);
        self.seen.drain(..surplus);
    }
}

impl Observe for ChangesProbe {
    type Value = ChangesReading;

    async fn observe(&mut self) -> Seen<ChangesReading> {
        if !self.errand.is_under_way() {
            let (mut looker, plan) = (self.looker.take().unwrap_or_default(), Arc::clone(&self.plan));
            let begun = self.errand.begin(move || {
                let reading = looker.look(&plan, roll::now());
                (looker, reading)
            });
            if let Err(error) = begun {
                return Seen::Failed(format!("Changes can't be looked at: no thread to be had ({error})."));
            }
        }
        match self.errand.answer(Instant::now() + PATIENCE).await {
            Answer::Came((looker, reading)) => {
                self.looker = Some(looker);
                Seen::Value(reading)
            }
            Answer::Waiting(since) => Seen::Failed(format!("A disk has not answered for {} s.", since.as_secs())),
            Answer::Lost => Seen::Failed("The look at changes ended without an answer.".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Looker, Plan};
    use crate::backends::roll;
    use crate::config::AppKind;
    use crate::domain::change::{ChangeKind, Known};

    #[test]
    fn a_new_version_is_told_from_what_to_what_and_kills_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let packages = root.path().join("srv/v/lib/python3.11/site-packages");
        let install = |version: &str| {
            let dir = packages.join(format!("pretix-{version}.dist-info"));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("RECORD"), "").unwrap();
        };
        let kernel = |kills: u32| {
            fs::create_dir_all(root.path().join("proc")).unwrap();
            fs::write(root.path().join("proc/vmstat"), format!("pgfault 7\noom_kill {kills}\n")).unwrap();
            fs::write(root.path().join("proc/stat"), "btime 1795230000\n").unwrap();
        };
        install("2026.7.0");
        kernel(3);
        let plan = Plan {
            root: root.path().to_owned(),
            beside: Vec::new(),
            apps: vec![(AppKind::Pretix, vec!["/srv/v".into()])],
        };
        let mut looker = Looker::default();
        let first = looker.look(&plan, roll::now());
        let of = |kind: ChangeKind, reading: &crate::domain::change::ChangesReading| {
            reading.changes.iter().filter(|c| c.kind == kind).map(|c| (c.how, c.text.clone())).collect::<Vec<_>>()
        };
        assert_eq!(of(ChangeKind::App, &first), [(Known::File, "pretix 2026.7.0 was installed in /srv/v".to_owned())]);
        assert_eq!(of(ChangeKind::Kill, &first), []);
        fs::remove_dir_all(packages.join("pretix-2026.7.0.dist-info")).unwrap();
        install("2026.8.0");
        kernel(5);
        let second = looker.look(&plan, roll::now());
        assert_eq!(of(ChangeKind::App, &second), [(Known::Seen, "pretix 2026.7.0 → 2026.8.0 in /srv/v".to_owned())]);
        let kills = [(Known::Seen, "the kernel killed 2 processes for want of memory".to_owned())];
        assert_eq!(of(ChangeKind::Kill, &second), kills);
    }
}
