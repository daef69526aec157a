//! What covers a screen: help, the palette, a note being typed, the incident record.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, inset, piece, split_left, split_top};
use super::clock::Clock;
use super::grid::Window;
use super::theme::Role;
use super::{note, runbooks, text, timeline};
use crate::app::action::{ACTIONS, Action, ActionSpec};
use crate::app::model::{Model, Overlay};

/// Draws the overlay, if there is one. The filter is typed in the footer.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    match &model.overlay {
        Overlay::None | Overlay::Filter { .. } => {}
        Overlay::Help { scroll } => help(canvas, area, model, *scroll),
        Overlay::Palette { input, selected } => palette(canvas, area, model, input, *selected),
        Overlay::Note { line, about } => note::draw(canvas, area, model, line, about.as_ref()),
        Overlay::Desk(desk) => runbooks::desk::draw(canvas, area, model, clock, desk),
        Overlay::Timeline { typing } => timeline::draw(canvas, area, model, clock, *typing),
    }
}

/// A framed, blank box in the middle of `area`; what is inside it.
pub(super) fn frame(canvas: &mut Canvas<'_>, area: Rect, (width, height): (u16, u16), title: &str, foot: &str) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let outer = Rect { x, y, width, height };
    canvas.clear(outer);
    let wide = usize::from(width).saturating_sub(2);
    let border = |left: &str, right: &str| [left, &"─".repeat(wide), right].concat();
    canvas.put(outer, &border("┌", "┐"), Role::Border);
    let (_, last) = split_top(outer, height.saturating_sub(1));
    canvas.put(last, &border("└", "┘"), Role::Border);
    for at in 1..height.saturating_sub(1) {
        let (_, row) = split_top(outer, at);
        canvas.put(Rect { width: 1, ..row }, "│", Role::Border);
        canvas.put(Rect { x: row.x + row.width.saturating_sub(1), width: 1, ..row }, "│", Role::Border);
    }
    let within = |row: Rect| Rect { x: row.x.saturating_add(2), width: row.width.saturating_sub(4), ..row };
    canvas.put(within(outer), &[" ", title, " "].concat(), Role::Title);
    canvas.put(within(last), &[" ", foot, " "].concat(), Role::Muted);
    let inner = split_top(outer, 1).1;
    inset(inset(Rect { height: inner.height.saturating_sub(1), ..inner }))
}

/// The actions by what they are about; every action is in exactly one group.
fn group(action: Action) -> &'static str {
    match action {
        Action::Show(_) | Action::NextScreen | Action::PreviousScreen | Action::NextSite => "screens",
        Action::Up
        | Action::Down
        | Action::HalfPageUp
        | Action::HalfPageDown
        | Action::PageUp
        | Action::PageDown
        | Action::First
        | Action::Last
        | Action::Open
        | Action::Back
        | Action::Close => "moving",
        Action::SortNext | Action::SortPrevious | Action::SortReverse | Action::Filter => "tables",
        Action::NextError
        | Action::PreviousError
        | Action::NextMatch
        | Action::PreviousMatch
        | Action::LogLevel
        | Action::LogGroups
        | Action::TextRight
        | Action::TextLeft => "logs",
        Action::Runbook => "runbooks",
        Action::Note | Action::Acknowledge | Action::Timeline | Action::Severity(_) | Action::Resolved => {
            "the incident"
        }
        Action::Pause
        | Action::PollNow
        | Action::ZoomOut
        | Action::ZoomIn
        | Action::Clock
        | Action::NextTheme
        | Action::Copy
        | Action::CopyScreen
        | Action::Help
        | Action::Palette
        | Action::Redraw
        | Action::Suspend
        | Action::Quit => "everywhere",
    }
}

const LEGEND: [&str; 6] = [
    "✖ critical  ▲ warning  ? unknown  · note  ✔ ok: a glyph and a word, whatever the colours.",
    "Strips show the highest value of each step; blank where nobody looked.",
    "Health: ▄ well, ✖ not, ? something else answers. ≥ means: at least, for that is how long it was watched.",
    "Every value stands beside its age. Stale values stay, with the reason why there are no newer ones.",
    "A filter takes words; on Requests also 4xx and 5xx.",
    "Looking changes nothing. Only a plan does, once what it asks for was typed: Enter and pasted text never do.",
];

fn keys(model: &Model, spec: &ActionSpec) -> String {
    model.keymap.chords(spec.action).map(|chord| chord.to_string()).collect::<Vec<_>>().join(" ")
}

fn help_lines(model: &Model, width: usize) -> Vec<Vec<Piece>> {
    let mut lines = Vec::new();
    for name in ["screens", "moving", "runbooks", "tables", "logs", "the incident", "everywhere"] {
        lines.push(vec![piece(Role::Title, name)]);
        for spec in ACTIONS.iter().filter(|spec| group(spec.action) == name) {
            let keys = keys(model, spec);
            // What has no key has a name in the palette.
            let keys = if keys.is_empty() { [":", spec.name].concat() } else { keys };
            let pad = " ".repeat(14_usize.saturating_sub(text::width(&keys)));
            lines.push(vec![piece(Role::Key, ["  ", &keys, &pad, " "].concat()), piece(Role::Text, spec.help)]);
        }
        lines.push(Vec::new());
    }
    lines.push(vec![piece(Role::Title, "how to read it")]);
    for sentence in LEGEND {
        let wrapped = text::wrap(sentence, width.saturating_sub(2));
        lines.extend(wrapped.into_iter().map(|line| vec![piece(Role::Text, ["  ", &line].concat())]));
    }
    lines
}

fn help(canvas: &mut Canvas<'_>, area: Rect, model: &Model, scroll: usize) {
    let width = area.width.min(84);
    let lines = help_lines(model, usize::from(width).saturating_sub(4));
    let height = columns(lines.len()).saturating_add(2).min(area.height);
    let visible = usize::from(height.saturating_sub(2));
    let first = scroll.min(lines.len().saturating_sub(visible));
    let more = if lines.len() > visible { " · j k scroll" } else { "" };
    let mut inner = frame(canvas, area, (width, height), "help", &["Esc closes", more].concat());
    for line in lines.iter().skip(first).take(visible) {
        let (row, below) = split_top(inner, 1);
        canvas.pieces(row, line);
        inner = below;
    }
}

fn palette(canvas: &mut Canvas<'_>, area: Rect, model: &Model, input: &str, selected: usize) {
    let matches = Model::palette_matches(input);
    let height = columns(matches.len()).clamp(1, 12).saturating_add(3).min(area.height);
    let inner = frame(canvas, area, (area.width.min(76), height), "command", "Enter does it · Esc closes");
    let (row, mut rest) = split_top(inner, 1);
    let (_, tail) = split_left(row, 2, 0);
    canvas.put(row, ":", Role::Key);
    // What was typed last stays visible.
    let room = usize::from(tail.width).saturating_sub(1);
    let typed = canvas.put(tail, &text::cut_start(input, room), Role::Text);
    canvas.put(split_left(tail, typed, 0).1, " ", Role::Text);
    canvas.paint(split_left(split_left(tail, typed, 0).1, 1, 0).0, Role::Selected);
    if matches.is_empty() {
        canvas.put(rest, "no action has these words", Role::Muted);
    }
    let selected = selected.min(matches.len().saturating_sub(1));
    let window = Window::around(0, selected, usize::from(rest.height), matches.len());
    for (at, action) in matches.iter().enumerate().skip(window.first).take(window.len) {
        let Some(spec) = action.spec() else { continue };
        let (row, below) = split_top(rest, 1);
        rest = below;
        let left = [piece(Role::Accent, format!("{:<16}", spec.name)), piece(Role::Text, spec.help)];
        canvas.row(row, &left, &[piece(Role::Key, keys(model, spec))]);
        if at == selected {
            canvas.paint(row, Role::Selected);
        }
    }
}
