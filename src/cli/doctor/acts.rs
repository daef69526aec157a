//! What this user may do: the locks, and how each service would be restarted.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Line, Mark, line};
use crate::config::Config;
use crate::domain::service::Role;
use crate::hands::lock;
use crate::planning::{self, Catalogue, Ground};
use crate::runbook::plan::{Act, Plan};
use crate::runtime::clock;

/// What may be done on the machine, and to each site.
pub(super) async fn lines(config: &Config) -> Vec<Line> {
    let host = format!("{} as you act on it", config.host.0);
    if config.read_only {
        return vec![line(&host, "runs", Mark::No, "read-only: nothing is done")];
    }
    let mut out = vec![locks(&host)];
    let catalogue = Catalogue::read(&[]);
    let Some(restart) = catalogue.get("restart-services") else { return out };
    for site in &config.sites {
        let about = format!("{} as you act on it", site.id);
        for service in site.services.iter().filter(|s| matches!(s.role, Role::Web | Role::Worker | Role::Beat)) {
            let given = BTreeMap::from([("service".to_owned(), service.name.clone())]);
            let ground = Ground { config, site: Some(site), made: clock::now() };
            out.push(match planning::plan(restart, &given, ground).await {
                Ok(plan) => line(&about, &service.name, Mark::Ok, format!("can be restarted: {}", how(&plan))),
                Err(why) => line(&about, &service.name, Mark::No, format!("can't be restarted: {why}")),
            });
        }
    }
    out
}

fn locks(about: &str) -> Line {
    let there = Path::new(lock::DIR).is_dir();
    let root = rustix::process::geteuid().is_root();
    if let Err(why) = lock::may(Path::new(lock::DIR))
        && there
        && !root
    {
        return line(about, "locks", Mark::No, why);
    }
    match (there, root) {
        (true, _) => line(about, "locks", Mark::Ok, format!("in {}", lock::DIR)),
        (false, true) => line(about, "locks", Mark::Ok, format!("{} is made with the first run", lock::DIR)),
        (false, false) => {
            let says =
                format!("{} isn't there: root makes it with its first run, until then nothing is done", lock::DIR);
            line(about, "locks", Mark::No, says)
        }
    }
}

/// The programs of a plan, each as its user.
fn how(plan: &Plan) -> String {
    let told = |act: &Act| {
        if let Act::Command(command) = act {
            let user = command.user.as_deref().unwrap_or(&plan.user);
            return Some(format!("`{}` as {user}", command.argv.join(" ")));
        }
        if let Act::End { pid, .. } = act { Some(format!("TERM to process {pid}")) } else { None }
    };
    plan.steps.iter().filter_map(|step| told(&step.act)).collect::<Vec<_>>().join(", ")
}
