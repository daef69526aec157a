//! A restore point of a PostgreSQL database and its files: both or neither, wherever it was cut off.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use midwatch::runbook::run::Outcome;

use super::shop::{Shop, from};
use crate::support::servers::eventually;
use crate::support::standins::{kill, unique};

/// A shop with a web process and uploaded files; both have changed since they were saved.
struct Point {
    shop: Shop,
    word: String,
}

impl Drop for Point {
    fn drop(&mut self) {
        self.web().into_iter().for_each(kill);
    }
}

impl Point {
    fn new() -> Self {
        let (shop, word) = (Shop::open(), unique("web"));
        let at = |name: &str| shop.ground.path().join(name);
        fs::create_dir_all(at("data/media")).unwrap();
        fs::write(at("data/media/logo.txt"), "saved").unwrap();
        let archive = format!("--file={}", shop.backup("shop-files.tar").display());
        let tar = Command::new("tar").args(["--create", &archive, "--directory"]).arg(at("data")).arg("media").status();
        assert!(tar.unwrap().success());
        fs::write(at("data/media/logo.txt"), "changed").unwrap();
        let start = at("start");
        let script = format!("#!/bin/bash\n(exec -a 'gunicorn {word}' sleep 600) >/dev/null 2>&1 &\ndisown\n");
        fs::write(&start, script).unwrap();
        fs::set_permissions(&start, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(Command::new(&start).status().unwrap().success());
        shop.configure(&format!(
            "data_dir = \"{}\"\n[sites.shop.services.web]\nrole = \"web\"\nprocess = \"gunicorn {word}\"\nuser = \"0\"\n\
             start = [\"{}\"]\n",
            at("data").display(),
            start.display()
        ));
        Self { shop, word }
    }

    fn web(&self) -> Vec<u32> {
        let all = Command::new("pgrep").args(["-f", &format!("^gunicorn {}", self.word)]).output().unwrap().stdout;
        String::from_utf8(all).unwrap().lines().filter_map(|pid| pid.parse().ok()).collect()
    }

    fn wish(&self) -> [String; 3] {
        let directory = self.shop.ground.path().join("data/media");
        ["restore-point".to_owned(), from(&self.shop.backup("shop.dump")), format!("directory={}", directory.display())]
    }

    fn begin(&self) -> String {
        let wish = self.wish();
        let wish: Vec<&str> = wish.iter().map(String::as_str).collect();
        let token = self.shop.ground.token(&wish);
        self.shop.ground.begin(&[&wish[..], &["--confirm", &token]].concat())
    }

    /// What of the files is in use.
    fn logo(&self) -> String {
        fs::read_to_string(self.shop.ground.path().join("data/media/logo.txt")).unwrap()
    }

    fn held(&self) -> PathBuf {
        let mut all = fs::read_dir(self.shop.ground.path().join("data")).unwrap().map(|entry| entry.unwrap().path());
        all.find(|path| path.display().to_string().contains("media.held-")).unwrap()
    }

    fn outcome(&self, run: &str) -> Outcome {
        self.shop.ground.ended(run).0
    }

    fn restored(&self, when: &str) {
        self.shop.ended_restored();
        assert_eq!((self.logo().as_str(), self.web().len()), ("saved", 1), "{when}");
        assert_eq!(fs::read_to_string(self.held().join("logo.txt")).unwrap(), "changed", "{when}");
    }

    fn as_before(&self, when: &str) {
        assert_eq!(
            (self.shop.orders().as_str(), self.logo().as_str(), self.web().len()),
            ("2007", "changed", 1),
            "{when}"
        );
        self.shop.nobody_works();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_point_of_postgresql_comes_back_whole_and_goes_back_whole_as_root() {
    let point = Point::new();
    let wish = point.wish();
    let wish: Vec<&str> = wish.iter().map(String::as_str).collect();
    let (code, said) = point.shop.run(&wish);
    assert_eq!(code, 0, "{said}");
    point.restored("restored");
    let held = format!("held={}", point.held().display());
    let (code, said) = point.shop.run(&["swap-back-point", &held]);
    assert_eq!(code, 0, "{said}");
    point.as_before("put back");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_point_of_postgresql_is_killed_at_every_step_and_is_whole_as_root() {
    let mut hit = 0;
    // Made, restored, settings, statistics, compared, unpacked, stopped, exchanged, started, answers.
    for step in 0..10 {
        let point = Point::new();
        let run = point.begin();
        assert_eq!(point.shop.ground.view(&run).record.plan.steps.len(), 10);
        let at = point.shop.ground.kill_at(&run, step);
        hit += usize::from(at);
        if at && step % 2 == 1 {
            let (code, said) = point.shop.ground.resume(&run, &["--revert"]);
            assert_eq!((code, point.outcome(&run)), (1, Outcome::Reverted), "killed at {step}: {said}");
            point.as_before(&format!("killed at {step}"));
            continue;
        }
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
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn where_the_files_can_t_be_exchanged_postgresql_is_put_back_as_root() {
    let point = Point::new();
    // What is in use is in the way of nothing; what is made ready is taken away while web is being stopped.
    let pid = point.web()[0];
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let run = point.begin();
    let at = point.shop.ground.view(&run).record.plan.steps.iter().position(|step| step.name == "stop web").unwrap();
    let data = point.shop.ground.path().join("data");
    let ready = eventually("web is being stopped", || {
        let entries = point.shop.ground.view(&run).entries;
        let begun = |entry: &midwatch::runbook::run::Entry| matches!(entry.what, midwatch::runbook::run::What::Intended { step, .. } if step == at);
        let all = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
        let ready = all.into_iter().find(|path| path.display().to_string().contains("media.mw-"));
        ready.filter(|_| entries.iter().any(begun))
    });
    fs::rename(ready, data.with_extension("taken")).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(point.outcome(&run), Outcome::Failed);
    assert_eq!((point.shop.orders().as_str(), point.logo().as_str()), ("2007", "changed"), "one of both was exchanged");
    let (_, said) = point.shop.ground.call(&["runbook", "log", &run]);
    assert!(said.contains("nothing of it is exchanged"), "{said}");
    let (code, said) = point.shop.ground.resume(&run, &["--revert"]);
    assert_eq!((code, point.outcome(&run)), (1, Outcome::Reverted), "{said}");
    point.as_before("undone");
}
