//! What is done to a MySQL or MariaDB server, as pure values: schemas made beside the one in use, filled, and their tables
//! exchanged.
//!
//! There is no comment on a schema that every such server knows. So a schema of midwatch's holds a table of its own,
//! [`MARK`], whose comment says which run made it and how far it is. When tables are exchanged it moves with the others, in
//! the same statement: where it is, the tables in use before are.

use serde::{Deserialize, Serialize};

/// A server, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The client program: `mariadb` or `mysql`.
    pub client: String,
    /// Its socket; `None`: its address.
    pub socket: Option<String>,
    /// Its address, where there is no socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// Whether the user needs the password of the site's configuration.
    pub password: bool,
    /// Which server it is.
    pub identity: String,
}

/// A schema that a run makes beside the one in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Its name.
    pub name: String,
    /// How the comment of its mark begins: only what carries it is ever dropped.
    pub mark: String,
    /// Its character set.
    pub charset: String,
    /// Its collation.
    pub collation: String,
}

/// The tables of two schemas that change places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The schema in use.
    pub name: String,
    /// The one whose tables come.
    pub other: String,
    /// How the comment of its mark begins, when its tables may be used.
    pub mark: String,
    /// The schema that holds the tables in use now; it is made for that.
    pub held: String,
    /// Its character set.
    pub charset: String,
    /// Its collation.
    pub collation: String,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MysqlAct {
    /// Writes the tables and rows of a backup, unpacked, into a file of the run's own.
    Unpack {
        /// The backup.
        from: String,
        /// The file.
        to: String,
    },
    /// Removes that file.
    Remove(String),
    /// Makes an empty schema; one of this run that is in the way is dropped first.
    Make(Server, Beside),
    /// Restores a dump into it; what a run that was cut off has left in it is dropped first.
    Load(Server, Beside, String),
    /// Compares it with the one in use, and refuses what the code can't work with.
    Compare {
        /// The server.
        server: Server,
        /// The schema in use.
        name: String,
        /// The other.
        beside: String,
        /// How its mark begins; noted there when it may be used.
        mark: String,
    },
    /// Drops a schema that is this run's, or empty.
    Discard(Server, Beside),
    /// Puts the tables of a schema in the place of those in use, which are held.
    Exchange(Server, Exchange),
    /// Puts back the tables that an exchange has displaced.
    Undo(Server, Exchange),
    /// Drops a held schema.
    Release(Server, String),
}

/// What can be seen of a server's schemas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MysqlProbe {
    /// The comment of the mark in a schema begins so.
    Marked(Server, String, String),
    /// The exchange is done, and nobody is at it.
    Exchanged(Server, Exchange),
    /// There is no such schema.
    Gone(Server, String),
}

/// The table that says whose a schema is.
pub const MARK: &str = "midwatch_mark";
/// Between the name of a schema in use and a moment, in the name of one that is made beside it.
pub const RESTORE: &str = "_mwrestore_";
/// The same of one that is held.
pub const HELD: &str = "_mwheld_";
/// After the name of one that is held because an exchange was undone.
pub const BACK: &str = "_back";
/// How the comment of a mark begins.
pub const MADE: &str = "made by midwatch";
/// Appended when all of the backup is in it.
pub const WHOLE: &str = ": restored whole";
/// Appended to both when it was compared with the one in use: only such a one is put in its place.
pub const CHECKED: &str = ": restored whole, and compared";

/// A name in SQL.
pub fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// A text in SQL, of what midwatch itself has made up: no backslash is in it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "").replace('\'', "''"))
}

impl Server {
    /// Where it is, and as whom it is spoken to.
    pub fn shown(&self) -> String {
        match &self.socket {
            Some(socket) => format!("{socket} (user {})", self.user),
            None => format!("{}:{} (user {})", self.host, self.port, self.user),
        }
    }

    /// The words of a program that speaks to it, and to nobody else whatever the files of its user say.
    pub fn words(&self, program: &str) -> Vec<String> {
        let mut out = vec![program.to_owned(), "--no-defaults".to_owned()];
        match &self.socket {
            Some(socket) => out.extend(["--protocol=socket".to_owned(), format!("--socket={socket}")]),
            None => out.extend([
                "--protocol=tcp".to_owned(),
                format!("--host={}", self.host),
                format!("--port={}", self.port),
            ]),
        }
        out.push(format!("--user={}", self.user));
        out
    }
}

impl Beside {
    /// What makes it.
    pub fn create(&self) -> String {
        create(&self.name, &self.charset, &self.collation)
    }
}

/// What makes a schema.
fn create(schema: &str, charset: &str, collation: &str) -> String {
    format!("create database {} character set {charset} collate {collation}", name(schema))
}

impl Exchange {
    /// What makes the schema that will hold the tables in use now.
    pub fn create(&self) -> String {
        create(&self.held, &self.charset, &self.collation)
    }

    /// The statement. First all that are in use go, so that no name of a table or of a constraint is taken; the mark goes
    /// with them.
    pub fn rename(&self, used: &[String], coming: &[String]) -> String {
        let moved = |table: &String, from: &str, to: &str| {
            format!("{}.{} to {}.{}", name(from), name(table), name(to), name(table))
        };
        let mark = MARK.to_owned();
        let away = used.iter().map(|table| moved(table, &self.name, &self.held));
        let here = coming.iter().map(|table| moved(table, &self.other, &self.name));
        let all: Vec<_> = away.chain(here).chain(std::iter::once(moved(&mark, &self.other, &self.held))).collect();
        format!("rename table {}", all.join(", "))
    }

    /// The way back of it: what is held comes, and what is in use by then is held.
    #[must_use]
    pub fn back(&self) -> Self {
        Self { other: self.held.clone(), held: format!("{}{BACK}", self.held), mark: MADE.to_owned(), ..self.clone() }
    }

    /// The name of the lock that whoever exchanges them has, so that it can be told whether somebody still is at it. At most
    /// 64 characters.
    pub fn lock(&self) -> String {
        let tail: String = self.other.chars().rev().take(50).collect::<Vec<_>>().into_iter().rev().collect();
        format!("midwatch {tail}")
    }
}

impl MysqlAct {
    /// What is done, in a sentence.
    pub fn told(&self) -> String {
        match self {
            Self::Unpack { from, to } => format!("writes the tables and rows of {from}, unpacked, into {to}"),
            Self::Remove(path) => format!("removes {path}"),
            Self::Make(server, beside) => format!("on {}: {}", server.shown(), beside.create()),
            Self::Load(server, beside, path) => {
                format!("restores {path} into {} on {} with {}", beside.name, server.shown(), server.client)
            }
            Self::Compare { name, beside, .. } => format!(
                "counts tables and rows in {name} and {beside}, and compares their migrations with the code on disk"
            ),
            Self::Discard(server, beside) => {
                format!("drops {} on {}, if this run made it or nothing is in it", beside.name, server.shown())
            }
            Self::Exchange(_, at) => format!(
                "in one RENAME TABLE, which waits at most some seconds for who uses them: all tables of {} go to {}, those \
                 of {} come in their place",
                at.name, at.held, at.other
            ),
            Self::Undo(_, at) => {
                let back = at.back();
                format!(
                    "in one RENAME TABLE: all tables of {} go to {}, those of {} come back in their place",
                    at.name, back.held, back.other
                )
            }
            Self::Release(_, held) => format!("drop database {}", name(held)),
        }
    }
}

impl MysqlProbe {
    /// What holds, in words.
    pub fn told(&self) -> String {
        match self {
            Self::Marked(_, schema, mark) => match mark.split_once(": ") {
                Some((_, how)) => format!("{schema} is {how}"),
                None => format!("{schema} is there"),
            },
            Self::Exchanged(_, at) => {
                format!("{} has the tables of {}, the ones before are in {}", at.name, at.other, at.held)
            }
            Self::Gone(_, schema) => format!("there is no {schema}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exchange, literal, name};

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!((name("a`b").as_str(), literal("it's\\").as_str()), ("`a``b`", "'it''s'"));
    }

    #[test]
    fn all_that_is_in_use_goes_before_anything_comes_and_the_mark_goes_last() {
        let at = Exchange {
            name: "x".into(),
            other: "x_mwrestore_1".into(),
            mark: String::new(),
            held: "x_mwheld_1".into(),
            charset: "utf8mb4".into(),
            collation: "utf8mb4_bin".into(),
        };
        assert_eq!(
            at.rename(&["a".into(), "b".into()], &["a".into()]),
            "rename table `x`.`a` to `x_mwheld_1`.`a`, `x`.`b` to `x_mwheld_1`.`b`, `x_mwrestore_1`.`a` to `x`.`a`, \
             `x_mwrestore_1`.`midwatch_mark` to `x_mwheld_1`.`midwatch_mark`"
        );
        let back = at.back();
        assert_eq!(
            (back.name.as_str(), back.other.as_str(), back.held.as_str()),
            ("x", "x_mwheld_1", "x_mwheld_1_back")
        );
        assert_ne!(at.lock(), back.lock());
        assert!(Exchange { other: "x".repeat(64), ..at }.lock().len() <= 64);
    }
}
