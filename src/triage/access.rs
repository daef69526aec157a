//! What access logs say (FIELD INC-07, INC-14), and requests where there are no metrics.

use super::{Claim, Rule, Since, SiteFacts, Thresholds, traffic};
use crate::domain::access::{self, AccessReading, Part};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::text;
use crate::domain::time::Timestamp;

/// What no longer happens is over: the last time must be within this, in milliseconds.
const LATELY_MS: u64 = 45_000;
/// A share among fewer requests than this says nothing.
const ENOUGH: u64 = 20;
/// Fewer gateway errors than this are a worker being replaced.
const FEW: u64 = 3;

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "gateway-errors",
        incidents: &["INC-07"],
        reads: &[SourceKind::Access],
        thresholds: &["gateway_errors_warning", "gateway_errors_critical"],
        meaning: "The proxy answers 502 or 504: it has no answer from the application, or not in time.",
        mend: "See whether the application answers on its own port. If it does, the fault is between them; else mend the application first.",
        danger: "Reloading a broken configuration on the last good proxy: nginx -t before.",
        runbook: None,
    },
    Rule {
        id: "static-not-found",
        incidents: &["INC-14"],
        reads: &[SourceKind::Access],
        thresholds: &["static_missing_warning"],
        meaning: "Style sheets and scripts are answered 404: pages come without them, and checkouts break.",
        mend: "Compare the proxy's alias for /static/ with where the application puts its files; rebuild, nginx -t, reload.",
        danger: "Removing the old environment while it still serves.",
        runbook: None,
    },
    Rule {
        id: "access-blind",
        incidents: &[],
        reads: &[SourceKind::Access],
        thresholds: &[],
        meaning: "The access logs can not be read any more, and there are no metrics: nothing is known of requests.",
        mend: "See the reason that is told.",
        danger: "",
        runbook: None,
    },
];

/// What is claimed.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let mut out = Vec::new();
    // What the metrics count is not claimed twice.
    let alone = facts.traffic.fresh().is_none();
    match facts.access {
        Reading::Fresh { value, at, .. } => {
            let requests = alone.then(|| requests(value, *at, limits)).flatten();
            out.extend(requests.map(|claim| from_log(claim, value.errors_since)));
            out.extend(alone.then(|| traffic::slow(&value.traffic, SourceKind::Access, *at, limits)).flatten());
            out.extend(gateway(value, *at, limits));
            out.extend(statics(value, *at, limits));
        }
        Reading::Stale { failed_since, why, .. } | Reading::Failed { failed_since, why } if alone => {
            out.push(claim(
                "access-blind",
                Level::Unknown,
                "The access logs can't be read",
                why.clone(),
                *failed_since,
            ));
        }
        Reading::Stale { .. } | Reading::Failed { .. } | Reading::Never | Reading::Unseen { .. } => {}
    }
    out
}

fn claim(rule: &'static str, level: Level, title: impl Into<String>, evidence: String, at: Timestamp) -> Claim {
    Claim::new(rule, level, title, evidence, SourceKind::Access, at)
}

/// The log itself knows since when.
fn from_log(mut claim: Claim, since: Option<access::Since>) -> Claim {
    if let Some(access::Since { at, seen }) = since {
        claim.since = Some(Since::told(at, seen, claim.source));
        claim.evidence.push_str(" · since when by the access log");
    }
    claim
}

/// Of the last minute, or where that has too few, of the last five.
fn requests(access: &AccessReading, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    let busy =
        access.traffic.routes.iter().map(crate::domain::traffic::Route::all_in_window).sum::<f64>() >= traffic::ENOUGH;
    if busy {
        return traffic::requests(&access.traffic, SourceKind::Access, at, limits);
    }
    let part = share(access.errors, at)?;
    let level = traffic::failing(part, limits)?;
    let title = format!("{} of requests end in a server error", text::percent(part));
    let evidence = format!("{} of {} within 5 minutes", access.errors.bad, access.errors.all);
    Some(claim("requests-fail", level, title, evidence, at))
}

/// Of enough, and still going on.
fn share(part: Part, at: Timestamp) -> Option<f64> {
    let lately = part.last_bad.is_some_and(|last| at.millis_since(last) <= LATELY_MS);
    part.share().filter(|_| lately && part.all >= ENOUGH)
}

fn gateway(access: &AccessReading, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    let part = share(access.gateway, at).filter(|_| access.gateway.bad >= FEW)?;
    let level = match part {
        part if part >= limits.gateway_errors_critical => Level::Critical,
        part if part >= limits.gateway_errors_warning => Level::Warning,
        _ => return None,
    };
    let title = format!("The proxy answers {} of requests with 502 or 504", text::percent(part));
    let evidence = format!(
        "{} of {} within 5 minutes: the application does not answer it",
        access.gateway.bad, access.gateway.all
    );
    Some(from_log(claim("gateway-errors", level, title, evidence, at), access.gateway_since))
}

fn statics(access: &AccessReading, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    let part = share(access.statics, at).filter(|part| *part >= limits.static_missing_warning)?;
    let title = format!("{} of static files are missing (404)", text::percent(part));
    let evidence = format!("{} of {} requests below /static/ within 5 minutes", access.statics.bad, access.statics.all);
    Some(claim("static-not-found", Level::Warning, title, evidence, at))
}
