//! Migrations that come with the code and are not in the database.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::database::{Migrated, number};

/// Most names kept of one application, the newest: what is pending is at the end.
pub const MOST_NAMES: usize = 60;

/// The migrations of one Django application, as its files say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppMigrations {
    /// Its label: `pretixbase`.
    pub label: String,
    /// Names in order: `0001_initial`; the newest [`MOST_NAMES`].
    pub names: Vec<String>,
}

/// The migrations that come with the code and are not applied, as `label.name`, in order.
///
/// Of an application with very many only the last ones are known on both sides: there what has a greater number than
/// the newest one applied is pending, or the same number and another name. What stands for several others (a squashed
/// migration) is pending only where it is newer than all of them: Django notes it as applied by and by. Applications of
/// which the database knows no migration at all are left out: they are installed beside, not used.
pub fn pending(on_disk: &[AppMigrations], applied: &[Migrated]) -> Vec<String> {
    let mut out = Vec::new();
    for (app, part) in both(on_disk, applied) {
        let newest = number(part.head());
        let whole = usize::try_from(part.count).is_ok_and(|count| count == part.names.len());
        let is_pending = |name: &&String| {
            let own = number(name);
            let in_place = (whole || own == newest) && !name.contains("_squashed_");
            !part.names.contains(name) && (own > newest || in_place)
        };
        let pending = app.names.iter().filter(is_pending);
        out.extend(pending.map(|name| [app.label.as_str(), ".", name].concat()));
    }
    out
}

/// The parts of which the newest migration in the database is not known to the code, which is older than the schema.
pub fn unknown<'a>(on_disk: &[AppMigrations], applied: &'a [Migrated]) -> Vec<&'a Migrated> {
    let newer = both(on_disk, applied).filter(|(app, part)| {
        let last = app.names.iter().map(|name| (number(name), name.as_str())).max();
        last.is_some_and(|last| (number(part.head()), part.head()) > last)
    });
    newer.map(|(_, part)| part).collect()
}

/// Migrations that a database has seen, as its rows say (application and name), by application.
pub fn by_app(rows: impl Iterator<Item = (String, String)>) -> Vec<Migrated> {
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (app, name) in rows {
        parts.entry(app).or_default().push(name);
    }
    let part = |(app, names): (String, Vec<String>)| {
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        Migrated { app, names, at: None, count }
    };
    parts.into_iter().map(part).collect()
}

/// With the newest names alone, as the code's are kept.
pub fn shortened(all: &[Migrated]) -> Vec<Migrated> {
    let shorten = |part: &Migrated| {
        let mut names = part.names.clone();
        names.sort_by(|a, b| (number(b), b).cmp(&(number(a), a)));
        names.truncate(MOST_NAMES);
        Migrated { names, ..part.clone() }
    };
    all.iter().map(shorten).collect()
}

fn both<'a, 'd>(
    on_disk: &'d [AppMigrations],
    applied: &'a [Migrated],
) -> impl Iterator<Item = (&'d AppMigrations, &'a Migrated)> {
    on_disk.iter().filter_map(|app| Some((app, applied.iter().find(|part| part.app == app.label)?)))
}

#[cfg(test)]
mod tests {
    use super::{AppMigrations, pending, unknown};
    use crate::domain::database::Migrated;

    fn app(label: &str, names: &[&str]) -> AppMigrations {
        AppMigrations { label: label.to_owned(), names: names.iter().map(|n| (*n).to_owned()).collect() }
    }

    fn head(app: &str, name: &str) -> Migrated {
        Migrated { app: app.to_owned(), names: vec![name.to_owned()], ..Migrated::default() }
    }

    #[test]
    fn what_comes_after_the_newest_applied_is_pending() {
        let disk = [app("base", &["0001_initial", "0002_more", "0003_last"]), app("unused", &["0001_initial"])];
        let of = |name| pending(&disk, &[head("base", name), head("gone", "0009_old")]);
        assert_eq!(of("0001_initial"), ["base.0002_more", "base.0003_last"]);
        assert_eq!(of("0003_last"), [] as [String; 0]);
        assert_eq!(of("0003_auto"), ["base.0003_last"], "two of one number");
        assert_eq!(of("0004_newer_than_the_code"), [] as [String; 0]);
    }

    #[test]
    fn what_stands_for_others_is_not_pending() {
        let names = ["0001_initial", "0002_b", "0002_b_squashed_0003_c", "0003_c", "0004_d"];
        assert_eq!(pending(&[app("x", &names)], &[head("x", "0004_d")]), [] as [String; 0]);
        assert_eq!(pending(&[app("x", &names)], &[head("x", "0003_c")]), ["x.0004_d"]);
    }

    /// As pretix 2026.8.0 has them: one is numbered 008, and sorts as text behind those that came after it.
    #[test]
    fn numbers_are_compared_as_numbers_and_what_is_applied_is_never_pending() {
        let names = [
            "0007_bigint",
            "0009_auto",
            "0010_auto",
            "0011_remove",
            "0011_remove_squashed_0012_remove",
            "0012_remove",
            "008_remove",
        ];
        let mut applied = Migrated {
            app: "sendmail".to_owned(),
            names: names.iter().rev().map(|n| (*n).to_owned()).collect(),
            count: 7,
            ..Migrated::default()
        };
        assert_eq!(applied.head(), "0012_remove");
        let none: [String; 0] = [];
        assert_eq!(pending(&[app("sendmail", &names)], &[applied.clone()]), none);
        applied.names.retain(|name| !name.contains("_squashed_"));
        applied.count = 6;
        assert_eq!(pending(&[app("sendmail", &names)], &[applied.clone()]), none, "all that it stands for is applied");
        applied.names.retain(|name| name != "0009_auto");
        applied.count = 5;
        assert_eq!(pending(&[app("sendmail", &names)], &[applied.clone()]), ["sendmail.0009_auto"], "a gap is told");
        applied.count = 300;
        assert_eq!(pending(&[app("sendmail", &names)], &[applied]), none, "what is not known is not told");
    }

    #[test]
    fn a_schema_newer_than_the_code_is_told() {
        let disk = [app("base", &["0001_initial", "0002_more"])];
        let told = |name| unknown(&disk, &[head("base", name)]).len();
        assert_eq!((told("0003_new"), told("0002_more"), told("0001_initial")), (1, 0, 0));
    }
}
