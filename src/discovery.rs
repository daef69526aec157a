//! Finds applications on this host by their own configuration, without being told anything: where pretix and pretalx
//! themselves look, and what the processes that run them say.
//!
//! Invariant: only reads; whatever can't be read is a [`Trace`] with the reason, never an end of the program. No secret
//! gets into a trace.

mod application;
pub mod backups;
mod beside;
mod compose;
mod logs;
mod process;
mod running;
mod services;
mod settings;
pub mod socket;
mod supervised;
mod trust;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use application::describe;
pub use application::{broker_at, translated};
use process::Process;
pub use settings::{Settings, SettingsError};

use url::Url;

use crate::config::{AppKind, Found, SiteConfig, Trace};

/// What discovery can see of the machine; a test gives it a tree and an environment of its own.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Put before every absolute path that is looked at (`/` on a real machine).
    pub root: PathBuf,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The home directory, if there is one.
    pub home: Option<PathBuf>,
    /// The working directory.
    pub cwd: PathBuf,
}

// The environment may hold secrets.
impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("root", &self.root)
            .field("home", &self.home)
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let env: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let home = env.get("HOME").filter(|h| !h.is_empty()).map(PathBuf::from);
        Self {
            root: PathBuf::from("/"),
            env,
            home,
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        }
    }

    /// A path on this machine.
    pub fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Sites, each configuration file once.
    pub sites: Vec<SiteConfig>,
    /// What was looked for, and what came of it.
    pub trail: Vec<Trace>,
}

/// Where one application's configuration may be, and with which environment it is read.
#[derive(Clone)]
struct Candidate {
    app: AppKind,
    /// Read in this order; the last wins.
    files: Vec<PathBuf>,
    /// A file that was named must be there; one of the usual places need not.
    named: bool,
    env: BTreeMap<String, String>,
    cwd: PathBuf,
    direct: Option<Url>,
    version: Option<String>,
    by: String,
}

/// Looks for applications: the file named on the command line, those the environment and the running processes name,
/// and the usual places.
pub fn discover(around: &Surroundings, app_config: Option<&Path>) -> Discovery {
    let mut out = Discovery::default();
    let processes = process::applications(around, &mut out.trail);
    let mut candidates: Vec<Candidate> =
        app_config.map(|path| named(around, path, None, "--app-config")).into_iter().collect();
    candidates.extend(processes.iter().filter_map(|p| p.candidate(around)));
    let places: Vec<Candidate> =
        [AppKind::Pretix, AppKind::Pretalx].into_iter().filter_map(|app| usual(around, app)).collect();
    let looked_at: Vec<String> = places.iter().flat_map(|c| &c.files).map(|f| f.display().to_string()).collect();
    candidates.extend(places);
    let mut seen: Vec<BTreeSet<PathBuf>> = Vec::new();
    for candidate in candidates {
        // One that is there and can't be read is told; one that isn't there need not be.
        if !candidate.named && candidate.files.iter().all(|f| settings::absent(&around.at(f))) {
            continue;
        }
        // The same file may be reached by several names, and of several files by some more than by others.
        let real: BTreeSet<PathBuf> = candidate.files.iter().filter_map(|f| around.at(f).canonicalize().ok()).collect();
        let files = if real.is_empty() { candidate.files.iter().cloned().collect() } else { real };
        if !seen.iter().any(|known| known.is_subset(&files) || known.is_superset(&files)) {
            seen.push(files);
            take(around, candidate, &processes, &mut out);
        }
    }
    let machine = services::Machine::look(around, &processes, &mut out.trail);
    machine.add_stacks(&mut out.sites, &mut out.trail);
    services::attach(&machine, &mut out.sites, &mut out.trail);
    if out.sites.is_empty() {
        let found = Found::No(format!(
            "neither at {}, nor named by a running process; name one with --app-config, or describe the site in midwatch.toml",
            looked_at.join(", ")
        ));
        out.trail.push(Trace { what: "application".to_owned(), outcome: found });
    }
    out
}

/// The login for a supervisord that listens there, from its configuration at a usual place.
pub(crate) fn supervisor_login(
    around: &Surroundings,
    listens: &crate::config::Listener,
) -> Option<(String, secrecy::SecretString)> {
    let known = supervised::supervised(around, &running::running(around), &mut Vec::new());
    known.into_iter().find(|s| s.at.listens == *listens)?.at.login
}

/// A process that runs an application with a certain configuration. It knows that one's environment, so it has no `Debug`.
pub(crate) struct Runner(Process);

impl Runner {
    /// Its id.
    pub(crate) const fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Its environment, as far as it is the application's own.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        self.0.own_env()
    }
}

/// The processes that run an application with one of these configuration files, and how many of that application can't
/// be looked into.
pub(crate) fn runners(around: &Surroundings, app: AppKind, files: &[PathBuf]) -> (Vec<Runner>, usize) {
    let all = process::applications(around, &mut Vec::new()).into_iter().filter(|p| p.is_of(app));
    let (known, hidden): (Vec<Process>, Vec<Process>) = all.partition(Process::is_known);
    (known.into_iter().filter(|p| p.reads(around, files)).map(Runner).collect(), hidden.len())
}

/// The one application with this configuration file, whatever else there is.
pub fn application(around: &Surroundings, app_config: &Path, app: Option<AppKind>) -> Discovery {
    let mut out = Discovery::default();
    let processes = process::applications(around, &mut out.trail);
    take(around, named(around, app_config, app, "app_config"), &processes, &mut out);
    // What the first look told of the machine need not be told again.
    let machine = services::Machine::look(around, &processes, &mut Vec::new());
    services::attach(&machine, &mut out.sites, &mut out.trail);
    out
}

fn take(around: &Surroundings, mut candidate: Candidate, processes: &[Process], out: &mut Discovery) {
    // A process that runs with this very file knows the port past the proxy, the version and its environment.
    let files = candidate.files.clone();
    for process in processes.iter().filter(|p| p.reads(around, &files)) {
        process.lend(around, &mut candidate);
    }
    let name = if candidate.app == AppKind::Pretalx { "pretalx.cfg" } else { "pretix.cfg" };
    match Settings::read(around, &candidate.files, candidate.app, &candidate.env) {
        Ok(settings) => {
            let read: Vec<String> = settings.files().iter().map(|f| f.display().to_string()).collect();
            let shown = if read.is_empty() { "its environment alone".to_owned() } else { read.join(", then ") };
            let outcome = Found::Yes(format!("{shown} (by {})", candidate.by));
            out.trail.push(Trace { what: name.to_owned(), outcome });
            let passed_over = settings.passed_over().map(Found::Broken);
            out.trail.extend(passed_over.map(|outcome| Trace { what: name.to_owned(), outcome }));
            let taken = out.sites.iter().map(|s| s.id.0.clone()).collect();
            let mut site = describe(&candidate, &settings, &taken, &mut out.trail);
            if let Some(site) = &mut site {
                let own: Vec<&Process> = processes.iter().filter(|p| p.reads(around, &files)).collect();
                let data_dir = site.data_dir.clone().unwrap_or_default();
                site.logs = logs::logs(around, &data_dir, &own, &beside::Stands::on(site), &mut out.trail);
            }
            out.sites.extend(site);
        }
        Err(error) => out.trail.push(Trace { what: name.to_owned(), outcome: Found::Broken(error.to_string()) }),
    }
}

/// A file that somebody named. Which application it belongs to is told, or else seen by its name.
fn named(around: &Surroundings, path: &Path, app: Option<AppKind>, by: &str) -> Candidate {
    let path = around.cwd.join(path);
    let told = app.filter(|app| *app != AppKind::Web);
    let pretalx = path.to_string_lossy().contains("pretalx");
    let app = told.unwrap_or(if pretalx { AppKind::Pretalx } else { AppKind::Pretix });
    candidate(around, app, vec![path], true, by)
}

fn candidate(around: &Surroundings, app: AppKind, files: Vec<PathBuf>, named: bool, by: &str) -> Candidate {
    Candidate {
        app,
        files,
        named,
        env: around.env.clone(),
        cwd: around.cwd.clone(),
        direct: None,
        version: None,
        by: by.to_owned(),
    }
}

/// The places an application itself looks at (pretix' `settings.py`: the environment variable alone, or `/etc`, home and
/// working directory, the last winning; pretalx adds its source directory).
fn usual(around: &Surroundings, app: AppKind) -> Option<Candidate> {
    let (variable, name) = match app {
        AppKind::Pretix => ("PRETIX_CONFIG_FILE", "pretix"),
        AppKind::Pretalx => ("PRETALX_CONFIG_FILE", "pretalx"),
        AppKind::Web => return None,
    };
    if let Some(path) = around.var(variable) {
        return Some(candidate(around, app, vec![around.cwd.join(path)], true, variable));
    }
    Some(candidate(around, app, places(name, around.home.as_deref(), &around.cwd), false, "its usual place"))
}

fn places(name: &str, home: Option<&Path>, cwd: &Path) -> Vec<PathBuf> {
    let mut out = vec![PathBuf::from(format!("/etc/{name}/{name}.cfg"))];
    out.extend(home.map(|h| h.join(format!(".{name}.cfg"))));
    out.push(cwd.join(format!("{name}.cfg")));
    out
}

#[cfg(test)]
mod tests;
