//! Reports on a `midwatch.toml` with mistakes: file, line, the line itself, what to do. And every key of a site.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use midwatch::config::load::{Request, load};
use midwatch::config::{AppKind, ColorChoice, SiteConfig};
use midwatch::domain::database::Engine;
use secrecy::ExposeSecret;

use super::{Machine, broken, only};

/// Snapshots beside the screens'.
fn reported(name: &str, text: impl AsRef<[u8]>) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let report = Machine::report(text);
    settings.bind(|| insta::assert_snapshot!(format!("it__config__{name}"), report));
}

#[test]
fn every_mistake_has_its_place() {
    reported("unknown-key", "discover = true\n\n[pace]\nheath = \"5s\"\n");
    reported("unknown-key-of-a-site", "[sites.a]\nurl = \"https://a.org\"\nmetrics_pasword = \"hunter2\"\n");
    reported("unknown-table", "[site.a]\nurl = \"https://a.org\"\n");
    reported("unknown-key-like-none", "zzz = 1\n");
    reported("wrong-type", "discover = \"yes\"\n");
    reported("wrong-type-of-a-secret", "[sites.a]\nmetrics_password = 5\n");
    reported("wrong-variant", "[sites.a]\napp = \"pretx\"\n");
    reported("duplicate-table", "[pace]\nhealth = \"5s\"\n\n[pace]\nmetrics = \"15s\"\n");
    reported("duplicate-key", "[pace]\nhealth = \"5s\"\nhealth = \"6s\"\n");
    reported("no-equals-sign", "[sites.a]\nmetrics_password \"hunter2\"\n");
    reported("unfinished-string", "[sites.a]\nredis = \"redis://:hunter2@h/0\nurl = \"https://a.org\"\n");
    reported("not-utf-8", b"[sites.a]\ntitle = \"Z\xfcrich\"\n");
}

#[test]
fn every_value_that_cannot_be_used_is_told_at_once() {
    let text = r#"[sites.first]
url = "ftp://tickets.example.org"
direct = "127.0.0.1:8345"
health_path = "healthcheck"
metrics_url = "https://user:hunter2@[oops/metrics"
database = "oracle://scott:hunter2@h/db"

[sites.second]
title = "neither url nor app_config"

[pace]
health = "5 bananas"
host = "1ms"
hang = "-5s"
metrics = "2h"

[look]
frames_per_second = 0

[thresholds]
disk_warning = 90
blocked_s = -1
"#;
    reported("values", text);
}

#[test]
fn a_file_that_was_named_has_to_be_readable() {
    let machine = Machine::new();
    let load = |path: &str| {
        let request = Request { config: Some(path.into()), ..Request::default() };
        load(&request, &machine.around).map_err(|error| error.to_string())
    };
    assert_eq!(load("gone.toml").unwrap_err(), "/srv/gone.toml: No such file or directory (os error 2)");
    std::fs::create_dir(machine.at("/srv/dir.toml")).unwrap();
    assert_eq!(load("dir.toml").unwrap_err(), "/srv/dir.toml: Is a directory (os error 21)");
    symlink("/nowhere", machine.at("/srv/link.toml")).unwrap();
    assert_eq!(load("link.toml").unwrap_err(), "/srv/link.toml: No such file or directory (os error 2)");
    machine.write("/srv/long.toml", vec![b'#'; 1024 * 1024 + 1]);
    assert_eq!(load("long.toml").unwrap_err(), "/srv/long.toml: is longer than 1 MB: that is no configuration");
    machine.write("/srv/closed.toml", "discover = false\n");
    std::fs::set_permissions(machine.at("/srv/closed.toml"), std::fs::Permissions::from_mode(0o0)).unwrap();
    if rustix::process::geteuid().is_root() {
        assert!(load("closed.toml").is_ok());
    } else {
        assert_eq!(load("closed.toml").unwrap_err(), "/srv/closed.toml: Permission denied (os error 13)");
    }
}

/// Every key of a site, so that none is forgotten: the schema's are counted in `program`.
pub(super) const EVERY_KEY: &str = r#"
discover = false
[sites.shop]
app = "pretix"
title = "The Shop"
url = "https://shop.example.org"
direct = "http://127.0.0.1:8345"
health_path = "/up/"
metrics_url = "https://shop.example.org/m"
metrics_user = "m"
metrics_password = "a;b#c%20"
database = "postgresql://me:from%20url@db.example.org:5433/shop%2Ftest"
database_password = { env = "DB_PASSWORD" }
redis = "redis+socket:///run/redis.sock?virtual_host=1"
broker = { file = "/run/secrets/broker" }
queues = ["default", "other"]
access_logs = ["/var/log/shop.log", "relative.log"]
certificate_file = "/etc/ssl/shop.pem"
practice = true
migrate = ["manage.py", "migrate"]
data_dir = "data"
[[sites.shop.backups]]
path = "/srv/backups"
[sites.shop.services.web]
unit = "shop-web.service"
[sites.shop.releases]
current = "shop/current"
migrate = ["bin/migrate", "all of it"]
[[sites.shop.logs]]
path = "/srv/shop.log"
"#;

fn shop(machine: &mut Machine) -> SiteConfig {
    machine.env("DB_PASSWORD", "from the environment");
    machine.write("/run/secrets/broker", "redis://:pw@h/2\nsecond line\n");
    let mut config = machine.load(EVERY_KEY).unwrap();
    assert_eq!(config.trail.iter().filter(|t| t.what.contains("shop redis")).count(), 0);
    config.sites.pop().unwrap()
}

#[test]
fn every_key_of_a_site_is_taken() {
    let site = shop(&mut Machine::new());
    let releases = site.releases.clone().unwrap();
    assert!(releases.current.is_absolute() && releases.current.ends_with("shop/current"), "{releases:?}");
    assert_eq!(releases.migrate.unwrap(), ["bin/migrate", "all of it"]);
    assert_eq!(site.services[0].keys(), [("role", "web".to_owned()), ("unit", "shop-web.service".to_owned())]);
    assert_eq!((site.id.0.as_str(), site.title.as_str(), site.app), ("shop", "The Shop", AppKind::Pretix));
    assert_eq!(site.url.as_str(), "https://shop.example.org/");
    assert_eq!(site.direct.unwrap().as_str(), "http://127.0.0.1:8345/");
    assert_eq!((site.health_path.as_str(), site.practice, site.version), ("/up/", true, None));
    let metrics = site.metrics.unwrap();
    let (user, password) = metrics.login.unwrap();
    assert_eq!(
        [metrics.url.as_str(), &user, password.expose_secret()],
        ["https://shop.example.org/m", "m", "a;b#c%20"]
    );
    let database = site.database.unwrap();
    assert_eq!((database.engine, database.port), (Engine::Postgresql, Some(5433)));
    assert_eq!([&database.host, &database.name, &database.user], ["db.example.org", "shop/test", "me"]);
    assert_eq!(database.password.expose_secret(), "from the environment", "a password of its own wins over the URL's");
    assert_eq!(site.redis.unwrap().url.expose_secret(), "redis+unix:///run/redis.sock?db=1");
    let broker = site.broker.unwrap();
    assert_eq!((broker.url.expose_secret(), broker.priorities), ("redis://:pw@h/2", true));
    assert_eq!(broker.queues, ["default", "other"]);
    assert_eq!(site.access_logs, ["/var/log/shop.log", "/srv/relative.log"].map(std::path::PathBuf::from));
    assert_eq!(site.data_dir.as_deref(), Some(std::path::Path::new("/srv/data")));
    assert_eq!(site.migrate.as_deref(), Some(["manage.py", "migrate"].map(str::to_owned).as_slice()));
    assert_eq!(site.certificate_file.as_deref(), Some(std::path::Path::new("/etc/ssl/shop.pem")));
    assert_eq!((site.logs.len(), site.logs[0].place.to_string().as_str()), (1, "/srv/shop.log"));
}

#[test]
fn what_may_be_rotated_is_written_whole_or_not_at_all() {
    let of =
        |place: &str| format!("discover = false\n[sites.a]\nurl = \"https://a.org\"\n[[sites.a.backups]]\n{place}\n");
    let rotation = |place: &str| {
        let config = Machine::new().load(of(place)).unwrap();
        only(&config.sites).backups.places.iter().find_map(|place| place.rotation.clone())
    };
    assert_eq!(rotation("path = \"/srv/b\"\npattern = \"a-*\""), None);
    let written = rotation("path = \"/srv/b\"\npattern = \"a-*\"\nkeep = 14\nkeep_days = 30").unwrap();
    assert_eq!((written.pattern.as_str(), written.keep, written.days), ("a-*", 14, 30));
    let days = rotation("path = \"/srv/b\"\npattern = \"a-*\"\nkeep_days = 30").unwrap();
    assert_eq!((days.keep, days.days), (1, 30));
    for (place, why) in [
        ("path = \"/srv/b\"\nkeep = 14", "needs a pattern"),
        ("path = \"/srv/b\"\npattern = \"a-*\"\nkeep = 0", "is at least 1"),
        ("path = \"/srv/b\"\npattern = \"a-*\"\nkeep = 3\nkeep_days = 0", "is at least 1"),
        ("tool = \"restic\"\nrepo = \"/srv/r\"\npattern = \"a-*\"\nkeep = 14", "restic forget"),
    ] {
        let said = Machine::report(of(place));
        assert!(said.contains(why), "{place}: {said}");
    }
}

#[test]
fn databases() {
    let database = |url: &str| {
        let text = format!("discover = false\n[sites.a]\nurl = \"https://a.org\"\ndatabase = \"{url}\"\n");
        Machine::new().load(text).unwrap().sites.pop().unwrap().database.unwrap()
    };
    let found = database("postgres://u:p%40%25ss@h/db");
    assert_eq!((found.port, found.password.expose_secret()), (None, "p@%ss"));
    assert_eq!(database("postgresql:///db?host=/run/postgresql").host, "/run/postgresql");
    assert_eq!(database("postgresql://u@%2Frun%2Fpostgresql/db").host, "/run/postgresql");
    assert_eq!(database("mysql://u@h:3307/db").engine, Engine::Mysql);
    let found = database("sqlite:///var/lib/shop/db.sqlite3");
    assert_eq!((found.engine, found.name.as_str()), (Engine::Sqlite, "/var/lib/shop/db.sqlite3"));
}

#[test]
fn a_secret_that_cannot_be_had_ends_nothing() {
    let mut machine = Machine::new();
    machine.write("/run/secrets/empty", "\nsecond line\n");
    machine.write("/run/creds/db", "from systemd\n");
    machine.env("CREDENTIALS_DIRECTORY", "/run/creds");
    let site = |secret: &str| format!("discover = false\n[sites.a]\nurl = \"https://a.org\"\nredis = {secret}\n");
    let cases = [
        ("{ env = \"GONE\" }", "the environment has no GONE"),
        ("{ file = \"gone\" }", "/srv/gone: No such file or directory (os error 2)"),
        ("{ file = \"/run/secrets/empty\" }", "the first line of /run/secrets/empty is empty"),
        ("{ credential = \"gone\" }", "/run/creds/gone: No such file or directory (os error 2)"),
    ];
    for (secret, why) in cases {
        let config = machine.load(site(secret)).unwrap();
        assert_eq!(broken(&config.trail, "a redis"), why);
        assert!(only(&config.sites).redis.is_err());
    }
    let up = machine.load(site("{ credential = \"../secrets/empty\" }")).unwrap();
    assert!(broken(&up.trail, "a redis").contains("no systemd credential"), "no way out of the directory");
    let config = machine.load(site("{ credential = \"db\" }")).unwrap();
    assert_eq!(only(&config.sites).redis.as_ref().unwrap().url.expose_secret(), "from systemd");
    machine.around.env.clear();
    let config = machine.load(site("{ credential = \"db\" }")).unwrap();
    assert!(broken(&config.trail, "a redis").contains("CREDENTIALS_DIRECTORY is not set"));
}

#[test]
fn the_rest_of_the_file() {
    let config = Machine::new()
        .load(
            "discover = false\nread_only = true\n[pace]\nhealth = \"1m 30s\"\nhang = \"2s\"\n[look]\ntheme = \"mono\"\n\
             color = \"256\"\nascii = true\nframes_per_second = 60\n[look.roles]\ncritical = \"bold red\"\n\
             [keys]\nquit = \"x\"\nhelp = []\n[thresholds]\ndisk_warning = 0.5\ncertificate_warning_days = 40\n",
        )
        .unwrap();
    assert!(config.read_only && config.sites.is_empty() && config.look.ascii);
    assert_eq!((config.pace.health.as_secs(), config.pace.hang.as_secs(), config.pace.host.as_secs()), (90, 2, 2));
    assert_eq!((config.look.theme.as_str(), config.look.color), ("mono", ColorChoice::Ansi256));
    assert_eq!((config.look.frames_per_second, config.look.patch["critical"].as_str()), (60, "bold red"));
    assert_eq!((config.keys["quit"].as_slice(), config.keys["help"].len()), (["x".to_owned()].as_slice(), 0));
    assert_eq!(config.thresholds.certificate_warning_days, 40);
    assert!((config.thresholds.disk_warning - 0.5).abs() < f64::EPSILON);
    assert!((config.thresholds.disk_critical - 0.97).abs() < f64::EPSILON);
    assert_eq!(config.host.0, "tickets1");
    assert!(config.look.theme_dirs.contains(&Path::new("/home/op/.config/midwatch/themes").to_owned()));
}
