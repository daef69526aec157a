//! A place to run runbooks in: a configuration, a state directory, runbooks of one's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use midwatch::backends::journal;
use midwatch::backends::process_id;
use midwatch::runbook::kept::RunView;
use midwatch::runbook::run::{Outcome, ProcessId, What};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::LOCKS;
use crate::support::servers::eventually;

pub(super) struct Ground {
    dir: TempDir,
    runtime: Runtime,
    env: Vec<(String, PathBuf)>,
    program: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Ground {
    /// With a configuration of one's own, and the runbook `steps` of these steps.
    pub(super) fn new(config: &str, steps: &str) -> Self {
        let turn = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::Builder::new().prefix("midwatch-runs-").tempdir().unwrap();
        let runbooks = dir.path().join("midwatch/runbooks");
        std::fs::create_dir_all(&runbooks).unwrap();
        std::fs::write(dir.path().join("c.toml"), config).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_midwatch"));
        let ground = Self { dir, runtime: Runtime::new().unwrap(), env: Vec::new(), program, _turn: turn };
        ground.write("steps", "reversible", steps);
        ground
    }

    /// With this in the environment.
    pub(super) fn with(mut self, name: &str, path: &Path) -> Self {
        self.env.push((name.to_owned(), path.to_owned()));
        self
    }

    /// With the program where every user can start it.
    pub(super) fn reachable(mut self) -> Self {
        let to = self.path().join("midwatch-itself");
        std::fs::copy(&self.program, &to).unwrap();
        self.program = to;
        self.open_to_all();
        self
    }

    /// A runbook that acts on the host.
    pub(super) fn write(&self, id: &str, risk: &str, steps: &str) {
        let head = format!(
            "title = \"{id}\"\nsummary = \"for a test\"\nrisk = \"{risk}\"\nhost = true\nway_back = \"there is none\"\n"
        );
        std::fs::write(self.path().join(format!("midwatch/runbooks/{id}.toml")), format!("{head}{steps}")).unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Lets every user of the machine look at what lies here.
    pub(super) fn open_to_all(&self) {
        let opened = Command::new("chmod").args(["-R", "go+rX"]).arg(self.path()).status().unwrap();
        assert!(opened.success());
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Where this user's runs are kept.
    pub(super) fn own(&self) -> PathBuf {
        self.state().join("runs").join(rustix::process::geteuid().as_raw().to_string())
    }

    /// The text of a file that steps write to, empty if there is none.
    pub(super) fn trace(&self) -> String {
        std::fs::read_to_string(self.path().join("trace")).unwrap_or_default()
    }

    pub(super) fn midwatch(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.path().join("c.toml")).arg("--state-dir").arg(self.state()).args(args);
        command.env("XDG_CONFIG_HOME", self.path()).stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, path)| (name, path)));
        command
    }

    /// Runs it to its end: its exit code, and everything it said.
    pub(super) fn call(&self, args: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = self.midwatch(args).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        (status.code().unwrap(), said)
    }

    /// Starts a run and lets go of it; its id.
    pub(super) fn begin(&self, args: &[&str]) -> String {
        let (code, said) = self.call(&[&["runbook", "run", "--detach"], args].concat());
        assert_eq!(code, 0, "{said}");
        said.trim().to_owned()
    }

    pub(super) fn view(&self, run: &str) -> RunView {
        self.runtime.block_on(journal::read(&self.state(), run)).unwrap()
    }

    /// Waits until nobody works on the run; how it has ended. Longer than other things are waited for: on a machine that has
    /// much to do, what does not come up is looked at for long.
    pub(super) fn ended(&self, run: &str) -> (Outcome, String) {
        let begun = Instant::now();
        loop {
            let view = self.view(run);
            if let Some(ended) = view.ended().and_then(|_| view.progress().ended) {
                return ended;
            }
            assert!(begun.elapsed() < Duration::from_mins(4), "the run has not ended: {:#?}", view.entries.last());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    pub(super) fn runner(&self, run: &str) -> ProcessId {
        self.view(run).runner().unwrap().clone()
    }

    /// Kills the run's runner as soon as this step was begun; whether it was at that step, and not past it.
    pub(super) fn kill_at(&self, run: &str, step: usize) -> bool {
        let begun = |view: &RunView| {
            view.entries.iter().any(|entry| matches!(entry.what, What::Intended { step: at, .. } if at == step))
        };
        eventually("the step is begun", || {
            let view = self.view(run);
            (begun(&view) || view.ended().is_some()).then_some(())
        });
        let runner = self.runner(run);
        Self::kill(&runner);
        let done = |entry: &What| matches!(entry, What::Done { step: at, .. } if *at == step);
        !self.view(run).entries.iter().any(|entry| done(&entry.what))
    }

    /// Whether the run has done this step, as far as it has written that down.
    pub(super) fn acted(&self, run: &str, step: usize) -> bool {
        let acted =
            |what: &What| matches!(what, What::Acted { step: at, .. } | What::Done { step: at, .. } if *at == step);
        self.view(run).entries.iter().any(|entry| acted(&entry.what))
    }

    pub(super) fn kill(process: &ProcessId) {
        let pid = Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap();
        if process_id::lives(process) {
            kill_process(pid, Signal::KILL).ok();
        }
        let gone = || (!process_id::lives(process) || state_of(process) == Some('Z')).then_some(());
        eventually("the process is gone", gone);
    }

    pub(super) fn resume(&self, run: &str, args: &[&str]) -> (i32, String) {
        let (code, said) = self.call(&[&["runbook", "resume", run], args].concat());
        if code != 12 || args.iter().any(|arg| arg.starts_with("--confirm") || *arg == "--yes") {
            return (code, said);
        }
        let token = said.rsplit("--confirm=").next().unwrap().trim().to_owned();
        self.call(&[&["runbook", "resume", run, "--confirm", &token], args].concat())
    }

    /// Takes a run up again and lets go of it; what follows it ends with its runner.
    pub(super) fn resume_aside(&self, run: &str, args: &[&str]) -> Child {
        let (code, said) = self.call(&[&["runbook", "resume", run], args].concat());
        assert_eq!(code, 12, "{said}");
        let token = said.rsplit("--confirm=").next().unwrap().trim().to_owned();
        let mut command = self.midwatch(&[&["runbook", "resume", run, "--confirm", &token], args].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Waits until so many runners have taken it up.
    pub(super) fn taken_up(&self, run: &str, times: usize) {
        eventually("a runner takes it up", || {
            let began = |what: &What| matches!(what, What::Began { .. });
            (self.view(run).entries.iter().filter(|entry| began(&entry.what)).count() >= times).then_some(())
        });
    }

    /// The token of a plan, as `plan` prints it.
    pub(super) fn token(&self, args: &[&str]) -> String {
        let (code, said) = self.call(&[&["runbook", "plan", "-o", "json"], args].concat());
        assert_eq!(code, 0, "{said}");
        let plan: serde_json::Value = serde_json::from_str(&said).unwrap();
        plan["token"].as_str().unwrap().to_owned()
    }
}

fn state_of(process: &ProcessId) -> Option<char> {
    process_id::stat(process.pid).ok().map(|stat| stat.state)
}
