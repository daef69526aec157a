//! Puts the parts together: for each site and host one task that polls and publishes, or reads what another midwatch
//! polls. The only layer besides [`crate::cli`] that knows backends and runtime at once.

pub mod clerk;
pub mod emit;
mod host;
mod runs;
pub mod scope;
pub mod site;
pub mod survey;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::clerk::{Desk, Polled};
use self::emit::Emitter;
use self::scope::{Post, Turn};
use self::site::{Signs, WebPlan};
use crate::app::event::Event;
use crate::app::model::{Model, Site};
use crate::app::runbooks::desk::Errand;
use crate::backends::access::AccessProbe;
use crate::backends::app_state::AppProbe;
use crate::backends::backups::BackupsProbe;
use crate::backends::database::DatabaseProbe;
use crate::backends::http::{Limits, WebProbe};
use crate::backends::logs::LogProbe;
use crate::backends::redis::RedisProbe;
use crate::backends::services::ServicesProbe;
use crate::backends::store::who::who;
use crate::config::{AppKind, Config, Found, PaceConfig, SiteConfig, StateDir};
use crate::discovery::Surroundings;
use crate::domain::counters::TrafficWindow;
use crate::domain::id::{Scope, SourceKind};
use crate::domain::observation::Observation;
use crate::domain::reading::Seen;
use crate::runtime::clock;
use crate::runtime::driver::Wires;

/// Events that may wait for the event loop; more are dropped and counted.
const EVENTS: usize = 512;
/// Notes that may wait to be written into the record, and errands to be carried out.
const REMARKS: usize = 64;
/// How long what waits to be written is waited for at the end.
const END_LIMIT: Duration = Duration::from_millis(1_500);

/// Everything that watches; dropping it ends all of it.
#[derive(Debug)]
pub struct Watch {
    tasks: JoinSet<()>,
    ending: watch::Sender<bool>,
    desk: Option<Work>,
}

/// What whoever plans, starts and reads runs needs.
#[derive(Debug)]
pub struct Work {
    /// Where what is found goes.
    pub events: mpsc::Sender<Event>,
    /// What is wanted.
    pub errands: mpsc::Receiver<Errand>,
}

impl Watch {
    /// Begins to watch everything of `config`; what is seen comes out of the wires.
    pub fn begin(config: &Arc<Config>) -> (Self, Wires) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let (poll_now, poll_now_receiver) = watch::channel(0);
        let (memories, memories_receiver) = watch::channel(std::collections::BTreeMap::new());
        let (ending, ending_receiver) = watch::channel(false);
        let (away, away_receiver) = watch::channel(false);
        let (polled, polled_receiver) = Polled::none();
        let (looks, looks_receiver) = watch::channel(std::collections::BTreeMap::new());
        let (remarks, remarks_receiver) = mpsc::channel(REMARKS);
        let (errands, errands_receiver) = mpsc::channel(REMARKS);
        let post = |scope, state: &StateDir| Post {
            scope,
            events: events.clone(),
            state: state.clone(),
            poll_now: poll_now_receiver.clone(),
            memories: memories_receiver.clone(),
            ending: ending_receiver.clone(),
            away: away_receiver.clone(),
            polled: polled.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(clerk::keep(Desk {
            state: config.state.clone(),
            who: who(&Surroundings::of_process().env),
            polled: polled.clone(),
            looks: looks_receiver,
            remarks: remarks_receiver,
            events: events.clone(),
            ending: ending_receiver.clone(),
        }));
        if let StateDir::Directory(state) = &config.state {
            let (state, again, mut ending) = (state.clone(), poll_now.clone(), ending_receiver.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = runs::follow(&state, again) => {}
                    _ = ending.wait_for(|ending| *ending) => {}
                }
            });
        }
        let host = post(Scope::Host(config.host.clone()), &config.state);
        let (poll_now_host, of_host) = (poll_now_receiver.clone(), Arc::clone(config));
        tasks.spawn(host.watch(move |turn| {
            let (config, poll_now) = (Arc::clone(&of_host), poll_now_host.clone());
            async move { Box::pin(host::poll(&config, turn, poll_now)).await }
        }));
        for index in 0..config.sites.len() {
            let Some(site) = config.sites.get(index) else { continue };
            let post = post(Scope::Site(site.id.clone()), &config.state);
            let of_logs = Arc::clone(config);
            let (config, poll_now) = (Arc::clone(config), poll_now_receiver.clone());
            tasks.spawn(post.watch(move |turn| {
                let (config, poll_now) = (Arc::clone(&config), poll_now.clone());
                async move {
                    if let Some(site) = config.sites.get(index) {
                        let state = match &config.state {
                            StateDir::Directory(dir) => Some(dir.as_path()),
                            StateDir::Memory(_) => None,
                        };
                        Box::pin(poll_site(site, &config.pace, turn, poll_now, (state, config.read_only))).await;
                    }
                }
            }));
            // Logs cost their writer nothing and are too much for the store: each midwatch reads them for itself.
            let logs = LogProbe::new(site);
            let emit = Emitter::new(Scope::Site(site.id.clone()), events.clone(), None);
            let (every, poll_now) = (of_logs.pace.logs, poll_now_receiver.clone());
            let mut ending = ending_receiver.clone();
            tasks.spawn(async move {
                let wrap = |seen| Observation::Logs(Box::new(seen));
                tokio::select! {
                    () = site::observe(logs, every, emit, poll_now, wrap, |_| {}) => {}
                    _ = ending.wait_for(|ending| *ending) => {}
                }
            });
        }
        let polled = polled_receiver;
        let wires = Wires { events: receiver, poll_now, memories, looks, remarks, errands, away, polled };
        let desk = Some(Work { events, errands: errands_receiver });
        (Self { tasks, ending, desk }, wires)
    }

    /// What whoever plans, starts and reads runs needs, once. Nobody does who has no screen.
    pub const fn work(&mut self) -> Option<Work> {
        self.desk.take()
    }

    /// Lets what waits be written, then ends.
    pub async fn end(mut self) {
        self.ending.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(END_LIMIT, all).await.is_err() {
            tracing::warn!("not everything could be written at the end");
        }
    }
}

/// The model of a program that has just been opened.
pub fn model(config: &Config) -> Model {
    let site = |s: &SiteConfig| {
        let app = match (s.app, &s.version) {
            (AppKind::Pretix, Some(version)) => format!("pretix {version}"),
            (AppKind::Pretix, None) => "pretix".to_owned(),
            (AppKind::Pretalx, Some(version)) => format!("pretalx {version}"),
            (AppKind::Pretalx, None) => "pretalx".to_owned(),
            (AppKind::Web, Some(version)) => version.clone(),
            (AppKind::Web, None) => "web application".to_owned(),
        };
        let mut site = Site::new(s.id.clone(), s.title.clone(), app, bare(&s.url), s.practice);
        site.sources = sources(s);
        site
    };
    let mut model = Model::new(clock::now(), config.sites.iter().map(site).collect(), config.host.clone());
    model.read_only = config.read_only;
    model.thresholds = config.thresholds.clone();
    // The longest silence there is without a fault: a slow pace, or the pause after a hang.
    let longest = [config.pace.health, config.pace.host].into_iter().max().unwrap_or_default();
    model.silent_after_ms = 40_000 + 2 * u64::try_from(longest.as_millis()).unwrap_or(0);
    if config.sites.is_empty() {
        let looked = config.trail.iter().rev().find(|t| t.what == "application");
        model.no_site = Some(match looked.map(|t| &t.outcome) {
            Some(Found::Yes(why) | Found::No(why) | Found::Broken(why)) => why.clone(),
            None => "discovery is switched off, and the configuration names no site".to_owned(),
        });
        let hidden = config.trail.iter().find_map(|t| match &t.outcome {
            Found::Broken(why) if t.what == "processes" => Some(why.clone()),
            Found::Yes(_) | Found::No(_) | Found::Broken(_) => None,
        });
        model.no_entry = hidden.is_some();
        model.no_site = hidden.or(model.no_site);
    }
    model
}

/// A URL as it may be shown: without a login.
fn bare(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_username("").ok();
    url.set_password(None).ok();
    url.to_string()
}

/// What there is to see of a site. What an application of its kind has and nobody told us of stays: its absence is news.
fn sources(site: &SiteConfig) -> Vec<SourceKind> {
    let expected = site.app != AppKind::Web;
    let has = |kind: &SourceKind| match kind {
        SourceKind::Health | SourceKind::Services | SourceKind::Logs | SourceKind::Backups => true,
        SourceKind::Direct => site.direct.is_some(),
        SourceKind::Traffic => site.metrics.is_ok() || site.app == AppKind::Pretix,
        SourceKind::Database => site.database.is_ok() || expected,
        SourceKind::Redis => site.redis.is_ok() || site.broker.is_ok(),
        SourceKind::Access => site.metrics.is_err(),
        SourceKind::App => expected,
        SourceKind::Host | SourceKind::Changes | SourceKind::Schedule | SourceKind::Updates | SourceKind::People => {
            false
        }
    };
    SourceKind::ALL.into_iter().filter(has).collect()
}

async fn poll_site(
    site: &SiteConfig,
    pace: &PaceConfig,
    turn: Turn,
    poll_now: watch::Receiver<u64>,
    place: (Option<&Path>, bool),
) {
    let Turn { emit, past } = turn;
    let (tell, signs) = watch::channel(Signs::GOOD);
    let web = async {
        let now = clock::now();
        let window = match past.counters {
            Some((counters, at)) => TrafficWindow::seeded(counters, -seconds(now.millis_since(at))),
            None => TrafficWindow::new(),
        };
        let plan = WebPlan {
            pace: pace.clone(),
            direct: site.direct.is_some(),
            no_metrics: site.metrics.as_ref().err().cloned(),
            seed: u64::from(std::process::id()) ^ now.as_millis().unsigned_abs(),
            pending: past.pending,
        };
        match WebProbe::new(site, Limits::with_hang(pace.hang)) {
            Ok(probe) => site::web(probe, plan, window, emit.clone(), signs, poll_now.clone()).await,
            Err(why) => emit.seen(Observation::Health(Seen::Unseen(why)), 0),
        }
    };
    tokio::join!(web, below(site, pace, &emit, &poll_now, place, &tell));
    // Each of them may have nothing to do; the scope is watched all the same.
    std::future::pending::<()>().await;
}

/// Polls everything of a site but its web side.
async fn below(
    site: &SiteConfig,
    pace: &PaceConfig,
    emit: &Emitter,
    poll_now: &watch::Receiver<u64>,
    (state, read_only): (Option<&Path>, bool),
    tell: &watch::Sender<Signs>,
) {
    let database = async {
        match &site.database {
            Ok(config) => {
                let told = |seen: &Seen<crate::domain::database::DatabaseReading>| {
                    let locked = |db: &crate::domain::database::DatabaseReading| {
                        db.waiting.unwrap_or(0) > 0 || db.file.as_ref().is_some_and(|file| file.locked)
                    };
                    let good = matches!(seen, Seen::Value(db) if !locked(db));
                    tell.send_if_modified(|signs| std::mem::replace(&mut signs.database, good) != good);
                };
                site::observe(
                    DatabaseProbe::new(config),
                    pace.database,
                    emit.clone(),
                    poll_now.clone(),
                    |seen| Observation::Database(Box::new(seen)),
                    told,
                )
                .await;
            }
            Err(why) => emit.seen(Observation::Database(Box::new(Seen::Unseen(why.clone()))), 0),
        }
    };
    let redis = async {
        if let (Err(why), Err(_)) = (&site.redis, &site.broker) {
            return emit.seen(Observation::Redis(Box::new(Seen::Unseen(why.clone()))), 0);
        }
        let told = |seen: &Seen<crate::domain::redis::RedisReading>| {
            let good = matches!(seen, Seen::Value(_));
            tell.send_if_modified(|signs| std::mem::replace(&mut signs.redis, good) != good);
        };
        let probe = RedisProbe::of(site.redis.as_ref().ok(), site.broker.as_ref().ok(), site.app);
        site::observe(
            probe,
            pace.redis,
            emit.clone(),
            poll_now.clone(),
            |seen| Observation::Redis(Box::new(seen)),
            told,
        )
        .await;
    };
    let again = || (emit.clone(), poll_now.clone());
    let services = {
        let (emit, poll_now) = again();
        let wrap = |seen| Observation::Services(Box::new(seen));
        site::observe(ServicesProbe::new(site), pace.services, emit, poll_now, wrap, |_| {})
    };
    let access = {
        let (emit, poll_now) = again();
        let wrap = |seen| Observation::Access(Box::new(seen));
        site::observe(AccessProbe::new(site), pace.of_site(SourceKind::Access), emit, poll_now, wrap, |_| {})
    };
    let backups = {
        let (emit, poll_now) = again();
        let wrap = |seen| Observation::Backups(Box::new(seen));
        site::observe(BackupsProbe::new(site, state, read_only), pace.backups, emit, poll_now, wrap, |_| {})
    };
    let on_disk = {
        let (emit, poll_now) = again();
        let wrap = |seen| Observation::App(Box::new(seen));
        site::observe(AppProbe::new(site), pace.backups, emit, poll_now, wrap, |_| {})
    };
    tokio::join!(database, redis, services, access, backups, on_disk);
}

#[expect(clippy::cast_precision_loss, reason = "five minutes of milliseconds fit")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
