//! What keys do on Logs.

#![expect(clippy::wildcard_enum_match_arm, reason = "all that is not named is told alike")]

use super::toast;
use crate::app::model::{Model, Screen};
use crate::app::view;
use crate::app::view::logs::{self, Wanted};

/// Columns that long lines are moved by.
const SHIFT: u16 = 20;
/// Lines longer than that there are not.
const SHIFT_MAX: u16 = 2_000;
/// Lines of the screen that are not rows.
const FRAME_LINES: u16 = 9;

/// Goes to the next or previous wanted line, and opens it if one was open.
pub(super) fn seek(model: &mut Model, wanted: Wanted, back: bool) {
    if model.screen != Screen::Logs {
        model.screen = Screen::Logs;
    }
    let what = if wanted == Wanted::Error { "error" } else { "such line" };
    match logs::next(model, wanted, back) {
        Some(id) => select(model, &id),
        None => toast(model, format!("no {what} {} this one", if back { "before" } else { "after" })),
    }
}

/// Selects a line, and opens it if one was open.
fn select(model: &mut Model, id: &str) {
    let rows = view::rows(model);
    let height = usize::from(model.size.1.saturating_sub(FRAME_LINES)).max(1);
    model.log_view.scroll = 0;
    let table = model.table_mut();
    table.selected = Some(id.to_owned());
    if table.open.is_some() {
        table.open = Some(id.to_owned());
    }
    let at = table.position(&rows);
    table.follow(at, height);
}

/// With a line open, one step is one line of its source. Whether that was so.
pub(super) fn stepped(model: &mut Model, by: isize) -> bool {
    if model.screen != Screen::Logs || model.table().open.is_none() || model.log_view.grouped {
        return false;
    }
    if let Some(id) = logs::beside(model, by) {
        select(model, &id);
    }
    true
}

/// With a line open, a page is one of its text. Whether that was so.
pub(super) fn scrolled(model: &mut Model, back: bool) -> bool {
    if model.screen != Screen::Logs {
        return false;
    }
    let Some((line, around)) = logs::opened(model) else { return false };
    let page = usize::from(model.size.1.saturating_sub(FRAME_LINES) / 2).max(1);
    let last = logs::height(line, model.size.0) + around.len();
    let scroll = model.log_view.scroll;
    model.log_view.scroll = if back { scroll.saturating_sub(page) } else { (scroll + page).min(last) };
    true
}

/// Leaves out less bad lines, or none.
pub(super) fn level(model: &mut Model) {
    model.log_view.next_least();
    let least = model.log_view.at_least;
    let text = match least {
        crate::domain::log::Severity::Debug => "every line is shown".to_owned(),
        least => format!("shown from {} on", least.word()),
    };
    toast(model, text);
}

/// Equal messages together, or every line.
pub(super) fn groups(model: &mut Model) {
    model.screen = Screen::Logs;
    model.table_mut().open = None;
    model.log_view.grouped = !model.log_view.grouped;
    model.log_view.scroll = 0;
}

/// Moves the text of long lines.
pub(super) fn shift(model: &mut Model, right: bool) {
    let shift = model.log_view.shift;
    model.log_view.shift = if right { (shift + SHIFT).min(SHIFT_MAX) } else { shift.saturating_sub(SHIFT) };
}

/// The selected line, whole, for the clipboard.
pub(super) fn copied(model: &Model) -> Option<String> {
    let rows = view::rows(model);
    let id = model.table().open.clone().or_else(|| rows.get(model.table().position(&rows)).cloned())?;
    let line = logs::line(model, &id)?;
    let gap = if line.more.is_empty() { "" } else { "\n" };
    Some([&*line.text, gap, &line.more].concat())
}
