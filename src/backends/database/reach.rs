//! Which way leads to a PostgreSQL server for who has to make and rename databases: the system's user of the server over
//! its socket, or the site's own role where that may. Each way is tried with a harmless question.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::psql;
use crate::backends::backups::program::Tools;
use crate::backends::store::who;
use crate::config::DatabaseConfig;
use crate::runbook::plan::postgres::{Server, literal};

/// Who may make and rename databases on the server of this database.
///
/// # Errors
/// A sentence that says what was tried, and what would open a way.
pub async fn reach(config: &DatabaseConfig) -> Result<Server, String> {
    way(config, Right::Make).await
}

/// Who may replace what is in this database, if nobody may make another.
///
/// # Errors
/// As [`reach`].
pub async fn over(config: &DatabaseConfig) -> Result<Server, String> {
    way(config, Right::Own).await
}

/// What a role must be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// To make and rename databases, this one too.
    Make,
    /// All that is in this one.
    Own,
}

async fn way(config: &DatabaseConfig, right: Right) -> Result<Server, String> {
    let seen = super::session::database(config, &config.name).await?;
    let seen = seen.ok_or_else(|| format!("there is no database {}", config.name))?;
    if !seen.ends_with("primary") {
        return Err(format!("the server of {} is a standby: restore on its primary", config.name));
    }
    let port = config.port.unwrap_or(5432);
    let place = seen.split(" · ").nth(1).unwrap_or_default();
    if place.rsplit(':').next() != Some(port.to_string().as_str()) {
        return Err(format!(
            "{port} is not the server's own port ({place}): a pooler or a forwarded port stands between, and what it \
             holds open can't be ended from here"
        ));
    }
    let system = seen.strip_prefix("server ").and_then(|rest| rest.split(" · ").next()).unwrap_or_default().to_owned();
    let programs = programs(config).await?;
    let mut tried = Vec::new();
    for (directory, uid) in sockets(port) {
        let user = who::name(uid);
        let own = uid == rustix::process::geteuid().as_raw();
        let server = Server {
            programs: programs.clone(),
            user: (!own).then(|| user.clone()),
            host: directory.display().to_string(),
            port,
            role: user.clone(),
            password: false,
            system: system.clone(),
        };
        match capable(&server, config, right).await {
            Ok(()) => return Ok(server),
            Err(why) => tried.push(format!("as the system's user {user} over {}: {why}", directory.display())),
        }
    }
    let server = own_role(config, (port, programs, system));
    match capable(&server, config, right).await {
        Ok(()) => return Ok(server),
        Err(why) => tried.push(format!("as the site's own role {}: {why}", config.user)),
    }
    if right == Right::Own {
        return Err(format!("nobody midwatch can act as owns this database. Tried\n  {}", tried.join("\n  ")));
    }
    Err(format!(
        "nobody midwatch can act as may make and rename databases on this server. Tried\n  {}\nRun midwatch as root on the \
         server's machine, or let the role: ALTER ROLE {role} CREATEDB; ALTER DATABASE {name} OWNER TO {role}; or have the \
         site away while it is restored over what is in it (restore-in-place)",
        tried.join("\n  "),
        role = crate::runbook::plan::postgres::name(&config.user),
        name = crate::runbook::plan::postgres::name(&config.name),
    ))
}

fn own_role(config: &DatabaseConfig, (port, programs, system): (u16, String, String)) -> Server {
    use secrecy::ExposeSecret as _;
    let first = || sockets(port).into_iter().next().map(|(directory, _)| directory.display().to_string());
    let host = if config.host.is_empty() { first().unwrap_or_default() } else { config.host.clone() };
    let role = if config.user.is_empty() { who::user() } else { config.user.clone() };
    let password = !config.password.expose_secret().is_empty();
    Server { programs, user: None, host, port, role, password, system }
}

/// Whether this way leads to that very server, and to a role that may do it.
async fn capable(server: &Server, config: &DatabaseConfig, right: Right) -> Result<(), String> {
    let sql = format!(
        "select (select system_identifier::text from pg_control_system()), r.rolsuper, {} and \
         exists (select from pg_database d where d.datname = {} and pg_has_role(r.oid, d.datdba, 'member')) \
         from pg_roles r where r.rolname = current_user",
        if right == Right::Make { "r.rolcreatedb" } else { "true" },
        literal(&config.name)
    );
    let rows = psql::ask(server, Some(&config.password), "postgres", &sql).await?;
    match rows.first().map(Vec::as_slice) {
        Some([system, ..]) if *system != server.system => Err("that is another server".to_owned()),
        Some([_, superuser, owner]) if superuser == "t" || owner == "t" => Ok(()),
        Some(_) if right == Right::Own => Err("it does not own this one".to_owned()),
        Some(_) => Err("it may not make databases, or does not own this one".to_owned()),
        None => Err("it has no such role".to_owned()),
    }
}

/// Users of the system have numbers below this; everybody can listen at a path of their own.
const PEOPLE: u32 = 1000;

/// The sockets of a server of this port on this machine, and whose they are: the system's users', or this user's own.
fn sockets(port: u16) -> Vec<(PathBuf, u32)> {
    let file = format!(".s.PGSQL.{port}");
    let listed = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let listening: BTreeSet<PathBuf> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(7).map(PathBuf::from))
        .filter(|path| path.file_name().is_some_and(|name| name == file.as_str()))
        .collect();
    let owned = |path: PathBuf| {
        let meta = std::fs::symlink_metadata(&path).ok().filter(|meta| meta.file_type().is_socket())?;
        let uid = meta.uid();
        let trusted = uid < PEOPLE || uid == rustix::process::geteuid().as_raw();
        trusted.then_some((path.parent().map(Path::to_owned)?, uid))
    };
    listening.into_iter().filter_map(owned).collect()
}

/// The client programs of the server's major version, or the next newer ones that are here.
async fn programs(config: &DatabaseConfig) -> Result<String, String> {
    let major = super::session::major(config).await?;
    let tools = Tools::find();
    let fit = tools.pg_restore.iter().filter(|(version, _)| *version >= major).min_by_key(|(version, _)| *version);
    let Some((_, program)) = fit else {
        let newest = tools.pg_restore.iter().map(|(version, _)| *version).max();
        let newest = newest.map_or("there is none".to_owned(), |version| format!("the newest here is {version}"));
        return Err(format!(
            "the server is PostgreSQL {major}, and pg_restore must not be older: {newest}. Install postgresql-client-{major}"
        ));
    };
    let directory = program.parent().filter(|directory| directory.join("psql").is_file());
    let directory = directory.ok_or_else(|| format!("there is no psql beside {}", program.display()))?;
    Ok(directory.display().to_string())
}
