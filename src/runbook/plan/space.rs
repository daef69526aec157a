//! Space that a deleted file takes because a process still holds it open.

use serde::{Deserialize, Serialize};

/// A deleted file that a process holds open: which process, under which number, and which file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFile {
    /// The process.
    pub pid: u32,
    /// The descriptor's number.
    pub fd: u32,
    /// The file's device and number.
    pub inode: String,
}

impl OpenFile {
    /// What emptying it is, in words.
    pub fn told(&self) -> String {
        let Self { pid, fd, inode } = self;
        format!("empties what process {pid} holds open as {fd}: the deleted file {inode}, and no other")
    }
}
