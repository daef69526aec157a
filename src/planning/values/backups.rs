//! The backups that can be given for a parameter.

use std::path::Path;

use super::super::{Choice, Ground, NoPlan};
use crate::backends::backups::check::Verdict;
use crate::backends::backups::proofs::Proofs;
use crate::backends::backups::verify::Inventory;
use crate::config::{SiteConfig, StateDir};
use crate::domain::backup::kind::Subject;
use crate::domain::backup::seal::Seal;
use crate::domain::backup::{Backup, BackupsReading};
use crate::domain::text::{bytes, span};

/// Most that are offered.
const MOST: usize = 30;

/// The site's backups of its database, the newest first.
pub(in crate::planning) async fn of_database(ground: Ground<'_>) -> Result<Vec<Backup>, NoPlan> {
    let mut all = all(ground).await?;
    all.retain(|backup| backup.subject.covers(Subject::Database));
    Ok(all)
}

/// The site's backups, the newest first; the command line's own check (`midwatch backups verify`) and the screens remember
/// how far each is proven.
async fn all(ground: Ground<'_>) -> Result<Vec<Backup>, NoPlan> {
    let Some(site) = ground.site else { return Ok(Vec::new()) };
    let mut all = listed(ground, site).await?.backups;
    all.sort_by_key(|backup| std::cmp::Reverse(backup.made));
    Ok(all)
}

/// All that is known of a site's backups.
pub(in crate::planning) async fn listed(ground: Ground<'_>, site: &SiteConfig) -> Result<BackupsReading, NoPlan> {
    let state = match &ground.config.state {
        StateDir::Directory(directory) => Some(directory.as_path()),
        StateDir::Memory(_) => None,
    };
    let mut inventory = Inventory::of_site(site, state, true);
    let made = ground.made;
    let listed = tokio::task::spawn_blocking(move || inventory.list(made)).await;
    listed.map_err(|error| NoPlan::Impossible(format!("the backups were not looked at: {error}")))
}

/// What is told of a backup that is whole: what of it nothing would show. Refused where its content is another than when it
/// was read before, though its size and its time of change are the same.
pub(in crate::planning) fn trusted(
    ground: Ground<'_>,
    path: &str,
    verdict: &Verdict,
) -> Result<Option<String>, NoPlan> {
    if let (StateDir::Directory(state), Some(digest)) = (&ground.config.state, &verdict.digest)
        && let Some(at) = Proofs::open(Some(state)).differed(Path::new(path), digest)
    {
        return Err(NoPlan::Impossible(format!(
            "{path} is not what was read {} ago, and has the same size and time of change: the disk has changed it, or \
             somebody who kept both. Take another backup",
            span(ground.made.millis_since(at))
        )));
    }
    Ok(verdict.seal.and_then(Seal::told).map(|told| format!("{path}: {told}")))
}

/// What each of them is.
pub(in crate::planning) async fn choices(ground: Ground<'_>) -> Result<Vec<Choice>, NoPlan> {
    let label = |backup: &Backup| {
        let size = backup.bytes.map_or("of unknown size".to_owned(), bytes);
        let why = backup.proof.why().map(|why| format!(" ({why})")).unwrap_or_default();
        let age = span(ground.made.millis_since(backup.made));
        let (of, kind) = (backup.subject.word(), backup.kind.word());
        format!("{of} · {kind} · {size} · {age} old · {}{why}", backup.proof.word())
    };
    let all = all(ground).await?;
    Ok(all
        .iter()
        .filter(|backup| backup.path.starts_with('/'))
        .take(MOST)
        .map(|backup| Choice { value: backup.path.clone(), label: label(backup) })
        .collect())
}
