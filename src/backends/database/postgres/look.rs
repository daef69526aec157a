//! One look: what is quick at every one, what is slower when it is due, all in the one session.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sqlx::postgres::PgConnection;

use super::super::agenda::Agenda;
use super::super::cells::{Asked, Cells};
use super::super::life::{self, Tables};
use super::super::{LONG_S, millis_since};
use super::ground::Ground;
use super::{chain, upkeep, wal};
use crate::domain::database::{Crowd, DatabaseReading, Engine, Migrated, Session, Upkeep};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// The server's clock, and the time that one question takes.
const CLOCK: &str = "select (extract(epoch from clock_timestamp()) * 1000)::int8";

/// FIELD Q-CONN and Q-ROLE. Other roles' sessions show neither type nor state without `pg_monitor`; a client's then
/// still has a database and a role. `reserved_connections` exists since 16.
const STATE: &str = "
select current_setting('server_version'), current_setting('server_version_num'), pg_is_in_recovery(),
       pg_is_in_recovery()
         or coalesce((select reset_val = 'on' from pg_settings where name = 'default_transaction_read_only'), false),
       current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8
         - coalesce(current_setting('reserved_connections', true)::int8, 0),
       count(*) filter (where backend_type = 'client backend'
         or (backend_type is null and datid is not null and usesysid is not null)),
       count(*) filter (where wait_event_type = 'Lock'),
       count(*) filter (where wait_event_type = 'Lock' and wait_event = 'advisory'),
       case when pg_is_in_recovery() then extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end
from pg_stat_activity";

/// Sessions by application and state (FIELD Q-CONN).
const CROWD: &str = "
select coalesce(application_name, ''), coalesce(state, 'hidden'), count(*),
       coalesce(extract(epoch from max(clock_timestamp() - state_change)), 0)::int8
from pg_stat_activity
where backend_type = 'client backend' or (backend_type is null and datid is not null and usesysid is not null)
group by 1, 2 order by 3 desc, 1, 2 limit 20";

/// What is asked of a session wherever one is told, as [`session`] reads it.
pub(super) const SESSION: &str = "
a.pid, coalesce(a.application_name, ''), coalesce(a.state, ''),
extract(epoch from clock_timestamp() - a.xact_start), (extract(epoch from a.backend_start) * 1000)::int8,
coalesce(a.usename, ''), coalesce(host(a.client_addr), ''), concat_ws(' ', a.wait_event_type, a.wait_event),
extract(epoch from clock_timestamp() - a.state_change), left(a.query, 2000)";

/// What this role may see.
const RIGHTS: &str = "
select pg_has_role('pg_read_all_stats', 'usage'), has_function_privilege('pg_ls_waldir()', 'execute'),
       pg_has_role('pg_read_all_settings', 'usage'), has_function_privilege('pg_control_system()', 'execute'),
       pg_backend_pid()";

/// The slower questions, with their pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slower {
    Identity,
    Wal,
    Txid,
    Statistics,
    Migrations,
    Mail,
    Pulse,
    Keys,
    KeyTypes,
    Size,
}

const PACE: &[(Slower, Duration)] = &[
    (Slower::Identity, Duration::from_mins(1)),
    (Slower::Wal, Duration::from_secs(30)),
    (Slower::Mail, Duration::from_mins(1)),
    (Slower::Pulse, Duration::from_secs(30)),
    (Slower::Txid, Duration::from_mins(1)),
    (Slower::Statistics, Duration::from_mins(1)),
    (Slower::Migrations, Duration::from_mins(1)),
    (Slower::Keys, Duration::from_mins(10)),
    (Slower::KeyTypes, Duration::from_mins(10)),
    (Slower::Size, Duration::from_mins(10)),
];

/// What this role may see beyond its own.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
pub(super) struct Rights {
    stats: bool,
    pub(super) waldir: bool,
    pub(super) settings: bool,
    control: bool,
    pub(super) own_pid: u32,
}

/// The session, and what is remembered from look to look.
pub(in crate::backends::database) struct PgSession {
    pub(super) connection: PgConnection,
    /// Since when each blocker has been seen.
    pub(super) seen: BTreeMap<i64, Instant>,
    pub(super) rights: Option<Rights>,
    agenda: Agenda<Slower>,
    /// The answers to the slower questions.
    kept: DatabaseReading,
    refusals: BTreeMap<&'static str, String>,
    pub(super) samples: upkeep::Samples,
}

impl PgSession {
    /// A session that was just opened.
    pub(super) fn new(connection: PgConnection) -> Self {
        Self {
            connection,
            seen: BTreeMap::new(),
            rights: None,
            agenda: Agenda::new(PACE),
            kept: DatabaseReading::default(),
            refusals: BTreeMap::new(),
            samples: upkeep::Samples::default(),
        }
    }

    /// Looks once; `user` is the role, as it may be shown.
    pub(super) async fn look(&mut self, ground: &Ground, user: &str) -> Result<DatabaseReading, sqlx::Error> {
        let (begun, sent) = (Instant::now(), now());
        let clock = self.connection.row(CLOCK).await?;
        let (latency_ms, back) = (millis_since(begun), now());
        let rights = match self.rights {
            Some(rights) => rights,
            None => *self.rights.insert(rights(&self.connection.row(RIGHTS).await?)),
        };
        let row = self.connection.row(STATE).await?;
        let version_num: u32 = row.number(1).unwrap_or(0);
        let waiting: u32 = row.number(6).unwrap_or(0);
        let mut reading = DatabaseReading {
            engine: Engine::Postgresql,
            version: plain(row.text(0, 60).split_whitespace().next().unwrap_or_default(), 40),
            latency_ms,
            sessions: row.number(5),
            usable_sessions: row.number::<i64>(4).map(|n| u32::try_from(n).unwrap_or(0)),
            waiting: Some(waiting),
            read_only: row.yes(3),
            advisory_waiters: row.number(7),
            clock_offset_ms: clock.time(0).map(|at| offset(at, sent, back)),
            ..DatabaseReading::default()
        };
        reading.identity.in_recovery = row.yes(2);
        reading.identity.replay_lag_s = row.seconds(8);
        reading.crowd = self.connection.rows(CROWD.to_owned()).await?.iter().map(crowd).collect();
        reading.transactions = self.transactions().await?;
        if waiting == 0 {
            self.seen.clear();
        } else {
            let chains = chain::look(&mut self.connection, &mut self.seen, version_num).await?;
            (reading.blockers, reading.longest_wait_s) = (chains.roots, chains.longest_wait_s);
        }
        while let Some(question) = self.agenda.next(begun, Instant::now()) {
            self.slower(question, ground, rights, back).await?;
        }
        let user = if user.is_empty() { "this role" } else { user };
        if !rights.stats {
            let what =
                format!("What sessions of other roles do and say is hidden: GRANT pg_monitor TO {};", plain(user, 60));
            reading.unseen.push(what);
        }
        reading.unseen.extend(self.refusals.values().cloned());
        let kept = self.kept.clone();
        reading.identity.system = kept.identity.system;
        reading.identity.started = kept.identity.started;
        Ok(DatabaseReading {
            wal: kept.wal,
            upkeep: kept.upkeep,
            pulse: kept.pulse,
            mail: kept.mail,
            migrations: kept.migrations,
            ..reading
        })
    }

    async fn transactions(&mut self) -> Result<Vec<Session>, sqlx::Error> {
        let sql = format!(
            "select {SESSION} from pg_stat_activity a where a.xact_start < clock_timestamp() - interval '{LONG_S} s' \
             and a.pid <> pg_backend_pid() and a.backend_type = 'client backend' order by a.xact_start limit 10"
        );
        Ok(self.connection.rows(sql).await?.iter().map(session).collect())
    }

    /// Asks one slower question. What is denied, or takes too long, is said and put off.
    async fn slower(
        &mut self,
        question: Slower,
        ground: &Ground,
        rights: Rights,
        at: Timestamp,
    ) -> Result<(), sqlx::Error> {
        match self.answer(question, ground, rights, at).await {
            Ok(bad) => {
                self.refusals.remove(question.name());
                self.agenda.answered(question, bad, Instant::now());
            }
            Err(error) => {
                let Some(said) = bearable(&error) else { return Err(error) };
                self.refusals.insert(question.name(), format!("{} can't be seen: {said}.", question.name()));
                self.agenda.refused(question, Instant::now());
            }
        }
        Ok(())
    }

    /// Whether something is wrong with what was answered.
    async fn answer(
        &mut self,
        question: Slower,
        ground: &Ground,
        rights: Rights,
        at: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let connection = &mut self.connection;
        match question {
            Slower::Identity => {
                let system =
                    if rights.control { "(select system_identifier from pg_control_system())" } else { "null" };
                let started = "(extract(epoch from pg_postmaster_start_time()) * 1000)::int8";
                let row = connection.row(format!("select {system}, {started}")).await?;
                self.kept.identity.system = row.maybe(0).map(str::to_owned);
                self.kept.identity.started = row.time(1);
                let directory = if rights.settings {
                    connection.row("select current_setting('data_directory')").await?.maybe(0).map(str::to_owned)
                } else {
                    None
                };
                ground.learn(directory, rights.own_pid).await;
                Ok(false)
            }
            Slower::Wal => {
                let wal = wal::look(connection, rights.waldir, &mut self.samples, at).await?;
                let bad = wal.slots.iter().any(|slot| !slot.active)
                    || wal.archiver.as_ref().is_some_and(crate::domain::database::Archiver::is_failing);
                self.kept.wal = Some(Box::new(crate::domain::database::Wal { room: ground.room().await, ..wal }));
                Ok(bad)
            }
            Slower::Txid => {
                let txid = upkeep::txid(connection).await?;
                self.upkeep().txid = txid;
                Ok(false)
            }
            Slower::Statistics => {
                let never = upkeep::never_analyzed(connection).await?;
                let dead = upkeep::dead(connection).await?;
                let bad = !never.is_empty();
                let upkeep = self.upkeep();
                (upkeep.never_analyzed, upkeep.dead) = (never, dead);
                Ok(bad)
            }
            Slower::Migrations => {
                self.kept.migrations = self.migrations().await?;
                Ok(false)
            }
            Slower::Mail => {
                let tables = Tables::look(connection).await?;
                self.kept.mail = life::mail(connection, &tables, at).await?;
                Ok(self.kept.mail.as_ref().is_some_and(|mail| !mail.states.is_empty()))
            }
            Slower::Pulse => {
                let tables = Tables::look(connection).await?;
                self.kept.pulse = life::pulse(connection, &tables, at).await?;
                Ok(false)
            }
            Slower::Keys => {
                let keys = upkeep::keys(connection, &mut self.samples, Instant::now()).await?;
                let bad = keys.iter().any(|key| key.used() > 0.7);
                self.upkeep().keys = keys;
                Ok(bad)
            }
            Slower::KeyTypes => {
                let types = upkeep::key_types(connection).await?;
                let bad = types.iter().any(|key| key.last.is_some_and(|last| last > key.limit / 10 * 7));
                self.upkeep().key_types = types;
                Ok(bad)
            }
            Slower::Size => {
                let row = connection.row("select pg_database_size(current_database())").await?;
                self.upkeep().size = row.number(0);
                Ok(false)
            }
        }
    }

    /// The migrations the database has seen.
    pub(super) async fn migrations(&mut self) -> Result<Option<Vec<Migrated>>, sqlx::Error> {
        let tables = Tables::look(&mut self.connection).await?;
        life::migrations(&mut self.connection, &tables).await
    }

    fn upkeep(&mut self) -> &mut Upkeep {
        self.kept.upkeep.get_or_insert_default()
    }
}

impl Slower {
    const fn name(self) -> &'static str {
        match self {
            Self::Identity => "The cluster's own number",
            Self::Wal => "The write-ahead log and its slots",
            Self::Txid => "The age of transaction ids",
            Self::Statistics => "The tables' statistics",
            Self::Migrations => "The applied migrations",
            Self::Mail => "The application's mail queue",
            Self::Pulse => "The application's newest orders or submissions",
            Self::Keys => "How much of the keys' space is used",
            Self::KeyTypes => "The types of foreign keys",
            Self::Size => "The size of the database",
        }
    }
}

/// A refusal of one question that leaves the session as it was, in words: no right, no such table or column, not in
/// time. Other errors are the whole look's.
fn bearable(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    let code = error.code().unwrap_or_default().into_owned();
    let said = plain(error.message(), 120);
    match code.as_str() {
        "42501" => Some(format!("{said}; GRANT pg_monitor, or SELECT on it, to this role opens it")),
        "57014" | "55P03" => Some(format!("it took too long and was given up ({said})")),
        _ if code.starts_with("42") || code.starts_with("55") || code.starts_with("0A") || code.starts_with("22") => {
            Some(said)
        }
        _ => None,
    }
}

fn rights(row: &Cells) -> Rights {
    Rights {
        stats: row.yes(0),
        waldir: row.yes(1),
        settings: row.yes(2),
        control: row.yes(3),
        own_pid: row.number(4).unwrap_or(0),
    }
}

fn crowd(row: &Cells) -> Crowd {
    Crowd {
        application: row.text(0, 60),
        state: row.text(1, 40),
        count: row.number(2).unwrap_or(0),
        longest_s: row.number(3).unwrap_or(0),
    }
}

/// A row of [`SESSION`].
pub(super) fn session(row: &Cells) -> Session {
    let (query, page) = match row.maybe(9) {
        Some("<insufficient privilege>") => (String::new(), String::new()),
        text => life::told(Engine::Postgresql, text),
    };
    let state = row.text(2, 40);
    Session {
        pid: row.number(0).unwrap_or(0),
        application: row.text(1, 60),
        state: if state.is_empty() { "state hidden without pg_monitor".to_owned() } else { state },
        transaction_s: row.seconds(3).unwrap_or(0.0),
        started: row.time(4),
        user: row.text(5, 60),
        client: row.text(6, 60),
        wait: row.text(7, 60),
        since_s: row.seconds(8).unwrap_or(0.0),
        query,
        page,
        ..Session::default()
    }
}

fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The server's time less the middle between when it was asked and when it had answered.
fn offset(at: Timestamp, sent: Timestamp, back: Timestamp) -> i64 {
    at.as_millis().saturating_sub(i64::midpoint(sent.as_millis(), back.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, offset};

    #[test]
    fn the_offset_is_taken_from_the_middle() {
        let at = Timestamp::from_millis;
        assert_eq!(offset(at(5_000), at(1_000), at(3_000)), 3_000);
        assert_eq!(offset(at(1_900), at(1_000), at(3_000)), -100);
    }
}
