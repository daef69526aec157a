//! What `INFO` says, and whether writes are refused.

use std::collections::BTreeMap;

use crate::domain::redis::{Keys, Master, Persistence, RedisServer};
use crate::domain::text::plain;

/// Databases whose keys are told of: as many as a server has by default.
const DATABASES: u32 = 16;
/// More than this of `INFO` is not read.
const LONGEST: usize = 256 * 1024;

/// What `MISCONF` means, as the reason why writes are refused.
pub(super) const MISCONF: &str = "its last snapshot or log could not be written to disk (MISCONF): is the disk full?";

/// Error counters of `INFO errorstats` (Redis 6.2 and later) that mean a write was refused, and why.
const REFUSALS: [(&str, &str); 3] = [
    ("errorstat_OOM", "memory is used up and nothing may be evicted (OOM)"),
    ("errorstat_MISCONF", MISCONF),
    ("errorstat_NOREPLICAS", "too few replicas are connected (NOREPLICAS)"),
];

/// The fields of `INFO`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    fields: BTreeMap<String, String>,
}

impl Info {
    /// From the reply.
    pub(super) fn parse(reply: &[u8]) -> Self {
        let reply = String::from_utf8_lossy(reply.get(..LONGEST).unwrap_or(reply));
        let fields = reply.lines().filter_map(|line| line.split_once(':'));
        Self { fields: fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect() }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// A field that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    /// A field that is a word.
    pub(super) fn word(&self, name: &str) -> Option<String> {
        self.field(name).map(|value| plain(value, 60))
    }

    /// A field that counts: a number, or `count=` and a number; an error never counted is 0 where errors are counted.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        match self.field(name) {
            Some(value) => value.strip_prefix("count=").unwrap_or(value).parse().ok(),
            // Redis 6.2 and later list only the errors that have happened.
            None if name.starts_with("errorstat_") => self.field("total_error_replies").map(|_| 0),
            None => None,
        }
    }

    /// A field that is `ok` or `err`; whether it is `err`.
    fn failed(&self, name: &str) -> Option<bool> {
        self.field(name).map(|value| value != "ok")
    }

    /// The server's version. Valkey also gives the Redis version that it is compatible with.
    pub(super) fn version(&self) -> String {
        match (self.word("valkey_version"), self.word("redis_version")) {
            (Some(valkey), _) => [valkey.as_str(), " (Valkey)"].concat(),
            (None, Some(redis)) => redis,
            (None, None) => super::UNKNOWN.to_owned(),
        }
    }

    /// `master` or `slave`.
    pub(super) fn role(&self) -> String {
        self.word("role").unwrap_or_else(|| super::UNKNOWN.to_owned())
    }

    /// Which server this is: the same in every database of one.
    pub(super) fn run(&self) -> Option<&str> {
        self.field("run_id")
    }

    /// What it says of itself; the counters are not in it.
    pub(super) fn server(&self) -> RedisServer {
        let small = |name: &str| self.number(name).and_then(|n| u32::try_from(n).ok());
        RedisServer {
            version: self.version(),
            role: self.role(),
            master: self.word("master_host").map(|host| Master {
                place: [host.as_str(), ":", self.field("master_port").unwrap_or_default()].concat(),
                linked: self.field("master_link_status") == Some("up"),
                down_s: self.number("master_link_down_since_seconds"),
                read_only: self.field("slave_read_only") != Some("0"),
            }),
            replicas: small("connected_slaves"),
            uptime_s: self.number("uptime_in_seconds"),
            used_memory: self.number("used_memory"),
            max_memory: self.number("maxmemory"),
            policy: self.word("maxmemory_policy"),
            persistence: self.persistence(),
            loading: self.number("loading") == Some(1),
            clients: self.number("connected_clients"),
            max_clients: self.number("maxclients"),
            blocked_clients: self.number("blocked_clients"),
            ops_per_s: self.number("instantaneous_ops_per_sec"),
            hit_share: self.hit_share(),
            keys: (0..DATABASES).filter_map(|database| self.keys(database)).collect(),
            ..RedisServer::default()
        }
    }

    fn persistence(&self) -> Persistence {
        // The server's own clock, in microseconds since 6.2; what is older does not tell it here.
        let now = self.number("server_time_usec").map(|micros| micros / 1_000_000);
        let append_only = self.number("aof_enabled").map(|on| on == 1);
        let written = self.failed("aof_last_write_status").zip(self.failed("aof_last_bgrewrite_status"));
        Persistence {
            snapshot_failed: self.failed("rdb_last_bgsave_status"),
            snapshot_age_s: now.zip(self.number("rdb_last_save_time")).map(|(now, saved)| now.saturating_sub(saved)),
            changes: self.number("rdb_changes_since_last_save"),
            append_only,
            append_failed: written.map(|(write, rewrite)| write || rewrite),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    fn hit_share(&self) -> Option<f64> {
        let (hits, misses) = (self.number("keyspace_hits")?, self.number("keyspace_misses")?);
        let all = hits.saturating_add(misses);
        (all > 0).then(|| hits as f64 / all as f64)
    }

    /// `db2:keys=5,expires=1,avg_ttl=0`.
    fn keys(&self, database: u32) -> Option<Keys> {
        let value = self.field(&format!("db{database}"))?;
        let part = |name: &str| {
            value.split(',').find_map(|part| part.split_once('=').filter(|(n, _)| *n == name)?.1.parse::<u64>().ok())
        };
        Some(Keys { database, count: part("keys")?, expiring: part("expires").unwrap_or(0) })
    }

    /// How often each kind of refusal has happened since the server started.
    fn refusals(&self) -> [u64; 3] {
        REFUSALS.map(|(name, _)| self.count(name).unwrap_or(0))
    }

    /// Why writes must fail, from the server's state alone.
    fn refuses(&self) -> Option<String> {
        if self.number("loading") == Some(1) {
            let done = self.word("loading_loaded_perc").map(|done| format!(", {done} % done")).unwrap_or_default();
            return Some(format!("it is loading its data from disk{done}"));
        }
        if self.field("role") == Some("slave") && self.field("slave_read_only") != Some("0") {
            let master = self.word("master_host").unwrap_or_else(|| super::UNKNOWN.to_owned());
            return Some(format!("it is a read-only replica of {master}"));
        }
        let limit = self.number("maxmemory").filter(|limit| *limit > 0)?;
        let used = self.number("used_memory")?.saturating_sub(self.number("mem_not_counted_for_evict").unwrap_or(0));
        (used >= limit && self.field("maxmemory_policy") == Some("noeviction"))
            .then(|| "memory is used up and nothing may be evicted (maxmemory, noeviction)".to_owned())
    }
}

/// The refusals counted at the last look.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: Option<[u64; 3]>,
}

impl Complaints {
    /// Why writes are refused: `complaint` says why it did not answer `PING` with `PONG`.
    pub(super) fn judge(&mut self, complaint: Option<&str>, info: Option<&Info>) -> Option<String> {
        let now = info.map(Info::refusals);
        let before = std::mem::replace(&mut self.last, now);
        let grown = || {
            let (now, before) = (now?, before?);
            let grown = now.iter().zip(before).zip(REFUSALS).find(|((now, before), _)| **now > *before);
            grown.map(|(_, (_, why))| why.to_owned())
        };
        info.and_then(Info::refuses).or_else(|| complaint.map(str::to_owned)).or_else(grown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> Info {
        Info::parse(text.as_bytes())
    }

    fn judge(text: &str) -> Option<String> {
        Complaints::default().judge(None, Some(&info(text)))
    }

    #[test]
    fn versions_and_fields_are_found() {
        let redis = info("# Server\r\nredis_version:7.0.15\r\nused_memory:12\r\nrole:master\r\n");
        assert_eq!((redis.version(), redis.number("used_memory")), ("7.0.15".to_owned(), Some(12)));
        let valkey = info("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n");
        assert_eq!((valkey.version(), valkey.role()), ("8.0.1 (Valkey)".to_owned(), "unknown".to_owned()));
    }

    #[test]
    fn the_whole_state_is_taken_where_it_is_told() {
        let all = info(
            "role:slave\nmaster_host:10.0.0.2\nmaster_port:6379\nmaster_link_status:down\n\
             master_link_down_since_seconds:41\nslave_read_only:1\nrdb_last_bgsave_status:err\n\
             rdb_last_save_time:1000\nserver_time_usec:1090000000\naof_enabled:1\naof_last_write_status:ok\n\
             aof_last_bgrewrite_status:err\nkeyspace_hits:30\nkeyspace_misses:10\ndb2:keys=5,expires=1,avg_ttl=0\n\
             evicted_keys:12\nerrorstat_OOM:count=3\ntotal_error_replies:3\nmaxclients:10000\nconnected_clients:7\n",
        );
        let server = all.server();
        let master = server.master.unwrap();
        assert_eq!((master.place.as_str(), master.linked, master.down_s), ("10.0.0.2:6379", false, Some(41)));
        let kept = &server.persistence;
        assert_eq!((kept.snapshot_failed, kept.snapshot_age_s, kept.append_failed), (Some(true), Some(90), Some(true)));
        assert_eq!((server.hit_share, server.clients, server.max_clients), (Some(0.75), Some(7), Some(10_000)));
        assert_eq!(server.keys, [Keys { database: 2, count: 5, expiring: 1 }]);
        assert_eq!((all.count("evicted_keys"), all.count("errorstat_OOM")), (Some(12), Some(3)));
        assert_eq!(all.count("errorstat_MISCONF"), Some(0), "counted, and never happened");
        let old = info("redis_version:6.0.16\nrole:master\n");
        assert_eq!((old.count("errorstat_OOM"), old.server().persistence), (None, Persistence::default()));
    }

    #[test]
    fn a_full_server_refuses_only_where_nothing_may_go() {
        let full = "maxmemory:100\nused_memory:120\nmem_not_counted_for_evict:5\nmaxmemory_policy:";
        assert!(judge(&format!("{full}noeviction")).unwrap().contains("maxmemory"));
        assert_eq!(judge(&format!("{full}allkeys-lru")), None);
        assert_eq!(judge("maxmemory:0\nused_memory:120\nmaxmemory_policy:noeviction"), None);
        let spare = "maxmemory:100\nused_memory:120\nmem_not_counted_for_evict:30\nmaxmemory_policy:noeviction";
        assert_eq!(judge(spare), None);
    }

    #[test]
    fn replicas_and_loading_servers_refuse() {
        let replica = judge("role:slave\nmaster_host:db1\nslave_read_only:1").unwrap();
        assert_eq!(replica, "it is a read-only replica of db1");
        assert_eq!(judge("role:slave\nslave_read_only:0"), None);
        let loading = judge("loading:1\nloading_loaded_perc:41.20").unwrap();
        assert_eq!(loading, "it is loading its data from disk, 41.20 % done");
    }

    #[test]
    fn a_counter_that_grows_between_two_looks_is_a_refusal_old_counts_are_not() {
        let mut complaints = Complaints::default();
        assert_eq!(complaints.judge(None, Some(&info("errorstat_OOM:count=7"))), None);
        assert_eq!(complaints.judge(None, Some(&info("errorstat_OOM:count=7"))), None);
        assert!(complaints.judge(None, Some(&info("errorstat_OOM:count=8"))).unwrap().contains("(OOM)"));
        assert_eq!(complaints.judge(None, Some(&info("errorstat_OOM:count=1"))), None, "the server was restarted");
    }

    #[test]
    fn a_complaint_counts_where_its_state_shows_nothing() {
        let said = Complaints::default().judge(Some(MISCONF), Some(&info("role:master")));
        assert_eq!(said.as_deref(), Some(MISCONF));
    }
}
