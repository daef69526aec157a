//! When to ask a site's web side what next: the rules of doing no harm, as a pure state machine.
//!
//! Watching must never deepen an outage. Three health polls given up after 2 s blocked both workers of a real pretix
//! during a lock; so one question per site is under way at a time, one that hangs is waited for and not repeated, and
//! after it there is a pause that ends early when cheap signs (a TCP connection, the database, Redis) turn good.
//! `/metrics` costs pretix about 120 SQL statements, so at most 5 % of the time is spent in it.
//!
//! Times are milliseconds of a steady clock.

use super::health::HealthState;
use super::id::SourceKind;

/// Pause after a request that hung.
pub const HANG_PAUSE_MS: u64 = 30_000;
/// A bad answer that took this long occupied one of the application's few workers all the while: it counts as a hang.
pub const SLOW_MS: u64 = 5_000;
/// How soon a bad answer is asked about again, once, before the normal interval goes on.
pub const CONFIRM_MS: u64 = 2_000;
/// The metrics page is asked at most so seldom while it fails.
pub const METRICS_BACKOFF_MAX_MS: u64 = 60_000;
/// However slow it was, the metrics page is asked again after so long: a site that was mended shall show it.
pub const METRICS_PAUSE_MAX_MS: u64 = 120_000;
/// However often the operator asks, the metrics page rests for so long.
pub const METRICS_REST_MS: u64 = 5_000;
/// Of so many parts of the time at most one is spent in the metrics page (20: 5 %).
pub const METRICS_SHARE: u64 = 20;
/// The application's own port is asked every so many healthchecks while both are fine.
pub const DIRECT_EVERY: u32 = 3;
/// What takes long is asked less often: it rests so many times as long as it took, and so many intervals at most.
pub const REST_SHARE: u32 = 4;
/// An answer comes late by so much for reasons of its own: it is published, read, and the machine is busy.
const LATE_MS: u64 = 3_000;

/// For how long an answer of a source that is asked every `every_ms` and took `took_ms` says something of now; an older
/// one should have been followed by another.
pub fn good_for_ms(kind: SourceKind, every_ms: u64, took_ms: u64) -> u64 {
    let pause = match kind {
        SourceKind::Health | SourceKind::Direct => every_ms,
        SourceKind::Traffic => every_ms.max(took_ms.saturating_mul(METRICS_SHARE).min(METRICS_PAUSE_MAX_MS)),
        SourceKind::Database
        | SourceKind::Redis
        | SourceKind::Host
        | SourceKind::Services
        | SourceKind::Logs
        | SourceKind::Access
        | SourceKind::Backups
        | SourceKind::App
        | SourceKind::Changes
        | SourceKind::Schedule
        | SourceKind::Updates
        | SourceKind::People => {
            let (share, most) = (u64::from(REST_SHARE), every_ms.saturating_mul(u64::from(REST_SHARE)));
            every_ms.max(took_ms.saturating_mul(share).min(most))
        }
    };
    pause.saturating_add(pause / 10).saturating_add(took_ms).saturating_add(LATE_MS)
}

/// A question to a site's web side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The healthcheck on the public URL.
    Health,
    /// The healthcheck on the application's own port.
    Direct,
    /// The metrics page.
    Metrics,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Put this question.
    Ask(Question),
    /// Nothing for so many milliseconds (or until a sign turns good).
    Wait(u64),
}

/// The schedule of one site's web side.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, not a state in disguise")]
pub struct WebPace {
    health_ms: u64,
    metrics_ms: u64,
    has_direct: bool,
    has_metrics: bool,
    health_at: u64,
    direct_at: u64,
    metrics_at: u64,
    metrics_failures: u32,
    metrics_earliest: u64,
    held_until: u64,
    last: Option<HealthState>,
    confirmed: bool,
    signs_bad: bool,
    seed: u64,
}

impl WebPace {
    /// A schedule that asks everything at once, then in its intervals (milliseconds). `seed` spreads the jitter.
    pub const fn new(health_ms: u64, metrics_ms: u64, has_direct: bool, has_metrics: bool, seed: u64) -> Self {
        Self {
            health_ms,
            metrics_ms,
            has_direct,
            has_metrics,
            health_at: 0,
            direct_at: 0,
            metrics_at: 0,
            metrics_failures: 0,
            metrics_earliest: 0,
            held_until: 0,
            last: None,
            confirmed: false,
            signs_bad: false,
            seed,
        }
    }

    /// Asks nothing before `at`: a request of an earlier midwatch may still be under way at the server.
    pub const fn hold_until(&mut self, at: u64) {
        self.held_until = at;
        self.health_at = at;
        self.direct_at = at;
        self.metrics_at = at;
    }

    /// What to do at `now`.
    pub const fn next(&self, now: u64) -> Next {
        if self.health_at <= now {
            return Next::Ask(Question::Health);
        }
        if self.has_direct && self.may_ask_direct() && self.direct_at <= now {
            return Next::Ask(Question::Direct);
        }
        if self.has_metrics && self.may_ask_metrics() && self.metrics_at <= now {
            return Next::Ask(Question::Metrics);
        }
        let mut at = self.health_at;
        if self.has_direct && self.may_ask_direct() && self.direct_at < at {
            at = self.direct_at;
        }
        if self.has_metrics && self.may_ask_metrics() && self.metrics_at < at {
            at = self.metrics_at;
        }
        Next::Wait(at - now)
    }

    /// A hung application isn't asked past its proxy either: that would be a second request that hangs.
    const fn may_ask_direct(&self) -> bool {
        !matches!(self.last, None | Some(HealthState::Hanging))
    }

    /// Metrics are asked only while the application answers at all.
    const fn may_ask_metrics(&self) -> bool {
        matches!(self.last, Some(HealthState::Ok | HealthState::ServerError | HealthState::Misdirected))
    }

    /// Why metrics are not asked now, if they aren't.
    pub const fn metrics_held(&self) -> Option<&'static str> {
        match self.last {
            Some(HealthState::Hanging) => Some("not asked while the healthcheck hangs"),
            Some(HealthState::Unreachable) => Some("not asked while the site can't be reached"),
            None | Some(HealthState::Ok | HealthState::ServerError | HealthState::Misdirected) => None,
        }
    }

    /// The healthcheck was answered at `now`, after `took` milliseconds.
    pub fn health_answered(&mut self, state: HealthState, took: u64, now: u64) {
        let hung = state != HealthState::Ok && took >= SLOW_MS;
        let state = if hung { HealthState::Hanging } else { state };
        let before = self.last.replace(state);
        if state == HealthState::Hanging {
            self.confirmed = true;
            self.hold_until(now + HANG_PAUSE_MS);
            return;
        }
        let turned = before.is_some_and(|b| b != state);
        if state == HealthState::Ok {
            self.confirmed = false;
            if turned {
                // Just recovered: see at once what the counters and the other side say.
                self.metrics_failures = 0;
                self.metrics_at = now;
                self.direct_at = now;
            }
            // The first answer after a start is slow; whether all is well again shows in the next.
            let interval = if turned { CONFIRM_MS.min(self.health_ms) } else { self.health_ms };
            self.health_at = now + self.jittered(interval);
        } else if self.confirmed {
            self.health_at = now + self.jittered(self.health_ms);
        } else {
            self.confirmed = true;
            self.direct_at = now;
            self.health_at = now + CONFIRM_MS.min(self.health_ms);
        }
    }

    /// The healthcheck on the application's own port was answered.
    pub fn direct_answered(&mut self, state: HealthState, took: u64, now: u64) {
        if state == HealthState::Hanging || (state != HealthState::Ok && took >= SLOW_MS) {
            // The public URL is asked on: what hangs behind one way in need not hang behind the other.
            self.direct_at = now + 2 * HANG_PAUSE_MS;
            return;
        }
        let fine = self.last == Some(HealthState::Ok) && state == HealthState::Ok;
        self.direct_at =
            now + self.jittered(if fine { self.health_ms * u64::from(DIRECT_EVERY) } else { self.health_ms });
    }

    /// The metrics page took `took` milliseconds and was (not) understood.
    pub fn metrics_answered(&mut self, understood: bool, took: u64, now: u64) {
        self.metrics_failures = if understood { 0 } else { (self.metrics_failures + 1).min(8) };
        let backoff = self.metrics_ms << self.metrics_failures.saturating_sub(1).min(4);
        let backoff = if backoff > METRICS_BACKOFF_MAX_MS { METRICS_BACKOFF_MAX_MS } else { backoff };
        let interval = backoff.max(self.metrics_ms).max(took.saturating_mul(METRICS_SHARE).min(METRICS_PAUSE_MAX_MS));
        self.metrics_earliest = now + took.saturating_mul(METRICS_SHARE).clamp(METRICS_REST_MS, METRICS_PAUSE_MAX_MS);
        self.metrics_at = now + self.jittered(interval);
    }

    /// Whether the pause after a hang is on, so that looking for cheap signs is worth it.
    pub fn paused(&self, now: u64) -> bool {
        self.last == Some(HealthState::Hanging) && self.health_at > now
    }

    /// What the cheap signs say; when they turn from bad to good, a pause ends. True if it did.
    pub fn signs(&mut self, good: bool, now: u64) -> bool {
        let turned = self.signs_bad && good;
        self.signs_bad = !good;
        if turned && self.health_at > now && self.last != Some(HealthState::Ok) {
            self.health_at = now;
            return true;
        }
        false
    }

    /// The operator asks for everything now; a pause after a hang is kept (asking again would be a second hung request
    /// as soon as the server's own limit is longer than ours).
    pub fn poll_now(&mut self, now: u64) {
        if self.last != Some(HealthState::Hanging) && self.held_until <= now {
            self.health_at = now;
            self.direct_at = now;
            self.metrics_at = self.metrics_at.min(now.max(self.metrics_earliest));
        }
    }

    /// `span` plus up to 10 %, so that many midwatches don't march in step.
    fn jittered(&mut self, span: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        span + (self.seed >> 33) % (span / 10).max(1)
    }
}

#[cfg(test)]
mod tests;
