//! Who sits at this terminal: the login behind `sudo`, where the SSH session comes from, and the terminal.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::record::Who;
use crate::domain::text::plain;

/// Ancestors that are asked for the SSH session's environment, which `sudo` takes away.
const ANCESTORS: u32 = 12;

/// The person this process belongs to, as well as can be told.
pub fn who(env: &BTreeMap<String, String>) -> Who {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = rustix::process::geteuid().as_raw();
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse::<u32>().ok());
    let from = env.get("SSH_CONNECTION").cloned().or_else(|| inherited("SSH_CONNECTION"));
    let tty = std::fs::read_link("/proc/self/fd/0").ok().and_then(|path| terminal(&path));
    told(&passwd, uid, login, env, from.as_deref(), tty)
}

/// The user this process runs as.
pub fn user() -> String {
    name(rustix::process::geteuid().as_raw())
}

/// The name of a user; their number where they have none.
pub fn name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&passwd, uid).unwrap_or_else(|| uid.to_string())
}

/// The name of a group; its number where it has none.
pub fn group(gid: u32) -> String {
    name_of(&std::fs::read_to_string("/etc/group").unwrap_or_default(), gid).unwrap_or_else(|| gid.to_string())
}

/// The groups this process belongs to, by name where they have one.
pub fn groups() -> Vec<String> {
    let file = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let own = rustix::process::getgroups().unwrap_or_default();
    let mut ids: Vec<u32> = own.iter().map(|gid| gid.as_raw()).collect();
    ids.push(rustix::process::getegid().as_raw());
    ids.sort_unstable();
    ids.dedup();
    ids.iter().map(|gid| name_of(&file, *gid).unwrap_or_else(|| gid.to_string())).collect()
}

/// The name of a user id, where `/etc/passwd` has it.
pub fn named(uid: u32) -> Option<String> {
    name_of(&std::fs::read_to_string("/etc/passwd").unwrap_or_default(), uid)
}

/// The number of a user, where `/etc/passwd` has it.
pub fn number(user: &str) -> Option<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
    line.split(':').nth(2)?.parse().ok()
}

/// The home directory of a user, where `/etc/passwd` has it.
pub fn home(user: &str) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
    line.split(':').nth(5).filter(|home| home.starts_with('/')).map(ToOwned::to_owned)
}

/// What follows from user ids, environment and the names of the machine.
fn told(
    passwd: &str,
    uid: u32,
    login: Option<u32>,
    env: &BTreeMap<String, String>,
    ssh: Option<&str>,
    tty: Option<String>,
) -> Who {
    let named = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
    let effective = name_of(passwd, uid)
        .or_else(|| named("LOGNAME").or_else(|| named("USER")).filter(|_| uid != 0))
        .unwrap_or_else(|| format!("uid {uid}"));
    // The kernel's word first: it survives `su` and `sudo`. It is 2³²−1 where nobody has logged in (containers, services).
    let by_kernel =
        login.filter(|login| *login != u32::MAX).map(|id| name_of(passwd, id).unwrap_or_else(|| format!("uid {id}")));
    let by_sudo = named("SUDO_USER").filter(|_| uid == 0 || named("SUDO_UID").is_some());
    let user = by_kernel.filter(|name| *name != effective).or(by_sudo).unwrap_or_else(|| effective.clone());
    let acting_as = (user != effective).then_some(effective);
    let from = ssh.and_then(|text| text.split_whitespace().next()).map(|address| plain(address, 64));
    Who { user: plain(&user, 64), acting_as, from, tty }
}

/// The name of an id in `/etc/passwd` or `/etc/group`; users of a directory service are not in it.
fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let line = passwd.lines().find(|line| line.split(':').nth(2).and_then(|id| id.parse::<u32>().ok()) == Some(uid))?;
    line.split(':').next().filter(|name| !name.is_empty()).map(ToOwned::to_owned)
}

fn terminal(path: &Path) -> Option<String> {
    let name = path.strip_prefix("/dev").ok()?.to_str()?;
    (name.starts_with("pts/") || name.starts_with("tty")).then(|| name.to_owned())
}

/// A variable of the nearest ancestor that has it, as far as their environments may be read.
fn inherited(name: &str) -> Option<String> {
    let mut pid = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get())?;
    for _ in 0..ANCESTORS {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let wanted = format!("{name}=");
        let found = environ.split(|b| *b == 0).find_map(|pair| std::str::from_utf8(pair).ok()?.strip_prefix(&wanted));
        if let Some(value) = found {
            return Some(value.to_owned());
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything.
        pid = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok().filter(|pid| *pid > 1)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nrose:x:1000:1000:Rose:/home/rose:/bin/bash\n";

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn behind_sudo_stands_who_called_it() {
        let sudo = env(&[("SUDO_USER", "rose"), ("SUDO_UID", "1000")]);
        let who = told(PASSWD, 0, None, &sudo, Some("192.0.2.7 50022 192.0.2.1 22"), Some("pts/3".to_owned()));
        assert_eq!(who.whole(), "rose (as root) from 192.0.2.7 on pts/3");
        let by_kernel = told(PASSWD, 0, Some(1000), &env(&[]), None, None);
        assert_eq!(by_kernel.whole(), "rose (as root)");
    }

    #[test]
    fn who_is_in_no_file_has_at_least_a_number() {
        assert_eq!(told(PASSWD, 7777, Some(u32::MAX), &env(&[]), None, None).user, "uid 7777");
        assert_eq!(told(PASSWD, 7777, None, &env(&[("LOGNAME", "ldap.person")]), None, None).user, "ldap.person");
        assert_eq!(told(PASSWD, 0, None, &env(&[("LOGNAME", "rose")]), None, None).user, "root");
    }
}
