//! In a dump of `mysqldump` or `mariadb-dump`: the rows that are inserted into Django's table of migrations.

use std::io::{self, BufRead, BufReader, Read};

use super::MOST;
use crate::domain::app_state::by_app;
use crate::domain::database::Migrated;

/// How the definition of that table begins, and statements that fill it.
const MADE: &[u8] = b"CREATE TABLE `django_migrations`";
const FILLED: &[u8] = b"INSERT INTO `django_migrations`";
/// Bytes of a line that tell which statement it begins.
const HEAD: u64 = 64;
/// No statement that fills it is longer.
const LONGEST: u64 = 16 << 20;

/// The migrations that are inserted; `None`: there are none, or they are not what Django writes.
pub(super) fn rows(reader: &mut dyn Read) -> io::Result<Option<Vec<Migrated>>> {
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    let (mut columns, mut found) = (Vec::new(), Vec::new());
    loop {
        let mut head = Vec::new();
        if reader.by_ref().take(HEAD).read_until(b'\n', &mut head)? == 0 {
            break;
        }
        if head.starts_with(MADE) {
            columns = definition(&mut reader, head)?;
        } else if head.starts_with(FILLED) {
            let Some(text) = statement(&mut reader, head)? else { return Ok(None) };
            let Some((names, values)) = text.split_once("VALUES") else { return Ok(None) };
            let named: Vec<String> = names.split('`').skip(3).step_by(2).map(str::to_owned).collect();
            let columns = if named.is_empty() { &columns } else { &named };
            let place = |wanted: &str| columns.iter().position(|column| column == wanted);
            let (Some(app), Some(name)) = (place("app"), place("name")) else { return Ok(None) };
            for row in cells(values) {
                let (Some(app), Some(name)) = (row.get(app), row.get(name)) else { return Ok(None) };
                found.push((app.clone(), name.clone()));
            }
            if found.len() > MOST {
                return Ok(None);
            }
        } else {
            rest(&mut reader, &mut head)?;
        }
    }
    Ok((!found.is_empty()).then(|| by_app(found.into_iter())))
}

/// Passes over what follows of a line.
fn rest(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    while line.last() != Some(&b'\n') {
        line.clear();
        if reader.by_ref().take(1 << 16).read_until(b'\n', line)? == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// The names of the columns that a definition lists, one a line.
fn definition(reader: &mut impl BufRead, mut line: Vec<u8>) -> io::Result<Vec<String>> {
    let mut columns = Vec::new();
    rest(reader, &mut line)?;
    loop {
        line.clear();
        if reader.by_ref().take(1 << 16).read_until(b'\n', &mut line)? == 0 || line.starts_with(b")") {
            return Ok(columns);
        }
        let text = String::from_utf8_lossy(&line);
        let name = text.trim_start().strip_prefix('`').and_then(|rest| rest.split('`').next());
        columns.extend(name.map(str::to_owned));
        rest(reader, &mut line)?;
    }
}

/// A statement to its end, which is no semicolon in a text; `None`: it has none, or is longer than any.
fn statement(reader: &mut impl BufRead, mut text: Vec<u8>) -> io::Result<Option<String>> {
    let (mut seen, mut quoted, mut escaped) = (0, false, false);
    loop {
        for byte in text.get(seen..).unwrap_or_default() {
            match (quoted, escaped, byte) {
                (true, true, _) => escaped = false,
                (true, false, b'\\') => escaped = true,
                (_, _, b'\'') => quoted = !quoted,
                (false, _, b';') => return Ok(Some(String::from_utf8_lossy(&text).into_owned())),
                (_, _, _) => {}
            }
        }
        seen = text.len();
        let left = LONGEST.saturating_sub(u64::try_from(seen).unwrap_or(u64::MAX));
        if reader.by_ref().take(left).read_until(b';', &mut text)? == 0 {
            return Ok(None);
        }
    }
}

/// The rows of `(1,'a','b'),(2,'c','d')`, as text.
fn cells(values: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), None::<Vec<String>>, String::new());
    let (mut quoted, mut chars) = (false, values.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => cell.extend(chars.next()),
            // A doubled one closes and opens again, and leaves out itself, which is no part of a migration's name.
            '\'' => quoted = !quoted,
            _ if quoted => cell.push(c),
            '(' => row = Some(Vec::new()),
            ',' | ')' => {
                if let Some(row) = &mut row {
                    row.push(std::mem::take(&mut cell));
                }
                if c == ')' {
                    rows.extend(row.take());
                }
            }
            _ if c.is_whitespace() || row.is_none() => {}
            _ => cell.push(c),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn migrations_are_read_from_the_statements_that_insert_them() {
        let read = |text: &str| rows(&mut text.as_bytes()).unwrap();
        let made = "CREATE TABLE `django_migrations` (\n  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n  `app` varchar(255) NOT \
                    NULL,\n  `name` varchar(255) NOT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB;\n";
        let long = format!("INSERT INTO `other` VALUES ('{}\\';');\n", "x".repeat(200_000));
        let one = "INSERT INTO `django_migrations` VALUES\n(1,'base','0001_initial','2026'),\n(2,'base','0002; it\\'s','2026');\n";
        let more = "INSERT INTO `django_migrations` VALUES (3,'auth','0001_initial','2026');\n";
        let told = |text: &str| {
            let found = read(text)?;
            Some(found.iter().map(|part| (part.app.clone(), part.names.len())).collect::<Vec<_>>())
        };
        let both = Some(vec![("auth".to_owned(), 1), ("base".to_owned(), 2)]);
        assert_eq!(told(&[made, &long, one, more, &long].concat()), both);
        let named = "INSERT INTO `django_migrations` (`name`, `id`, `app`) VALUES ('0001_initial',1,'base');";
        assert_eq!(told(&[made, named].concat()), Some(vec![("base".to_owned(), 1)]));
        let names = read(&[made, one].concat()).unwrap();
        assert!(names[0].names.contains(&"0002; it's".to_owned()), "{names:?}");
        for nothing in [one, "", &long, &[made, "INSERT INTO `django_migrations` VALUES (1,'base"].concat()] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
