//! What a drill of a PostgreSQL backup takes: server programs that are not older than the backup, and roles like those of
//! the server in use.

use std::path::Path;

use serde::Deserialize;

use super::super::super::values::backups::trusted;
use super::super::drill::{Means, gently};
use super::{Draft, NoPlan, backup, no};
use crate::backends::backups::program::Tools;
use crate::backends::database::{psql, reach};
use crate::backends::look::files::inode;
use crate::backends::store::who;
use crate::config::DatabaseConfig;
use crate::domain::text::plain;
use crate::runbook::plan::drill::DrillEngine;
use crate::runbook::plan::postgres::{Server, literal};

/// Whom PostgreSQL's packages make for its servers, which never run as root.
const USER: &str = "postgres";
/// What a server consists of.
const PROGRAMS: [&str; 4] = ["initdb", "postgres", "psql", "pg_restore"];

/// What the server in use says of the database.
#[derive(Debug, Deserialize)]
struct Live {
    size: u64,
    owner: String,
    roles: Vec<String>,
}

impl Draft<'_> {
    /// What restores a backup into a server that lives as long as the drill.
    pub(in crate::planning::restore) async fn drill_postgres(
        &mut self,
        path: &str,
        config: &DatabaseConfig,
    ) -> Result<Means, NoPlan> {
        let tools = Tools::find();
        let whole = |directory: &Path| PROGRAMS.iter().all(|program| directory.join(program).is_file());
        let mut installed = tools.pg_restore.iter().filter_map(|(major, program)| Some((*major, program.parent()?)));
        let Some((major, programs)) = installed.find(|(_, directory)| whole(directory)) else {
            return Err(no(
                "there are no server programs of PostgreSQL here (initdb, postgres): a drill needs a server of \
                           its own. Install the package postgresql of the server's version, or drill on another host",
            ));
        };
        let programs = programs.to_str().ok_or_else(|| no("the server programs lie at a path that can't be shown"))?;
        let found = backup::Found::read(path, &config.name, major).await.map_err(NoPlan::Impossible)?;
        trusted(self.ground, path, &found.verdict)?;
        let user = if rustix::process::geteuid().is_root() {
            let uid = who::number(USER)
                .ok_or_else(|| no(format!("there is no user {USER}, and a server does not run as root")))?;
            Some((USER.to_owned(), uid))
        } else {
            None
        };
        if found.directory && !readable(user.as_ref().map(|(user, _)| user.as_str()), path).await {
            return Err(no(format!(
                "pg_restore runs as {USER}, who may not read the directory {path}: let them (setfacl -R -m u:{USER}:rX)"
            )));
        }
        let live = match live(config).await {
            Ok(live) => live,
            Err(why) => {
                self.at_risk.push(format!(
                    "the server in use can't be asked how large its database is and which roles there are: {}",
                    plain(&why, 300)
                ));
                Live { size: 0, owner: config.user.clone(), roles: Vec::new() }
            }
        };
        let engine = DrillEngine::Postgres {
            programs: programs.to_owned(),
            user: user.as_ref().map(|(user, _)| user.clone()),
            gently: gently(&tools),
            roles: live.roles.into_iter().filter(|role| *role != live.owner).collect(),
            owner: live.owner,
            sql: found.sql,
            packed: found.packed,
            directory: found.directory,
        };
        Ok(Means { digest: found.verdict.digest, bytes: found.restored.max(live.size), user, engine })
    }
}

async fn readable(user: Option<&str>, path: &str) -> bool {
    let server = Server {
        programs: String::new(),
        user: user.map(str::to_owned),
        host: String::new(),
        port: 0,
        role: String::new(),
        password: false,
        system: String::new(),
    };
    inode(path).is_some() && backup::readable(&server, path).await
}

/// Bytes of a file, or of the files of a directory.
pub(super) fn size(path: &Path) -> u64 {
    if !path.is_dir() {
        return std::fs::metadata(path).map_or(0, |meta| meta.len());
    }
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}

async fn live(config: &DatabaseConfig) -> Result<Live, String> {
    let server = reach::reach(config).await?;
    let sql = format!(
        "select json_build_object('size', pg_database_size(oid), 'owner', pg_get_userbyid(datdba), 'roles', \
         (select coalesce(json_agg(rolname order by rolname), '[]') from pg_roles where rolname !~ '^pg_')) from \
         pg_database where datname = {}",
        literal(&config.name)
    );
    let answer = psql::one(&server, Some(&config.password), "postgres", &sql).await?;
    serde_json::from_str(&answer.unwrap_or_default()).map_err(|error| format!("what it says is not clear: {error}"))
}
