//! Read-only it only asks: every request to PostgreSQL, MariaDB, Redis, Docker and systemd, recorded at the server, under
//! every command and every key. What is on no list here is an offence.

mod allowed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::runtime::Runtime;

use super::every;
use crate::support::docker::Docker;
use crate::support::pty::{Home, code};
use crate::support::recorders::{Recorder, dbus, redis};
use crate::support::servers::{MariadbServer, PostgresServer, RedisServer, eventually};
use crate::support::standins::UserManager;
use crate::support::web::Answering;

/// A home with a site that stands on servers which record what they are asked.
struct Recorded {
    home: Home,
    _sessions: [Psql; 2],
    postgres: PostgresServer,
    maria: MariadbServer,
    redis: Recorder,
    docker: Docker,
    runtime: Runtime,
    _redis: RedisServer,
    _web: Answering,
}

/// What a shop's database holds, so that what asks for orders and migrations finds some.
const SCHEMA: &str =
    "create table django_migrations (id serial primary key, app text, name text, applied timestamptz default now());
    insert into django_migrations (app, name) values ('pretixbase', '0001_initial');
    create table pretixbase_orderpayment (id serial primary key, payment_date timestamptz, state text);
    insert into pretixbase_orderpayment (payment_date, state) values (now(), 'confirmed');
    create table thing (n int);
    create table pretixbase_outgoingmail (id serial primary key, created timestamptz, status text, error text)";

impl Recorded {
    fn new(more: &str) -> Self {
        let postgres = PostgresServer::start(&["log_statement=all", "log_line_prefix=%a|", "wal_level=logical"]);
        let maria = MariadbServer::start(&["--general-log=1", "--general-log-file=general.log"]);
        let server = RedisServer::start(&[]);
        let (port, redis) = Recorder::tcp(server.port);
        let (home, web, runtime) = (Home::new(), Answering::ok(), Runtime::new().unwrap());
        let socket = home.path().join("docker.sock");
        let docker = runtime.block_on(async { Docker::serve(&socket) });
        let url = format!("postgresql://postgres:super-pw@127.0.0.1:{}/postgres", postgres.port);
        let as_test = format!("{url}?application_name=test");
        run(Command::new("psql").args(["-XqAt", "-v", "ON_ERROR_STOP=1", &as_test, "-c", SCHEMA]));
        // One blocks, one waits: so that who asks for locks finds some.
        let idle = session(&as_test, "begin; lock table thing; select pg_sleep(600)");
        let blocked = session(&as_test, "select count(*) from thing");
        let backups = home.path().join("backups");
        fs::create_dir(&backups).unwrap();
        run(Command::new("pg_dump").args(["-Fc", "-T", "thing", "-f"]).arg(backups.join("shop.dump")).arg(&as_test));
        let config = format!(
            "discover = false\n[pace]\nhealth = \"1s\"\nhost = \"1s\"\ndatabase = \"1s\"\nredis = \"1s\"\nservices = \"1s\"\n\
             [sites.shop]\napp = \"pretix\"\nurl = \"{web}\"\ndatabase = \"{url}\"\nredis = \"redis://127.0.0.1:{port}/0\"\n\
             broker = \"redis://127.0.0.1:{port}/1\"\nqueues = [\"celery\"]\n\
             [sites.shop.services.backend]\ncompose = \"pretalx/backend\"\nsocket = \"{socket}\"\n{more}\n\
             [[sites.shop.backups]]\npath = \"{backups}\"\n\
             [[sites.shop.logs]]\ncontainer = \"pretalx-backend-1\"\nsocket = \"{socket}\"\n\
             [sites.maria]\nurl = \"{web}\"\ndatabase = \"mysql://app:app-pw@127.0.0.1:{}/app\"\n",
            maria.port,
            web = web.url(),
            socket = socket.display(),
            backups = backups.display(),
        );
        fs::write(home.path().join("midwatch.toml"), config).unwrap();
        fs::write(home.path().join("own.toml"), every::OWN).unwrap();
        Self { home, _sessions: [idle, blocked], postgres, maria, redis, docker, runtime, _redis: server, _web: web }
    }

    /// Every command, those that make plans for the site included, and then every key.
    fn drive(&self, env: &[(&str, PathBuf)]) {
        let path = |name: &str| self.home.path().join(name).display().to_string();
        let (runbook, backups) = (path("own.toml"), path("backups"));
        let wishes = plans(&backups);
        let mut commands = every::commands(&runbook, &backups);
        for wish in &wishes {
            let words = wish.iter().map(String::as_str);
            let plan = ["runbook", "plan"].into_iter().chain(words.clone()).chain(["--site", "shop"]).collect();
            let run = ["runbook", "run"].into_iter().chain(words).chain(["--site", "shop", "--yes"]).collect();
            commands.extend([(plan, 0..=64), (run, 10..=10)]);
        }
        let call = self.home.midwatch();
        for (words, codes) in commands {
            let mut command = Command::new(&call[0]);
            command.args(&call[1..]).arg("--read-only").args(&words).stdin(Stdio::null());
            let output = command.envs(env.iter().map(|(name, value)| (name, value))).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{words:?}: {output:?}\n{said}");
        }
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        let call: Vec<&str> = call.iter().map(String::as_str).chain(["--read-only"]).collect();
        let mut session = self.home.run(&call, &env, 120, 40);
        session.wait_for_text("iB free");
        every::keys(&mut session);
        session.keys("Q");
        assert_eq!(code(session.ended()), 0);
    }

    /// What PostgreSQL was told by anybody but this test.
    fn postgres(&self) -> Vec<String> {
        let log = self.postgres.log();
        let mut all: Vec<String> = Vec::new();
        let mut open = false;
        for line in log.lines() {
            if let (Some(more), true) = (line.strip_prefix('\t'), open) {
                if let Some(last) = all.last_mut() {
                    last.push(' ');
                    last.push_str(more);
                }
                continue;
            }
            let said = line.split_once("|LOG:  ").filter(|(from, _)| *from != "test").map(|(_, said)| said);
            // Of a prepared statement: `execute sqlx_s_1: select …`.
            let statement = said.and_then(|said| {
                let of = |head: &str| said.strip_prefix(head).and_then(|rest| rest.split_once(": "));
                said.strip_prefix("statement: ")
                    .or_else(|| of("execute ").map(|(_, statement)| statement))
                    .or_else(|| said.starts_with("fastpath").then_some(said))
            });
            open = statement.is_some();
            all.extend(statement.map(str::to_owned));
        }
        all
    }

    /// What MariaDB was told over the network.
    fn maria(&self) -> Vec<String> {
        let log = fs::read(self.maria.path().join("data/general.log")).unwrap();
        let log = String::from_utf8_lossy(&log).into_owned();
        let mut all: Vec<String> = Vec::new();
        let mut own: Vec<String> = Vec::new();
        let mut open = false;
        for line in log.lines() {
            let head = line.split('\t').take(3).find_map(entry).zip(line.rsplit_once('\t'));
            let Some(((session, command), (_, said))) = head else {
                // The rest of a statement of several lines.
                if let Some(last) = all.last_mut().filter(|_| open) {
                    last.push(' ');
                    last.push_str(line);
                }
                continue;
            };
            if command == "Connect" && said.starts_with("app@") {
                own.push(session.clone());
            }
            open = !matches!(command.as_str(), "Connect" | "Quit" | "Ping" | "Close") && own.contains(&session);
            all.extend(open.then(|| said.to_owned()));
        }
        all
    }

    fn offences(&self) -> Vec<String> {
        let sql = |name: &'static str, list: &'static allowed::Sql, said: Vec<String>| {
            said.into_iter().filter_map(move |said| Some(format!("{name}: {}: {said}", list.offence(&said)?)))
        };
        let redis = self.redis.said().into_iter().flat_map(|said| redis(&said));
        let redis = redis.filter(|words| !allowed::redis(words)).map(|words| format!("Redis: {}", words.join(" ")));
        let docker = self.docker.asked().into_iter().filter(|asked| !allowed::docker(asked));
        sql("PostgreSQL", &allowed::POSTGRES, self.postgres())
            .chain(sql("MariaDB", &allowed::MARIA, self.maria()))
            .chain(redis)
            .chain(docker.map(|asked| format!("Docker: {asked}")))
            .collect()
    }
}

/// The session and the command at the head of an entry of MariaDB's log: `    5 Query`.
fn entry(head: &str) -> Option<(String, String)> {
    let mut words = head.split_whitespace();
    let (session, command) = (words.next()?, words.next()?);
    let known = session.chars().all(|c| c.is_ascii_digit()) && command.starts_with(|c: char| c.is_ascii_uppercase());
    (known && words.next().is_none()).then(|| (session.to_owned(), command.to_owned()))
}

/// What a plan is made of for each runbook that acts on a site.
fn plans(backups: &str) -> Vec<Vec<String>> {
    let dump = format!("backup={backups}/shop.dump");
    let all: [&[&str]; 16] = [
        &["restart-services", "service=all"],
        &["reset-crash-loop", "service=backend"],
        &["unblock-locks"],
        &["take-backup", &format!("directory={backups}")],
        &["rotate-backups", &format!("directory={backups}")],
        &["prove-backup", &dump],
        &["restore-database", &dump],
        &["restore-files", &dump, "directory=/srv"],
        &["swap-back", "held=postgres_held_20260101000000"],
        &["swap-back-file", "held=/srv/x"],
        &["release-held", "held=postgres_held_20260101000000"],
        &["upgrade", "version=1.0"],
        &["upgrade-from-git", "commit=main"],
        &["undo-upgrade"],
        &["give-back-tasks", "parked=x"],
        &["drop-tasks", "parked=x"],
    ];
    all.iter().map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect()
}

/// A session of the test's own that is ended with its guard.
struct Psql(Child);

impl Drop for Psql {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn session(url: &str, sql: &str) -> Psql {
    let mut psql = Command::new("psql");
    psql.args(["-XqAt", url, "-c", sql]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Psql(psql.spawn().unwrap())
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs PostgreSQL, MariaDB and redis-server: tests/run installs them"]
fn every_request_to_a_server_is_on_the_list() {
    let recorded = Recorded::new("");
    recorded.drive(&[]);
    let seen = [
        ("PostgreSQL", recorded.postgres().len()),
        ("MariaDB", recorded.maria().len()),
        ("Redis", recorded.redis.said().iter().map(|said| redis(said).len()).sum()),
        ("Docker", recorded.docker.asked().len()),
    ];
    assert!(seen.iter().all(|(_, count)| *count > 20), "the recorders see nothing: {seen:?}");
    let mut offences = recorded.offences();
    offences.sort();
    offences.dedup();
    assert_eq!(offences, [""; 0], "{seen:?}");
    drop(recorded.runtime);
}

/// The same for systemd, whose manager listens at a socket of its own.
#[test]
#[ignore = "needs systemd, unshare, PostgreSQL, MariaDB, redis-server and root"]
fn every_call_of_a_manager_of_units_is_on_the_list_as_root() {
    let dir = tempfile::tempdir().unwrap();
    let manager = UserManager::start(dir.path());
    manager.unit("shop-web.service", "Type=exec\nExecStart=/bin/sleep 600");
    manager.ctl(&["start", "shop-web"]);
    let recorder = between(&manager.runtime().join("systemd/private"));
    let uid = rustix::process::geteuid().as_raw();
    let recorded = Recorded::new(&format!("[sites.shop.services.web]\nunit = \"shop-web\"\nuser = \"{uid}\"\n"));
    recorded.drive(&[("XDG_RUNTIME_DIR", manager.runtime())]);
    let called: Vec<String> = recorder.said().iter().flat_map(|said| dbus(said)).collect();
    assert!(called.len() > 20, "the recorder sees nothing: {called:?}");
    let mut offences: Vec<&String> =
        called.iter().filter(|member| !allowed::SYSTEMD.contains(&member.as_str())).collect();
    offences.sort();
    offences.dedup();
    assert_eq!(offences, [""; 0]);
}

/// Puts a recorder where the socket is, and the socket beside it.
fn between(socket: &Path) -> Recorder {
    let beside = socket.with_extension("behind");
    eventually("the manager listens", || socket.exists().then_some(()));
    fs::rename(socket, &beside).unwrap();
    Recorder::unix(socket, beside)
}
