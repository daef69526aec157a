//! A stand-in for pretix, installed with a real pip into a real virtual environment, is upgraded; at every step it is cut
//! off, or something fails.

mod failed;
mod git;
mod older;
mod postgres;
mod storms;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use midwatch::runbook::run::{Outcome, What};

use super::ground::Ground;
use crate::support::servers::{eventually, free_port};
use crate::support::standins::kill;

const MAKER: &str = include_str!("upgrades/standin.py");

/// Debian's own: it can make virtual environments where its package is installed.
const PYTHON: &str = "/usr/bin/python3";

fn python(maker: &Path, words: &[&str]) {
    let done = Command::new(PYTHON).arg(maker).args(words).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A virtual environment with the older version, and the wheels of both: made once, copied for each test.
static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(cache).unwrap();
    let dir = tempfile::Builder::new().prefix("upgrade-").tempdir_in(cache).unwrap();
    let maker = dir.path().join("standin.py");
    fs::write(&maker, MAKER).unwrap();
    python(&maker, &["wheels", dir.path().to_str().unwrap()]);
    let venv = dir.path().join("venv");
    let run = |command: &mut Command| {
        let done = command.env_remove("PIP_FIND_LINKS").stdin(Stdio::null()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    run(Command::new(PYTHON).args(["-m", "venv"]).arg(&venv).current_dir("/"));
    let wheels = dir.path().join("wheels");
    let words = ["-m", "pip", "install", "--no-index", "--disable-pip-version-check", "--find-links"];
    run(Command::new(venv.join("bin/python")).args(words).arg(wheels).arg("pretix==2026.7.0").current_dir("/"));
    let place = cache.join("upgrade-standin");
    // Another process may have made it meanwhile, or before: of another day it may be another.
    fs::remove_dir_all(&place).ok();
    fs::rename(dir.path(), &place).unwrap();
    place
});

/// The stand-in at work.
struct Shop {
    ground: Ground,
    port: u16,
}

impl Shop {
    fn open() -> Self {
        Self::on(Ground::new("discover = false\n", ""))
    }

    fn on(ground: Ground) -> Self {
        let (root, port) = (ground.path().to_owned(), free_port());
        for part in ["venv", "wheels", "standin.py"] {
            let done = Command::new("cp").arg("-a").arg(MADE.join(part)).arg(&root).status().unwrap();
            assert!(done.success());
        }
        python(&root.join("standin.py"), &["site", root.to_str().unwrap(), &port.to_string()]);
        let r = root.display();
        let service = |role: &str, program: &str| {
            format!(
                "[sites.shop.services.pretix-{role}]\nrole = \"{role}\"\nprocess = \"{r}/venv/bin/{program}\"\n\
                 start = [\"{r}/start\", \"{role}\"]\n"
            )
        };
        let config = format!(
            "discover = false\n[sites.shop]\napp = \"pretix\"\napp_config = \"{r}/pretix.cfg\"\n\
             [[sites.shop.backups]]\npath = \"{r}/backups\"\n{}{}",
            service("web", "gunicorn"),
            service("worker", "celery")
        );
        fs::write(root.join("c.toml"), config).unwrap();
        let shop = Self { ground, port };
        for name in ["web", "worker"] {
            assert!(Command::new(root.join("start")).arg(name).stdin(Stdio::null()).status().unwrap().success());
        }
        shop.serves("2026.7.0");
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.ground.path().join(name)
    }

    fn switch(&self, name: &str, on: bool) {
        let path = self.path("data").join(name);
        if on { fs::write(path, "").unwrap() } else { fs::remove_file(path).unwrap() }
    }

    /// The version that web has in memory; `None`: it does not answer.
    fn answer(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        said.rsplit("\r\n\r\n").next().map(str::to_owned)
    }

    /// Web and worker run with this version in memory.
    fn serves(&self, version: &str) {
        eventually("web serves the version", || (self.answer().as_deref() == Some(version)).then_some(()));
        let worker = self.path("data/worker");
        eventually("the worker has it", || (fs::read_to_string(&worker).ok()? == version).then_some(()));
        assert_eq!(self.processes("celery"), 1, "one worker");
    }

    /// As somebody would by hand.
    fn restart(&self, role: &str) {
        let program =
            self.path("venv/bin").join(if role == "web" { "gunicorn" } else { "celery" }).display().to_string();
        let runs = |pid: &u32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split('\0').nth(1) == Some(program.as_str())
        };
        for pid in midwatch::backends::process_id::all().filter(runs) {
            kill(pid);
        }
        eventually("it has ended", || (!midwatch::backends::process_id::all().any(|pid| runs(&pid))).then_some(()));
        let started = Command::new(self.path("start")).arg(role).stdin(Stdio::null()).status().unwrap();
        assert!(started.success());
    }

    fn processes(&self, program: &str) -> usize {
        let program = self.path("venv/bin").join(program).display().to_string();
        midwatch::backends::process_id::all()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok())
            .filter(|line| line.split('\0').nth(1) == Some(program.as_str()))
            .count()
    }

    fn packages(&self) -> PathBuf {
        let lib = fs::read_dir(self.path("venv/lib")).unwrap().next().unwrap().unwrap().path();
        lib.join("site-packages")
    }

    /// What is installed: nothing half, nothing left over of the other version.
    fn holds(&self, version: &str) {
        let packages = self.packages();
        let new = version != "2026.7.0";
        let dependency = if new { "2.0" } else { "1.0" };
        let mut infos: Vec<String> = fs::read_dir(&packages)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| (name.starts_with("pretix") || name.starts_with("standin")) && name.ends_with(".dist-info"))
            .collect();
        infos.sort();
        let mut expected = vec![format!("pretix-{version}.dist-info"), format!("standindep-{dependency}.dist-info")];
        expected.extend(new.then(|| "standinextra-1.0.dist-info".to_owned()));
        assert_eq!(infos, expected);
        assert_eq!(packages.join("pretix/only_before.py").exists(), !new, "a file of the older version only");
        let init = fs::read_to_string(packages.join("pretix/__init__.py")).unwrap();
        assert!(init.contains(version), "{init}");
    }

    fn migrated(&self) -> Vec<String> {
        let script = "import sqlite3,sys\nfor r in sqlite3.connect(sys.argv[1]).execute('select name from django_migrations \
                      order by id'): print(r[0])";
        let done = Command::new(PYTHON).args(["-c", script]).arg(self.path("data/db.sqlite3")).output().unwrap();
        String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn wish(&self, version: &str) -> [String; 3] {
        let wheels = format!("wheels={}", self.path("wheels").display());
        ["upgrade".to_owned(), format!("version={version}"), wheels]
    }

    fn plan(&self, version: &str) -> (i32, String) {
        let wish = self.wish(version);
        self.ground.call(&[&["runbook", "plan"], &wish.each_ref().map(String::as_str)[..]].concat())
    }

    /// Approves the upgrade and lets go of it.
    fn begin(&self) -> String {
        let wish = self.wish("2026.8.0");
        let wish = wish.each_ref().map(String::as_str);
        let token = self.ground.token(&wish);
        self.ground.begin(&[&wish[..], &["--confirm", &token]].concat())
    }

    /// How the run ended, once it has.
    fn ended(&self, run: &str) -> (Outcome, String) {
        self.ground.ended(run)
    }

    fn upgraded(&self) {
        self.upgraded_to("2026.8.0");
    }

    fn upgraded_to(&self, version: &str) {
        self.holds(version);
        self.serves(version);
        assert_eq!(self.migrated(), ["0001_initial", "0002_more", "0003_last"]);
        for command in ["rebuild", "updateassets"] {
            let said = fs::read_to_string(self.path("data").join(command)).unwrap();
            assert!(said.lines().all(|line| line == version), "{said}");
        }
        assert!(!self.path("data/updatestyles").exists(), "it has no such command");
    }

    fn as_before(&self) {
        self.holds("2026.7.0");
        self.serves("2026.7.0");
        assert_eq!(self.migrated(), ["0001_initial"]);
    }

    /// The place of a step in the run's plan.
    fn step(&self, run: &str, name: &str) -> usize {
        let plan = self.ground.view(run).record.plan;
        plan.steps.iter().position(|step| step.name == name).unwrap()
    }
}

impl Shop {
    fn kill_application(&self) {
        let root = self.path("venv/bin").display().to_string();
        for pid in midwatch::backends::process_id::all() {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.starts_with(&root) {
                kill(pid);
            }
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.kill_application();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn an_application_is_upgraded_and_what_was_is_kept_as_root() {
    let shop = Shop::open();
    let (code, said) = shop.plan("2026.8.0");
    assert_eq!(code, 0, "{said}");
    for words in [
        "pretix 2026.7.0 → 2026.8.0",
        "standinextra 1.0 is new",
        "pretix.sqlite3 has to be brought back first",
        "/shop",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    shop.as_before();
    let run = shop.begin();
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    shop.upgraded();
    let kept = fs::read_dir(shop.path("venv/midwatch-upgrades")).unwrap().next().unwrap().unwrap().path();
    let inside = shop.packages().strip_prefix(shop.path("venv")).unwrap().to_owned();
    assert!(kept.join("venv").join(&inside).join("pretix-2026.7.0.dist-info/RECORD").exists());
    // The same again is no upgrade, and back is another thing.
    assert!(shop.plan("2026.8.0").1.contains("nothing is to be done"));
    assert!(shop.plan("2026.7.0").1.contains("no upgrade but a way back"));

    // Back, but not onto a schema that the older one does not know.
    let (code, said) = shop.ground.call(&["runbook", "plan", "undo-upgrade"]);
    assert!(code == 13 && said.contains("does not know: pretixbase.0003_last"), "{code}: {said}");
    fs::copy(shop.path("backups/pretix.sqlite3"), shop.path("data/db.sqlite3")).unwrap();
    for step in [1, 3, 5] {
        let token = shop.ground.token(&["undo-upgrade"]);
        let run = shop.ground.begin(&["undo-upgrade", "--confirm", &token]);
        shop.ground.kill_at(&run, step);
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &[]);
            assert_eq!(code, 0, "killed at {step}: {said}");
        }
        shop.as_before();
        // Forwards again, with what is kept: as another would do it.
        let back = fs::rename(shop.packages(), shop.path("aside"));
        back.and_then(|()| fs::rename(kept.join("venv").join(&inside), shop.packages())).unwrap();
        fs::rename(shop.path("aside"), kept.join("venv").join(&inside)).unwrap();
        for role in ["web", "worker"] {
            shop.restart(role);
        }
        shop.serves("2026.8.0");
    }

    // What runs the older code already is started anew when that is undone.
    let token = shop.ground.token(&["undo-upgrade"]);
    shop.switch("sick", true);
    let run = shop.ground.begin(&["undo-upgrade", "--confirm", &token]);
    assert!(shop.ground.kill_at(&run, shop.step(&run, "the site answers")), "it waits for the site");
    shop.serves("2026.7.0");
    shop.switch("sick", false);
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert!(said.contains("REVERTED"), "{said}");
    shop.serves("2026.8.0");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn what_is_not_to_be_had_or_not_safe_is_refused_as_root() {
    let shop = Shop::open();
    let refused = |version: &str, why: &str| {
        let (code, said) = shop.plan(version);
        assert!(code != 0 && said.contains(why), "{version}: {code}: {said}");
    };
    refused("2026.9.0", "standinlacking");
    refused("2026.10.0", "can't be had");
    refused("2028.1.0", "last release of 2027 first");
    refused("2026.6.0", "is older");
    let (_, said) = shop.ground.call(&["runbook", "plan", "upgrade", &shop.wish("")[2]]);
    assert!(said.contains("2026.7.0         installed") && said.contains("2026.8.0"), "{said}");
    assert!(said.find("2026.9.0") < said.find("2026.7.0"), "the newest first: {said}");

    // Installed by somebody else than who runs it.
    let packages = shop.packages();
    std::os::unix::fs::chown(&packages, Some(65534), None).unwrap();
    refused("2026.8.0", "belongs to nobody");
    std::os::unix::fs::chown(&packages, Some(0), None).unwrap();
    // From a working copy.
    let direct = packages.join("pretix-2026.7.0.dist-info/direct_url.json");
    fs::write(&direct, "{}").unwrap();
    refused("2026.8.0", "not as a release");
    fs::remove_file(direct).unwrap();
    // The backup is old, damaged, gone.
    let backup = shop.path("backups/pretix.sqlite3");
    let aged = |secs: u64| {
        let then = std::time::SystemTime::now() - Duration::from_secs(secs);
        fs::File::options().append(true).open(&backup).unwrap().set_modified(then).unwrap();
    };
    aged(7200);
    refused("2026.8.0", "2h00m old. Run take-backup first");
    let whole = fs::read(&backup).unwrap();
    fs::write(&backup, &whole[..whole.len() / 2]).unwrap();
    aged(300);
    refused("2026.8.0", "is not proven (broken");
    fs::remove_file(&backup).unwrap();
    refused("2026.8.0", "there is none. Run take-backup first");
    shop.as_before();
    assert!(!shop.path("venv/midwatch-upgrades").exists(), "a plan makes nothing");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn what_can_not_be_fetched_or_installed_stops_nothing_as_root() {
    let shop = Shop::open();
    // Its metadata is whole, a file in it is not.
    let wheel = shop.path("wheels/pretix-2026.8.0-py3-none-any.whl");
    let whole = fs::read(&wheel).unwrap();
    let at = whole.windows(8).position(|bytes| bytes == b"2026.8.0").unwrap();
    let mut damaged = whole.clone();
    damaged[at + 7] = b'X';
    fs::write(&wheel, damaged).unwrap();
    let run = shop.begin();
    let (outcome, left) = shop.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("`install into a copy of the installation` failed"), "{left}");
    shop.as_before();
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!(shop.ended(&run).0, Outcome::Reverted, "{said}");
    shop.as_before();

    // Gone since the plan was made.
    fs::write(&wheel, whole).unwrap();
    let run = shop.begin();
    shop.ground.kill_at(&run, shop.step(&run, "a place beside it"));
    fs::remove_file(&wheel).unwrap();
    let (code, said) = shop.ground.resume(&run, &[]);
    assert!(code == 1 && said.contains("nothing was done"), "{code}: {said}");
    shop.as_before();
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!(shop.ended(&run).0, Outcome::Reverted, "{said}");
    shop.as_before();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn a_migration_that_fails_at_once_is_reverted_to_what_was_as_root() {
    let shop = Shop::open();
    shop.switch("fail-migrate", true);
    let run = shop.begin();
    let (outcome, left) = shop.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("`migrate` failed"), "{left}");
    shop.holds("2026.8.0");
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!(shop.ended(&run).0, Outcome::Reverted, "{said}");
    shop.as_before();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn half_migrated_it_is_not_reverted_but_can_be_ended_as_root() {
    let shop = Shop::open();
    shop.switch("fail-last", true);
    let run = shop.begin();
    assert_eq!(shop.ended(&run).0, Outcome::Failed);
    assert_eq!(shop.migrated(), ["0001_initial", "0002_more"]);
    let (code, said) = shop.ground.resume(&run, &["--revert"]);
    assert!(code != 0 && said.contains("the database has been migrated"), "{said}");
    assert!(said.contains("pretix.sqlite3 first"), "it names the backup: {said}");
    shop.holds("2026.8.0");
    shop.switch("fail-last", false);
    // With the database from before, which another runbook brings back, the old installation comes back too.
    let database = shop.path("data/db.sqlite3");
    fs::copy(shop.path("backups/pretix.sqlite3"), &database).unwrap();
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!(shop.ended(&run).0, Outcome::Reverted, "{said}");
    shop.as_before();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn what_does_not_start_or_stays_sick_is_told_and_goes_on_as_root() {
    let shop = Shop::open();
    shop.switch("fail-start", true);
    let run = shop.begin();
    let (outcome, left) = shop.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("`restart pretix-web` failed"), "{left}");
    shop.switch("fail-start", false);
    shop.switch("sick", true);
    let token = shop.ground.call(&["runbook", "resume", &run, "--retry"]).1;
    let token = token.rsplit("--confirm=").next().unwrap().trim().to_owned();
    let mut child = shop
        .ground
        .midwatch(&["runbook", "resume", &run, "--retry", "--confirm", &token])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let waits = shop.step(&run, "the site answers");
    let begun = |at: usize| {
        let view = shop.ground.view(&run);
        view.entries.iter().any(|entry| matches!(entry.what, What::Intended { step, .. } if step == at))
    };
    eventually("it waits for the site", || begun(waits).then_some(()));
    assert_ne!(shop.ground.view(&run).ended().map(|(outcome, _)| outcome), Some(Outcome::Done));
    shop.switch("sick", false);
    child.wait().unwrap();
    assert_eq!(shop.ended(&run).0, Outcome::Done);
    shop.upgraded();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn one_that_was_installed_by_hand_is_brought_to_its_end_as_root() {
    let shop = Shop::open();
    // As the manual says it, and forgotten there.
    let pip = ["-m", "pip", "install", "--no-index", "--disable-pip-version-check", "--find-links"];
    let mut by_hand = Command::new(shop.path("venv/bin/python"));
    let done = by_hand.args(pip).arg(shop.path("wheels")).arg("pretix==2026.8.0").current_dir("/").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (code, said) = shop.plan("2026.8.0");
    assert!(code == 0 && said.contains("what is left is done:") && !said.contains("exchange"), "{said}");
    let run = shop.begin();
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    shop.upgraded();
    assert!(shop.plan("2026.8.0").1.contains("nothing is to be done"));
}

/// Kills the runner at these steps, each in an upgrade of its own, and takes the run up.
fn killed_at(steps: impl Iterator<Item = usize>) {
    let mut hit = 0;
    for step in steps {
        let shop = Shop::open();
        let run = shop.begin();
        assert!(step < shop.ground.view(&run).record.plan.steps.len());
        hit += usize::from(shop.ground.kill_at(&run, step));
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &[]);
            assert_eq!(code, 0, "killed at {step}: {said}");
        }
        assert_eq!(shop.ended(&run).0, Outcome::Done, "killed at {step}");
        shop.upgraded();
    }
    assert!(hit > 0, "no step was hit in the middle");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn killed_while_it_prepares_it_is_taken_up_as_root() {
    killed_at(1..7);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn killed_while_it_interrupts_it_is_taken_up_as_root() {
    killed_at(7..12);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn killed_while_it_starts_the_new_one_it_is_taken_up_as_root() {
    killed_at(12..21);
}
