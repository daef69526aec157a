//! Which collations a server knows: tables that name another can't be made on it. The server itself is asked, for newer ones
//! take names of others for their own that stand in none of their lists.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;
use sqlx::{AssertSqlSafe, Executor as _};

use super::own::Link;

/// `Unknown collation`.
const UNKNOWN: u16 = 1273;
/// How long a server program may take to look at its options.
const PATIENCE: Duration = Duration::from_secs(20);

/// Those that can be asked for by themselves, with the character set they are of.
fn asked(all: &BTreeSet<String>) -> impl Iterator<Item = (&str, &str)> {
    let plain = |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // MariaDB's `uca1400_…` are of several character sets.
    let one = |name: &'_ String| name.split_once('_').map(|(of, _)| of.len()).filter(|_| !name.starts_with("uca1400_"));
    all.iter().filter(plain).filter_map(move |name| Some((name.as_str(), name.get(..one(name)?)?)))
}

/// Of these the first that a server does not know.
pub async fn unknown(link: &mut Link, all: &BTreeSet<String>) -> Option<String> {
    for (name, of) in asked(all) {
        let sql = AssertSqlSafe(format!("SELECT _{of}'' COLLATE {name}"));
        let Err(error) = link.connection.execute(sqlx::raw_sql(sql)).await else { continue };
        let told = error.as_database_error().and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
        if told.is_some_and(|error| error.number() == UNKNOWN) {
            return Some(name.to_owned());
        }
    }
    None
}

/// Of these the first that a server program of MariaDB does not know, which is asked without being started; `user`: as whom.
pub async fn unknown_to(program: &str, user: Option<&str>, all: &BTreeSet<String>) -> Option<String> {
    for (name, of) in asked(all) {
        let mut words: Vec<&str> = user.map(|user| vec!["runuser", "-u", user, "--"]).unwrap_or_default();
        let (set, collation) = (format!("--character-set-server={of}"), format!("--collation-server={name}"));
        words.extend([program, "--no-defaults", "--verbose", "--help", &set, &collation]);
        let Some((first, rest)) = words.split_first() else { continue };
        let mut command = tokio::process::Command::new(first);
        command.args(rest).current_dir("/").env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
        let Ok(Ok(done)) = tokio::time::timeout(PATIENCE, command.output()).await else { continue };
        let told = format!("Unknown collation: '{name}'");
        if !done.status.success() && String::from_utf8_lossy(&done.stderr).contains(&told) {
            return Some(name.to_owned());
        }
    }
    None
}

/// Why a dump is refused whose tables name a collation that a server does not know.
pub fn refused(backup: &str, collation: &str, server: &str) -> String {
    format!(
        "{backup} has tables with the collation {collation}, which {server} does not know: restore it on a server that does \
         (utf8mb4_0900_… are MySQL's from 8.0 on), or make a dump in which the tables have one that both know"
    )
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn only_what_can_be_asked_for_by_itself_is_asked() {
        let all = ["utf8mb4_0900_ai_ci", "uca1400_ai_ci", "binary", "latin1_bin", "a'b_c"].map(str::to_owned).into();
        let found: Vec<_> = asked(&all).collect();
        assert_eq!(found, [("latin1_bin", "latin1"), ("utf8mb4_0900_ai_ci", "utf8mb4")]);
    }
}
