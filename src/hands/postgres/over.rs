//! An archive restored over what is in the database in use: one transaction, and nobody else at work.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Hand, program};
use crate::domain::text::plain;
use crate::hands::child::Given;
use crate::runbook::plan::postgres::{Exchange, Over, Server, literal};
use crate::runbook::plan::{Command, Subject};

/// How long a table is waited for that somebody else reads.
const LOCK_TIMEOUT: &str = "-c lock_timeout=60s";

impl Hand<'_, '_> {
    /// Whoever still has the database open could write what neither the last dump nor the backup has.
    async fn unused(&self, server: &Server, database: &str) -> Result<(), String> {
        // Of sessions that are not its own a role without privileges is told little.
        let sql = format!(
            "select distinct concat_ws(' ', usename, nullif(application_name, ''), client_addr) from pg_stat_activity where \
             datname = {} and usename is not null and coalesce(backend_type, 'client backend') = 'client backend' and \
             pid <> pg_backend_pid() and application_name not like 'midwatch%' order by 1 limit 5",
            literal(database)
        );
        let who: Vec<String> = self.ask(server, "postgres", &sql).await?.into_iter().flatten().collect();
        if who.is_empty() {
            return Ok(());
        }
        Err(format!(
            "nothing was done: {database} is still open to {}. What they write would be in neither dump: stop them, then retry",
            plain(&who.join(", "), 300)
        ))
    }

    /// What fails, or is cut off, the server takes back whole.
    pub(super) async fn over(&self, server: &Server, over: &Over) -> Result<String, String> {
        if let Some(was) = &over.was {
            let now = self.tools.looker.subject(&Subject::Source(over.path.clone())).await?;
            if now != *was {
                return Err(format!("nothing was done: {} was {was}, is {now}", over.path));
            }
            self.unused(server, &over.name).await?;
        }
        self.sql(server, "postgres", false, &[server.guard(), Exchange::still(&over.name, over.oid)]).await?;
        let mut argv = vec![format!("{}/pg_restore", server.programs)];
        let role = format!("--role={}", over.owner);
        let words = ["-w", "--exit-on-error", "--single-transaction", "--clean", "--if-exists", "--no-owner", &role];
        argv.extend(words.map(str::to_owned));
        argv.extend(server.place(&over.name));
        if !over.handed {
            argv.extend(["--".to_owned(), over.path.clone()]);
        }
        // Somebody who reads a table would hold it up for ever; so it gives up, and nothing has changed.
        let env = BTreeMap::from([("PGOPTIONS".to_owned(), LOCK_TIMEOUT.to_owned())]);
        let command = Command { argv, user: server.user.clone(), env, ..Command::default() };
        let input = over.handed.then(|| Path::new(&over.path));
        let given = Given { input, password: self.password().filter(|_| server.password), run: Some(self.run) };
        let limits = (self.deadline, self.stop.clone());
        program(self.tools, (self.run, &command, given), self.at, limits, &self.signs).await?;
        Ok(format!("{} is what {} says", over.name, over.path))
    }
}
