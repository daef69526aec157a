//! Space and inodes of every mounted file system, none of which can hold up another.
//!
//! Invariant: `statvfs` runs on a thread of its own for each mount, and a mount whose last call has not come back is
//! not asked again: one stuck thread per mount at most.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use super::super::errand::{Answer, Errand};
use super::mounts::{self, Mount};
use crate::domain::host::{Disk, DiskSpace};
use crate::domain::host_trend::FillTrend;
use crate::domain::text::plain;

/// How the space of a mount point is had; it may block for as long as it likes. [`DiskSpace::read_only`] and
/// [`DiskSpace::full_in_s`] come from elsewhere, whatever it says.
pub type Statvfs = Arc<dyn Fn(&Path) -> io::Result<DiskSpace> + Send + Sync>;

/// Mounts that are remembered, those that are gone and still hang included.
const REMEMBERED: usize = 2 * mounts::MOST;

/// The file systems as they were found, and their calls under way.
pub(super) struct Disks {
    statvfs: Statvfs,
    watched: BTreeMap<(PathBuf, String), Watched>,
    begun: Instant,
}

/// Whether a read-only file system was looked at, and what came of it.
#[derive(Debug, Default)]
enum Judged {
    /// It is writable, or was not looked at yet.
    #[default]
    NotYet,
    /// It is meant to be read-only.
    Meant,
    /// A fault made it so, for this reason.
    Fault(String),
}

#[derive(Default)]
struct Watched {
    errand: Errand<io::Result<DiskSpace>>,
    trend: FillTrend,
    inodes: FillTrend,
    was_writable: bool,
    /// Why it is thought to have been made read-only by a fault, once that was judged.
    turned: Judged,
}

/// The kernel's answer.
pub(super) fn ask_kernel(path: &Path) -> io::Result<DiskSpace> {
    let answer = statvfs(path)?;
    Ok(DiskSpace {
        total: answer.f_blocks.saturating_mul(answer.f_frsize),
        available: answer.f_bavail.saturating_mul(answer.f_frsize),
        reserved: answer.f_bfree.saturating_sub(answer.f_bavail).saturating_mul(answer.f_frsize),
        inodes: answer.f_files,
        inodes_available: answer.f_favail,
        read_only: false,
        full_in_s: None,
        inodes_full_in_s: None,
    })
}

impl Disks {
    pub(super) fn new(statvfs: Statvfs) -> Self {
        Self { statvfs, watched: BTreeMap::new(), begun: Instant::now() }
    }

    /// Asks every mount that is not still being asked and waits until `deadline` for the answers.
    pub(super) async fn look(&mut self, mounts: &[Mount], deadline: Instant) -> Vec<Disk> {
        let key = |mount: &Mount| (mount.path.clone(), mount.id.clone());
        self.watched.retain(|(path, id), watched| {
            watched.errand.is_under_way() || mounts.iter().any(|m| m.path == *path && m.id == *id)
        });
        let mut refused = BTreeMap::new();
        // An image that is read-only by nature; one that was seen writable is none.
        let is_image = |watched: &BTreeMap<_, Watched>, mount: &Mount| {
            mount.is_image() && !watched.get(&key(mount)).is_some_and(|w| w.was_writable)
        };
        let mounts: Vec<&Mount> = mounts.iter().filter(|mount| !is_image(&self.watched, mount)).collect();
        for mount in &mounts {
            if self.watched.len() >= REMEMBERED && !self.watched.contains_key(&key(mount)) {
                refused.insert(key(mount), format!("not asked: {REMEMBERED} mounts hang already"));
                continue;
            }
            let (statvfs, path) = (Arc::clone(&self.statvfs), mount.path.clone());
            if let Err(error) = self.watched.entry(key(mount)).or_default().errand.begin(move || statvfs(&path)) {
                refused.insert(key(mount), format!("not asked: no thread to be had ({error})"));
            }
        }
        let now_s = self.begun.elapsed().as_secs();
        let mut disks = Vec::with_capacity(mounts.len());
        for mount in mounts {
            let turned = self.watched.get_mut(&key(mount)).and_then(|watched| watched.turned(mount));
            let space = match (refused.remove(&key(mount)), self.watched.get_mut(&key(mount))) {
                (Some(why), _) => Err(why),
                (None, None) => continue,
                (None, Some(watched)) => watched.space(mount.read_only, now_s, deadline).await,
            };
            // without any blocks it is no file system that could hold data, as `df` has it
            if !space.as_ref().is_ok_and(|space| space.total == 0) {
                disks.push(Disk {
                    mount: plain(&mount.path.to_string_lossy(), 200),
                    device: mount.device.clone(),
                    kind: mount.kind.clone(),
                    turned_read_only: turned,
                    space,
                });
            }
        }
        disks
    }
}

impl Watched {
    /// Why this file system is thought to have been made read-only by a fault.
    fn turned(&mut self, mount: &Mount) -> Option<String> {
        if !mount.read_only {
            (self.was_writable, self.turned) = (true, Judged::NotYet);
            return None;
        }
        if matches!(self.turned, Judged::NotYet) {
            let fault = if mount.failed {
                Some("the kernel says that it stopped writing after an error")
            } else if self.was_writable {
                Some("it was writable before, while this midwatch watched")
            } else if mount.for_writing {
                Some("it is mounted for writing, and takes no writes: the kernel does so after an error")
            } else {
                mounts::meant_for_writing(&mount.path).then_some("/etc/fstab has it writable")
            };
            self.turned = fault.map_or(Judged::Meant, |why| Judged::Fault(why.to_owned()));
        }
        match &self.turned {
            Judged::Fault(why) => Some(why.clone()),
            Judged::NotYet | Judged::Meant => None,
        }
    }

    async fn space(&mut self, read_only: bool, now_s: u64, deadline: Instant) -> Result<DiskSpace, String> {
        match self.errand.answer(deadline).await {
            Answer::Came(Ok(mut space)) => {
                space.read_only = read_only;
                (space.full_in_s, space.inodes_full_in_s) = (None, None);
                if !read_only {
                    self.trend.note(now_s, space.available);
                    space.full_in_s = self.trend.full_in_s(space.available);
                    self.inodes.note(now_s, space.inodes_available);
                    let limited = space.inodes > 0;
                    space.inodes_full_in_s = self.inodes.full_in_s(space.inodes_available).filter(|_| limited);
                }
                Ok(space)
            }
            Answer::Came(Err(error)) => Err(format!("statvfs failed: {error}")),
            Answer::Waiting(since) if since < Duration::from_secs(1) => Err("statvfs has not answered yet".to_owned()),
            Answer::Waiting(since) => Err(format!("statvfs has not answered for {} s", since.as_secs())),
            Answer::Lost => Err("statvfs ended without an answer".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
