//! One finding, opened: everything that is known of it, in full.

use ratatui::layout::Rect;

use super::canvas::{Canvas, columns, piece, split_left, split_top};
use super::clock::Clock;
use super::findings::{level, since};
use super::format;
use super::theme::Role;
use crate::app::action::Action;
use crate::app::model::Model;
use crate::app::view;
use crate::triage::{Finding, SinceSource, rule};

/// Rows of a finding that can be scrolled to.
const ROWS_MAX: u16 = 2_000;

/// Draws the finding with this identity, as far down as it was scrolled.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, id: &str, clock: &Clock) {
    let Some(finding) = view::finding::find(&model.findings, id) else {
        let text = "✔ This finding is gone: what it said no longer holds. Esc goes back to the others.";
        canvas.paragraph(area, text, Role::Ok);
        return;
    };
    // Twice the rows it takes: an estimate may be too low.
    let rows = columns(2 * view::finding::height(finding, area.width)).clamp(area.height, ROWS_MAX);
    canvas.scrolled(area, rows, model.finding_top, |canvas, area| whole(canvas, area, model, (finding, clock)));
}

/// Draws all of it; the rows it took.
fn whole(canvas: &mut Canvas<'_>, area: Rect, model: &Model, (finding, clock): (&Finding, &Clock)) -> u16 {
    let right = [piece(Role::Muted, [finding.site.as_str(), " · rule ", &finding.rule].concat())];
    canvas.heading(area, &[level(finding)], &right);
    let rest = below(area, 1);
    let used = canvas.paragraph(rest, &finding.title, Role::Title);
    let rest = below(rest, used);
    let used = canvas.paragraph(rest, &when(finding, clock), Role::Text);
    let mut parts = Parts { rest: below(rest, used), end: 0 };
    parts.end = parts.rest.y;
    parts.add(|area| canvas.paragraph(area, &finding.evidence, Role::Text));
    // What to do goes before what is only more of the same.
    parts.add(|area| advice(canvas, area, finding));
    parts.add(|area| runbooks(canvas, area, model, finding));
    parts.add(|area| details(canvas, area, finding));
    parts.add(|area| symptoms(canvas, area, finding, clock));
    parts.end.saturating_sub(area.y)
}

/// Parts of a text, a blank row between any two of them.
struct Parts {
    rest: Rect,
    end: u16,
}

impl Parts {
    /// Adds a part that draws itself and says how many rows it took.
    fn add(&mut self, draw: impl FnOnce(Rect) -> u16) {
        let area = below(self.rest, 1);
        let used = draw(area);
        if used > 0 {
            self.rest = below(area, used);
            self.end = self.rest.y;
        }
    }
}

/// The lines of evidence; the rows they took.
fn details(canvas: &mut Canvas<'_>, area: Rect, finding: &Finding) -> u16 {
    let mut rest = area;
    for line in &finding.details {
        let (row, after) = split_top(rest, 1);
        canvas.put(row, line, Role::Muted);
        rest = after;
    }
    area.height - rest.height
}

/// What the catalogue says of the rule: what it means, what mends it, what makes it worse; the rows used.
fn advice(canvas: &mut Canvas<'_>, area: Rect, finding: &Finding) -> u16 {
    let Some(rule) = rule(&finding.rule) else { return 0 };
    let mut rest = area;
    let parts = [("means", rule.meaning), ("mend", rule.mend), ("danger", rule.danger)];
    for (name, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        let (label, body) = split_left(rest, 7, 1);
        let role = if name == "danger" { Role::Warning } else { Role::Text };
        canvas.put(label, name, Role::Muted);
        let used = canvas.paragraph(body, text, role);
        rest = below(rest, used);
    }
    area.height - rest.height
}

/// What `R` shows the plan of; the rows it took.
fn runbooks(canvas: &mut Canvas<'_>, area: Rect, model: &Model, finding: &Finding) -> u16 {
    let ids: Vec<&str> = view::runbooks::treating(model, finding).into_iter().map(|book| book.id.as_str()).collect();
    if ids.is_empty() {
        return 0;
    }
    let (label, body) = split_left(area, 7, 1);
    canvas.put(label, &model.keymap.label(Action::Runbook), Role::Key);
    canvas.paragraph(body, &format!("runbook {}", ids.join(", ")), Role::Accent)
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

/// What follows from it; the rows used.
fn symptoms(canvas: &mut Canvas<'_>, area: Rect, finding: &Finding, clock: &Clock) -> u16 {
    if finding.symptoms.is_empty() {
        return 0;
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
    area.height - rest.height
}
