//! Real servers for tests: each in a directory of its own, on a free port of 127.0.0.1, ended by its pid when dropped,
//! also after a panic.
#![cfg(test)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a condition is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come true");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A port of 127.0.0.1 that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program in `PATH` or one of `elsewhere`.
fn program(name: &str, elsewhere: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = std::env::split_paths(&path).chain(elsewhere.iter().map(PathBuf::from));
    known.map(|dir| dir.join(name)).find(|file| file.is_file()).unwrap_or_else(|| panic!("{name} is not installed"))
}

/// A process that is ended with its guard.
struct Process {
    child: Child,
    end: Signal,
}

impl Process {
    fn start(command: &mut Command, log: &Path, end: Signal) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { child, end }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The process and its children.
    fn family(&self) -> Vec<Pid> {
        let mine = self.pid();
        let children = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent: i32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            Pid::from_raw(pid).filter(|_| Pid::from_raw(parent) == Some(mine))
        });
        std::iter::once(mine).chain(children).collect()
    }

    fn signal_all(&self, signal: Signal) {
        for pid in self.family() {
            let _sent = kill_process(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal_all(Signal::CONT);
        let _sent = kill_process(self.pid(), self.end);
        let start = Instant::now();
        while self.child.try_wait().is_ok_and(|status| status.is_none()) {
            if start.elapsed() > PATIENCE {
                let _sent = self.child.kill();
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// A PostgreSQL server with the superuser `postgres`, password `super-pw`.
pub(crate) struct PostgresServer {
    process: Option<Process>,
    bin: PathBuf,
    settings: Vec<String>,
    /// Where it listens.
    pub(crate) port: u16,
    dir: TempDir,
}

impl PostgresServer {
    /// A new cluster, started with these settings (`name=value`).
    pub(crate) fn start(settings: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("midwatch-pg-").tempdir().unwrap();
        let mut known: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
        known.sort_by_key(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        let known: Vec<_> = known.iter().rev().map(|entry| entry.path().join("bin").display().to_string()).collect();
        let initdb = program("initdb", &known.iter().map(String::as_str).collect::<Vec<_>>());
        let bin = fs::canonicalize(initdb).unwrap().parent().unwrap().to_path_buf();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { process: None, bin, settings, port: free_port(), dir };
        let password = server.path().join("password");
        fs::write(&password, "super-pw\n").unwrap();
        for path in [server.path(), password.as_path()] {
            if let Some((uid, gid)) = user("postgres") {
                chown(path, Some(uid), Some(gid)).unwrap();
            }
        }
        let made = server
            .command("initdb")
            .args(["--no-sync", "-U", "postgres", "-A", "scram-sha-256", "--locale=C", "-E", "UTF8", "--pwfile"])
            .arg(&password)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.begin();
        server
    }

    /// Where its data, its socket and its log are.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("server.log")).unwrap()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.current_dir(self.path()).arg("-D").arg(self.path().join("data")).env_clear().env("LC_ALL", "C");
        if let Some((uid, gid)) = user("postgres") {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Starts it again, and waits until it takes connections.
    pub(crate) fn begin(&mut self) {
        let before = fs::read_to_string(self.path().join("server.log")).unwrap_or_default().len();
        self.launch();
        let start = Instant::now();
        loop {
            let log = self.log();
            let new = log.get(before..).unwrap_or_default();
            if new.contains("ready to accept connections") {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "PostgreSQL was not ready; it says: {new}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Starts it again.
    pub(crate) fn launch(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-k").arg(self.path()).args(["-p", &self.port.to_string()]);
        let ours = ["listen_addresses=127.0.0.1", "fsync=off", "log_connections=on", "shared_buffers=16MB"];
        for setting in ours.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        let log = self.path().join("server.log");
        self.process = Some(Process::start(&mut command, &log, Signal::QUIT));
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Kills the server and every one of its sessions at once.
    pub(crate) fn crash(&mut self) {
        let process = self.process.take().unwrap();
        // It starts no session meanwhile, and its children are known by it as long as it is there.
        let _sent = kill_process(process.pid(), Signal::STOP);
        let family = process.family();
        for pid in &family {
            let _sent = kill_process(*pid, Signal::KILL);
        }
        let lives = |pid: &Pid| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| !matches!(rest.trim_start().chars().next(), None | Some('Z')))
        };
        eventually("all its processes are gone", || (!family.iter().any(lives)).then_some(()));
    }

    /// Stops all its processes: it accepts connections and never answers.
    pub(crate) fn freeze(&self) {
        self.process.as_ref().unwrap().signal_all(Signal::STOP);
    }

    /// Lets it run on.
    pub(crate) fn thaw(&self) {
        self.process.as_ref().unwrap().signal_all(Signal::CONT);
    }
}

/// A Redis server.
pub(crate) struct RedisServer {
    process: Option<Process>,
    arguments: Vec<String>,
    /// Where it listens.
    pub(crate) port: u16,
    dir: TempDir,
}

impl RedisServer {
    /// A new server with these arguments (`--name value`).
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("midwatch-redis-").tempdir().unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { process: None, arguments, port: free_port(), dir };
        server.begin();
        server
    }

    /// Where its socket (`redis.sock`) and its snapshots are.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its URL, for one of its databases.
    pub(crate) fn url(&self, database: u8) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.port)
    }

    /// Starts it again.
    pub(crate) fn begin(&mut self) {
        let data = self.path().join("data");
        fs::create_dir_all(&data).unwrap();
        let mut command = Command::new(program("redis-server", &["/usr/bin", "/usr/local/bin"]));
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &self.port.to_string(), "--dir"]).arg(data);
        command.arg("--unixsocket").arg(self.path().join("redis.sock")).args(&self.arguments);
        self.process = Some(Process::start(&mut command, &self.path().join("log"), Signal::KILL));
        eventually("Redis being ready", || std::net::TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Stops its process: it accepts connections and never answers.
    pub(crate) fn freeze(&self) {
        self.process.as_ref().unwrap().signal_all(Signal::STOP);
    }

    /// Lets it run on.
    pub(crate) fn thaw(&self) {
        self.process.as_ref().unwrap().signal_all(Signal::CONT);
    }
}

/// A MariaDB server with the user `app`, password `app-pw`, and the database `app`.
pub(crate) struct MariadbServer {
    process: Option<Process>,
    arguments: Vec<String>,
    /// Where it listens.
    pub(crate) port: u16,
    dir: TempDir,
}

impl MariadbServer {
    /// A new server with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("midwatch-maria-").tempdir().unwrap();
        let data = dir.path().join("data");
        let user = rustix::process::geteuid().is_root().then_some("--user=root");
        let install = fs::canonicalize(program("mariadb-install-db", &["/usr/bin"])).unwrap();
        let made = Command::new(&install)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--basedir={}", install.parent().unwrap().parent().unwrap().display()))
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--tmpdir={}", dir.path().display()))
            .args(user)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        // Without the anonymous users of a new installation, who come before `app@'%'`.
        let sql = "DELETE FROM mysql.global_priv WHERE User = '';\nFLUSH PRIVILEGES;\nCREATE DATABASE app;\n\
            CREATE USER app@'%' IDENTIFIED BY 'app-pw';\nGRANT ALL ON app.* TO app@'%';\n";
        fs::write(dir.path().join("init.sql"), sql).unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { process: None, arguments, port: free_port(), dir };
        server.begin();
        fs::remove_file(server.path().join("init.sql")).unwrap();
        server
    }

    /// Starts it again, and waits until it takes connections.
    pub(crate) fn begin(&mut self) {
        let at = |file: &str| self.path().join(file).display().to_string();
        let log = self.path().join("log");
        let before = fs::read_to_string(&log).unwrap_or_default().len();
        let mut command = Command::new(program("mariadbd", &["/usr/sbin"]));
        command.arg("--no-defaults").args(["--bind-address=127.0.0.1", "--skip-log-bin"]);
        command.args(rustix::process::geteuid().is_root().then_some("--user=root"));
        command.args([format!("--port={}", self.port), format!("--datadir={}", at("data"))]);
        // A server that starts removes the temporary tables of any other with the same directory for them, which dies of it.
        command.arg(format!("--tmpdir={}", self.path().display()));
        command.args([format!("--socket={}", at("my.sock")), format!("--pid-file={}", at("pid"))]);
        let init = self.path().join("init.sql").exists().then(|| format!("--init-file={}", at("init.sql")));
        command.args(init).args(&self.arguments);
        self.process = Some(Process::start(&mut command, &log, Signal::KILL));
        eventually("MariaDB being ready", || {
            fs::read_to_string(&log).ok()?.get(before..)?.contains("ready for connections").then_some(())
        });
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Where its socket (`my.sock`) is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// The account that servers which refuse to run as root run as; `None`: this one will do.
fn user(name: &str) -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts.lines().find(|line| line.starts_with(&format!("{name}:")));
    let fields: Vec<&str> = line.unwrap_or_else(|| panic!("there is no user {name}")).split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}
