//! Files whose change can break a site: configuration, units, crontabs, certificates. Their times, and what is seen to
//! come, go and change between two looks.

#![expect(clippy::wildcard_enum_match_arm, reason = "all that is not named is told alike")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::backends::nginx;
use crate::backends::roll;
use crate::domain::change::{Change, ChangeKind, Known};
use crate::domain::time::Timestamp;

/// Files that are looked at.
const FILES: usize = 4_000;
/// Entries of one directory.
const ENTRIES: usize = 500;
/// More files than these of one directory, written within a minute, are told as one change.
const ALONE: usize = 2;
/// Files written within this time of each other were written together, in seconds.
const TOGETHER_S: u64 = 60;

/// Directories with the kind of what is in them, and how deep it is looked; `*` is any one name.
const PLACES: &[(&str, ChangeKind, usize)] = &[
    ("etc/systemd/system", ChangeKind::Unit, 1),
    ("root/.config/systemd/user", ChangeKind::Unit, 1),
    ("home/*/.config/systemd/user", ChangeKind::Unit, 1),
    ("etc/cron.d", ChangeKind::Schedule, 0),
    ("etc/cron.hourly", ChangeKind::Schedule, 0),
    ("etc/cron.daily", ChangeKind::Schedule, 0),
    ("etc/cron.weekly", ChangeKind::Schedule, 0),
    ("etc/cron.monthly", ChangeKind::Schedule, 0),
    ("var/spool/cron/crontabs", ChangeKind::Schedule, 0),
    ("etc/nginx", ChangeKind::Config, 1),
    ("etc/postgresql", ChangeKind::Config, 3),
    ("etc/mysql", ChangeKind::Config, 1),
    ("etc/redis", ChangeKind::Config, 0),
    ("etc/valkey", ChangeKind::Config, 0),
    ("etc/pretix", ChangeKind::Config, 0),
    ("etc/pretalx", ChangeKind::Config, 0),
    ("etc/midwatch", ChangeKind::Config, 0),
    ("etc/haproxy", ChangeKind::Config, 0),
    ("etc/caddy", ChangeKind::Config, 0),
    ("etc/apache2", ChangeKind::Config, 1),
    ("etc/supervisor", ChangeKind::Config, 1),
    ("etc/sudoers.d", ChangeKind::Config, 0),
    ("etc/ssh/sshd_config.d", ChangeKind::Config, 0),
    ("etc/docker", ChangeKind::Config, 0),
    ("etc/letsencrypt/live/*", ChangeKind::Certificate, 0),
];

/// Single files.
const SINGLE: &[(&str, ChangeKind)] = &[
    ("etc/crontab", ChangeKind::Schedule),
    ("etc/hosts", ChangeKind::Config),
    ("etc/fstab", ChangeKind::Config),
    ("etc/sudoers", ChangeKind::Config),
    ("etc/ssh/sshd_config", ChangeKind::Config),
    ("etc/nsswitch.conf", ChangeKind::Config),
    ("etc/default/redis-server", ChangeKind::Config),
];

/// Files as they were at one look.
#[derive(Default)]
pub(super) struct Files {
    known: Option<BTreeMap<PathBuf, State>>,
    /// What was seen to change, the newest last.
    seen: Vec<Change>,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    kind: ChangeKind,
    written: Timestamp,
    size: u64,
    inode: u64,
}

/// Changes that were seen and are kept.
const SEEN: usize = 100;

impl Files {
    /// Looks at all of them and those named beside; what changed of late.
    pub(super) fn look(
        &mut self,
        root: &Path,
        beside: &[(PathBuf, ChangeKind)],
        now: Timestamp,
        unseen: &mut Vec<String>,
    ) -> Vec<Change> {
        let (files, closed) = collect(root, beside, unseen);
        if let Some(known) = &self.known {
            let mut seen = differences(root, known, &files, &closed, now);
            self.seen.append(&mut seen);
            let surplus = self.seen.len().saturating_sub(SEEN);
            self.seen.drain(..surplus);
        }
        // A change that was seen says more than the file's time does.
        let told: BTreeSet<(String, i64)> = self.seen.iter().map(|c| (c.text.clone(), c.at.as_secs())).collect();
        let mut out = dated(root, &files, now);
        out.retain(|change| {
            !self
                .seen
                .iter()
                .any(|s| s.at.as_secs().abs_diff(change.at.as_secs()) <= 1 && path_of(&s.text) == path_of(&change.text))
                && !told.contains(&(change.text.clone(), change.at.as_secs()))
        });
        out.extend(self.seen.iter().cloned());
        self.known = Some(files);
        out
    }
}

fn path_of(text: &str) -> Option<&str> {
    text.split(' ').find(|word| word.starts_with('/'))
}

type Collected = (BTreeMap<PathBuf, State>, Vec<PathBuf>);

fn collect(root: &Path, beside: &[(PathBuf, ChangeKind)], unseen: &mut Vec<String>) -> Collected {
    let (mut out, mut closed) = (BTreeMap::new(), Vec::new());
    let mut refused = Vec::new();
    let mut take = |path: PathBuf, kind: ChangeKind| {
        if out.len() < FILES
            && let Some(state) = state(&path, kind)
        {
            out.insert(path, state);
        }
    };
    for (place, kind, depth) in PLACES {
        for dir in places(root, place) {
            let mut next = vec![(dir, *depth)];
            while let Some((dir, left)) = next.pop() {
                let inside = match roll::list(&dir, ENTRIES) {
                    Ok(inside) => inside,
                    Err(error) => {
                        if error.kind() == std::io::ErrorKind::PermissionDenied {
                            refused.push(roll::shown(root, &dir));
                            closed.push(dir);
                        }
                        continue;
                    }
                };
                for path in inside {
                    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                    // What editors leave behind, and what certbot keeps beside a certificate.
                    let is = |extension: &str| path.extension().is_some_and(|e| e == extension);
                    let leftover = name.starts_with('.') || name.ends_with('~') || is("swp") || name == "README";
                    let key = *kind == ChangeKind::Certificate && !name.starts_with("fullchain");
                    if leftover || key {
                        continue;
                    }
                    // Of a link its own time, and it is not followed into a directory: only certificates lie behind links.
                    match std::fs::symlink_metadata(&path) {
                        Ok(meta) if meta.is_dir() && left > 0 => next.push((path, left - 1)),
                        Ok(meta) if meta.is_dir() => {}
                        Ok(_) => {
                            take(path.clone(), if is("timer") { ChangeKind::Schedule } else { *kind });
                        }
                        Err(_) => {}
                    }
                }
            }
        }
    }
    for (file, kind) in SINGLE {
        take(root.join(file), *kind);
    }
    for (file, kind) in beside {
        take(file.clone(), *kind);
    }
    let conf = root.join("etc/nginx/nginx.conf");
    for server in nginx::servers(&conf).unwrap_or_default() {
        for file in server.certificates {
            take(root.join(file.strip_prefix("/").unwrap_or(&file)), ChangeKind::Certificate);
        }
    }
    if !refused.is_empty() {
        let dirs = refused.join(", ");
        unseen.push(format!("Changes in {dirs} can't be seen by this user: run midwatch as root."));
    }
    (out, closed)
}

/// A place with its `*` filled in.
fn places(root: &Path, place: &str) -> Vec<PathBuf> {
    match place.split_once("/*") {
        None => vec![root.join(place)],
        Some((before, after)) => roll::list(&root.join(before), ENTRIES)
            .unwrap_or_default()
            .into_iter()
            .filter(|path| path.is_dir())
            .map(|path| path.join(after.trim_start_matches('/')))
            .collect(),
    }
}

fn state(path: &Path, kind: ChangeKind) -> Option<State> {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::symlink_metadata(path).ok()?;
    // certbot renews by letting the link point to a new file.
    let meta = if kind == ChangeKind::Certificate { std::fs::metadata(path).ok()? } else { own };
    let written = roll::time(meta.modified().ok()?);
    Some(State { kind, written, size: meta.len(), inode: meta.ino() })
}

/// What is told of files that were there before and are not, that are new, and that changed.
fn differences(
    root: &Path,
    before: &BTreeMap<PathBuf, State>,
    files: &BTreeMap<PathBuf, State>,
    closed: &[PathBuf],
    now: Timestamp,
) -> Vec<Change> {
    let mut out = Vec::new();
    let mut tell = |kind: ChangeKind, at: Timestamp, path: &Path, what: &str| {
        let text = format!("{}{} {what}", prefix(kind), roll::shown(root, path));
        out.push(Change::new(at, kind, text, Known::Seen));
    };
    for (path, state) in files {
        // A file may be put in place with an old time: then it is now that it changed.
        let at = if now.secs_since(state.written) < 600 && state.written <= now { state.written } else { now };
        match before.get(path) {
            None => tell(state.kind, at, path, "is new"),
            Some(old) if old != state && state.kind == ChangeKind::Certificate => {
                tell(state.kind, at, path, "was renewed");
            }
            Some(old) if old.size == state.size && old.written == state.written => {}
            Some(_) => tell(state.kind, at, path, "was changed"),
        }
    }
    // What can't be looked into any more is not gone.
    let hidden = |path: &Path| closed.iter().any(|dir| path.starts_with(dir));
    for (path, state) in before.iter().filter(|(path, _)| !files.contains_key(*path) && !hidden(path)) {
        tell(state.kind, now, path, "was removed");
    }
    out
}

const fn prefix(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Certificate => "certificate ",
        _ => "",
    }
}

/// Files by the time they were last written, those of one directory and one minute together.
fn dated(root: &Path, files: &BTreeMap<PathBuf, State>, now: Timestamp) -> Vec<Change> {
    let oldest = now.plus_secs(-crate::domain::change::OLDEST_S);
    let mut by_dir: BTreeMap<(&Path, ChangeKind), Vec<(Timestamp, &Path)>> = BTreeMap::new();
    for (path, state) in files.iter().filter(|(_, s)| s.written >= oldest && s.written <= now) {
        let dir = path.parent().unwrap_or(path);
        by_dir.entry((dir, state.kind)).or_default().push((state.written, path));
    }
    let mut out = Vec::new();
    for ((dir, kind), mut written) in by_dir {
        written.sort();
        let mut rest = written.as_slice();
        while let Some((first, _)) = rest.first() {
            let n = rest.iter().take_while(|(at, _)| at.secs_since(*first) <= TOGETHER_S).count();
            let (group, later) = rest.split_at(n.max(1));
            rest = later;
            let what = if kind == ChangeKind::Certificate { "was renewed" } else { "was written" };
            if group.len() <= ALONE {
                out.extend(group.iter().map(|(at, path)| {
                    let text = format!("{}{} {what}", prefix(kind), roll::shown(root, path));
                    Change::new(*at, kind, text, Known::File)
                }));
            } else if let Some((at, path)) = group.last() {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                let text = format!("{} files in {}, {name} among them", group.len(), roll::shown(root, dir));
                out.push(Change::new(*at, kind, crate::domain::text::plain(&text, 200), Known::File));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use super::Files;
    use crate::backends::roll;
    use crate::domain::change::{Change, ChangeKind, Known};

    fn told(changes: &[Change], how: Known) -> Vec<(ChangeKind, &str)> {
        changes.iter().filter(|c| c.how == how).map(|c| (c.kind, c.text.as_str())).collect()
    }

    #[test]
    fn times_are_told_first_and_then_what_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        write("etc/nginx/sites-enabled/shop", "server {}");
        let old = write("etc/hosts", "127.0.0.1 localhost");
        fs::File::options()
            .write(true)
            .open(&old)
            .unwrap()
            .set_modified(SystemTime::now() - Duration::from_hours(2160))
            .unwrap();
        let unit = write("etc/systemd/system/pretix-web.service", "[Service]");
        for n in 0..4 {
            write(&format!("etc/cron.d/job{n}"), "");
        }
        write("srv/pretix.cfg", "[pretix]");
        let beside = [(root.path().join("srv/pretix.cfg"), ChangeKind::Config)];
        let (mut files, mut unseen) = (Files::default(), Vec::new());
        let mut look = || {
            let now = roll::now();
            files.look(root.path(), &beside, now, &mut unseen)
        };
        let first = look();
        let mut dated = told(&first, Known::File);
        dated.sort();
        assert_eq!(
            dated,
            [
                (ChangeKind::Unit, "/etc/systemd/system/pretix-web.service was written"),
                (ChangeKind::Config, "/etc/nginx/sites-enabled/shop was written"),
                (ChangeKind::Config, "/srv/pretix.cfg was written"),
                (ChangeKind::Schedule, "4 files in /etc/cron.d, job3 among them"),
            ]
        );
        assert!(told(&first, Known::Seen).is_empty());

        write("srv/pretix.cfg", "[pretix] more");
        fs::remove_file(unit).unwrap();
        write("etc/systemd/system/pretix-web.service.d/override.conf", "[Service]");
        let second = look();
        let mut seen = told(&second, Known::Seen);
        seen.sort();
        assert_eq!(
            seen,
            [
                (ChangeKind::Unit, "/etc/systemd/system/pretix-web.service was removed"),
                (ChangeKind::Unit, "/etc/systemd/system/pretix-web.service.d/override.conf is new"),
                (ChangeKind::Config, "/srv/pretix.cfg was changed"),
            ]
        );
        assert!(!told(&second, Known::File).iter().any(|(_, text)| text.contains("pretix.cfg")), "told once");
        assert_eq!(told(&look(), Known::Seen).len(), 3, "what was seen stays");
    }

    #[test]
    fn a_renewed_certificate_is_one_whose_link_points_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let live = root.path().join("etc/letsencrypt/live/tickets.example.org");
        fs::create_dir_all(&live).unwrap();
        for n in 1..=2 {
            fs::write(root.path().join(format!("chain{n}.pem")), "x".repeat(n)).unwrap();
        }
        symlink(root.path().join("chain1.pem"), live.join("fullchain.pem")).unwrap();
        fs::write(live.join("privkey.pem"), "secret").unwrap();
        let mut files = Files::default();
        files.look(root.path(), &[], roll::now(), &mut Vec::new());
        fs::remove_file(live.join("fullchain.pem")).unwrap();
        symlink(root.path().join("chain2.pem"), live.join("fullchain.pem")).unwrap();
        let second = files.look(root.path(), &[], roll::now(), &mut Vec::new());
        let seen = told(&second, Known::Seen);
        assert_eq!(
            seen,
            [(
                ChangeKind::Certificate,
                "certificate /etc/letsencrypt/live/tickets.example.org/fullchain.pem was renewed"
            )]
        );
        assert!(!second.iter().any(|c| c.text.contains("privkey")));
    }
}
