//! What is done to a MySQL or MariaDB server: schemas made beside the one in use, filled, and their tables put in its place.
//! Nothing is dropped that does not carry the mark of the run, and no data are overwritten.
//!
//! Invariant: the schema in use has the tables of one whole database at every moment. They change hands in one statement,
//! which a server that is left alone in the middle takes back or has done.

mod compare;
mod exchange;

use std::path::Path;

use secrecy::SecretString;
use sqlx::AssertSqlSafe;

use super::acts::Sign;
use super::child::Given;
use super::files::At;
use super::postgres::{file, program};
use super::work::Tools;
use crate::backends::backups::statements::tables::only_tables;
use crate::backends::database::mysql::own::{self, Link};
use crate::runbook::plan::Command;
use crate::runbook::plan::mysql::{Beside, CHECKED, MADE, MARK, MysqlAct, Server, WHOLE, literal, name};

/// A step at work.
struct Hand<'t, 'c> {
    tools: &'t Tools<'c>,
    at: At<'t>,
}

/// Does it. `Ok`: how it went.
pub(super) async fn act(tools: &Tools<'_>, act: &MysqlAct, at: At<'_>) -> Result<String, String> {
    let hand = Hand { tools, at };
    match act {
        MysqlAct::Unpack { from, to } => {
            file::unpack_by(only_tables, Path::new(from), Path::new(to), hand.at.stop).await
        }
        MysqlAct::Remove(path) => file::remove(Path::new(path)),
        MysqlAct::Make(server, beside) => hand.make(server, beside).await,
        MysqlAct::Load(server, beside, path) => hand.load(server, beside, path).await,
        MysqlAct::Compare { server, name, beside, mark } => hand.compare(server, (name, beside), mark).await,
        MysqlAct::Discard(server, beside) => hand.discard(server, beside).await,
        MysqlAct::Exchange(server, at) => exchange::forth(&hand, server, at).await,
        MysqlAct::Undo(server, at) => exchange::back(&hand, server, at).await,
        MysqlAct::Release(server, held) => hand.release(server, held).await,
    }
}

/// Puts a statement to the server.
async fn put(link: &mut Link, sql: String) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut link.connection).await;
    done.map(|_| ()).map_err(|error| link.sentence(&error))
}

impl Hand<'_, '_> {
    fn password(&self) -> Option<&SecretString> {
        self.tools.site.and_then(|site| site.database.as_ref().ok()).map(|database| &database.password)
    }

    /// A session that may act, on the server that was seen.
    async fn link(&self, server: &Server) -> Result<Link, String> {
        own::hand(server, self.password()).await
    }

    async fn note(&self, sentence: String) {
        self.at.signs.send(Sign::Note(sentence)).await.ok();
    }

    async fn make(&self, server: &Server, beside: &Beside) -> Result<String, String> {
        self.discard(server, beside).await?;
        let mut link = self.link(server).await?;
        put(&mut link, beside.create()).await?;
        let table = format!("{}.{}", name(&beside.name), name(MARK));
        put(
            &mut link,
            format!("create table {table} (id int primary key) engine=InnoDB comment={}", literal(&beside.mark)),
        )
        .await?;
        link.close().await;
        Ok(format!("{} is made", beside.name))
    }

    /// Drops what this run has made. One without a mark is this run's if it is empty: its name is of this second, and the
    /// runner was gone between making and marking it.
    async fn discard(&self, server: &Server, beside: &Beside) -> Result<String, String> {
        let mut link = self.link(server).await?;
        if !link.exists(&beside.name).await? {
            return Ok(format!("there is no {}", beside.name));
        }
        let mark = link.mark(&beside.name).await?;
        let ours = match &mark {
            Some(comment) => comment.starts_with(&beside.mark),
            None => link.tables(&beside.name).await?.is_empty(),
        };
        if !ours {
            return Err(format!("{} does not carry the mark of this run and is left alone", beside.name));
        }
        drop_schema(&mut link, &beside.name).await?;
        Ok(format!("{} is dropped", beside.name))
    }

    async fn load(&self, server: &Server, beside: &Beside, path: &str) -> Result<String, String> {
        let mut link = self.link(server).await?;
        match link.mark(&beside.name).await? {
            Some(comment) if comment.starts_with(&format!("{}{WHOLE}", beside.mark)) => {
                return Ok("it had been restored whole".to_owned());
            }
            Some(comment) if comment == beside.mark && link.tables(&beside.name).await? == [MARK] => {}
            Some(_) | None => {
                self.make(server, beside).await?;
            }
        }
        let mut argv = server.words(&server.client);
        // Nothing in the file is a command of the client's, and nothing is read as it was not written.
        let options = ["--binary-mode", "--batch", "--default-character-set=utf8mb4", "--local-infile=0"];
        argv.extend(options.map(str::to_owned));
        argv.push(format!("--database={}", beside.name));
        let command = Command { argv, ..Command::default() };
        let password = self.password().filter(|_| server.password);
        let given = Given { input: Some(Path::new(path)), password, run: None };
        let limits = (self.at.deadline, self.at.stop.clone());
        program(self.tools, (self.at.run, &command, given), self.at.step, limits, &self.at.signs).await?;
        let tables = link.tables(&beside.name).await?;
        let all: Vec<_> = tables.iter().map(|table| format!("{}.{}", name(&beside.name), name(table))).collect();
        // What is asked of them first is answered well.
        link.ask(&format!("analyze table {}", all.join(", "))).await?;
        mark(&mut link, &beside.name, &format!("{}{WHOLE}", beside.mark)).await?;
        link.close().await;
        Ok(format!("{path} is restored whole"))
    }

    async fn compare(&self, server: &Server, (used, beside): (&str, &str), begin: &str) -> Result<String, String> {
        let mut link = self.link(server).await?;
        let comment = link.mark(beside).await?.unwrap_or_default();
        let made = comment == format!("{begin}{WHOLE}");
        if !(made || comment.starts_with(&format!("{begin}{CHECKED}")) || (begin == MADE && comment.starts_with(MADE)))
        {
            return Err(format!("{beside} is not restored whole"));
        }
        let found = compare::compare(self.tools, &mut link, used, beside).await?;
        for sentence in &found {
            self.note(sentence.clone()).await;
        }
        if made {
            mark(&mut link, beside, &format!("{begin}{CHECKED}")).await?;
        }
        link.close().await;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    async fn release(&self, server: &Server, held: &str) -> Result<String, String> {
        let mut link = self.link(server).await?;
        if !link.exists(held).await? {
            return Ok(format!("there is no {held}"));
        }
        if !link.mark(held).await?.is_some_and(|comment| comment.starts_with(MADE)) {
            return Err(format!("{held} is not held by midwatch and is left alone"));
        }
        drop_schema(&mut link, held).await?;
        Ok(format!("{held} is dropped"))
    }
}

/// Notes in a schema how far it is.
async fn mark(link: &mut Link, schema: &str, comment: &str) -> Result<(), String> {
    put(link, format!("alter table {}.{} comment={}", name(schema), name(MARK), literal(comment))).await
}

/// Drops a schema. Its tables are dropped one by one: the mark goes last, so that what is left of it is still known.
async fn drop_schema(link: &mut Link, schema: &str) -> Result<(), String> {
    put(link, "set session foreign_key_checks = 0".to_owned()).await?;
    let tables = link.tables(schema).await?;
    for table in tables.iter().filter(|table| *table != MARK) {
        put(link, format!("drop table {}.{}", name(schema), name(table))).await?;
    }
    put(link, format!("drop database {}", name(schema))).await
}
