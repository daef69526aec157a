//! Upgrades that end badly: without a network, sick for good, everything killed at every step.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use midwatch::runbook::run::{Outcome, What};

use super::super::ground::Ground;
use super::{PYTHON, Shop};
use crate::support::servers::{eventually, free_port};

/// An index of packages, which ends with its guard.
struct Index {
    child: Option<Child>,
    port: u16,
}

impl Index {
    /// With the stand-in's wheels; pip of the installation asks it.
    fn open(shop: &Shop) -> Self {
        let port = free_port();
        for wheel in fs::read_dir(shop.path("wheels")).unwrap() {
            let wheel = wheel.unwrap();
            let name = wheel.file_name().into_string().unwrap();
            let of = shop.path("index/simple").join(name.split('-').next().unwrap());
            fs::create_dir_all(&of).unwrap();
            fs::copy(wheel.path(), of.join(name)).unwrap();
        }
        let pip = format!("[global]\nindex-url = http://127.0.0.1:{port}/simple\nretries = 0\n");
        fs::write(shop.path("venv/pip.conf"), pip).unwrap();
        let mut index = Self { child: None, port };
        index.serve(shop);
        index
    }

    fn serve(&mut self, shop: &Shop) {
        let mut command = Command::new(PYTHON);
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &self.port.to_string()]).arg("--directory");
        command.arg(shop.path("index")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.process_group(0).spawn().unwrap());
        let port = self.port;
        eventually("the index answers", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    }

    /// The network is gone.
    fn close(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.close();
    }
}

const WISH: [&str; 2] = ["upgrade", "version=2026.8.0"];

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn without_a_network_nothing_is_stopped_as_root() {
    let shop = Shop::open();
    let mut index = Index::open(&shop);
    index.close();
    let (code, said) = shop.ground.call(&["runbook", "plan", WISH[0], WISH[1]]);
    assert!(code == 13 && said.contains("can't be had"), "{code}: {said}");
    shop.as_before();
    // It goes after the plan was made.
    index.serve(&shop);
    let token = shop.ground.token(&WISH);
    let run = shop.ground.begin(&[&WISH[..], &["--confirm", &token]].concat());
    assert!(shop.ground.kill_at(&run, shop.step(&run, "a place beside it")));
    index.close();
    let (code, said) = shop.ground.resume(&run, &[]);
    let (outcome, left) = shop.ended(&run);
    assert!(code == 1 && outcome == Outcome::Failed && left.contains("`fetch` failed"), "{code}: {said}");
    shop.as_before();
    index.serve(&shop);
    let (code, said) = shop.ground.resume(&run, &["--retry"]);
    assert_eq!(code, 0, "{said}");
    shop.upgraded();
}

impl Shop {
    /// As whoever finds it gone would.
    fn start_what_is_gone(&self) {
        for (role, program) in [("web", "gunicorn"), ("worker", "celery")] {
            if self.processes(program) == 0 {
                self.restart(role);
            }
        }
    }
}

/// Kills the runner, web and worker.
fn strike(shop: &Shop, run: &str) {
    Ground::kill(&shop.ground.runner(run));
    shop.kill_application();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn everything_is_killed_at_every_step_of_an_upgrade_and_it_ends_upgraded_as_root() {
    let shop = Shop::open();
    let run = shop.begin();
    let names: Vec<String> = shop.ground.view(&run).record.plan.steps.into_iter().map(|step| step.name).collect();
    let (mut hit, mut following) = (0, None::<Child>);
    let step = |name: &str| names.iter().position(|known| known == name).unwrap();
    for at in 0..names.len() {
        shop.ground.taken_up(&run, hit + 1);
        shop.ground.kill_at(&run, at);
        strike(&shop, &run);
        if let Some(mut child) = following.take() {
            child.wait().unwrap();
        }
        if shop.ground.view(&run).ended().is_some() {
            break;
        }
        hit += 1;
        // What the run had started again is started by whoever finds it gone.
        for (name, role) in [("restart pretix-web", "web"), ("start pretix-worker", "worker")] {
            if shop.ground.acted(&run, step(name)) {
                let started = Command::new(shop.path("start")).arg(role).stdin(Stdio::null()).status().unwrap();
                assert!(started.success());
            }
        }
        following = Some(shop.ground.resume_aside(&run, &[]));
    }
    if let Some(mut child) = following {
        child.wait().unwrap();
    }
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    assert!(hit > 12, "only {hit} steps of {} were hit", names.len());
    shop.start_what_is_gone();
    shop.upgraded();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn killed_before_it_migrates_it_can_be_reverted_as_root() {
    let mut hit = 0;
    for everything in [false, true] {
        for name in ["install into a copy of the installation", "stop pretix-worker", "exchange the two"] {
            let shop = Shop::open();
            let run = shop.begin();
            shop.ground.kill_at(&run, shop.step(&run, name));
            if everything {
                shop.kill_application();
            }
            if shop.migrated().len() > 1 || shop.ground.view(&run).ended().is_some() {
                continue;
            }
            hit += 1;
            let (_, said) = shop.ground.resume(&run, &["--revert"]);
            assert_eq!(shop.ended(&run).0, Outcome::Reverted, "killed at {name}: {said}");
            if everything {
                shop.start_what_is_gone();
            }
            shop.as_before();
        }
    }
    assert!(hit > 2, "only {hit} were hit in the middle");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn what_stays_sick_is_upgraded_and_said_to_be_unverified_as_root() {
    let shop = Shop::open();
    shop.switch("sick", true);
    let run = shop.begin();
    let waits = shop.step(&run, "the site answers");
    let begun = || {
        let view = shop.ground.view(&run);
        view.entries
            .iter()
            .any(|entry| matches!(entry.what, What::Intended { step, .. } if step == waits))
            .then_some(())
    };
    let patience = std::time::Instant::now();
    while begun().is_none() {
        assert!(patience.elapsed().as_secs() < 120, "it never waits for the site");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    let (code, said) = shop.ground.call(&["runbook", "abort", &run, "--now"]);
    assert_eq!(code, 0, "{said}");
    let (outcome, left) = shop.ended(&run);
    assert!(matches!(outcome, Outcome::Failed | Outcome::Cancelled) && left.contains("`the site answers`"), "{left}");
    // Back it does not go, for it was migrated; left as it is, it says what was not seen.
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert!(said.contains("the database has been migrated"), "{said}");
    let (_, said) = shop.ground.call(&["runbook", "log", &run]);
    assert!(said.contains("the site answers"), "{said}");
    shop.upgraded();
}
