//! The practice site's services, kept as a manager would: one that crashes is started again; one that somebody ends by a
//! signal stays down until somebody starts it.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use color_eyre::eyre::{WrapErr as _, bail};
use tokio::process::Child;

use super::site::{end, spawn};
use super::{Fault, Ground, Service};

/// How long the practice site may take to start a service.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// One service.
#[derive(Debug)]
pub(super) struct Kept {
    service: Service,
    /// Its process.
    pub(super) child: Option<Child>,
    /// Whether somebody has stopped it.
    stopped: bool,
}

impl Kept {
    /// Not started yet.
    pub(super) const fn new(service: Service) -> Self {
        Self { service, child: None, stopped: false }
    }

    /// Starts it where it shall run and does not; ends it where the fault that is on says so. Who starts it mends that
    /// fault.
    pub(super) async fn tend(&mut self, ground: &Ground, binary: &Path) -> std::io::Result<()> {
        // Read before the process is looked at: who ends it and then wishes for it is not taken for who finds it running.
        let wish = ground.wish(self.service);
        let wished = wish.exists();
        let runs = self.runs();
        let mut fault = ground.fault().and_then(Fault::ends) == Some(self.service);
        if wished {
            self.stopped = false;
            if fault {
                std::fs::write(ground.fault_file(), "")?;
                fault = false;
            }
        }
        if fault {
            end(&mut self.child).await;
        } else if !runs && !self.stopped {
            self.child = Some(spawn(binary, ground, self.service.word(), &ground.current())?);
        }
        if wished {
            std::fs::remove_file(wish)?;
        }
        Ok(())
    }

    /// Whether its process runs.
    fn runs(&mut self) -> bool {
        let ended = match &mut self.child {
            None => return false,
            Some(child) => child.try_wait(),
        };
        let Ok(Some(status)) = ended else { return true };
        self.stopped = status.signal().is_some();
        self.child = None;
        false
    }
}

/// Has the practice site start a service; comes back when it has. One that runs goes on.
///
/// # Errors
/// When the site is gone, or does not answer.
pub async fn start(ground: &Ground, service: Service) -> color_eyre::Result<()> {
    let wish = ground.wish(service);
    let gone = || format!("the practice site in {} is gone", ground.dir().display());
    std::fs::write(&wish, "").wrap_err_with(gone)?;
    let until = Instant::now() + PATIENCE;
    while wish.exists() {
        if Instant::now() >= until {
            std::fs::remove_file(&wish).ok();
            bail!("the practice site in {} does not answer", ground.dir().display());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
