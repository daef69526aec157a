//! Where applications are looked for, and what their settings and processes say.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use midwatch::config::{AppKind, Found};
use midwatch::discovery::{application, discover};
use midwatch::domain::database::Engine;
use secrecy::ExposeSecret;

use super::{Machine, broken, fixture, only, outcomes};

const ETC: &str = "/etc/pretix/pretix.cfg";
const MINIMAL: &str = "[pretix]\nurl = https://tickets.example.org\n";

fn site_of(text: &str) -> midwatch::config::SiteConfig {
    let machine = Machine::new();
    machine.write(ETC, text);
    machine.discover().sites.pop().unwrap()
}

#[test]
fn the_last_of_the_usual_places_wins_key_by_key() {
    let machine = Machine::new();
    machine.write(ETC, "[pretix]\nurl = https://etc.example.org\n[database]\nname = etc\nuser = etc\nhost = etc\n");
    machine.write("/home/op/.pretix.cfg", "[database]\nname = home\nuser = home\n");
    machine.write("/srv/pretix.cfg", "[database]\nname = cwd\n");
    let found = machine.discover();
    let site = only(&found.sites);
    let database = site.database.as_ref().unwrap();
    assert_eq!(site.url.as_str(), "https://etc.example.org/");
    assert_eq!([&database.host, &database.user], ["etc", "home"]);
    assert!(database.name.ends_with("cwd"), "{}", database.name);
    assert_eq!(site.source.as_deref(), Some(Path::new("/srv/pretix.cfg")), "the one that wins");
    let all = "/etc/pretix/pretix.cfg, then /home/op/.pretix.cfg, then /srv/pretix.cfg (by its usual place)";
    assert_eq!(outcomes(&found.trail, "pretix.cfg"), [&Found::Yes(all.to_owned())]);
}

#[test]
fn a_single_file_is_the_source_even_if_later_places_are_empty() {
    let machine = Machine::new();
    machine.write(ETC, MINIMAL);
    assert_eq!(only(&machine.discover().sites).source.as_deref(), Some(Path::new(ETC)));
}

#[test]
fn the_file_the_environment_names_is_read_alone() {
    let mut machine = Machine::new();
    machine.write(ETC, "[pretix]\nurl = https://etc.example.org\ninstance_name = etc\n");
    machine.write("/srv/own.cfg", MINIMAL);
    machine.env("PRETIX_CONFIG_FILE", "own.cfg");
    let found = machine.discover();
    let site = only(&found.sites);
    assert_eq!([site.id.0.as_str(), &site.title], ["tickets.example.org"; 2]);
    let by = Found::Yes("/srv/own.cfg (by PRETIX_CONFIG_FILE)".to_owned());
    assert_eq!(outcomes(&found.trail, "pretix.cfg"), [&by]);
    machine.env("PRETIX_CONFIG_FILE", "/gone.cfg");
    let found = machine.discover();
    assert!(found.sites.is_empty());
    assert_eq!(broken(&found.trail, "pretix.cfg"), "/gone.cfg: isn't there");
}

#[test]
fn everything_a_file_says() {
    let site = site_of(&fixture("pretix.cfg"));
    assert_eq!((site.id.0.as_str(), site.app), ("tickets.example.org", AppKind::Pretix));
    assert_eq!(site.title, "Zürich – Tickets & \"more\"");
    assert_eq!(site.data_dir.as_deref(), Some(Path::new("/var/pretix/data")));
    let database = site.database.unwrap();
    assert_eq!((database.engine, database.port), (Engine::Postgresql, None));
    assert_eq!([database.host, database.name, database.user], ["/run/postgresql", "pretix", "shared"]);
    assert_eq!(database.password.expose_secret(), r#"a;b#c%20"x'"#);
    let broker = site.broker.unwrap();
    assert_eq!(broker.url.expose_secret(), "redis+unix:///run/redis/redis.sock?db=2");
    assert_eq!(broker.queues, ["default", "checkout", "mail", "background", "notifications"]);
    assert!(!broker.priorities, "only a URL with redis:// has priorities");
    assert_eq!(site.redis.unwrap_err(), "[redis] location is not set");
    assert!(site.metrics.unwrap_err().contains("enabled=true"));
}

#[test]
fn brokers() {
    let broker = |url: &str| site_of(&format!("{MINIMAL}[celery]\nbroker = {url}\n")).broker;
    assert!(broker("redis://127.0.0.1/2").unwrap().priorities);
    let tls = broker("rediss://:pw@redis.example.org/2").unwrap();
    assert!(!tls.priorities);
    assert_eq!(tls.url.expose_secret(), "rediss://:pw@redis.example.org/2");
    assert_eq!(broker("sqs://key:secret@").unwrap_err(), "the broker is `sqs`: queues are read from the metrics only");
    assert_eq!(broker("amqp://u:p@h//").unwrap_err(), "the broker is `amqp`: queues are read from the metrics only");
    assert_eq!(broker("hunter2://x").unwrap_err(), "the broker is no Redis: queues are read from the metrics only");
    assert_eq!(broker("redis:/:hunter2@h").unwrap_err(), "the broker's URL is not understood");
    assert!(broker("").unwrap_err().contains("not set"));
}

#[test]
fn metrics() {
    let metrics = |text: &str| site_of(&format!("{MINIMAL}{text}")).metrics;
    let found = metrics("[metrics]\nenabled = yes\nuser = m\npassphrase = p#w\n").unwrap();
    assert_eq!(found.url.as_str(), "https://tickets.example.org/metrics");
    let (user, password) = found.login.unwrap();
    assert_eq!([user.as_str(), password.expose_secret()], ["m", "p#w"]);
    assert!(metrics("[metrics]\nenabled = off\nuser = m\npassphrase = p\n").unwrap_err().contains("switched off"));
    assert!(metrics("").unwrap_err().contains("switched off"));
    assert_eq!(metrics("[metrics]\nenabled = on\npassphrase = p\n").unwrap().login.unwrap().0, "metrics");
}

#[test]
fn sqlite_is_what_is_used_when_nothing_is_said() {
    let database = site_of("[pretix]\nurl = https://x.org\ndatadir = data\n").database.unwrap();
    assert_eq!((database.engine, database.name.as_str()), (Engine::Sqlite, "/srv/data/db.sqlite3"));
    let database = site_of("[pretix]\ndatadir = /d\n[database]\nname = my.db\n").database.unwrap();
    assert_eq!(database.name, "/srv/my.db", "a name is relative to the working directory, as for the application");
    let why = site_of("[database]\nbackend = oracle\n").database.unwrap_err();
    assert_eq!(why, "[database] backend `oracle` is not known");
    let why = site_of("[database]\nbackend = postgresql\nport = many\n").database.unwrap_err();
    assert!(why.starts_with("[database] port: "), "{why}");
}

#[test]
fn the_url_of_an_application_that_was_told_none_and_one_that_is_none() {
    let site = site_of("[pretix]\ninstance_name = x\n");
    assert_eq!((site.id.0.as_str(), site.url.as_str()), ("pretix", "http://localhost:8000/"));
    let machine = Machine::new();
    machine.write(ETC, "[pretix]\nurl = tickets.example.org\n");
    let found = machine.discover();
    assert!(found.sites.is_empty());
    assert_eq!(broken(&found.trail, "site url"), "[pretix] url is no URL: the site can't be asked");
}

#[test]
fn pretalx() {
    let machine = Machine::new();
    machine.write(
        "/etc/pretalx/pretalx.cfg",
        "[site]\nurl = https://cfp.example.org\n[filesystem]\ndata = /var/pretalx\n",
    );
    let found = machine.discover();
    let site = only(&found.sites);
    assert_eq!((site.id.0.as_str(), site.app), ("cfp.example.org", AppKind::Pretalx));
    assert_eq!(site.data_dir.as_deref(), Some(Path::new("/var/pretalx")));
    assert_eq!(site.metrics.as_ref().unwrap_err(), "pretalx has no metrics");
}

#[test]
fn both_applications_on_one_host_name_get_names_of_their_own() {
    let machine = Machine::new();
    machine.write(ETC, MINIMAL);
    machine.write("/etc/pretalx/pretalx.cfg", "[site]\nurl = https://tickets.example.org/cfp\n");
    let names: Vec<String> = machine.discover().sites.into_iter().map(|s| s.id.0).collect();
    assert_eq!(names, ["tickets.example.org", "tickets.example.org-2"]);
}

const GUNICORN: &[&str] = &[
    "/var/pretix/venv/bin/python3",
    "/var/pretix/venv/bin/gunicorn",
    "pretix.wsgi",
    "--name",
    "pretix",
    "--bind=127.0.0.1:8345",
];
const CELERY: &[&str] = &[
    "/usr/bin/python3",
    "/var/pretix/venv/bin/celery",
    "-A",
    "pretix.celery_app",
    "-b",
    "redis://:hunter2@127.0.0.1/2",
    "worker",
];

#[test]
fn processes_know_the_port_the_version_and_their_environment() {
    let machine = Machine::new();
    machine.write(
        "/srv/secret/pretix.cfg",
        "[pretix]\nurl = https://tickets.example.org\n[database]\nbackend = postgresql\n",
    );
    std::fs::create_dir_all(machine.at("/var/pretix/venv/lib/python3.11/site-packages/pretix-2026.8.0.dist-info"))
        .unwrap();
    std::fs::create_dir_all(machine.at("/var/pretix/venv/lib/python3.11/site-packages/pretix_plugin-1.0.dist-info"))
        .unwrap();
    let env = [
        ("PRETIX_CONFIG_FILE", "/srv/secret/pretix.cfg"),
        ("HOME", "/var/pretix"),
        ("PRETIX_DATABASE_PASSWORD", "from the environment"),
        ("DATA_DIR", "/data"),
    ];
    machine.process(100, CELERY, Some(&env));
    machine.process(200, GUNICORN, Some(&env));
    machine.process(201, GUNICORN, Some(&env));
    machine.process(300, &["vim", "pretix.wsgi"], Some(&env));
    let found = machine.discover();
    let site = only(&found.sites);
    assert_eq!(site.direct.as_ref().unwrap().as_str(), "http://127.0.0.1:8345/");
    assert_eq!(site.version.as_deref(), Some("2026.8.0"));
    assert_eq!(site.data_dir.as_deref(), Some(Path::new("/data")));
    assert_eq!(site.database.as_ref().unwrap().password.expose_secret(), "from the environment");
    let by = Found::Yes("/srv/secret/pretix.cfg (by process 100)".to_owned());
    assert_eq!(outcomes(&found.trail, "pretix.cfg"), [&by]);
}

#[test]
fn a_usual_file_learns_from_the_processes_that_read_it() {
    let machine = Machine::new();
    machine.write(ETC, MINIMAL);
    std::fs::create_dir_all(machine.at("/var/pretix/venv/lib/python3.12/site-packages/pretix-2026.7.1.dist-info"))
        .unwrap();
    machine.process(7, CELERY, Some(&[("HOME", "/var/pretix")]));
    machine.process(8, GUNICORN, Some(&[("HOME", "/var/pretix")]));
    let found = machine.discover();
    let site = only(&found.sites);
    assert_eq!(site.direct.as_ref().unwrap().port(), Some(8345));
    assert_eq!(site.version.as_deref(), Some("2026.7.1"));
    assert_eq!(site.data_dir.as_deref(), Some(Path::new("/var/pretix/data")), "relative to where the process runs");
}

#[test]
fn where_gunicorn_listens() {
    let direct = |words: &[&str]| {
        let machine = Machine::new();
        machine.write(ETC, MINIMAL);
        machine.process(8, &[&["/venv/bin/gunicorn", "pretix.wsgi"], words].concat(), Some(&[]));
        machine.discover().sites.pop().unwrap().direct.map(String::from)
    };
    assert_eq!(direct(&["-b", "0.0.0.0:8345"]).unwrap(), "http://127.0.0.1:8345/");
    assert_eq!(direct(&["-b:9000"]).unwrap(), "http://127.0.0.1:9000/");
    assert_eq!(direct(&["--bind", "[::]:8345"]).unwrap(), "http://[::1]:8345/");
    assert_eq!(direct(&["--bind", "10.1.2.3"]).unwrap(), "http://10.1.2.3:8000/", "gunicorn's own default");
    assert_eq!(direct(&["-b", "unix:/run/p.sock", "-b", "127.0.0.1:1"]).unwrap(), "http://127.0.0.1:1/");
    assert_eq!(direct(&["--bind", "unix:/run/pretix.sock"]), None);
    assert_eq!(direct(&["--bind", "fd://3"]), None);
    assert_eq!(direct(&["--bind"]), None);
    assert_eq!(direct(&[]), None);
}

#[test]
fn an_application_configured_by_its_environment_alone() {
    let machine = Machine::new();
    let env = [("PRETIX_PRETIX_URL", "https://docker.example.org"), ("PRETIX_DATABASE_NAME", "x"), ("HOME", "/h")];
    for pid in 10..14 {
        machine.process(pid, GUNICORN, Some(&env));
    }
    let found = machine.discover();
    let site = only(&found.sites);
    assert_eq!((site.id.0.as_str(), &site.source), ("docker.example.org", &None));
    let by = Found::Yes("its environment alone (by process 10)".to_owned());
    assert_eq!(outcomes(&found.trail, "pretix.cfg"), [&by]);
}

#[test]
fn processes_of_somebody_else_are_told_and_what_would_help() {
    let machine = Machine::new();
    machine.process(40, GUNICORN, None);
    let why = broken(&machine.discover().trail, "processes").to_owned();
    assert_eq!(
        why,
        "1 process of pretix (the first is pid 40) can't be looked into by this user; as root, or as the application's user, the configuration would be found"
    );
    machine.process(41, GUNICORN, None);
    assert!(broken(&machine.discover().trail, "processes").starts_with("2 processes of pretix (the first is pid 40)"));
}

#[test]
fn the_same_file_by_several_names_is_one_site() {
    let mut machine = Machine::new();
    machine.write(ETC, MINIMAL);
    symlink("../etc/pretix/pretix.cfg", machine.at("/srv/link.cfg")).unwrap();
    machine.env("PRETIX_CONFIG_FILE", "link.cfg");
    machine.process(9, GUNICORN, Some(&[]));
    let found = discover(&machine.around, Some(Path::new(ETC)));
    assert_eq!(only(&found.sites).source.as_deref(), Some(Path::new(ETC)), "the first that was named");
    assert_eq!(only(&found.sites).direct.as_ref().unwrap().port(), Some(8345));
}

#[test]
fn nothing_found_says_where_it_was_looked() {
    let mut machine = Machine::new();
    let said = |machine: &Machine| match outcomes(&machine.discover().trail, "application").as_slice() {
        [Found::No(said)] => said.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        said(&machine),
        "neither at /etc/pretix/pretix.cfg, /home/op/.pretix.cfg, /srv/pretix.cfg, /etc/pretalx/pretalx.cfg, \
         /home/op/.pretalx.cfg, /srv/pretalx.cfg, nor named by a running process; name one with --app-config, or \
         describe the site in midwatch.toml"
    );
    machine.around.home = None;
    assert!(!said(&machine).contains("/home"), "HOME is not set");
    std::fs::remove_dir_all(machine.at("/proc")).unwrap();
    assert!(said(&machine).starts_with("neither"), "without /proc it goes on all the same");
}

#[test]
fn broken_files_end_nothing() {
    let machine = Machine::new();
    machine.write(ETC, b"\xff\xfe");
    machine.write("/etc/pretalx/pretalx.cfg", "[site]\nurl = https://cfp.example.org\n");
    let found = machine.discover();
    assert_eq!(only(&found.sites).id.0, "cfp.example.org");
    assert_eq!(broken(&found.trail, "pretix.cfg"), "/etc/pretix/pretix.cfg: line 1 is not UTF-8");
}

#[test]
fn a_usual_file_that_cannot_be_opened_is_told_and_passed_over() {
    let machine = Machine::new();
    machine.write(ETC, MINIMAL);
    symlink("/nowhere", machine.at("/srv/pretix.cfg")).unwrap();
    let found = machine.discover();
    assert_eq!(only(&found.sites).source.as_deref(), Some(Path::new(ETC)), "as pretix itself goes on without it");
    let yes = Found::Yes("/etc/pretix/pretix.cfg (by its usual place)".to_owned());
    let no = Found::Broken("/srv/pretix.cfg: is a link to a file that isn't there".to_owned());
    assert_eq!(outcomes(&found.trail, "pretix.cfg"), [&yes, &no]);
}

#[test]
fn nothing_from_a_file_can_move_the_cursor() {
    let site = site_of("[pretix]\nurl = https://x.org\ninstance_name = a\x1b[2Jb\u{202e}c\n");
    assert_eq!(site.title, "a[2Jbc");
    let machine = Machine::new();
    machine.write(ETC, "[database]\nbackend = postgresql\nname = a\x1b]0;x\x07\nhost = h\x1b[1m\n");
    let trail = machine.discover().trail;
    assert!(!format!("{trail:?}").contains("\\u{1b}"), "{trail:?}");
}

#[test]
fn one_named_application_and_no_other() {
    let machine = Machine::new();
    machine.write(ETC, MINIMAL);
    machine.write("/srv/cfp.cfg", "[site]\nurl = https://cfp.example.org\n");
    let found = application(&machine.around, Path::new("cfp.cfg"), Some(AppKind::Pretalx));
    let site = only(&found.sites);
    assert_eq!((site.app, site.source.clone()), (AppKind::Pretalx, Some(PathBuf::from("/srv/cfp.cfg"))));
}
