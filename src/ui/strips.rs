//! The strips of a site, in the order in which a person reads them.

use super::canvas::{Piece, piece};
use super::clock::Clock;
use super::format;
use super::glyphs;
use super::source::Source;
use super::strip::{Scale, Strip, slope};
use super::theme::Role;
use crate::app::model::Site;
use crate::domain::health::{HealthCheck, HealthState};
use crate::domain::history::{SeriesKey, names};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::redis::Broker;

/// From this share of 5xx on a strip is marked. A mark in a strip is no alarm: findings have their own thresholds.
const ERRORS_BAD: f32 = 0.01;

/// The strips of a site.
pub(super) fn of_site(site: &Site, clock: &Clock) -> Vec<Strip> {
    let mut strips = vec![health(site, clock)];
    strips.extend(requests(site, clock));
    strips.push(queue(site, clock));
    strips.extend(sessions(site, clock));
    strips
}

/// The strips of its requests.
pub(super) fn of_requests(site: &Site, clock: &Clock) -> Vec<Strip> {
    let health = Source::at(site, SourceKind::Health);
    let latency = site.health.value().map(|c| piece(Role::Accent, format::latency(c.latency_ms / 1000.0)));
    let mut strips = requests(site, clock).to_vec();
    strips.push(Strip {
        label: "healthcheck".into(),
        rank: 3,
        series: names::LATENCY.into(),
        scale: Scale::Highest(50.0),
        bad_from: f32::INFINITY,
        value: health.value(latency, clock.now),
        extra: "latency".into(),
        age: health.short_age(clock),
    });
    strips
}

/// The strips of its background tasks.
pub(super) fn of_tasks(site: &Site, clock: &Clock) -> Vec<Strip> {
    let source = Source::at(site, SourceKind::Traffic);
    let traffic = site.traffic.value();
    let rate = traffic.map(|t| t.task_rate().map_or("no rate yet".to_owned(), |r| format::rate(r) + "/s"));
    let share = traffic.map(|t| t.task_error_share().map_or("no runs".to_owned(), format::share));
    let strip = |label: &str, series: &str, scale, bad_from, value: Option<String>| Strip {
        label: label.into(),
        rank: 1,
        series: series.into(),
        scale,
        bad_from,
        value: source.value(value.map(|v| piece(Role::Accent, v)), clock.now),
        extra: traffic.map(|t| format::window(t.window)).unwrap_or_default(),
        age: source.short_age(clock),
    };
    vec![
        strip("tasks/s", names::TASKS, Scale::Highest(1.0), f32::INFINITY, rate),
        strip("task errors", names::TASK_ERRORS, Scale::Highest(0.1), ERRORS_BAD, share),
        queue(site, clock),
    ]
}

/// The strips of its database and its queues.
pub(super) fn of_data(site: &Site, clock: &Clock) -> Vec<Strip> {
    let mut strips = sessions(site, clock);
    strips.push(queue(site, clock));
    strips
}

/// A healthcheck in a word, with its level's glyph.
pub(super) fn health_word(check: &HealthCheck) -> Piece {
    let level = match check.state {
        HealthState::Ok => Level::Ok,
        HealthState::Misdirected => Level::Warning,
        HealthState::ServerError | HealthState::Unreachable | HealthState::Hanging => Level::Critical,
    };
    let status = check.status.map(|status| format!(" {status}")).unwrap_or_default();
    piece(glyphs::role(level), [glyphs::level(level), " ", check.state.word(), &status].concat())
}

fn health(site: &Site, clock: &Clock) -> Strip {
    let source = Source::at(site, SourceKind::Health);
    let check = site.health.value();
    Strip {
        label: "health".into(),
        rank: 0,
        series: names::HEALTH.into(),
        scale: Scale::Health,
        bad_from: 0.5,
        value: source.value(check.map(health_word), clock.now),
        extra: check.map(|c| format::latency(c.latency_ms / 1000.0)).unwrap_or_default(),
        age: source.short_age(clock),
    }
}

fn requests(site: &Site, clock: &Clock) -> [Strip; 2] {
    let (kind, traffic) = site.requests();
    let source = Source::at(site, kind);
    let age = source.short_age(clock);
    let logged = kind == SourceKind::Access;
    let rate = traffic.and_then(crate::domain::traffic::Traffic::request_rate);
    let share = traffic.and_then(crate::domain::traffic::Traffic::error_share);
    let errors = traffic.and_then(crate::domain::traffic::Traffic::error_rate);
    let value = |text: Option<String>| match (text, traffic) {
        (Some(text), _) => Some(piece(Role::Accent, text)),
        (None, Some(_)) => Some(piece(Role::Muted, "no rate yet")),
        (None, None) => None,
    };
    let bad = share.is_some_and(|s| s >= f64::from(ERRORS_BAD));
    let quiet = rate.is_some() && share.is_none();
    let mut errors_value = value(if quiet { Some("no requests".into()) } else { share.map(format::share) });
    if let Some(value) = errors_value.as_mut().filter(|_| bad) {
        value.role = Role::Critical;
    }
    let requests = Strip {
        label: "requests/s".into(),
        rank: 1,
        series: if logged { names::LOGGED } else { names::REQUESTS }.into(),
        scale: Scale::Highest(1.0),
        bad_from: f32::INFINITY,
        value: source.value(value(rate.map(|r| format::rate(r) + "/s")), clock.now),
        extra: if logged { "access log".into() } else { traffic.map(|t| format::window(t.window)).unwrap_or_default() },
        age: age.clone(),
    };
    let errors = Strip {
        label: "errors 5xx".into(),
        rank: 2,
        series: if logged { names::LOGGED_ERRORS } else { names::ERRORS }.into(),
        scale: Scale::Highest(0.1),
        bad_from: ERRORS_BAD,
        value: source.value(errors_value, clock.now),
        extra: errors.map(|r| format::rate(r) + "/s").unwrap_or_default(),
        age,
    };
    [requests, errors]
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn queue(site: &Site, clock: &Clock) -> Strip {
    let broker = site.redis.value().and_then(|r| r.broker.as_ref());
    let reported = site.traffic.value().and_then(crate::domain::traffic::Traffic::waiting);
    let kind = if broker.is_some() || reported.is_none() { SourceKind::Redis } else { SourceKind::Traffic };
    let source = Source::at(site, kind);
    let waiting = broker.map(Broker::waiting).or(reported);
    let pace = slope(&site.history, names::QUEUE).filter(|p| p.abs() >= 0.05);
    let pace = pace.map(|p| [if p > 0.0 { " ↑ " } else { " ↓ " }, &format::rate(p.abs()), "/s"].concat());
    let waits =
        |n: u64| piece(Role::Accent, [&format::count(n as f64), " waiting", &pace.unwrap_or_default()].concat());
    let oldest = broker.and_then(|b| b.queues.iter().filter_map(|q| q.oldest_at_least_s).max());
    Strip {
        label: "queue".into(),
        rank: 3,
        series: names::QUEUE.into(),
        scale: Scale::Highest(10.0),
        bad_from: f32::INFINITY,
        value: source.value(waiting.map(waits), clock.now),
        extra: oldest.filter(|s| *s > 0).map(|s| ["oldest ≥ ", &format::span(s)].concat()).unwrap_or_default(),
        age: source.short_age(clock),
    }
}

fn sessions(site: &Site, clock: &Clock) -> Vec<Strip> {
    let source = Source::at(site, SourceKind::Database);
    let age = source.short_age(clock);
    let db = site.database.value();
    let text = db.and_then(|d| d.sessions).map(|n| match db.and_then(|d| d.usable_sessions) {
        Some(limit) => format!("{n} of {limit}"),
        None => n.to_string(),
    });
    let limit = db.and_then(|d| d.usable_sessions);
    let locks = db.and_then(|d| d.waiting).unwrap_or(0);
    let sqlite = db.is_some_and(|d| d.sessions.is_none());
    let mut strips = Vec::new();
    if !sqlite {
        #[expect(clippy::cast_precision_loss, reason = "numbers of sessions")]
        let bad_from = limit.map_or(f32::INFINITY, |n| n as f32 * 0.9);
        strips.push(Strip {
            label: "db sessions".into(),
            rank: 7,
            series: names::SESSIONS.into(),
            scale: Scale::Highest(10.0),
            bad_from,
            value: source.value(text.map(|t| piece(Role::Accent, t)), clock.now),
            extra: db.map(|d| format::latency(d.latency_ms / 1000.0)).unwrap_or_default(),
            age: age.clone(),
        });
    }
    let seen = site.history.get(&SeriesKey::new(names::LOCKS));
    let recently = seen.is_some_and(|s| s.cells(clock.from, clock.now, 1).iter().flatten().any(|v| *v > 0.0));
    if locks > 0 || recently {
        let role = if locks > 0 { Role::Critical } else { Role::Accent };
        let root = db.and_then(|d| d.blockers.first()).map(|b| format!("root: pid {}", b.pid));
        strips.push(Strip {
            label: "lock waits".into(),
            rank: 3,
            series: names::LOCKS.into(),
            scale: Scale::Highest(4.0),
            bad_from: 0.5,
            value: source.value(Some(piece(role, format::plural(locks as usize, "session"))), clock.now),
            extra: root.unwrap_or_default(),
            age,
        });
    }
    strips
}
