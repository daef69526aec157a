//! Questions put through `psql`, in the role that may act on the server: they only read.

use std::process::Stdio;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::Command;

use crate::domain::text::plain;
use crate::runbook::plan::postgres::Server;

/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_mins(1);
/// Where programs are. Nothing else of this process' environment belongs to the question.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Between the cells of a row, and between rows: in no name and no text.
const CELL: char = '\u{1f}';
const ROW: char = '\u{1e}';

/// The rows of an answer.
pub type Rows = Vec<Vec<String>>;

/// What the server answers. Nothing can be changed by the question.
///
/// # Errors
/// A sentence: `psql` can't be run, the server refuses, or no answer has come.
pub async fn ask(server: &Server, password: Option<&SecretString>, database: &str, sql: &str) -> Result<Rows, String> {
    let read_only = "set default_transaction_read_only = on; set statement_timeout = '50s'".to_owned();
    let mut words = become_user(server.user.as_deref());
    // Whoever answers at that address now: another server's answer is none. One that is made for a drill has no number yet.
    let guard = (!server.system.is_empty()).then(|| server.guard());
    let statements: Vec<String> = std::iter::once(read_only).chain(guard).chain([sql.to_owned()]).collect();
    words.extend(server.psql(database, false, &statements));
    words.extend(["-F".to_owned(), CELL.to_string(), "-R".to_owned(), ROW.to_string()]);
    let Some((program, arguments)) = words.split_first() else { return Ok(Rows::new()) };
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear().env("LC_ALL", "C").env("PATH", PATH);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
    if let Some(password) = password.filter(|_| server.password) {
        command.env("PGPASSWORD", password.expose_secret());
    }
    let output = match tokio::time::timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{program} can't be run: {error}")),
        Err(_) => return Err(format!("PostgreSQL has not answered within {} s", LIMIT.as_secs())),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("psql failed without a word");
        return Err(plain(line.trim_start_matches("psql: ").trim_start_matches("error: "), 300));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let rows = text.split(ROW).filter(|row| !row.is_empty());
    Ok(rows.map(|row| row.split(CELL).map(str::to_owned).collect()).collect())
}

/// The first cell of the first row.
///
/// # Errors
/// As [`ask`].
pub async fn one(
    server: &Server,
    password: Option<&SecretString>,
    database: &str,
    sql: &str,
) -> Result<Option<String>, String> {
    let rows = ask(server, password, database, sql).await?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()))
}

/// The words that come before a program that another user runs.
fn become_user(user: Option<&str>) -> Vec<String> {
    let words = match user {
        None => return Vec::new(),
        Some(user) if rustix::process::geteuid().is_root() => vec!["runuser", "-u", user, "--"],
        Some(user) => vec!["sudo", "-n", "-u", user, "--"],
    };
    words.into_iter().map(str::to_owned).collect()
}
