//! What may be asked of a server by who only looks.

/// A list for servers that speak SQL.
pub(super) struct Sql {
    /// Settings of the session itself, word for word.
    settings: &'static [&'static str],
    /// What a question may call; and the words that only look like a call.
    calls: &'static [&'static str],
}

/// What makes a question more than one, wherever it stands in it.
const CHANGES: [&str; 31] = [
    "insert", "update", "delete", "merge", "truncate", "create", "alter", "drop", "grant", "revoke", "lock", "vacuum",
    "analyze", "copy", "call", "do", "execute", "prepare", "notify", "listen", "refresh", "reindex", "cluster", "into",
    "set", "share", "load", "handler", "replace", "kill", "flush",
];

pub(super) static POSTGRES: Sql = Sql {
    settings: &["set default_transaction_read_only = on", "set statement_timeout = '50s'"],
    calls: &[
        "age",
        "aclexplode",
        "any",
        "array_length",
        "array_to_string",
        "as",
        "clock_timestamp",
        "coalesce",
        "concat_ws",
        "count",
        "current_database",
        "current_setting",
        "exists",
        "extract",
        "filter",
        "from",
        "greatest",
        "has_database_privilege",
        "has_function_privilege",
        "has_sequence_privilege",
        "has_table_privilege",
        "host",
        "in",
        "inet_server_addr",
        "json_agg",
        "json_build_object",
        "least",
        "left",
        "max",
        "min",
        "mxid_age",
        "nullif",
        "or",
        "pg_backend_pid",
        "pg_blocking_pids",
        "pg_control_checkpoint",
        "pg_control_system",
        "pg_current_wal_lsn",
        "pg_database_size",
        "pg_encoding_to_char",
        "pg_get_userbyid",
        "pg_has_role",
        "pg_is_in_recovery",
        "pg_is_other_temp_schema",
        "pg_last_wal_replay_lsn",
        "pg_last_xact_replay_timestamp",
        "pg_ls_waldir",
        "pg_postmaster_start_time",
        "pg_sequence_last_value",
        "pg_size_bytes",
        "pg_wal_lsn_diff",
        "quote_ident",
        "select",
        "shobj_description",
        "starts_with",
        "sum",
        "to_json",
        "to_jsonb",
        "to_regclass",
        "unnest",
        "when",
    ],
};

pub(super) static MARIA: Sql = Sql {
    settings: &[
        "set names utf8mb4",
        "set session transaction read only",
        "set session lock_wait_timeout = 1",
        "set session max_statement_time = 2",
        "set session max_execution_time = 2000",
        "set session information_schema_stats_expiry = 0",
    ],
    calls: &[
        "cast",
        "concat",
        "connection_id",
        "database",
        "floor",
        "from",
        "if",
        "in",
        "left",
        "now",
        "substring_index",
        "sum",
        "timestampdiff",
        "unix_timestamp",
        "version",
    ],
};

/// Commands of Redis, with the word after them where that decides.
const REDIS: [&str; 14] = [
    "PING",
    "HELLO",
    "INFO",
    "TIME",
    "SLOWLOG LEN",
    "CLIENT LIST",
    "SELECT",
    "LLEN",
    "HLEN",
    "SCARD",
    "SMEMBERS",
    "ZRANGE",
    "TTL",
    "PUBSUB NUMPAT",
];

/// Methods of systemd's manager.
pub(super) const SYSTEMD: [&str; 1] = ["GetAll"];

/// What stands before questions to a server that was seen before: it fails on any other, and changes nothing.
const GUARD: &str = "do $$ begin if (select system_identifier::text from pg_control_system()) <> '' then raise exception \
                     'this is another server'; end if; if pg_is_in_recovery() then raise exception 'this server is a \
                     standby'; end if; end $$";

impl Sql {
    /// Why a statement is none of a list; `None`: it is.
    pub(super) fn offence(&self, sql: &str) -> Option<String> {
        // The number is the server's.
        let without_number: String = sql.chars().filter(|c| !c.is_ascii_digit()).collect();
        if without_number == GUARD {
            return None;
        }
        let all = split(&sql.to_lowercase());
        all.iter().find_map(|(whole, bare)| {
            if self.settings.contains(&whole.as_str()) {
                return None;
            }
            let words: Vec<&str> = bare.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            let first = words.iter().find(|word| !word.is_empty()).copied().unwrap_or_default();
            if !matches!(first, "select" | "show" | "with") {
                return Some(format!("`{first}` is no question"));
            }
            if let Some(word) = words.iter().find(|word| CHANGES.contains(word)) {
                return Some(format!("`{word}` changes something"));
            }
            let called = calls(bare);
            called
                .into_iter()
                .find(|name| !self.calls.contains(&name.as_str()))
                .map(|name| format!("{name}() is on no list"))
        })
    }
}

/// The statements of a text: whole, and without what stands in quotes.
fn split(sql: &str) -> Vec<(String, String)> {
    let (mut all, mut whole, mut bare) = (Vec::new(), String::new(), String::new());
    let mut quote = None;
    for c in sql.chars().chain([';']) {
        match (quote, c) {
            (None, ';') => {
                let one = (std::mem::take(&mut whole).trim().to_owned(), std::mem::take(&mut bare));
                if !one.0.is_empty() {
                    all.push(one);
                }
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, _) => bare.push(c),
            (Some(_), _) => {}
        }
        whole.push(c);
    }
    all
}

/// What is called in a statement: the words right before a parenthesis.
fn calls(bare: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (at, _) in bare.match_indices('(') {
        let before = bare.get(..at).unwrap_or_default().trim_end();
        let word = before.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).next().unwrap_or_default();
        if !word.is_empty() {
            all.push(word.to_owned());
        }
    }
    all
}

pub(super) fn redis(words: &[String]) -> bool {
    let told = |count: usize| words.iter().take(count).map(|word| word.to_uppercase()).collect::<Vec<_>>().join(" ");
    REDIS.contains(&told(1).as_str()) || REDIS.contains(&told(2).as_str())
}

pub(super) fn docker(asked: &str) -> bool {
    if asked.strip_prefix("GET /images/").is_some_and(|path| path.ends_with("/json") && !path.contains('?')) {
        return true;
    }
    let path = asked.strip_prefix("GET /containers/").map(|rest| rest.split('?').next().unwrap_or_default());
    path.is_some_and(|path| path == "json" || path.ends_with("/json") || path.ends_with("/logs"))
}

#[test]
fn what_changes_something_is_an_offence() {
    for sql in [
        "select pg_terminate_backend(1)",
        "select 1; drop table x",
        "select 1 for update",
        "set default_transaction_read_only = off",
        "with x as (delete from y returning 1) select * from x",
        "begin",
        "vacuum",
        "select pg_advisory_lock(1)",
    ] {
        assert!(POSTGRES.offence(sql).is_some() && MARIA.offence(sql).is_some(), "{sql}");
    }
    assert_eq!(POSTGRES.offence("SET default_transaction_read_only = on; select 'drop; (x)', x from y"), None);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(redis(&words("ping")) && !redis(&words("FLUSHALL")) && !redis(&words("CONFIG SET x")));
    assert!(docker("GET /images/shop:1/json") && !docker("GET /images/shop:1/get") && !docker("DELETE /images/shop:1"));
    assert!(!docker("GET /containers/x/export") && !docker("POST /containers/json"));
    assert!(
        docker("GET /containers/json?all=1")
            && docker("GET /containers/x/logs?follow=1")
            && !docker("POST /containers/x/restart")
    );
}
