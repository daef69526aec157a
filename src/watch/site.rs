//! Polls one site: the web side by the rules of [`crate::domain::pace`], the database and Redis beside it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::emit::Emitter;
use crate::config::PaceConfig;
use crate::domain::counters::TrafficWindow;
use crate::domain::health::HealthCheck;
use crate::domain::id::SourceKind;
use crate::domain::observation::Observation;
use crate::domain::pace::{HANG_PAUSE_MS, Next, Question, REST_SHARE, WebPace};
use crate::domain::reading::Seen;
use crate::domain::time::Timestamp;
use crate::ports::{Observe, Web};
use crate::runtime::clock::{self, Steady};

/// A question unanswered for so long is reported as under way.
const ASKING_AFTER: Duration = Duration::from_secs(1);
/// How often cheap signs are looked for during the pause after a hang.
const SIGNS_EVERY_MS: u64 = 3_000;

/// What the stack below the application says, as far as it decides when to ask the application again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// The database answers and nobody waits for a lock in it.
    pub database: bool,
    /// Redis answers.
    pub redis: bool,
}

impl Signs {
    /// Nothing bad is known.
    pub const GOOD: Self = Self { database: true, redis: true };

    const fn good(self) -> bool {
        self.database && self.redis
    }
}

/// What the web side's poller is told besides its probe.
#[derive(Debug)]
pub struct WebPlan {
    /// The intervals.
    pub pace: PaceConfig,
    /// Whether the application's own port is asked too.
    pub direct: bool,
    /// Why there are no metrics, if there are none.
    pub no_metrics: Option<String>,
    /// Spreads the jitter.
    pub seed: u64,
    /// A question of an earlier midwatch that the server may still be at: since when, and until when none is asked.
    pub pending: Option<(Timestamp, Timestamp)>,
}

/// Polls the web side of a site for ever.
pub async fn web<W: Web>(
    mut web: W,
    plan: WebPlan,
    mut window: TrafficWindow,
    emit: Emitter,
    mut signs: watch::Receiver<Signs>,
    mut poll_now: watch::Receiver<u64>,
) {
    let steady = Steady::start();
    let mut pace = WebPace::new(
        millis(plan.pace.health),
        millis(plan.pace.metrics),
        plan.direct,
        plan.no_metrics.is_none(),
        plan.seed,
    );
    if let Some((since, until)) = plan.pending {
        pace.hold_until(until.millis_since(clock::now()));
        emit.at(Observation::Health(Seen::Asking), since, 0);
    }
    if let Some(why) = &plan.no_metrics {
        emit.seen(Observation::Traffic(Seen::Unseen(why.clone())), 0);
    }
    let mut held = None;
    let mut resting = plan.pending.is_some();
    loop {
        let now = steady.millis();
        match pace.next(now) {
            Next::Wait(ms) => {
                let paused = pace.paused(now);
                let nap = if paused { ms.min(SIGNS_EVERY_MS) } else { ms };
                tokio::select! {
                    () = sleep(Duration::from_millis(nap)) => {}
                    Ok(()) = poll_now.changed() => pace.poll_now(steady.millis()),
                    Ok(()) = signs.changed() => {}
                }
                let below = signs.borrow_and_update().good();
                if paused {
                    let good = below && web.connects().await;
                    pace.signs(good, steady.millis());
                } else {
                    pace.signs(below, steady.millis());
                }
            }
            Next::Ask(Question::Health) => {
                let put = clock::now();
                let check = asked(&emit, plan.pace.hang, SourceKind::Health, web.health()).await;
                pace.health_answered(check.state, latency(&check), steady.millis());
                resting = rest(&emit, put, pace.paused(steady.millis()), resting);
                emit.seen(Observation::Health(Seen::Value(check.clone())), latency(&check));
            }
            Next::Ask(Question::Direct) => {
                let own_port = async {
                    match web.direct().await {
                        Some(check) => check,
                        None => std::future::pending().await,
                    }
                };
                let check = asked(&emit, plan.pace.hang, SourceKind::Direct, own_port).await;
                pace.direct_answered(check.state, latency(&check), steady.millis());
                emit.seen(Observation::Direct(Seen::Value(check.clone())), latency(&check));
            }
            Next::Ask(Question::Metrics) => {
                let begun = steady.millis();
                let answer = asked(&emit, plan.pace.hang, SourceKind::Traffic, web.metrics()).await;
                let took = steady.millis().saturating_sub(begun);
                pace.metrics_answered(matches!(answer, Seen::Value(_)), took, steady.millis());
                let reading = match answer {
                    Seen::Value(counters) => {
                        if let Some(recorder) = emit.recorder() {
                            recorder.save_counters(&counters, clock::now());
                        }
                        Seen::Value(window.push(counters, seconds(steady.millis())))
                    }
                    Seen::Failed(why) => Seen::Failed(why),
                    Seen::Unseen(why) => Seen::Unseen(why),
                    Seen::Asking => Seen::Asking,
                };
                emit.seen(Observation::Traffic(reading), took);
            }
        }
        if plan.no_metrics.is_none() && pace.metrics_held() != held {
            held = pace.metrics_held();
            if let Some(why) = held {
                emit.seen(Observation::Traffic(Seen::Failed(why.to_owned())), 0);
            }
        }
    }
}

/// Keeps on disk that a site that hangs is left alone now, for a midwatch that comes next: the question put at `put` was
/// given up, but the server may still be at it. Takes that back (`rested`: it is there) once the pause is over.
fn rest(emit: &Emitter, put: Timestamp, resting: bool, rested: bool) -> bool {
    match emit.recorder() {
        Some(recorder) if resting => {
            let pause = i64::try_from(HANG_PAUSE_MS).unwrap_or(i64::MAX);
            recorder.begin_request(SourceKind::Health, put, clock::now().plus_millis(pause));
        }
        Some(recorder) if rested => recorder.end_request(SourceKind::Health),
        Some(_) | None => {}
    }
    resting
}

/// Waits for an answer however long it takes; says after a second that it is being waited for, and keeps on disk that
/// a question is under way, so that no other midwatch puts a second one.
async fn asked<T>(emit: &Emitter, hang: Duration, kind: SourceKind, question: impl Future<Output = T>) -> T {
    let since = clock::now();
    let mut question = pin!(question);
    tokio::select! {
        check = &mut question => return check,
        () = sleep(ASKING_AFTER) => {}
    }
    let until = since.plus_millis(i64::try_from(millis(hang)).unwrap_or(i64::MAX));
    if let Some(recorder) = emit.recorder() {
        recorder.begin_request(kind, since, until);
    }
    let asking = match kind {
        SourceKind::Direct => Observation::Direct(Seen::Asking),
        SourceKind::Traffic => Observation::Traffic(Seen::Asking),
        SourceKind::Health
        | SourceKind::Database
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
        | SourceKind::People => Observation::Health(Seen::Asking),
    };
    emit.at(asking, since, 0);
    let check = question.await;
    if let Some(recorder) = emit.recorder() {
        recorder.end_request(kind);
    }
    check
}

/// Looks at a source for ever, every so often or when asked to.
pub async fn observe<O: Observe>(
    mut source: O,
    every: Duration,
    emit: Emitter,
    mut poll_now: watch::Receiver<u64>,
    wrap: impl Fn(Seen<O::Value>) -> Observation,
    mut tell: impl FnMut(&Seen<O::Value>),
) {
    loop {
        let took = look(&mut source, &emit, &wrap, &mut tell).await;
        // What takes long is asked less often: looking shall not become a load of its own.
        let rest = Duration::from_millis(took.saturating_mul(REST_SHARE.into()));
        let pause = every.max(rest.min(every * REST_SHARE));
        tokio::select! {
            () = sleep(pause) => {}
            Ok(()) = poll_now.changed() => {}
        }
    }
}

/// Looks at a source once; returns how many milliseconds that took.
pub async fn look<O: Observe>(
    source: &mut O,
    emit: &Emitter,
    wrap: &impl Fn(Seen<O::Value>) -> Observation,
    tell: &mut impl FnMut(&Seen<O::Value>),
) -> u64 {
    let begun = Steady::start();
    let seen = source.observe().await;
    let took = begun.millis();
    tell(&seen);
    emit.seen(wrap(seen), took);
    took
}

fn latency(check: &HealthCheck) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a latency in whole milliseconds")]
    let whole = check.latency_ms.clamp(0.0, 1e9) as u64;
    whole
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a session does not last 2^53 ms")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
