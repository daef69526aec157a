//! Migrations that come with the code and are not in the database.

use serde::{Deserialize, Serialize};

/// Most names kept of one application, the newest: what is pending is at the end.
pub const MOST_NAMES: usize = 80;

/// The migrations of one Django application, as its files say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppMigrations {
    /// Its label: `pretixbase`.
    pub label: String,
    /// Names in order: `0001_initial`; the newest [`MOST_NAMES`].
    pub names: Vec<String>,
    /// Those of them that stand for others.
    #[serde(default)]
    pub squashed: Vec<Squash>,
}

/// A migration that stands for others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Squash {
    /// Its name.
    pub name: String,
    /// Label and name of each that it replaces.
    pub replaces: Vec<(String, String)>,
}

/// The migrations that come with the code and are not applied, as `label.name`, in order.
///
/// Applications of which the database knows no migration at all are left out: they are installed beside, not used. A
/// migration that stands for others counts as applied when all of those are; those others don't count when it is, or
/// when none of them is (Django's own rule: `MigrationLoader.build_graph`).
pub fn pending(on_disk: &[AppMigrations], applied: &[(String, String)]) -> Vec<String> {
    let known: std::collections::HashSet<(&str, &str)> =
        applied.iter().map(|(label, name)| (label.as_str(), name.as_str())).collect();
    let labels: std::collections::HashSet<&str> = applied.iter().map(|(label, _)| label.as_str()).collect();
    let is = |label: &str, name: &str| known.contains(&(label, name));
    let all = |squash: &Squash| !squash.replaces.is_empty() && squash.replaces.iter().all(|(l, n)| is(l, n));
    let any = |squash: &Squash| squash.replaces.iter().any(|(l, n)| is(l, n));
    let mut out = Vec::new();
    for app in on_disk.iter().filter(|app| labels.contains(app.label.as_str())) {
        for name in &app.names {
            if is(&app.label, name) {
                continue;
            }
            let own = app.squashed.iter().find(|squash| squash.name == *name);
            if own.is_some_and(all) {
                continue;
            }
            // Begun with the single ones: they are gone through, not what stands for them.
            if own.is_some_and(any) {
                continue;
            }
            let squashes = on_disk.iter().flat_map(|a| a.squashed.iter().map(move |s| (a.label.as_str(), s)));
            let replaced = |(label, squash): (&str, &Squash)| {
                let mine = squash.replaces.iter().any(|(l, n)| *l == app.label && n == name);
                mine && (is(label, &squash.name) || !any(squash))
            };
            if !squashes.into_iter().any(replaced) {
                out.push([app.label.as_str(), ".", name].concat());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{AppMigrations, Squash, pending};

    fn app(label: &str, names: &[&str]) -> AppMigrations {
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        AppMigrations { label: label.to_owned(), names, squashed: Vec::new() }
    }

    fn applied(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(l, n)| ((*l).to_owned(), (*n).to_owned())).collect()
    }

    #[test]
    fn what_the_database_has_not_is_pending() {
        let disk = [app("pretixbase", &["0001_initial", "0002_more", "0003_last"]), app("unused", &["0001_initial"])];
        let rows = applied(&[("pretixbase", "0001_initial"), ("pretixbase", "0002_more"), ("gone", "0009_old")]);
        assert_eq!(pending(&disk, &rows), ["pretixbase.0003_last"]);
        let rows = applied(&[
            ("pretixbase", "0001_initial"),
            ("pretixbase", "0002_more"),
            ("pretixbase", "0003_last"),
            ("pretixbase", "0004_newer_than_the_code"),
        ]);
        assert_eq!(pending(&disk, &rows), [] as [String; 0]);
    }

    #[test]
    fn what_stands_for_others_counts_as_they_do() {
        let names = ["0001_initial", "0001_squashed_0003", "0002_b", "0003_c", "0004_d"];
        let replaces = ["0001_initial", "0002_b", "0003_c"].map(|n| ("x".to_owned(), n.to_owned())).to_vec();
        let squashed = vec![Squash { name: "0001_squashed_0003".to_owned(), replaces }];
        let disk = [AppMigrations { squashed, ..app("x", &names) }];
        let of = |rows: &[(&str, &str)]| pending(&disk, &applied(rows));
        // A new installation: only the squashed one was run.
        assert_eq!(of(&[("x", "0001_squashed_0003"), ("x", "0004_d")]), [] as [String; 0]);
        // An old one: the single ones were run, before the squashed one was written.
        let old = [("x", "0001_initial"), ("x", "0002_b"), ("x", "0003_c")];
        assert_eq!(of(&old), ["x.0004_d"]);
        // Half way through the single ones.
        assert_eq!(of(&[("x", "0001_initial")]), ["x.0002_b", "x.0003_c", "x.0004_d"]);
        // A fresh label of which only something else was run.
        assert_eq!(of(&[("x", "0000_before")]), ["x.0001_squashed_0003", "x.0004_d"]);
    }
}
