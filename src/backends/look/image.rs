//! What an upgrade of an image counts on and brings about: what an engine has, what its containers run.

use crate::backends::compose;
use crate::backends::images::{self, Placed};
use crate::runbook::plan::image::{Containers, ImageProbe, sum};

/// One that Docker has started so often again does not come up.
const RESTARTS: u64 = 3;

/// Whether it holds.
pub(super) async fn holds(probe: &ImageProbe) -> Result<String, String> {
    match probe {
        ImageProbe::Here { socket, reference, id: wanted } => match (images::image(socket, reference).await?, wanted) {
            (Some(id), Some(wanted)) if !id.starts_with(wanted.as_str()) => {
                Err(format!("{reference} is another image by now ({id}) than the one that ran ({wanted})"))
            }
            (Some(id), _) => Ok(format!("{reference} is {id}")),
            (None, _) => Err(format!("the engine has no {reference}")),
        },
        ImageProbe::Made { of, reference } => {
            let wanted = made(of, reference, |_one| Ok(())).await?;
            Ok(format!("{} are made from {reference} ({wanted})", of.services.join(", ")))
        }
        ImageProbe::Run { of, reference, since } => {
            let runs = |one: &Placed| {
                well(one)?;
                match since {
                    Some(since) if one.started.is_none_or(|started| started < *since) => {
                        Err(format!("{} was not started anew", one.name))
                    }
                    Some(_) | None => Ok(()),
                }
            };
            let wanted = made(of, reference, runs).await?;
            Ok(format!("{} run {reference} ({wanted})", of.services.join(", ")))
        }
        ImageProbe::Stopped(of) => match found(of).await?.iter().find(|one| one.runs()) {
            Some(one) => Err(format!("{} is {}", one.name, one.status)),
            None => Ok(format!("no container of {} runs", of.services.join(", "))),
        },
        ImageProbe::Ended { socket, project, name } => {
            let all = images::by_hand(socket, project).await?;
            match all.iter().find(|one| one.name == *name) {
                Some(one) => Err(format!("{name} is {}", one.status)),
                None => Ok(format!("{name} does not run")),
            }
        }
        ImageProbe::Reads { project, list, again, sums } => {
            if sums.contains(&sum(&compose::sums(list, again.as_deref()).await?)) {
                return Ok(format!("Compose reads the settings of {project} as when this plan was made"));
            }
            Err(format!(
                "nothing was done: the settings of {project} are others than when this plan was made: somebody has changed \
                 its files, or what they read"
            ))
        }
    }
}

/// Whether what must run does not come up by itself: it has ended, or ends again and again.
pub(super) async fn down(probe: &ImageProbe) -> bool {
    match probe {
        ImageProbe::Run { of, .. } => {
            let all = found(of).await.unwrap_or_default();
            all.iter().any(|one| !one.runs() || one.restarts >= RESTARTS)
        }
        ImageProbe::Made { .. }
        | ImageProbe::Here { .. }
        | ImageProbe::Stopped(_)
        | ImageProbe::Ended { .. }
        | ImageProbe::Reads { .. } => false,
    }
}

/// Whether each container of these services has what the engine has under this name, and whatever else must hold of it; the
/// image's id.
async fn made(
    of: &Containers,
    reference: &str,
    holds: impl Fn(&Placed) -> Result<(), String>,
) -> Result<String, String> {
    let wanted = images::image(&of.socket, reference).await?;
    let wanted = wanted.ok_or_else(|| format!("the engine has no {reference}"))?;
    let all = found(of).await?;
    for service in &of.services {
        let mut any = false;
        for one in all.iter().filter(|one| one.service == *service) {
            any = true;
            holds(one)?;
            if one.image != wanted || one.reference != *reference {
                return Err(format!("{} has {} ({}), not {reference}", one.name, one.reference, one.image));
            }
        }
        if !any {
            return Err(format!("there is no container of {service}"));
        }
    }
    Ok(wanted)
}

async fn found(of: &Containers) -> Result<Vec<Placed>, String> {
    let mut all = images::containers(&of.socket, &of.project).await?;
    all.retain(|one| of.services.contains(&one.service));
    Ok(all)
}

/// It runs, and says nothing else of itself.
fn well(one: &Placed) -> Result<(), String> {
    match (one.status.as_str(), one.health.as_str()) {
        ("running", "" | "healthy") => Ok(()),
        (status, "") => Err(format!("{} is {status}", one.name)),
        (status, health) => Err(format!("{} is {status}, {health}", one.name)),
    }
}
