//! Who runs a service, and how it is.

use serde::{Deserialize, Serialize};

/// Who starts a service and starts it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// systemd, the system's.
    Systemd,
    /// systemd, a user's.
    SystemdUser,
    /// Docker Compose, or Podman behind the same socket.
    Compose,
    /// supervisord.
    Supervisor,
    /// Nobody that is known: processes found by their command line.
    Process,
}

impl Manager {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::SystemdUser => "systemd --user",
            Self::Compose => "compose",
            Self::Supervisor => "supervisor",
            Self::Process => "process",
        }
    }
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs, and says nothing bad of itself.
    Running,
    /// A timer that waits for its time, or a unit that did its work and ended well.
    Waiting,
    /// On its way up, or being reloaded.
    Starting,
    /// On its way down.
    Stopping,
    /// It runs, and its own healthcheck fails.
    Unhealthy,
    /// It ended by itself and its manager is about to start it again.
    Restarting,
    /// It is there and does not run: stopped by a signal, or paused.
    Frozen,
    /// It does not run; it ended well or was told to.
    Stopped,
    /// It ended badly and stays down.
    Failed,
    /// It ended badly so often that its manager has given up (FIELD T-13).
    GaveUp,
    /// Its manager does not know it, or no such process runs.
    Missing,
    /// It can't be seen.
    Unknown,
}

impl State {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Unhealthy => "unhealthy",
            Self::Restarting => "restarting",
            Self::Frozen => "frozen",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::GaveUp => "gave up",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it does its work now, as far as can be seen.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Waiting | Self::Unhealthy)
    }

    /// Whether it is down and stays so until somebody acts.
    pub const fn is_down(self) -> bool {
        matches!(self, Self::Frozen | Self::Stopped | Self::Failed | Self::GaveUp | Self::Missing)
    }
}
