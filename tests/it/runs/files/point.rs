//! Restore points: database and files come back together or not at all, wherever the run was cut off.

use std::fs;
use std::path::{Path, PathBuf};

use midwatch::runbook::run::{Outcome, What};

use super::super::ground::Ground;
use super::shop::Shop;
use super::{changed, media, taken};
use crate::support::servers::eventually;

type Media = Vec<(String, String, u32)>;

/// Orders in the backup, and in the database in use.
const ORDERS: (i64, i64) = (3, 5);

/// A shop of which a backup was taken, the files 12 minutes before the database; both have changed since.
struct Point {
    shop: Shop,
    wish: [String; 3],
    /// The files as they were saved, and as they are.
    files: (Media, Media),
}

impl Point {
    fn new() -> Self {
        let (shop, archive, saved) = changed();
        let database = taken(&shop, ".sqlite3");
        let made = fs::metadata(&database).unwrap().modified().unwrap();
        let earlier = made - std::time::Duration::from_mins(12);
        fs::File::options().append(true).open(&archive).unwrap().set_modified(earlier).unwrap();
        shop.sql(&shop.database(), &["insert into orders (what) values ('later'), ('latest')"]);
        let wish = [
            "restore-point".to_owned(),
            format!("backup={database}"),
            format!("directory={}", shop.text("data/media")),
        ];
        let now = media(&shop);
        Self { shop, wish, files: (saved, now) }
    }

    fn wish(&self) -> Vec<&str> {
        self.wish.iter().map(String::as_str).collect()
    }

    /// What is in use: the orders and the files; nothing half made lies beside it, and the site runs.
    fn is(&self, orders: i64, files: &Media, when: &str) {
        assert_eq!((self.shop.orders(&self.shop.database()), &media(&self.shop)), (orders, files), "{when}");
        assert_eq!(self.shop.names("data", ".mw-"), [] as [&str; 0], "{when}");
        assert!(self.shop.runs(), "{when}");
    }

    fn restored(&self, when: &str) {
        self.is(ORDERS.0, &self.files.0, when);
        assert_eq!(self.shop.orders(&self.held("shop.sqlite3.held-")), ORDERS.1, "{when}");
        assert!(self.held("media.held-").join("new.txt").exists(), "{when}");
    }

    fn as_before(&self, when: &str) {
        self.is(ORDERS.1, &self.files.1, when);
    }

    /// The only thing in the data directory whose name begins so.
    fn held(&self, begins: &str) -> PathBuf {
        let mut names = self.shop.names("data", begins);
        names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
        assert_eq!(names.len(), 1, "{names:?}");
        self.shop.path("data").join(&names[0])
    }

    fn begin(&self) -> String {
        self.shop.begin(&self.wish())
    }

    fn outcome(&self, run: &str) -> Outcome {
        self.shop.ground.ended(run).0
    }

    /// The place of the step that exchanges both.
    fn exchange(&self, run: &str) -> usize {
        self.shop.ground.view(run).record.plan.steps.iter().position(|step| step.name == "exchange both").unwrap()
    }

    /// Begins a run that waits in the middle of its exchange, for somebody has the database open.
    fn waiting(&self) -> (String, fs::File) {
        let open = fs::File::open(self.shop.database()).unwrap();
        let run = self.begin();
        let at = self.exchange(&run);
        let begun = |what: &What| matches!(what, What::Intended { step, .. } if *step == at);
        eventually("the exchange is begun", || {
            self.shop.ground.view(&run).entries.iter().any(|entry| begun(&entry.what)).then_some(())
        });
        (run, open)
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_point_comes_back_whole_and_goes_back_whole_as_root() {
    let point = Point::new();
    let (_, plan) = point.shop.ground.call(&[&["runbook", "plan"], &point.wish()[..]].concat());
    assert!(plan.contains("The gap: the files (") && plan.contains("were saved 12m"), "{plan}");
    assert!(plan.contains("all of this or none: exchanges"), "{plan}");
    let (code, said) = point.shop.run(&point.wish());
    assert_eq!(code, 0, "{said}");
    point.restored("restored");
    // By the one half the other is found.
    let held = format!("held={}", point.held("media.held-").display());
    let (code, said) = point.shop.run(&["swap-back-point", &held]);
    assert_eq!(code, 0, "{said}");
    point.as_before("put back");
    let held = format!("held={}", point.held("shop.sqlite3.held-").display());
    let (code, said) = point.shop.run(&["swap-back-point", &held]);
    assert_eq!(code, 0, "{said}");
    point.restored("and back again");
    // Alone it is no point any more.
    fs::rename(point.held("media.held-"), point.shop.path("elsewhere")).unwrap();
    let held = format!("held={}", point.held("shop.sqlite3.held-").display());
    let why = point.shop.refused(&["swap-back-point", &held]);
    assert!(why.contains("no directory was displaced at the same moment"), "{why}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_point_is_killed_at_every_step_and_nothing_is_mixed_or_lost_as_root() {
    let mut hit = 0;
    for step in 0..6 {
        let point = Point::new();
        let run = point.begin();
        assert_eq!(point.shop.ground.view(&run).record.plan.steps.len(), 6);
        hit += usize::from(point.shop.ground.kill_at(&run, step));
        if point.shop.ground.view(&run).ended().is_none() {
            let (code, said) = point.shop.ground.resume(&run, &[]);
            assert_eq!(code, 0, "killed at {step}: {said}");
        }
        assert_eq!(point.outcome(&run), Outcome::Done, "killed at {step}");
        point.restored(&format!("killed at {step}"));
    }
    assert!(hit > 0, "no step was hit in the middle");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_point_that_was_cut_off_at_any_step_is_undone_as_root() {
    for step in 0..6 {
        let point = Point::new();
        let run = point.begin();
        // Past its end there is nothing to undo.
        if !point.shop.ground.kill_at(&run, step) {
            continue;
        }
        let (code, said) = point.shop.ground.resume(&run, &["--revert"]);
        assert_eq!(code, 1, "killed at {step}: {said}");
        assert_eq!(point.outcome(&run), Outcome::Reverted, "killed at {step}: {said}");
        point.as_before(&format!("killed at {step}"));
    }
}

/// The database has changed places, and the files have not: as after a kill between the two.
fn half_done(point: &Point) {
    let live = point.shop.database();
    let stamp = point.shop.names("data", "shop.sqlite3.mw-").remove(0);
    let ready = point.shop.path("data").join(&stamp);
    let held = PathBuf::from(ready.display().to_string().replace(".mw-", ".held-"));
    for sidecar in ["-wal", "-shm", ""] {
        let of = |path: &Path| PathBuf::from(format!("{}{sidecar}", path.display()));
        if of(&live).exists() {
            fs::rename(of(&live), of(&held)).unwrap();
        }
    }
    fs::rename(ready, live).unwrap();
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_point_that_was_cut_off_between_database_and_files_is_finished_or_undone_as_root() {
    for revert in [false, true] {
        let point = Point::new();
        let (run, open) = point.waiting();
        Ground::kill(&point.shop.ground.runner(&run));
        drop(open);
        half_done(&point);
        if revert {
            let (code, said) = point.shop.ground.resume(&run, &["--revert"]);
            assert_eq!((code, point.outcome(&run)), (1, Outcome::Reverted), "{said}");
            point.as_before("undone");
        } else {
            let (code, said) = point.shop.ground.resume(&run, &[]);
            assert_eq!((code, point.outcome(&run)), (0, Outcome::Done), "{said}");
            point.restored("finished");
        }
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn where_the_files_can_t_be_exchanged_the_database_is_put_back_as_root() {
    let point = Point::new();
    let (run, open) = point.waiting();
    // Somebody takes away what was made ready; then the database is let go.
    let ready = point.shop.names("data", "media.mw-").remove(0);
    fs::rename(point.shop.path("data").join(ready), point.shop.path("taken")).unwrap();
    drop(open);
    assert_eq!(point.outcome(&run), Outcome::Failed);
    assert_eq!(point.shop.orders(&point.shop.database()), ORDERS.1, "the database alone was exchanged");
    assert_eq!(media(&point.shop), point.files.1);
    let (_, said) = point.shop.ground.call(&["runbook", "log", &run]);
    assert!(said.contains("nothing of it is exchanged"), "{said}");
    let (code, said) = point.shop.ground.resume(&run, &["--revert"]);
    assert_eq!((code, point.outcome(&run)), (1, Outcome::Reverted), "{said}");
    point.as_before("undone");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn what_is_no_point_is_refused_as_root() {
    let point = Point::new();
    let archive = taken(&point.shop, ".tar.zst");
    let [_, backup, directory] = &point.wish;
    let refused = |files: &str| {
        let files = format!("files={files}");
        point.shop.refused(&["restore-point", backup, &files, directory])
    };
    assert!(refused(backup.trim_start_matches("backup=")).contains("database and files in one"));
    let days = fs::metadata(&archive).unwrap().modified().unwrap() - std::time::Duration::from_hours(50);
    fs::File::options().append(true).open(&archive).unwrap().set_modified(days).unwrap();
    let why = refused(&archive);
    assert!(why.contains("apart: that is no restore point"), "{why}");
    let why = point.shop.refused(&["restore-point", backup, directory]);
    assert!(why.contains("no files were saved within a day"), "{why}");
    point.as_before("refused");
}
