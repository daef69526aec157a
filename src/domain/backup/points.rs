//! Restore points: a database backup and the files that were saved nearest to it in time.

use super::Backup;
use super::BackupsReading;
use super::kind::Subject;
use crate::domain::time::Timestamp;

/// Files saved further away from the database than this belong to another restore point, in seconds.
pub const FURTHEST_S: u64 = 24 * 3600;

/// What can be restored together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// The database's backup.
    pub database: Option<&'a Backup>,
    /// The files' backup; the same as the database's where one holds both.
    pub files: Option<&'a Backup>,
}

impl<'a> Point<'a> {
    /// When what it holds was true: the older of the two, for that is what comes back.
    pub fn made(&self) -> Timestamp {
        let times = [self.database, self.files].into_iter().flatten().map(|b| b.made);
        times.min().unwrap_or_default()
    }

    /// Milliseconds between the two.
    pub fn gap_ms(&self) -> Option<u64> {
        let (database, files) = (self.database?.made, self.files?.made);
        Some(database.millis_since(files).max(files.millis_since(database)))
    }

    /// Its identity: the path of its first part.
    pub fn id(&self) -> &'a str {
        self.database.or(self.files).map_or("", |b| b.path.as_str())
    }

    /// Its parts, each once.
    pub fn parts(&self) -> impl Iterator<Item = &'a Backup> + use<'a> {
        let files = self.files.filter(|files| self.database.is_none_or(|database| database.path != files.path));
        self.database.into_iter().chain(files)
    }
}

/// The restore points, the newest first. Every backup is in one at least; files may be in several.
pub fn points(reading: &BackupsReading) -> Vec<Point<'_>> {
    let all: Vec<&Backup> = reading.backups.iter().collect();
    let apart = |a: Timestamp, b: Timestamp| a.millis_since(b).max(b.millis_since(a));
    let mut out: Vec<Point<'_>> = Vec::new();
    for database in all.iter().copied().filter(|b| b.saves(Subject::Database)) {
        if database.subject == Subject::Both {
            out.push(Point { database: Some(database), files: Some(database) });
            continue;
        }
        let near =
            |b: &&Backup| b.saves(Subject::Files) && b.usable() && apart(b.made, database.made) <= FURTHEST_S * 1000;
        let files = all.iter().copied().filter(near).min_by_key(|b| apart(b.made, database.made));
        out.push(Point { database: Some(database), files });
    }
    for files in all.iter().copied().filter(|b| b.subject == Subject::Files) {
        if !out.iter().any(|point| point.files.is_some_and(|f| f.path == files.path)) {
            out.push(Point { database: None, files: Some(files) });
        }
    }
    let newest = |point: &Point<'_>| point.database.or(point.files).map(|b| b.made);
    out.sort_by(|a, b| newest(b).cmp(&newest(a)).then_with(|| a.id().cmp(b.id())));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backup::kind::Kind;
    use crate::domain::backup::proof::Proof;

    fn backup(path: &str, subject: Subject, hours: i64) -> Backup {
        let made = Timestamp::from_millis(hours * 3_600_000);
        Backup {
            path: path.to_owned(),
            subject,
            kind: Kind::PgCustom,
            made,
            changed: made,
            named: None,
            bytes: Some(1),
            proof: Proof::UNREAD,
            header: None,
            contents: None,
            digest: None,
            seal: None,
            owner: None,
            exposed: Vec::new(),
            stray_in: None,
            same_disk: None,
            off_host: false,
            place: 0,
        }
    }

    #[test]
    fn a_database_is_paired_with_the_files_nearest_to_it() {
        let backups = vec![
            backup("d3", Subject::Database, 100),
            backup("f3", Subject::Files, 101),
            backup("d2", Subject::Database, 76),
            backup("f2", Subject::Files, 72),
            backup("d1", Subject::Database, 10),
            backup("both", Subject::Both, 90),
            backup("f0", Subject::Files, -50),
        ];
        let reading = BackupsReading { backups, ..BackupsReading::default() };
        let told: Vec<(&str, Option<&str>, Option<u64>)> = points(&reading)
            .iter()
            .map(|p| (p.id(), p.files.map(|f| f.path.as_str()), p.gap_ms().map(|ms| ms / 3_600_000)))
            .collect();
        assert_eq!(
            told,
            [
                ("d3", Some("f3"), Some(1)),
                ("both", Some("both"), Some(0)),
                ("d2", Some("f2"), Some(4)),
                ("d1", None, None),
                ("f0", Some("f0"), None),
            ]
        );
    }
}
