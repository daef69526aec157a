//! What happened, in the past tense.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::key::Chord;
use super::runbooks::desk::NoPlan;
use super::runbooks::{Book, Run, Tail};
use crate::domain::history::{Point, SeriesKey};
use crate::domain::id::Scope;
use crate::domain::observation::Observed;
use crate::domain::record::Entry;
use crate::domain::time::Timestamp;
use crate::runbook::plan::Plan;
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
    /// The catalogue of runbooks was read: what can be used, and why the rest can't.
    Runbooks(Vec<Book>, Vec<String>),
    /// The journals of runs have changed: the newest runs, and what can't be read.
    Runs(Vec<Arc<Run>>, Vec<String>),
    /// The run that is watched has printed this.
    Printed(Tail),
    /// The plan that was asked for with this number.
    Planned(u64, Result<Box<Plan>, NoPlan>),
    /// What became of the plan that was approved with this number: the run's id, or why nothing was begun.
    Started(u64, Result<String, String>),
    /// Something was said to a run, or could not be.
    Spoken(Result<String, String>),
    /// What waited for it was drawn: the plan with this number can be answered.
    Drawn(u64),
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
