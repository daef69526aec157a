//! The runbooks for services on a real Docker engine, found by discovery as a Compose project is.

use std::path::Path;

use midwatch::backends::redis::RedisProbe;
use midwatch::config::{Contained, RedisConfig};
use midwatch::domain::reading::Seen;
use midwatch::ports::Observe as _;

use super::ground::Ground;
use super::managers::{cut, plan, run, was};
use crate::support::engine::Engine;
use crate::support::servers::{eventually, free_port};

const WORKER: &str = "exec redis-cli -h redis -n 1 brpop celery other 0";

#[test]
#[ignore = "needs root: takes the locks of the machine; needs Redis, and Docker where it can run"]
fn containers_are_restarted_and_started_as_root() {
    let Some(engine) = Engine::start() else { return };
    let port = format!("127.0.0.1:{}:8000", free_port());
    let broker = "CELERY_BROKER_URL=redis://redis:6379/1";
    engine.service("redis", &[], "exec redis-server --protected-mode no --save '' --dir /tmp");
    engine.service("web", &["-p", &port], "exec gunicorn");
    engine.service("worker", &["-e", broker, "--restart", "always"], WORKER);
    let ground = Ground::new("", "").with("DOCKER_HOST", Path::new(&engine.host()));

    // One, with its worker seen through a Redis that publishes nothing.
    let one = ["restart-services", "service=web", "--site", "shop"];
    let before = engine.began("web");
    let (code, said) = run(&ground, &one);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ok: a worker asks for tasks") && !said.contains("deprecated"), "{said}");
    assert_ne!(engine.began("web"), before);

    // All of them, its runner killed as it restarts the one or the other: each is restarted once, and once only.
    let all = ["restart-services", "service=all", "--site", "shop"];
    for step in 0..2 {
        let times = ["web", "worker"].map(|name| engine.times(name, "restart"));
        let (code, said) = cut(&ground, &all, step);
        assert_eq!(code, 0, "cut at {step}: {said}");
        let now = ["web", "worker"].map(|name| engine.times(name, "restart"));
        assert_eq!(now, times.map(|n| n + 1), "cut at {step}: {said}");
    }

    // One that is down anyway needs no more than a `y`.
    engine.docker(&["stop", "shop-web-1"]);
    assert_eq!(plan(&ground, &one)["plan"]["confirm"], "yes");
    let (code, said) = ground.call(&["runbook", "run", "restart-services", "service=web", "--site", "shop", "--yes"]);
    assert_eq!(code, 0, "{said}");

    crash_loop(&engine, &ground);
    another_address(&engine);
}

/// One that crashes until Docker gives it up.
fn crash_loop(engine: &Engine, ground: &Ground) {
    let ready = ground.path().join("ready");
    std::fs::create_dir(&ready).unwrap();
    let mount = format!("{}:/ready", ready.display());
    let script = "test -e /ready/go && exec sleep 600; echo it lacks something; exit 3";
    engine.service("beat", &["-v", &mount, "--restart", "on-failure:1"], script);
    let wish = ["reset-crash-loop", "service=beat", "--site", "shop"];
    eventually("it was given up", || was(&plan(ground, &wish)).starts_with("failed").then_some(()));
    std::fs::write(ready.join("go"), "").unwrap();
    let (code, said) = cut(ground, &wish, 2);
    assert_eq!(code, 0, "{said}");
    assert!(was(&plan(ground, &wish)).starts_with("running"), "{said}");
    let kept =
        std::process::Command::new("grep").args(["-rl", "it lacks something"]).arg(ground.state()).output().unwrap();
    assert!(String::from_utf8_lossy(&kept.stdout).contains("/log.txt"), "what its log said is kept: {said}");
}

/// A Redis that is made anew at another address, while another container has its old one.
fn another_address(engine: &Engine) {
    let address = |name: &str| {
        let all = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        engine.docker(&["inspect", "-f", all, &format!("shop-{name}-1")])
    };
    let old = address("redis");
    let container = Contained { socket: engine.socket(), project: "shop".to_owned(), service: "redis".to_owned() };
    let config = RedisConfig { url: format!("redis://{old}:6379/0").into(), container: Some(container) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut probe = RedisProbe::new(Some(&config), None);
    let mut look = || runtime.block_on(probe.observe());
    assert!(matches!(look(), Seen::Value(_)));

    // The worker is started again without its Redis, and would get the address that is free.
    engine.docker(&["rm", "-f", "shop-worker-1", "shop-redis-1"]);
    engine.service("other", &["--ip", &old], "exec redis-server --protected-mode no --save '' --dir /tmp");
    assert_eq!(address("other"), old);
    eventually("it is not taken for the other one", || {
        let Seen::Failed(why) = look() else { return None };
        why.contains("No container of shop/redis runs").then_some(())
    });
    engine.service("redis", &[], "exec redis-server --protected-mode no --save '' --dir /tmp");
    assert_ne!(address("redis"), old);
    eventually("it is found where it is now", || matches!(look(), Seen::Value(_)).then_some(()));
}
