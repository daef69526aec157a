//! One look: what is quick at every one, what is slower when it is due.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sqlx::mysql::{MySqlConnection, MySqlDatabaseError};

use super::super::agenda::Agenda;
use super::super::cells::{Asked, Cells};
use super::super::life::{self, Tables};
use super::super::{LONG_S, millis_since};
use super::chain::{self, Process};
use crate::domain::database::{Crowd, DatabaseReading, Engine, KeyKind, KeySpace, Migrated, Upkeep};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// The server's clock, and the time that one question takes.
const CLOCK: &str = "SELECT FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000)";
/// FIELD Q-MY. `read_only` is 0 or 1, or since MariaDB 12 a word.
const STATE: &str =
    "SELECT VERSION(), CAST(@@max_connections AS CHAR), CAST(@@global.read_only AS CHAR), CONNECTION_ID()";
/// FIELD Q-MY: global, so other users' sessions count without the `PROCESS` privilege.
const STATUS: &str =
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', 'Innodb_row_lock_current_waits', 'Uptime')";
/// FIELD Q-MY and INC-24. Without the `PROCESS` privilege only this user's own sessions are in it.
const PROCESSES: &str = "
SELECT id, user, SUBSTRING_INDEX(host, ':', 1), command, time, state, LEFT(info, 2000)
FROM information_schema.processlist WHERE command NOT IN ('Daemon', 'Binlog Dump') ORDER BY time DESC LIMIT 400";
/// FIELD Q-MY: open transactions; needs the `PROCESS` privilege.
const TRANSACTIONS: &str = "
SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW()), trx_id
FROM information_schema.innodb_trx ORDER BY trx_started LIMIT 100";
/// FIELD Q-MY: the next value against what the column's type takes (error 167 when it is over).
const KEYS: &str = "
SELECT k.col, k.column_type, k.next, k.most FROM (
  SELECT CONCAT(c.table_name, '.', c.column_name) AS col, c.column_type, t.auto_increment AS next,
    CASE c.data_type WHEN 'tinyint' THEN 127 WHEN 'smallint' THEN 32767 WHEN 'mediumint' THEN 8388607
      WHEN 'int' THEN 2147483647 ELSE 9223372036854775807 END * IF(c.column_type LIKE '%unsigned%', 2, 1) AS most
  FROM information_schema.columns c
  JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
  WHERE c.table_schema = DATABASE() AND c.extra LIKE '%auto_increment%' AND t.auto_increment > 1
    AND c.data_type <> 'bigint') k
ORDER BY k.next / k.most DESC, k.col LIMIT 8";
const SIZE: &str =
    "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()";

/// The slower questions, with their pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slower {
    Mail,
    Pulse,
    Migrations,
    Keys,
    Size,
}

const PACE: &[(Slower, Duration)] = &[
    (Slower::Mail, Duration::from_mins(1)),
    (Slower::Pulse, Duration::from_secs(30)),
    (Slower::Migrations, Duration::from_mins(1)),
    (Slower::Keys, Duration::from_mins(10)),
    (Slower::Size, Duration::from_mins(10)),
];

/// The session, and what is remembered from look to look.
pub(in crate::backends::database) struct MySession {
    connection: MySqlConnection,
    agenda: Agenda<Slower>,
    /// The answers to the slower questions.
    kept: DatabaseReading,
    /// Whether this user may see others' sessions and transactions.
    process: bool,
}

impl MySession {
    /// A session that was just opened.
    pub(super) fn new(connection: MySqlConnection) -> Self {
        Self { connection, agenda: Agenda::new(PACE), kept: DatabaseReading::default(), process: true }
    }

    /// Looks once; `user` is the user, as it may be shown.
    pub(super) async fn look(&mut self, user: &str) -> Result<DatabaseReading, sqlx::Error> {
        let (begun, sent) = (Instant::now(), now());
        let clock = self.connection.row(CLOCK).await?;
        let (latency_ms, back) = (millis_since(begun), now());
        let state = self.connection.row(STATE).await?;
        let said = state.text(0, 80);
        let own: i64 = state.number(3).unwrap_or(0);
        let mut reading = DatabaseReading {
            usable_sessions: state.number(1),
            read_only: !matches!(state.maybe(2), Some("0" | "OFF") | None),
            clock_offset_ms: clock
                .time(0)
                .map(|at| at.as_millis().saturating_sub(i64::midpoint(sent.as_millis(), back.as_millis()))),
            ..DatabaseReading::new(Engine::Mysql, version(&said), latency_ms)
        };
        let mut row_waits = 0_u32;
        for row in self.connection.rows(STATUS.to_owned()).await? {
            match row.maybe(0) {
                Some("Threads_connected") => reading.sessions = row.number(1),
                Some("Innodb_row_lock_current_waits") => row_waits = row.number(1).unwrap_or(0),
                Some("Uptime") => {
                    reading.identity.started = row.number(1).map(|seconds: i64| back.plus_secs(-seconds));
                }
                Some(_) | None => {}
            }
        }
        let mut processes: Vec<Process> =
            self.connection.rows(PROCESSES.to_owned()).await?.iter().map(chain::process).collect();
        self.transactions(&mut processes).await?;
        let metadata = processes.iter().filter(|process| process.waits_for_table()).count();
        let waiting = row_waits.saturating_add(u32::try_from(metadata).unwrap_or(u32::MAX));
        reading.waiting = Some(waiting);
        if waiting > 0 {
            let edges = if row_waits > 0 { self.row_locks(said.contains("MariaDB")).await? } else { Vec::new() };
            (reading.blockers, reading.longest_wait_s) = chain::roots(&processes, &edges);
        }
        reading.crowd = crowd(&processes);
        let long = |p: &&Process| p.transaction_s.is_some_and(|s| s >= f64::from(LONG_S)) && p.id != own;
        reading.transactions = processes.iter().filter(long).take(10).map(Process::session).collect();
        while let Some(question) = self.agenda.next(begun, Instant::now()) {
            self.slower(question, back).await?;
        }
        if !self.process {
            reading.unseen.push(format!(
                "What sessions of other users do, and which transactions are open, is hidden: GRANT PROCESS ON *.* TO '{}';",
                plain(user, 60)
            ));
        }
        let kept = self.kept.clone();
        Ok(DatabaseReading {
            upkeep: kept.upkeep,
            pulse: kept.pulse,
            mail: kept.mail,
            migrations: kept.migrations,
            ..reading
        })
    }

    /// How long each session's transaction is open, where this user may see it.
    async fn transactions(&mut self, processes: &mut [Process]) -> Result<(), sqlx::Error> {
        let rows = match self.connection.rows(TRANSACTIONS.to_owned()).await {
            Ok(rows) => rows,
            Err(error) if denied(&error) => {
                self.process = false;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.process = true;
        for row in rows {
            let id: i64 = row.number(0).unwrap_or(0);
            for process in processes.iter_mut().filter(|process| process.id == id) {
                process.transaction_s = row.seconds(1);
            }
        }
        Ok(())
    }

    /// Who waits for a row that whom holds: waiter and blocker. MySQL 8 has it elsewhere.
    async fn row_locks(&mut self, maria: bool) -> Result<Vec<(i64, i64)>, sqlx::Error> {
        let old = "SELECT w.trx_mysql_thread_id, b.trx_mysql_thread_id FROM information_schema.innodb_lock_waits l \
            JOIN information_schema.innodb_trx w ON w.trx_id = l.requesting_trx_id \
            JOIN information_schema.innodb_trx b ON b.trx_id = l.blocking_trx_id LIMIT 200";
        let new = "SELECT w.trx_mysql_thread_id, b.trx_mysql_thread_id FROM performance_schema.data_lock_waits l \
            JOIN information_schema.innodb_trx w ON w.trx_id = l.requesting_engine_transaction_id \
            JOIN information_schema.innodb_trx b ON b.trx_id = l.blocking_engine_transaction_id LIMIT 200";
        for sql in if maria { [old, new] } else { [new, old] } {
            match self.connection.rows(sql.to_owned()).await {
                Ok(rows) => {
                    return Ok(rows.iter().filter_map(|row| Some((row.number(0)?, row.number(1)?))).collect());
                }
                Err(error) if denied(&error) || absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Vec::new())
    }

    /// Asks one slower question. What is denied or takes too long is put off.
    async fn slower(&mut self, question: Slower, at: Timestamp) -> Result<(), sqlx::Error> {
        match self.answer(question, at).await {
            Ok(bad) => self.agenda.answered(question, bad, Instant::now()),
            Err(error) if error.as_database_error().is_some() && !ended(&error) => {
                self.agenda.refused(question, Instant::now());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether something is wrong with what was answered.
    async fn answer(&mut self, question: Slower, at: Timestamp) -> Result<bool, sqlx::Error> {
        let connection = &mut self.connection;
        match question {
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
            Slower::Migrations => {
                self.kept.migrations = self.migrations().await?;
                Ok(false)
            }
            Slower::Keys => {
                let keys: Vec<KeySpace> = connection.rows(KEYS.to_owned()).await?.iter().map(key).collect();
                let bad = keys.iter().any(|key| key.used() > 0.7);
                self.upkeep().keys = keys;
                Ok(bad)
            }
            Slower::Size => {
                let size = connection.row(SIZE).await?.number(0);
                self.upkeep().size = size;
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

fn key(row: &Cells) -> KeySpace {
    KeySpace {
        column: row.text(0, 120),
        sequence: String::new(),
        kind: KeyKind::Column,
        type_name: row.text(1, 30),
        column_type: row.text(1, 30),
        last: row.number::<u64>(2).unwrap_or(0).saturating_sub(1),
        limit: row.number(3).unwrap_or(0),
        per_day: None,
    }
}

/// Sessions by user and what they do, the largest group first.
fn crowd(processes: &[Process]) -> Vec<Crowd> {
    let mut out: Vec<Crowd> = Vec::new();
    for process in processes {
        let state = process.state().to_owned();
        let longest_s = process.seconds;
        match out.iter_mut().find(|c| c.application == process.user && c.state == state) {
            Some(group) => {
                group.count += 1;
                group.longest_s = group.longest_s.max(longest_s);
            }
            None => out.push(Crowd { application: process.user.clone(), state, count: 1, longest_s }),
        }
    }
    out.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.application.cmp(&b.application)));
    out.truncate(20);
    out
}

fn number(error: &sqlx::Error) -> u16 {
    let error = error.as_database_error().and_then(|e| e.try_downcast_ref::<MySqlDatabaseError>());
    error.map_or(0, MySqlDatabaseError::number)
}

/// Not for this user: a privilege, a column, a table.
fn denied(error: &sqlx::Error) -> bool {
    matches!(number(error), 1044 | 1142 | 1143 | 1227)
}

/// Not in this server: a table, a column, a schema.
fn absent(error: &sqlx::Error) -> bool {
    matches!(number(error), 1049 | 1054 | 1109 | 1146)
}

/// The session was ended.
fn ended(error: &sqlx::Error) -> bool {
    matches!(number(error), 1053 | 1079 | 1927 | 4031)
}

/// `10.11.6-MariaDB-0+deb12u1` without the packager's part.
fn version(said: &str) -> String {
    let number = said.split('-').next().unwrap_or_default();
    let maker = if said.contains("MariaDB") { "-MariaDB" } else { "" };
    plain(&[number, maker].concat(), 40)
}

fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_keep_the_maker_and_drop_the_packager() {
        assert_eq!(version("10.11.6-MariaDB-0+deb12u1"), "10.11.6-MariaDB");
        assert_eq!(version("8.0.36-0ubuntu0.22.04.1"), "8.0.36");
        assert_eq!(version("8.4.3"), "8.4.3");
    }
}
