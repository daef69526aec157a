use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use tokio::sync::Notify;

use super::*;

/// A server in the process that counts its sessions and questions, and can hang.
#[derive(Default)]
struct Scripted {
    connects: AtomicU32,
    questions: AtomicU32,
    open: Arc<AtomicU32>,
    most_open: AtomicU32,
    hangs: AtomicBool,
    woken: Notify,
    next: Mutex<Vec<Trouble>>,
}

struct Seat(Arc<AtomicU32>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server for Scripted {
    type Session = Seat;
    type Answer = u32;

    async fn connect(&self) -> Result<Seat, Trouble> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_open.fetch_max(open, Ordering::Relaxed);
        Ok(Seat(Arc::clone(&self.open)))
    }

    async fn ask(&self, _seat: &mut Seat) -> Result<u32, Trouble> {
        let number = self.questions.fetch_add(1, Ordering::Relaxed) + 1;
        while self.hangs.load(Ordering::Relaxed) {
            self.woken.notified().await;
        }
        match self.next.lock().unwrap().pop() {
            Some(trouble) => Err(trouble),
            None => Ok(number),
        }
    }

    fn silent(&self, admitted: bool, _seconds: u64) -> String {
        format!("silent, admitted: {admitted}")
    }
}

const LIMIT: Duration = Duration::from_millis(5);
const SILENT: &str = "silent, admitted: true";

#[tokio::test]
async fn a_server_that_hangs_gets_one_question_and_no_second_session() {
    let mut kept = KeptSession::new(Scripted::default(), LIMIT);
    assert_eq!(kept.look().await, Ok(1));
    kept.server.hangs.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        assert_eq!(kept.look().await, Err(SILENT.to_owned()));
    }
    assert_eq!(kept.server.questions.load(Ordering::Relaxed), 2);
    assert_eq!(kept.server.connects.load(Ordering::Relaxed), 1);

    kept.server.hangs.store(false, Ordering::Relaxed);
    kept.server.woken.notify_one();
    assert_eq!(kept.look().await, Ok(3), "the late answer is not passed off as a new one");
    assert_eq!(kept.server.connects.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn when_patience_ends_the_connection_is_closed_and_patience_grows() {
    let mut kept = KeptSession::new(Scripted::default(), LIMIT);
    kept.server.hangs.store(true, Ordering::Relaxed);
    kept.patience = LIMIT;
    for round in 1..=4 {
        while kept.patience < LIMIT * 2_u32.pow(round) {
            assert_eq!(kept.look().await, Err(SILENT.to_owned()));
        }
        assert_eq!(kept.server.connects.load(Ordering::Relaxed), round);
        assert_eq!(kept.server.open.load(Ordering::Relaxed), 0);
    }
    assert_eq!(kept.server.most_open.load(Ordering::Relaxed), 1);
    kept.server.hangs.store(false, Ordering::Relaxed);
    assert_eq!(kept.look().await, Ok(5));
    assert_eq!(kept.patience, PATIENCE);
}

#[tokio::test]
async fn a_session_ended_between_two_looks_is_opened_again_in_the_same_look() {
    let mut kept = KeptSession::new(Scripted::default(), LIMIT);
    assert_eq!(kept.look().await, Ok(1));
    kept.server.next.lock().unwrap().push(Trouble::new("ended", Then::Reconnect));
    assert_eq!(kept.look().await, Ok(3));
    assert_eq!(kept.server.connects.load(Ordering::Relaxed), 2);
    assert_eq!(kept.server.most_open.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn after_a_lasting_refusal_nothing_is_tried_for_a_while() {
    let mut kept = KeptSession::new(Scripted::default(), LIMIT);
    kept.server.next.lock().unwrap().push(Trouble::new("wrong password", Then::Rest));
    for _ in 0..5 {
        assert_eq!(kept.look().await, Err("wrong password".to_owned()));
    }
    assert_eq!(kept.server.connects.load(Ordering::Relaxed), 1);
    kept.rest = Some((Instant::now(), "over".to_owned()));
    assert_eq!(kept.look().await, Ok(2));
}

#[tokio::test]
async fn a_trouble_with_the_statement_keeps_the_session() {
    let mut kept = KeptSession::new(Scripted::default(), LIMIT);
    kept.server.next.lock().unwrap().push(Trouble::new("cancelled", Then::Stay));
    assert_eq!(kept.look().await, Err("cancelled".to_owned()));
    assert_eq!(kept.look().await, Ok(2));
    assert_eq!(kept.server.connects.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_look_dropped_half_way_leaves_its_question_open_not_a_second_one() {
    let mut kept = KeptSession::new(Scripted::default(), Duration::from_mins(1));
    kept.server.hangs.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(tokio::time::timeout(LIMIT, kept.look()).await.is_err());
    }
    assert_eq!(kept.server.questions.load(Ordering::Relaxed), 1);
    kept.server.hangs.store(false, Ordering::Relaxed);
    kept.server.woken.notify_one();
    assert_eq!(kept.look().await, Ok(2));
}
