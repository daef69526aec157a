//! A whole look, in a tree of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{AppProbe, Looked, Looker};
use crate::backends::roll;
use crate::config::{AppKind, SiteConfig};
use crate::domain::app_state::SecretPlace;
use crate::domain::id::SiteId;
use crate::domain::service::Role;

struct Tree(tempfile::TempDir);

impl Tree {
    fn write(&self, path: &str, text: &str, ago_s: u64) -> PathBuf {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let at = SystemTime::now() - Duration::from_secs(ago_s);
        fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        path
    }

    /// A process that began so long ago, with this configuration.
    fn process(&self, pid: u32, parent: u32, ago_s: i64, line: &str, config: &str) {
        let dir = format!("proc/{pid}");
        self.write(&format!("{dir}/cmdline"), &line.replace(' ', "\0"), 0);
        self.write(
            &format!("{dir}/environ"),
            &format!("PRETIX_CONFIG_FILE={config}\0PRETIX_MAIL_PASSWORD=hunter2\0"),
            0,
        );
        let boot = roll::now().as_secs() - 100_000;
        self.write("proc/stat", &format!("btime {boot}\n"), 0);
        let ticks = (100_000 - ago_s) * i64::try_from(rustix::param::clock_ticks_per_second()).unwrap();
        let stat = format!("{pid} (x) S {parent} 1 1 0 -1 0 1 0 0 0 5 2 0 0 20 0 1 0 {ticks} 1000 12 1");
        self.write(&format!("{dir}/stat"), &stat, 0);
        self.write(&format!("{dir}/status"), "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n", 0);
        let cwd = self.0.path().join(&dir).join("cwd");
        if !cwd.exists() {
            symlink(self.0.path(), cwd).unwrap();
        }
    }

    fn look(&self, looker: &mut Looker) -> Looked {
        let url = url::Url::parse("https://tickets.example.org").unwrap();
        let mut site = SiteConfig::bare(SiteId("shop".to_owned()), AppKind::Pretix, url);
        site.source = Some(PathBuf::from("/etc/pretix/pretix.cfg"));
        site.data_dir = Some(PathBuf::from("/srv/data"));
        let probe = AppProbe::of(&site, self.0.path());
        looker.look(&probe.plan, "pretix", roll::now())
    }
}

fn tree() -> Tree {
    let tree = Tree(tempfile::tempdir().unwrap());
    tree.write(
        "etc/pretix/pretix.cfg",
        "[pretix]\nurl=https://tickets.example.org\n[django]\ndebug=true\nprofile=0.2\n",
        50_000,
    );
    tree.write("srv/data/.secret", "s3cret", 60_000);
    let packages = "srv/v/lib/python3.11/site-packages";
    tree.write(&format!("{packages}/pretix-2026.8.0.dist-info/RECORD"), "", 3600);
    tree.write(&format!("{packages}/pretix/settings.py"), "", 3600);
    tree.write(&format!("{packages}/pretix/static.dist/staticfiles.json"), "{}", 3600);
    tree.write(&format!("{packages}/pretix/base/migrations/0001_initial.py"), "", 3600);
    tree.write("etc/cron.d/pretix", "15,45 * * * * pretix /srv/v/bin/python -m pretix runperiodic\n", 3600);
    let config = "/etc/pretix/pretix.cfg";
    let web = "/srv/v/bin/python3 /srv/v/bin/gunicorn pretix.wsgi --bind 127.0.0.1:8345";
    tree.process(10, 1, 90_000, web, config);
    tree.process(11, 10, 1800, web, config);
    tree.process(12, 10, 40_000, web, config);
    tree.process(20, 1, 90_000, "/srv/v/bin/python3 -m celery -A pretix.celery_app worker", config);
    tree.process(30, 1, 10, web, "/etc/pretix/other.cfg");
    tree
}

#[test]
fn a_whole_installation_is_seen_and_nothing_of_its_secrets_is_told() {
    let tree = tree();
    let mut looker = Looker::default();
    let Looked { reading, crontabs, crontabs_unseen } = tree.look(&mut looker);
    assert_eq!((reading.version.as_deref(), reading.before.as_deref()), (Some("2026.8.0"), None));
    assert_eq!(reading.place.as_deref(), Some("/srv/v/lib/python3.11/site-packages"));
    let held: Vec<(Role, u32, u32, u32, u32)> =
        reading.processes.iter().map(|p| (p.role, p.holders, p.old_code, p.old_config, p.old_secret)).collect();
    assert_eq!(held, [(Role::Web, 2, 1, 0, 0), (Role::Worker, 1, 1, 1, 1)]);
    let config = reading.config.as_ref().unwrap();
    assert_eq!((config.debug, config.profile.as_deref()), (Some(true), Some("0.2")));
    assert_eq!((reading.secret.place, reading.secret.changed), (SecretPlace::File, None));
    assert_eq!(reading.migrations.len(), 1);
    assert!(reading.static_missing.is_empty() && reading.data_free.is_some());
    assert_eq!((crontabs.len(), crontabs_unseen), (1, false));
    assert!(reading.unseen.is_empty(), "{:?}", reading.unseen);
    let told = serde_json::to_string(&reading).unwrap();
    assert!(!told.contains("s3cret") && !told.contains("hunter2"));
}

#[test]
fn an_upgrade_and_a_changed_secret_are_seen_between_two_looks() {
    let tree = tree();
    let mut looker = Looker::default();
    tree.look(&mut looker);
    let packages = Path::new("srv/v/lib/python3.11/site-packages");
    fs::remove_dir_all(tree.0.path().join(packages).join("pretix-2026.8.0.dist-info")).unwrap();
    tree.write(&packages.join("pretix-2026.9.0.dist-info/RECORD").display().to_string(), "", 0);
    tree.write("srv/data/.secret", "another", 0);
    let reading = tree.look(&mut looker).reading;
    assert_eq!((reading.version.as_deref(), reading.before.as_deref()), (Some("2026.9.0"), Some("2026.8.0")));
    assert!(reading.secret.changed.is_some());
    assert!(reading.processes.iter().all(|p| p.old_code == p.holders && p.old_secret == p.holders), "{reading:#?}");
}

#[test]
fn a_secret_in_the_configuration_needs_no_file() {
    let tree = tree();
    tree.write("etc/pretix/pretix.cfg", "[django]\nsecret=abc\n", 0);
    fs::remove_file(tree.0.path().join("srv/data/.secret")).unwrap();
    let reading = tree.look(&mut Looker::default()).reading;
    assert_eq!(reading.secret.place, SecretPlace::Configured);
    tree.write("etc/pretix/pretix.cfg", "[django]\n", 0);
    assert_eq!(tree.look(&mut Looker::default()).reading.secret.place, SecretPlace::Missing);
}
