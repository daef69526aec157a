//! What a database on MySQL or MariaDB is, so that another can be made as it is; and what of it forbids to exchange tables.

use super::own::{Link, pair};
use crate::config::DatabaseConfig;
use crate::domain::text::{bytes, plain};
use crate::runbook::plan::mysql::literal;

/// What a database is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The server's version as it says it.
    pub version: String,
    /// The character set of the schema.
    pub charset: String,
    /// Its collation.
    pub collation: String,
    /// Its size in bytes.
    pub size: u64,
    /// Sessions that are not the application's: whose, and how many.
    pub sessions: Vec<(String, String)>,
    /// Replicas that hang on the server.
    pub replicas: u32,
    /// Views, routines and events.
    pub others: u32,
    variables: Vec<(String, String)>,
    replica: bool,
    tables: Vec<Table>,
    triggers: u32,
    abroad: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Table {
    name: String,
    engine: String,
    options: String,
}

impl Facts {
    /// Looks.
    ///
    /// # Errors
    /// A sentence, where something can't be seen.
    pub async fn of(link: &mut Link, config: &DatabaseConfig) -> Result<Self, String> {
        let schema = literal(&config.name);
        let sql = format!(
            "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata \
             WHERE schema_name = {schema}"
        );
        let (charset, collation) = link.ask(&sql).await?.into_iter().next().map(pair).unwrap_or_default();
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !word(&charset) || !word(&collation) {
            return Err(format!("there is no database {}", config.name));
        }
        let sql = format!(
            "SELECT table_name, COALESCE(engine, ''), COALESCE(create_options, ''), CAST(COALESCE(data_length, 0) + \
             COALESCE(index_length, 0) AS CHAR) FROM information_schema.tables WHERE table_schema = {schema} AND \
             table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        );
        let (mut tables, mut size) = (Vec::new(), 0);
        for row in link.ask(&sql).await? {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || cells.next().unwrap_or_default();
            tables.push(Table { name: next(), engine: next(), options: next() });
            size += next().parse::<u64>().unwrap_or(0);
        }
        let count = |of: &str, column: &str| {
            format!("SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.{of} WHERE {column} = {schema}")
        };
        let mut numbers = Vec::new();
        for sql in [
            count("triggers", "event_object_schema"),
            count("views", "table_schema"),
            count("routines", "routine_schema"),
            count("events", "event_schema"),
        ] {
            numbers.push(link.one(&sql).await?.and_then(|n| n.parse::<u32>().ok()).unwrap_or(0));
        }
        let sql = format!(
            "SELECT constraint_name FROM information_schema.referential_constraints WHERE constraint_schema <> \
             unique_constraint_schema AND {schema} IN (constraint_schema, unique_constraint_schema)"
        );
        let abroad = link.one(&sql).await?;
        let sql = format!(
            "SELECT user, CAST(COUNT(*) AS CHAR) FROM information_schema.processlist WHERE db = {schema} AND user <> {} \
             AND id <> CONNECTION_ID() GROUP BY user ORDER BY user",
            literal(&config.user)
        );
        let sessions = link.ask(&sql).await?.into_iter().map(pair).collect();
        let variables = link
            .ask(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'read_only', 'super_read_only', \
                 'innodb_read_only', 'wsrep_on', 'group_replication_group_name', 'datadir')",
            )
            .await?;
        let mut out = Self {
            charset,
            collation,
            size,
            sessions,
            variables: variables.into_iter().map(pair).collect(),
            tables,
            triggers: numbers.first().copied().unwrap_or(0),
            others: numbers.iter().skip(1).sum(),
            abroad,
            ..Self::default()
        };
        out.version = out.variable("version").to_owned();
        out.replication(link).await?;
        Ok(out)
    }

    /// Whether it follows another server, and who follows it: what of that may be seen.
    async fn replication(&mut self, link: &mut Link) -> Result<(), String> {
        for sql in ["SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS"] {
            // Some servers don't know it, some users may not ask.
            self.replica |= link.ask(sql).await.is_ok_and(|rows| !rows.is_empty());
        }
        let sql = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Slave_running', 'Slaves_running', 'Slaves_connected')";
        for (what, value) in link.ask(sql).await?.into_iter().map(pair) {
            if what == "Slaves_connected" {
                self.replicas = value.parse().unwrap_or(0);
            } else {
                self.replica |= !matches!(value.as_str(), "OFF" | "0" | "");
            }
        }
        Ok(())
    }

    /// How many tables it has.
    pub fn tables(&self) -> u64 {
        self.tables.len() as u64
    }

    fn variable(&self, of: &str) -> &str {
        self.variables.iter().find(|(key, _)| key == of).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn is_on(&self, of: &str) -> bool {
        !matches!(self.variable(of), "" | "OFF" | "0" | "NO_LOCK")
    }

    /// Refuses what an exchange of tables would break, or can't do whole.
    ///
    /// # Errors
    /// A sentence.
    pub fn fit(&self, name: &str) -> Result<(), String> {
        let unlike = self.tables.iter().find(|table| table.engine != "InnoDB");
        let parted = self.tables.iter().find(|table| table.options.contains("partitioned"));
        let why = if self.replica {
            "its server is a replica: restore on the one that it follows".to_owned()
        } else if self.is_on("wsrep_on") {
            "its server is a node of a Galera cluster, where a change of tables stops all nodes".to_owned()
        } else if !self.variable("group_replication_group_name").is_empty() {
            "its server is a member of a replication group".to_owned()
        } else if ["read_only", "super_read_only", "innodb_read_only"].iter().any(|of| self.is_on(of)) {
            "its server is read-only".to_owned()
        } else if !atomic(&self.version) {
            format!(
                "its server is {}, which does not rename several tables whole or not at all: MariaDB 10.6 and MySQL 8.0 do",
                plain(&self.version, 40)
            )
        } else if self.triggers > 0 {
            format!("it has {} triggers, and a table with triggers can't go to another schema", self.triggers)
        } else if let Some(constraint) = &self.abroad {
            format!(
                "the foreign key {} crosses into another database and would follow its table",
                plain(constraint, 64)
            )
        } else if let Some(table) = unlike {
            let (table, engine) = (plain(&table.name, 64), plain(&table.engine, 30));
            format!("its table {table} is {engine}: only InnoDB's tables are renamed whole or not at all")
        } else if let Some(table) = parted {
            format!("its table {} is partitioned, and such a one is not surely renamed whole", plain(&table.name, 64))
        } else if self.tables.is_empty() {
            "no table is in it".to_owned()
        } else {
            return Ok(());
        };
        Err(format!("{name} can't be exchanged by midwatch: {why}"))
    }

    /// Refuses where there is no room for two; `dump`: bytes of the backup, unpacked.
    ///
    /// # Errors
    /// A sentence.
    pub fn room(&self, dump: u64) -> Result<(), String> {
        let stat = rustix::fs::statvfs(self.variable("datadir")).ok();
        // On another machine, or not to be seen.
        let Some(free) = stat.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)) else { return Ok(()) };
        let larger = self.size.max(dump);
        let needed = larger.saturating_add(larger / 5);
        if free < needed {
            let (free, needed) = (bytes(free), bytes(needed));
            return Err(format!("there is no room for a second database: {free} are free, about {needed} are needed"));
        }
        Ok(())
    }
}

/// Major and minor, and whether it is MariaDB.
pub fn version(said: &str) -> (u32, u32, bool) {
    let mut parts = said.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0), said.contains("MariaDB"))
}

fn atomic(said: &str) -> bool {
    match version(said) {
        (major, minor, true) => (major, minor) >= (10, 6),
        (major, _, false) => major >= 8,
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, Table, atomic};

    #[test]
    fn servers_that_rename_whole() {
        for (said, does) in [
            ("10.11.14-MariaDB-0+deb12u2", true),
            ("10.5.29-MariaDB", false),
            ("11.4.2-MariaDB", true),
            ("8.0.36-0ubuntu0.22.04.1", true),
            ("5.7.44-log", false),
        ] {
            assert_eq!(atomic(said), does, "{said}");
        }
    }

    #[test]
    fn what_forbids_an_exchange_is_told() {
        let table = |engine: &str, options: &str| Table {
            name: "t".to_owned(),
            engine: engine.to_owned(),
            options: options.to_owned(),
        };
        let good = Facts { version: "10.11.14-MariaDB".into(), tables: vec![table("InnoDB", "")], ..Facts::default() };
        assert_eq!(good.fit("x"), Ok(()));
        let refused = |facts: Facts, why: &str| {
            let said = facts.fit("x").unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        let on = |of: &str, value: &str| vec![(of.to_owned(), value.to_owned())];
        refused(Facts { variables: on("wsrep_on", "ON"), ..good.clone() }, "Galera");
        refused(Facts { variables: on("group_replication_group_name", "a-b"), ..good.clone() }, "replication group");
        refused(Facts { variables: on("read_only", "ON"), ..good.clone() }, "read-only");
        refused(Facts { variables: on("read_only", "READ_ONLY"), ..good.clone() }, "read-only");
        refused(Facts { replica: true, ..good.clone() }, "replica");
        refused(Facts { triggers: 2, ..good.clone() }, "triggers");
        refused(Facts { abroad: Some("fk".into()), ..good.clone() }, "foreign key fk");
        refused(Facts { tables: vec![table("MyISAM", "")], ..good.clone() }, "MyISAM");
        refused(Facts { tables: vec![table("InnoDB", "partitioned")], ..good.clone() }, "partitioned");
        refused(Facts { tables: Vec::new(), ..good.clone() }, "no table");
        let here = Facts { variables: on("datadir", "/"), ..good };
        assert_eq!((here.room(0), here.room(u64::MAX).map_err(|why| why.contains("no room"))), (Ok(()), Err(true)));
    }
}
