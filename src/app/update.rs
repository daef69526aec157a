//! How each event changes the model.

mod desk;
mod keys;
mod logs;
mod observe;
mod point;
mod said;

use super::effect::Effect;
use super::event::{Event, Storage};
use super::model::{Model, Toast};
use super::runbooks::RUNS;
use super::runbooks::desk::Errand;
use super::view::runbooks;
use crate::domain::id::Scope;
use crate::domain::time::Timestamp;

/// How long a toast stays, in milliseconds.
const TOAST_MS: i64 = 4_000;
/// A jump of the clock is told for so long, in milliseconds.
const JUMP_TOLD_MS: u64 = 60_000;

pub use desk::unseen;

/// Takes in one event. Never fails, never blocks; what must happen outside comes back as effects.
pub fn update(model: &mut Model, event: Event) -> Vec<Effect> {
    let watched = runbooks::watched(model).map(ToOwned::to_owned);
    let mut effects = take(model, event);
    // Only of the run that is watched is read what it prints.
    let now = runbooks::watched(model).map(ToOwned::to_owned);
    if now != watched {
        model.runbooks.back = 0;
        effects.push(Effect::Errand(Errand::Follow(now)));
    }
    effects
}

fn take(model: &mut Model, event: Event) -> Vec<Effect> {
    match event {
        Event::Key(chord) => {
            model.touched = true;
            return keys::pressed(model, chord);
        }
        Event::Paste(text) => keys::pasted(model, &text),
        Event::Resized(columns, rows) => {
            model.size = (columns, rows);
            // The terminal has moved or cut what was on it, also when it is back at its old size by now.
            return vec![Effect::Redraw];
        }
        Event::Tick(now) => tick(model, now),
        Event::Observed(observed) => observe::take(model, *observed),
        Event::Recalled(scope, series) => observe::recall(model, &scope, series),
        Event::Remembered(scope, memory) => observe::remember(model, &scope, memory),
        Event::Storage(scope, storage) => stored(model, &scope, storage),
        Event::Recorded(entries) => model.timeline.take(entries, model.now),
        Event::RecordTrouble(why) => model.timeline.trouble = why,
        Event::Noted(None) => toast(model, "noted in the record".to_owned()),
        Event::Noted(Some(why)) => toast(model, format!("NOT on disk, in memory only: {why}")),
        Event::ClockJumped(millis) => model.clock_jump = Some((model.now, millis)),
        Event::Dropped(count) => model.dropped = model.dropped.saturating_add(count),
        Event::Runbooks(books, broken) => (model.runbooks.books, model.runbooks.broken) = (books, broken),
        Event::Runs(mut runs, unread) => {
            runs.truncate(RUNS);
            (model.runbooks.runs, model.runbooks.unread) = (Some(runs), unread);
        }
        Event::Printed(tail) => model.runbooks.printed(tail),
        Event::Planned(number, plan) => desk::planned(model, number, plan),
        Event::Started(number, reply) => desk::started(model, number, reply),
        Event::Spoken(reply) => desk::spoken(model, reply),
        Event::Drawn(number) => desk::drawn(model, number),
        Event::Resumed => return vec![Effect::Redraw],
        Event::Copied(chars) => toast(model, format!("copied {chars} characters")),
    }
    Vec::new()
}

/// A copy of a model that is held still, as it would be if it were not.
pub fn released(model: &Model) -> Model {
    let mut model = model.clone();
    model.paused = None;
    observe::release(&mut model);
    model
}

fn tick(model: &mut Model, now: Timestamp) {
    model.now = now;
    if model.toast.as_ref().is_some_and(|t| t.until <= now) {
        model.toast = None;
    }
    if model.clock_jump.is_some_and(|(at, _)| now.millis_since(at) > JUMP_TOLD_MS || now < at) {
        model.clock_jump = None;
    }
    if model.paused.is_none() {
        observe::assess(model);
    } else {
        observe::hold(model);
    }
}

fn stored(model: &mut Model, scope: &Scope, storage: Storage) {
    match scope {
        Scope::Site(id) => {
            if let Some(site) = model.sites.iter_mut().find(|s| s.id == *id) {
                site.storage = storage;
            }
        }
        Scope::Host(id) => {
            if let Some(host) = model.hosts.iter_mut().find(|h| h.id == *id) {
                host.storage = storage;
            }
        }
    }
}

/// Says something for a few seconds.
fn toast(model: &mut Model, text: String) {
    model.toast = Some(Toast { text, until: model.now.plus_millis(TOAST_MS) });
}
