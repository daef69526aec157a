//! One line on everything: the worst finding, or how much of the quiet was really seen.

use super::source::{Source, State};
use crate::app::model::Model;
use crate::domain::level::Level;
use crate::triage::Since;

/// One line on everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// How bad it is.
    pub(super) level: Level,
    /// Since when, where a finding says so.
    pub(super) since: Option<Since>,
    /// What it is.
    pub(super) text: String,
}

/// The verdict on a model. [`Level::Ok`] only where every source of every site and host has just been seen.
pub(super) fn verdict(model: &Model) -> Verdict {
    let worst = model.findings.iter().fold(None, |worst: Option<&crate::triage::Finding>, f| match worst {
        Some(w) if w.level >= f.level => Some(w),
        Some(_) | None => Some(f),
    });
    let quiet = quiet(model);
    match worst {
        Some(finding) if finding.level > quiet.level || finding.level >= Level::Unknown => {
            let elsewhere = model.sites.len() > 1 && model.site().is_some_and(|s| s.id.0 != finding.site);
            let place = if elsewhere { [finding.site.as_str(), ": "].concat() } else { String::new() };
            Verdict { level: finding.level, since: Some(finding.since), text: place + &finding.title }
        }
        Some(_) | None => quiet,
    }
}

/// What may be said when no rule found anything.
fn quiet(model: &Model) -> Verdict {
    let many = model.sites.len() > 1;
    let mut sources: Vec<(String, State<'_>)> = Vec::new();
    for site in &model.sites {
        let named =
            |s: Source<'_>| if many { format!("{} of {}", s.kind.name(), site.id) } else { s.kind.name().to_owned() };
        sources.extend(Source::all(site).map(|s| (named(s), s.state)));
    }
    sources.extend(model.hosts.iter().map(|h| ("host".to_owned(), Source::host(h).state)));
    let say = |level, text| Verdict { level, since: None, text };
    if model.no_entry {
        return say(Level::Unknown, "an application runs here that this user may not look into".to_owned());
    }
    let names = |wanted: fn(&State<'_>) -> bool| {
        let names: Vec<&str> = sources.iter().filter(|(_, s)| wanted(s)).map(|(name, _)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = names(|s| matches!(s, State::Stale(..) | State::Failed(..))) {
        return say(Level::Unknown, format!("no current answer from: {names}"));
    }
    if let Some(names) = names(|s| matches!(s, State::Waiting)) {
        return say(Level::Unknown, format!("waiting for the first answer of: {names}"));
    }
    if let Some(names) = names(|s| matches!(s, State::Unseen(_))) {
        return say(Level::Note, format!("nothing wrong in what is seen; not seen: {names}"));
    }
    let what = if model.sites.is_empty() { "the host is fine; no application is watched" } else { "all fine" };
    say(if model.sites.is_empty() { Level::Note } else { Level::Ok }, what.to_owned())
}
