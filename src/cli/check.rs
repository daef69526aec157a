//! `midwatch check NAME`: one part of what is watched, with the exit code of that part alone.

mod part;
mod proof;

use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::WrapErr;
use tokio::time::Instant;

use super::args::CheckArgs;
use super::run::{say, say_error};
use super::status::{View, exit_code, readings};
use crate::app::model::Model;
use crate::app::record::sources;
use crate::config::{Config, PaceConfig};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::pace::good_for_ms;
use crate::domain::record::SourceState;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::runtime::driver::{End, headless};
use crate::triage::Finding;
use crate::triage::web::{CONFIRMED_MS, STATES};
use crate::watch::{self, Watch};

pub use part::{Part, names};

/// An answer that has not come by then is "no answer yet".
const LIMIT: Duration = Duration::from_secs(3);
/// A question that can't be understood: the Monitoring Plugins' "unknown".
const UNKNOWN: u8 = 3;

/// Says how one part is; the exit code is that of the part.
///
/// # Errors
/// When signals can't be received or the answer not be written.
pub async fn run(config: Arc<Config>, args: &CheckArgs) -> color_eyre::Result<u8> {
    if args.name == "list" {
        let lines: Vec<String> = names().map(|(name, what)| format!("{name:<26} {what}\n")).collect();
        return say(lines.concat().as_bytes());
    }
    let part = match Part::named(&args.name) {
        Ok(part) => part,
        Err(complaint) => {
            say_error(&format!("midwatch: {complaint}"));
            return Ok(UNKNOWN);
        }
    };
    if let Some(name) = &args.site {
        let known: Vec<&str> = config.sites.iter().map(|s| s.id.0.as_str()).chain([config.host.0.as_str()]).collect();
        if !known.contains(&name.as_str()) {
            say_error(&format!("midwatch: no site or host `{name}`; there are {}", known.join(", ")));
            return Ok(UNKNOWN);
        }
    }
    let (watch, wires) = Watch::begin(&config);
    let begun = Instant::now();
    let each = |model: &Model| !settled(model, &part, args.site.as_deref(), &config.pace) && begun.elapsed() < LIMIT;
    let ended = headless(watch::model(&config), wires, each).await.wrap_err("signals can't be received");
    watch.end().await;
    let (end, model) = ended?;
    let view = view(&model, &part, args.site.as_deref(), &config.pace);
    say(view.print(args.output).as_bytes())?;
    if let End::Signal(_) | End::HungUp = end {
        return Ok(UNKNOWN);
    }
    Ok(exit_code(view.level))
}

/// A site or host that has something of the part.
struct Place<'m> {
    name: &'m str,
    /// The sources that were looked at.
    looked: sources::Sources,
    /// How many there are.
    there: usize,
    /// Whether one of them has been asked for a while, and has not answered.
    asked: bool,
    /// The first whose answer is too old to say anything of now, with the reason.
    old: Option<(SourceKind, String)>,
}

impl Place<'_> {
    /// Why not everything of it is known, if so.
    fn unseen(&self) -> Option<String> {
        let blind = self.looked.iter().find(|(_, (state, _))| *state != SourceState::Seen);
        let blind = blind.map(|(kind, (_, why))| (kind, why));
        if blind.is_none() && self.looked.len() < self.there {
            return Some(format!("{}: no answer yet", self.name));
        }
        let (kind, why) = blind.or(self.old.as_ref().map(|(kind, why)| (kind, why)))?;
        Some(format!("{}: {}: {why}", self.name, kind.name()))
    }
}

/// Every site and host that has something of the part.
fn places<'m>(model: &'m Model, part: &Part, only: Option<&str>, pace: &PaceConfig) -> Vec<Place<'m>> {
    let here = |name: &str| only.is_none_or(|only| only == name);
    let mut out = Vec::new();
    for site in model.sites.iter().filter(|s| here(&s.id.0)) {
        let there = site.sources.iter().filter(|kind| part.reads(**kind)).count();
        let mut looked = sources::of_site(site);
        looked.retain(|kind, _| part.reads(*kind));
        let mut answers = sources::answers_of_site(site).into_iter().filter(|(kind, _)| part.reads(*kind));
        let late = |(kind, answer)| Some((kind, old(model, kind, answer, pace.of_site(kind))?));
        let asked = site.asking.iter().any(|(kind, _)| part.reads(*kind));
        out.push(Place { name: site.id.0.as_str(), looked, there, asked, old: answers.find_map(late) });
    }
    for host in model.hosts.iter().filter(|h| here(&h.id.0)) {
        let there = sources::HOST.iter().filter(|kind| part.reads(**kind)).count();
        let mut looked = sources::of_host(host);
        looked.retain(|kind, _| part.reads(*kind));
        let mut answers = sources::answers_of_host(host).into_iter().filter(|(kind, _)| part.reads(*kind));
        let late = |(kind, answer)| Some((kind, old(model, kind, answer, pace.of_host(kind))?));
        let old = answers.find_map(late);
        out.push(Place { name: host.id.0.as_str(), looked, there, asked: false, old });
    }
    out.retain(|place| place.there > 0);
    out
}

/// Why an answer says nothing of now: the next one should have come.
fn old(model: &Model, kind: SourceKind, (at, took): (Timestamp, u32), every: Duration) -> Option<String> {
    let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
    let age = model.now.millis_since(at);
    (age > good_for_ms(kind, every, took.into())).then(|| {
        format!("stale: the last answer is {} old, and it is asked every {}", text::span(age), text::span(every))
    })
}

/// Whether everything that can be known of the part by now is.
fn settled(model: &Model, part: &Part, only: Option<&str>, pace: &PaceConfig) -> bool {
    let places = places(model, part, only, pace);
    let answered = places.iter().all(|place| place.looked.len() >= place.there && place.old.is_none() && !place.asked);
    // A bad answer is asked about again after two seconds: until then it is a warning, and that would be the exit code.
    let unconfirmed =
        found(model, part, only).iter().any(|f| f.is_any(&STATES) && model.now.millis_since(f.since.at) < CONFIRMED_MS);
    // The second look at a host has shares.
    let shares =
        !part.reads(SourceKind::Host) || model.hosts.iter().all(|h| h.reading.value().is_none_or(|v| v.cpu.is_some()));
    // What is looked at seldom comes with one of the first looks, too.
    let looked = !part.reads(SourceKind::Host) || part.lacks(model, only).is_none();
    answered && !unconfirmed && shares && looked
}

/// The findings of the part, wherever they stand in the tree.
fn found<'m>(model: &'m Model, part: &Part, only: Option<&str>) -> Vec<&'m Finding> {
    fn walk<'m>(out: &mut Vec<&'m Finding>, finding: &'m Finding, part: &Part) {
        if part.holds(finding) {
            out.push(finding);
            return;
        }
        for symptom in &finding.symptoms {
            walk(out, symptom, part);
        }
    }
    let mut out = Vec::new();
    let here = |f: &&Finding| only.is_none_or(|only| only == f.site);
    for finding in model.findings.iter().filter(here) {
        walk(&mut out, finding, part);
    }
    out.sort_by_key(|f| (std::cmp::Reverse(f.level), f.since.at));
    out
}

/// The part as it is printed; `pace`: how often each source is asked, and so how old an answer may be.
pub fn view<'m>(model: &'m Model, part: &Part, only: Option<&str>, pace: &PaceConfig) -> View<'m> {
    let findings = found(model, part, only);
    let places = places(model, part, only, pace);
    let unseen = places.iter().find_map(Place::unseen).or_else(|| part.lacks(model, only));
    let worst = findings.iter().map(|f| f.level).max().unwrap_or(Level::Ok);
    let nothing = places.is_empty();
    let level = if nothing || (unseen.is_some() && worst < Level::Warning) { Level::Unknown } else { worst };
    let summary = match (findings.first(), unseen) {
        (Some(worst), _) if worst.level >= Level::Warning => match findings.len() {
            1 => format!("{}: {}", worst.site, worst.title),
            n => format!("{}: {} (and {} more)", worst.site, worst.title, n - 1),
        },
        (_, Some(why)) => why,
        _ if nothing => "nothing that is watched here has this".to_owned(),
        (Some(note), None) => format!("{}: {}", note.site, note.title),
        (None, None) => "fine".to_owned(),
    };
    let names: Vec<&str> = places.iter().map(|place| place.name).collect();
    let mut rows = readings::rows(model);
    rows.retain(|row| part.reads(row.source) && part.shows(&row.name) && names.contains(&row.of.as_str()));
    View { model, name: part.name.to_uppercase(), level, summary, findings, rows }
}

#[cfg(test)]
mod tests;
