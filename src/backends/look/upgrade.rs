//! What an upgrade counts on and brings about.

use std::path::{Path, PathBuf};

use super::seen;
use crate::backends::app_state::AppProbe;
use crate::backends::app_state::installation::migrations;
use crate::backends::database;
use crate::config::SiteConfig;
use crate::domain::app_state::{self, AppMigrations};
use crate::domain::database::Migrated;
use crate::ports::Observe as _;
use crate::runbook::plan::UpgradeProbe;

/// The migrations the site's database has seen: how many, and the newest of each part.
pub(super) async fn schema(site: &SiteConfig) -> Result<String, String> {
    Ok(told(&applied(site).await?))
}

async fn applied(site: &SiteConfig) -> Result<Vec<Migrated>, String> {
    let database = site.database.as_ref().map_err(Clone::clone)?;
    let found = database::migrations(database).await?;
    found.ok_or_else(|| "the database doesn't say which migrations it has seen".to_owned())
}

/// What a database has seen, in words that are the same exactly while that is.
pub fn told(migrations: &[Migrated]) -> String {
    let count: u32 = migrations.iter().map(|part| part.count).sum();
    let mut heads: Vec<String> =
        migrations.iter().map(|part| format!("{}.{}:{}", part.app, part.head(), part.count)).collect();
    heads.sort();
    // Short enough to be read, and different wherever one migration more or less was applied.
    let sum = heads
        .join(" ")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{count} applied in {} parts, sum {sum:016x}", heads.len())
}

/// The sum by which what a database has seen is known: the last word of what [`told`] tells of it.
pub fn sum(schema: &str) -> &str {
    schema.rsplit(' ').next().unwrap_or_default()
}

/// Whether a backup is from before an upgrade: it has seen what the database `was` told to have seen then (or has its sum
/// alone), and nothing else.
///
/// # Errors
/// A sentence, where it has seen other migrations.
pub fn same(backup: &str, seen: &[Migrated], was: &str) -> Result<(), String> {
    let seen = told(seen);
    if sum(&seen) == sum(was) {
        return Ok(());
    }
    Err(format!(
        "{backup} has seen other migrations ({seen}) than the database had before the upgrade ({was}): take one from just \
         before it; nothing was changed"
    ))
}

/// Whether it holds.
pub(super) async fn holds(site: &SiteConfig, probe: &UpgradeProbe) -> Result<String, String> {
    match probe {
        UpgradeProbe::Lacks { list, .. } => Err(format!("{} is not run to look", list.argv.join(" "))),
        UpgradeProbe::SchemaIs { was, otherwise } => {
            let unknown = |why: String| format!("whether it was migrated is not known ({why}): {otherwise}");
            let now = schema(site).await.map_err(unknown)?;
            if now == *was { Ok(now) } else { Err(format!("the database has been migrated ({now}): {otherwise}")) }
        }
        UpgradeProbe::Running { version } => running(site, version).await,
        UpgradeProbe::Image(probe) => super::image::holds(probe).await,
        UpgradeProbe::Releases(probe) => super::releases::holds(site, probe).await,
    }
}

/// The migrations the site's database lacks of those that come with this code.
pub(super) async fn pending(site: &SiteConfig, code: &[AppMigrations]) -> Result<Vec<String>, String> {
    if code.is_empty() {
        return Ok(Vec::new());
    }
    Ok(app_state::pending(code, &applied(site).await?))
}

/// What of an upgrade to the installed version is still to be done, in a sentence; `None`: nothing.
pub(super) async fn unfinished(site: &SiteConfig) -> Result<Option<String>, String> {
    let reading = seen(AppProbe::new(site).observe().await)?;
    let pending = pending(site, &reading.migrations).await?;
    if let Some(first) = pending.first() {
        return Ok(Some(format!("{} migrations are pending, the first is {first}", pending.len())));
    }
    let old = reading.processes.iter().find(|process| process.old_code > 0);
    Ok(old.map(|process| format!("{} {} still has older code in memory", process.role.word(), process.pid)))
}

/// The migrations of an application that lies in this directory of packages.
pub(super) async fn kept(packages: &str, name: &str) -> Result<Vec<AppMigrations>, String> {
    let (place, own) = (PathBuf::from(packages), name.to_owned());
    let known = tokio::task::spawn_blocking(move || migrations(&place, &own)).await;
    let known = known.map_err(|error| format!("the look at {packages} has failed: {error}"))?;
    if known.is_empty() {
        return Err(format!("which migrations come with {packages} can't be seen"));
    }
    Ok(known)
}

/// Migrations the database has seen that the code in these packages does not know.
pub(super) async fn foreign(site: &SiteConfig, packages: &Path, name: &str) -> Result<Vec<String>, String> {
    let known = kept(&packages.display().to_string(), name).await?;
    let applied = applied(site).await?;
    let unknown = app_state::unknown(&known, &applied);
    Ok(unknown.iter().map(|part| format!("{}.{}", part.app, part.head())).collect())
}

async fn running(site: &SiteConfig, version: &str) -> Result<String, String> {
    let reading = seen(AppProbe::new(site).observe().await)?;
    let found = reading.version.as_deref().unwrap_or("no version");
    if found != version {
        return Err(format!("{found} is installed, not {version}"));
    }
    let old: Vec<String> =
        reading.processes.iter().filter(|p| p.old_code > 0).map(|p| format!("{} {}", p.role.word(), p.pid)).collect();
    if !old.is_empty() {
        return Err(format!("older code than {version} is still held by {}", old.join(", ")));
    }
    if reading.processes.is_empty() {
        return Err(format!("{version} is installed, but no process of the application is seen"));
    }
    Ok(format!("{version} is installed, and {} services were started after it was", reading.processes.len()))
}

#[cfg(test)]
mod tests {
    use super::told;
    use crate::domain::database::Migrated;

    #[test]
    fn one_migration_more_is_another_schema() {
        let part = |names: &[&str]| Migrated {
            app: "base".to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            at: None,
            count: u32::try_from(names.len()).unwrap(),
        };
        let before = told(&[part(&["0001_initial"])]);
        assert_ne!(before, told(&[part(&["0001_initial", "0002_more"])]));
        assert_ne!(before, told(&[part(&["0001_other"])]));
        assert_eq!(before, told(&[part(&["0001_initial"])]));
    }
}
