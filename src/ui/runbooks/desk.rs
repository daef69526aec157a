//! What stands between a wish and a run: the plan, its parameters, and what is asked.

use ratatui::layout::Rect;

use super::card;
use crate::app::line::Line;
use crate::app::model::Model;
use crate::app::runbooks::desk::{Choice, Desk};
use crate::ui::canvas::{Canvas, columns, piece, split_left, split_top};
use crate::ui::clock::Clock;
use crate::ui::format;
use crate::ui::grid::Window;
use crate::ui::overlay::frame;
use crate::ui::text;
use crate::ui::theme::Role;

/// Draws it.
pub(in crate::ui) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock, desk: &Desk) {
    match desk {
        Desk::Card(card) => card::draw(canvas, area, model, card),
        Desk::Which { choices, selected, .. } => {
            choose(canvas, area, ("runbook", "Several runbooks treat this."), choices, *selected);
        }
        Desk::Point { point, choices, selected } => {
            let says = format!("What is done with {point}?");
            choose(canvas, area, ("backup", &says), choices, *selected);
        }
        Desk::Ways { choices, selected, .. } => {
            let says = "How is it taken up? What is chosen is shown first, and approved like a plan.";
            choose(canvas, area, ("resume", says), choices, *selected);
        }
        Desk::Choose { wish, says, choices, selected, .. } => {
            choose(canvas, area, (&wish.book, says), choices, *selected);
        }
        Desk::Fill { wish, name, says, line } => {
            let rest = said(canvas, area, (&wish.book, "Enter goes on to the plan · Esc leaves"), says, 1);
            typed(canvas, rest, &[name, ": "].concat(), line);
        }
        Desk::Planning { wish, since } => {
            let waited = format::span(clock.now.secs_since(*since));
            let text = format!("Looking at everything the plan depends on: {waited} so far. Nothing is done.");
            said(canvas, area, (&wish.book, "Esc leaves"), &text, 0);
        }
        Desk::Starting { title, since, .. } => {
            let waited = format::span(clock.now.secs_since(*since));
            let text = format!("Handed to a runner, which takes the lock and looks again: {waited} so far.");
            said(canvas, area, (title, "Esc leaves it to itself"), &text, 0);
        }
        Desk::Refused { title, why, scroll } => refused(canvas, area, title, why, *scroll),
        Desk::Leave { run } => leave(canvas, area, model, run),
        Desk::Answer { question, line, said: reply, .. } => {
            let foot = "y goes on, n ends the run here, then Enter · Esc leaves";
            let rest = said(canvas, area, ("the run asks", foot), question, 2);
            let (row, below) = split_top(rest, 1);
            typed(canvas, row, "y or n: ", line);
            canvas.put(below, reply.as_deref().unwrap_or_default(), Role::Warning);
        }
    }
}

/// A line that is typed, after what it is for: the typed end stays visible.
pub(super) fn typed(canvas: &mut Canvas<'_>, row: Rect, what: &str, line: &Line) {
    let used = canvas.put(row, what, Role::Key);
    let (_, tail) = split_left(row, used.min(row.width.saturating_sub(8)), 0);
    let (before, after) = line.parts();
    let room = usize::from(tail.width).saturating_sub(1);
    let used = canvas.put(tail, &text::cut_start(&before, room), Role::Text);
    let (_, at) = split_left(tail, used, 0);
    canvas.put(at, if after.is_empty() { " " } else { &after }, Role::Text);
    canvas.paint(split_left(split_top(at, 1).0, 1, 0).0, Role::Selected);
}

/// A box with a text and so many rows below it; those rows.
fn said(canvas: &mut Canvas<'_>, area: Rect, (title, foot): (&str, &str), says: &str, rows: u16) -> Rect {
    let width = area.width.min(92);
    let lines = columns(text::wrap(says, usize::from(width).saturating_sub(4)).len());
    let height = lines.saturating_add(rows).saturating_add(2).min(area.height);
    let inner = frame(canvas, area, (width, height), title, foot);
    let used = canvas.paragraph(split_top(inner, inner.height.saturating_sub(rows)).0, says, Role::Text);
    split_top(inner, used).1
}

fn choose(canvas: &mut Canvas<'_>, area: Rect, (title, says): (&str, &str), choices: &[Choice], selected: usize) {
    let rows = columns(choices.len()).min(area.height.saturating_sub(4).max(1));
    let mut rest = said(canvas, area, (title, "j k, Enter goes on to the plan · Esc leaves"), says, rows);
    let window = Window::around(0, selected, usize::from(rest.height), choices.len());
    // Of a path the end tells one from another.
    let most = (usize::from(rest.width) / 2).max(24);
    let wide = choices.iter().map(|choice| text::width(&choice.value)).max().unwrap_or(0).min(most);
    for (at, choice) in choices.iter().enumerate().skip(window.first).take(window.len) {
        let (row, below) = split_top(rest, 1);
        rest = below;
        let value = text::cut_start(&choice.value, wide);
        let pad = " ".repeat(wide.saturating_sub(text::width(&value)) + 2);
        let parts = [piece(Role::Accent, [&value, pad.as_str()].concat()), piece(Role::Muted, choice.label.as_str())];
        canvas.pieces(row, &parts);
        if at == selected {
            canvas.paint(row, Role::Selected);
        }
    }
}

/// Why there is no plan, or no run, in full.
fn refused(canvas: &mut Canvas<'_>, area: Rect, title: &str, why: &str, scroll: usize) {
    let width = area.width.min(92);
    let inside = usize::from(width).saturating_sub(4);
    let lines: Vec<String> = why.lines().flat_map(|line| text::wrap(line, inside)).collect();
    let height = columns(lines.len()).saturating_add(3).min(area.height);
    let visible = usize::from(height.saturating_sub(3));
    let first = scroll.min(lines.len().saturating_sub(visible));
    let more = if lines.len() > visible { " · j k scroll" } else { "" };
    let mut rest = frame(canvas, area, (width, height), title, &["Esc leaves", more].concat());
    let (row, below) = split_top(rest, 1);
    canvas.put(row, "✖ Nothing was begun:", Role::Critical);
    rest = below;
    for line in lines.iter().skip(first).take(visible) {
        let (row, below) = split_top(rest, 1);
        canvas.put(row, line, Role::Text);
        rest = below;
    }
}

/// Ctrl-C while a run is watched.
fn leave(canvas: &mut Canvas<'_>, area: Rect, model: &Model, run: &str) {
    let title = model.runbooks.run(run).map_or(run, |run| run.plan.title.as_str());
    let keys = [
        ("a", "stop after this step"),
        ("n", "stop now: ends what it runs"),
        ("l", "leave it running: it goes on without this screen"),
        ("Esc", "go on watching"),
        ("Ctrl-C", "leave midwatch; the run goes on"),
    ];
    let size = (area.width.min(66), columns(keys.len()) + 2);
    let mut rest = frame(canvas, area, size, title, "the run goes on meanwhile");
    for (key, what) in keys {
        let (row, below) = split_top(rest, 1);
        canvas.pieces(row, &[piece(Role::Key, format!("{key:<8}")), piece(Role::Text, what)]);
        rest = below;
    }
}
