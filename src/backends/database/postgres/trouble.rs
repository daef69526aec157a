//! PostgreSQL's refusals in plain sentences, by SQLSTATE.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::backends::place::{Place, unreachable};
use crate::backends::session::{Then, Trouble};
use crate::domain::database::{Engine, says};
use crate::domain::text::plain;

const NAME: &str = Engine::Postgresql.name();

/// Whether libpq, left to its default `sslmode=prefer`, would try again without TLS.
pub(super) fn may_pass_without_tls(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Tls(_))
        || error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("28000"))
}

/// `error` in a sentence.
pub(super) fn told(error: &sqlx::Error, place: &Place, user: &str, database: &str) -> Trouble {
    if let sqlx::Error::Io(error) = error {
        return unreachable(NAME, place, error);
    }
    if let sqlx::Error::Tls(error) = error {
        let why = plain(&error.to_string(), 160);
        return Trouble::new(format!("TLS with {NAME} at {place} fails: {why}."), Then::Reconnect);
    }
    if let sqlx::Error::Protocol(what) = error {
        let what = plain(what, 120);
        let sentence =
            format!("What listens at {place} does not speak PostgreSQL's protocol ({what}). Is the port right?");
        return Trouble::new(sentence, Then::Reconnect);
    }
    if let Some(error) = error.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>()) {
        return refused(error, place, &plain(user, 60), &plain(database, 60));
    }
    Trouble::new(format!("{NAME} at {place} answered oddly: {}.", plain(&error.to_string(), 160)), Then::Reconnect)
}

fn refused(error: &PgDatabaseError, place: &Place, user: &str, database: &str) -> Trouble {
    let said = plain(error.message(), 160);
    let fatal = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    let then = if fatal { Then::Reconnect } else { Then::Stay };
    match error.code() {
        "28P01" => Trouble::new(
            format!(
                "{NAME} at {place} refuses the password of role {user}. Compare it with the application's settings."
            ),
            Then::Rest,
        ),
        "28000" => Trouble::new(
            format!("{NAME} at {place} does not let role {user} in ({said}). pg_hba.conf on the server decides this."),
            Then::Rest,
        ),
        "3D000" => Trouble::new(
            format!("{NAME} at {place} has no database {database}: was it renamed, dropped or not restored yet?"),
            Then::Reconnect,
        ),
        "53300" => Trouble::new(
            format!("{NAME} at {place} {} ({said}): find out who holds them.", says::FULL),
            Then::Reconnect,
        ),
        "57P03" if said.contains("shutting down") => Trouble::new(
            format!("{NAME} at {place} takes no sessions any more: {said}. See who stops it."),
            Then::Reconnect,
        ),
        "57P03" => Trouble::new(
            format!("{NAME} at {place} {}: {said}. Wait, do not restart it, and read its log.", says::RECOVERING),
            Then::Reconnect,
        ),
        "57P01" | "57P02" | "57P05" => {
            Trouble::new(format!("{NAME} at {place} ended midwatch's session: {said}."), Then::Reconnect)
        }
        "57014" | "55P03" => Trouble::new(
            format!("{NAME} at {place} took too long over a look at its own state ({said}): it is overloaded."),
            then,
        ),
        "08P01" if said.contains("startup parameter") => Trouble::new(
            format!(
                "What listens at {place} is a connection pooler that refuses midwatch's session limits ({said}). \
                 Name the server behind it as the database in midwatch.toml."
            ),
            Then::Rest,
        ),
        "53100" => Trouble::new(format!("{NAME} at {place} has {}: {said}.", says::NO_SPACE), then),
        "53200" => Trouble::new(format!("{NAME} at {place} is out of memory: {said}."), then),
        code => Trouble::new(format!("{NAME} at {place} answers with an error: {said} ({code})."), then),
    }
}
