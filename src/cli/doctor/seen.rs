//! What the one who asks can see: a line a source, what would open the rest, and all of it as a matrix.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Line, Mark, line};
use crate::app::model::Model;
use crate::app::sight::{self, Sight};
use crate::domain::id::SourceKind;
use crate::domain::record::SourceState;
use crate::watch::survey::NOT_ASKED;

/// How much one source shows of each site and host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    /// The source.
    source: &'static str,
    /// By site or host: `all`, `part`, `no`, `fails`, `no answer`, `not asked`.
    sees: BTreeMap<String, &'static str>,
}

/// Every site and host, with its sources.
fn all(model: &Model) -> Vec<(&str, Vec<Sight>)> {
    let sites = model.sites.iter().map(|site| (site.id.0.as_str(), sight::of_site(site)));
    sites.chain(model.hosts.iter().map(|host| (host.id.0.as_str(), sight::of_host(host)))).collect()
}

const fn word(sight: &Sight) -> &'static str {
    match sight.state {
        None => "no answer",
        Some(SourceState::Seen) if sight.blind.is_empty() => "all",
        Some(SourceState::Seen) => "part",
        Some(SourceState::Failed) => "fails",
        Some(SourceState::Unseen) => "no",
    }
}

/// A line for every source that was asked, and one for everything it can't see.
pub(super) fn lines(model: &Model) -> Vec<Line> {
    let mut out = Vec::new();
    for (of, sights) in all(model) {
        let about = format!("{of} as you see it");
        for sight in sights.iter().filter(|s| !NOT_ASKED.contains(&s.kind)) {
            let mark = match (sight.state, sight.blind.is_empty()) {
                (Some(SourceState::Seen), true) => Mark::Ok,
                (Some(SourceState::Seen), false) => Mark::Part,
                (Some(SourceState::Failed), _) => Mark::Broken,
                (Some(SourceState::Unseen) | None, _) => Mark::No,
            };
            out.push(line(&about, sight.kind.name(), mark, sight.says.clone()));
            out.extend(sight.blind.iter().map(|why| line(&about, sight.kind.name(), Mark::No, why.clone())));
        }
    }
    out
}

/// See × source for whoever asks.
pub(super) fn matrix(model: &Model) -> Vec<Row> {
    let all = all(model);
    let row = |kind: SourceKind| {
        let asked = !NOT_ASKED.contains(&kind);
        let cell = |(of, sights): &(&str, Vec<Sight>)| {
            let sight = sights.iter().find(|s| s.kind == kind)?;
            Some(((*of).to_owned(), if asked { word(sight) } else { "not asked" }))
        };
        Row { source: kind.name(), sees: all.iter().filter_map(cell).collect() }
    };
    SourceKind::ALL.into_iter().map(row).filter(|row| !row.sees.is_empty()).collect()
}

/// The matrix for people.
pub(super) fn table(rows: &[Row]) -> String {
    let mut names: Vec<&str> = rows.iter().flat_map(|row| row.sees.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let width = |name: &str| name.chars().count().max(9);
    let padded = |text: &str, width: usize| format!("{text:<width$}  ");
    let mut out = format!("\nwhat {} sees\n  {:<10}", me(), "");
    out.extend(names.iter().map(|name| padded(name, width(name))));
    out.push('\n');
    for row in rows {
        out.push_str(&["  ", &padded(row.source, 8)].concat());
        for name in &names {
            out.push_str(&padded(row.sees.get(*name).copied().unwrap_or("-"), width(name)));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out.push_str("  health, direct and metrics are asked by whoever polls, one question at a time, not here\n");
    if !rustix::process::geteuid().is_root() {
        out.push_str("  what is `part` or `no` may be more for root: sudo midwatch doctor\n");
    }
    out
}

/// Who asks, with the groups that open things.
fn me() -> String {
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let who = crate::backends::store::who::who(&env);
    let groups = crate::backends::store::who::groups().join(", ");
    format!("{} (user id {}; groups {groups})", who.whole(), rustix::process::geteuid().as_raw())
}
