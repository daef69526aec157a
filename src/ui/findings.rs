//! The tree of findings on Now: causes with their evidence, symptoms folded under them.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_left, split_top, width_of};
use super::clock::Clock;
use super::format;
use super::glyphs;
use super::grid::Window;
use super::theme::Role;
use crate::app::model::Model;
use crate::app::view;
use crate::triage::{Finding, Since, SinceSource};

/// The rows the findings would like to have.
pub(super) fn wanted(model: &Model) -> u16 {
    let rows = view::findings(model);
    if rows.is_empty() {
        return u16::from(!model.now_table.filter.is_empty());
    }
    columns(rows.iter().map(|(depth, finding)| height(*depth, finding)).sum())
}

const fn height(depth: usize, finding: &Finding) -> usize {
    if depth == 0 && !finding.evidence.is_empty() { 2 } else { 1 }
}

/// Since when, in words: `since 02:57:31 · 6m40s`, or what is known where the change itself was not seen.
pub(super) fn since(since: Since, clock: &Clock, long: bool) -> String {
    let span = format::span(clock.now.secs_since(since.at));
    // Where it is known from, unless it was watched.
    let from = match since.from {
        SinceSource::Watched => String::new(),
        SinceSource::Source(_) | SinceSource::History => [" ", since.word()].concat(),
    };
    match (since.seen, long) {
        (true, true) => format!("since {}{from} · {span}", clock.when(since.at)),
        (true, false) => span,
        (false, true) => format!("≥ {}{from} · {span}", clock.when(since.at)),
        (false, false) => ["≥ ", &span].concat(),
    }
}

/// Draws the findings.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let rows = view::findings(model);
    if rows.is_empty() && !model.now_table.filter.is_empty() {
        canvas.put(area, "no finding has these words; Esc clears the filter", Role::Muted);
        return;
    }
    let selected = model.now_table.position(&view::rows(model));
    let all: usize = rows.iter().map(|(depth, finding)| height(*depth, finding)).sum();
    let roomy = all <= usize::from(area.height);
    let height = if roomy { rows.len() } else { usize::from(area.height) };
    let window = Window::around(model.now_table.offset, selected, height, rows.len());
    let mut rest = area;
    let several = model.sites.len() > 1;
    for (at, (depth, finding)) in rows.iter().enumerate().skip(window.first).take(window.len) {
        let last = rows.get(at + 1).is_none_or(|(next, _)| next < depth);
        let (row, below) = split_top(rest, 1);
        rest = below;
        let acknowledged = model.timeline.acknowledged(&finding.id(), model.now).is_some();
        line(canvas, row, (*depth, last), finding, clock, (several, acknowledged));
        if at == selected && rows.len() > 1 {
            canvas.paint(row, Role::Selected);
        }
        if roomy && *depth == 0 && !finding.evidence.is_empty() {
            let (row, below) = split_top(rest, 1);
            rest = below;
            canvas.put(split_left(row, 11, 0).1, &finding.evidence, Role::Muted);
        }
    }
    if let Some(label) = window.label(rows.len()) {
        let (_, corner) = split_top(area, area.height.saturating_sub(1));
        let text = format!(" {label} ");
        let at = corner.width.saturating_sub(columns(super::text::width(&text)));
        let (_, corner) = split_left(corner, at, 0);
        canvas.clear(corner);
        canvas.put(corner, &text, Role::Key);
    }
}

/// A level as glyph and word, the word padded to the longest.
pub(super) fn level(finding: &Finding) -> Piece {
    let text = format!("{} {:<8}", glyphs::level(finding.level), finding.level.word());
    piece(glyphs::role(finding.level), text)
}

fn line(
    canvas: &mut Canvas<'_>,
    row: Rect,
    (depth, last): (usize, bool),
    finding: &Finding,
    clock: &Clock,
    (several, acknowledged): (bool, bool),
) {
    let mut left = Vec::new();
    if depth > 0 {
        let branch = if last { "└ " } else { "├ " };
        left.push(piece(Role::Border, ["  ".repeat(depth).as_str(), branch].concat()));
    }
    let role = if depth == 0 { Role::Title } else { Role::Text };
    left.extend([level(finding), piece(Role::Text, " ")]);
    if several && depth == 0 {
        left.push(piece(Role::Muted, [&finding.site, ": "].concat()));
    }
    left.push(piece(role, finding.title.clone()));
    // The title goes before the time of day: what is the matter must not be cut for it.
    let long = since(finding.since, clock, true);
    let fits = width_of(&left) + super::text::width(&long) < usize::from(row.width);
    let long = if acknowledged { [&long, " · acked"].concat() } else { long };
    let right = [piece(Role::Muted, if depth == 0 && fits { long } else { since(finding.since, clock, false) })];
    let room = usize::from(row.width).saturating_sub(width_of(&left) + width_of(&right) + 4);
    if depth > 0 && !finding.evidence.is_empty() && room >= 12 {
        left.push(piece(Role::Muted, ["  ", &finding.evidence].concat()));
    }
    canvas.row(row, &left, &right);
}
