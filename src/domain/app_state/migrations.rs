//! Migrations that come with the code and are not in the database.

use serde::{Deserialize, Serialize};

use crate::domain::database::Migrated;

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

/// The migrations that come with the code and are newer than the newest one applied, as `label.name`, in order.
///
/// Migrations are numbered and applied in order, so what has a greater name than the newest one applied is pending, and
/// what stands for several older ones (a squashed migration) has a smaller name. Applications of which the database
/// knows no migration at all are left out: they are installed beside, not used.
pub fn pending(on_disk: &[AppMigrations], applied: &[Migrated]) -> Vec<String> {
    let mut out = Vec::new();
    for (app, head) in both(on_disk, applied) {
        let newer = app.names.iter().filter(|name| after(name, head.head()));
        out.extend(newer.map(|name| [app.label.as_str(), ".", name].concat()));
    }
    out
}

/// The migrations in the database that the code does not know: it is older than the schema. Only the newest of each
/// application is known.
pub fn unknown<'a>(on_disk: &[AppMigrations], applied: &'a [Migrated]) -> Vec<&'a Migrated> {
    let newer = both(on_disk, applied).filter(|(app, head)| {
        app.names.last().is_some_and(|last| after(head.head(), last))
            && !app.names.iter().any(|name| name == head.head())
    });
    newer.map(|(_, head)| head).collect()
}

fn both<'a, 'd>(
    on_disk: &'d [AppMigrations],
    applied: &'a [Migrated],
) -> impl Iterator<Item = (&'d AppMigrations, &'a Migrated)> {
    on_disk.iter().filter_map(|app| Some((app, applied.iter().find(|head| head.app == app.label)?)))
}

/// Whether a migration comes after another one: by number, and of one number by name.
fn after(name: &str, other: &str) -> bool {
    let number = |name: &str| name.split('_').next().and_then(|digits| digits.parse::<u32>().ok());
    (number(name), name) > (number(other), other)
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

    #[test]
    fn a_schema_newer_than_the_code_is_told() {
        let disk = [app("base", &["0001_initial", "0002_more"])];
        let told = |name| unknown(&disk, &[head("base", name)]).len();
        assert_eq!((told("0003_new"), told("0002_more"), told("0001_initial")), (1, 0, 0));
    }
}
