//! How far a verification is, on a terminal's standard error and nowhere else; and its end by a signal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use color_eyre::eyre::WrapErr as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::backends::backups::meter::Control;
use crate::domain::text;

/// How often it is said anew.
const EVERY: Duration = Duration::from_millis(200);

/// A line that is written over again and again.
pub(super) struct Progress {
    tell: Option<Sender<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins, if somebody looks.
    pub(super) fn begin(control: &Control) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { tell: None, thread: None };
        }
        let (tell, told) = channel::<String>();
        let control = control.clone();
        let thread = std::thread::spawn(move || {
            let mut what = String::new();
            loop {
                match told.recv_timeout(EVERY) {
                    Ok(next) => what = next,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                let (done, total) = control.progress();
                let far = [text::bytes(done), text::bytes(total)].join(" of ");
                write!(std::io::stderr(), "\r\x1b[K{what} · {far}").ok();
            }
            write!(std::io::stderr(), "\r\x1b[K").ok();
        });
        Self { tell: Some(tell), thread: Some(thread) }
    }

    /// The next backup is being read.
    pub(super) fn next(&mut self, path: &str, at: usize, of: usize) {
        if let Some(tell) = &self.tell {
            let name = path.rsplit('/').next().unwrap_or(path);
            tell.send(format!("{at}/{of} {}", text::plain(name, 50))).ok();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.tell = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Has SIGINT and SIGTERM stop the check; the runtime that waits for them ends with the value.
pub(super) fn stop_on_signal(control: &Control) -> color_eyre::Result<tokio::runtime::Runtime> {
    let runtime = crate::cli::run::runtime()?;
    let told = control.clone();
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        let failed = "signals can't be received";
        (signal(SignalKind::interrupt()).wrap_err(failed)?, signal(SignalKind::terminate()).wrap_err(failed)?)
    };
    runtime.spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.stop();
    });
    Ok(runtime)
}
