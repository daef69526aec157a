//! supervisord's configuration: where it listens, and which programs it runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::Surroundings;
use super::running::{Running, is_supervisord};
use super::trust::{Identity, bytes};
use crate::config::{Found, Listener, SupervisorPlace, Trace};

const PLACES: [&str; 3] =
    ["/etc/supervisor/supervisord.conf", "/etc/supervisord.conf", "/usr/local/etc/supervisord.conf"];
/// More of a file is not read; more files are not included.
const LENGTH: u64 = 256 * 1024;
const INCLUDED: usize = 200;

/// One supervisord.
#[derive(Debug, Clone)]
pub(super) struct Supervised {
    /// Its configuration.
    pub(super) path: PathBuf,
    /// Its process, where it runs.
    pub(super) pid: Option<u32>,
    /// Where it listens.
    pub(super) at: SupervisorPlace,
    /// Its programs.
    pub(super) programs: Vec<Program>,
}

/// A program of its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) words: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
}

/// Sections of an INI file, in the order of the files.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// Every supervisord that runs, and the one whose configuration is at a usual place.
pub(super) fn supervised(around: &Surroundings, running: &[Running], trail: &mut Vec<Trace>) -> Vec<Supervised> {
    let mut out: Vec<Supervised> = Vec::new();
    let named = running.iter().filter(|p| is_supervisord(&p.words)).map(|p| (named(p, around), Some(p)));
    let usual = PLACES.iter().map(|path| (Some(PathBuf::from(path)), None));
    for (path, process) in named.chain(usual) {
        let Some(path) = path.or_else(|| PLACES.iter().map(PathBuf::from).find(|p| around.at(p).exists())) else {
            continue;
        };
        if out.iter().any(|known| known.path == path) || !around.at(&path).exists() {
            continue;
        }
        let proc = process.map(|p| around.at(Path::new("/proc")).join(p.pid.to_string()));
        let trusted = proc.is_none_or(|proc| Identity::of(&proc).is_some_and(|who| who.may_read(around, &path)));
        let what = || "supervisor".to_owned();
        if !trusted {
            let why = format!("{} is named by a process that may not read it: not read on its word", path.display());
            trail.push(Trace { what: what(), outcome: Found::Broken(why) });
            continue;
        }
        match read(around, &path) {
            Ok(sections) => match place(&sections) {
                Some(at) => {
                    out.push(Supervised { path, pid: process.map(|p| p.pid), at, programs: programs(&sections) });
                }
                None => trail.push(Trace {
                    what: what(),
                    outcome: Found::No(format!(
                        "{} has no [unix_http_server] and no [inet_http_server]: supervisord can't be asked",
                        path.display()
                    )),
                }),
            },
            Err(error) => {
                let why = format!("{}: {error}; as root it could be read", path.display());
                trail.push(Trace { what: what(), outcome: Found::Broken(why) });
            }
        }
    }
    out
}

/// The configuration that a supervisord was told: `-c PATH`, `--configuration=PATH`.
fn named(process: &Running, around: &Surroundings) -> Option<PathBuf> {
    let mut words = process.words.iter();
    let path = loop {
        let word = words.next()?;
        match word.as_str() {
            "-c" | "--configuration" => break words.next()?.clone(),
            other => {
                if let Some(path) = other.strip_prefix("--configuration=").or_else(|| other.strip_prefix("-c")) {
                    break path.to_owned();
                }
            }
        }
    };
    let cwd = std::fs::read_link(around.at(Path::new("/proc")).join(process.pid.to_string()).join("cwd"));
    Some(cwd.unwrap_or_else(|_| PathBuf::from("/")).join(path))
}

fn read(around: &Surroundings, path: &Path) -> std::io::Result<Sections> {
    let mut sections = Sections::new();
    take(&String::from_utf8_lossy(&bytes(&around.at(path), LENGTH)?), &mut sections);
    let patterns = sections.get("include").and_then(|s| s.get("files")).cloned().unwrap_or_default();
    let base = path.parent().unwrap_or(Path::new("/"));
    let files = patterns.split_ascii_whitespace().flat_map(|pattern| matching(around, &base.join(pattern)));
    for file in files.take(INCLUDED) {
        if let Ok(text) = bytes(&around.at(&file), LENGTH) {
            take(&String::from_utf8_lossy(&text), &mut sections);
        }
    }
    Ok(sections)
}

/// The files of a pattern with at most one `*`, in its last part.
fn matching(around: &Surroundings, pattern: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|n| n.to_str())) else {
        return Vec::new();
    };
    let Some((before, after)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let entries = std::fs::read_dir(around.at(dir)).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    let mut out: Vec<PathBuf> = names
        .filter(|n| n.len() >= before.len() + after.len() && n.starts_with(before) && n.ends_with(after))
        .map(|n| dir.join(n))
        .collect();
    out.sort();
    out
}

fn take(text: &str, sections: &mut Sections) {
    let (mut section, mut last) = (String::new(), None::<String>);
    for line in text.lines() {
        let trimmed = line.split(" ;").next().unwrap_or_default().trim();
        if trimmed.is_empty() || trimmed.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
            last = None;
        } else if line.starts_with([' ', '\t'])
            && let Some(value) = last.as_ref().and_then(|key| sections.get_mut(&section)?.get_mut(key))
        {
            value.push(' ');
            value.push_str(trimmed);
        } else if let Some((key, value)) = trimmed.split_once('=') {
            let key = key.trim().to_owned();
            sections.entry(section.clone()).or_default().insert(key.clone(), value.trim().to_owned());
            last = Some(key);
        }
    }
}

fn place(sections: &Sections) -> Option<SupervisorPlace> {
    let get = |section: &str, key: &str| sections.get(section)?.get(key).filter(|v| !v.is_empty()).cloned();
    let (section, listens) = if let Some(file) = get("unix_http_server", "file") {
        ("unix_http_server", Listener::Unix(PathBuf::from(file)))
    } else {
        let port = get("inet_http_server", "port")?;
        let (host, port) = port.rsplit_once(':').unwrap_or(("", &port));
        let host = if matches!(host, "" | "*" | "0.0.0.0") { "127.0.0.1" } else { host };
        ("inet_http_server", Listener::Tcp(format!("{host}:{port}")))
    };
    let login = get(section, "username").zip(get(section, "password").map(SecretString::from));
    Some(SupervisorPlace { listens, login })
}

fn programs(sections: &Sections) -> Vec<Program> {
    let words = |text: &str| -> Vec<String> {
        text.split_ascii_whitespace().map(|w| w.trim_matches(['"', '\'']).to_owned()).collect()
    };
    let program = |(section, keys): (&String, &BTreeMap<String, String>)| {
        let env = keys.get("environment").map_or("", String::as_str).split(',').filter_map(|pair| pair.split_once('='));
        Some(Program {
            name: section.strip_prefix("program:")?.to_owned(),
            words: words(keys.get("command").map_or("", String::as_str)),
            env: env.map(|(k, v)| (k.trim().to_owned(), v.trim().trim_matches(['"', '\'']).to_owned())).collect(),
        })
    };
    sections.iter().filter_map(program).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::supervised;
    use crate::config::Listener;
    use crate::discovery::Surroundings;

    #[test]
    fn the_usual_configuration_is_read_with_what_it_includes() {
        let tree = tempfile::tempdir().unwrap();
        let dir = tree.path().join("etc/supervisor/conf.d");
        fs::create_dir_all(&dir).unwrap();
        let main = "; comment\n[unix_http_server]\nfile=/run/supervisor.sock ; the socket\nusername = u\npassword = p\n\
                    [include]\nfiles = /etc/supervisor/conf.d/*.conf\n";
        fs::write(tree.path().join("etc/supervisor/supervisord.conf"), main).unwrap();
        let web = "[program:web]\ncommand=/srv/v/bin/gunicorn pretix.wsgi\n  --name x\n\
                   environment=PRETIX_CONFIG_FILE=\"/srv/a.cfg\",HOME=/srv\n";
        fs::write(dir.join("a.conf"), web).unwrap();
        fs::write(dir.join("b.conf.old"), "[program:old]\ncommand=x\n").unwrap();
        let around = Surroundings { root: tree.path().to_owned(), ..Surroundings::default() };
        let mut trail = Vec::new();
        let found = supervised(&around, &[], &mut trail);
        assert!(trail.is_empty(), "{trail:?}");
        let [one] = found.as_slice() else { panic!("one") };
        assert_eq!(one.at.listens, Listener::Unix(PathBuf::from("/run/supervisor.sock")));
        assert!(one.at.login.is_some());
        let [program] = one.programs.as_slice() else { panic!("one program") };
        assert_eq!(program.name, "web");
        assert_eq!(program.words, ["/srv/v/bin/gunicorn", "pretix.wsgi", "--name", "x"]);
        assert_eq!(program.env.get("PRETIX_CONFIG_FILE").map(String::as_str), Some("/srv/a.cfg"));
    }

    #[test]
    fn one_that_does_not_listen_is_told() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("etc")).unwrap();
        fs::write(tree.path().join("etc/supervisord.conf"), "[supervisord]\nx=1\n").unwrap();
        let around = Surroundings { root: tree.path().to_owned(), ..Surroundings::default() };
        let mut trail = Vec::new();
        assert!(supervised(&around, &[], &mut trail).is_empty());
        assert_eq!(trail.len(), 1);
    }
}
