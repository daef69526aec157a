//! Words by which a refusal is told and known again: the source writes its sentences with them, the rules read them.

/// All connections that an ordinary role can have are in use.
pub const FULL: &str = "has no free connection";
/// The server is there and not ready: it starts, or replays its log after a crash.
pub const RECOVERING: &str = "is not ready";
/// Another process holds the file's lock.
pub const LOCKED: &str = "is locked by another process";
/// Its contents are damaged.
pub const DAMAGED: &str = "is damaged";
/// The file system of its data takes no more bytes.
pub const NO_SPACE: &str = "no space left";
