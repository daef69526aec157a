//! Starts the practice site's processes, keeps them as the fault file says, and ends them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::services::Kept;
use super::{Fault, Ground, METRICS_USER, Service, backups, database};

/// How often the fault file is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// A running practice site. Its directory goes when it is dropped, and its processes end.
#[derive(Debug)]
pub struct PracticeSite {
    ground: Ground,
    dir: TempDir,
    binary: PathBuf,
    services: [Kept; 2],
    visitors: Option<Child>,
    lock: Option<SqliteConnection>,
}

impl PracticeSite {
    /// Brings it up in a new temporary directory.
    ///
    /// # Errors
    /// When the directory, a port or a process can't be had.
    pub async fn start(fault: Option<Fault>) -> color_eyre::Result<Self> {
        let dir = TempDir::with_prefix("midwatch-practice-")?;
        let ground = Ground::new(dir.path());
        std::fs::create_dir(ground.state())?;
        // The port stays the same when the web process comes and goes; the listener that found it free is closed here.
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        std::fs::write(ground.port_file(), port.to_string())?;
        write_private(&ground.password_file(), &password())?;
        let binary = std::env::current_exe()?;
        std::fs::write(ground.config(), config(&ground, port, &binary))?;
        std::fs::write(ground.fault_file(), fault.map(Fault::name).unwrap_or_default())?;
        backups::furnish(&ground).await?;
        let services = Service::ALL.map(Kept::new);
        let mut site = Self { ground, dir, binary, services, visitors: None, lock: None };
        site.visitors = Some(spawn(&site.binary, &site.ground, "visitors", site.ground.dir())?);
        site.tend().await?;
        Ok(site)
    }

    /// Where everything is.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Ends every part, then removes the directory: a part that still runs would write into it again.
    pub async fn end(mut self) {
        end(&mut self.visitors).await;
        for service in &mut self.services {
            end(&mut service.child).await;
        }
        drop(self.lock.take());
        self.dir.close().ok();
    }

    /// Keeps the processes as the fault file says; never ends by itself.
    ///
    /// # Errors
    /// When a process can't be started.
    pub async fn keep(&mut self) -> color_eyre::Result<()> {
        loop {
            self.tend().await?;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn tend(&mut self) -> color_eyre::Result<()> {
        for service in &mut self.services {
            service.tend(&self.ground, &self.binary).await?;
        }
        let fault = self.ground.fault();
        if fault == Some(Fault::DbLocked) {
            if self.lock.is_none() {
                self.lock = database::lock(&self.ground.database()).await.ok();
            }
        } else {
            self.lock = None;
        }
        Ok(())
    }
}

/// Starts a part of the site in a directory. Its standard input is a pipe from here: when this process ends, however it ends, the part
/// reads the end of it and ends too.
pub(super) fn spawn(binary: &Path, ground: &Ground, part: &str, place: &Path) -> std::io::Result<Child> {
    Command::new(binary)
        .args(["demo", part])
        .arg(ground.dir())
        .current_dir(place)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// A part of the site ends when its standard input does.
pub async fn until_orphaned() {
    use tokio::io::AsyncReadExt;
    let mut nothing = [0_u8; 1];
    while matches!(tokio::io::stdin().read(&mut nothing).await, Ok(1..)) {}
}

pub(super) async fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        // SQLite keeps its promise through a kill; no need to be gentle with a practice site.
        child.kill().await.ok();
    }
}

/// A password nobody else on the host can guess, from the kernel's own source of ids.
fn password() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map_or_else(|_| "practice".to_owned(), |u| u.trim().to_owned())
}

fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn config(ground: &Ground, port: u16, binary: &Path) -> String {
    let (dir, password) = (ground.dir().display(), ground.password_file());
    let (user, binary) = (rustix::process::geteuid().as_raw(), toml::Value::from(binary.display().to_string()));
    let services = Service::ALL.map(|service| {
        let (name, word) = (service.name(), service.word());
        format!(
            r#"
[sites.practice.services.{name}]
role = "{name}"
process = "demo {word} {dir}"
user = "{user}"
start = [{binary}, "demo", "start", "{dir}", "{name}"]
"#
        )
    });
    format!(
        r#"# The practice site. Everything in this directory goes when it ends.
discover = false
state_dir = "{dir}/state"

[pace]
metrics = "5s"

[sites.practice]
title = "Practice Tickets"
app = "web"
practice = true
url = "http://127.0.0.1:{port}"
metrics_url = "http://127.0.0.1:{port}/metrics"
metrics_user = "{METRICS_USER}"
metrics_password = {{ file = "{}" }}
data_dir = "{}"
database = "sqlite://{}"

[sites.practice.releases]
current = "{}"
migrate = [{binary}, "demo", "migrate", "{dir}"]

[[sites.practice.backups]]
path = "{}"
{}"#,
        password.display(),
        ground.data().display(),
        ground.database().display(),
        ground.current().display(),
        ground.backups().display(),
        services.concat()
    )
}
