//! The lock of a target: who holds it is the only one that acts on it. A target has a name for everything it is known by
//! (its data, its database, its address, its services), and who holds the lock holds all of them: so those exclude each
//! other whose configurations have but one of them in common.
//!
//! It is the kernel's (flock(2)) on files that nobody but root may change, and that every operator may read, so that users
//! who share nothing else exclude each other. It belongs to the open files, which programs inherit: it is held until the
//! last of them has ended, whatever became of who took it. Who may read a file may lock it too, for no reason; so where the
//! operators have a group (that of the shared state directory) nobody else may, and whoever holds a lock is named.

mod holders;
mod place;

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::cmsg_space;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use self::holders::Holding;
use crate::backends::process_id;
use crate::domain::text::plain;

pub use holders::{end_orphans, orphans};
pub use place::{DIR, may, prepare, prepare_for, tmpfiles};

/// Names a target may have.
pub const NAMES: usize = 64;

/// The right to act on a target; given back when it and all descriptors given out are closed.
#[derive(Debug)]
pub struct TargetLock {
    held: Vec<(File, PathBuf)>,
}

/// Why a target's lock can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockTrouble {
    /// Somebody has it.
    #[error("{target} is being acted on, or something that shares its lock: {}; wait for it, or see `midwatch runbook log`", .holders.join(", "))]
    Held {
        /// The target.
        target: String,
        /// Who, in words.
        holders: Vec<String>,
        /// Their numbers, as far as they can be told.
        pids: Vec<u32>,
        /// The lock's file, for [`orphans`].
        file: PathBuf,
    },
    /// There is no place where it could hold for everybody.
    #[error("no lock to be had, so nothing is done: {0}")]
    Nowhere(String),
}

impl TargetLock {
    /// Takes the lock of a target of these names in `dir` ([`DIR`] but for tests), if all of it is free.
    ///
    /// # Errors
    /// When one of them is held, or nowhere to be had; none is then.
    pub fn take(dir: &Path, names: &[&str]) -> Result<Self, LockTrouble> {
        prepare(dir).map_err(LockTrouble::Nowhere)?;
        if names.is_empty() || names.len() > NAMES {
            return Err(LockTrouble::Nowhere(format!("a target has 1 to {NAMES} names, not {}", names.len())));
        }
        // In one order for everybody: of two that want the same, one gets it.
        let slots: BTreeMap<String, &str> = names.iter().rev().map(|name| (place::slot(name), *name)).collect();
        let held = slots.into_iter().map(|(slot, name)| one(dir, &slot, name)).collect::<Result<_, _>>()?;
        Ok(Self { held })
    }

    /// The lock's files, for [`orphans`].
    pub fn paths(&self) -> Vec<PathBuf> {
        self.held.iter().map(|(_, path)| path.clone()).collect()
    }

    /// What leads to descriptors that hold the same lock, for [`received`]: to be the standard input of what is started.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn handed(&self) -> io::Result<OwnedFd> {
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let files: Vec<_> = self.held.iter().map(|(file, _)| file.as_fd()).collect();
        let mut space = vec![MaybeUninit::uninit(); cmsg_space!(ScmRights(files.len()))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&files)) {
            return Err(io::Error::other("there is no room for the lock"));
        }
        sendmsg(&near, &[IoSlice::new(b"lock")], &mut ancillary, SendFlags::empty())?;
        Ok(far)
    }
}

/// The descriptors of a lock, from what [`TargetLock::handed`] gave. They are closed in what is started from here, unless
/// that is changed.
///
/// # Errors
/// When there are none.
pub fn received(from: impl AsFd) -> io::Result<Vec<OwnedFd>> {
    let mut space = vec![MaybeUninit::uninit(); cmsg_space!(ScmRights(NAMES))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 8];
    recvmsg(from, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC)?;
    let rights = ancillary.drain().filter_map(|message| {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message { Some(descriptors) } else { None }
    });
    let all: Vec<OwnedFd> = rights.flatten().collect();
    if all.is_empty() { Err(io::Error::other("no descriptor came")) } else { Ok(all) }
}

/// Takes the lock of one name.
fn one(dir: &Path, slot: &str, name: &str) -> Result<(File, PathBuf), LockTrouble> {
    let nowhere = LockTrouble::Nowhere;
    let path = dir.join(slot);
    let file = place::open(dir, slot).map_err(nowhere)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(held(name, path)),
        Err(error) => return Err(nowhere(format!("{} can't be locked: {error}", path.display()))),
    }
    // One that was taken away meanwhile locks nobody out.
    let same = |found: Metadata, own: Metadata| (found.dev(), found.ino()) == (own.dev(), own.ino());
    match std::fs::symlink_metadata(&path).and_then(|found| Ok(same(found, file.metadata()?))) {
        Ok(true) => Ok((file, path)),
        Ok(false) | Err(_) => Err(nowhere(format!("{} was replaced just now; try again", path.display()))),
    }
}

fn held(target: &str, file: PathBuf) -> LockTrouble {
    let found = Holding::of(std::slice::from_ref(&file));
    let mut pids: Vec<u32> = found.holders.iter().map(|process| process.pid).chain(found.takers.clone()).collect();
    pids.sort_unstable();
    pids.dedup();
    let mut holders: Vec<String> = pids.iter().map(|pid| process_id::told(*pid)).collect();
    let foreign =
        |pid: &&u32| process_id::stat(**pid).is_ok_and(|stat| stat.lives()) && !process_id::is_midwatch(**pid);
    for pid in found.takers.iter().filter(foreign) {
        holders.push(format!("{pid} took it, and is no midwatch: ending that process gives the lock back"));
    }
    if holders.is_empty() {
        holders.push("by whom can't be seen by this user".to_owned());
    }
    LockTrouble::Held { target: plain(target, 80), holders, pids, file }
}
