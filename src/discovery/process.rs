//! What running processes say: which of them are an application's, with which configuration file, on which port.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

use super::application::direct;
use super::trust::{Identity, bytes, contained};
use super::{Candidate, Surroundings, places};
use crate::config::{AppKind, Found, Trace};

/// More processes than these are not looked at.
const PROCESSES: usize = 20_000;
/// More of a command line or an environment is not read.
const MAX: u64 = 256 * 1024;

/// A process that runs an application. Its environment may hold secrets, so it has no `Debug`.
pub(super) struct Process {
    pid: u32,
    app: AppKind,
    words: Vec<String>,
    /// Its environment, home and working directory; `None`: they can't be read.
    inside: Option<Inside>,
}

struct Inside {
    env: BTreeMap<String, String>,
    cwd: PathBuf,
    identity: Identity,
}

/// Every process that runs pretix or pretalx, the oldest first. Those that can't be looked into are told in the trail.
pub(super) fn applications(around: &Surroundings, trail: &mut Vec<Trace>) -> Vec<Process> {
    let proc = around.at(Path::new("/proc"));
    let mut pids: Vec<u32> = std::fs::read_dir(&proc)
        .map(|dir| dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).take(PROCESSES).collect())
        .unwrap_or_default();
    pids.sort_unstable();
    let (inside_others, mut out): (Vec<Process>, Vec<Process>) = pids
        .into_iter()
        .filter_map(|pid| look(around, &proc, pid))
        .partition(|p| contained(around, &proc.join(p.pid.to_string())));
    tell_contained(&inside_others, trail);
    tell_refused(&out, around, trail);
    let hidden: Vec<&Process> = out.iter().filter(|p| p.inside.is_none()).collect();
    if let Some(first) = hidden.first() {
        let of = |app: AppKind| match hidden.iter().filter(|p| p.app == app).count() {
            0 => None,
            1 => Some(format!("1 process of {}", name(app))),
            n => Some(format!("{n} processes of {}", name(app))),
        };
        let which: Vec<String> = [AppKind::Pretix, AppKind::Pretalx, AppKind::Web].into_iter().filter_map(of).collect();
        let why = format!(
            "{} (the first is pid {}) can't be looked into by this user; as root, or as the application's user, the configuration would be found",
            which.join(" and "),
            first.pid
        );
        trail.push(Trace { what: "processes".to_owned(), outcome: Found::Broken(why) });
    }
    out.sort_by_key(|p| p.pid);
    out
}

fn tell_contained(processes: &[Process], trail: &mut Vec<Trace>) {
    for app in [AppKind::Pretix, AppKind::Pretalx] {
        let Some(first) = processes.iter().find(|p| p.app == app) else { continue };
        let (name, pid) = (name(app), first.pid);
        let why = format!(
            "process {pid} runs {name} in a container; name its {name}.cfg as this host sees it with --app-config, or describe the site in midwatch.toml"
        );
        trail.push(Trace { what: "processes".to_owned(), outcome: Found::No(why) });
    }
}

fn tell_refused(processes: &[Process], around: &Surroundings, trail: &mut Vec<Trace>) {
    for process in processes {
        let Some((uid, path)) = process.refused(around) else { continue };
        let path = crate::domain::text::plain(&path.display().to_string(), 200);
        let why = format!(
            "process {} of user {uid} names {path}, which that user may not read: nothing is read on its word; if it is right, name it with --app-config",
            process.pid
        );
        trail.push(Trace { what: "processes".to_owned(), outcome: Found::Broken(why) });
    }
}

fn name(app: AppKind) -> &'static str {
    match app {
        AppKind::Pretix => "pretix",
        AppKind::Pretalx => "pretalx",
        AppKind::Web => "web",
    }
}

fn look(around: &Surroundings, proc: &Path, pid: u32) -> Option<Process> {
    let dir = proc.join(pid.to_string());
    let words: Vec<String> = bytes(&dir.join("cmdline"), MAX)
        .ok()?
        .split(|b| *b == 0)
        .filter(|w| !w.is_empty())
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .collect();
    let words = match words.as_slice() {
        // With setproctitle the whole line is one word: `gunicorn: master [pretix.wsgi]`.
        [title] => title.split([' ', '[', ']', '(', ')']).filter(|w| !w.is_empty()).map(ToOwned::to_owned).collect(),
        _ => words,
    };
    let app = application(&words)?;
    Some(Process { pid, app, words, inside: inside(around, &dir) })
}

fn inside(around: &Surroundings, dir: &Path) -> Option<Inside> {
    let env = bytes(&dir.join("environ"), MAX).ok()?;
    let cwd = std::fs::read_link(dir.join("cwd")).ok()?;
    let identity = Identity::of(dir)?;
    let pair = |entry: &[u8]| {
        let (key, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        // A secret's file that the process couldn't open isn't opened for it.
        let refused = key.starts_with("FILE__") && !identity.may_read(around, &cwd.join(value));
        // What is checked is what will be opened: a relative path is that process's, not ours.
        let value = if key.starts_with("FILE__") { cwd.join(value).display().to_string() } else { value.to_owned() };
        (!refused).then(|| (key.to_owned(), value))
    };
    Some(Inside { env: env.split(|b| *b == 0).filter_map(pair).collect(), cwd, identity })
}

/// gunicorn, celery, or `python -m`, with the application as a word of its own: `pretix.wsgi`, `pretix.celery_app`, `-m pretix`.
fn application(words: &[String]) -> Option<AppKind> {
    let runs = |name: &str| {
        let base = |w: &String| Path::new(w).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let server = words
            .iter()
            .take(3)
            .map(base)
            .any(|w| w.starts_with("gunicorn") || w.starts_with("celery") || w.starts_with("uwsgi"));
        let module = words.windows(2).any(|w| matches!(w, [m, n] if m == "-m" && n == name));
        let named =
            |w: &String| w.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ':']) || rest.is_empty());
        module || (server && words.iter().any(named))
    };
    if runs("pretix") { Some(AppKind::Pretix) } else { runs("pretalx").then_some(AppKind::Pretalx) }
}

impl Process {
    /// Its id.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it runs this application.
    pub(super) fn is_of(&self, app: AppKind) -> bool {
        self.app == app
    }

    /// Whether it can be looked into.
    pub(super) const fn is_known(&self) -> bool {
        self.inside.is_some()
    }

    /// What of its environment configures the application.
    pub(super) fn own_env(&self) -> BTreeMap<String, String> {
        let prefix = format!("{}_", name(self.app).to_uppercase());
        let env = self.inside.iter().flat_map(|inside| inside.env.iter());
        let ours = env.filter(|(k, _)| k.strip_prefix("FILE__").unwrap_or(k).starts_with(&prefix));
        ours.map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The configuration files it reads, and whether it was told which; never one that it may not read itself.
    fn files(&self, around: &Surroundings) -> Option<(Vec<PathBuf>, bool)> {
        let inside = self.inside.as_ref()?;
        let (mut files, named) = self.claims()?;
        files.retain(|f| !around.at(f).exists() || inside.identity.may_read(around, f));
        (!files.is_empty()).then_some((files, named))
    }

    /// The configuration files it says it reads, and whether it was told which.
    fn claims(&self) -> Option<(Vec<PathBuf>, bool)> {
        let inside = self.inside.as_ref()?;
        let name = name(self.app);
        let variable = format!("{}_CONFIG_FILE", name.to_uppercase());
        Some(match inside.env.get(&variable) {
            Some(path) => (vec![inside.cwd.join(path)], true),
            None => (places(name, inside.env.get("HOME").map(Path::new), &inside.cwd), false),
        })
    }

    /// The user and the file, where it was told to read one that the user may not read.
    fn refused(&self, around: &Surroundings) -> Option<(u32, PathBuf)> {
        let (claims, named) = self.claims()?;
        let path = claims.into_iter().next().filter(|path| named && around.at(path).exists())?;
        self.files(around).is_none().then_some((self.inside.as_ref()?.identity.uid, path))
    }

    /// Whether it reads one of these files.
    pub(super) fn reads(&self, around: &Surroundings, files: &[PathBuf]) -> bool {
        let same = |a: &PathBuf, b: &PathBuf| {
            let (a, b) = (around.at(a), around.at(b));
            a == b || a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
        };
        self.files(around)
            .is_some_and(|(own, _)| own.iter().any(|o| around.at(o).exists() && files.iter().any(|f| same(o, f))))
    }

    /// As a candidate of its own.
    pub(super) fn candidate(&self, around: &Surroundings) -> Option<Candidate> {
        let (files, named) = self.files(around)?;
        let inside = self.inside.as_ref()?;
        // Without a file it may still be configured by its environment alone.
        let prefix = if self.app == AppKind::Pretalx { "PRETALX_DB_" } else { "PRETIX_DATABASE_" };
        let by_env = inside.env.keys().any(|k| k.strip_prefix("FILE__").unwrap_or(k).starts_with(prefix));
        Some(Candidate {
            app: self.app,
            files,
            named: named || by_env,
            env: inside.env.clone(),
            cwd: inside.cwd.clone(),
            direct: self.bind(),
            version: self.version(around),
            by: format!("process {}", self.pid),
        })
    }

    /// Gives a candidate found otherwise what only the process knows.
    pub(super) fn lend(&self, around: &Surroundings, candidate: &mut Candidate) {
        if let Some(inside) = &self.inside {
            let prefix = format!("{}_", name(self.app).to_uppercase());
            let ours =
                inside.env.iter().filter(|(k, _)| k.starts_with(&prefix) || k.starts_with(&format!("FILE__{prefix}")));
            candidate.env.extend(ours.map(|(k, v)| (k.clone(), v.clone())));
            candidate.env.extend(inside.env.get("DATA_DIR").map(|dir| ("DATA_DIR".to_owned(), dir.clone())));
            candidate.cwd.clone_from(&inside.cwd);
        }
        candidate.direct = candidate.direct.take().or_else(|| self.bind());
        candidate.version = candidate.version.take().or_else(|| self.version(around));
    }

    /// The words of its command line.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// Its working directory, where that can be seen.
    pub(super) fn cwd(&self) -> Option<&Path> {
        self.inside.as_ref().map(|inside| inside.cwd.as_path())
    }

    /// The first address gunicorn was told to listen on that can be asked over TCP.
    fn bind(&self) -> Option<Url> {
        // To others `-b` means something else: to celery its broker, with the password.
        if !self.words.iter().take(3).any(|w| Path::new(w).file_name().is_some_and(|n| n == "gunicorn")) {
            return None;
        }
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            let value = match word.as_str() {
                "-b" | "--bind" => words.next().cloned(),
                other => other.strip_prefix("--bind=").or_else(|| other.strip_prefix("-b")).map(ToOwned::to_owned),
            };
            if let Some(url) = value.as_deref().and_then(direct) {
                return Some(url);
            }
        }
        None
    }

    /// The application's version, from the metadata beside the Python that runs it.
    fn version(&self, around: &Surroundings) -> Option<String> {
        let programs = self
            .words
            .iter()
            .map(Path::new)
            .filter(|w| w.is_absolute() && w.parent().is_some_and(|p| p.ends_with("bin")));
        let libs = programs.filter_map(|program| Some(around.at(program).parent()?.parent()?.join("lib")));
        let mut packages = libs
            .filter_map(|lib| std::fs::read_dir(lib).ok())
            .flat_map(|dir| dir.filter_map(Result::ok).map(|e| e.path().join("site-packages")));
        let prefix = format!("{}-", name(self.app));
        let version = |dir: PathBuf| {
            let names = std::fs::read_dir(dir).ok()?.filter_map(|e| e.ok()?.file_name().into_string().ok());
            let mut found: Vec<String> = names
                .filter_map(|n| Some(n.strip_prefix(&prefix)?.strip_suffix(".dist-info")?.to_owned()))
                .filter(|v| v.starts_with(|c: char| c.is_ascii_digit()))
                .collect();
            found.pop()
        };
        packages.find_map(version)
    }
}
