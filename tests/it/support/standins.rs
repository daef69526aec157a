//! Processes, a supervisord and a user manager of systemd, each ended with its guard.
#![cfg(test)]

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::servers::eventually;

/// A word that no other process has in its command line.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("shop{}n{}.{what}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Kills a process that this test started.
pub(crate) fn kill(pid: u32) {
    let killed = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL);
    // It may have ended meanwhile.
    assert!(matches!(killed, Ok(()) | Err(rustix::io::Errno::SRCH)), "{killed:?}");
}

/// A process under another's name.
pub(crate) struct Standin(Child);

impl Standin {
    /// One whose command line begins so.
    pub(crate) fn start(line: &str) -> Self {
        Self(Command::new("sleep").arg0(line).arg("600").stdin(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _collected = self.0.wait();
    }
}

/// A supervisord in a directory of its own.
pub(crate) struct Supervisord {
    child: Child,
    dir: PathBuf,
}

impl Supervisord {
    /// Runs these programs: name and shell script.
    pub(crate) fn start(dir: &Path, programs: &[(&str, &str)]) -> Self {
        let mut conf = format!(
            "[supervisord]\nnodaemon=true\nlogfile={d}/supervisord.log\npidfile={d}/supervisord.pid\nchildlogdir={d}\n\
             [unix_http_server]\nfile={d}/supervisor.sock\n[supervisorctl]\nserverurl=unix://{d}/supervisor.sock\n\
             [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
            d = dir.display()
        );
        for (name, _) in programs {
            let script = dir.join(name).display().to_string();
            conf.push_str(&["[program:", name, "]\ncommand=/bin/bash ", &script].concat());
            conf.push_str("\nautorestart=true\nstartsecs=1\nstartretries=1\nstopwaitsecs=1\nstopasgroup=true\n");
        }
        fs::write(dir.join("supervisord.conf"), conf).unwrap();
        for (name, script) in programs {
            fs::write(dir.join(name), format!("{script}\n")).unwrap();
        }
        let mut command = Command::new("supervisord");
        command.arg("-c").arg(dir.join("supervisord.conf"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Self { child, dir: dir.to_owned() };
        eventually("supervisord listening", || dir.join("supervisor.sock").exists().then_some(()));
        started
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> String {
        self.dir.join("supervisor.sock").display().to_string()
    }

    /// What a program does from its next start on.
    pub(crate) fn program(&self, name: &str, script: &str) {
        fs::write(self.dir.join(name), format!("{script}\n")).unwrap();
    }

    /// Tells it to do something; what it answers doesn't matter.
    pub(crate) fn ctl(&self, arguments: &[&str]) {
        let mut command = Command::new("supervisorctl");
        command.arg("-c").arg(self.dir.join("supervisord.conf")).args(arguments);
        command.stdout(Stdio::null()).status().unwrap();
    }
}

impl Drop for Supervisord {
    fn drop(&mut self) {
        let _asked = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _collected = self.child.wait();
    }
}

/// A user manager of systemd, in a mount namespace of its own: on a machine that systemd didn't boot it would not start.
pub(crate) struct UserManager {
    child: Child,
    dir: PathBuf,
}

const SCRIPT: &str = r#"set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount -t cgroup2 none "$1/cgroup"
mount --bind "$1/cgroup" /sys/fs/cgroup
exec /usr/lib/systemd/systemd --user --log-target=null
"#;

impl UserManager {
    /// With everything it keeps in `dir`.
    pub(crate) fn start(dir: &Path) -> Self {
        for name in ["run", "cgroup", "home/.config/systemd/user"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", SCRIPT, "sh"]).arg(dir);
        command.env("XDG_RUNTIME_DIR", dir.join("run")).env("HOME", dir.join("home"));
        command.env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("XDG_CONFIG_HOME");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let manager = Self { child, dir: dir.to_owned() };
        eventually("the user manager being up", || {
            let state = manager.systemctl(&["is-active", "default.target"]).output().unwrap();
            (state.stdout == b"active\n").then_some(())
        });
        manager
    }

    /// Its runtime directory.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Writes a service.
    pub(crate) fn unit(&self, name: &str, service: &str) {
        let path = self.dir.join("home/.config/systemd/user").join(name);
        fs::write(path, format!("[Service]\n{service}\n")).unwrap();
    }

    fn systemctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("systemctl");
        command.arg("--user").args(arguments).env("XDG_RUNTIME_DIR", self.runtime());
        command.env_remove("DBUS_SESSION_BUS_ADDRESS").stderr(Stdio::null());
        command
    }

    /// Tells it to do something; whether that succeeds doesn't matter.
    pub(crate) fn ctl(&self, arguments: &[&str]) {
        self.systemctl(arguments).stdout(Stdio::null()).status().unwrap();
    }
}

impl Drop for UserManager {
    fn drop(&mut self) {
        self.ctl(&["stop", "*.service"]);
        let _asked = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _collected = self.child.wait();
    }
}
