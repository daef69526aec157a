//! One finding, opened: everything that is known of it, in full.

use ratatui::layout::Rect;

use super::canvas::{Canvas, columns, piece, split_left, split_top};
use super::clock::Clock;
use super::findings::{level, since};
use super::format;
use super::theme::Role;
use crate::app::model::Model;
use crate::triage::{Finding, SinceSource, rule};

/// Draws the finding with this identity.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, id: &str, clock: &Clock) {
    let Some(finding) = find(&model.findings, id) else {
        let text = "✔ This finding is gone: what it said no longer holds. Esc goes back to the others.";
        canvas.paragraph(area, text, Role::Ok);
        return;
    };
    let right = [piece(Role::Muted, [finding.site.as_str(), " · rule ", &finding.rule].concat())];
    canvas.heading(area, &[level(finding)], &right);
    let rest = below(area, 1);
    let used = canvas.paragraph(rest, &finding.title, Role::Title);
    let rest = below(rest, used);
    let used = canvas.paragraph(rest, &when(finding, clock), Role::Text);
    let rest = below(rest, used.saturating_add(1));
    let used = canvas.paragraph(rest, &finding.evidence, Role::Text);
    let rest = below(rest, used.saturating_add(u16::from(used > 0)));
    // What to do goes before what is only more of the same: on a small terminal the rest may not fit.
    let rest = advice(canvas, rest, finding);
    let rest = details(canvas, rest, finding);
    symptoms(canvas, rest, finding, clock);
}

/// The lines of evidence, as many as leave room for what follows; the rest of the area.
fn details(canvas: &mut Canvas<'_>, area: Rect, finding: &Finding) -> Rect {
    let keep = columns(finding.symptoms.len().min(4)) + 2;
    let room = area.height.saturating_sub(keep).max(area.height.min(3));
    let mut rest = area;
    let lines = usize::from(room);
    let all = finding.details.len();
    let shown = if all > lines { lines.saturating_sub(1) } else { all };
    for line in finding.details.iter().take(shown) {
        let (row, after) = split_top(rest, 1);
        canvas.put(row, line, Role::Muted);
        rest = after;
    }
    if all > shown {
        canvas.put(split_top(rest, 1).0, &format!("… {} more", format::plural(all - shown, "line")), Role::Muted);
        rest = below(rest, 1);
    }
    if all > 0 { below(rest, 1) } else { rest }
}

/// What the catalogue says of the rule: what it means, what mends it, what makes it worse.
fn advice(canvas: &mut Canvas<'_>, area: Rect, finding: &Finding) -> Rect {
    let Some(rule) = rule(&finding.rule) else { return area };
    let mut rest = area;
    let parts = [("means", rule.meaning), ("mend", rule.mend), ("danger", rule.danger)];
    for (name, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        let (label, body) = split_left(rest, 7, 1);
        let role = if name == "danger" { Role::Warning } else { Role::Text };
        canvas.put(label, name, Role::Muted);
        let used = canvas.paragraph(body, text, role);
        rest = below(rest, used);
    }
    below(rest, 1)
}

const fn below(area: Rect, rows: u16) -> Rect {
    split_top(area, rows).1
}

fn when(finding: &Finding, clock: &Clock) -> String {
    let at = clock.when(finding.since.at);
    let span = format::span(clock.now.secs_since(finding.since.at));
    let zone = clock.zone_name();
    match (finding.since.from, finding.since.seen) {
        (SinceSource::Watched, true) => format!("since {at} {zone}, for {span}"),
        (SinceSource::Watched, false) => format!("already so when first looked at, {at} {zone}: for at least {span}"),
        (SinceSource::Source(_), true) => {
            format!("since {at} {zone}, for {span}, as its {} tells", finding.since.word())
        }
        (SinceSource::Source(_), false) => {
            format!("since {at} {zone} or before, for at least {span}, as its {} tells", finding.since.word())
        }
        (SinceSource::History, true) => format!("since {at} {zone}, for {span}, as the history on disk tells"),
        (SinceSource::History, false) => {
            format!("since {at} {zone} or before, for at least {span}, as the history on disk tells")
        }
    }
}

/// What follows from it.
fn symptoms(canvas: &mut Canvas<'_>, area: Rect, finding: &Finding, clock: &Clock) {
    if finding.symptoms.is_empty() {
        return;
    }
    canvas.heading(area, &[piece(Role::Title, "what follows from it")], &[]);
    let mut rest = below(area, 1);
    for symptom in &finding.symptoms {
        let (row, after) = split_top(rest, 1);
        let left = [level(symptom), piece(Role::Text, [" ", &symptom.title].concat())];
        canvas.row(row, &left, &[piece(Role::Muted, since(symptom.since, clock, row.width >= 76))]);
        let used = canvas.paragraph(split_left(after, 11, 0).1, &symptom.evidence, Role::Muted);
        rest = below(after, used);
    }
}

fn find<'m>(findings: &'m [Finding], id: &str) -> Option<&'m Finding> {
    findings.iter().find_map(|f| if f.id() == id { Some(f) } else { find(&f.symptoms, id) })
}
