//! What happened, in the past tense.

use serde::{Deserialize, Serialize};

use super::key::Chord;
use crate::domain::history::{Point, SeriesKey};
use crate::domain::id::Scope;
use crate::domain::observation::Observed;
use crate::domain::record::Entry;
use crate::domain::time::Timestamp;
use crate::triage::Memory;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A key was pressed.
    Key(Chord),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this size now: columns, rows.
    Resized(u16, u16),
    /// Time has passed; sent about once a second.
    Tick(Timestamp),
    /// A source was looked at.
    Observed(Box<Observed>),
    /// Older points of a scope's series were read from disk.
    Recalled(Scope, Vec<(SeriesKey, Vec<Point>)>),
    /// What the rules remembered of a scope was read from disk.
    Remembered(Scope, Memory),
    /// Who polls a scope, and where its history goes, has changed.
    Storage(Scope, Storage),
    /// The incident record has these entries besides those that are known.
    Recorded(Vec<Entry>),
    /// Why the incident record can't be kept on disk; `None`: it can.
    RecordTrouble(Option<String>),
    /// What the operator said is in the record; or why it is in memory only.
    Noted(Option<String>),
    /// The wall clock moved against the steady one by so many milliseconds.
    ClockJumped(i64),
    /// So many observations were dropped because newer ones of the same source arrived first.
    Dropped(u64),
    /// The terminal was given back after a suspend.
    Resumed,
    /// The text was handed to the terminal's clipboard.
    Copied(usize),
}

/// Who polls a scope, and where its history goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// Not known yet.
    #[default]
    Starting,
    /// This process polls and publishes to the state directory.
    Poller,
    /// Another midwatch polls; this one reads what it publishes.
    Reader {
        /// The other's process id.
        pid: u32,
        /// Why it can't publish what it sees.
        trouble: Option<String>,
    },
    /// This process polls and keeps everything in memory only, for this reason.
    Memory(String),
}
