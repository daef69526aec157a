//! The image of a Compose project is upgraded by its tag, on a real Docker engine with a real Compose; cut off at every
//! step, and with an image that does not start.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use midwatch::backends::look::files::HELD;
use midwatch::runbook::run::{Outcome, What};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use super::ground::Ground;
use crate::support::engine::{Engine, passed_over};
use crate::support::servers::{PostgresServer, eventually, free_port};

/// Nobody listens there: what the engine does not have can't be had.
const IMAGE: &str = "127.0.0.1:1/shop";
/// One that begins with pretix' own program, as far as an upgrade knows it.
const PRETIX: &str = "127.0.0.1:1/pretix";
const APP: &str = r#"#!/bin/sh
migrates() {
  while [ -e /data/held ]; do sleep 0.1; done
  if [ -e /data/broken ]; then return 1; fi
  echo "$VERSION" >>/data/migrated
}
if [ "${0##*/}" = pretix ] && [ "$AUTOMIGRATE" != skip ]; then migrates; fi
case "$1 $2" in
"web "*) test -z "$BROKEN" || exit 3; echo "$VERSION" >/www/index.html; exec gunicorn ;;
"worker "*) trap exit TERM; while :; do sleep 600 & wait; done ;;
"migrate --plan") echo would migrate base.0002_more ;;
"migrate --check") ;;
"help "*) echo updatestyles ;;
updatestyles*) echo "$VERSION" >>/data/styles ;;
"migrate "*) migrates ;;
esac
"#;
const FORTH: [&str; 4] = ["upgrade", "--site", "till", "version=2026.8.0"];
const SERVICES: [&str; 2] = ["web", "worker"];

/// A project of a web service and a worker, with its database beside it.
struct Till<'e> {
    engine: &'e Engine,
    ground: Ground,
    dir: TempDir,
    port: u16,
    compose: Vec<&'static str>,
}

impl<'e> Till<'e> {
    /// `None` where there is no Compose.
    fn open(engine: &'e Engine) -> Option<Self> {
        let runs = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).arg("version").stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let compose = [vec!["docker", "compose"], vec!["docker-compose"]].into_iter().find(|words| runs(words));
        let Some(compose) = compose else {
            passed_over("Compose is not installed");
            return None;
        };
        for (image, version, changes) in [
            (IMAGE, "2026.7.0", ["ENV BROKEN="]),
            (IMAGE, "2026.8.0", ["ENV BROKEN="]),
            (PRETIX, "2026.7.0", ["ENV BROKEN="]),
            (PRETIX, "2026.8.0", ["ENV BROKEN="]),
            (PRETIX, "2026.9.0", ["ENV BROKEN=yes"]),
        ] {
            let named = [format!("ENV VERSION={version}"), "ENTRYPOINT [\"pretix\"]".to_owned()];
            let named = if image == PRETIX { named.as_slice() } else { &named[..1] };
            let changes: Vec<&str> = named.iter().map(String::as_str).chain(changes).collect();
            engine.image(&format!("{image}:{version}"), &changes);
        }
        let ground = Ground::new("", "").with("DOCKER_HOST", Path::new(&engine.host()));
        let till = Self { engine, ground, dir: tempfile::tempdir().unwrap(), port: free_port(), compose };
        for name in ["project", "backups", "data"] {
            fs::create_dir(till.path(name)).unwrap();
        }
        till.sql(&[
            "create table orders (id integer primary key, what text)",
            "insert into orders (what) values ('one')",
            "create table django_migrations (id integer primary key, app text, name text, applied text)",
            "insert into django_migrations (app, name, applied) values ('base', '0001_initial', '2026-01-01')",
        ]);
        let backup = till.path("backups/till.sqlite3");
        fs::copy(till.path("shop.sqlite3"), &backup).unwrap();
        rested(&backup);
        fs::write(till.path("app"), APP).unwrap();
        fs::set_permissions(till.path("app"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        till.configure("migrate = [\"app\", \"migrate\"]\n");
        Some(till)
    }

    fn configure(&self, more: &str) {
        self.configure_on(&format!("sqlite://{}", self.path("shop.sqlite3").display()), more);
    }

    fn configure_on(&self, database: &str, more: &str) {
        let backups = self.path("backups");
        let config = format!(
            "[sites.till]\nhealth_path = \"/\"\ndatabase = \"{database}\"\n{more}[[sites.till.backups]]\npath = \"{}\"\n",
            backups.display()
        );
        fs::write(self.ground.path().join("c.toml"), config).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn sql(&self, statements: &[&str]) {
        let path = self.path("shop.sqlite3");
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut db = options.journal_mode(SqliteJournalMode::Delete).connect().await.unwrap();
            for sql in statements {
                sqlx::query(AssertSqlSafe((*sql).to_owned())).execute(&mut db).await.unwrap();
            }
            db.close().await.unwrap();
        });
    }

    fn newest_migration(&self) -> String {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut db = SqliteConnectOptions::new().filename(self.path("shop.sqlite3")).connect().await.unwrap();
            let sql = "select name from django_migrations order by id desc limit 1";
            let name = sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap();
            db.close().await.unwrap();
            name
        })
    }

    /// The project's file, with this as the image of both services, brought up.
    fn up(&self, image: &str) {
        let (data, app, port) = (self.path("data"), self.path("app"), self.port);
        let (name, word) = if image.starts_with(PRETIX) { ("pretix", "") } else { ("app", "\"app\", ") };
        let volumes = format!("volumes: [\"{}:/data\", \"{}:/usr/bin/{name}\"]", data.display(), app.display());
        let service =
            |name: &str| format!("  {name}:\n    image: {image}\n    {volumes}\n    command: [{word}\"{name}\"]\n");
        // What has ended when the others work, as one that prepares something does.
        let (web, worker, setup) = (service("web"), service("worker"), service("setup"));
        let web =
            format!("{web}    stop_signal: SIGKILL\n    env_file: more.env\n    ports: [\"127.0.0.1:{port}:8000\"]\n");
        let file = format!("version: \"3\"\nservices:\n{web}{worker}{setup}");
        fs::write(self.path("project/docker-compose.yml"), file).unwrap();
        fs::write(self.path("project/more.env"), "MORE=one\n").unwrap();
        let mut command = Command::new(self.compose[0]);
        command.args(&self.compose[1..]).args(["--project-name", "till", "up", "--detach"]);
        let done = command.env("DOCKER_HOST", self.engine.host()).current_dir(self.path("project")).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path("project").join(name)).unwrap()
    }

    /// What web says of its version; `None`: it does not answer.
    fn answer(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        said.rsplit("\r\n\r\n").next().map(|body| body.trim().to_owned())
    }

    /// The containers of a service that run, and their image.
    fn containers(&self, service: &str) -> String {
        let filter = format!("label=com.docker.compose.service={service}");
        self.engine.docker(&["ps", "--filter", &filter, "--format", "{{.ID}} {{.Image}}"])
    }

    fn serves(&self, version: &str) {
        eventually("web serves the version", || (self.answer().as_deref() == Some(version)).then_some(()));
    }

    /// Both services run this image and version, in one container each.
    fn runs(&self, image: &str, version: &str) {
        self.serves(version);
        for service in SERVICES {
            let found = self.containers(service);
            assert!(found.lines().count() == 1 && found.ends_with(&format!("{image}:{version}")), "{service}: {found}");
        }
    }

    fn refused(&self, version: &str, why: &str) {
        let (code, said) =
            self.ground.call(&["runbook", "plan", "upgrade", "--site", "till", &format!("version={version}")]);
        assert!(code == 13 && said.contains(why), "{version}: {code}: {said}");
    }

    /// Approves it and lets go of it; the run, and its plan as it was shown.
    fn begin(&self, wish: &[&str]) -> (String, String) {
        let (code, shown) = self.ground.call(&[&["runbook", "plan"], wish].concat());
        assert_eq!(code, 0, "{shown}");
        let token = shown.rsplit("--confirm=").next().unwrap().trim().to_owned();
        (self.ground.begin(&[wish, &["--confirm", &token]].concat()), shown)
    }

    fn ended(&self, run: &str) -> (Outcome, String) {
        self.ground.ended(run)
    }

    /// The run, its runner killed with -9 at each of these steps, and taken up each time; its plan as it was shown.
    fn cut(&self, wish: &[&str], at: impl Iterator<Item = usize>) -> String {
        self.struck(wish, at, &mut || {})
    }

    /// The same; with the runner, more is struck.
    fn struck(&self, wish: &[&str], at: impl Iterator<Item = usize>, more: &mut dyn FnMut()) -> String {
        let (run, shown) = self.begin(wish);
        let steps = self.ground.view(&run).record.plan.steps.len();
        let mut followers = Vec::new();
        for step in at.take_while(|step| *step < steps) {
            self.ground.kill_at(&run, step);
            more();
            if self.ground.view(&run).progress().ended.is_some() {
                break;
            }
            followers.push(self.ground.resume_aside(&run, &[]));
            self.ground.taken_up(&run, followers.len() + 1);
        }
        let (outcome, left) = self.ended(&run);
        for mut follower in followers {
            follower.wait().unwrap();
        }
        let (_, said) = self.ground.call(&["runbook", "log", &run]);
        assert_eq!(outcome, Outcome::Done, "{left}\n{said}");
        shown
    }
}

/// What was written just now is not read yet.
fn rested(backup: &Path) {
    let then = SystemTime::now() - Duration::from_mins(5);
    fs::File::options().append(true).open(backup).unwrap().set_modified(then).unwrap();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs Docker with Compose, where it can run"]
fn an_image_is_upgraded_by_its_tag_and_back_as_root() {
    let Some(engine) = Engine::start() else { return };
    let Some(till) = Till::open(&engine) else { return };

    // The tag is a variable's, in a file of its own.
    fs::write(till.path("project/.env"), "OTHER=2026.7.0\nTAG=2026.7.0 # the version\n").unwrap();
    till.up(&format!("{IMAGE}:${{TAG}}"));
    till.runs(IMAGE, "2026.7.0");
    for (version, why) in [
        ("latest", "is another image tomorrow"),
        ("2026.7.0", "runs already"),
        ("2026.6.0", "is older"),
        ("a+b", "is no tag"),
    ] {
        till.refused(version, why);
    }

    till.engine.docker(&["stop", "--time", "0", till.containers("worker").split(' ').next().unwrap()]);
    till.refused("2026.7.0", "is exited: resume the run");
    till.up(&format!("{IMAGE}:${{TAG}}"));

    // An image that can't be had stops nothing.
    let before = SERVICES.map(|service| till.containers(service));
    let (outcome, left) = till.ended(&till.begin(&["upgrade", "--site", "till", "version=2026.10.0"]).0);
    assert!(outcome == Outcome::Failed && left.contains("`fetch` failed"), "{left}");
    assert_eq!(SERVICES.map(|service| till.containers(service)), before);
    assert!(till.text(".env").contains("TAG=2026.7.0 #"), "{}", till.text(".env"));

    // The first finds nothing to do: the engine has the image.
    let shown = till.cut(&["upgrade", "--site", "till", "version=2026.8.0"], 1..);
    for words in [
        "2026.7.0 becomes 2026.8.0, and nothing else",
        "project/.env",
        "app migrate",
        "run once more",
        "setup: has the image, too, and does not run",
        "the migrations of the",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    till.runs(IMAGE, "2026.8.0");
    assert_eq!(till.text(".env"), "OTHER=2026.7.0\nTAG=2026.8.0 # the version\n");
    let migrated = fs::read_to_string(till.path("data/migrated")).unwrap();
    assert!(!migrated.is_empty() && migrated.lines().all(|line| line == "2026.8.0"), "{migrated}");

    // Back, but not onto a schema that the older one does not know.
    till.sql(&["insert into django_migrations (app, name, applied) values ('base', '0002_more', '2026-01-02')"]);
    let (code, said) = till.ground.call(&["runbook", "plan", "undo-upgrade", "--site", "till"]);
    assert!(
        code == 13 && said.contains("has been migrated since") && said.contains("undo-upgrade-and-restore"),
        "{code}: {said}"
    );
    till.sql(&["delete from django_migrations where name = '0002_more'"]);
    till.cut(&["undo-upgrade", "--site", "till"], (1..).step_by(2));
    till.runs(IMAGE, "2026.7.0");
    assert_eq!(till.text(".env"), "OTHER=2026.7.0\nTAG=2026.7.0 # the version\n");

    migrates_badly(&till);
    does_not_start(&till);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL, and Docker with Compose, where it can run"]
fn an_image_and_a_database_of_postgresql_come_back_together_as_root() {
    let Some(engine) = Engine::start() else { return };
    let Some(till) = Till::open(&engine) else { return };
    let mut server = PostgresServer::start(&[]);
    let port = server.port;
    let url = |database: &str| format!("postgresql://postgres:super-pw@127.0.0.1:{port}/{database}");
    let sql = |database: &str, sql: &str| {
        let done = Command::new("psql").args(["-XqAt", &url(database), "-c", sql]).output().unwrap();
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    sql("postgres", "create role till login createdb password 'secret'");
    sql("postgres", "create database till owner till");
    sql(
        "till",
        "set role till; create table orders (id serial primary key, what text); insert into orders (what) values ('one'); \
         create table django_migrations (id serial primary key, app text, name text, applied timestamptz default now()); \
         insert into django_migrations (app, name) values ('base', '0001_initial')",
    );
    let dump = till.path("backups/till.dump");
    fs::remove_file(till.path("backups/till.sqlite3")).unwrap();
    let made = Command::new("pg_dump").args(["-Fc", "-f"]).arg(&dump).arg(url("till")).status().unwrap();
    assert!(made.success());
    rested(&dump);
    till.configure_on(&format!("postgresql://till:secret@127.0.0.1:{port}/till"), "");
    till.up(&format!("{PRETIX}:2026.7.0"));
    till.runs(PRETIX, "2026.7.0");

    // With the runner, PostgreSQL and the application are struck; both are started again, as after a power cut.
    let mut storm = || {
        server.crash();
        let all = till.engine.docker(&["ps", "-q", "--filter", "label=com.docker.compose.oneoff=False"]);
        let ids: Vec<&str> = all.split_whitespace().collect();
        if !ids.is_empty() {
            till.engine.docker(&[["kill"].as_slice(), &ids].concat());
        }
        server.begin();
        if !ids.is_empty() {
            till.engine.docker(&[["start"].as_slice(), &ids].concat());
        }
    };
    let shown = till.struck(&["upgrade", "--site", "till", "version=2026.8.0"], 1.., &mut storm);
    assert!(shown.contains("lock_timeout") && shown.contains("undo-upgrade-and-restore"), "{shown}");
    till.runs(PRETIX, "2026.8.0");
    let migrated = "insert into orders (what) values ('two'); \
                    insert into django_migrations (app, name) values ('base', '0002_more')";
    sql("till", migrated);
    let (code, said) = till.ground.call(&["runbook", "plan", "undo-upgrade", "--site", "till"]);
    assert!(code == 13 && said.contains("undo-upgrade-and-restore does both"), "{code}: {said}");
    let backup = format!("backup={}", dump.display());
    till.struck(&["undo-upgrade-and-restore", "--site", "till", &backup], 1.., &mut storm);
    till.runs(PRETIX, "2026.7.0");
    assert_eq!(sql("till", "select string_agg(name, ' ') from django_migrations"), "0001_initial");
    let held = sql("postgres", "select datname from pg_database where datname like 'till\\_held\\_%'");
    assert_eq!(sql(&held, "select count(*) from orders"), "2", "nothing that was written is lost");
}

/// Commands of one whose image is pretix' own: its migrations fail, or are cut off; files are changed meanwhile.
fn migrates_badly(till: &Till<'_>) {
    till.configure("");
    till.up(&format!("{PRETIX}:2026.7.0"));
    till.runs(PRETIX, "2026.7.0");
    let data = |name: &str| till.path(&["data/", name].concat());

    // Somebody's own program, in a container of the project.
    let mut command = Command::new(till.compose[0]);
    command.args(&till.compose[1..]).args(["--project-name", "till", "run", "-d", "--entrypoint", "sleep"]);
    let by_hand = command.args(["worker", "600"]).env("DOCKER_HOST", till.engine.host());
    let by_hand = by_hand.current_dir(till.path("project")).output().unwrap();
    let by_hand = String::from_utf8(by_hand.stdout).unwrap().trim().to_owned();
    till.refused("2026.8.0", "still runs, a program that somebody");
    till.engine.docker(&["rm", "-f", &by_hand]);

    // What others could write is not read with the engine's rights.
    let mode =
        |mode| fs::set_permissions(till.path("project"), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o777);
    till.refused("2026.8.0", "can be written by everybody, who may not use Docker");
    mode(0o755);

    // One that fails after something was migrated: neither revert nor undo-upgrade; both together bring it back.
    fs::write(data("broken"), "").unwrap();
    let (run, _) = till.begin(&FORTH);
    assert_eq!(till.ended(&run).0, Outcome::Failed);
    till.sql(&["insert into django_migrations (app, name, applied) values ('base', '0002_more', '2026-01-02')"]);
    let (_, said) = till.ground.resume(&run, &["--revert"]);
    assert!(said.contains("has been migrated") && said.contains("undo-upgrade-and-restore with"), "{said}");
    assert_eq!(till.ended(&run).0, Outcome::Failed);
    till.serves("2026.7.0");
    fs::remove_file(data("broken")).unwrap();
    let backup = format!("backup={}", till.path("backups/till.sqlite3").display());
    let both = ["undo-upgrade-and-restore", "--site", "till", &backup];
    till.cut(&both, (1..).step_by(2));
    till.runs(PRETIX, "2026.7.0");
    assert_eq!(till.newest_migration(), "0001_initial");

    // A migration that fails leaves web as it was; the way back starts the worker again.
    fs::write(data("broken"), "").unwrap();
    let before = SERVICES.map(|service| till.containers(service));
    let (run, _) = till.begin(&FORTH);
    let (outcome, left) = till.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("`migrate` failed"), "{left}");
    till.serves("2026.7.0");
    fs::remove_file(data("broken")).unwrap();
    till.ground.resume(&run, &["--revert"]);
    assert_eq!(till.ended(&run).0, Outcome::Reverted);
    assert_eq!(SERVICES.map(|service| till.containers(service)), before, "nothing was made anew for nothing");

    is_cut_off(till);
    comes_back(till);
}

/// A migration that is cut off goes on in its container: the way back waits for it, and then knows better.
fn is_cut_off(till: &Till<'_>) {
    let data = |name: &str| till.path(&["data/", name].concat());
    fs::write(data("held"), "").unwrap();
    let (run, _) = till.begin(&FORTH);
    let steps = till.ground.view(&run).record.plan.steps;
    let migrate = steps.iter().position(|step| step.name == "migrate").unwrap();
    let once = || till.engine.docker(&["ps", "--filter", "name=till-midwatch-", "--format", "{{.Names}}"]);
    eventually("it migrates", || (!once().is_empty()).then_some(()));
    let client = till.ground.view(&run).entries.iter().rev().find_map(|entry| match &entry.what {
        What::Started { step, child, .. } if *step == migrate => Some(child.clone()),
        _ => None,
    });
    till.ground.kill_at(&run, migrate);
    Ground::kill(&client.unwrap());
    // Nor does a run go on with a file that services read and somebody has changed meanwhile.
    fs::write(till.path("project/more.env"), "MORE=two\n").unwrap();
    till.ground.resume(&run, &[]);
    let (outcome, left) = till.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("settings of till are others"), "{left}");
    fs::write(till.path("project/more.env"), "MORE=one\n").unwrap();
    let mut reverting = till.ground.resume_aside(&run, &["--revert"]);
    till.ground.taken_up(&run, 3);
    till.sql(&["insert into django_migrations (app, name, applied) values ('base', '0002_more', '2026-01-02')"]);
    assert!(till.ground.view(&run).progress().ended.is_none() && !once().is_empty());
    fs::remove_file(data("held")).unwrap();
    let (outcome, left) = till.ended(&run);
    reverting.wait().unwrap();
    // It has changed nothing, so the run could go on, too.
    assert!(!till.ground.view(&run).entries.iter().any(|entry| matches!(entry.what, What::Undoing { .. })));
    let (_, said) = till.ground.call(&["runbook", "log", &run]);
    assert!(outcome == Outcome::Failed && said.contains("the database has been migrated"), "{left}\n{said}");
    assert!(till.text("docker-compose.yml").contains(":2026.8.0"));
    till.serves("2026.7.0");

    // The database from before is put back by hand, with the application stopped: the old tag starts with it.
    for service in SERVICES {
        let container = till.containers(service);
        if !container.is_empty() {
            till.engine.docker(&["stop", "--time", "0", container.split(' ').next().unwrap()]);
        }
    }
    till.sql(&["delete from django_migrations where name = '0002_more'"]);
    till.ground.resume(&run, &["--revert"]);
    assert_eq!(till.ended(&run).0, Outcome::Reverted);
    till.runs(PRETIX, "2026.7.0");
}

/// The way back after an upgrade that was done; with the database from before; and where there is no image to go back to.
fn comes_back(till: &Till<'_>) {
    let data = |name: &str| till.path(&["data/", name].concat());
    let backup = format!("backup={}", till.path("backups/till.sqlite3").display());
    let both = ["undo-upgrade-and-restore", "--site", "till", &backup];
    till.cut(&FORTH, (1..).step_by(2));
    till.runs(PRETIX, "2026.8.0");
    assert_eq!(fs::read_to_string(data("styles")).unwrap().lines().last(), Some("2026.8.0"));
    let (code, said) = till.ground.call(&[&["runbook", "plan"], both.as_slice()].concat());
    assert!(code == 13 && said.contains("knows the database as it is"), "{code}: {said}");
    for service in SERVICES {
        till.engine.docker(&["stop", "--time", "0", till.containers(service).split(' ').next().unwrap()]);
    }
    till.cut(&["undo-upgrade", "--site", "till"], (1..).step_by(2));
    till.runs(PRETIX, "2026.7.0");

    // Or with the database from before, where that was migrated.
    let (run, _) = till.begin(&FORTH);
    assert_eq!(till.ended(&run).0, Outcome::Done);
    till.sql(&["insert into django_migrations (app, name, applied) values ('base', '0002_more', '2026-01-02')"]);
    till.cut(&both, 1..);
    till.runs(PRETIX, "2026.7.0");
    assert_eq!(till.newest_migration(), "0001_initial");
    let held =
        fs::read_dir(till.dir.path()).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().contains(HELD));
    assert_eq!(held.count(), 2);

    // Another image under the old name is none to go back to.
    let (run, _) = till.begin(&FORTH);
    assert_eq!(till.ended(&run).0, Outcome::Done);
    let (old, other) = (format!("{PRETIX}:2026.7.0"), format!("{PRETIX}:2026.9.0"));
    till.engine.docker(&["tag", &old, &format!("{PRETIX}:kept")]);
    till.engine.docker(&["tag", &other, &old]);
    let (code, said) = till.ground.call(&["runbook", "plan", "undo-upgrade", "--site", "till"]);
    assert!(code == 13 && said.contains("the image that ran before was sha256:"), "{code}: {said}");
    till.engine.docker(&["tag", &format!("{PRETIX}:kept"), &old]);
    till.cut(&["undo-upgrade", "--site", "till"], 2..4);
    till.runs(PRETIX, "2026.7.0");

    // Which version this is nobody can tell.
    till.engine.docker(&["tag", &old, &format!("{PRETIX}:stable")]);
    till.up(&format!("{PRETIX}:stable"));
    till.serves("2026.7.0");
    till.refused("2026.8.0", "give what runs the tag of its version");
    till.up(&old);
    till.runs(PRETIX, "2026.7.0");
}

/// The tag is in the project's file itself, for each service; the new image does not start.
fn does_not_start(till: &Till<'_>) {
    let file = till.text("docker-compose.yml");
    fs::remove_file(till.path("data/migrated")).unwrap();
    till.refused("2028.1.0", "last release of 2027 first");
    let (run, shown) = till.begin(&["upgrade", "--site", "till", "version=2026.9.0"]);
    assert!(shown.contains("while web still serves"), "{shown}");
    let (outcome, left) = till.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("has not run for"), "{left}");
    assert_eq!(till.text("docker-compose.yml"), file.replace(":2026.7.0", ":2026.9.0"));
    // What it would migrate was told before, and migrated nothing.
    let (_, said) = till.ground.call(&["runbook", "log", &run]);
    assert!(said.contains("would migrate base.0002_more"), "{said}");
    let migrated = fs::read_to_string(till.path("data/migrated")).unwrap();
    assert!(!migrated.is_empty() && migrated.lines().all(|line| line == "2026.9.0"), "{migrated}");

    // Its way back works as long as nothing was migrated.
    till.sql(&["insert into django_migrations (app, name, applied) values ('base', '0002_more', '2026-01-02')"]);
    let (_, said) = till.ground.resume(&run, &["--revert"]);
    assert!(said.contains("has been migrated") && said.contains("undo-upgrade-and-restore with"), "{said}");
    till.sql(&["delete from django_migrations where name = '0002_more'"]);
    let (_, said) = till.ground.resume(&run, &["--revert"]);
    assert_eq!(till.ended(&run).0, Outcome::Reverted, "{said}");
    till.runs(PRETIX, "2026.7.0");
    assert_eq!(till.text("docker-compose.yml"), file);

    // What runs is not what the file says now: more than the image would change.
    let other = file.replace("\"worker\"]", "\"worker\", \"more\"]");
    fs::write(till.path("project/docker-compose.yml"), other).unwrap();
    till.refused("2026.8.0", "was made from other settings");
}
