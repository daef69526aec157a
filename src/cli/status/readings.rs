//! Every number of the model as one flat list: what JSON, Nagios and Prometheus print.

use crate::app::model::{Host, Model, Site};
use crate::domain::backup::Backup;
use crate::domain::backup::kind::Subject;
use crate::domain::backup::standing::standing;
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::service::{ServicesReading, State};
use crate::domain::time::Timestamp;
use crate::triage::Finding;

/// A number or a word.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// A finite number.
    Value(f64),
    /// A word.
    Word(String),
    /// Not known.
    None,
}

/// One reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The site or host.
    pub of: String,
    /// The source.
    pub source: SourceKind,
    /// What is measured: `latency`, `disk_used:/var`, …
    pub name: String,
    /// Its value.
    pub value: Number,
    /// Its unit: `ms`, `B`, `1` (a share), `1/s`, `s`, or empty for a count or a word.
    pub unit: &'static str,
    /// How bad what this source shows is.
    pub level: Level,
    /// When it was seen.
    pub observed_at: Option<Timestamp>,
    /// Why it isn't fresh.
    pub error: Option<String>,
}

/// Every reading, sites first.
pub fn rows(model: &Model) -> Vec<Row> {
    let mut out = Vec::new();
    for site in &model.sites {
        let before = out.len();
        site_rows(model, site, &mut out);
        more_rows(model, site, &mut out);
        let rows = out.split_off(before);
        out.extend(rows.into_iter().filter(|row| site.sources.contains(&row.source)));
    }
    for host in &model.hosts {
        host_rows(model, host, &mut out);
    }
    out
}

/// Where rows of one source go.
struct Sink<'a> {
    out: &'a mut Vec<Row>,
    of: &'a str,
    source: SourceKind,
    level: Level,
    at: Option<Timestamp>,
    error: Option<String>,
}

impl Sink<'_> {
    fn number(&mut self, name: impl Into<String>, unit: &'static str, value: Option<f64>) {
        let value = value.filter(|v| v.is_finite()).map_or(Number::None, Number::Value);
        self.push(name.into(), unit, value);
    }

    fn word(&mut self, name: &str, value: Option<String>) {
        self.push(name.to_owned(), "", value.map_or(Number::None, Number::Word));
    }

    fn push(&mut self, name: String, unit: &'static str, value: Number) {
        self.out.push(Row {
            of: self.of.to_owned(),
            source: self.source,
            name,
            value,
            unit,
            level: self.level,
            observed_at: self.at,
            error: self.error.clone(),
        });
    }
}

fn sink<'a, T>(
    model: &Model,
    of: &'a str,
    source: SourceKind,
    reading: &Reading<T>,
    out: &'a mut Vec<Row>,
) -> Sink<'a> {
    fn worst(findings: &[Finding], of: &str, source: SourceKind) -> Option<Level> {
        let own = |f: &Finding| {
            let here = (f.site == of && f.source == source).then_some(f.level);
            here.max(worst(&f.symptoms, of, source))
        };
        findings.iter().filter_map(own).max()
    }
    let unknown = if reading.fresh().is_some() { Level::Ok } else { Level::Unknown };
    let level = worst(&model.findings, of, source).unwrap_or(Level::Ok).max(unknown);
    let error = match reading {
        Reading::Never => Some("no answer yet".to_owned()),
        Reading::Fresh { .. } | Reading::Stale { .. } | Reading::Failed { .. } | Reading::Unseen { .. } => {
            reading.why().map(ToOwned::to_owned)
        }
    };
    Sink { out, of, source, level, at: reading.at(), error }
}

#[expect(clippy::cast_precision_loss, reason = "JSON numbers have 53 bits")]
fn site_rows(model: &Model, site: &Site, out: &mut Vec<Row>) {
    let of = site.id.0.as_str();
    for (kind, reading) in [(SourceKind::Health, &site.health), (SourceKind::Direct, &site.direct)] {
        let value = reading.value();
        let mut sink = sink(model, of, kind, reading, out);
        sink.word("state", value.map(|c| c.state.word().to_owned()));
        sink.number("status", "", value.and_then(|c| c.status).map(f64::from));
        sink.number("latency", "ms", value.map(|c| c.latency_ms));
        if let Some(certificate) = value.and_then(|c| c.tls.as_ref()) {
            let left = (certificate.not_after.as_millis() - model.now.as_millis()) as f64 / 1000.0;
            sink.number("certificate_left", "s", Some(left));
        }
    }
    let traffic = site.traffic.value();
    let mut metrics = sink(model, of, SourceKind::Traffic, &site.traffic, out);
    metrics.number("request_rate", "1/s", traffic.and_then(crate::domain::traffic::Traffic::request_rate));
    metrics.number("request_error_share", "1", traffic.and_then(crate::domain::traffic::Traffic::error_share));
    metrics.number("task_rate", "1/s", traffic.and_then(crate::domain::traffic::Traffic::task_rate));
    metrics.number("task_error_share", "1", traffic.and_then(crate::domain::traffic::Traffic::task_error_share));
    metrics.number("tasks_waiting", "", traffic.and_then(crate::domain::traffic::Traffic::waiting).map(|n| n as f64));
    let access = site.access.value();
    let mut logged = sink(model, of, SourceKind::Access, &site.access, out);
    logged.number("request_rate", "1/s", access.and_then(|a| a.traffic.request_rate()));
    logged.number("request_error_share", "1", access.and_then(|a| a.traffic.error_share()));
    logged.number("gateway_error_share", "1", access.and_then(|a| a.gateway.share()));
    logged.number("static_missing_share", "1", access.and_then(|a| a.statics.share()));
    let idle = access.and_then(|a| a.last_request).map(|at| model.now.millis_since(at) as f64 / 1000.0);
    logged.number("last_request", "s", idle);
    let db = site.database.value();
    let mut database = sink(model, of, SourceKind::Database, &site.database, out);
    database.number("latency", "ms", db.map(|d| d.latency_ms));
    database.number("sessions", "", db.and_then(|d| d.sessions).map(f64::from));
    database.number("usable_sessions", "", db.and_then(|d| d.usable_sessions).map(f64::from));
    database.number("waiting_for_locks", "", db.and_then(|d| d.waiting).map(f64::from));
    let redis = site.redis.value();
    let broker = redis.and_then(|r| r.broker.as_ref());
    let mut sink = sink(model, of, SourceKind::Redis, &site.redis, out);
    sink.number("latency", "ms", redis.map(|r| r.latency_ms));
    sink.number("used_memory", "B", redis.and_then(|r| r.server.used_memory).map(|n| n as f64));
    sink.number("tasks_waiting", "", broker.map(|b| b.waiting() as f64));
    sink.number("tasks_unacknowledged", "", broker.and_then(|b| b.unacked).map(|n| n as f64));
    sink.number("consumers", "", broker.and_then(|b| b.consumers).map(f64::from));
    for queue in broker.iter().flat_map(|b| &b.queues) {
        sink.number(format!("queue:{}", queue.name), "", Some(queue.waiting as f64));
    }
    backup_rows(model, site, out);
}

/// Of each subject that has to be saved: how old the newest backup is, and the newest that is proven.
#[expect(clippy::cast_precision_loss, reason = "JSON numbers have 53 bits")]
fn backup_rows(model: &Model, site: &Site, out: &mut Vec<Row>) {
    let reading = site.backups.value();
    let mut sink = sink(model, &site.id.0, SourceKind::Backups, &site.backups, out);
    for subject in Subject::EACH {
        let standing = reading.filter(|r| r.needs.of(subject).is_some()).map(|r| standing(r, subject));
        let age = |backup: Option<&Backup>| backup.map(|b| model.now.millis_since(b.made) as f64 / 1000.0);
        let Some(standing) = standing else { continue };
        sink.number(format!("newest_age:{}", subject.word()), "s", age(standing.usable));
        sink.number(format!("proven_age:{}", subject.word()), "s", age(standing.proven));
        sink.number(format!("backups:{}", subject.word()), "", Some(standing.count as f64));
    }
}

/// What newer sources can be summed up to.
#[expect(clippy::cast_precision_loss, reason = "JSON numbers have 53 bits")]
fn more_rows(model: &Model, site: &Site, out: &mut Vec<Row>) {
    let of = site.id.0.as_str();
    let value = site.services.value();
    let running = |s: &ServicesReading| s.services.iter().filter(|s| s.state == State::Running).count() as f64;
    let mut services = sink(model, of, SourceKind::Services, &site.services, out);
    services.number("services", "", value.map(|s| s.services.len() as f64));
    services.number("running", "", value.map(running));
    let value = site.backups.value();
    let mut backups = sink(model, of, SourceKind::Backups, &site.backups, out);
    backups.number("backups", "", value.map(|b| b.backups.len() as f64));
    let newest = value.and_then(|b| b.backups.iter().map(|b| b.made).max());
    backups.number("newest_age", "s", newest.map(|at| model.now.secs_since(at) as f64));
    let mut app = sink(model, of, SourceKind::App, &site.on_disk, out);
    app.word("version", site.on_disk.value().and_then(|a| a.version.clone()));
    let mut logs = sink(model, of, SourceKind::Logs, &site.logs, out);
    logs.number("sources", "", site.logs.value().map(|l| l.sources.len() as f64));
}

#[expect(clippy::cast_precision_loss, reason = "JSON numbers have 53 bits")]
fn host_rows(model: &Model, host: &Host, out: &mut Vec<Row>) {
    let value = host.reading.value();
    let mut sink = sink(model, &host.id.0, SourceKind::Host, &host.reading, out);
    sink.number("cpu", "1", value.and_then(|h| h.cpu));
    sink.number("load1", "", value.and_then(|h| h.load).map(|l| l[0]));
    sink.number("memory_total", "B", value.map(|h| h.memory_total as f64));
    sink.number("memory_available", "B", value.map(|h| h.memory_available as f64));
    sink.number("swap_used", "B", value.map(|h| h.swap_used as f64));
    if let Some(pressure) = value.and_then(|h| h.pressure) {
        sink.number("pressure_cpu", "1", Some(pressure.cpu));
        sink.number("pressure_memory", "1", Some(pressure.memory));
        sink.number("pressure_io", "1", Some(pressure.io));
    }
    if let Some(host) = value {
        let waiting = host.listeners.iter().map(|listener| listener.waiting).max();
        sink.number("accept_queue", "", waiting.map(f64::from));
        sink.number("retransmitted", "1", host.retransmitted);
        sink.number("oom_kills", "", host.oom_kills.map(|n| n as f64));
        sink.number("deleted_open", "B", host.depth.as_ref().map(|depth| depth.deleted_bytes as f64));
    }
    for disk in value.iter().flat_map(|h| &h.disks) {
        let space = disk.space.as_ref().ok();
        sink.error = disk.space.as_ref().err().cloned().or_else(|| sink.error.take());
        sink.number(format!("disk_used:{}", disk.mount), "1", space.map(crate::domain::host::DiskSpace::used_share));
        sink.number(format!("disk_available:{}", disk.mount), "B", space.map(|s| s.available as f64));
        let inodes = space.and_then(crate::domain::host::DiskSpace::inodes_used_share);
        sink.number(format!("inodes_used:{}", disk.mount), "1", inodes);
        if disk.space.is_err() {
            sink.error = None;
        }
    }
    let mut updates = self::sink(model, &host.id.0, SourceKind::Updates, &host.updates, out);
    updates.number("pending", "", host.updates.value().and_then(|u| u.pending).map(f64::from));
    updates.number("security", "", host.updates.value().and_then(|u| u.security).map(f64::from));
    let mut schedule = self::sink(model, &host.id.0, SourceKind::Schedule, &host.schedule, out);
    schedule.number("jobs", "", host.schedule.value().map(|s| s.jobs.len() as f64));
    let mut changes = self::sink(model, &host.id.0, SourceKind::Changes, &host.changes, out);
    changes.number("changes", "", host.changes.value().map(|c| c.changes.len() as f64));
    let mut people = self::sink(model, &host.id.0, SourceKind::People, &host.people, out);
    people.number("people", "", host.people.value().map(|p| p.people.len() as f64));
}
