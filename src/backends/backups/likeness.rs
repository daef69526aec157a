//! Whether an SQLite backup is of the same application as the database in use, and what it lacks.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use crate::domain::app_state::{AppMigrations, unknown};
use crate::domain::database::{Migrated, number};
use crate::domain::text::{count, plain};

/// How long reading the tables may take.
const LIMIT: Duration = Duration::from_mins(2);
/// How long a writer is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// Most tables that are named.
const NAMED: usize = 3;

/// What an SQLite database holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Rows by table.
    pub tables: BTreeMap<String, i64>,
    /// The migrations its schema has seen.
    pub migrations: Vec<Migrated>,
}

/// What a database holds. `at_rest`: nobody writes to it, and nothing is made beside it.
///
/// # Errors
/// A sentence, where it can't be read.
pub async fn content(path: &Path, at_rest: bool) -> Result<Content, String> {
    let failed =
        |error: sqlx::Error| format!("SQLite can't read {}: {}", path.display(), plain(&error.to_string(), 160));
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(at_rest).busy_timeout(BUSY);
    let read = async {
        let mut db = options.disable_statement_logging().connect().await?;
        let read = tables(&mut db).await;
        db.close().await?;
        read
    };
    match tokio::time::timeout(LIMIT, read).await {
        Ok(read) => read.map_err(failed),
        Err(_elapsed) => Err(format!("counting the rows of {} takes too long", path.display())),
    }
}

async fn tables(db: &mut SqliteConnection) -> sqlx::Result<Content> {
    let sql =
        "select name from sqlite_master where type = 'table' and name not like 'sqlite\\_%' escape '\\' order by name";
    let mut content = Content::default();
    for row in sqlx::query(sql).fetch_all(&mut *db).await? {
        let name: String = row.try_get(0)?;
        let sql = format!("select count(*) from \"{}\"", name.replace('"', "\"\""));
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *db).await?.try_get(0)?;
        content.tables.insert(name, rows);
    }
    if content.tables.contains_key("django_migrations") {
        for row in sqlx::query("select app, name from django_migrations order by id desc").fetch_all(&mut *db).await? {
            let (app, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            match content.migrations.iter_mut().find(|part| part.app == app) {
                Some(part) => {
                    part.names.push(name);
                    part.count += 1;
                }
                None => content.migrations.push(Migrated { app, names: vec![name], at: None, count: 1 }),
            }
        }
    }
    Ok(content)
}

impl Content {
    /// Why it must not take the place of what is in use (`None`: that can't be read), where it must not.
    pub fn unfit(&self, live: Option<&Self>, code: &[AppMigrations]) -> Option<String> {
        if self.tables.is_empty() {
            return Some("it holds not a single table".to_owned());
        }
        let newer = |part: &Migrated, than: &str| {
            format!(
                "its schema is newer than {than}: {} is at {}; install the code it was made with first",
                part.app,
                part.head()
            )
        };
        if let Some(part) = unknown(code, &self.migrations).first() {
            return Some(newer(part, "the code here"));
        }
        let live = live?;
        let shared = self.tables.keys().filter(|name| live.tables.contains_key(*name)).count();
        if shared * 2 < self.tables.len().min(live.tables.len()) || shared == 0 {
            let names = self.tables.keys().take(NAMED).map(|name| plain(name, 40)).collect::<Vec<_>>().join(", ");
            return Some(format!(
                "it is of another application: of its {} only {shared} are in the database in use ({names}, …)",
                count(self.tables.len() as u64, "table")
            ));
        }
        let ahead = self.migrations.iter().find(|part| {
            let now = live.migrations.iter().find(|now| now.app == part.app);
            now.is_some_and(|now| number(part.head()) > number(now.head()))
        });
        ahead.map(|part| newer(part, "the database in use"))
    }

    /// What differs from what is in use, in a sentence.
    pub fn against(&self, live: &Self) -> String {
        let (mut fewer, mut more, mut named) = (0_i64, 0_i64, Vec::new());
        for (name, now) in &live.tables {
            let own = self.tables.get(name).copied().unwrap_or(0);
            fewer += (now - own).max(0);
            more += (own - now).max(0);
            if own != *now {
                named.push(((now - own).abs(), format!("{} {own} instead of {now}", plain(name, 40))));
            }
        }
        named.sort_by(|a, b| b.cmp(a));
        let named: Vec<String> = named.into_iter().take(NAMED).map(|(_, told)| told).collect();
        if named.is_empty() {
            return "it holds as many rows as the database in use".to_owned();
        }
        format!("it lacks {fewer} rows of the database in use and has {more} more: {}", named.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::Content;
    use crate::domain::app_state::AppMigrations;
    use crate::domain::database::Migrated;

    fn holds(tables: &[(&str, i64)], head: &str) -> Content {
        let migrations = vec![Migrated { app: "base".to_owned(), names: vec![head.to_owned()], at: None, count: 1 }];
        Content { tables: tables.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect(), migrations }
    }

    #[test]
    fn only_the_same_application_and_no_newer_schema_fits() {
        let live = holds(&[("orders", 10), ("events", 2), ("users", 3)], "0007_more");
        let older = holds(&[("orders", 8), ("events", 2)], "0006_less");
        assert_eq!(older.unfit(Some(&live), &[]), None);
        assert_eq!(
            older.against(&live),
            "it lacks 5 rows of the database in use and has 0 more: users 0 instead of 3, orders 8 instead of 10"
        );
        let newer = holds(&[("orders", 8)], "0008_new");
        assert!(newer.unfit(Some(&live), &[]).unwrap().contains("newer than the database in use: base is at 0008_new"));
        let code = AppMigrations { label: "base".to_owned(), names: vec!["0007_more".to_owned()] };
        assert!(newer.unfit(None, &[code]).unwrap().contains("newer than the code here"));
        assert!(
            holds(&[("songs", 8), ("bands", 2)], "").unfit(Some(&live), &[]).unwrap().contains("another application")
        );
        assert!(holds(&[], "").unfit(None, &[]).unwrap().contains("not a single table"));
    }
}
