//! The screen Data: database and Redis as they are on good and bad nights.
#![cfg(test)]

use midwatch::app::model::{Model, Screen, Site};
use midwatch::domain::reading::Reading;
use midwatch::domain::redis::{Broker, Counter, Persistence, RedisReading, RedisServer};
use midwatch::ui;

use super::{dark, on, snapshot};
use crate::support::fixtures;

/// The site, with what Redis says changed.
fn redis(mut model: Model, change: impl Fn(&mut RedisReading)) -> Model {
    for site in &mut model.sites {
        if let Reading::Fresh { value, .. } = &mut site.redis {
            change(value);
        }
    }
    on(model, Screen::Data)
}

fn full() -> Model {
    redis(fixtures::healthy(), |redis| {
        redis.refuses_writes = Some("memory is used up and nothing may be evicted (maxmemory, noeviction)".to_owned());
        redis.server.used_memory = redis.server.max_memory;
        redis.server.oom_errors = Some(Counter { total: 412, recent: 398 });
        redis.server.persistence = Persistence {
            snapshot_failed: Some(true),
            changes: Some(81_200),
            snapshot_age_s: Some(5400),
            append_only: Some(false),
            append_failed: Some(false),
        };
    })
}

/// A user that may hardly ask anything, of a database that only root can reach.
fn unseen() -> Model {
    let mut model = redis(fixtures::healthy(), |redis| {
        redis.server = RedisServer { version: "unknown".into(), role: "unknown".into(), ..RedisServer::default() };
        redis.broker = redis.broker.take().map(|broker| Broker { queues: broker.queues, ..Broker::default() });
        redis.periodic_age_s = None;
        redis.unseen = vec![
            "ACL SETUSER app +client|list +info on Redis at 127.0.0.1:6379 would show memory, role, persistence and \
             evictions, who takes tasks"
                .to_owned(),
        ];
    });
    let why = "peer authentication: only the user postgres may enter. Run midwatch as postgres, or GRANT pg_monitor";
    model.sites[0].database = Reading::Unseen { why: why.to_owned() };
    model
}

/// Two servers, one of them a replica that has lost its master; a worker that hangs.
fn two_servers() -> Model {
    redis(fixtures::worker_down(), |redis| {
        let mut queues = redis.server.clone();
        queues.place = "10.0.0.7:6380".to_owned();
        (queues.policy, queues.max_memory) = (Some("allkeys-lru".to_owned()), Some(64 << 20));
        queues.used_memory = Some(63 << 20);
        queues.evicted = Some(Counter { total: 9120, recent: 311 });
        redis.broker_server = Some(queues);
        if let Some(broker) = &mut redis.broker {
            (broker.consumers, broker.quiet, broker.silent, broker.beating) = (Some(2), 1, 1, 1);
            (broker.consumer_idle_s, broker.unacked_oldest_s) = (Some(410), Some(412));
            broker.subscriptions = Some(4);
        }
    })
}

#[test]
fn data() {
    for (name, model) in vec![
        ("healthy", on(fixtures::healthy(), Screen::Data)),
        ("locked", on(fixtures::db_lock(), Screen::Data)),
        ("db-down", on(fixtures::db_down(), Screen::Data)),
        ("redis-full", full()),
        ("unseen", unseen()),
        ("two-servers", two_servers()),
        ("worker-gone", on(fixtures::worker_down(), Screen::Data)),
        ("stale", on(fixtures::stale(), Screen::Data)),
        ("nothing-yet", on(fixtures::nothing_yet(), Screen::Data)),
        ("no-site", on(fixtures::no_site(), Screen::Data)),
    ] {
        snapshot(&format!("data-{name}"), &model);
    }
}

#[test]
fn a_session_opened() {
    let mut model = on(fixtures::db_lock(), Screen::Data);
    model.data.open = Some(midwatch::app::view::rows(&model)[0].clone());
    snapshot("data-session", &model);
    model.data.open = Some("5203".to_owned());
    let shown = ui::plain(&model, &dark(), 80, 24);
    assert!(shown.contains("5120 (migrate) ← 4711 (psql)"), "the way to the root: {shown}");
    model.data.open = Some("1".to_owned());
    assert!(ui::plain(&model, &dark(), 80, 24).contains("blocks nobody any more"));
}

/// However little room there is: whether writes are taken, who takes tasks, who blocks, and why something is not seen.
#[test]
fn what_matters_most_stays_at_the_smallest_sizes() {
    for (width, height) in [(60, 15), (80, 24), (120, 40), (160, 48)] {
        let shown = |model: &Model| ui::plain(model, &dark(), width, height);
        assert!(shown(&full()).contains("✖ refused: memory is used up"), "{width}×{height}");
        let locked = shown(&on(fixtures::db_lock(), Screen::Data));
        assert!(locked.contains("4711") && locked.contains("idle in transaction"), "{width}×{height}: {locked}");
        let gone = shown(&on(fixtures::worker_down(), Screen::Data));
        assert!(gone.contains("✖ nobody takes tasks"), "{width}×{height}: {gone}");
        let blind = shown(&unseen());
        assert!(blind.contains("? unseen") && blind.contains("can't be seen"), "{width}×{height}: {blind}");
        assert!(blind.contains("ACL SETUSER app +client|list"), "the grant: {blind}");
    }
}

/// What a failed look left behind is never shown as fine.
#[test]
fn a_redis_that_answers_no_more_is_not_green() {
    let mut model = on(fixtures::healthy(), Screen::Data);
    for site in &mut model.sites {
        fail(site);
    }
    let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 160, 48));
    ui::draw(&model, &dark(), &mut buffer);
    let ok = dark().theme.style(midwatch::ui::theme::Role::Ok);
    let right = buffer.content().iter().enumerate().filter(|(at, _)| at % 160 > 82 && at / 160 > 10);
    assert!(ui::plain(&model, &dark(), 160, 48).contains("was ok"));
    assert!(right.filter(|(_, cell)| cell.symbol() == "✔").all(|(_, cell)| Some(cell.fg) != ok.fg));
}

fn fail(site: &mut Site) {
    let why = "Redis at 127.0.0.1:6379 refuses connections: nothing listens there. See whether it runs.".to_owned();
    if let Reading::Fresh { value, at, .. } = std::mem::take(&mut site.redis) {
        site.redis = Reading::Stale { value, at, failed_since: fixtures::ago(60), why };
    }
}
