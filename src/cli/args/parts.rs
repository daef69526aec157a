//! What the programs take that a run's steps start of midwatch itself.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// What `point` takes.
#[derive(Debug, Clone, Args)]
pub struct PointArgs {
    /// The link.
    #[arg(value_name = "LINK")]
    pub link: PathBuf,
    /// What it shall say.
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// What it says now.
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
}

/// What `alike` takes.
#[derive(Debug, Clone, Args)]
pub struct AlikeArgs {
    /// The process.
    #[arg(value_name = "PID")]
    pub pid: u32,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub argv: Vec<OsString>,
}

/// What `exchange` takes.
#[derive(Debug, Clone, Args)]
pub struct ExchangeArgs {
    /// The directory that is in place.
    #[arg(value_name = "LIVE")]
    pub live: PathBuf,
    /// The one beside it.
    #[arg(value_name = "BESIDE")]
    pub beside: PathBuf,
    /// What the one beside holds, and the other does not.
    #[arg(value_name = "MARK")]
    pub mark: String,
    /// What the one in place holds now.
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// What the one beside holds besides, and the other does not.
    #[arg(long, value_name = "NAME")]
    pub with: Option<String>,
    /// What the one beside does not hold, and the other does.
    #[arg(long, value_name = "NAME")]
    pub without: Option<String>,
}

/// Flags of `shim`.
#[derive(Debug, Clone, Args)]
pub struct ShimArgs {
    /// Where to note it.
    #[arg(long, value_name = "FILE")]
    pub record: PathBuf,
    /// Don't let the program hold the target's lock, for it leaves others running.
    #[arg(long)]
    pub leaves: bool,
    /// What the program gets on its standard input; nothing, if it is not given.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub argv: Vec<OsString>,
}
