//! The runbooks that ship, against real services, a real PostgreSQL, a real deleted log.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::ground::Ground;
use crate::support::servers::{PostgresServer, eventually};
use crate::support::standins::{Supervisord, UserManager, unique};
use crate::support::web::Answering;

fn config(web: &Answering, rest: &str) -> String {
    format!("discover = false\n[sites.shop]\nurl = \"{}\"\n{rest}", web.url())
}

/// What the plan for this says of the service.
pub(super) fn plan(ground: &Ground, wish: &[&str]) -> serde_json::Value {
    let (code, said) = ground.call(&[&["runbook", "plan", "-o", "json"], wish].concat());
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&said).unwrap()
}

/// Runs it as its plan says, to its end.
pub(super) fn run(ground: &Ground, wish: &[&str]) -> (i32, String) {
    let token = ground.token(wish);
    ground.call(&[&["runbook", "run"], wish, &["--confirm", &token]].concat())
}

/// The same, its runner killed with -9 as soon as it begins this step, then taken up. Says what its log says.
pub(super) fn cut(ground: &Ground, wish: &[&str], step: usize) -> (i32, String) {
    let token = ground.token(wish);
    let run = ground.begin(&[wish, &["--confirm", &token]].concat());
    ground.kill_at(&run, step);
    if ground.view(&run).ended().is_none() {
        ground.resume(&run, &[]);
    }
    let (_, said) = ground.call(&["runbook", "log", &run]);
    let ended = ground.view(&run).ended();
    assert!(ended.is_some(), "not ended, cut at {step}: {said}");
    (ended.map_or(-1, |(outcome, _)| i32::from(outcome.code())), said)
}

pub(super) fn was(plan: &serde_json::Value) -> String {
    plan["plan"]["facts"][0]["was"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs supervisor"]
fn a_program_of_supervisord_is_restarted_as_root() {
    let (dir, web, word) = (tempfile::tempdir().unwrap(), Answering::ok(), unique("wsgi"));
    let supervisord = Supervisord::start(dir.path(), &[("web", &format!("exec -a 'gunicorn {word}' sleep 600"))]);
    let rest = format!("[sites.shop.services.web]\nsupervisor = \"web\"\nsocket = \"{}\"\n", supervisord.socket());
    let ground = Ground::new(&config(&web, &rest), "");
    let wish = ["restart-services", "service=web"];
    eventually("it runs", || was(&plan(&ground, &wish)).starts_with("running").then_some(()));
    let before = plan(&ground, &wish);
    assert_eq!(before["plan"]["confirm"]["type"], "web", "it interrupts users");
    let (code, said) = run(&ground, &wish);
    assert_eq!(code, 0, "{said}");
    assert_ne!(was(&plan(&ground, &wish)), was(&before));
    // One that is down needs no more than a `y`.
    supervisord.ctl(&["stop", "web"]);
    assert_eq!(plan(&ground, &wish)["plan"]["confirm"], "yes");
    let (code, said) = ground.call(&["runbook", "run", "restart-services", "service=web", "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(was(&plan(&ground, &wish)).starts_with("running"));
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs systemd"]
fn units_are_restarted_and_started_after_a_crash_loop_as_root() {
    let (dir, web) = (tempfile::tempdir().unwrap(), Answering::ok());
    let manager = UserManager::start(dir.path());
    manager.unit("shop-worker.service", "Type=exec\nExecStart=/bin/sleep 600\nRestart=always\nRestartSec=50ms");
    manager.ctl(&["start", "shop-worker"]);
    let uid = rustix::process::geteuid().as_raw();
    let rest = format!("[sites.shop.services.tasks]\nrole = \"worker\"\nunit = \"shop-worker\"\nuser = \"{uid}\"\n");
    let ground = Ground::new(&config(&web, &rest), "").with("XDG_RUNTIME_DIR", &manager.runtime());
    let wish = ["restart-services", "service=tasks"];
    let before = was(&plan(&ground, &wish));
    let (code, said) = run(&ground, &wish);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("not verified, for it can't be seen from here: `a worker listens`"), "{said}");
    assert_ne!(was(&plan(&ground, &wish)), before);

    for cut_at in [None, Some(0), Some(1), Some(2), Some(3), Some(4)] {
        crash_loop(&manager, &ground, &dir.path().join("ready"), cut_at);
    }
}

/// It crashes until systemd gives it up; then what it lacked is there.
fn crash_loop(manager: &UserManager, ground: &Ground, ready: &std::path::Path, cut_at: Option<usize>) {
    fs::remove_file(ready).ok();
    let start = format!(
        "Type=exec\nExecStart=/bin/sh -c 'test -e {} && exec sleep 600'\nRestart=always\nRestartSec=50ms",
        ready.display()
    );
    manager.unit("shop-worker.service", &start);
    manager.ctl(&["daemon-reload"]);
    manager.ctl(&["restart", "shop-worker"]);
    let wish = ["reset-crash-loop", "service=tasks"];
    eventually("it was given up", || was(&plan(ground, &wish)).starts_with("gave up").then_some(()));
    fs::write(ready, "").unwrap();
    let (code, said) = match cut_at {
        None => run(ground, &wish),
        Some(step) => cut(ground, &wish, step),
    };
    assert!(code == 0 || code == 14, "cut at {cut_at:?}: {code}: {said}");
    assert!(was(&plan(ground, &wish)).starts_with("running"), "cut at {cut_at:?}: {said}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_plain_process_is_ended_and_started_by_its_own_program_as_root() {
    let (web, word) = (Answering::ok(), unique("worker"));
    let ground = Ground::new("discover = false\n", "");
    let start = ground.path().join("start");
    let script = format!("#!/bin/bash\ntrap '' TERM\n(exec -a 'celery {word}' sleep 600) >/dev/null 2>&1 &\ndisown\n");
    fs::write(&start, script).unwrap();
    fs::set_permissions(&start, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let rest = format!(
        "[sites.shop.services.tasks]\nrole = \"worker\"\nprocess = \"celery {word}\"\nstart = [\"{}\"]\n",
        start.display()
    );
    fs::write(ground.path().join("c.toml"), config(&web, &rest)).unwrap();
    let mut before = Command::new("sleep").arg0(format!("celery {word}")).arg("600").spawn().unwrap();
    let wish = ["restart-services", "service=tasks"];
    // Of two with the same words nobody knows which is meant.
    let mut twin = Command::new("sleep").arg0(format!("celery {word}")).arg("600").spawn().unwrap();
    let (code, said) = ground.call(&["runbook", "plan", "restart-services", "service=tasks"]);
    assert!(code == 13 && said.contains("2 processes have the words"), "{code}: {said}");
    twin.kill().unwrap();
    twin.wait().unwrap();
    let old = plan(&ground, &wish);
    let (code, said) = run(&ground, &wish);
    before.wait().unwrap();
    assert_eq!(code, 0, "{said}");
    let now = was(&plan(&ground, &wish));
    assert!(now.starts_with("running") && now != was(&old), "{now}");
    // What was started lives on; it is this test's to end.
    let pid = now.split("pid ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn the_session_that_others_wait_for_is_ended_and_no_other_as_root() {
    for cut_at in [None, Some(0), Some(1), Some(2)] {
        unblocked(cut_at);
    }
}

fn unblocked(cut_at: Option<usize>) {
    let (web, server) = (Answering::ok(), PostgresServer::start(&[]));
    let url = format!("postgresql://postgres:super-pw@127.0.0.1:{}/postgres", server.port);
    let ground = Ground::new(&config(&web, &format!("database = \"{url}\"\n")), "");
    let psql = |sql: &str| {
        let mut child = Command::new("psql")
            .args(["-X", "-q", &url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(sql.as_bytes()).unwrap();
        child
    };
    psql("create table t (n int);\n").wait_with_output().unwrap();
    // Idle in its transaction: a cancel does nothing to it.
    let mut holder = psql("begin; lock table t;\n\\echo locked\n");
    let mut said = String::new();
    std::io::BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "locked\n");
    let mut waiter = psql("select * from t;\n");
    let wish = ["unblock-locks"];
    let document = eventually("somebody waits", || {
        let (code, said) = ground.call(&["runbook", "plan", "unblock-locks", "-o", "json"]);
        (code == 0).then(|| serde_json::from_str::<serde_json::Value>(&said).unwrap())
    });
    assert!(document["plan"]["costs"][0].as_str().unwrap().contains("lock table t"), "{document}");
    let (code, said) = match cut_at {
        None => run(&ground, &wish),
        Some(step) => cut(&ground, &wish, step),
    };
    assert!(code == 0 || code == 14, "cut at {cut_at:?}: {code}: {said}");
    assert!(said.contains("pg_terminate_backend") || said.contains("pg_cancel_backend"), "{said}");
    drop(waiter.stdin.take());
    assert!(waiter.wait().unwrap().success(), "who waited goes on");
    let (code, said) = ground.call(&["runbook", "plan", "unblock-locks"]);
    assert!(code == 13 && said.contains("nobody waits"), "{code}: {said}");
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_deleted_log_is_emptied_and_data_is_not_offered_as_root() {
    emptied(None);
    emptied(Some(0));
}

fn emptied(cut_at: Option<usize>) {
    let ground = Ground::new("discover = false\n", "");
    let (log, data) = (ground.path().join("shop.log"), ground.path().join("orders.db"));
    for path in [&log, &data] {
        fs::File::create(path).unwrap().write_all(&vec![b'x'; 12 << 20]).unwrap();
    }
    let open = format!("exec 7>>{} 8>>{}; exec sleep 600", log.display(), data.display());
    let mut holder =
        Command::new("bash").args(["-c", &open]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let link = format!("/proc/{}/fd/8", holder.id());
    eventually("both are open", || fs::read_link(&link).ok().filter(|path| path == &data));
    fs::remove_file(&log).unwrap();
    fs::remove_file(&data).unwrap();
    let (code, said) = ground.call(&["runbook", "plan", "free-space"]);
    assert!(code == 64 && said.contains("shop.log") && !said.contains("orders.db"), "{said}");
    let wish = format!("log={}:7", holder.id());
    let data_wish = format!("log={}:8", holder.id());
    assert_eq!(ground.call(&["runbook", "plan", "free-space", &data_wish]).0, 64);
    let (code, said) = match cut_at {
        None => run(&ground, &["free-space", &wish]),
        Some(step) => cut(&ground, &["free-space", &wish], step),
    };
    assert_eq!(code, 0, "cut at {cut_at:?}: {said}");
    assert_eq!(fs::metadata(format!("/proc/{}/fd/7", holder.id())).unwrap().len(), 0);
    assert_eq!(fs::metadata(&link).unwrap().len(), 12 << 20);
    holder.kill().unwrap();
    holder.wait().unwrap();
}
