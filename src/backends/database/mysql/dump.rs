//! What a dump of a database will be of, and whether the user who makes it may see all of that.

use super::own::{Link, of_site, plain_name, reader};
use super::reach::privileges;
use crate::config::DatabaseConfig;
use crate::domain::text::{count, plain};
use crate::runbook::plan::mysql::{Server, literal, name};

/// Any of these lets a user see which routines there are.
const ROUTINES: [&str; 4] = ["EXECUTE", "ALTER ROUTINE", "SHOW CREATE ROUTINE", "SHOW_ROUTINE"];

/// What a dump of the site's database will be of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dumped {
    /// Whether the server is MariaDB.
    pub maria: bool,
    /// Who looked, and so who makes the dump.
    pub user: String,
    /// Bytes of its tables.
    pub bytes: u64,
    /// Tables that know no transactions.
    pub others: Vec<String>,
    /// Whether this user may see its events: a dump that asks for them fails otherwise.
    pub events: bool,
    /// What would be left out of a dump in silence, and the privilege that shows it.
    pub unseen: Vec<(&'static str, &'static str)>,
    /// Why a dump would fail over a view, a trigger or a routine.
    pub barred: Option<String>,
    more: Vec<(u64, &'static str)>,
}

impl Dumped {
    /// Whether this user sees all of it.
    pub fn all(&self) -> bool {
        self.events && self.unseen.is_empty() && self.barred.is_none()
    }

    /// What besides tables will be in it: `1 view, 2 routines`.
    pub fn more(&self) -> Option<String> {
        let there: Vec<_> = self.more.iter().filter(|(n, _)| *n > 0).map(|(n, word)| count(*n, word)).collect();
        (!there.is_empty()).then(|| there.join(", "))
    }
}

/// Looks what a dump of the site's database by the site's own user will be of.
///
/// # Errors
/// A sentence, where it can't be seen.
pub async fn dumped(config: &DatabaseConfig) -> Result<Dumped, String> {
    plain_name(&config.name)?;
    look(of_site(config).await?, &config.name).await
}

/// The same of a dump by whoever a plan's server is spoken to as.
///
/// # Errors
/// As [`dumped`].
pub async fn dumped_by(server: &Server, config: &DatabaseConfig) -> Result<Dumped, String> {
    plain_name(&config.name)?;
    look(reader(server, Some(&config.password)).await?, &config.name).await
}

async fn look(mut link: Link, schema: &str) -> Result<Dumped, String> {
    let of = literal(schema);
    let mut out = Dumped {
        maria: link.one("SELECT VERSION()").await?.is_some_and(|version| version.contains("MariaDB")),
        user: link.one("SELECT CURRENT_USER()").await?.unwrap_or_default(),
        ..Dumped::default()
    };
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS CHAR) FROM information_schema.tables \
         WHERE table_schema = {of}"
    );
    out.bytes = link.one(&sql).await?.and_then(|bytes| bytes.split('.').next()?.parse().ok()).unwrap_or(0);
    let sql = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = {of} AND \
         table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND engine <> 'InnoDB' ORDER BY table_name"
    );
    out.others = link.list(&sql).await?;
    // Of what is seen, not all may be read: a dump fails over it.
    let mut seen = [0, 0];
    for (known, (kind, column, of_schema)) in
        seen.iter_mut().zip([("view", "table_name", "table_schema"), ("trigger", "trigger_name", "trigger_schema")])
    {
        let sql = format!("SELECT {column} FROM information_schema.{kind}s WHERE {of_schema} = {of}");
        for one in link.list(&sql).await? {
            *known += 1;
            if let Err(why) = link.ask(&format!("SHOW CREATE {kind} {}.{}", name(schema), name(&one))).await {
                out.barred = Some(format!("its {kind} {} can't be read: {why}", plain(&one, 64)));
            }
        }
    }
    let [views, triggers] = seen;
    let sql = format!(
        "SELECT CAST(COUNT(*) AS CHAR), CAST(COALESCE(SUM(routine_definition IS NULL), 0) AS CHAR) FROM \
         information_schema.routines WHERE routine_schema = {of}"
    );
    let (routines, hidden) = link.ask(&sql).await?.into_iter().next().map(super::own::pair).unwrap_or_default();
    if hidden.parse::<u64>().is_ok_and(|hidden| hidden > 0) {
        out.barred = Some(format!("it may not read what {} does", count(hidden.parse().unwrap_or(0), "routine")));
    }
    let sql = format!("SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.events WHERE event_schema = {of}");
    let events = link.one(&sql).await?.unwrap_or_default();
    let may = privileges(&mut link, schema).await?;
    let may = |known: &[&str]| may.iter().any(|has| known.contains(&has.as_str()));
    out.events = link.ask(&format!("SHOW EVENTS FROM {}", name(schema))).await.is_ok();
    if !out.events {
        out.unseen.push(("events", "EVENT"));
    }
    // Of what the user sees, there is nothing to be told.
    if triggers == 0 && !may(&["TRIGGER"]) {
        out.unseen.push(("triggers", "TRIGGER"));
    }
    if routines == "0" && !may(&ROUTINES) {
        out.unseen.push(("routines", "EXECUTE"));
    }
    let number = |n: &str| n.parse().unwrap_or(0);
    out.more = vec![(views, "view"), (triggers, "trigger"), (number(&routines), "routine"), (number(&events), "event")];
    link.close().await;
    Ok(out)
}
