//! The tables of a journal. Plain types, for a server may hold them one day; times in milliseconds since 1970 UTC.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

const FIRST: &str = "
create table runs (id text not null primary key, runbook text not null, site text, target text not null,
    host text not null, plan text not null, digest text not null, approved_by text not null, began bigint not null);
create table nonces (nonce text not null primary key, run text not null, at bigint not null);
create table entries (run text not null references runs (id), seq bigint not null, at bigint not null,
    what text not null, primary key (run, seq));
create table output (run text not null references runs (id), seq bigint not null, at bigint not null,
    step bigint not null, attempt bigint not null, stream text not null check (stream in ('out', 'err')),
    body text not null, primary key (run, seq));
create table words (run text not null references runs (id), seq bigint not null, at bigint not null,
    said_by text not null, word text not null, primary key (run, seq));
create table beats (run text not null primary key references runs (id), at bigint not null, pid bigint not null,
    boot text not null, started bigint not null);
create trigger runs_stay before update on runs begin select raise(abort, 'a journal is only added to'); end;
create trigger runs_last before delete on runs begin select raise(abort, 'a journal is only added to'); end;
create trigger nonces_stay before update on nonces begin select raise(abort, 'a journal is only added to'); end;
create trigger nonces_last before delete on nonces begin select raise(abort, 'a journal is only added to'); end;
create trigger entries_stay before update on entries begin select raise(abort, 'a journal is only added to'); end;
create trigger entries_last before delete on entries begin select raise(abort, 'a journal is only added to'); end;
create trigger output_stay before update on output begin select raise(abort, 'a journal is only added to'); end;
create trigger output_last before delete on output begin select raise(abort, 'a journal is only added to'); end;
create trigger words_stay before update on words begin select raise(abort, 'a journal is only added to'); end;
create trigger words_last before delete on words begin select raise(abort, 'a journal is only added to'); end;
pragma user_version = 1;
";

/// What leads from each schema to the next; each sets its number.
const STEPS: [&str; 1] = [FIRST];

/// The newest schema this midwatch knows.
pub(super) const KNOWN: i64 = 1;

/// The schema of a file; 0: there are no tables yet.
pub(super) async fn version(db: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query("pragma user_version").fetch_one(db).await?.try_get(0)
}

/// Brings a file to the newest schema; what it was before.
///
/// # Errors
/// When it can't be written. A newer schema is left as it is.
pub(super) async fn bring_up(db: &mut SqliteConnection) -> sqlx::Result<i64> {
    let found = version(db).await?;
    if found >= KNOWN {
        return Ok(found);
    }
    // Two that open a new file at the same time: the second finds it made.
    let mut tx = db.begin_with("begin immediate").await?;
    let found = version(&mut tx).await?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        sqlx::raw_sql(*step).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(found)
}
