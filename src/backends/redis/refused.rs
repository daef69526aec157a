//! Commands that a server refused: what stays unknown for it, and the grant that would open it.

use std::collections::BTreeMap;

use redis::RedisError;

/// What a command is asked for.
const PURPOSES: &[(&str, &str)] = &[
    ("INFO", "memory, role, persistence and evictions"),
    ("TIME", "the server's clock"),
    ("SLOWLOG LEN", "its slow log"),
    ("TTL", "when the periodic tasks last ran"),
    ("LLEN", "how much waits in the queues"),
    ("LINDEX", "how long the oldest task has waited"),
    ("HLEN", "the tasks that workers hold"),
    ("ZRANGE", "how long workers have held them"),
    ("SCARD", "queues that are not configured"),
    ("SMEMBERS", "queues that are not configured"),
    ("CLIENT LIST", "who takes tasks"),
    ("PUBSUB NUMPAT", "how many workers are connected"),
];

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// The user may not use it.
    Command,
    /// The user may not read that key.
    Key,
    /// The server does not have it (`rename-command`, or a service that switches it off).
    Absent,
}

/// The commands that were refused, by name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    commands: BTreeMap<&'static str, Why>,
}

impl Refused {
    /// Remembers why `command` failed, if it was refused for good.
    pub(super) fn note(&mut self, command: &'static str, error: &RedisError) {
        self.hear(command, error.code().unwrap_or_default(), error.detail().unwrap_or_default());
    }

    fn hear(&mut self, command: &'static str, code: &str, detail: &str) {
        let why = match code {
            "NOPERM" if detail.contains("to access") => Why::Key,
            "NOPERM" => Why::Command,
            _ if detail.contains("unknown command") || detail.contains("unknown subcommand") => Why::Absent,
            _ => return,
        };
        self.commands.insert(command, why);
    }

    /// What can't be seen, one sentence for each reason, with the grant for `user`.
    pub(super) fn sentences(&self, user: &str, what: &str) -> Vec<String> {
        let mut out = Vec::new();
        let of = |why: Why| self.commands.iter().filter(move |(_, w)| **w == why).map(|(command, _)| *command);
        let may_not: Vec<&str> = of(Why::Command).collect();
        if !may_not.is_empty() {
            let grants: Vec<String> =
                may_not.iter().map(|command| ["+", &command.to_lowercase().replace(' ', "|")].concat()).collect();
            // The grant first: on a small screen the end of it is cut.
            let (grants, purposes) = (grants.join(" "), purposes(&may_not));
            out.push(format!("ACL SETUSER {user} {grants} on {what} would show {purposes}"));
        }
        let keys: Vec<&str> = of(Why::Key).collect();
        if !keys.is_empty() {
            out.push(format!("ACL SETUSER {user} ~* on {what} would show {}", purposes(&keys)));
        }
        let absent: Vec<&str> = of(Why::Absent).collect();
        if !absent.is_empty() {
            out.push(format!(
                "{}: {what} has no {} (switched off by rename-command, or by the service that runs it)",
                purposes(&absent),
                absent.join(", ")
            ));
        }
        out
    }
}

/// What these commands are asked for, each thing once.
fn purposes(commands: &[&str]) -> String {
    let mut said: Vec<&str> = Vec::new();
    for purpose in PURPOSES.iter().filter(|(name, _)| commands.contains(name)).map(|(_, purpose)| *purpose) {
        if !said.contains(&purpose) {
            said.push(purpose);
        }
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_what_is_not_seen_and_the_grant() {
        let mut refused = Refused::default();
        refused.hear("CLIENT LIST", "NOPERM", "User app has no permissions to run the 'client|list' command");
        refused.hear("SLOWLOG LEN", "NOPERM", "this user has no permissions to run the 'slowlog' command");
        refused.hear("HLEN", "NOPERM", "No permissions to access a key");
        refused.hear("INFO", "ERR", "unknown command 'INFO', with args beginning with: ");
        refused.hear("LLEN", "LOADING", "Redis is loading the dataset in memory");
        assert_eq!(refused.commands.len(), 4, "a server that loads its data refuses nothing for good");
        let said = refused.sentences("app", "Redis at h:1");
        assert_eq!(
            said,
            [
                "ACL SETUSER app +client|list +slowlog|len on Redis at h:1 would show its slow log, who takes tasks",
                "ACL SETUSER app ~* on Redis at h:1 would show the tasks that workers hold",
                "memory, role, persistence and evictions: Redis at h:1 has no INFO (switched off by rename-command, \
                 or by the service that runs it)",
            ]
        );
    }
}
