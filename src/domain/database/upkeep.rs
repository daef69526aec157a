//! What a database needs over days: key space, transaction ids, log, statistics, room.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// What is looked at every few minutes only, each with bounded questions that never count rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Upkeep {
    /// Bytes of this database.
    pub size: Option<u64>,
    /// Keys by how much of their space is used, the fullest first.
    pub keys: Vec<KeySpace>,
    /// Foreign keys whose type is narrower than the key they refer to.
    pub key_types: Vec<KeyTypes>,
    /// The age of the oldest transaction id, and who holds it.
    pub txid: Option<TxidAge>,
    /// Tables that were never analyzed although they have rows, the largest first.
    pub never_analyzed: Vec<TableState>,
    /// Tables with the most dead rows.
    pub dead: Vec<Dead>,
}

/// Where a key's next value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// The sequence ends first: `ALTER SEQUENCE … AS bigint` mends it at once.
    Sequence,
    /// The column's type ends first: it has to be rewritten.
    Column,
}

/// How much of a key's space is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeySpace {
    /// `table.column`.
    pub column: String,
    /// The sequence, where there is one.
    pub sequence: String,
    /// What ends first.
    pub kind: KeyKind,
    /// The type that ends first: `integer`.
    pub type_name: String,
    /// The type of the column: `bigint`.
    pub column_type: String,
    /// The last value.
    pub last: u64,
    /// The last value there can be.
    pub limit: u64,
    /// Values used per day at the pace that was seen, where it was watched for long enough.
    pub per_day: Option<f64>,
}

impl KeySpace {
    /// The share that is used, 0.0 to 1.0.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn used(&self) -> f64 {
        if self.limit == 0 { 1.0 } else { self.last as f64 / self.limit as f64 }
    }

    /// Days left at the pace that was seen.
    #[expect(clippy::cast_precision_loss, reason = "days")]
    pub fn days_left(&self) -> Option<f64> {
        let pace = self.per_day.filter(|pace| *pace > 0.0)?;
        Some(self.limit.saturating_sub(self.last) as f64 / pace)
    }
}

/// A foreign key that is narrower than the key it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTypes {
    /// `table.column`.
    pub column: String,
    /// Its type.
    pub type_name: String,
    /// `table.column` it refers to.
    pub to: String,
    /// That one's type.
    pub to_type: String,
    /// The last value of the key that it refers to, where that has a sequence.
    pub last: Option<u64>,
    /// The last value that fits into the foreign key.
    pub limit: u64,
}

impl KeyTypes {
    /// The share of what fits that is used, 0.0 to 1.0.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn used(&self) -> Option<f64> {
        self.last.map(|last| if self.limit == 0 { 1.0 } else { last as f64 / self.limit as f64 })
    }
}

/// The age of the oldest unfrozen transaction id, in transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TxidAge {
    /// The database with the oldest.
    pub database: String,
    /// Its age.
    pub age: u64,
    /// The age of the oldest multixact id.
    pub multixact_age: u64,
    /// What keeps vacuum from moving it on, the oldest first.
    pub holders: Vec<Holder>,
    /// Autovacuum workers at it now.
    pub vacuums: u32,
}

/// Who holds back the oldest transaction id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `session 4711 (psql)`, `replication slot standby2`, `prepared transaction x`.
    pub what: String,
    /// How old the id is that it holds, in transactions.
    pub age: u64,
}

/// The write-ahead log, and who keeps it from being reused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Wal {
    /// Bytes it takes, where this role may see it.
    pub size: Option<u64>,
    /// Replication slots, the one that holds most first.
    pub slots: Vec<Slot>,
    /// The archiver, where archiving is on.
    pub archiver: Option<Archiver>,
    /// Who replicates from here.
    pub replicas: Vec<Replica>,
    /// The bound on what slots may hold, in bytes (`max_slot_wal_keep_size`); `None`: no bound.
    pub slot_limit: Option<u64>,
    /// The file system of the data, where it is on this host.
    pub room: Option<Room>,
    /// When this was looked at.
    pub at: Timestamp,
}

/// A file system's room.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Room {
    /// The directory asked about.
    pub directory: String,
    /// Bytes free to the server.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// A replication slot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// `physical` or `logical`.
    pub kind: String,
    /// Whether somebody reads from it now.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved`, `lost` (13 and later).
    pub wal_status: String,
    /// Bytes of the log that it holds.
    pub retained: Option<u64>,
    /// How fast that grows, in bytes per hour, where it was watched for long enough.
    pub per_hour: Option<f64>,
}

/// The archiver of the write-ahead log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Archiver {
    /// Files that could not be archived since the statistics began.
    pub failed: u64,
    /// The last that failed.
    pub last_failed: String,
    /// When it failed.
    pub failed_at: Option<Timestamp>,
    /// When the last success was.
    pub archived_at: Option<Timestamp>,
}

impl Archiver {
    /// Whether the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.failed_at.is_some() && self.failed_at > self.archived_at
    }
}

/// A server that replicates from this one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Replica {
    /// The application name it gave.
    pub name: String,
    /// Its address; empty for this host's socket.
    pub client: String,
    /// `streaming`, `catchup`, …
    pub state: String,
    /// Bytes that it has not replayed yet.
    pub behind_bytes: Option<u64>,
    /// Seconds by which it is behind.
    pub behind_s: Option<f64>,
}

/// A table and its statistics.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableState {
    /// Its name.
    pub table: String,
    /// Rows, as the server's own counters say.
    pub rows: u64,
}

/// A table with rows that are dead and still there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dead {
    /// Its name.
    pub table: String,
    /// Live rows, as the server's own counters say.
    pub live: u64,
    /// Dead rows.
    pub dead: u64,
    /// When it was last vacuumed, by hand or by itself.
    pub vacuumed: Option<Timestamp>,
}

/// What is beside a SQLite file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SqliteFile {
    /// The file.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// Bytes of the `-wal` beside it; `None`: there is none.
    pub wal: Option<u64>,
    /// Whether others can't even read it now.
    pub locked: bool,
    /// What `quick_check` found, when it was last run on it; only small files are checked. `None`: not run.
    pub damage: Option<String>,
    /// When it was last checked.
    pub checked: Option<Timestamp>,
}
