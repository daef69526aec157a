//! One look at everything but the web side, by this process itself: what the one who asks can see, whoever polls.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::emit::Emitter;
use super::scope::Turn;
use super::site::{self, Signs};
use super::{EVENTS, below, host, model};
use crate::app::event::Event;
use crate::app::model::{Host, Model};
use crate::app::record::sources;
use crate::app::update::update;
use crate::backends::logs::LogProbe;
use crate::backends::store::Past;
use crate::config::Config;
use crate::domain::id::{Scope, SourceKind};
use crate::domain::observation::Observation;
use crate::runtime::clock;

/// What is not asked in a survey: a question to the web side is the poller's to put, one at a time.
pub const NOT_ASKED: [SourceKind; 3] = [SourceKind::Health, SourceKind::Direct, SourceKind::Traffic];

/// Looks until every source has answered or `limit` is over. Nothing is written anywhere.
pub async fn survey(config: &Arc<Config>, limit: Duration) -> Model {
    let (events, mut receiver) = mpsc::channel(EVENTS);
    let (_never, poll_now) = watch::channel(0_u64);
    let mut tasks = JoinSet::new();
    let emitter = |scope| Emitter::new(scope, events.clone(), None);
    let (emit, of_host, again) = (emitter(Scope::Host(config.host.clone())), Arc::clone(config), poll_now.clone());
    tasks.spawn(async move { Box::pin(host::poll(&of_host, Turn { emit, past: Past::default() }, again)).await });
    for index in 0..config.sites.len() {
        let Some(site) = config.sites.get(index) else { continue };
        let (emit, config, again) = (emitter(Scope::Site(site.id.clone())), Arc::clone(config), poll_now.clone());
        let (of_logs, every) = (emit.clone(), config.pace.logs);
        let (logs, poll_now) = (LogProbe::new(site), poll_now.clone());
        tasks.spawn(async move {
            let (tell, _signs) = watch::channel(Signs::GOOD);
            if let Some(site) = config.sites.get(index) {
                below(site, &config.pace, &emit, &again, (None, true), &tell).await;
            }
        });
        tasks.spawn(async move {
            let wrap = |seen| Observation::Logs(Box::new(seen));
            site::observe(logs, every, of_logs, poll_now, wrap, |_| {}).await;
        });
    }
    let deadline = Instant::now() + limit;
    let mut model = model(config);
    while !answered(&model) {
        let Ok(Some(event)) = timeout_at(deadline, receiver.recv()).await else { break };
        update(&mut model, event);
    }
    update(&mut model, Event::Tick(clock::now()));
    tasks.abort_all();
    model
}

/// Whether every source that is asked has answered.
fn answered(model: &Model) -> bool {
    let sites = model.sites.iter().all(|s| {
        let looked = sources::of_site(s);
        s.sources.iter().all(|kind| NOT_ASKED.contains(kind) || looked.contains_key(kind))
    });
    // What processes hold open comes with the host's second look.
    let deep = |h: &Host| h.reading.fresh().is_none_or(|host| host.depth.is_some());
    sites && model.hosts.iter().all(|h| sources::of_host(h).len() == sources::HOST.len() && deep(h))
}
