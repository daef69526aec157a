//! A dump of a MySQL or MariaDB database.

use super::super::{Draft, NoPlan, impossible, written};
use crate::backends::backups::program::Tools;
use crate::backends::database::mysql::dump::{Dumped, dumped, dumped_by};
use crate::backends::database::mysql::reach;
use crate::config::DatabaseConfig;
use crate::domain::text::plain;
use crate::runbook::plan::files::{FilesAct, partial};
use crate::runbook::plan::mysql::Server;

/// What a dump holds, and as of when: all of one moment, while the site goes on.
const OPTIONS: [&str; 8] = [
    "--single-transaction",
    "--quick",
    "--routines",
    "--triggers",
    "--hex-blob",
    // Needs a right on the whole server, and says where files lie.
    "--no-tablespaces",
    "--default-character-set=utf8mb4",
    "--comments",
];
/// Only whoever may see them asks for them: the program fails otherwise.
const EVENTS: &str = "--events";
/// What MySQL's own program adds that fits no other server. MariaDB's, which Debian calls by the same name, passes over them.
const OTHERS: [&str; 2] = ["--loose-set-gtid-purged=OFF", "--loose-column-statistics=0"];

impl Draft<'_> {
    /// `mariadb-dump` or `mysqldump`, and how many bytes the database has.
    pub(super) async fn save_mysql(
        &mut self,
        database: &DatabaseConfig,
        to: String,
    ) -> Result<(FilesAct, u64), NoPlan> {
        let (found, root) = whoever_sees(database).await?;
        let names = if found.maria { ["mariadb-dump", "mysqldump"] } else { ["mysqldump", "mariadb-dump"] };
        let tools = Tools::find();
        let program = names.iter().find_map(|name| tools.get(name));
        let program = program.ok_or_else(|| {
            impossible("neither mariadb-dump nor mysqldump is installed here: install mariadb-client")
        })?;
        if !found.others.is_empty() {
            let names: Vec<_> = found.others.iter().take(5).map(|name| plain(name, 64)).collect();
            self.costs.push(format!(
                "Tables that are not InnoDB are not saved as of one moment: {}. What is written to them meanwhile is in it, \
                 or half of it is.",
                names.join(", ")
            ));
        }
        self.more_than_tables(&found, &database.name);
        let program = written(program)?;
        let mut argv = match &root {
            Some(root) => root.words(&program),
            None => reach::words(database, &program),
        };
        argv.extend(OPTIONS.map(str::to_owned));
        argv.extend(found.events.then(|| EVENTS.to_owned()));
        if !found.maria {
            argv.extend(OTHERS.map(str::to_owned));
        }
        argv.extend([format!("--result-file={}", partial(&to)), "--".to_owned(), database.name.clone()]);
        Ok((FilesAct::Save { argv, to, password: root.is_none_or(|root| root.password) }, found.bytes))
    }

    /// What the dump holds besides tables, and what it may lack.
    fn more_than_tables(&mut self, found: &Dumped, schema: &str) {
        if let Some(more) = found.more() {
            self.costs.push(format!(
                "It holds {more} besides the tables. midwatch's restore takes tables and rows alone from it: the rest is for \
                 whoever restores by hand."
            ));
        }
        if !found.unseen.is_empty() {
            let (what, needed): (Vec<_>, Vec<_>) = found.unseen.iter().copied().unzip();
            let user = plain(&found.user, 80);
            self.costs.push(format!(
                "If there are {} in {schema}, they are not in it: {user} may not see them. Run midwatch as root on the \
                 server's machine, or let the user: GRANT {} ON {schema}.* TO {user};",
                what.join(" or "),
                needed.join(", ")
            ));
        }
    }
}

/// What the dump will be of, as who it is made; `None`: the site's own user. Where that one may not see all of it, root over
/// the server's socket does, if midwatch is root there.
async fn whoever_sees(database: &DatabaseConfig) -> Result<(Dumped, Option<Server>), NoPlan> {
    let own = dumped(database).await.map_err(NoPlan::Impossible)?;
    if own.all() {
        return Ok((own, None));
    }
    if let Ok(server) = reach::reach(database).await
        && let Ok(theirs) = dumped_by(&server, database).await
        && theirs.all()
    {
        return Ok((theirs, Some(server)));
    }
    match &own.barred {
        Some(why) => Err(impossible(format!(
            "a dump of {} by {} would fail: {}. Run midwatch as root on the server's machine, or let the user: GRANT SHOW \
             VIEW, TRIGGER ON {}.*, and SELECT ON mysql.proc (MariaDB) or SHOW_ROUTINE ON *.* (MySQL)",
            database.name,
            plain(&own.user, 80),
            plain(why, 300),
            database.name
        ))),
        None => Ok((own, None)),
    }
}
