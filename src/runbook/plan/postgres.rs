//! What is done to a PostgreSQL server, and what can be asked of it: in SQL that stands in the plan.

use serde::{Deserialize, Serialize};

/// A server, and how statements reach it: `psql`, as a user of this machine, in a role of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The directory of `psql` and `pg_restore`.
    pub programs: String,
    /// The user they run as; `None`: the run's own.
    pub user: Option<String>,
    /// The directory of its socket, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role.
    pub role: String,
    /// Whether the role needs the password of the site's configuration.
    pub password: bool,
    /// Which server it is: its system identifier.
    pub system: String,
}

/// A database that a run makes beside the one in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// The comment that says which run made it: only what carries it is ever dropped.
    pub mark: String,
    /// What makes it.
    pub create: String,
}

/// Where a database is restored from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The backup, or what was unpacked from it.
    pub path: String,
    /// Whether it is SQL; else an archive of `pg_dump`.
    pub sql: bool,
    /// Whether it is handed over on standard input, for the program's user may not read it.
    pub handed: bool,
    /// How many tables at once.
    pub jobs: u32,
}

/// Two databases that change places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The name in use.
    pub name: String,
    /// Which database has it now, by its number.
    pub now: u32,
    /// What the other one is called now; its number is known to nobody before it is made.
    pub other: String,
    /// The comment it must carry.
    pub mark: String,
    /// What the one in use is called afterwards.
    pub held: String,
}

/// A database that is restored over what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    /// Its name.
    pub name: String,
    /// Which it is, by its number.
    pub oid: u32,
    /// Its owner.
    pub owner: String,
    /// The archive.
    pub path: String,
    /// Whether it is handed over on standard input, for the program's user may not read it.
    pub handed: bool,
    /// What the archive was when the plan was made; `None`: the run itself makes it.
    pub was: Option<String>,
}

/// What a restored database must fit, where that is not the code on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fit {
    /// The code of an application: the directory of packages in which it lies, and its name.
    Code(String, String),
    /// Exactly these migrations, in the words that are the same while they are.
    Schema(String),
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostgresAct {
    /// Unpacks a backup into a file of the run's own.
    Unpack {
        /// The backup.
        from: String,
        /// The file.
        to: String,
    },
    /// Removes that file.
    Remove(String),
    /// Makes an empty database; one of this run that is in the way is dropped first.
    Make(Server, Beside),
    /// Restores into it; what a run that was cut off has left in it is dropped first.
    Load(Server, Beside, Source),
    /// Restores an archive over what is in the database in use, in one transaction.
    Over(Server, Over),
    /// Drops it, if it is this run's.
    Discard(Server, Beside),
    /// Puts statements to a database, one after the other.
    Sql {
        /// The server.
        server: Server,
        /// The database.
        database: String,
        /// The statements.
        statements: Vec<String>,
    },
    /// Compares what was restored with what is in use, and refuses what the code, or the release that comes back, can't work
    /// with.
    Compare {
        /// The server.
        server: Server,
        /// The database in use.
        name: String,
        /// The other.
        beside: String,
        /// What it must fit; `None`: the code on disk.
        #[serde(default, rename = "code", skip_serializing_if = "Option::is_none")]
        fit: Option<Fit>,
    },
    /// Puts a database in the place of the one in use, which is held.
    Exchange(Server, Exchange),
    /// Puts back the one that an exchange has displaced.
    Undo(Server, Exchange),
    /// Drops a held database.
    Release {
        /// The server.
        server: Server,
        /// Its name.
        name: String,
        /// Its number.
        oid: u32,
    },
}

/// A question with one line for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The server.
    pub server: Server,
    /// The statement, put to the database `postgres`.
    pub sql: String,
    /// The answer that is hoped for.
    pub answer: String,
    /// What that means, in words.
    pub means: String,
}

/// How the comment of a held database begins.
pub const HELD: &str = "midwatch holds this database";
/// How the comment of one that is being made begins.
pub const MADE: &str = "midwatch makes this database";
/// Appended to that comment when all of the backup is in it.
pub const WHOLE: &str = ": restored whole";

/// The same when it was compared with the one in use, too: only such a one is put in its place.
pub const CHECKED: &str = ": restored whole, and compared";

/// A name in SQL.
pub fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A text in SQL.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        return format!(" E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    }
    format!("'{}'", text.replace('\'', "''"))
}

impl Server {
    /// The words that put statements to a database; `together`: in one transaction.
    pub fn psql(&self, database: &str, together: bool, statements: &[String]) -> Vec<String> {
        let mut words = vec![format!("{}/psql", self.programs)];
        words.extend(["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"].map(str::to_owned));
        words.extend(self.place(database));
        words.extend(together.then(|| "-1".to_owned()));
        words.extend(statements.iter().flat_map(|statement| ["-c".to_owned(), statement.clone()]));
        words
    }

    /// The words that name a database of the server.
    pub fn place(&self, database: &str) -> Vec<String> {
        let port = self.port.to_string();
        // Spelled out, for a name with `=` in it would be taken for more than a name.
        let quoted = database.replace('\\', "\\\\").replace('\'', "\\'");
        let words = ["-h", &self.host, "-p", &port, "-U", &self.role, "-d", &format!("dbname='{quoted}'")];
        words.map(str::to_owned).to_vec()
    }

    /// A statement that fails on any other server, and on one that has become a standby.
    pub fn guard(&self) -> String {
        format!(
            "do $$ begin if (select system_identifier::text from pg_control_system()) <> {} then raise exception \
             'this is another server'; end if; if pg_is_in_recovery() then raise exception 'this server is a standby'; \
             end if; end $$",
            literal(&self.system)
        )
    }

    /// Where it is, and as whom it is spoken to.
    pub fn shown(&self) -> String {
        let user = self.user.as_ref().map(|user| format!("user {user}, ")).unwrap_or_default();
        format!("{}:{} ({user}role {})", self.host, self.port, self.role)
    }
}

impl Exchange {
    /// A statement that fails unless this name still means this database.
    pub fn still(name: &str, oid: u32) -> String {
        format!(
            "do $$ begin if (select oid from pg_database where datname = {}) is distinct from {oid} then raise \
             exception '{} is not the database that was seen'; end if; end $$",
            literal(name),
            name.replace(['\'', '$', '%'], "")
        )
    }

    /// The statements, for one transaction: the one in use is held, and the other takes its name. `since` is written
    /// into the comment of what is held.
    pub fn forth(&self, since: &str) -> Vec<String> {
        let mut out = vec![Self::still(&self.name, self.now), self.marked(), self.unfollowed()];
        out.extend(self.renames());
        out.extend(comments(&self.name, &self.held, since));
        out.push(self.unfollowed());
        out
    }

    /// The statements of the way back: what was displaced gets its name back, and what was used meanwhile is held.
    pub fn back(&self, since: &str) -> Vec<String> {
        let way_back = Self { other: self.held.clone(), ..self.clone() };
        let mut out = vec![Self::still(&self.held, self.now)];
        out.extend(way_back.renames());
        out.extend(comments(&self.name, &self.held, since));
        out
    }

    /// A statement that ends the sessions of both, as long as somebody who renames the one in use waits for that; it ends
    /// when the name means another database, or after some seconds.
    pub fn end_sessions(&self) -> String {
        format!(
            "do $$ declare was oid := (select oid from pg_database where datname = {used}); tries int := 0; begin loop \
             exit when tries > 400 or (select oid from pg_database where datname = {used}) is distinct from was; \
             perform pg_stat_clear_snapshot(); if exists (select from pg_locks where locktype = 'object' and \
             classid = 'pg_database'::regclass and objid = was and mode = 'AccessExclusiveLock' and granted) then \
             perform pg_terminate_backend(pid) from pg_stat_activity where datname in ({used}, {held}, {other}) and \
             pid <> pg_backend_pid(); end if; tries := tries + 1; perform pg_sleep(0.02); end loop; end $$",
            used = literal(&self.name),
            held = literal(&self.held),
            other = literal(&self.other),
        )
    }

    /// A statement that fails unless the other one is marked as it was.
    fn marked(&self) -> String {
        format!(
            "do $$ begin if (select shobj_description(oid, 'pg_database') from pg_database where datname = {}) is distinct \
             from {} then raise exception '{} is not what it was'; end if; end $$",
            literal(&self.other),
            literal(&self.mark),
            self.other.replace(['\'', '$', '%'], "")
        )
    }

    /// A statement that fails if something hangs on the one that is put away, which would follow it. Put before anybody's
    /// session is ended, and again when its name is locked: nothing of that can begin any more.
    fn unfollowed(&self) -> String {
        let Self { name, now, .. } = self;
        let name = name.replace(['\'', '$', '%'], "");
        format!(
            "do $$ begin if exists (select from pg_replication_slots where datoid = {now}) or exists (select from \
             pg_subscription where subdbid = {now}) then raise exception 'a replication slot or a subscription hangs on {name} \
             since the plan was made'; end if; end $$"
        )
    }

    fn renames(&self) -> Vec<String> {
        let rename = |from: &str, to: &str| format!("alter database {} rename to {}", name(from), name(to));
        if self.other == self.held {
            // Nothing is called so before or afterwards.
            let between = format!("{}_x", self.held);
            return vec![rename(&self.name, &between), rename(&self.other, &self.name), rename(&between, &self.held)];
        }
        vec![rename(&self.name, &self.held), rename(&self.other, &self.name)]
    }
}

/// The comment of a name stays with the name; what is held is marked.
fn comments(used: &str, held: &str, since: &str) -> Vec<String> {
    let mark = literal(&format!("{HELD}: it was {used} until {since}"));
    vec![format!(
        "do $$ declare was text := shobj_description((select oid from pg_database where datname = {held_text}), \
         'pg_database'); begin execute format('comment on database %I is %L', {used_text}, was); \
         execute format('comment on database %I is %L', {held_text}, {mark}); end $$",
        held_text = literal(held),
        used_text = literal(used),
    )]
}

impl PostgresAct {
    /// What is done, in a sentence or as it is put to the server.
    pub fn shown(&self) -> String {
        match self {
            Self::Unpack { from, to } => format!("unpacks {from} into {to}"),
            Self::Remove(path) => format!("removes {path}"),
            Self::Make(server, beside) => format!("on {}: {}", server.shown(), beside.create),
            Self::Load(server, beside, source) => {
                let jobs = if source.jobs > 1 { format!(", {} tables at once", source.jobs) } else { String::new() };
                let with = if source.sql { "psql, one transaction" } else { "pg_restore --exit-on-error" };
                format!(
                    "restores {} into {} on {} as {} ({with}{jobs})",
                    source.path,
                    beside.name,
                    server.shown(),
                    beside.owner
                )
            }
            Self::Over(server, over) => format!(
                "restores {} over what is in {} on {} as {} (pg_restore --clean --single-transaction --exit-on-error): all of \
                 it or nothing",
                over.path,
                over.name,
                server.shown(),
                over.owner
            ),
            Self::Discard(server, beside) => {
                format!("drops {} on {}, if this run made it and it is not in use", beside.name, server.shown())
            }
            Self::Sql { server, database, statements } => {
                format!("in {database} on {}: {}", server.shown(), statements.join("; "))
            }
            Self::Compare { name, beside, fit, .. } => {
                let with = match fit {
                    None => "the code on disk".to_owned(),
                    Some(Fit::Code(packages, _)) => format!("the code in {packages}"),
                    Some(Fit::Schema(was)) => format!("those before the upgrade ({was})"),
                };
                format!("counts tables and rows in {name} and {beside}, and compares their migrations with {with}")
            }
            Self::Exchange(_, at) => format!(
                "in one transaction, while their sessions are ended: {} is renamed to {}, {} to {}",
                at.name, at.held, at.other, at.name
            ),
            Self::Undo(_, at) => format!(
                "in one transaction, while their sessions are ended: {} gets the name {} back; the one used meanwhile is \
                 held as {}",
                at.held, at.name, at.held
            ),
            Self::Release { name: held, .. } => format!("drop database {}", name(held)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Fit, literal, name};

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!((name("a\"b").as_str(), literal("it's").as_str()), ("\"a\"\"b\"", "'it''s'"));
        assert_eq!(literal("a\\'"), " E'a\\\\'''");
    }

    #[test]
    fn what_is_fitted_is_kept_as_it_always_was() {
        let code = Fit::Code("/venv/kept".to_owned(), "pretix".to_owned());
        for (fit, kept) in
            [(code, r#"["/venv/kept","pretix"]"#), (Fit::Schema("2 applied".to_owned()), "\"2 applied\"")]
        {
            assert_eq!(serde_json::to_string(&fit).unwrap(), kept);
            assert_eq!(serde_json::from_str::<Fit>(kept).unwrap(), fit);
        }
    }

    #[test]
    fn what_changes_places_twice_is_where_it_was() {
        let at =
            Exchange { name: "x".into(), now: 7, other: "x_mw_1".into(), mark: String::new(), held: "x_held_1".into() };
        let renames = |all: Vec<String>| all.into_iter().filter(|s| s.starts_with("alter")).collect::<Vec<_>>();
        assert_eq!(
            renames(at.forth("now")),
            ["alter database \"x\" rename to \"x_held_1\"", "alter database \"x_mw_1\" rename to \"x\""]
        );
        assert_eq!(
            renames(at.back("now")),
            [
                "alter database \"x\" rename to \"x_held_1_x\"",
                "alter database \"x_held_1\" rename to \"x\"",
                "alter database \"x_held_1_x\" rename to \"x_held_1\""
            ]
        );
    }
}
