//! In whose hands the files of a project are. What Compose reads there is done with the engine's rights, so whoever can write
//! it could do anything the engine can.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{NoPlan, no};
use crate::backends::store::who;

/// Who may do anything the engine can anyway.
struct Trusted {
    users: BTreeSet<u32>,
    groups: BTreeSet<u32>,
    passwd: String,
    group: String,
}

/// Refuses files that others than root, this user and who may use the engine at `socket` can write or replace.
pub(super) fn in_good_hands<'p>(socket: &Path, files: impl Iterator<Item = &'p PathBuf>) -> Result<(), NoPlan> {
    let engine = std::fs::metadata(socket).map_err(|error| no(format!("{}: {error}", socket.display())))?;
    let own = rustix::process::geteuid().as_raw();
    if own == 0 && engine.uid() != 0 {
        let owner = who::name(engine.uid());
        return Err(no(format!("the engine at {} is {owner}'s: run midwatch as {owner}", socket.display())));
    }
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let trusted = Trusted::of((engine.uid(), engine.gid()), own, read("/etc/passwd"), read("/etc/group"));
    for file in files {
        let real = std::fs::canonicalize(file).map_err(|error| no(format!("{}: {error}", file.display())))?;
        // A link can be replaced where it lies, too.
        for place in file.ancestors().chain(real.ancestors()).filter(|place| place.is_absolute()) {
            let meta = std::fs::metadata(place).map_err(|error| no(format!("{}: {error}", place.display())))?;
            if let Some(who) = trusted.other((meta.uid(), meta.gid(), meta.mode()), meta.is_dir()) {
                return Err(no(format!(
                    "{} can be written by {who}, who may not use Docker: what Compose reads there is done with the engine's \
                     rights. chown or chmod it, or take them into the group of {}",
                    place.display(),
                    socket.display()
                )));
            }
        }
    }
    Ok(())
}

impl Trusted {
    fn of((owner, group): (u32, u32), own: u32, passwd: String, groups: String) -> Self {
        let mut made = Self { users: [0, owner, own].into(), groups: [0, group].into(), passwd, group: groups };
        let members: Vec<u32> = made.members(group).into_iter().flatten().collect();
        made.users.extend(members);
        made
    }

    /// The users of a group, by `/etc/group` and as whose own group `/etc/passwd` has it; one that is in no file is `None`.
    fn members(&self, gid: u32) -> Vec<Option<u32>> {
        let number = |line: &str, at: usize| line.split(':').nth(at).and_then(|id| id.parse::<u32>().ok());
        let named = |name: &str| {
            let line = self.passwd.lines().find(|line| line.split(':').next() == Some(name))?;
            number(line, 2)
        };
        let line = self.group.lines().find(|line| number(line, 2) == Some(gid));
        let listed = line.and_then(|line| line.split(':').nth(3)).unwrap_or_default();
        let listed = listed.split(',').filter(|name| !name.is_empty()).map(named);
        let own = self.passwd.lines().filter(|line| number(line, 3) == Some(gid)).map(|line| number(line, 2));
        listed.chain(own).collect()
    }

    /// Who else can write something of this owner, group and mode; `None`: nobody.
    fn other(&self, (uid, gid, mode): (u32, u32, u32), dir: bool) -> Option<String> {
        if !self.users.contains(&uid) {
            return Some(who::name(uid));
        }
        // In a directory like /tmp nobody can replace what is another's.
        let sticky = dir && mode & 0o1000 != 0;
        if mode & 0o002 != 0 && !sticky {
            return Some("everybody".to_owned());
        }
        let known = |user: &Option<u32>| user.is_some_and(|uid| self.users.contains(&uid));
        let foreign = !self.groups.contains(&gid) && !self.members(gid).iter().all(known);
        (mode & 0o020 != 0 && !sticky && foreign).then(|| format!("the group {}", who::group(gid)))
    }
}

#[cfg(test)]
mod tests {
    use super::Trusted;

    const PASSWD: &str = "root:x:0:0::/:\nrose:x:1000:1000::/:\nfinn:x:1001:1001::/:\nmay:x:1002:50::/:\n";
    const GROUP: &str =
        "docker:x:990:rose\nrose:x:1000:\nweb:x:33:rose,finn\nstaff:x:50:\nops:x:34:rose\nldap:x:35:far\n";

    #[test]
    fn whoever_may_use_the_engine_may_write_its_files_and_nobody_else() {
        let trusted = Trusted::of((0, 990), 0, PASSWD.to_owned(), GROUP.to_owned());
        for (uid, gid, mode, dir, well) in [
            (0, 0, 0o644, false, true),
            (1000, 1000, 0o644, false, true),
            // Rose's own group, the engine's, and one that has only her.
            (1000, 1000, 0o664, false, true),
            (1000, 990, 0o664, false, true),
            (1000, 34, 0o775, true, true),
            (1001, 1001, 0o644, false, false),
            (0, 0, 0o646, false, false),
            (0, 33, 0o664, false, false),
            (0, 33, 0o644, false, true),
            (0, 50, 0o664, false, false),
            (0, 35, 0o664, false, false),
            (0, 0, 0o1777, true, true),
            (0, 0, 0o1646, false, false),
        ] {
            let told = trusted.other((uid, gid, mode), dir);
            assert_eq!(told.is_none(), well, "{uid} {gid} {mode:o}: {told:?}");
        }
    }
}
