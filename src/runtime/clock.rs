//! The two clocks: the wall's for what is shown, the steady one for what is measured.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// The wall clock now.
pub fn now() -> Timestamp {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    Timestamp::from_millis(millis)
}

/// Smaller differences between the clocks are drift and scheduling, not a jump.
const JUMP_MS: i64 = 2_000;

/// Notices when the wall clock moves against the steady one.
#[derive(Debug)]
pub struct JumpWatch {
    wall: Timestamp,
    steady: Instant,
}

impl JumpWatch {
    /// Begins now.
    pub fn new() -> Self {
        Self { wall: now(), steady: Instant::now() }
    }

    /// By how many milliseconds the wall clock jumped since the last call, if it did.
    pub fn jumped(&mut self) -> Option<i64> {
        let (wall, steady) = (now(), Instant::now());
        let expected = i64::try_from(steady.duration_since(self.steady).as_millis()).unwrap_or(i64::MAX);
        let jump = wall.as_millis().saturating_sub(self.wall.as_millis()).saturating_sub(expected);
        (self.wall, self.steady) = (wall, steady);
        (jump.abs() >= JUMP_MS).then_some(jump)
    }
}

impl Default for JumpWatch {
    fn default() -> Self {
        Self::new()
    }
}

/// A steady clock in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Steady(Instant);

impl Steady {
    /// Begins at 0 now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since it began.
    pub fn millis(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
