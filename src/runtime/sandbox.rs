//! `--read-only`: the process can't write outside its state directory, nor signal anybody. A guard against our own
//! bugs, kept by the kernel (Landlock), for this thread and everything it starts later.
//!
//! It knows nothing of sockets: towards databases and daemons the promise rests on types and read-only sessions.

use std::fmt;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use landlock::{
    AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};

/// How far the kernel keeps the promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sandbox {
    /// Nobody asked for it.
    Off,
    /// All of it.
    Full,
    /// Part of it; what is missing.
    Partial(String),
    /// None of it; why.
    None(String),
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off: midwatch was not opened with --read-only"),
            Self::Full => {
                f.write_str("full: nothing can be written outside the state directory, nobody signalled (Landlock)")
            }
            Self::Partial(why) => write!(f, "partial: {why}"),
            Self::None(why) => write!(f, "none: {why}; read-only rests on midwatch's own code alone"),
        }
    }
}

/// Every right to change a file system, by name: "all rights of a later version" might mean more than files.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::WriteFile
        | AccessFs::RemoveDir
        | AccessFs::RemoveFile
        | AccessFs::MakeChar
        | AccessFs::MakeDir
        | AccessFs::MakeReg
        | AccessFs::MakeSock
        | AccessFs::MakeFifo
        | AccessFs::MakeBlock
        | AccessFs::MakeSym
        | AccessFs::Refer
        | AccessFs::Truncate
}

/// Restricts this thread and everything it starts from now on. To be called before any other thread runs. Reading and
/// executing stay free; writing stays possible below `state`, to `/dev/null` and to the terminal.
pub fn restrict(state: Option<&Path>) -> Sandbox {
    match try_restrict(state) {
        Ok(RulesetStatus::FullyEnforced) => Sandbox::Full,
        Ok(RulesetStatus::PartiallyEnforced) => Sandbox::Partial(
            "this kernel's Landlock is older; it keeps files, but not signals or truncation".to_owned(),
        ),
        Ok(RulesetStatus::NotEnforced) => {
            Sandbox::None("this kernel has no Landlock, or it is switched off".to_owned())
        }
        Err(error) => Sandbox::None(format!("Landlock refused: {error}")),
    }
}

fn try_restrict(state: Option<&Path>) -> Result<RulesetStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing())?
        .scope(Scope::Signal)?
        .create()?;
    if let Some(dir) = state.and_then(|dir| PathFd::new(dir).ok()) {
        rules = rules.add_rule(PathBeneath::new(dir, writing()))?;
    }
    let to_file = AccessFs::WriteFile | AccessFs::Truncate;
    for path in devices() {
        if let Ok(device) = PathFd::new(&path) {
            rules = rules.add_rule(PathBeneath::new(device, to_file))?;
        }
    }
    rules.restrict_self().map(|status| status.ruleset)
}

/// `/dev/null` and the terminal, under each of its names.
fn devices() -> Vec<PathBuf> {
    let mut out = vec![PathBuf::from("/dev/null"), PathBuf::from("/dev/tty")];
    for name in
        [name_of(std::io::stdin().as_fd()), name_of(std::io::stdout().as_fd()), name_of(std::io::stderr().as_fd())]
    {
        out.extend(name.filter(|n| !out.contains(n)));
    }
    out
}

fn name_of(fd: std::os::fd::BorrowedFd<'_>) -> Option<PathBuf> {
    let name = rustix::termios::ttyname(fd, Vec::new()).ok()?;
    Some(PathBuf::from(name.into_string().ok()?))
}
