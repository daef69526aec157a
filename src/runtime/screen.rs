//! Draws the newest model, never an older one, and does the terminal's other business in order: on a thread that may wait
//! for the terminal, which the event loop never does.

use std::collections::VecDeque;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::terminal::{self, Door, Frame, Terminal};
use crate::app::model::Model;
use crate::app::update::unseen;

/// What the drawing thread reports.
#[derive(Debug)]
pub enum Report {
    /// The terminal is gone, or can't be written to.
    Gone(io::Error),
    /// The program was suspended and goes on.
    Resumed,
    /// The card with this number, which waited for it, was drawn.
    Drawn(u64),
}

#[derive(Debug)]
enum Order {
    Clear,
    Suspend,
    Copy(String),
    /// What the terminal did not take at once, and the card it is the end of.
    Rest(Vec<u8>, Option<u64>),
    Leave,
}

#[derive(Debug, Default)]
struct Desk {
    model: Option<Arc<Model>>,
    orders: VecDeque<Order>,
    /// Whether the thread is at work.
    busy: bool,
}

type Draw = dyn Fn(&Model, &mut Frame<'_>) + Send + Sync;

/// The handle the event loop holds.
pub struct Screen {
    desk: Arc<(Mutex<Desk>, Condvar)>,
    terminal: Arc<Mutex<Terminal>>,
    draw: Arc<Draw>,
    door: Option<Door>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Starts the thread; `draw` is called with every model that is drawn.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        terminal: Terminal,
        draw: impl Fn(&Model, &mut Frame<'_>) + Send + Sync + 'static,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Report>)> {
        let desk: Arc<(Mutex<Desk>, Condvar)> = Arc::default();
        let (terminal, draw): (_, Arc<Draw>) = (Arc::new(Mutex::new(terminal)), Arc::new(draw));
        // Unbounded, yet bounded: at most one report per order or frame, and `Gone` ends the thread.
        let (reports, receiver) = mpsc::unbounded_channel();
        let work = Work { desk: Arc::clone(&desk), terminal: Arc::clone(&terminal), draw: Arc::clone(&draw), reports };
        let thread = std::thread::Builder::new().name("screen".to_owned()).spawn(move || work.work())?;
        Ok((Self { desk, terminal, draw, door: Door::open(), thread: Some(thread) }, receiver))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, order: Order) {
        self.desk().orders.push_back(order);
        self.desk.1.notify_one();
    }

    /// Draws this model, instead of any that is still waiting to be drawn. Here and now, if the thread has nothing to do and
    /// the terminal takes it: on a busy machine, to wake a thread takes longer than to draw. The number of the card that
    /// waited for it, if it is on the terminal when this returns.
    pub fn show(&self, model: Arc<Model>) -> Option<u64> {
        let mut desk = self.desk();
        let idle = !desk.busy && desk.orders.is_empty() && desk.model.is_none();
        match self.door.as_ref().filter(|_| idle) {
            Some(door) => {
                let number = unseen(&model);
                let mut terminal = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
                // Who panics here has been told and given the terminal back by the hook; the loop ends as for any other thread.
                let draw = || terminal.draw(|frame| (self.draw)(&model, frame));
                let Ok(drawn) = std::panic::catch_unwind(AssertUnwindSafe(draw)) else { return None };
                match drawn.and_then(|mut bytes| door.write(&bytes).map(|written| bytes.split_off(written))) {
                    Ok(rest) if rest.is_empty() => return number,
                    Ok(rest) => desk.orders.push_back(Order::Rest(rest, number)),
                    // The thread finds out the same, and reports it.
                    Err(_) => desk.model = Some(model),
                }
            }
            None => desk.model = Some(model),
        }
        self.desk.1.notify_one();
        None
    }

    /// Clears the terminal, so that the next model is drawn in full.
    pub fn clear(&self) {
        self.order(Order::Clear);
    }

    /// Gives the terminal back and stops the process until it is continued.
    pub fn suspend(&self) {
        self.order(Order::Suspend);
    }

    /// Puts text on the terminal's clipboard.
    pub fn copy(&self, text: String) {
        self.order(Order::Copy(text));
    }

    /// Gives the terminal back, if it is still there; waits for it at most `limit`. One that takes no output gets only
    /// its settings back.
    pub async fn leave(mut self, limit: std::time::Duration) {
        self.order(Order::Leave);
        let Some(thread) = self.thread.take() else { return };
        let joined = tokio::task::spawn_blocking(move || thread.join().is_ok());
        if tokio::time::timeout(limit, joined).await.is_err() {
            terminal::cook();
            tracing::warn!("the terminal could not be restored in full: it does not take output");
        }
    }
}

/// What the thread works with.
struct Work {
    desk: Arc<(Mutex<Desk>, Condvar)>,
    terminal: Arc<Mutex<Terminal>>,
    draw: Arc<Draw>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Work {
    fn work(self) {
        loop {
            let (order, model) = self.next();
            let mut terminal = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
            let done = match order {
                Some(Order::Clear) => terminal.clear(),
                Some(Order::Suspend) => {
                    let done = terminal.suspend();
                    self.reports.send(Report::Resumed).ok();
                    done
                }
                Some(Order::Copy(text)) => terminal.copy(&text),
                Some(Order::Rest(bytes, number)) => Terminal::write(&bytes).map(|()| self.drawn(number)),
                Some(Order::Leave) => return terminal::give_back(),
                None => match model {
                    Some(model) => terminal
                        .draw(|frame| (self.draw)(&model, frame))
                        .and_then(|bytes| Terminal::write(&bytes))
                        .map(|()| self.drawn(unseen(&model))),
                    None => Ok(()),
                },
            };
            if let Err(error) = done {
                self.reports.send(Report::Gone(error)).ok();
                return;
            }
        }
    }

    fn drawn(&self, number: Option<u64>) {
        if let Some(number) = number {
            self.reports.send(Report::Drawn(number)).ok();
        }
    }

    /// Waits for something to do: orders first, then the newest model.
    fn next(&self) -> (Option<Order>, Option<Arc<Model>>) {
        let (lock, ready) = &*self.desk;
        let mut desk = lock.lock().unwrap_or_else(PoisonError::into_inner);
        desk.busy = false;
        loop {
            if let Some(order) = desk.orders.pop_front() {
                desk.busy = true;
                return (Some(order), None);
            }
            if let Some(model) = desk.model.take() {
                desk.busy = true;
                return (None, Some(model));
            }
            desk = ready.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
