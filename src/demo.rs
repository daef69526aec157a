//! The practice site (skeleton)

/// A fault of the practice site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The web process is gone.
    WebDown,
    /// The database is locked.
    DbLocked,
    /// Every page is slow.
    Slow,
    /// The worker is gone.
    WorkerDead,
    /// Pages and tasks fail.
    Errors,
}
