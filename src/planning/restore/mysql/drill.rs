//! What a drill of a dump of MySQL or MariaDB takes: a server of MariaDB.

use super::super::super::values::backups::trusted;
use super::super::super::{Draft, NoPlan};
use super::super::drill::{Means, gently};
use super::super::postgres::no;
use super::backup::Found;
use crate::backends::backups::program::Tools;
use crate::backends::database::mysql::collations;
use crate::backends::database::mysql::dump::dumped;
use crate::backends::store::who;
use crate::config::DatabaseConfig;
use crate::domain::text::plain;
use crate::runbook::plan::drill::DrillEngine;

/// Whom MariaDB's packages make for its servers.
const USER: &str = "mysql";
/// The server in use when it can't be asked: as new as any.
const ANY: &str = "999.0";

impl Draft<'_> {
    /// What restores a dump into a server that lives as long as the drill.
    pub(in super::super) async fn drill_mysql(&mut self, path: &str, config: &DatabaseConfig) -> Result<Means, NoPlan> {
        let tools = Tools::find();
        let program = |name: &str| {
            let found = tools.get(name).and_then(|path| path.to_str()).map(str::to_owned);
            found.ok_or_else(|| {
                no(format!(
                    "there is no {name} here, and a drill needs a server of its own: install mariadb-server, or drill on \
                     another host"
                ))
            })
        };
        let (install, server, client) = (program("mariadb-install-db")?, program("mariadbd")?, program("mariadb")?);
        let found = Found::read(path, &config.name, ANY).await.map_err(NoPlan::Impossible)?;
        trusted(self.ground, path, &found.verdict)?;
        if let Some(more) = &found.left_out {
            self.costs.push(format!("Only tables and rows are tried: not {more}, which the backup holds, too."));
        }
        let user = if rustix::process::geteuid().is_root() {
            let uid = who::number(USER)
                .ok_or_else(|| no(format!("there is no user {USER}, and a drill's server does not run as root")))?;
            Some((USER.to_owned(), uid))
        } else {
            None
        };
        let of = user.as_ref().map(|(user, _)| user.as_str());
        if let Some(unknown) = collations::unknown_to(&server, of, &found.collations).await {
            let server = format!("the throw-away server of a drill ({server})");
            return Err(no(collations::refused(&plain(path, 200), &unknown, &server)));
        }
        let size = match dumped(config).await {
            Ok(live) => live.bytes,
            Err(why) => {
                let why = plain(&why, 300);
                self.at_risk.push(format!("the server in use can't be asked how large its database is: {why}"));
                0
            }
        };
        let engine = DrillEngine::Maria {
            install,
            server,
            client,
            user: user.as_ref().map(|(user, _)| user.clone()),
            gently: gently(&tools),
            packed: found.packed,
        };
        // What a server needs for itself is more than a small dump.
        Ok(Means { digest: found.verdict.digest, bytes: found.bytes.max(size).max(EMPTY), user, engine })
    }
}

/// Bytes of a server without data.
const EMPTY: u64 = 200 << 20;
