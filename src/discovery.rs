//! Finds applications on this host by their own configuration, without being told anything: where pretix and pretalx
//! themselves look, and what the processes that run them say.
//!
//! Invariant: only reads; whatever can't be read is a [`Trace`] with the reason, never an end of the program. No secret
//! gets into a trace.

mod application;
mod process;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use application::describe;
pub use application::translated;
pub use settings::{Settings, SettingsError};

use crate::config::{AppKind, Found, SiteConfig, Trace};

/// What discovery can see of the machine; a test gives it a tree and an environment of its own.
#[derive(Debug, Clone, Default)]
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
#[derive(Debug, Clone)]
struct Candidate {
    app: AppKind,
    /// Read in this order; the last wins.
    files: Vec<PathBuf>,
    /// A file that was named must be there; one of the usual places need not.
    named: bool,
    env: BTreeMap<String, String>,
    cwd: PathBuf,
    direct: Option<String>,
    version: Option<String>,
    by: String,
}

/// Looks for applications: the file named on the command line, those the environment and the running processes name,
/// and the usual places.
pub fn discover(around: &Surroundings, app_config: Option<&Path>) -> Discovery {
    let mut out = Discovery::default();
    let processes = process::applications(around, &mut out.trail);
    let mut candidates = Vec::new();
    if let Some(path) = app_config {
        let path = around.cwd.join(path);
        let app = if path.to_string_lossy().contains("pretalx") { AppKind::Pretalx } else { AppKind::Pretix };
        candidates.push(candidate(around, app, vec![path], true, "--app-config"));
    }
    for app in [AppKind::Pretix, AppKind::Pretalx] {
        candidates.extend(usual(around, app));
    }
    candidates.extend(processes.iter().filter_map(|p| p.candidate(around)));
    let mut seen = BTreeSet::new();
    for mut candidate in candidates {
        let existing: Vec<PathBuf> = candidate.files.iter().filter(|f| around.at(f).exists()).cloned().collect();
        if existing.is_empty() && !candidate.named {
            continue;
        }
        if !existing.is_empty() && !seen.insert(existing.clone()) {
            continue;
        }
        // A process that runs with this very file knows the port past the proxy, the version and its environment.
        if let Some(process) = processes.iter().find(|p| p.reads(around, &candidate.files)) {
            process.lend(&mut candidate);
        }
        take(around, &candidate, &mut out);
    }
    if out.sites.is_empty() {
        let where_to =
            "neither in the environment, nor in /etc, home or working directory, nor named by a running process";
        let what_to_do = "name one with --app-config, or describe the site in midwatch.toml";
        let found = Found::No(format!("pretix.cfg or pretalx.cfg: {where_to}; {what_to_do}"));
        out.trail.push(Trace { what: "application".to_owned(), outcome: found });
    }
    out
}

fn take(around: &Surroundings, candidate: &Candidate, out: &mut Discovery) {
    let shown = candidate.files.last().map(|f| f.display().to_string()).unwrap_or_default();
    let name = if candidate.app == AppKind::Pretalx { "pretalx.cfg" } else { "pretix.cfg" };
    match Settings::read(around, &candidate.files, candidate.app, &candidate.env) {
        Ok(settings) => {
            let outcome = Found::Yes(format!("{shown} (by {})", candidate.by));
            out.trail.push(Trace { what: name.to_owned(), outcome });
            let taken = out.sites.iter().map(|s| s.id.0.clone()).collect();
            out.sites.extend(describe(candidate, &settings, &taken, &mut out.trail));
        }
        Err(error) => out.trail.push(Trace { what: name.to_owned(), outcome: Found::Broken(error.to_string()) }),
    }
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
