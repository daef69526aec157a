//! The thread that draws: takes the newest model, never an older one, and the terminal's other business in order.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::terminal::{self, Frame, Terminal};
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
    Leave,
}

#[derive(Debug, Default)]
struct Desk {
    model: Option<Arc<Model>>,
    orders: VecDeque<Order>,
}

/// The handle the event loop holds.
#[derive(Debug)]
pub struct Screen {
    desk: Arc<(Mutex<Desk>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Starts the thread; `draw` is called with every model that is drawn.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        terminal: Terminal,
        draw: impl Fn(&Model, &mut Frame<'_>) + Send + 'static,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Report>)> {
        let desk: Arc<(Mutex<Desk>, Condvar)> = Arc::default();
        // Unbounded, yet bounded: at most one report per order or frame, and `Gone` ends the thread.
        let (reports, receiver) = mpsc::unbounded_channel();
        let theirs = Arc::clone(&desk);
        let thread = std::thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || work(terminal, &theirs, &reports, &draw))?;
        Ok((Self { desk, thread: Some(thread) }, receiver))
    }

    fn order(&self, order: Order) {
        let (lock, ready) = &*self.desk;
        lock.lock().unwrap_or_else(PoisonError::into_inner).orders.push_back(order);
        ready.notify_one();
    }

    /// Draws this model, instead of any that is still waiting to be drawn.
    pub fn show(&self, model: Arc<Model>) {
        let (lock, ready) = &*self.desk;
        lock.lock().unwrap_or_else(PoisonError::into_inner).model = Some(model);
        ready.notify_one();
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

fn work(
    terminal: Terminal,
    desk: &(Mutex<Desk>, Condvar),
    reports: &mpsc::UnboundedSender<Report>,
    draw: &dyn Fn(&Model, &mut Frame<'_>),
) {
    let mut terminal = terminal;
    loop {
        let (order, model) = next(desk);
        let done = match order {
            Some(Order::Clear) => terminal.clear(),
            Some(Order::Suspend) => {
                let done = terminal.suspend();
                reports.send(Report::Resumed).ok();
                done
            }
            Some(Order::Copy(text)) => terminal.copy(&text),
            Some(Order::Leave) => return,
            None => match model {
                Some(model) => terminal.draw(|frame| draw(&model, frame)).map(|()| {
                    if let Some(number) = unseen(&model) {
                        reports.send(Report::Drawn(number)).ok();
                    }
                }),
                None => Ok(()),
            },
        };
        if let Err(error) = done {
            reports.send(Report::Gone(error)).ok();
            return;
        }
    }
}

/// Waits for something to do: orders first, then the newest model.
fn next(desk: &(Mutex<Desk>, Condvar)) -> (Option<Order>, Option<Arc<Model>>) {
    let (lock, ready) = desk;
    let mut desk = lock.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(order) = desk.orders.pop_front() {
            return (Some(order), None);
        }
        if let Some(model) = desk.model.take() {
            return (None, Some(model));
        }
        desk = ready.wait(desk).unwrap_or_else(PoisonError::into_inner);
    }
}
