use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::{Discovery, Surroundings, discover};
use crate::config::{AppKind, Found};

/// A machine whose operator has no configuration.
struct Machine {
    tree: TempDir,
    around: Surroundings,
}

impl Machine {
    fn new() -> Self {
        let tree = tempfile::tempdir().unwrap();
        let around = Surroundings {
            root: tree.path().to_owned(),
            home: Some(PathBuf::from("/home/op")),
            cwd: PathBuf::from("/home/op"),
            ..Surroundings::default()
        };
        Self { tree, around }
    }

    fn write(&self, path: &str, text: &str) {
        let real = self.around.at(Path::new(path));
        fs::create_dir_all(real.parent().unwrap()).unwrap();
        fs::write(real, text).unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.around.at(Path::new(path)), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A process of a user that owns nothing here.
    fn process(&self, pid: u32, words: &[&str], env: &[&str]) {
        self.write(&format!("/proc/{pid}/cmdline"), &words.join("\0"));
        self.write(&format!("/proc/{pid}/environ"), &env.join("\0"));
        let ids = "4242\t4242\t4242\t4242";
        self.write(&format!("/proc/{pid}/status"), &format!("Uid:\t{ids}\nGid:\t{ids}\nGroups:\t\n"));
        symlink("/srv/app", self.tree.path().join(format!("proc/{pid}/cwd"))).unwrap();
    }

    fn discover(&self) -> Discovery {
        discover(&self.around, None)
    }
}

fn told(found: &Discovery, words: &str) -> bool {
    found.trail.iter().any(|t| match &t.outcome {
        Found::Yes(says) | Found::No(says) | Found::Broken(says) => says.contains(words),
    })
}

const GUNICORN: [&str; 4] = ["/venv/bin/python3", "/venv/bin/gunicorn", "pretix.wsgi", "-b127.0.0.1:8345"];
const CONFIG: &str = "[pretix]\nurl=https://tickets.example.org\n[metrics]\nenabled=on\npassphrase=hunter2\n";

#[test]
fn nothing_is_read_for_a_process_that_may_not_read_it_itself() {
    let machine = Machine::new();
    machine.write("/etc/pretix/pretix.cfg", CONFIG);
    machine.mode("/etc/pretix/pretix.cfg", 0o600);
    machine.write("/root/secret", "hunter3");
    machine.mode("/root/secret", 0o600);
    let evil = ["PRETIX_CONFIG_FILE=/etc/pretix/pretix.cfg", "PRETIX_PRETIX_URL=http://evil.example"];
    machine.process(7, &GUNICORN, &evil);
    machine.process(8, &GUNICORN, &["PRETIX_DATABASE_NAME=x", "FILE__PRETIX_PRETIX_INSTANCE_NAME=/root/secret"]);
    let found = machine.discover();
    // The site is found in its usual place, without a word of the foreign process.
    let site = found.sites.iter().find(|s| s.url.host_str() == Some("tickets.example.org")).unwrap();
    assert_eq!(site.direct, None);
    assert!(told(&found, "process 7 of user 4242 names /etc/pretix/pretix.cfg"));
    let all = format!("{found:?}");
    assert!(!all.contains("evil.example") && !all.contains("hunter"), "{all}");
}

#[test]
fn a_process_that_may_read_its_file_tells_port_and_environment() {
    let machine = Machine::new();
    machine.write("/srv/app/pretix.cfg", CONFIG);
    machine.process(9, &["/venv/bin/celery", "-A", "pretix.celery_app", "worker"], &["HOME=/home/pretix"]);
    machine.process(11, &GUNICORN, &["HOME=/home/pretix", "PRETIX_PRETIX_INSTANCE_NAME=Tickets"]);
    let found = machine.discover();
    assert_eq!(found.sites.len(), 1, "{found:?}");
    let site = &found.sites[0];
    assert_eq!(site.direct.as_ref().map(url::Url::as_str), Some("http://127.0.0.1:8345/"));
    assert_eq!(site.title, "Tickets");
    assert_eq!(site.source.as_deref(), Some(Path::new("/srv/app/pretix.cfg")));
    let login = site.metrics.as_ref().unwrap().login.as_ref().unwrap();
    assert_eq!((login.0.as_str(), login.1.expose_secret()), ("metrics", "hunter2"));
}

#[test]
fn two_processes_that_read_more_or_less_of_the_same_files_are_one_site() {
    let machine = Machine::new();
    machine.write("/etc/pretix/pretix.cfg", CONFIG);
    machine.write("/home/pretix/.pretix.cfg", "[pretix]\ninstance_name=Mine\n");
    machine.process(9, &GUNICORN, &["HOME=/home/pretix"]);
    let found = machine.discover();
    assert_eq!(found.sites.len(), 1, "{found:?}");
    assert_eq!(found.sites[0].title, "Mine");
}

#[test]
fn a_title_set_by_setproctitle_is_understood() {
    let machine = Machine::new();
    machine.write("/srv/app/pretix.cfg", CONFIG);
    machine.process(9, &["gunicorn: master [pretix.wsgi]"], &["HOME=/"]);
    assert_eq!(machine.discover().sites.len(), 1);
    let machine = Machine::new();
    machine.write("/srv/app/pretalx.cfg", "[site]\nurl=https://cfp.example.org\n");
    machine.process(9, &["[celeryd: celery@host:MainProcess] -active- (-A pretalx.celery_app worker)"], &["HOME=/"]);
    assert_eq!(machine.discover().sites.first().map(|s| s.app), Some(AppKind::Pretalx));
}

#[test]
fn a_container_is_told_and_left_alone() {
    let machine = Machine::new();
    machine.write("/srv/app/pretix.cfg", CONFIG);
    machine.process(9, &GUNICORN, &["HOME=/"]);
    let image = tempfile::tempdir().unwrap();
    symlink(image.path(), machine.tree.path().join("proc/9/root")).unwrap();
    let found = machine.discover();
    assert!(found.sites.is_empty());
    assert!(told(&found, "process 9 runs pretix in a container"));
}

#[test]
fn a_dangling_link_in_a_usual_place_is_told() {
    let machine = Machine::new();
    fs::create_dir_all(machine.tree.path().join("etc/pretix")).unwrap();
    symlink("/nowhere", machine.tree.path().join("etc/pretix/pretix.cfg")).unwrap();
    let found = machine.discover();
    assert!(found.sites.is_empty());
    assert!(told(&found, "/etc/pretix/pretix.cfg: is a link to a file that isn't there"), "{found:?}");
}

#[test]
fn pretalx_has_variables_of_its_own() {
    let mut machine = Machine::new();
    machine.write("/etc/pretalx/pretalx.cfg", "[database]\nbackend=sqlite3\n[redis]\nlocation=False\n");
    for (name, value) in [("PRETALX_DB_TYPE", "postgresql"), ("PRETALX_DB_PASS", "hunter2"), ("PRETALX_DB_HOST", "db")]
    {
        machine.around.env.insert(name.to_owned(), value.to_owned());
    }
    let found = machine.discover();
    let database = found.sites[0].database.as_ref().unwrap();
    assert_eq!((database.engine.name(), database.host.as_str()), ("PostgreSQL", "db"));
    assert_eq!(database.password.expose_secret(), "hunter2");
    assert_eq!(found.sites[0].redis.as_ref().unwrap_err(), "[redis] location is switched off");
    assert!(!format!("{found:?}{:?}", machine.around).contains("hunter2"));
}

#[test]
fn redis_may_have_a_password_of_its_own_or_hide_behind_sentinels() {
    let redis = |options: &str| {
        let machine = Machine::new();
        machine.write("/etc/pretix/pretix.cfg", &format!("[redis]\n{options}"));
        let mut found = machine.discover();
        found.sites.remove(0).redis.map(|redis| redis.url.expose_secret().to_owned())
    };
    assert_eq!(redis("location=redis://h:1/0\npassword=a;b#c@d"), Ok("redis://:a%3Bb%23c%40d@h:1/0".to_owned()));
    assert_eq!(redis("location=redis://:old@h:1/0"), Ok("redis://:old@h:1/0".to_owned()));
    assert_eq!(redis("location=unix:///run/r.sock?db=1\npassword=x"), Ok("unix:///run/r.sock?db=1&pass=x".to_owned()));
    assert!(redis("location=redis://main/0\nsentinels=[[\"h\", 26379]]").unwrap_err().contains("sentinels"));
}
