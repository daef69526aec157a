//! What a service does for a site, told from its name and its command line.

use serde::{Deserialize, Serialize};

/// What a service does for a site, in the order of display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers requests.
    Web,
    /// Does background tasks.
    Worker,
    /// Starts tasks when their time comes, and runs all the time.
    Beat,
    /// Runs now and then: a timer, or what it starts.
    Periodic,
    /// The database server.
    Database,
    /// Redis or Valkey.
    Redis,
    /// Stands before the web service.
    Proxy,
    /// Something else.
    Other,
}

/// Programs by the role of those who run them.
const PROGRAMS: &[(Role, &[&str])] = &[
    (Role::Web, &["gunicorn", "uvicorn", "hypercorn", "daphne", "uwsgi", "granian", "waitress-serve", "puma"]),
    (
        Role::Database,
        &["postgres", "postmaster", "mysqld", "mariadbd", "mysqld_safe", "mariadbd-safe", "pg_ctlcluster"],
    ),
    (Role::Redis, &["redis-server", "valkey-server", "keydb-server", "dragonfly", "redis-sentinel"]),
    (Role::Proxy, &["nginx", "haproxy", "caddy", "traefik", "apache2", "httpd", "envoy", "varnishd"]),
];

/// Words of a name by the role they speak of, the most telling first.
const NAMES: &[(Role, &[&str])] = &[
    (Role::Beat, &["beat", "celerybeat", "scheduler"]),
    (Role::Periodic, &["periodic", "runperiodic", "cron", "clearsessions", "clearsession"]),
    (Role::Worker, &["worker", "workers", "taskworker", "celery", "celeryd", "celeryworker", "queue", "sidekiq", "rq"]),
    (Role::Database, &["postgres", "postgresql", "pg", "db", "database", "mysql", "mariadb", "mysqld"]),
    (Role::Redis, &["redis", "valkey", "cache", "keydb"]),
    (Role::Proxy, &["nginx", "proxy", "haproxy", "caddy", "traefik", "apache2", "httpd", "ingress"]),
    (Role::Web, &["web", "backend", "app", "gunicorn", "uvicorn", "daphne", "http", "server", "wsgi", "asgi"]),
];

impl Role {
    /// Every role, in the order of display.
    pub const ALL: [Self; 8] =
        [Self::Web, Self::Worker, Self::Beat, Self::Periodic, Self::Database, Self::Redis, Self::Proxy, Self::Other];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Worker => "worker",
            Self::Beat => "beat",
            Self::Periodic => "periodic",
            Self::Database => "database",
            Self::Redis => "redis",
            Self::Proxy => "proxy",
            Self::Other => "other",
        }
    }

    /// Whether a site is broken for its visitors without it.
    pub const fn is_vital(self) -> bool {
        matches!(self, Self::Web | Self::Worker | Self::Database | Self::Redis | Self::Proxy)
    }

    /// By the command line, and where that says nothing by the name.
    pub fn of<S: AsRef<str>>(name: &str, words: &[S]) -> Self {
        Self::of_command(words).or_else(|| Self::of_name(name)).unwrap_or(Self::Other)
    }

    /// What a command line says: the program, and what it is told to do. A shell's `-c` script is one word; it is looked
    /// into like any other.
    pub fn of_command<S: AsRef<str>>(words: &[S]) -> Option<Self> {
        let words: Vec<&str> = words
            .iter()
            .flat_map(|word| {
                word.as_ref().split(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')' | ';'))
            })
            .filter(|word| !word.is_empty())
            .collect();
        let base = |word: &&str| {
            let name = word.rsplit('/').next().unwrap_or(word).trim_end_matches(':');
            name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').to_owned()
        };
        let bases: Vec<String> = words.iter().map(base).collect();
        let has = |what: &str| bases.iter().any(|b| b == what);
        let django = has("manage.py") || words.windows(2).any(|pair| matches!(pair, ["-m", "pretix" | "pretalx"]));
        if has("runperiodic") || has("cron") && django {
            return Some(Self::Periodic);
        }
        if bases.iter().any(|b| b == "celery" || b == "celeryd") {
            // `worker -B` is a worker that is its own beat.
            return if has("worker") || !has("beat") { Some(Self::Worker) } else { Some(Self::Beat) };
        }
        if has("taskworker") || has("celeryworker") || has("rqworker") {
            return Some(Self::Worker);
        }
        if has("runserver") || has("webworker") {
            return Some(Self::Web);
        }
        let programs = bases.iter().find_map(|b| PROGRAMS.iter().find(|(_, names)| names.contains(&b.as_str())));
        programs.map(|(role, _)| *role)
    }

    /// What a name says: `pretix-web.service`, `celery_worker`, `shop-db-1`.
    pub fn of_name(name: &str) -> Option<Self> {
        let stem = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "service" | "timer" | "socket"));
        if stem.is_some_and(|(_, kind)| kind == "timer") {
            return Some(Self::Periodic);
        }
        let stem = stem.map_or(name, |(stem, _)| stem).to_ascii_lowercase();
        let words: Vec<&str> = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
        NAMES.iter().find(|(_, names)| words.iter().any(|word| names.contains(word))).map(|(role, _)| *role)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Role;

    #[test]
    fn command_lines_tell_the_role() {
        for (line, role) in [
            ("/opt/v/bin/gunicorn pretix.wsgi --name pretix --bind 127.0.0.1:8345", Role::Web),
            ("gunicorn: master [pretix.wsgi]", Role::Web),
            ("/opt/v/bin/python -m uvicorn app:app", Role::Web),
            ("python manage.py runserver 0:8000", Role::Web),
            ("/opt/v/bin/celery -A pretix.celery_app worker -l info", Role::Worker),
            ("/opt/v/bin/python3.11 -m celery -A pretalx.celery_app worker", Role::Worker),
            ("celery -A app worker -B", Role::Worker),
            ("celery -A app beat", Role::Beat),
            ("sh -c 'while :; do python -m pretalx runperiodic; sleep 300; done'", Role::Periodic),
            ("/opt/v/bin/python -m pretix runperiodic", Role::Periodic),
            ("/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql", Role::Database),
            ("/usr/sbin/mariadbd", Role::Database),
            ("/usr/bin/redis-server 127.0.0.1:6379", Role::Redis),
            ("nginx: master process /usr/sbin/nginx -g daemon on;", Role::Proxy),
            ("docker-entrypoint.sh postgres -c jit=off", Role::Database),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(Role::of_command(&words), Some(role), "{line}");
            assert_eq!(Role::of_command(&[line]), Some(role), "as one word: {line}");
        }
        assert_eq!(Role::of_command(&["/usr/bin/sleep", "5"]), None);
    }

    #[test]
    fn names_tell_the_role_where_the_command_is_silent() {
        for (name, role) in [
            ("pretix-web.service", Role::Web),
            ("pretix-worker.service", Role::Worker),
            ("pretalx-periodic.timer", Role::Periodic),
            ("celery_worker", Role::Worker),
            ("celery_beat", Role::Beat),
            ("postgresql@15-main.service", Role::Database),
            ("shop-db-1", Role::Database),
            ("valkey", Role::Redis),
            ("reverse-proxy", Role::Proxy),
            ("backend", Role::Web),
        ] {
            assert_eq!(Role::of(name, &["sh", "/entry"]), role, "{name}");
        }
        assert_eq!(Role::of("renderer", &["node", "index.js"]), Role::Other);
    }

    proptest! {
        #[test]
        fn any_words_are_survived(name in "\\PC{0,30}", words in proptest::collection::vec("\\PC{0,20}", 0..6)) {
            Role::of(&name, &words);
        }
    }
}
