//! Where logs are: told and found; and what the operator wants to be told of.

use std::os::unix::fs::symlink;

use midwatch::config::LogPlace;
use midwatch::domain::level::Level;
use midwatch::domain::log::trigger::Condition;

use super::{Machine, only};

#[test]
fn logs_are_told_by_path_unit_or_container() {
    let text = "discover = false\n[sites.a]\nurl = \"https://a.org\"\n\
        [[sites.a.logs]]\npath = \"/var/log/a.log\"\nname = \"a\"\n[[sites.a.logs]]\nunit = \"a-web\"\n\
        [[sites.a.logs]]\nuser_unit = \"a-worker.service\"\n[[sites.a.logs]]\ncontainer = \"a-web-1\"\n";
    let config = Machine::new().load(text).unwrap();
    let logs: Vec<(&str, String)> =
        only(&config.sites).logs.iter().map(|log| (log.name.as_str(), log.place.to_string())).collect();
    let place = ["/var/log/a.log", "a-web.service", "a-worker.service (of this user)", "container a-web-1"];
    let name = ["a", "a-web", "a-worker", "a-web-1"];
    assert_eq!(logs, name.into_iter().zip(place.map(str::to_owned)).collect::<Vec<_>>());
}

#[test]
fn triggers_are_checked() {
    let text = "discover = false\n[sites.a]\nurl = \"https://a.org\"\n[sites.b]\nurl = \"https://b.org\"\n\
        [[triggers]]\nname = \"few\"\nmatch = \"x+\"\nabsent_for = \"30m\"\n\
        [[triggers]]\nname = \"many\"\nmatch = \"x\"\nrate = \"10 in 5m\"\nsite = \"b\"\nlevel = \"critical\"\n\
        [[triggers]]\nname = \"then\"\nmatch = \"x\"\nsequence = { then = \"y\", within = \"90s\" }\nlevel = \"note\"\n";
    let config = Machine::new().load(text).unwrap();
    let of = |id: &str| &config.sites.iter().find(|s| s.id.0 == id).unwrap().triggers;
    assert_eq!(of("a").iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["few", "then"]);
    assert_eq!(of("b").iter().map(|t| t.level).collect::<Vec<_>>(), [Level::Warning, Level::Critical, Level::Note]);
    assert!(matches!(of("b")[0].condition, Condition::AbsentFor(1_800_000)));
    assert!(matches!(of("b")[1].condition, Condition::Rate { count: 10, within_ms: 300_000 }));
    assert!(matches!(of("b")[2].condition, Condition::Sequence { within_ms: 90_000, .. }));
}

#[test]
fn mistakes_are_told_at_their_place() {
    let site = "discover = false\n[sites.a]\nurl = \"https://a.org\"\n";
    for (text, told) in [
        ("[[sites.a.logs]]\nname = \"a\"\n", "names no log, or more than one"),
        ("[[sites.a.logs]]\npath = \"/a\"\nunit = \"b\"\n", "names no log, or more than one"),
        ("[[triggers]]\nname = \"a\"\nmatch = \"(\"\nabsent_for = \"1m\"\n", "is no regular expression"),
        ("[[triggers]]\nname = \"a\"\nmatch = \"x\"\n", "says not when it holds"),
        ("[[triggers]]\nname = \"a\"\nmatch = \"x\"\nrate = \"often\"\n", "is no rate"),
        ("[[triggers]]\nname = \"a\"\nmatch = \"x\"\nrate = \"9 in a while\"\n", "is no span of time"),
        ("[[triggers]]\nname = \"a\"\nmatch = \"x\"\nabsent_for = \"1m\"\nlevel = \"loud\"\n", "is no level"),
        (
            "[[triggers]]\nname = \"a\"\nmatch = \"x\"\nabsent_for = \"1m\"\nsite = \"b\"\n",
            "about a site b that there is not",
        ),
    ] {
        let report = Machine::report(format!("{site}{text}"));
        assert!(report.contains(told), "{text}\n{report}");
    }
}

#[test]
fn logs_of_an_application_are_found_where_its_processes_write() {
    let machine = Machine::new();
    let config = "[pretix]\nurl=https://tickets.example.org\ndatadir=/var/pretix\n[database]\nbackend=postgresql\n";
    machine.write("/etc/pretix/pretix.cfg", config);
    for log in ["/var/pretix/logs/pretix.log", "/var/pretix/logs/csp.log", "/var/pretix/logs/old.txt"] {
        machine.write(log, "");
    }
    for log in
        ["/var/log/gunicorn.log", "/var/log/access.log", "/var/log/worker.log", "/var/log/pg.log", "/var/log/read.log"]
    {
        machine.write(log, "");
    }
    let words = ["/venv/bin/python", "/venv/bin/gunicorn", "pretix.wsgi", "--error-logfile", "/var/log/gunicorn.log"];
    machine.process(7, &words, Some(&[]));
    let descriptor = |pid, n, to, flags| descriptor(&machine, pid, n, to, flags);
    descriptor(7, 5, "/var/log/access.log", "0102001");
    descriptor(7, 6, "/var/log/worker.log", "0102001");
    // Read, not written; and not a file.
    descriptor(7, 8, "/var/log/read.log", "0100000");
    descriptor(7, 9, "socket:[1]", "02");
    machine.write("/proc/7/cgroup", "0::/system.slice/pretix-web.service\n");
    machine.write("/proc/9/comm", "postgres\n");
    machine.write("/proc/9/cmdline", "postgres\0-D\0/pg\0");
    descriptor(9, 2, "/var/log/pg.log", "0102001");
    let found = machine.discover();
    let places: Vec<String> = only(&found.sites).logs.iter().map(|log| log.place.to_string()).collect();
    let mut sorted = places.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            "/var/log/gunicorn.log",
            "/var/log/pg.log",
            "/var/log/worker.log",
            "/var/pretix/logs/csp.log",
            "/var/pretix/logs/pretix.log",
            "pretix-web.service",
        ]
    );
    assert!(only(&found.sites).logs.iter().any(|l| matches!(&l.place, LogPlace::Unit { user: false, .. })));
}

/// A file that a process has open.
fn descriptor(machine: &Machine, pid: u32, n: u32, to: &str, flags: &str) {
    std::fs::create_dir_all(machine.at(&format!("/proc/{pid}/fd"))).unwrap();
    symlink(to, machine.at(&format!("/proc/{pid}/fd/{n}"))).unwrap();
    machine.write(&format!("/proc/{pid}/fdinfo/{n}"), format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t1\n"));
}

/// A server with its log, and the one that started it.
fn server(machine: &Machine, (pid, parent): (u32, u32), name: &str, line: &str, log: &str) {
    machine.write(&format!("/proc/{pid}/comm"), format!("{name}\n"));
    machine.write(&format!("/proc/{pid}/cmdline"), line.replace(' ', "\0"));
    machine.write(&format!("/proc/{pid}/stat"), format!("{pid} ({name}) S {parent} 1 1 0"));
    machine.write(log, "");
    descriptor(machine, pid, 2, log, "0102001");
}

#[test]
fn logs_of_servers_that_are_no_part_of_the_site_are_not_read() {
    let machine = Machine::new();
    let config = "[pretix]\nurl=https://tickets.example.org\ndatadir=/var/pretix\n";
    machine.write("/etc/pretix/pretix.cfg", config);
    machine.process(7, &["/venv/bin/gunicorn", "pretix.wsgi", "-b", "127.0.0.1:8345"], Some(&[]));
    // Its database is a file.
    server(&machine, (9, 1), "postgres", "postgres -D /pg", "/logs/pg.log");
    server(&machine, (10, 1), "mariadbd", "mariadbd", "/logs/maria.log");
    // The host's own, by its usual configuration, and its worker.
    server(&machine, (20, 1), "nginx", "nginx: master process /usr/sbin/nginx", "/logs/host.log");
    server(&machine, (21, 20), "nginx", "nginx: worker process", "/logs/host.log2.log");
    for (pid, name, text) in [
        (30, "other", "server { listen 8080; server_name other.example.org; }"),
        (40, "by-name", "http { server { server_name tickets.example.org; } }"),
        (50, "by-port", "events {}\n  include sites/*.conf;\n"),
    ] {
        let path = format!("/srv/{name}/nginx.conf");
        machine.write(&path, text);
        let line = format!("nginx: master process nginx -c {path}");
        server(&machine, (pid, 1), "nginx", &line, &format!("/logs/{name}.log"));
        server(&machine, (pid + 1, pid), "nginx", "nginx: worker process", &format!("/logs/{name}-worker.log"));
    }
    machine.write("/srv/by-port/sites/shop.conf", "location / { proxy_pass http://127.0.0.1:8345; }");
    let found = machine.discover();
    let mut places: Vec<String> = only(&found.sites).logs.iter().map(|log| log.place.to_string()).collect();
    places.sort();
    let expected = ["by-name-worker", "by-name", "by-port-worker", "by-port", "host", "host.log2"];
    assert_eq!(places, expected.map(|name| format!("/logs/{name}.log")));
}
