//! The event loop: receive, update, carry out effects, maybe draw.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::clock::{self, JumpWatch};
use super::input::Input;
use super::panic;
use super::screen::{Report, Screen};
use super::terminal::{Frame, Terminal};
use crate::app::effect::{Effect, Remark};
use crate::app::event::Event;
use crate::app::key::{Chord, Key};
use crate::app::model::Model;
use crate::app::record::looks;
use crate::app::runbooks::desk::Errand;
use crate::app::update::{released, update};
use crate::domain::id::Scope;
use crate::domain::record::ledger::Look;
use crate::triage::Memory;

/// Why the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The operator left.
    Quit,
    /// The terminal went away; the watching ends with it, nothing else does.
    HungUp,
    /// This signal came.
    Signal(u8),
    /// midwatch itself failed, on one of its threads.
    Failed,
}

impl End {
    /// The exit code: 0, 128 plus the signal, or 70 (`EX_SOFTWARE`). A hang-up is how an SSH session ends and no failure
    /// of ours: 0.
    pub const fn code(self) -> u8 {
        match self {
            Self::Quit | Self::HungUp => 0,
            Self::Signal(n) => 128 + n,
            Self::Failed => 70,
        }
    }
}

/// How the loop reaches the world.
#[derive(Debug)]
pub struct Wires {
    /// What pollers report.
    pub events: mpsc::Receiver<Event>,
    /// Counts up whenever everything shall be looked at now.
    pub poll_now: watch::Sender<u64>,
    /// What the rules remember, by scope, for who keeps it on disk.
    pub memories: watch::Sender<Memories>,
    /// What the model says of every scope, for the incident record.
    pub looks: watch::Sender<Looks>,
    /// What the operator says to it.
    pub remarks: mpsc::Sender<Remark>,
    /// What they want of runbooks and runs.
    pub errands: mpsc::Sender<Errand>,
    /// True while the program is stopped, or about to be: it polls nothing then, and others may.
    pub away: watch::Sender<bool>,
    /// The scopes this process polls.
    pub polled: watch::Receiver<BTreeSet<Scope>>,
}

/// What the model says of every scope, for the incident record.
pub type Looks = BTreeMap<Scope, Look>;

/// How long pollers may take to stop before the program is.
const AWAY_LIMIT: Duration = Duration::from_secs(1);

/// What goes on while the screen is held still: the record is kept for everybody, not for this screen.
#[derive(Debug, Default)]
struct Behind(Option<Box<Model>>);

impl Behind {
    /// Takes in what the held model puts off.
    fn take(&mut self, shown: &Model, event: &Event) {
        if shown.paused.is_none() {
            self.0 = None;
            return;
        }
        let model = self.0.get_or_insert_with(|| Box::new(released(shown)));
        if matches!(event, Event::Key(_) | Event::Paste(_) | Event::Resized(..)) {
            return;
        }
        update(model, event.clone());
    }

    fn looks(&self, shown: &Model) -> Looks {
        looks(self.0.as_deref().filter(|_| shown.paused.is_some()).unwrap_or(shown))
    }
}

/// What the rules remember, by scope.
pub type Memories = BTreeMap<Scope, Memory>;

/// Hands on what the rules remember, if any of it began or ended since.
fn remember(memories: &watch::Sender<Memories>, model: &Model) {
    let begun = |memory: &Memory| memory.marks.iter().map(|(key, mark)| (key.clone(), mark.since)).collect::<Vec<_>>();
    let sites = model.sites.iter().map(|s| (s.scope(), &s.memory));
    let now: Vec<_> = sites.chain(model.hosts.iter().map(|h| (Scope::Host(h.id.clone()), &h.memory))).collect();
    memories.send_if_modified(|before| {
        let same = now.iter().all(|(scope, memory)| before.get(scope).is_some_and(|b| begun(b) == begun(memory)));
        if !same {
            *before = now.iter().map(|(scope, memory)| (scope.clone(), (*memory).clone())).collect();
        }
        !same
    });
}

/// The signals that end or touch a program. To be taken before the terminal is: one that comes in between would leave
/// the terminal as it is then.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    proceed: Signal,
}

impl Signals {
    /// From now on these signals are ours.
    ///
    /// # Errors
    /// When they can't be received.
    pub fn take() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            // SIGCONT is 18 on every Linux we run on.
            proceed: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }

    /// Waits for a signal, or a panic, that ends the program; `None`: it was continued after a stop.
    async fn next(&mut self) -> Option<End> {
        tokio::select! {
            () = panic::happened() => Some(End::Failed),
            _ = self.hangup.recv() => Some(End::HungUp),
            _ = self.terminate.recv() => Some(End::Signal(15)),
            _ = self.interrupt.recv() => Some(End::Signal(2)),
            _ = self.proceed.recv() => None,
        }
    }
}

/// How long a terminal that takes no output is waited for at the end.
const LEAVE_LIMIT: Duration = Duration::from_millis(700);

/// Runs the screens until the operator leaves, the terminal goes, or a signal comes.
///
/// # Errors
/// When signals can't be received or the drawing thread can't be started.
pub async fn screens(
    model: Model,
    mut wires: Wires,
    (mut signals, terminal): (Signals, Terminal),
    inputs: impl Stream<Item = io::Result<Input>>,
    frame_time: Duration,
    draw: impl Fn(&Model, &mut Frame<'_>) + Send + Sync + 'static,
    plain: impl Fn(&Model) -> String,
) -> io::Result<End> {
    let (screen, mut reports) = Screen::start(terminal, draw)?;
    let mut inputs = pin!(inputs);
    let mut model = Arc::new(model);
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut jumps = JumpWatch::new();
    let mut dirty = true;
    let mut drawn_at = Instant::now().checked_sub(frame_time).unwrap_or_else(Instant::now);
    let mut behind = Behind::default();
    let mut seen = None;
    let end = loop {
        let mut batch = Vec::new();
        let (mut urgent, mut ticked) = (false, false);
        tokio::select! {
            biased;
            end = signals.next() => match end {
                Some(end) => break end,
                None => batch.push(Event::Resumed),
            },
            number = async { seen.take() }, if seen.is_some() => {
                batch.extend(number.into_iter().flat_map(|number| drawn(number, inputs.as_mut())));
            }
            report = reports.recv() => match report {
                Some(Report::Resumed) => {
                    wires.away.send_replace(false);
                    batch.push(Event::Resumed);
                }
                Some(Report::Drawn(number)) => batch.extend(drawn(number, inputs.as_mut())),
                Some(Report::Gone(error)) => {
                    tracing::info!(%error, "the terminal is gone");
                    break End::HungUp;
                }
                // The drawing thread ends without a report only by a panic.
                None => break End::Failed,
            },
            input = inputs.next() => match input {
                Some(Ok(input)) => {
                    urgent = true;
                    batch.push(input.into_event());
                }
                Some(Err(error)) => {
                    tracing::info!(%error, "the terminal can't be read");
                    break End::HungUp;
                }
                None => break End::HungUp,
            },
            () = sleep_until(drawn_at + frame_time), if dirty => {}
            event = wires.events.recv() => {
                batch.extend(event);
                while let Ok(more) = wires.events.try_recv() {
                    batch.push(more);
                }
            }
            _ = tick.tick() => {
                batch.extend(jumps.jumped().map(Event::ClockJumped));
                batch.push(Event::Tick(clock::now()));
                ticked = true;
            }
        }
        let mut leaving = false;
        for event in batch {
            dirty = true;
            behind.take(&model, &event);
            for effect in update(Arc::make_mut(&mut model), event) {
                match effect {
                    Effect::Quit => leaving = true,
                    Effect::Suspend => {
                        // Whoever watches on must not wait for a program that is stopped.
                        wires.away.send_replace(true);
                        timeout(AWAY_LIMIT, wires.polled.wait_for(BTreeSet::is_empty)).await.ok();
                        screen.suspend();
                    }
                    Effect::Note(remark) => note(&wires, &mut model, remark),
                    Effect::Errand(errand) => hand_on(&wires, &mut model, errand),
                    Effect::Redraw => screen.clear(),
                    Effect::PollNow => wires.poll_now.send_modify(|n| *n = n.wrapping_add(1)),
                    Effect::Copy(text) => copy(&screen, &mut model, text),
                    Effect::CopyScreen => {
                        let text = plain(&model);
                        copy(&screen, &mut model, text);
                    }
                }
            }
        }
        if leaving {
            break End::Quit;
        }
        if ticked {
            remember(&wires.memories, &model);
            wires.looks.send_replace(behind.looks(&model));
        }
        if dirty && (urgent || drawn_at.elapsed() >= frame_time) {
            seen = screen.show(Arc::clone(&model));
            drawn_at = Instant::now();
            dirty = false;
        }
    };
    wires.looks.send_replace(behind.looks(&model));
    screen.leave(LEAVE_LIMIT).await;
    Ok(end)
}

fn note(wires: &Wires, model: &mut Arc<Model>, remark: Remark) {
    if let Err(error) = wires.remarks.try_send(remark) {
        update(Arc::make_mut(model), Event::Noted(Some(format!("not noted: {error}"))));
    }
}

/// Hands an errand to who carries it out.
fn hand_on(wires: &Wires, model: &mut Arc<Model>, errand: Errand) {
    if let Err(error) = wires.errands.try_send(errand) {
        update(Arc::make_mut(model), Event::Spoken(Err(format!("not done: {error}"))));
    }
}

/// What waits to be read while something is drawn that asks for an approval was typed before anybody saw it: of that only
/// the ways out count.
fn drawn(number: u64, mut inputs: Pin<&mut impl Stream<Item = io::Result<Input>>>) -> Vec<Event> {
    let mut kept = vec![Event::Drawn(number)];
    while let Some(Some(Ok(input))) = inputs.next().now_or_never() {
        let out = [Chord::ctrl('c'), Chord::plain(Key::Esc)];
        if matches!(&input, Input::Key(chord) if out.contains(chord)) || matches!(input, Input::Resized(..)) {
            kept.push(input.into_event());
        }
    }
    kept
}

fn copy(screen: &Screen, model: &mut Arc<Model>, text: String) {
    let chars = text.chars().count();
    screen.copy(text);
    update(Arc::make_mut(model), Event::Copied(chars));
}

/// Runs the model without a screen: `each` sees it after every event and says whether to go on.
///
/// # Errors
/// When signals can't be received.
pub async fn headless(
    mut model: Model,
    mut wires: Wires,
    mut each: impl FnMut(&Model) -> bool,
) -> io::Result<(End, Model)> {
    let mut signals = Signals::take()?;
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut jumps = JumpWatch::new();
    loop {
        let mut batch = Vec::new();
        let mut ticked = false;
        tokio::select! {
            biased;
            end = signals.next() => match end {
                Some(end) => {
                    wires.looks.send_replace(looks(&model));
                    return Ok((end, model));
                }
                None => continue,
            },
            event = wires.events.recv() => {
                batch.extend(event);
                while let Ok(more) = wires.events.try_recv() {
                    batch.push(more);
                }
            }
            _ = tick.tick() => {
                batch.extend(jumps.jumped().map(Event::ClockJumped));
                batch.push(Event::Tick(clock::now()));
                ticked = true;
            }
        }
        for event in batch {
            // Without keys there is nothing to carry out.
            update(&mut model, event);
        }
        if ticked {
            remember(&wires.memories, &model);
            wires.looks.send_replace(looks(&model));
        }
        if !each(&model) {
            wires.looks.send_replace(looks(&model));
            return Ok((End::Quit, model));
        }
    }
}
