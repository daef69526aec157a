//! Services that fail for real: plain processes, supervisord's programs, a user manager's units; and containers behind a
//! socket that answers as Docker did when it was recorded.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects by failing")]

use std::fs;
use std::path::Path;

use midwatch::app::model::Model;
use midwatch::domain::level::Level;
use midwatch::domain::service::{Service, State};
use midwatch::triage::Finding;
use rustix::process::Signal;
use serde_json::json;

use crate::support::docker::Docker;
use crate::support::eyes::{Eyes, holds, top};
use crate::support::servers::free_port;
use crate::support::site::{StandsOn, serve};
use crate::support::standins::{self, Standin, Supervisord, UserManager, unique};

/// A site at this port with these services, looked at every second.
fn config(port: u16, services: &str) -> String {
    format!(
        "discover = false\n[pace]\nhealth = \"1s\"\nservices = \"1s\"\n[sites.shop]\nurl = \"http://127.0.0.1:{port}\"\n{services}"
    )
}

fn service<'m>(model: &'m Model, name: &str) -> Option<&'m Service> {
    model.sites[0].services.fresh()?.find(name)
}

fn is(model: &Model, name: &str, state: State) -> bool {
    service(model, name).is_some_and(|s| s.state == state)
}

/// The top finding of the site, once it has this rule and this other one below it.
async fn cause(eyes: &mut Eyes, rule: &str, symptom: &str) -> Finding {
    eyes.until(&format!("{rule} is the top finding, {symptom} below it"), |m| {
        top(m, "shop").is_some_and(|f| f.rule == rule && holds(f, symptom))
    })
    .await;
    top(&eyes.model, "shop").unwrap().clone()
}

fn alarms(model: &Model) -> Vec<&Finding> {
    model.findings.iter().filter(|f| f.site == "shop" && f.level > Level::Note).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_process_that_is_gone_is_why_the_site_is_unreachable() {
    let (dir, word, port) = (tempfile::tempdir().unwrap(), unique("wsgi"), free_port());
    let web = format!("[sites.shop.services.web]\nprocess = \"gunicorn {word}\"\n");
    let mut eyes = Eyes::open(dir.path(), &config(port, &web));
    let found = cause(&mut eyes, "service-stopped", "web-unreachable").await;
    assert_eq!(found.subject, "web web");
    eyes.until("it is critical", |m| top(m, "shop").is_some_and(|f| f.level == Level::Critical)).await;
    let standin = Standin::start(&format!("gunicorn: master [{word}]"));
    eyes.gone("shop", "service-stopped").await;
    eyes.until("the process is seen", |m| service(m, "web").is_some_and(|s| s.pid == Some(standin.pid()))).await;
    assert!(service(&eyes.model, "web").unwrap().memory.unwrap() > 0);
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_stopped_by_a_signal_is_told_until_it_goes_on() {
    let (dir, word) = (tempfile::tempdir().unwrap(), unique("celery_app"));
    let worker = format!("[sites.shop.services.tasks]\nprocess = \"celery {word} worker\"\n");
    let standin = Standin::start(&format!("celery -A {word} worker"));
    let mut eyes = Eyes::open(dir.path(), &config(serve(StandsOn::default()), &worker));
    eyes.until("all is well", |m| m.seen_enough() && is(m, "tasks", State::Running)).await;
    assert!(alarms(&eyes.model).is_empty(), "{:?}", alarms(&eyes.model));
    standin.send(Signal::STOP);
    let found = eyes.top("shop", "process-stopped-state").await;
    assert_eq!((found.level, found.subject.as_str()), (Level::Critical, "worker tasks"));
    standin.send(Signal::CONT);
    eyes.gone("shop", "process-stopped-state").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_restart_is_a_note_and_three_are_a_crash_loop() {
    let (dir, word) = (tempfile::tempdir().unwrap(), unique("celery_app"));
    let worker = format!("[sites.shop.services.tasks]\nprocess = \"celery {word} worker\"\n");
    let line = format!("celery -A {word} worker");
    let mut eyes = Eyes::open(dir.path(), &config(serve(StandsOn::default()), &worker));
    for start in 0..4 {
        let standin = Standin::start(&line);
        eyes.until("the process is seen", |m| service(m, "tasks").is_some_and(|s| s.pid == Some(standin.pid()))).await;
        if start == 1 {
            eyes.until("the start is told", |m| m.findings.iter().any(|f| f.rule == "service-restarting")).await;
            assert!(alarms(&eyes.model).is_empty(), "{:?}", alarms(&eyes.model));
        }
    }
    let found = eyes.top("shop", "service-crash-loop").await;
    assert!(found.suspected && found.title.contains("3 starts in 5 minutes"), "{}", found.title);
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs supervisor"]
async fn a_program_that_supervisord_gave_up_is_told_with_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let word = unique("wsgi");
    let supervisord = Supervisord::start(dir.path(), &[("web", &format!("exec -a 'gunicorn {word}' sleep 600"))]);
    let web = format!("[sites.shop.services.web]\nsupervisor = \"web\"\nsocket = \"{}\"\n", supervisord.socket());
    let mut eyes = Eyes::open(dir.path(), &config(serve(StandsOn::default()), &web));
    eyes.until("it runs", |m| is(m, "web", State::Running)).await;
    let running = service(&eyes.model, "web").unwrap().clone();
    assert!(running.command.contains(&word), "{}", running.command);
    assert!(alarms(&eyes.model).is_empty(), "{:?}", alarms(&eyes.model));

    // Killed once: supervisord starts it again, and that is a note.
    standins::kill(running.pid.unwrap());
    eyes.until("it runs anew", |m| {
        is(m, "web", State::Running) && service(m, "web").is_some_and(|s| s.pid != running.pid)
    })
    .await;
    eyes.until("the start is told", |m| m.findings.iter().any(|f| f.rule == "service-restarting")).await;
    assert!(alarms(&eyes.model).is_empty(), "{:?}", alarms(&eyes.model));

    // Broken for good: it ends at once however often it is tried.
    supervisord.program("web", "exit 3");
    standins::kill(service(&eyes.model, "web").unwrap().pid.unwrap());
    eyes.until("supervisord has given it up", |m| is(m, "web", State::GaveUp)).await;
    let found = eyes.top("shop", "service-crash-loop").await;
    assert!(found.title.starts_with("supervisord gave web up"), "{}", found.title);

    supervisord.program("web", "exec sleep 600");
    supervisord.ctl(&["start", "web"]);
    eyes.until("it runs again", |m| is(m, "web", State::Running)).await;
    eyes.until("no more than a loop of the last minutes is told", |m| {
        m.findings.iter().filter(|f| f.rule == "service-crash-loop").all(|f| f.suspected && f.level < Level::Critical)
    })
    .await;

    supervisord.ctl(&["stop", "web"]);
    eyes.until("it is stopped", |m| is(m, "web", State::Stopped)).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs supervisor"]
async fn supervisord_that_is_gone_leaves_the_services_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let supervisord = Supervisord::start(dir.path(), &[("web", "exec sleep 600")]);
    let web = format!("[sites.shop.services.web]\nsupervisor = \"web\"\nsocket = \"{}\"\n", supervisord.socket());
    let mut eyes = Eyes::open(dir.path(), &config(serve(StandsOn::default()), &web));
    eyes.until("it runs", |m| is(m, "web", State::Running)).await;
    drop(supervisord);
    let found = eyes.top("shop", "services-unseen").await;
    assert_eq!(found.level, Level::Unknown);
    eyes.until("why is told", |m| top(m, "shop").is_some_and(|f| f.evidence.contains("supervisord does not run")))
        .await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs systemd, unshare and root"]
async fn units_fail_are_given_up_and_come_back_as_root() {
    let dir = tempfile::tempdir().unwrap();
    let manager = UserManager::start(dir.path());
    manager.unit("shop-web.service", "Type=exec\nExecStart=/bin/sleep 600\nExecReload=/bin/true\nRestart=no");
    let worker = "Type=exec\nExecStart=/bin/sleep 600\nRestart=always\nRestartSec=50ms";
    manager.unit("shop-worker.service", worker);
    manager.ctl(&["start", "shop-web", "shop-worker"]);
    let uid = rustix::process::geteuid().as_raw();
    let services = format!(
        "[sites.shop.services.web]\nunit = \"shop-web\"\nuser = \"{uid}\"\n\
         [sites.shop.services.tasks]\nunit = \"shop-worker\"\nuser = \"{uid}\"\n"
    );
    let env = [("XDG_RUNTIME_DIR".to_owned(), manager.runtime().display().to_string())];
    let mut eyes = Eyes::open_with(dir.path(), &config(serve(StandsOn::default()), &services), env);
    eyes.until("both run", |m| is(m, "web", State::Running) && is(m, "tasks", State::Running)).await;

    // What people and packages do is no alarm.
    let before = service(&eyes.model, "web").unwrap().pid;
    manager.ctl(&["reload", "shop-web"]);
    manager.ctl(&["restart", "shop-web", "shop-worker"]);
    eyes.until("they were started anew", |m| {
        service(m, "web").is_some_and(|s| s.pid.is_some() && s.pid != before) && is(m, "tasks", State::Running)
    })
    .await;
    assert!(alarms(&eyes.model).is_empty(), "{:?}", alarms(&eyes.model));

    // Killed, and nobody starts it again.
    standins::kill(service(&eyes.model, "web").unwrap().pid.unwrap());
    let found = eyes.top("shop", "service-failed").await;
    assert!(found.title.contains("killed by SIGKILL"), "{}", found.title);
    assert_eq!(found.subject, "web web");
    manager.ctl(&["start", "shop-web"]);
    eyes.gone("shop", "service-failed").await;

    // A crash loop: systemd starts it until its limit, and says `failed`, `exit-code`.
    manager.unit(
        "shop-worker.service",
        &worker.replace("/bin/sleep 600", "/bin/sh -c 'exit 3'").replace("exec", "simple"),
    );
    manager.ctl(&["daemon-reload"]);
    manager.ctl(&["restart", "shop-worker"]);
    eyes.until("systemd has given it up", |m| is(m, "tasks", State::GaveUp)).await;
    let found = eyes.top("shop", "service-crash-loop").await;
    assert_eq!((found.level, found.suspected), (Level::Critical, false));
    assert!(found.title.contains("gave tasks up") && found.title.contains("exit status 3"), "{}", found.title);
    manager.unit("shop-worker.service", worker);
    manager.ctl(&["daemon-reload"]);
    manager.ctl(&["reset-failed", "shop-worker"]);
    manager.ctl(&["start", "shop-worker"]);
    eyes.until("it runs again, and that is no more than a warning", |m| {
        is(m, "tasks", State::Running) && m.findings.iter().all(|f| f.site != "shop" || f.level < Level::Critical)
    })
    .await;

    // Stopped by hand.
    manager.ctl(&["stop", "shop-web"]);
    eyes.until("it is told", |m| m.findings.iter().any(|f| f.rule == "service-stopped" && f.subject == "web web"))
        .await;
    manager.ctl(&["start", "shop-web"]);
    eyes.gone("shop", "service-stopped").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_is_killed_for_memory_and_restarts_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let docker = Docker::serve(&dir.path().join("docker.sock"));
    let socket = dir.path().join("docker.sock").display().to_string();
    let services = format!("[sites.shop.services.backend]\ncompose = \"pretalx/backend\"\nsocket = \"{socket}\"\n");
    let mut eyes = Eyes::open(dir.path(), &config(serve(StandsOn::default()), &services));
    eyes.until("it runs", |m| is(m, "backend", State::Running)).await;
    assert!(alarms(&eyes.model).is_empty(), "{:?}", alarms(&eyes.model));

    docker.change(|c| c["State"]["Health"]["Status"] = json!("unhealthy"));
    eyes.top("shop", "service-unhealthy").await;
    docker.change(|c| c["State"]["Health"]["Status"] = json!("healthy"));
    eyes.gone("shop", "service-unhealthy").await;

    docker.change(|c| {
        c["State"]["Status"] = json!("restarting");
        c["State"]["OOMKilled"] = json!(true);
        c["State"]["ExitCode"] = json!(137);
        c["RestartCount"] = json!(4);
    });
    let found = cause(&mut eyes, "service-oom", "service-crash-loop").await;
    assert!(found.evidence.contains("killed for want of memory (137)"), "{}", found.evidence);

    docker.change(|c| c["State"]["Status"] = json!("paused"));
    eyes.until("it is told as paused", |m| m.findings.iter().any(|f| holds(f, "process-stopped-state"))).await;

    docker.change(|c| {
        c["State"]["Status"] = json!("exited");
        c["State"]["OOMKilled"] = json!(false);
        c["State"]["ExitCode"] = json!(3);
    });
    eyes.until("it is told as failed", |m| m.findings.iter().any(|f| holds(f, "service-failed"))).await;
    eyes.end().await;
    let asked = docker.asked();
    let allowed = |line: &String| {
        line.starts_with("GET /containers/json?all=1&filters=") || line.starts_with("GET /containers/d88cb047926a")
    };
    assert!(asked.len() > 5 && asked.iter().all(allowed), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_that_hangs_is_told_and_keeps_nothing_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("docker.sock");
    let silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let services =
        format!("[sites.shop.services.backend]\ncompose = \"pretalx/backend\"\nsocket = \"{}\"\n", path.display());
    let mut eyes = Eyes::open(dir.path(), &config(serve(StandsOn::default()), &services));
    let found = eyes.top("shop", "services-unseen").await;
    assert!(found.evidence.contains("no answer in time"), "{}", found.evidence);
    assert!(eyes.model.sites[0].health.fresh().is_some(), "the others go on");
    drop(silent);
    fs::remove_file(&path).unwrap();
    let _docker = Docker::serve(&path);
    eyes.gone("shop", "services-unseen").await;
    eyes.end().await;
}

/// A project that no pretix or pretalx covers becomes a site by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compose_project_is_found() {
    use midwatch::config::AppKind;
    use midwatch::config::load::{Request, load};
    use midwatch::discovery::Surroundings;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("docker.sock");
    let _docker = Docker::serve(&path);
    let around = Surroundings {
        root: dir.path().to_owned(),
        cwd: "/".into(),
        env: [("DOCKER_HOST".to_owned(), "unix:///docker.sock".to_owned())].into(),
        ..Surroundings::default()
    };
    let request = Request { state_dir: Some(Path::new("/state").to_owned()), ..Request::default() };
    let config = load(&request, &around).unwrap();
    let [site] = config.sites.as_slice() else { panic!("{:?}", config.trail) };
    assert_eq!((site.id.0.as_str(), site.app), ("pretalx", AppKind::Web));
    assert_eq!((site.url.as_str(), site.health_path.as_str()), ("http://127.0.0.1:58400/", "/healthcheck/"));
    let services: Vec<String> = site.services.iter().map(|s| format!("{} {}", s.role.word(), s.name)).collect();
    let expected = ["web backend", "worker celery_worker", "periodic celery_beat", "database postgres", "redis redis"];
    assert_eq!(services, expected);
}
