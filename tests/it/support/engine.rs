//! A real Docker engine with everything of its own: data, socket, network, an image of this machine's busybox and Redis.
//! It can't run everywhere: where it can't, that is said, and its tests pass over.
#![cfg(test)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const IMAGE: &str = "midwatch/test:1";
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const NETWORK: &str = "shop_default";

/// The engine; ended with its guard, with all that it runs.
pub(crate) struct Engine {
    daemon: Child,
    dir: TempDir,
}

impl Engine {
    /// Starts one and tries it once; `None` where it can't run.
    pub(crate) fn start() -> Option<Self> {
        let here = |name: &str| {
            std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|d| d.join(name).is_file()))
        };
        if let Some(lacks) = ["dockerd", "docker", "busybox", "unshare"].iter().find(|name| !here(name)) {
            passed_over(&format!("{lacks} is not installed"));
            return None;
        }
        let dir = tempfile::Builder::new().prefix("midwatch-engine-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let log = fs::File::create(at("log")).unwrap();
        // Mounts of its own end with it, however that comes about.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "dockerd"]);
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]);
        command.args(["--ip-masq=false", "--shutdown-timeout=2"]);
        for (option, name) in [("--data-root", "root"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(option).arg(at(name));
        }
        command.arg("--host").arg(format!("unix://{}", at("s").display()));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut engine = Self { daemon: command.spawn().unwrap(), dir };
        match engine.tried() {
            Ok(()) => Some(engine),
            Err(why) => {
                let log = fs::read_to_string(engine.dir.path().join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(5).collect();
                passed_over(&format!("it can't run here: {why}\n{}", last.join("\n")));
                None
            }
        }
    }

    /// Whether it can run a container with an address.
    fn tried(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while !self.output(&["info"]).status.success() {
            if self.daemon.try_wait().unwrap().is_some() {
                return Err("dockerd ends".to_owned());
            }
            if begun.elapsed() > PATIENCE {
                return Err("dockerd does not answer".to_owned());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let told = |output: Output| {
            let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            if output.status.success() { Ok(()) } else { Err(error) }
        };
        let root = self.dir.path().join("image");
        filled(&root);
        let tar = self.dir.path().join("image.tar");
        assert!(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status().unwrap().success());
        told(self.output(&["import", "-c", "ENV PATH=/bin:/usr/bin", tar.to_str().unwrap(), IMAGE]))?;
        // Addresses can be chosen only in a subnet that was: the one the engine finds free is.
        told(self.output(&["network", "create", NETWORK]))?;
        let subnet = self.docker(&["network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", NETWORK]);
        told(self.output(&["network", "rm", NETWORK]))?;
        told(self.output(&["network", "create", "--subnet", &subnet, NETWORK]))?;
        told(self.output(&["run", "--rm", "--network", NETWORK, IMAGE, "true"]))
    }

    /// One more image of the same, with these changes of what it is started with.
    pub(crate) fn image(&self, reference: &str, changes: &[&str]) {
        let tar = self.dir.path().join("image.tar");
        let changes = changes.iter().flat_map(|change| ["-c", change]);
        let words = ["import", "-c", "ENV PATH=/bin:/usr/bin"].into_iter().chain(changes);
        self.docker(&words.chain([tar.to_str().unwrap(), reference]).collect::<Vec<_>>());
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// As `DOCKER_HOST` has it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn output(&self, words: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).env("DOCKER_CONFIG", self.dir.path().join("config"));
        command.args(words).stdin(Stdio::null()).output().unwrap()
    }

    /// What `docker WORDS` prints.
    pub(crate) fn docker(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.output(words);
        assert!(status.success(), "docker {}: {}", words.join(" "), String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).trim().to_owned()
    }

    /// A container of the project `shop`, labelled as Compose does it, that runs these words of a shell.
    pub(crate) fn service(&self, name: &str, options: &[&str], script: &str) {
        let container = format!("shop-{name}-1");
        let label = |key: &str, value: &str| format!("--label=com.docker.compose.{key}={value}");
        let labels = [
            label("project", "shop"),
            label("service", name),
            label("oneoff", "False"),
            label("container-number", "1"),
        ];
        let mut words = vec!["run", "-d", "--name", &container, "--network", NETWORK, "--network-alias", name];
        // The first process of a container is deaf to TERM.
        words.extend(["--stop-signal", "KILL"]);
        words.extend(labels.iter().map(String::as_str));
        words.extend(options);
        words.extend([IMAGE, "sh", "-c", script]);
        self.docker(&words);
    }

    /// When its process began, as Docker has it.
    pub(crate) fn began(&self, name: &str) -> String {
        self.docker(&["inspect", "-f", "{{.State.StartedAt}}", &format!("shop-{name}-1")])
    }

    /// How often this was done to it.
    pub(crate) fn times(&self, name: &str, event: &str) -> usize {
        let container = format!("container=shop-{name}-1");
        let event = format!("event={event}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
        let until = now.to_string();
        let filters = ["--filter", &container, "--filter", &event, "--format", "{{.Action}}"];
        self.docker(&[&["events", "--since", "0", "--until", &until], filters.as_slice()].concat()).lines().count()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let all = self.output(&["ps", "-aq"]).stdout;
        let all = String::from_utf8_lossy(&all).into_owned();
        let ids: Vec<&str> = all.split_whitespace().collect();
        if !ids.is_empty() {
            self.output(&[["rm", "-f"].as_slice(), &ids].concat());
        }
        self.output(&["network", "prune", "--force"]);
        let _sent = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        self.daemon.wait().ok();
    }
}

/// Says so past the harness, which shows nothing of a test that passes.
pub(crate) fn passed_over(why: &str) {
    writeln!(std::io::stderr(), "passed over, for want of a Docker engine: {why}").unwrap();
}

/// A root directory with busybox under all its names, and Redis with the libraries it needs.
fn filled(root: &Path) {
    for dir in ["bin", "usr/bin", "tmp", "etc", "www", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::write(root.join("www/index.html"), "the shop is open").unwrap();
    // Under its own name it would pass for a proxy.
    let web = root.join("usr/bin/gunicorn");
    fs::write(&web, "#!/bin/sh\nexec httpd -f -p 8000 -h /www\n").unwrap();
    fs::set_permissions(&web, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let busybox = Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap();
    fs::copy(String::from_utf8(busybox.stdout).unwrap().trim(), root.join("bin/busybox")).unwrap();
    let names = Command::new("busybox").arg("--list").output().unwrap();
    for name in String::from_utf8(names.stdout).unwrap().lines().filter(|name| *name != "busybox") {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    let script = "for p in redis-server redis-cli; do f=$(readlink -f \"$(command -v $p)\"); cp -L \"$f\" \"$1/usr/bin/$p\"; \
                  ldd \"$f\" | grep -oE '/[^ ]+\\.so[^ ]*'; done | sort -u | xargs -I{} cp -L --parents {} \"$1\"";
    let copied = Command::new("sh").args(["-c", script, "sh"]).arg(root).status().unwrap();
    assert!(copied.success());
}
