//! The practice site's releases lie side by side: one takes over from the other, whatever is cut off, and goes again.

mod failed;
pub(super) mod postgres;
mod user;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use midwatch::runbook::plan::Act;
use midwatch::runbook::run::{Outcome, What};

use super::ground::Ground;
use crate::demo::{Practice, page};
use crate::support::servers::eventually;
use crate::support::standins::kill;

struct Shop {
    ground: Ground,
    site: Practice,
}

impl Shop {
    fn open() -> Self {
        let site = Practice::start(&[]);
        let ground = Ground::new(&fs::read_to_string(site.config()).unwrap(), "");
        let shop = Self { ground, site };
        shop.serves("2026.1");
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.dir().join(name)
    }

    fn page(&self) -> String {
        page(self.site.url(), "GET", "/").unwrap_or_default()
    }

    /// The processes with this word.
    fn processes(&self, word: &str) -> Vec<u32> {
        let dir = self.site.dir().display().to_string();
        let runs = |pid: &u32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains(&format!("\0{word}\0")) && line.contains(&dir)
        };
        midwatch::backends::process_id::all().filter(runs).collect()
    }

    /// The directories that they run in.
    fn places(&self, word: &str) -> Vec<PathBuf> {
        let all = self.processes(word).into_iter();
        all.filter_map(|pid| fs::read_link(format!("/proc/{pid}/cwd")).ok()).collect()
    }

    /// The link points to this release, and one web and one worker run from it.
    fn serves(&self, version: &str) {
        eventually("the page", || self.page().contains(&format!("Practice Tickets {version}")).then_some(()));
        assert_eq!(fs::read_link(self.path("current")).unwrap(), Path::new("releases").join(version));
        let place = self.path("releases").canonicalize().unwrap().join(version);
        for word in ["run-web", "run-worker"] {
            eventually(word, || (self.places(word) == [place.clone()]).then_some(()));
        }
        assert_eq!(self.page().contains("seats given out"), version == "2026.2", "{}", self.page());
        assert!(!self.path("current.midwatch-new").is_symlink(), "something is left beside it");
    }

    fn plan(&self, wish: &[&str]) -> (i32, String) {
        self.ground.call(&[&["runbook", "plan"], wish].concat())
    }

    fn refused(&self, wish: &[&str], why: &str) {
        let (code, said) = self.plan(wish);
        assert!(code != 0 && said.contains(why), "{wish:?}: {code}: {said}");
    }

    /// Kills web and worker; what no run has stopped is started again, from what the link says.
    fn strike(&self, run: &str) {
        ["run-web", "run-worker"].into_iter().flat_map(|word| self.processes(word)).for_each(kill);
        assert!(self.path(&fs::read_link(self.path("current")).unwrap().display().to_string()).is_dir());
        let view = self.ground.view(run);
        for role in ["web", "worker"] {
            let place = |name: String| view.record.plan.steps.iter().position(|step| step.name == name);
            let begun = |at: usize| {
                view.entries.iter().any(|entry| matches!(entry.what, What::Intended { step, .. } if step == at))
            };
            let stopped = place(format!("stop {role}")).is_some_and(begun);
            let again = place(format!("start {role}")).is_some_and(|at| self.ground.acted(run, at));
            if again || !stopped {
                self.start(role);
            }
        }
    }

    fn start(&self, role: &str) {
        let mut start = Command::new(env!("CARGO_BIN_EXE_midwatch"));
        assert!(start.args(["demo", "start"]).arg(self.site.dir()).arg(role).status().unwrap().success());
    }

    /// Runs it to its end, killing its runner, web and worker at every step but those that stop a service: to settle these
    /// takes as long as that may take, and others show it. How often it was hit in the middle of one.
    fn done_though_killed(&self, wish: &[&str]) -> usize {
        let ground = &self.ground;
        let token = ground.token(wish);
        let run = ground.begin(&[wish, &["--confirm", &token]].concat());
        let steps = ground.view(&run).record.plan.steps;
        let (mut hit, mut taken, mut follower) = (0, 1, None::<Child>);
        for step in (0..steps.len()).filter(|at| !matches!(steps[*at].act, Act::Halt(_))) {
            ground.taken_up(&run, taken);
            hit += usize::from(ground.kill_at(&run, step));
            self.strike(&run);
            // It ends with its runner. Several would keep the next one from its journal.
            follower.take().map(|mut child| child.wait());
            if ground.view(&run).ended().is_some() {
                break;
            }
            follower = Some(ground.resume_aside(&run, &[]));
            taken += 1;
        }
        follower.take().map(|mut child| child.wait());
        let (outcome, _) = ground.ended(&run);
        assert_eq!(outcome, Outcome::Done, "{:#?}", ground.view(&run).entries.last());
        hit
    }

    fn backup(&self) -> PathBuf {
        let all = fs::read_dir(self.path("backups")).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|end| end == "sqlite3")).max().unwrap()
    }
}

const UP: [&str; 2] = ["upgrade", "version=2026.2"];

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn another_release_takes_over_though_it_is_killed_at_every_step_as_root() {
    let shop = Shop::open();
    let hit = shop.done_though_killed(&UP);
    shop.serves("2026.2");
    shop.refused(&UP, "is in use already");
    shop.refused(&["upgrade", "version=2026.1"], "no upgrade but a way back");

    // Back, but not onto a schema that the older one does not know.
    let before = format!("backup={}", shop.backup().display());
    shop.refused(&["undo-upgrade"], "undo-upgrade-and-restore does both");
    let newer = shop.path("backups/newer.sqlite3");
    let save = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('vacuum into ?', sys.argv[2:])";
    let saved = Command::new("python3").args(["-c", save]).args([&shop.path("data/practice.db"), &newer]).status();
    assert!(saved.unwrap().success());
    let newer = format!("backup={}", newer.display());
    shop.refused(&["undo-upgrade-and-restore", &newer], "has seen other migrations");
    let hit = hit + shop.done_though_killed(&["undo-upgrade-and-restore", &before]);
    assert!(hit >= 2, "only {hit} steps were hit in the middle");
    shop.serves("2026.1");
    shop.refused(&["undo-upgrade-and-restore", &before], "nothing says where to go back to");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_release_that_fails_or_is_not_safe_leaves_the_one_in_use_as_root() {
    let shop = Shop::open();
    let (new, current) = (shop.path("releases/2026.2"), shop.path("current"));
    let (_, said) = shop.plan(&["upgrade"]);
    assert!(said.contains("2026.1           in use") && said.find("2026.2") < said.find("2026.1"), "{said}");
    shop.refused(&["upgrade", "version=2026.3"], "there is no release 2026.3");
    fs::set_permissions(&new, Permissions::from_mode(0o777)).unwrap();
    shop.refused(&UP, "can be written by others");
    fs::set_permissions(&new, Permissions::from_mode(0o700)).unwrap();
    // What runs is not what the link says.
    fs::remove_file(&current).unwrap();
    symlink("releases/2026.2", &current).unwrap();
    fs::create_dir_all(shop.path("releases/2026.3")).unwrap();
    shop.refused(&["upgrade", "version=2026.3"], "still runs from");
    fs::remove_file(&current).unwrap();
    symlink("releases/2026.1", &current).unwrap();
    let backup = shop.backup();
    let whole = fs::metadata(&backup).unwrap().modified().unwrap();
    let made = |at: SystemTime| fs::File::options().append(true).open(&backup).unwrap().set_modified(at).unwrap();
    made(SystemTime::now() - Duration::from_hours(2));
    shop.refused(&UP, "Run take-backup first");
    made(whole);
    shop.serves("2026.1");

    // Moved since it was planned.
    let token = shop.ground.token(&UP);
    fs::remove_file(&current).unwrap();
    symlink(shop.path("releases/2026.1"), &current).unwrap();
    let (code, said) = shop.ground.call(&[&["runbook", "run"], &UP[..], &["--confirm", &token]].concat());
    assert_ne!(code, 0, "{said}");
    fs::remove_file(&current).unwrap();
    symlink("releases/2026.1", &current).unwrap();
    shop.serves("2026.1");

    // The migration fails: nothing is half done, and the way back is open.
    let migration = new.join("migrations/0002_seats.sql");
    let right = fs::read_to_string(&migration).unwrap();
    fs::write(&migration, right.replace("update orders", "update nothing")).unwrap();
    let token = shop.ground.token(&UP);
    let run = shop.ground.begin(&[&UP[..], &["--confirm", &token]].concat());
    let (outcome, _) = shop.ground.ended(&run);
    assert_eq!(outcome, Outcome::Failed);
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert!(said.contains("REVERTED"), "{said}");
    shop.serves("2026.1");

    // Migrated, and then the new one does not come up: it is not reverted, for the older one does not know the schema.
    fs::write(&migration, right).unwrap();
    let lacks = new.join("page.html");
    let text = fs::read_to_string(&lacks).unwrap();
    fs::remove_file(&lacks).unwrap();
    let token = shop.ground.token(&UP);
    let run = shop.ground.begin(&[&UP[..], &["--confirm", &token]].concat());
    let plan = shop.ground.view(&run).record.plan;
    let starts = plan.steps.iter().position(|step| step.name == "restart web").unwrap();
    shop.ground.kill_at(&run, starts);
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert!(
        said.contains("the database has been migrated") && said.contains("undo-upgrade-and-restore with"),
        "{said}"
    );
    assert_eq!(fs::read_link(&current).unwrap(), Path::new("releases/2026.2"));
    fs::write(&lacks, text).unwrap();
    // Mended, it goes on where it was; and the way back that was named is open.
    let (_, said) = shop.ground.resume(&run, &["--retry"]);
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Done, "{said}");
    shop.serves("2026.2");
    let before = format!("backup={}", backup.display());
    let (code, said) = shop.plan(&["undo-upgrade-and-restore", &before]);
    assert_eq!(code, 0, "{said}");
}
