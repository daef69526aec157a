//! The healthcheck: five states, not two (pretix, FIELD T-10), and the certificate it was served with.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What a healthcheck says about the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// 2xx.
    Ok,
    /// 5xx: the application, or something it needs, is broken.
    ServerError,
    /// No connection: refused, reset, no such name, no route, or closed at once without an answer.
    Unreachable,
    /// Connected, and no answer came within the server's own limit (or the connection was closed without one).
    Hanging,
    /// 3xx or 4xx: something answers, but not this application's healthcheck (wrong host, missing slash, a proxy).
    Misdirected,
}

impl HealthState {
    /// The word shown for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ServerError => "server error",
            Self::Unreachable => "unreachable",
            Self::Hanging => "hangs",
            Self::Misdirected => "misdirected",
        }
    }

    /// 0 for ok, 1 for misdirected, 2 for a server error, 3 for hanging, 4 for unreachable: the height in a strip.
    pub const fn height(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Misdirected => 1,
            Self::ServerError => 2,
            Self::Hanging => 3,
            Self::Unreachable => 4,
        }
    }
}

/// One healthcheck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What it says.
    pub state: HealthState,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// Milliseconds until the answer or the failure.
    pub latency_ms: f64,
    /// One sentence: what happened, with the server's own words where it said any. Plain text, no control characters.
    pub detail: String,
    /// The URL asked, without credentials.
    pub url: String,
    /// The certificate, where the URL is https and a handshake came that far.
    pub tls: Option<Certificate>,
    /// How far the server's clock is ahead of this host's, in milliseconds, by the `Date` of its answer (whole seconds:
    /// less than 1.5 s counts as 0); `None` where it sent none, or an answer that was kept somewhere.
    #[serde(default)]
    pub clock_offset_ms: Option<i64>,
}

/// The certificate a server presented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whom it was issued to (common name or first alternative name).
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Why this host does not trust it (expired, unknown issuer, other name, …); `None` if it does.
    pub distrust: Option<String>,
    /// The file this one should have been loaded from, where it holds another one or can't be read.
    #[serde(default)]
    pub on_disk: Option<OnDisk>,
}

/// A certificate's file that does not hold what is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDisk {
    /// Its path.
    pub path: String,
    /// Whose configuration names it: `nginx`, `haproxy`, `midwatch.toml`.
    pub by: String,
    /// The end of the validity of what it holds, if that is newer than what is served; or why it can't be read.
    pub newer_until: Result<Option<Timestamp>, String>,
}
