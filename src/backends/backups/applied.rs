//! Which migrations the database had seen that a dump is of.

mod inserts;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::meter::Control;
use super::program::{self, Tools};
use super::unpack;
use crate::domain::app_state::by_app;
use crate::domain::database::Migrated;

/// Where Django notes them.
const TABLE: &str = "django_migrations";
/// More rows than any application has.
const MOST: usize = 100_000;
/// A line longer than this holds no migration; the rest of it is passed over.
const LONGEST: u64 = 64 * 1024;

/// The migrations in a dump of a PostgreSQL database, `sql` or an archive; `None`: they can't be read from it.
pub fn applied(path: &Path, sql: bool, tools: &Tools, control: &Control) -> Option<Vec<Migrated>> {
    if sql {
        return unpack::inside(path, tools, control, rows).ok().flatten();
    }
    if path.is_file() && unpack::packed(path).ok()?.is_some() {
        return None;
    }
    let (_, program) = tools.pg_restore.first()?;
    let words = ["--data-only", "--schema=public", "--table", TABLE, "--file=-", "--"].map(OsStr::new);
    let words: Vec<&OsStr> = words.into_iter().chain([path.as_os_str()]).collect();
    let (found, ended) = program::read(program, &words, control, rows).ok()?;
    found.ok().flatten().filter(|_| ended.well())
}

/// The migrations in a dump of a MySQL or MariaDB database; `None`: they can't be read from it.
pub fn inserted(path: &Path, tools: &Tools, control: &Control) -> Option<Vec<Migrated>> {
    unpack::inside(path, tools, control, inserts::rows).ok().flatten()
}

/// The tables in an archive of `pg_dump`, with their schemas; `None`: they can't be read from it.
pub fn tables(path: &Path, tools: &Tools, control: &Control) -> Option<BTreeSet<(String, String)>> {
    let (_, program) = tools.pg_restore.first()?;
    let words = [OsStr::new("--list"), OsStr::new("--"), path.as_os_str()];
    let (text, ended) = program::read(program, &words, control, |output| {
        let mut text = String::new();
        output.take(LONGEST * 1024).read_to_string(&mut text).map(|_| text)
    })
    .ok()?;
    let text = text.ok().filter(|_| ended.well())?;
    Some(text.lines().filter_map(table).collect())
}

/// `215; 1259 16386 TABLE public pretixbase_order pretix`: a name with a space in it is not told from its owner.
fn table(line: &str) -> Option<(String, String)> {
    let mut words = line.split_once("; ")?.1.split(' ').skip(2);
    let (kind, schema, name) = (words.next()?, words.next()?, words.next()?);
    (kind == "TABLE" && schema != "DATA").then(|| (schema.to_owned(), name.to_owned()))
}

/// The rows that `COPY public.django_migrations (…) FROM stdin` is followed by; `None`: there is no such statement, or it
/// is not whole.
fn rows(reader: &mut dyn Read) -> io::Result<Option<Vec<Migrated>>> {
    let (mut reader, mut line) = (BufReader::with_capacity(1 << 16, reader), Vec::new());
    let mut columns = None;
    while next(&mut reader, &mut line)? {
        columns = std::str::from_utf8(&line).ok().and_then(columns_of);
        if columns.is_some() {
            break;
        }
    }
    let Some((app, name)) = columns else { return Ok(None) };
    let mut found = Vec::new();
    while next(&mut reader, &mut line)? && found.len() < MOST {
        if line == b"\\." {
            return Ok(Some(by_app(found.into_iter())));
        }
        let text = String::from_utf8_lossy(&line);
        let cells: Vec<&str> = text.split('\t').collect();
        if let (Some(app), Some(name)) = (cells.get(app), cells.get(name)) {
            found.push(((*app).to_owned(), (*name).to_owned()));
        }
    }
    Ok(None)
}

/// The next line, without its end; whether there is one.
fn next(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut n = reader.by_ref().take(LONGEST).read_until(b'\n', line)?;
    let any = n > 0;
    // What follows of a line that is too long is not kept.
    let mut rest = Vec::new();
    while n > 0 && line.last() != Some(&b'\n') && rest.last() != Some(&b'\n') {
        rest.clear();
        n = reader.by_ref().take(LONGEST).read_until(b'\n', &mut rest)?;
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(any)
}

/// At which places of its rows a statement that copies the migrations has application and name.
fn columns_of(line: &str) -> Option<(usize, usize)> {
    let rest = line.strip_prefix("COPY public.")?.strip_prefix(TABLE)?;
    let (columns, rest) = rest.strip_prefix(" (")?.split_once(')')?;
    if !rest.starts_with(" FROM stdin") {
        return None;
    }
    let place = |wanted: &str| columns.split(", ").position(|column| column.trim_matches('"') == wanted);
    Some((place("app")?, place("name")?))
}

#[cfg(test)]
mod tests {
    use super::{rows, table};

    #[test]
    fn tables_are_read_from_the_list_of_an_archive() {
        let told = |line: &str| table(line).map(|(schema, name)| format!("{schema}.{name}"));
        let found = told("215; 1259 16386 TABLE public pretixbase_order pretix");
        assert_eq!(found.as_deref(), Some("public.pretixbase_order"));
        for other in
            ["3500; 0 16386 TABLE DATA public x pretix", "; Archive created at", "2; 1259 1 SEQUENCE public x_id p"]
        {
            assert_eq!(told(other), None, "{other}");
        }
    }

    #[test]
    fn migrations_are_read_from_the_statement_that_copies_them() {
        let long = "x".repeat(200_000);
        let head = format!("COPY public.other (a) FROM stdin;\n{long}\nCOPY public.django_migrations (id) FROM\n\\.\n");
        let copy = "COPY public.django_migrations (id, app, name, applied) FROM stdin;\n1\tbase\t0001_initial\t2026\n\
                    2\tbase\t0002_more\t2026\n3\tauth\t0001_initial\t2026\n";
        let read = |text: &str| rows(&mut text.as_bytes()).unwrap();
        let found = read(&format!("{head}{copy}\\.\nmore\n")).unwrap();
        let told: Vec<_> = found.iter().map(|part| (part.app.as_str(), part.names.len(), part.count)).collect();
        assert_eq!(told, [("auth", 1, 1), ("base", 2, 2)]);
        assert_eq!(read(&format!("{head}{copy}")), None, "cut off");
        assert_eq!(read(&head), None);
    }
}
