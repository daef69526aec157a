//! Which way leads to a MySQL or MariaDB server for who has to make schemas and move tables between them: root over its
//! socket, where midwatch runs as root on the server's machine, or the site's own user where that may.

use std::os::unix::fs::FileTypeExt as _;

use secrecy::ExposeSecret as _;

use super::Mysql;
use super::own::{Link, of_site, plain_name, reader};
use crate::backends::backups::program::Tools;
use crate::backends::place::Place;
use crate::config::DatabaseConfig;
use crate::runbook::plan::mysql::{HELD, RESTORE, Server, literal};

/// What is needed on the schema in use and on those beside it.
const NEEDED: [&str; 7] = ["SELECT", "INSERT", "CREATE", "ALTER", "DROP", "REFERENCES", "LOCK TABLES"];
/// What migrations need where they are applied.
const MIGRATES: [&str; 9] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"];
/// Any moment, in names.
const SOME: &str = "20260101000000";

/// Who may make schemas on the server of this database and move its tables.
///
/// # Errors
/// A sentence that says what was tried, and what would open a way.
pub async fn reach(config: &DatabaseConfig) -> Result<Server, String> {
    plain_name(&config.name)?;
    let mut own = of_site(config).await?;
    let identity = own.identity().await?;
    let version = own.one("SELECT VERSION()").await?.unwrap_or_default();
    let user = own.one("SELECT CURRENT_USER()").await?.unwrap_or_default();
    let socket = own.one("SELECT @@socket").await?.unwrap_or_default();
    own.close().await;
    let client = client(version.contains("MariaDB"))?;
    let mut tried = Vec::new();
    let ways = root(&socket).into_iter().chain(std::iter::once(site(config)));
    for (socket, host, port, user, password) in ways {
        let server = Server { client: client.clone(), socket, host, port, user, password, identity: identity.clone() };
        match capable(&server, config).await {
            Ok(()) => return Ok(server),
            Err(why) => tried.push(format!("{}: {why}", server.shown())),
        }
    }
    Err(format!(
        "nobody midwatch can act as may make schemas beside {} on this server. Tried\n  {}\nRun midwatch as root on the \
         server's machine, or let the user: {}",
        config.name,
        tried.join("\n  "),
        grant(config, &user)
    ))
}

type Way = (Option<String>, String, u16, String, bool);

/// Root, who the server knows by the socket.
fn root(socket: &str) -> Option<Way> {
    let there = || std::fs::metadata(socket).is_ok_and(|meta| meta.file_type().is_socket());
    let ours = rustix::process::geteuid().is_root() && there();
    ours.then(|| (Some(socket.to_owned()), String::new(), 0, "root".to_owned(), false))
}

/// The site's own user.
fn site(config: &DatabaseConfig) -> Way {
    let password = !config.password.expose_secret().is_empty();
    match Mysql::new(config).place() {
        Place::Socket(path) => (Some(path.display().to_string()), String::new(), 0, config.user.clone(), password),
        Place::Tcp(host, port) => (None, host, port, config.user.clone(), password),
    }
}

/// The words of a program that speaks to the site's server as the site's own user.
pub fn words(config: &DatabaseConfig, program: &str) -> Vec<String> {
    let (socket, host, port, user, password) = site(config);
    let identity = String::new();
    Server { client: program.to_owned(), socket, host, port, user, password, identity }.words(program)
}

/// Whether this way leads to that very server, and to a user who may do it.
async fn capable(server: &Server, config: &DatabaseConfig) -> Result<(), String> {
    let mut link = reader(server, Some(&config.password)).await?;
    if link.identity().await? != server.identity {
        return Err("that is another server".to_owned());
    }
    for schema in [config.name.clone(), beside(config, RESTORE), beside(config, HELD)] {
        let may = privileges(&mut link, &schema).await?;
        let lacks: Vec<_> = NEEDED.iter().filter(|needed| !may.iter().any(|known| known == *needed)).copied().collect();
        if !lacks.is_empty() {
            return Err(format!("it lacks {} on {schema}", lacks.join(", ")));
        }
    }
    link.close().await;
    Ok(())
}

fn beside(config: &DatabaseConfig, between: &str) -> String {
    format!("{}{between}{SOME}", config.name)
}

/// Whether the site's own user may do in this schema beside the one in use what an application's migrations do.
///
/// # Errors
/// What it lacks, and what would give it that.
pub async fn works_in(config: &DatabaseConfig, schema: &str) -> Result<(), String> {
    let mut link = of_site(config).await?;
    let may = privileges(&mut link, schema).await?;
    let user = link.one("SELECT CURRENT_USER()").await?.unwrap_or_default();
    link.close().await;
    let lacks: Vec<_> = MIGRATES.iter().filter(|needed| !may.iter().any(|known| known == *needed)).copied().collect();
    if lacks.is_empty() {
        return Ok(());
    }
    Err(format!("its user lacks {} in {schema}: {}", lacks.join(", "), grant(config, &user)))
}

/// What lets a user work in the schemas that midwatch makes.
fn grant(config: &DatabaseConfig, user: &str) -> String {
    let (who, at) = user.rsplit_once('@').unwrap_or((user, "%"));
    format!("GRANT ALL ON `{}\\_mw%`.* TO {}@{};", config.name.replace('_', "\\_"), literal(who), literal(at))
}

/// What the session's user may do in a schema, by itself: what it is given through a role is not seen.
pub(super) async fn privileges(link: &mut Link, schema: &str) -> Result<Vec<String>, String> {
    let me =
        "CONCAT(QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))";
    let sql = format!(
        "SELECT privilege_type FROM information_schema.user_privileges WHERE grantee = {me} UNION SELECT privilege_type \
         FROM information_schema.schema_privileges WHERE grantee = {me} AND {} LIKE table_schema",
        literal(schema)
    );
    link.list(&sql).await
}

/// The program that puts a dump to the server.
fn client(maria: bool) -> Result<String, String> {
    let names = if maria { ["mariadb", "mysql"] } else { ["mysql", "mariadb"] };
    let tools = Tools::find();
    let found = names.iter().find_map(|name| tools.get(name));
    let found = found.and_then(|path| path.to_str()).map(str::to_owned);
    found.ok_or_else(|| "neither mariadb nor mysql is installed here: install mariadb-client".to_owned())
}
