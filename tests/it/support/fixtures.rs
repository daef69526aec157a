//! Models of known situations, with fixed times: what the screens are drawn from in tests and benchmarks.

#![expect(
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "fixed, small numbers and lists made right here"
)]

#[path = "fixtures/logs.rs"]
pub(crate) mod logs;
#[path = "fixtures/runbooks.rs"]
pub(crate) mod runbooks;

use std::collections::VecDeque;

use midwatch::app::event::Storage;
use midwatch::app::keymap::Keymap;
use midwatch::app::model::{Host, Model, Overlay, Screen, Site};
use midwatch::app::record::Timeline;
use midwatch::app::table::Table;
use midwatch::app::view::logs::LogView;
use midwatch::domain::database::{
    Crowd, DatabaseReading, Engine, Identity, KeyKind, KeySpace, Pulse, Session, TxidAge, Upkeep, Wal,
};
use midwatch::domain::health::{HealthCheck, HealthState};
use midwatch::domain::history::{History, SeriesKey, names};
use midwatch::domain::host::{Disk, DiskSpace, HostReading, Network, Pressure, Process};
use midwatch::domain::id::{HostId, SiteId, SourceKind};
use midwatch::domain::level::Level;
use midwatch::domain::reading::Reading;
use midwatch::domain::redis::{Broker, Counter, Keys, Persistence, RedisReading, RedisServer, WaitingQueue};
use midwatch::domain::time::Timestamp;
use midwatch::domain::traffic::{Bucket, Count, Latency, Page, Quantile, Queue, Route, Task, Traffic, Window};
use midwatch::triage::{Finding, Since, Thresholds};

/// 2026-11-20 03:04:12 UTC.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_143_852_000);

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Every situation, by name.
pub(crate) fn all() -> Vec<(&'static str, Model)> {
    vec![
        ("healthy", healthy()),
        ("db-down", db_down()),
        ("hang", hang()),
        ("worker-gone", worker_down()),
        ("db-lock", db_lock()),
        ("no-site", no_site()),
        ("stale", stale()),
        ("first-minute", first_minute()),
        ("many-routes", many_routes()),
        ("hung-mount", hung_mount()),
        ("read-only-practice", read_only_practice()),
        ("nothing-yet", nothing_yet()),
        ("hostile", hostile()),
    ]
}

/// A time so many seconds before now.
pub(crate) fn ago(secs: i64) -> Timestamp {
    NOW.plus_secs(-secs)
}

fn fresh<T>(value: T, secs: i64) -> Reading<T> {
    Reading::Fresh { value, at: ago(secs), took_ms: 12 }
}

fn stale_since<T>(value: T, secs: i64, why: &str) -> Reading<T> {
    Reading::Stale { value, at: ago(secs + 5), failed_since: ago(secs), why: why.to_owned() }
}

/// A reproducible wave between 0 and 1.
fn wave(step: i64, period: f64) -> f64 {
    let t = step as f64 / period;
    (t.sin() * 0.5 + (t * 2.7).sin() * 0.3 + (t * 7.1).cos() * 0.2).mul_add(0.5, 0.5).clamp(0.0, 1.0)
}

fn fill(history: &mut History, name: &str, seconds: i64, value: impl Fn(i64) -> f64) {
    let series = history.entry(SeriesKey::new(name)).or_default();
    for back in (0..=seconds / 10).rev() {
        series.push(ago(back * 10), value(back * 10));
    }
}

/// A model nothing is known in.
pub(crate) fn blank(sites: Vec<Site>) -> Model {
    Model {
        now: NOW,
        opened: ago(754),
        size: (80, 24),
        sites,
        hosts: vec![Host::new(HostId("web1".into()))],
        site_index: 0,
        touched: false,
        screen: Screen::Now,
        overlay: Overlay::None,
        findings: Vec::new(),
        finding_top: 0,
        now_table: Table::default(),
        requests: Table::default(),
        tasks: Table::default(),
        processes: Table::default(),
        data: Table::default(),
        services: Table::default(),
        logs: Table { from_end: true, ..Table::default() },
        log_groups: Table::default(),
        log_view: LogView::default(),
        backups: Table::default(),
        runs: Table::default(),
        runbooks: midwatch::app::runbooks::Runbooks::default(),
        timeline: Timeline::default(),
        zoom: 2,
        utc_first: true,
        theme: 0,
        themes: 5,
        paused: None,
        held: VecDeque::new(),
        toast: None,
        read_only: false,
        no_entry: false,
        no_site: None,
        dropped: 0,
        clock_jump: None,
        keymap: Keymap::default(),
        thresholds: Thresholds::default(),
        silent_after_ms: 45_000,
    }
}

fn site() -> Site {
    let url = "https://tickets.example.org/".to_owned();
    Site::new(SiteId("pretix".into()), "Example Tickets".into(), "pretix 2026.8.0".into(), url, false)
}

fn check(state: HealthState, status: Option<u16>, latency_ms: f64, detail: &str) -> HealthCheck {
    let url = "https://tickets.example.org/healthcheck/".to_owned();
    HealthCheck { state, status, latency_ms, detail: detail.to_owned(), url, tls: None, clock_offset_ms: None }
}

fn ok() -> HealthCheck {
    check(HealthState::Ok, Some(200), 12.4, "200 OK")
}

fn count(in_window: f64, total: f64) -> Count {
    Count { total, in_window }
}

fn latency(p50: f64, requests: f64) -> Latency {
    let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    let near = |bound: f64| (-(bound / p50).ln().powi(2)).exp();
    let sum: f64 = bounds.iter().map(|b| near(*b)).sum();
    let mut buckets: Vec<Bucket> =
        bounds.iter().map(|b| Bucket { le_s: Some(*b), count: (near(*b) / sum * requests).round() }).collect();
    buckets.push(Bucket { le_s: None, count: 0.0 });
    Latency {
        p50: Quantile::Seconds(p50),
        p95: Quantile::Seconds(p50 * 3.4),
        p99: Quantile::Seconds(p50 * 7.2),
        buckets,
        mean_s: Some(p50 * 1.3),
    }
}

fn route(url_name: &str, method: &str, rate: f64, errors: f64, p50: f64) -> Route {
    let n = (rate * 60.0).round();
    let bad = (n * errors).round();
    let (third, fourth) = ((n * 0.06).floor(), (n * 0.02).floor());
    let classes = [0.0, n - bad - third - fourth, third, fourth, bad].map(|c| count(c, c * 731.0 + 12.0));
    let spark = (0..40).map(|at| (rate * (0.5 + wave(at, 3.0 + p50))) as f32).collect();
    let (url_name, method) = (url_name.to_owned(), method.to_owned());
    Route { url_name, method, classes, rate: Some(rate), latency: latency(p50, n), spark }
}

fn task(name: &str, rate: f64, errors: f64, expected: f64, p50: f64) -> Task {
    let n = (rate * 60.0).round();
    let (error, expected) = ((n * errors).round(), (n * expected).round());
    Task {
        name: name.to_owned(),
        success: count(n - error - expected, 60_213.0),
        error: count(error, error * 3.0),
        expected_error: count(expected, 41.0),
        rate: Some(rate),
        latency: latency(p50, n - error - expected),
        spark: (0..40).map(|at| (rate * (0.4 + wave(at, 4.0 + p50))) as f32).collect(),
    }
}

/// Metrics of a site under ordinary traffic.
pub(crate) fn traffic(errors: f64) -> Traffic {
    Traffic {
        routes: vec![
            route("presale:event.index", "GET", 2.4, errors, 0.048),
            route("presale:event.cart.add", "POST", 0.62, errors * 2.0, 0.131),
            route("presale:event.checkout", "GET", 0.51, errors, 0.094),
            route("presale:event.checkout", "POST", 0.33, errors * 3.0, 0.212),
            route("presale:organizer.index", "GET", 0.3, 0.0, 0.061),
            route("api-v1:event-list", "GET", 0.2, 0.0, 0.035),
            route("control:event.orders", "GET", 0.1, 0.0, 0.31),
            route("plugins:ticketoutputpdf:download", "GET", 0.07, 0.0, 1.42),
            route("healthcheck", "GET", 0.2, 0.0, 0.004),
            route("metrics", "GET", 0.07, 0.0, 0.12),
        ],
        tasks: vec![
            task("pretix.base.services.cart.add_items_to_cart", 0.62, 0.0, 0.05, 0.09),
            task("pretix.base.services.orders.perform_order", 0.33, errors, 0.02, 0.21),
            task("pretix.base.services.mail.mail_send_task", 0.3, 0.0, 0.0, 0.44),
            task("pretix.base.services.tickets.generate", 0.12, 0.0, 0.0, 1.9),
            task("pretix.presale.style.regenerate_css", 0.02, 0.0, 0.0, 3.1),
            task("pretix.base.services.quotas.refresh_quota_caches", 0.01, 0.0, 0.0, 0.03),
        ],
        queues: ["default", "mail", "background"].map(|n| queue(n, 0)).to_vec(),
        models: vec![("pretixbase.order".into(), 18_203.0)],
        window: Window::Seconds(60.0),
        left_out: 0,
        reset: false,
        page: Page { samples: 6188, bad_lines: 0, first_bad: None, bytes: 512_334, cut: None },
    }
}

fn queue(name: &str, waiting: u64) -> Queue {
    Queue { name: name.to_owned(), waiting, oldest_s: None }
}

fn database() -> DatabaseReading {
    let crowd = |application: &str, state: &str, count, longest_s| Crowd {
        application: application.into(),
        state: state.into(),
        count,
        longest_s,
    };
    let key = |column: &str, last, per_day| KeySpace {
        column: column.into(),
        sequence: format!("{column}_seq"),
        kind: KeyKind::Column,
        type_name: "integer".into(),
        column_type: "integer".into(),
        last,
        limit: 2_147_483_647,
        per_day,
    };
    DatabaseReading {
        sessions: Some(14),
        usable_sessions: Some(97),
        waiting: Some(0),
        crowd: vec![
            crowd("pretix", "idle", 9, 112),
            crowd("pretix", "active", 3, 0),
            crowd("celery", "idle", 1, 40),
            crowd("psql", "idle", 1, 9),
        ],
        identity: Identity { system: Some("7312".into()), started: Some(ago(1_036_800)), ..Identity::default() },
        clock_offset_ms: Some(0),
        wal: Some(Box::new(Wal { size: Some(640 * MIB), at: ago(140), ..Wal::default() })),
        upkeep: Some(Box::new(Upkeep {
            size: Some(18 * GIB),
            keys: vec![
                key("pretixbase_logentry.id", 884_210_331, Some(412_000.0)),
                key("pretixbase_order.id", 1_204_118, Some(900.0)),
                key("pretixbase_cartposition.id", 990_000, None),
            ],
            txid: Some(TxidAge { database: "pretix".into(), age: 104_000_000, ..TxidAge::default() }),
            ..Upkeep::default()
        })),
        pulse: Some(Pulse {
            what: "paid order".into(),
            newest: Some(ago(190)),
            last_hour: 19,
            usual_per_minute: Some(0.31),
            at: ago(20),
        }),
        ..DatabaseReading::new(Engine::Postgresql, "15.18", 0.8)
    }
}

fn redis(waiting: u64, oldest: Option<u64>, consumers: u32) -> RedisReading {
    let line = |name: &str, waiting, oldest_at_least_s| WaitingQueue { name: name.into(), waiting, oldest_at_least_s };
    RedisReading {
        latency_ms: 0.2,
        server: RedisServer {
            version: "7.0.15".into(),
            role: "master".into(),
            used_memory: Some(12 * MIB),
            max_memory: Some(256 * MIB),
            policy: Some("noeviction".into()),
            place: "127.0.0.1:6379".into(),
            replicas: Some(0),
            uptime_s: Some(1_036_800),
            evicted: Some(Counter::default()),
            rejected: Some(Counter::default()),
            oom_errors: Some(Counter::default()),
            misconf_errors: Some(Counter::default()),
            persistence: Persistence {
                snapshot_failed: Some(false),
                snapshot_age_s: Some(212),
                changes: Some(431),
                append_only: Some(false),
                append_failed: Some(false),
            },
            clients: Some(17),
            max_clients: Some(10_000),
            blocked_clients: Some(2),
            ops_per_s: Some(41),
            hit_share: Some(0.962),
            keys: [(0, 1769, 1204), (1, 912, 912), (2, 6, 0)]
                .map(|(database, count, expiring)| Keys { database, count, expiring })
                .to_vec(),
            slow_entries: Some(3),
            clock_ahead_ms: Some(0),
            ..RedisServer::default()
        },
        periodic_age_s: Some(191),
        broker: Some(Broker {
            queues: vec![
                line("default", waiting, oldest),
                line("mail", waiting / 9, oldest),
                line("background", 0, None),
            ],
            unacked: Some(2),
            consumers: Some(consumers),
            unacked_oldest_s: Some(4),
            consumer_age_s: (consumers > 0).then_some(90_123),
            consumer_idle_s: (consumers > 0).then_some(0),
            beating: consumers,
            subscriptions: Some(consumers * 2),
            ..Broker::default()
        }),
        ..RedisReading::default()
    }
}

fn disk(mount: &str, kind: &str, total: u64, used: f64, full_in_s: Option<u64>) -> Disk {
    let space = DiskSpace {
        total,
        available: (total as f64 * (1.0 - used)) as u64,
        reserved: 0,
        inodes: 2_621_440,
        inodes_available: 2_380_122,
        read_only: false,
        full_in_s,
        inodes_full_in_s: None,
    };
    Disk {
        mount: mount.into(),
        device: "/dev/vda1".into(),
        kind: kind.into(),
        turned_read_only: None,
        space: Ok(space),
    }
}

fn process(pid: u32, user: &str, command: &str, cpu: f64, memory: u64) -> Process {
    let (user, command, state) = (user.to_owned(), command.to_owned(), "sleeping".to_owned());
    Process { pid, user, command, cpu, memory, state }
}

/// A host with nothing wrong.
pub(crate) fn host_reading() -> HostReading {
    let mut processes = vec![
        process(1204, "pretix", "gunicorn: worker [pretix.wsgi]", 0.31, 412 * MIB),
        process(1205, "pretix", "gunicorn: worker [pretix.wsgi]", 0.27, 398 * MIB),
        process(1310, "pretix", "celery -A pretix.celery_app worker -l info", 0.12, 512 * MIB),
        process(811, "postgres", "postgres: 15/main: pretix pretix 127.0.0.1(49132) idle", 0.08, 88 * MIB),
        process(702, "redis", "/usr/bin/redis-server 127.0.0.1:6379", 0.02, 24 * MIB),
        process(655, "www-data", "nginx: worker process", 0.01, 18 * MIB),
    ];
    processes.extend((0..18).map(|n| process(2000 + n, "root", "[kworker/u8:2-events_unbound]", 0.0, 0)));
    HostReading {
        cpu: Some(0.34),
        cores: vec![0.42, 0.31, 0.28, 0.35],
        steal: Some(0.0),
        load: Some([1.24, 0.96, 0.81]),
        memory_total: 8 * GIB,
        memory_available: 3 * GIB + 200 * MIB,
        swap_total: 2 * GIB,
        swap_used: 120 * MIB,
        oom_kills: Some(0),
        memory_gone_in_s: None,
        listeners: Vec::new(),
        retransmitted: None,
        depth: None,
        pressure: Some(Pressure { cpu: 0.021, memory: 0.0, io: 0.004, ..Pressure::default() }),
        disks: vec![
            disk("/", "ext4", 40 * GIB, 0.61, None),
            disk("/var", "ext4", 80 * GIB, 0.48, Some(1_728_000)),
            disk("/boot/efi", "vfat", 512 * MIB, 0.01, None),
        ],
        networks: vec![
            Network { name: "eth0".into(), received_per_s: 182_000.0, sent_per_s: 1_310_000.0, errors_per_s: 0.0 },
            Network { name: "docker0".into(), received_per_s: 0.0, sent_per_s: 0.0, errors_per_s: 0.0 },
        ],
        processes,
        process_count: 142,
        uptime_s: 1_053_000,
        unseen: Vec::new(),
    }
}

fn host_history(history: &mut History) {
    fill(history, names::CPU, 3600, |s| 0.2 + 0.3 * wave(s, 300.0));
    fill(history, names::LOAD, 3600, |s| 0.6 + 1.1 * wave(s, 420.0));
    fill(history, names::MEMORY, 3600, |s| 0.55 + 0.05 * wave(s, 900.0));
    fill(history, names::SWAP, 3600, |_| 0.06);
    fill(history, names::RECEIVED, 3600, |s| 300_000.0 * wave(s, 200.0));
    fill(history, names::SENT, 3600, |s| 2_000_000.0 * wave(s, 200.0));
    fill(history, "disk:/", 3600, |s| 0.61 - s as f64 * 1e-6);
    fill(history, "disk:/var", 3600, |_| 0.48);
}

fn site_history(history: &mut History) {
    fill(history, names::HEALTH, 3600, |_| 0.0);
    fill(history, names::REQUESTS, 3600, |s| 2.5 + 3.0 * wave(s, 400.0));
    fill(history, names::LATENCY, 3600, |s| 9.0 + 20.0 * wave(s, 130.0));
    fill(history, names::TASKS, 3600, |s| 0.9 + wave(s, 260.0));
    fill(history, names::TASK_ERRORS, 3600, |_| 0.0);
    fill(history, names::ERRORS, 3600, |s| if (1800..1860).contains(&s) { 0.02 } else { 0.0 });
    fill(history, names::QUEUE, 3600, |s| (6.0 * wave(s, 150.0)).floor());
    fill(history, names::SESSIONS, 3600, |s| (10.0 + 6.0 * wave(s, 500.0)).floor());
    fill(history, names::LOCKS, 3600, |_| 0.0);
}

/// A site under ordinary traffic, nothing wrong.
pub(crate) fn healthy() -> Model {
    let mut site = site();
    site.health = fresh(ok(), 2);
    site.sources.insert(1, SourceKind::Direct);
    site.direct = fresh(check(HealthState::Ok, Some(200), 8.1, "200 OK"), 2);
    site.traffic = fresh(traffic(0.0), 9);
    site.database = fresh(database(), 4);
    site.redis = fresh(redis(3, Some(2), 2), 4);
    site.storage = Storage::Poller;
    site_history(&mut site.history);
    let mut model = blank(vec![site]);
    model.hosts[0].reading = fresh(host_reading(), 1);
    model.hosts[0].storage = Storage::Poller;
    host_history(&mut model.hosts[0].history);
    model
}

fn finding(rule: &str, level: Level, since: i64, title: &str, evidence: &str) -> Finding {
    Finding {
        rule: rule.into(),
        subject: String::new(),
        level,
        title: title.into(),
        evidence: evidence.into(),
        details: Vec::new(),
        suspected: false,
        source: SourceKind::Health,
        since: Since::watched(ago(since), true),
        symptoms: Vec::new(),
        site: "pretix".into(),
    }
}

/// PostgreSQL is gone for 6m40s; everything else follows from it.
pub(crate) fn db_down() -> Model {
    let mut model = healthy();
    let why = "PostgreSQL at 127.0.0.1:5432: connection refused; is it running?";
    let site = &mut model.sites[0];
    site.health = fresh(check(HealthState::ServerError, Some(500), 14.0, "500 Internal Server Error"), 3);
    site.direct = fresh(check(HealthState::ServerError, Some(500), 11.0, "500 Internal Server Error"), 3);
    site.traffic = stale_since(traffic(0.12), 395, "500 Internal Server Error from /metrics");
    site.database = stale_since(database(), 400, why);
    site.redis = fresh(redis(312, Some(370), 2), 4);
    fill(&mut site.history, "later", 0, |_| 0.0);
    site.history.remove(&SeriesKey::new("later"));
    site.history.remove(&SeriesKey::new(names::HEALTH));
    fill(&mut site.history, names::HEALTH, 3600, |s| if s < 400 { 2.0 } else { 0.0 });
    site.history.remove(&SeriesKey::new(names::QUEUE));
    fill(&mut site.history, names::QUEUE, 3600, |s| if s < 400 { (400 - s) as f64 * 0.78 } else { 2.0 });
    for name in [names::REQUESTS, names::ERRORS, names::SESSIONS, names::LOCKS, names::TASKS, names::LATENCY] {
        let cut = |s: i64| if s < 400 { f64::NAN } else { 3.0 + 2.0 * wave(s, 400.0) };
        let scale = if name == names::REQUESTS {
            1.0
        } else if name == names::SESSIONS {
            4.0
        } else {
            0.0
        };
        site.history.remove(&SeriesKey::new(name));
        fill(&mut site.history, name, 3600, |s| cut(s) * scale);
    }
    let mut root = finding("database-down", Level::Critical, 400, "PostgreSQL does not answer", "");
    root.evidence = "connection refused at 127.0.0.1:5432 · database, 3 s ago".into();
    root.symptoms = vec![
        finding("health-error", Level::Critical, 396, "healthcheck answers 500", "public and direct, 3 s ago"),
        finding("metrics-gone", Level::Unknown, 395, "metrics can't be read", "500 from /metrics"),
        finding("queue-late", Level::Warning, 330, "312 tasks wait, oldest ≥ 6m10s", "↑ 0.8/s, 2 workers ask"),
    ];
    let mut disk =
        finding("disk-filling", Level::Warning, 7200, "/var is full in about 20 days", "48 % of 80 GiB used");
    disk.site = "web1".into();
    disk.since.seen = false;
    model.findings = vec![root, disk];
    model
}

/// The healthcheck has been without an answer for 12 s.
pub(crate) fn hang() -> Model {
    let mut model = healthy();
    let site = &mut model.sites[0];
    site.health = fresh(ok(), 17);
    site.direct = fresh(ok(), 17);
    site.traffic = fresh(traffic(0.0), 24);
    let since = ago(12);
    site.asking = vec![(SourceKind::Health, since), (SourceKind::Direct, since), (SourceKind::Traffic, ago(9))];
    let title = "the site does not answer: no answer for 12 s";
    model.findings =
        vec![finding("web-hangs", Level::Critical, 12, title, "asked once, waiting · health, asked 12 s ago")];
    model
}

/// No worker takes tasks; the queue grows.
pub(crate) fn worker_down() -> Model {
    let mut model = healthy();
    let site = &mut model.sites[0];
    site.redis = fresh(redis(1874, Some(940), 0), 4);
    if let Reading::Fresh { value, .. } = &mut site.traffic {
        value.queues = vec![queue("default", 1874), queue("mail", 208), queue("background", 0)];
        value.queues[0].oldest_s = Some(1012.0);
        for task in &mut value.tasks {
            (task.rate, task.latency, task.spark) = (Some(0.0), Latency::default(), vec![0.0; 40]);
            (task.success.in_window, task.error.in_window, task.expected_error.in_window) = (0.0, 0.0, 0.0);
        }
    }
    for name in [names::QUEUE, names::TASKS, names::TASK_ERRORS] {
        site.history.remove(&SeriesKey::new(name));
    }
    fill(&mut site.history, names::TASKS, 3600, |s| if s < 940 { 0.0 } else { 0.9 + wave(s, 260.0) });
    fill(&mut site.history, names::QUEUE, 3600, |s| if s < 940 { (940 - s) as f64 * 2.2 } else { 2.0 });
    let evidence = "0 of 2 workers ask for tasks · 2082 wait, oldest ≥ 15m40s · redis, 4 s ago";
    model.findings = vec![finding("worker-gone", Level::Critical, 940, "nobody takes background tasks", evidence)];
    model
}

/// A session holds a lock that others wait for.
pub(crate) fn db_lock() -> Model {
    let mut model = healthy();
    let site = &mut model.sites[0];
    let waits = |pid, page: &str, secs: f64| Session {
        pid,
        application: "pretix".into(),
        state: "active".into(),
        transaction_s: secs,
        since_s: secs,
        user: "pretix".into(),
        wait: "Lock relation".into(),
        query: "SELECT \"pretixbase_order\".\"id\" FROM \"pretixbase_order\" WHERE \"code\" = ?".into(),
        page: page.into(),
        ..Session::default()
    };
    let alter = Session {
        pid: 5120,
        application: "migrate".into(),
        blocks: 6,
        query: "ALTER TABLE \"pretixbase_order\" ADD COLUMN \"tax_rule\" integer".into(),
        page: String::new(),
        behind: (0..6_u8).map(|n| waits(5200 + i64::from(n), "presale:event.index", 150.0 - f64::from(n))).collect(),
        ..waits(5120, "", 190.0)
    };
    let blocker = Session {
        pid: 4711,
        application: "psql".into(),
        state: "idle in transaction".into(),
        transaction_s: 204.0,
        since_s: 198.0,
        blocks: 7,
        started: Some(ago(1400)),
        user: "postgres".into(),
        wait: "Client ClientRead".into(),
        query: "UPDATE \"pretixbase_order\" SET \"comment\" = ? WHERE \"id\" = ?".into(),
        behind: vec![alter],
        ..Session::default()
    };
    let report =
        Session { pid: 4400, state: "active".into(), transaction_s: 1310.0, ..waits(4400, "control:reports", 8.0) };
    let database = DatabaseReading {
        waiting: Some(7),
        longest_wait_s: 190.0,
        blockers: vec![blocker],
        transactions: vec![Session { wait: String::new(), ..report }],
        ..database()
    };
    site.database = fresh(database, 4);
    site.history.remove(&SeriesKey::new(names::LOCKS));
    fill(&mut site.history, names::LOCKS, 3600, |s| if s < 190 { 7.0 - (s / 30) as f64 } else { 0.0 });
    let title = "7 sessions wait for a lock that pid 4711 holds";
    let evidence = "psql, idle in transaction for 3m24s · database, 4 s ago";
    model.findings = vec![finding("db-lock", Level::Warning, 190, title, evidence)];
    model
}

/// No application was found: only the host is watched.
pub(crate) fn no_site() -> Model {
    let mut model = healthy();
    model.sites.clear();
    model.no_site = Some("no pretix.cfg in /etc/pretix, /home/op or here, and no midwatch.toml names one".into());
    model
}

/// Another midwatch polls; its metrics and host readings have not come for a while.
pub(crate) fn stale() -> Model {
    let mut model = healthy();
    let site = &mut model.sites[0];
    site.storage = Storage::Reader { pid: 4242, trouble: None };
    let why = "https://tickets.example.org/metrics: 401 Unauthorized: metrics are off, or the password is wrong";
    site.traffic = stale_since(traffic(0.004), 192, why);
    site.redis = Reading::Failed { failed_since: ago(800), why: "Redis at 127.0.0.1:6379: connection refused".into() };
    site.direct = Reading::Unseen { why: "no address of the application's own port is known".into() };
    model.hosts[0].reading = stale_since(host_reading(), 64, "/proc could not be read: too many open files");
    model.findings = vec![finding("metrics-stale", Level::Unknown, 192, "metrics can't be read", why)];
    model.dropped = 3;
    model.clock_jump = Some((ago(120), -3_600_000));
    model
}

/// The first look of all: counters since they began, no rates, hardly any history.
pub(crate) fn first_minute() -> Model {
    let mut model = healthy();
    model.opened = ago(8);
    let site = &mut model.sites[0];
    site.history.clear();
    fill(&mut site.history, names::HEALTH, 8, |_| 0.0);
    fill(&mut site.history, names::QUEUE, 8, |_| 3.0);
    let mut traffic = traffic(0.0);
    traffic.window = Window::SinceStart;
    for route in &mut traffic.routes {
        (route.rate, route.spark) = (None, Vec::new());
        route.classes = route.classes.map(|c| count(c.total, c.total));
    }
    for task in &mut traffic.tasks {
        (task.rate, task.spark) = (None, Vec::new());
        task.success.in_window = task.success.total;
    }
    site.traffic = fresh(traffic, 3);
    site.storage = Storage::Memory("the state directory /var/lib/midwatch can't be written".into());
    model.hosts[0].history.clear();
    fill(&mut model.hosts[0].history, names::CPU, 8, |_| 0.34);
    fill(&mut model.hosts[0].history, names::MEMORY, 8, |_| 0.6);
    model
}

/// Many routes, some with errors, sorted by p95, one selected far down.
pub(crate) fn many_routes() -> Model {
    let mut model = healthy();
    let mut traffic = traffic(0.03);
    traffic.routes.extend((0..400).map(|n| {
        let name = format!("plugins:pretix_example_{}:control.event.settings.page{n}", n % 7);
        route(&name, if n % 3 == 0 { "POST" } else { "GET" }, 0.5 / f64::from(n + 1), 0.0, 0.02 + f64::from(n) * 0.001)
    }));
    traffic.left_out = 112;
    traffic.page.bad_lines = 2;
    traffic.page.first_bad = Some("line 17: `pretix_view{` has no closing brace".into());
    model.sites[0].traffic = fresh(traffic, 9);
    model.requests.sort = 2;
    model.requests.selected = Some("GET plugins:pretix_example_3:control.event.settings.page311".into());
    model.requests.offset = 60;
    model
}

/// A full disk, one without inodes, and a mount that hangs.
pub(crate) fn hung_mount() -> Model {
    let mut model = healthy();
    let mut reading = host_reading();
    reading.disks = vec![
        disk("/", "ext4", 40 * GIB, 0.61, None),
        disk("/var/lib/postgresql", "xfs", 40 * GIB, 1.0, None),
        disk("/srv/backup", "ext4", 500 * GIB, 0.87, Some(21_600)),
        Disk {
            mount: "/mnt/nas".into(),
            device: "nas:/export".into(),
            kind: "nfs4".into(),
            turned_read_only: None,
            space: Err("does not answer for 48 s: the server behind it may be gone".into()),
        },
        disk("/var/spool", "ext4", 4 * GIB, 0.2, None),
    ];
    if let Ok(space) = &mut reading.disks[4].space {
        space.inodes_available = 0;
    }
    reading.cores = vec![0.97, 1.0, 0.91, 0.88, 0.99, 0.42, 0.03, 0.0];
    (reading.cpu, reading.steal, reading.load) = (Some(0.65), Some(0.12), Some([11.2, 8.4, 3.9]));
    reading.oom_kills = Some(2);
    reading.pressure = Some(Pressure { cpu: 0.31, memory: 0.02, io: 0.64, ..Pressure::default() });
    reading.networks[0].errors_per_s = 3.2;
    reading.unseen = vec!["/proc/PID/io of other users: midwatch runs under Landlock".into()];
    model.hosts[0].reading = fresh(reading, 1);
    let history = &mut model.hosts[0].history;
    fill(history, "disk:/var/lib/postgresql", 3600, |s| (1.0 - (s - 400) as f64 * 2e-4).min(1.0));
    fill(history, "disk:/srv/backup", 3600, |s| 0.87 - s as f64 * 6e-6);
    fill(history, "disk:/var/spool", 3600, |_| 0.2);
    let mut full =
        finding("disk-full", Level::Critical, 401, "/var/lib/postgresql is full", "0 B of 40 GiB free · host, 1 s ago");
    let mut inodes =
        finding("inodes", Level::Critical, 90, "/var/spool has no inodes left", "0 of 2.6M · host, 1 s ago");
    let mut hung = finding("mount-hangs", Level::Unknown, 48, "/mnt/nas does not answer", "nfs4 from nas:/export");
    for f in [&mut full, &mut inodes, &mut hung] {
        f.site = "web1".into();
    }
    full.since.seen = false;
    model.findings = vec![full, inodes, hung];
    model
}

/// A practice site, read-only, held still, local time first, two sites.
pub(crate) fn read_only_practice() -> Model {
    let mut model = healthy();
    model.sites[0].practice = true;
    model.sites.push(Site::new(SiteId("talks".into()), String::new(), "pretalx".into(), String::new(), true));
    model.sites[1].health = fresh(ok(), 3);
    model.read_only = true;
    model.paused = Some(ago(15));
    model.utc_first = false;
    model
}

/// The very first frame.
pub(crate) fn nothing_yet() -> Model {
    let mut model = blank(vec![site()]);
    model.opened = NOW;
    model
}

/// Numbers and texts nobody should send, everywhere.
pub(crate) fn hostile() -> Model {
    let mut model = many_routes();
    let nasty = "日本語の長い名前\u{202e}\u{1b}[2J👩‍👩‍👧‍👦é\u{300}\u{300}\t".repeat(30);
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e308, 0.0];
    for site in &mut model.sites {
        (site.title, site.app, site.url) = (nasty.clone(), nasty.clone(), nasty.clone());
        if let Reading::Fresh { value, .. } = &mut site.traffic {
            for (route, odd) in value.routes.iter_mut().zip(odd.iter().cycle()) {
                route.url_name.clone_from(&nasty);
                route.rate = Some(*odd);
                route.classes = [count(*odd, *odd); 5];
                route.latency.mean_s = Some(*odd);
                route.latency.p50 = Quantile::Above(*odd);
                route.latency.buckets.iter_mut().for_each(|b| b.count = *odd);
                route.spark.iter_mut().for_each(|s| *s = *odd as f32);
            }
            value.queues = odd.map(|o| Queue { name: nasty.clone(), waiting: u64::MAX, oldest_s: Some(o) }).to_vec();
            value.window = Window::Seconds(f64::NAN);
            value.page.samples = u64::MAX;
        }
    }
    let mut reading = host_reading();
    (reading.cpu, reading.cores, reading.load) = (Some(f64::NAN), vec![7.0; 400], Some([f64::INFINITY; 3]));
    (reading.memory_available, reading.swap_used, reading.uptime_s) = (u64::MAX, u64::MAX, u64::MAX);
    for (process, odd) in reading.processes.iter_mut().zip(odd.iter().cycle()) {
        (process.command, process.cpu, process.memory) = (nasty.clone(), *odd, u64::MAX);
    }
    reading.unseen = vec![nasty.clone(); 40];
    model.hosts[0].reading = stale_since(reading, i64::MAX / 4000, &nasty);
    model.requests.open = Some("GET ".to_owned() + &nasty);
    let mut deep = finding("nasty", Level::Critical, -50, &nasty, &nasty);
    for _ in 0..30 {
        deep = Finding { symptoms: vec![deep.clone()], ..deep };
    }
    model.findings = vec![deep; 20];
    (model.zoom, model.site_index, model.now_table.offset) = (99, 0, 9999);
    model.now = Timestamp::from_millis(i64::MAX);
    model
}

/// The services of a site and of its machine: one of each kind of trouble.
pub(crate) fn services() -> Model {
    use midwatch::domain::service::{FailedUnit, Manager, Role, Service, ServicesReading, State, Stuck, StuckHow};
    let service = |name: &str, role, manager, place: &str, state, said: &str| {
        let mut service = Service::new(name, role, manager, place);
        (service.state, service.said) = (state, said.to_owned());
        (service.since, service.started) = (Some(ago(93_000)), Some(ago(93_000)));
        (service.pid, service.children, service.restarts) = (Some(4711), Some(4), Some(0));
        (service.memory, service.at_boot) = (Some(420 << 20), Some(true));
        service.found.push_str("/etc/systemd/system/pretix-web.service");
        service
    };
    let mut web =
        service("pretix-web", Role::Web, Manager::Systemd, "pretix-web.service", State::GaveUp, "failed (failed)");
    (web.pid, web.children, web.memory, web.started) = (None, None, None, None);
    (web.since, web.restarts, web.exit) = (Some(ago(400)), Some(5), Some("exit status 3".to_owned()));
    web.command.push_str("/srv/pretix/venv/bin/gunicorn pretix.wsgi --name pretix --bind 127.0.0.1:8345 --workers 4");
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    web.facts = vec![
        fact("unit file", "/etc/systemd/system/pretix-web.service"),
        fact("restart", "on-failure"),
        fact("start limit", "5 in 10s"),
        fact("result", "exit-code"),
        fact("changed on disk", "yes: systemctl daemon-reload has not been run since"),
    ];
    let mut worker = service(
        "pretix-worker",
        Role::Worker,
        Manager::Systemd,
        "pretix-worker.service",
        State::Running,
        "active (running)",
    );
    worker.stuck = Some(Stuck { how: StuckHow::Stopped, processes: 5, of: 5, main: true, since: ago(75) });
    worker.memory_max = Some(2 << 30);
    let mut timer = service(
        "pretix-cron.timer",
        Role::Periodic,
        Manager::Systemd,
        "pretix-cron.timer",
        State::Waiting,
        "active (waiting)",
    );
    (timer.pid, timer.children, timer.memory, timer.restarts) = (None, None, None, None);
    let mut mail =
        service("mail-relay", Role::Other, Manager::Supervisor, "mail-relay", State::Unknown, "can't be seen");
    (mail.since, mail.pid, mail.children, mail.memory, mail.restarts) = (None, None, None, None, None);
    let mut renderer =
        service("renderer", Role::Other, Manager::Compose, "shop-renderer-1", State::Restarting, "restarting");
    (renderer.exit, renderer.restarts) = (Some("killed for want of memory (137)".to_owned()), Some(7));
    (renderer.crashed, renderer.oom) = (vec![ago(80), ago(50), ago(20)], Some(ago(20)));
    let reading = ServicesReading {
        services: vec![
            web,
            worker,
            timer,
            service("postgresql@15-main", Role::Database, Manager::Systemd, "postgresql@15-main.service", State::Running, "active (running)"),
            service("redis", Role::Redis, Manager::Process, "redis-server 127.0.0.1:6379", State::Running, "runs"),
            mail,
            renderer,
        ],
        unseen: vec!["supervisord at /run/supervisor.sock may not be asked by this user: run as root, or set chmod, chown, username and password in its [unix_http_server].".to_owned()],
        ..ServicesReading::default()
    };
    let failed = |unit: &str, description: &str| FailedUnit {
        unit: unit.to_owned(),
        description: description.to_owned(),
        exit: "exit status 1".to_owned(),
        since: Some(ago(31_000)),
        user: false,
    };
    let units = ServicesReading {
        others: vec![failed("certbot.service", "Certbot"), failed("man-db.service", "Daily man-db regeneration")],
        ..ServicesReading::default()
    };
    let mut model = healthy();
    model.sites[0].services = fresh(reading, 3);
    model.hosts[0].units = fresh(units, 12);
    model.screen = Screen::Services;
    midwatch::app::update::update(&mut model, midwatch::app::event::Event::Tick(NOW));
    model
}
