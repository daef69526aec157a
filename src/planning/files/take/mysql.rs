//! A dump of a MySQL or MariaDB database.

use super::super::{Draft, NoPlan, impossible, written};
use crate::backends::backups::program::Tools;
use crate::backends::database::mysql::{own, reach};
use crate::config::DatabaseConfig;
use crate::domain::text::plain;
use crate::runbook::plan::files::{FilesAct, partial};

/// What a dump holds, and as of when: all of one moment, while the site goes on.
const OPTIONS: [&str; 9] = [
    "--single-transaction",
    "--quick",
    "--routines",
    "--triggers",
    "--events",
    "--hex-blob",
    // Needs a right on the whole server, and says where files lie.
    "--no-tablespaces",
    "--default-character-set=utf8mb4",
    "--comments",
];
/// What MySQL's own program adds that fits no other server.
const OTHERS: [&str; 2] = ["--set-gtid-purged=OFF", "--column-statistics=0"];

impl Draft<'_> {
    /// `mariadb-dump` or `mysqldump`, and how many bytes the database has.
    pub(super) async fn save_mysql(
        &mut self,
        database: &DatabaseConfig,
        to: String,
    ) -> Result<(FilesAct, u64), NoPlan> {
        let found = own::dumped(database).await.map_err(NoPlan::Impossible)?;
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
        let mut argv = reach::words(database, &written(program)?);
        argv.extend(OPTIONS.map(str::to_owned));
        if !found.maria {
            argv.extend(OTHERS.map(str::to_owned));
        }
        argv.extend([format!("--result-file={}", partial(&to)), "--".to_owned(), database.name.clone()]);
        Ok((FilesAct::Save { argv, to, password: true }, found.bytes))
    }
}
