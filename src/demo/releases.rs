//! The practice site's releases: two versions side by side, and `current`, which points to the one in use. What differs
//! between them lies in them: the page, what is stored of an order, the migrations. A process takes in the release it was
//! started in, and keeps that until it ends, as real ones do.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use color_eyre::eyre::WrapErr as _;

use super::{Ground, database};

/// A file of a release, and what is in it.
type Files = &'static [(&'static str, &'static str)];

/// The releases, the one in use first.
const RELEASES: [(&str, Files); 2] = [
    (
        "2026.1",
        &[
            ("page.html", include_str!("../../assets/practice/2026.1/page.html")),
            ("order.sql", include_str!("../../assets/practice/2026.1/order.sql")),
            ("figures.sql", include_str!("../../assets/practice/2026.1/figures.sql")),
            ("migrations/0001_initial.sql", include_str!("../../assets/practice/2026.1/migrations/0001_initial.sql")),
        ],
    ),
    (
        "2026.2",
        &[
            ("page.html", include_str!("../../assets/practice/2026.2/page.html")),
            ("order.sql", include_str!("../../assets/practice/2026.2/order.sql")),
            ("figures.sql", include_str!("../../assets/practice/2026.2/figures.sql")),
            ("migrations/0001_initial.sql", include_str!("../../assets/practice/2026.2/migrations/0001_initial.sql")),
            ("migrations/0002_seats.sql", include_str!("../../assets/practice/2026.2/migrations/0002_seats.sql")),
        ],
    ),
];

/// A release as a process has it in memory.
#[derive(Debug)]
pub struct Release {
    /// The first page, with `{name}` where something comes in.
    pub page: String,
    /// Stores an order.
    pub order: String,
    /// What is counted for the page, by the names it has there.
    pub figures: String,
}

impl Release {
    /// The one this process was started in.
    ///
    /// # Errors
    /// When that is none.
    pub fn here() -> color_eyre::Result<Self> {
        let read = |name: &str| std::fs::read_to_string(name).wrap_err_with(|| format!("{name} of the release"));
        Ok(Self { page: read("page.html")?, order: read("order.sql")?, figures: read("figures.sql")? })
    }

    /// The first page.
    pub fn page(&self, banner: &str, figures: &[(String, i64)]) -> String {
        let page = self.page.replace("{banner}", banner);
        figures.iter().fold(page, |page, (name, value)| page.replace(&format!("{{{name}}}"), &value.to_string()))
    }
}

/// Lays the releases side by side.
///
/// # Errors
/// When a file can't be written.
pub fn lay(ground: &Ground) -> io::Result<()> {
    let private = |dir: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    for (name, files) in RELEASES {
        for (file, text) in files {
            let path = ground.release(name).join(file);
            path.parent().map(private).transpose()?;
            std::fs::write(path, text)?;
        }
    }
    let [(first, _), ..] = RELEASES;
    std::os::unix::fs::symlink(Path::new("releases").join(first), ground.current())
}

/// Applies the migrations of the release in this directory that the database has not seen; their names.
///
/// # Errors
/// When they can't be read, or one fails: that one has done nothing then.
pub async fn migrate(ground: &Ground, release: &Path) -> color_eyre::Result<Vec<String>> {
    let dir = release.join("migrations");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&dir).wrap_err_with(|| format!("{}", dir.display()))? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            all.push((name.to_owned(), std::fs::read_to_string(&path)?));
        }
    }
    all.sort();
    let mut db = database::open(&ground.database()).await?;
    Ok(database::migrate(&mut db, &all).await?)
}

#[cfg(test)]
mod tests {
    use super::{Release, lay, migrate};
    use crate::demo::{Ground, database};

    #[tokio::test]
    async fn the_newer_one_migrates_once_and_the_older_one_can_live_with_that() {
        let dir = tempfile::tempdir().unwrap();
        let ground = Ground::new(dir.path());
        std::fs::create_dir(ground.data()).unwrap();
        std::fs::write(ground.database(), "").unwrap();
        lay(&ground).unwrap();
        let (old, new) = (ground.release("2026.1"), ground.release("2026.2"));
        assert_eq!(ground.current().canonicalize().unwrap(), old.canonicalize().unwrap());
        assert_eq!(migrate(&ground, &old).await.unwrap(), ["0001_initial"]);
        let read = |release: &std::path::Path, name: &str| std::fs::read_to_string(release.join(name)).unwrap();
        let mut db = database::open(&ground.database()).await.unwrap();
        let order = async |db: &mut sqlx::SqliteConnection, release| {
            database::place_order(db, &read(release, "order.sql"), 1, 0.0).await.unwrap();
        };
        order(&mut db, &old).await;
        assert!(database::figures(&mut db, &read(&new, "figures.sql")).await.is_err(), "it needs its migration");
        assert_eq!(migrate(&ground, &new).await.unwrap(), ["0002_seats"]);
        assert_eq!(migrate(&ground, &new).await.unwrap(), [] as [&str; 0]);
        order(&mut db, &new).await;
        order(&mut db, &old).await;
        let figures = database::figures(&mut db, &read(&new, "figures.sql")).await.unwrap();
        assert_eq!(figures, [("orders".to_owned(), 3), ("seats".to_owned(), 2)]);
        let release = Release { page: read(&new, "page.html"), order: String::new(), figures: String::new() };
        assert!(release.page("Hall", &figures).contains("<h1>Hall</h1><p>3 orders so far, 2 seats given out</p>"));
    }
}
