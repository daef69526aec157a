//! Processes of one kind, with their parents, users and beginnings, as the sources of changes, schedule and people need
//! them; and the small things those share: the time, users' names, the times of files.

#![expect(clippy::wildcard_enum_match_arm, reason = "all that is not named is told alike")]

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::command_line;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// More processes are not looked at.
const PROCESSES: usize = 50_000;
/// More of a command line is not read.
const LINE: u64 = 16 * 1024;
/// More of a file is not read as a whole.
const FILE: u64 = 1024 * 1024;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proc {
    /// Its id.
    pub(super) pid: u32,
    /// Its parent's.
    pub(super) parent: u32,
    /// Whose it is.
    pub(super) uid: u32,
    /// When it began.
    pub(super) started: Timestamp,
    /// Its command line.
    pub(super) words: Vec<String>,
}

impl Proc {
    /// Its command line, credentials masked.
    pub(super) fn shown(&self) -> String {
        command_line::shown(&self.words)
    }
}

/// Programs that only start another one, which is what counts.
const STARTERS: [&str; 15] = [
    "sudo", "su", "runuser", "setpriv", "env", "timeout", "flock", "nohup", "setsid", "nice", "ionice", "chronic",
    "cronic", "chrt", "doas",
];

/// Whether a command line is that of a program which only starts another one: `sh -c …`, `flock … python …`.
pub(super) fn only_starts(words: &[String]) -> bool {
    let program = words.first().map_or("", |word| base(word));
    let shell = matches!(program, "sh" | "bash" | "dash" | "ash" | "zsh" | "busybox");
    let script = words.iter().skip(1).take(2).any(|w| w.starts_with('-') && !w.starts_with("--") && w.contains('c'));
    (shell && script) || STARTERS.contains(&program)
}

/// The last part of a path; a login shell's name without its dash, a title's without its colon.
pub(super) fn base(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    name.trim_start_matches('-').trim_end_matches(':')
}

/// Every process whose command line is wanted, by id; never this one.
pub(super) fn processes(proc: &Path, wanted: impl Fn(&[String]) -> bool) -> Vec<Proc> {
    let Some(boot) = boot_time(proc) else { return Vec::new() };
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let own = std::process::id();
    let Ok(dir) = fs::read_dir(proc) else { return Vec::new() };
    let pids = dir.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut out: Vec<Proc> = pids
        .take(PROCESSES)
        .filter(|pid| *pid != own)
        .filter_map(|pid| {
            let dir = proc.join(pid.to_string());
            let words = words(&dir)?;
            if !wanted(&words) {
                return None;
            }
            let uid = fs::metadata(&dir).ok()?.uid();
            let stat = fs::read(dir.join("stat")).ok()?;
            let (parent, since_boot) = parse(&String::from_utf8_lossy(&stat), ticks)?;
            let started = Timestamp::from_millis(boot.as_millis().saturating_add(since_boot));
            Some(Proc { pid, parent, uid, started, words })
        })
        .collect();
    out.sort_by_key(|p| p.pid);
    out
}

/// The words of a command line: with a title set over it (`gunicorn: master [pretix.wsgi]`) those of the title.
fn words(dir: &Path) -> Option<Vec<String>> {
    let mut bytes = Vec::new();
    fs::File::open(dir.join("cmdline")).ok()?.take(LINE).read_to_end(&mut bytes).ok()?;
    let words: Vec<String> =
        bytes.split(|b| *b == 0).filter(|w| !w.is_empty()).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    match words.as_slice() {
        [] => None,
        [title] => {
            Some(title.split([' ', '[', ']', '(', ')']).filter(|w| !w.is_empty()).map(ToOwned::to_owned).collect())
        }
        _ => Some(words),
    }
}

/// The parent, and the beginning in milliseconds after boot; `/proc/PID/stat`, where the name may hold anything.
fn parse(stat: &str, ticks_per_s: u64) -> Option<(u32, i64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let ticks: u64 = fields.nth(17)?.parse().ok()?;
    Some((parent, i64::try_from(ticks.saturating_mul(1000) / ticks_per_s).ok()?))
}

/// When the machine was started.
pub(super) fn boot_time(proc: &Path) -> Option<Timestamp> {
    let stat = fs::read_to_string(proc.join("stat")).ok()?;
    let secs: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(Timestamp::from_millis(secs.saturating_mul(1000)))
}

/// Now.
pub(super) fn now() -> Timestamp {
    time(SystemTime::now())
}

/// A time of the file system.
pub(super) fn time(at: SystemTime) -> Timestamp {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// When a file was last written; a link's own time, not that of what it points to.
pub(super) fn written(path: &Path) -> Option<Timestamp> {
    fs::symlink_metadata(path).ok()?.modified().ok().map(time)
}

/// At most 1 MiB of a plain file, as text.
///
/// # Errors
/// As of [`crate::backends::plain::open`].
pub(super) fn text(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    crate::backends::plain::open(path)?.take(FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The paths in a directory, in order, at most `most`.
///
/// # Errors
/// As when it is opened.
pub(super) fn list(dir: &Path, most: usize) -> std::io::Result<Vec<PathBuf>> {
    let mut out: Vec<PathBuf> = fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).take(most).collect();
    out.sort();
    Ok(out)
}

/// A path as a test's tree shows it, as the machine would: without the root.
pub(super) fn shown(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).map_or_else(|_| path.to_owned(), |rest| Path::new("/").join(rest));
    plain(&path.display().to_string(), 200)
}

/// Users' names by number.
#[derive(Debug, Default)]
pub(super) struct Users(HashMap<u32, String>);

impl Users {
    /// Those of this machine.
    pub(super) fn read(root: &Path) -> Self {
        let passwd = text(&root.join("etc/passwd")).unwrap_or_default();
        let user = |line: &str| {
            let mut fields = line.split(':');
            let name = plain(fields.next()?, 32);
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        let mut out = HashMap::new();
        for (uid, name) in passwd.lines().filter_map(user) {
            out.entry(uid).or_insert(name);
        }
        Self(out)
    }

    /// The name of a user, or his number.
    pub(super) fn name(&self, uid: u32) -> String {
        self.0.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

/// A sentence for what this user may not read, with the grant that would open it; other errors are told as they are.
pub(super) fn refusal(what: &str, error: &std::io::Error, grant: &str) -> Option<String> {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => Some(format!("{what} can't be read by this user: {grant}.")),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => None,
        _ => Some(format!("{what} can't be read: {error}.")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Users, parse, processes, shown};

    #[test]
    fn a_name_in_stat_may_hold_anything() {
        let stat = "7 (a) R 1 2) S 3 7 7 0 -1 4194560 1 0 0 0 5 2 0 0 20 0 1 0 250 1000 12 18446744073709551615";
        assert_eq!(parse(stat, 100), Some((3, 2500)));
        assert_eq!(parse("7 (a", 100), None);
    }

    #[test]
    fn processes_are_read_from_a_tree_and_titles_are_split() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        fs::create_dir_all(proc.join("7")).unwrap();
        fs::write(proc.join("stat"), "cpu 1\nbtime 1000\n").unwrap();
        fs::write(proc.join("7/cmdline"), "gunicorn: master [pretix.wsgi]\0").unwrap();
        let stat = "7 (g) S 1 7 7 0 -1 4194560 1 0 0 0 5 2 0 0 20 0 1 0 250 1000 12 18446744073709551615";
        fs::write(proc.join("7/stat"), stat).unwrap();
        let found = processes(&proc, |words| words.first().is_some_and(|w| w == "gunicorn:"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].words, ["gunicorn:", "master", "pretix.wsgi"]);
        assert_eq!(found[0].parent, 1);
        assert!(processes(&proc, |_| false).is_empty());
    }

    #[test]
    fn users_have_names_and_paths_lose_their_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nbroken\nan:x:1000:1000::/:/bin/sh\n")
            .unwrap();
        let users = Users::read(root.path());
        assert_eq!((users.name(0), users.name(1000), users.name(7)), ("root".into(), "an".into(), "7".into()));
        assert_eq!(shown(root.path(), &root.path().join("etc/passwd")), "/etc/passwd");
        assert_eq!(shown(Path::new("/"), Path::new("/etc/x")), "/etc/x");
    }
}
