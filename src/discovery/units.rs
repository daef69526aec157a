//! The unit files of this machine that may be part of a site: what they run, with which configuration, and whether they
//! come up with the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Surroundings;
use super::trust::bytes;
use crate::domain::service::Role;

/// Where unit files are, the first of a name counting (systemd.unit(5)).
const SYSTEM: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Where generators put instances: `postgresql@15-main.service`.
const GENERATED: [&str; 3] = ["/run/systemd/generator.early", "/run/systemd/generator", "/run/systemd/generator.late"];

/// More files of a directory are not looked at; more of a file is not read.
const FILES: usize = 4000;
const LENGTH: u64 = 64 * 1024;

/// A unit as its file has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UnitFile {
    /// Its full name.
    pub(super) name: String,
    /// Where it was read.
    pub(super) path: PathBuf,
    /// The words of everything it starts.
    pub(super) commands: Vec<String>,
    /// Its environment, as written.
    pub(super) env: BTreeMap<String, String>,
    /// Its working directory.
    pub(super) cwd: Option<PathBuf>,
    /// Whether it comes up with the machine.
    pub(super) wanted: bool,
    /// Whether it is for the user's manager.
    pub(super) user: bool,
}

/// Every service and timer there is a file of.
pub(super) fn unit_files(around: &Surroundings) -> Vec<UnitFile> {
    let mut out: BTreeMap<(bool, String), UnitFile> = BTreeMap::new();
    let mut wanted = BTreeSet::new();
    let system: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    let mut user: Vec<PathBuf> = around.home.iter().map(|home| home.join(".config/systemd/user")).collect();
    user.push(PathBuf::from("/etc/systemd/user"));
    for (dirs, user) in [(&system, false), (&user, true)] {
        for dir in dirs {
            for path in entries(around, dir) {
                let Some(name) = path.file_name().and_then(|n| n.to_str()).map(ToOwned::to_owned) else { continue };
                if matches!(kind(&name), "wants" | "requires") {
                    wanted.extend(names(around, &path).into_iter().map(|name| (user, name)));
                } else if is_unit(&name) && !out.contains_key(&(user, name.clone())) {
                    out.insert((user, name.clone()), read(around, dir, &path, &name, user));
                }
            }
        }
    }
    for dir in GENERATED {
        for path in entries(around, Path::new(dir)).into_iter().filter(|p| p.extension().is_some_and(|e| e == "wants"))
        {
            wanted.extend(names(around, &path).into_iter().map(|name| (false, name)));
        }
    }
    // An instance has the file of its template.
    for (user, name) in &wanted {
        let template = name.split_once('@').map(|(before, _)| format!("{before}@.service"));
        if let Some(template) = template.and_then(|template| out.get(&(*user, template)).cloned()) {
            let key = (*user, name.clone());
            out.entry(key).or_insert_with(|| UnitFile { name: name.clone(), ..template });
        }
    }
    let mut files: Vec<UnitFile> = out.into_values().filter(|f| !f.name.contains("@.")).collect();
    for file in &mut files {
        file.wanted = wanted.contains(&(file.user, file.name.clone()));
    }
    files
}

/// What stands after the last dot of a name. (Names of units know capitals.)
fn kind(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, kind)| kind)
}

fn is_unit(name: &str) -> bool {
    matches!(kind(name), "service" | "timer")
}

fn entries(around: &Surroundings, dir: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(around.at(dir));
    let paths =
        read.map(|entries| entries.filter_map(Result::ok).take(FILES).map(|e| dir.join(e.file_name())).collect());
    paths.unwrap_or_default()
}

fn names(around: &Surroundings, dir: &Path) -> Vec<String> {
    let name = |path: PathBuf| path.file_name()?.to_str().map(ToOwned::to_owned);
    entries(around, dir).into_iter().filter_map(name).filter(|name| is_unit(name)).collect()
}

fn read(around: &Surroundings, dir: &Path, path: &Path, name: &str, user: bool) -> UnitFile {
    let mut file = UnitFile { name: name.to_owned(), path: path.to_owned(), user, ..UnitFile::default() };
    let text = |path: &Path| String::from_utf8_lossy(&bytes(&around.at(path), LENGTH).unwrap_or_default()).into_owned();
    file.take(&text(path));
    let mut drop_ins: Vec<PathBuf> = entries(around, &dir.join(format!("{name}.d")));
    drop_ins.sort();
    for path in drop_ins.iter().filter(|path| path.extension().is_some_and(|e| e == "conf")) {
        file.take(&text(path));
    }
    file
}

impl UnitFile {
    /// Lays a file's text over what is known.
    fn take(&mut self, text: &str) {
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            match key.trim() {
                "ExecStart" if value.is_empty() => self.commands.clear(),
                "ExecStart" => {
                    let value = value.trim_start_matches(['-', '@', ':', '+', '!']);
                    self.commands
                        .extend(value.split_ascii_whitespace().map(|w| w.trim_matches(['"', '\'']).to_owned()));
                }
                "Environment" => {
                    let pairs = value.split_ascii_whitespace().map(|pair| pair.trim_matches(['"', '\'']));
                    let pairs = pairs.filter_map(|pair| pair.split_once('='));
                    self.env.extend(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
                }
                "WorkingDirectory" => self.cwd = Some(PathBuf::from(value.trim_start_matches('-'))),
                _ => {}
            }
        }
    }

    /// Whether it is of the application with this name: it starts it, or is called so and starts nothing else.
    pub(super) fn runs(&self, app: &str) -> bool {
        let stem = self.name.split(['.', '@']).next().unwrap_or_default();
        let named = stem == app || stem.strip_prefix(app).is_some_and(|rest| rest.starts_with(['-', '_']));
        let mentions =
            |word: &String| word.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part.eq_ignore_ascii_case(app));
        // Their making is the backups' business, not the site's.
        let backup = ["backup", "dump", "restic", "borg"].iter().any(|word| self.name.contains(word));
        !backup && (named || self.commands.iter().any(mentions))
    }

    /// What it does.
    pub(super) fn role(&self, app: Option<&str>) -> Role {
        let role = Role::of(&self.name, &self.commands);
        // pretix' own image runs all of it in one container: `docker run … pretix/standalone all`.
        let whole = app.is_some_and(|app| self.name.split('.').next() == Some(app));
        if role == Role::Other && whole { Role::Web } else { role }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{UnitFile, unit_files};
    use crate::discovery::Surroundings;
    use crate::domain::service::Role;

    #[test]
    fn files_drop_ins_and_instances_are_read() {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        for dir in [
            "etc/systemd/system/pretix-web.service.d",
            "etc/systemd/system/multi-user.target.wants",
            "usr/lib/systemd/system",
            "run/systemd/generator/postgresql.service.wants",
            "home/x/.config/systemd/user",
        ] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        let web = "[Service]\n# ExecStart=/bin/no\nExecStart=-/srv/v/bin/gunicorn pretix.wsgi \\\n  --name pretix\n\
                   WorkingDirectory=/srv\n";
        fs::write(at("etc/systemd/system/pretix-web.service"), web).unwrap();
        let more = "[Service]\nEnvironment=\"PRETIX_CONFIG_FILE=/srv/a.cfg\" HOME=/srv\n";
        fs::write(at("etc/systemd/system/pretix-web.service.d/env.conf"), more).unwrap();
        fs::write(at("usr/lib/systemd/system/pretix-web.service"), "[Service]\nExecStart=/bin/other\n").unwrap();
        fs::write(at("usr/lib/systemd/system/postgresql@.service"), "[Service]\nExecStart=-/usr/bin/pg_ctlcluster\n")
            .unwrap();
        fs::write(at("home/x/.config/systemd/user/shop.timer"), "[Timer]\n").unwrap();
        symlink("/x", at("etc/systemd/system/multi-user.target.wants/pretix-web.service")).unwrap();
        symlink("/x", at("run/systemd/generator/postgresql.service.wants/postgresql@15-main.service")).unwrap();
        let around =
            Surroundings { root: tree.path().to_owned(), home: Some("/home/x".into()), ..Surroundings::default() };
        let files = unit_files(&around);
        let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["postgresql@15-main.service", "pretix-web.service", "shop.timer"]);
        let [database, web, timer] = files.as_slice() else { panic!("three") };
        assert!(web.wanted && !web.user && web.runs("pretix") && !web.runs("pretalx"));
        assert_eq!(web.commands, ["/srv/v/bin/gunicorn", "pretix.wsgi", "--name", "pretix"]);
        assert_eq!(web.env.get("PRETIX_CONFIG_FILE").map(String::as_str), Some("/srv/a.cfg"));
        assert_eq!((web.role(Some("pretix")), database.role(None)), (Role::Web, Role::Database));
        assert!(database.wanted && timer.user && !timer.wanted);
    }

    #[test]
    fn whose_a_unit_is_shows_in_its_name_or_command() {
        let unit = |name: &str, command: &str| {
            let commands = command.split(' ').map(ToOwned::to_owned).collect();
            UnitFile { name: name.to_owned(), commands, ..UnitFile::default() }
        };
        assert!(unit("pretix.service", "/usr/bin/docker run pretix/standalone:stable all").runs("pretix"));
        assert!(unit("shop.service", "/srv/shop/bin/python -m pretix runperiodic").runs("pretix"));
        assert!(unit("pretix-worker@1.service", "/x").runs("pretix"));
        assert!(!unit("pretix-backup.service", "/usr/bin/pg_dump pretix").runs("pretix"));
        assert!(!unit("pretixish.service", "/usr/bin/x --name pretixish").runs("pretix"));
        assert_eq!(unit("pretix.service", "/usr/bin/docker run pretix/standalone all").role(Some("pretix")), Role::Web);
    }
}
