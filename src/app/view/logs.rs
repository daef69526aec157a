//! The rows of Logs: lines or groups, filtered; where the next error is; what stands around a line.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::app::model::Model;
use crate::domain::log::mask::pattern;
use crate::domain::log::{Group, Line, LogReading, Severity};

/// What groups can be sorted by, in the order of [`crate::app::table::Table::sort`].
pub const SORTS: &[&str] = &["last", "count", "first", "level"];
/// Lines of the same source that are shown before and after one that is opened.
const AROUND: usize = 200;

/// How the logs are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// Equal messages together rather than every line.
    pub grouped: bool,
    /// Lines less bad than this are left out.
    pub at_least: Severity,
    /// Columns of the text that are scrolled out at the left.
    pub shift: u16,
    /// Rows of what is opened that are scrolled out at the top.
    pub scroll: usize,
}

impl Default for LogView {
    fn default() -> Self {
        Self { grouped: false, at_least: Severity::Debug, shift: 0, scroll: 0 }
    }
}

/// The severities that the least one can be chosen from, in the order of choosing.
const LEAST: [Severity; 4] = [Severity::Debug, Severity::Info, Severity::Warning, Severity::Error];

impl LogView {
    /// The next choice of what is left out; after errors alone, nothing is.
    pub fn next_least(&mut self) {
        let at = LEAST.iter().position(|least| *least == self.at_least).unwrap_or(0);
        self.at_least = LEAST.get(at + 1).copied().unwrap_or(Severity::Debug);
    }
}

/// The logs of the shown site.
pub fn reading(model: &Model) -> Option<&LogReading> {
    model.site().and_then(|s| s.logs.value())
}

/// The lines that are shown, the oldest first.
pub fn lines(model: &Model) -> Vec<&Arc<Line>> {
    let Some(logs) = reading(model) else { return Vec::new() };
    let least = model.log_view.at_least;
    let accept = |line: &&Arc<Line>| line.level >= least && accepts(model, logs, line);
    logs.window.lines().iter().filter(accept).collect()
}

/// Whether a line has the words of the filter, in its source, level, text or traceback.
fn accepts(model: &Model, logs: &LogReading, line: &Line) -> bool {
    let table = &model.logs;
    table.filter.trim().is_empty()
        || table.accepts(&[logs.source(line), " ", line.level.word(), " ", &line.text, "\n", &line.more].concat())
}

/// The groups that are shown, sorted.
pub fn groups(model: &Model) -> Vec<&Group> {
    let Some(logs) = reading(model) else { return Vec::new() };
    let table = &model.log_groups;
    let accept = |group: &&Group| {
        let line = &group.example;
        let text = [logs.source(line), " ", line.level.word(), " ", &line.text, "\n", &line.more].concat();
        group.level >= model.log_view.at_least && table.accepts(&text)
    };
    let mut rows: Vec<&Group> = logs.groups.iter().filter(accept).collect();
    rows.sort_by(|a, b| {
        let order = match table.sort {
            1 => b.tally.count.cmp(&a.tally.count),
            2 => b.tally.first.cmp(&a.tally.first),
            3 => b.level.cmp(&a.level),
            _ => b.tally.last.cmp(&a.tally.last),
        };
        order.then(b.tally.last.cmp(&a.tally.last)).then(a.id.cmp(&b.id))
    });
    if table.reversed {
        rows.reverse();
    }
    rows
}

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    if model.log_view.grouped {
        groups(model).into_iter().map(|group| group.id.to_string()).collect()
    } else {
        lines(model).into_iter().map(|line| line.id.to_string()).collect()
    }
}

/// A line by its identity: of the window, or the example of a group.
pub fn line<'m>(model: &'m Model, id: &str) -> Option<&'m Arc<Line>> {
    let logs = reading(model)?;
    let id: u64 = id.parse().ok()?;
    if model.log_view.grouped {
        return logs.groups.iter().find(|group| group.id == id).map(|group| &group.example);
    }
    logs.window.lines().iter().find(|line| line.id == id)
}

/// The line that is opened, and those of its source before and after it.
pub fn opened(model: &Model) -> Option<(&Arc<Line>, Vec<&Arc<Line>>)> {
    let logs = reading(model)?;
    let line = line(model, model.table().open.as_deref()?)?;
    let of_source: Vec<&Arc<Line>> = logs.window.lines().iter().filter(|l| l.source == line.source).collect();
    let at = of_source.iter().position(|l| l.id == line.id);
    let around = match at {
        Some(at) => {
            let (from, to) = (at.saturating_sub(AROUND), (at + AROUND + 1).min(of_source.len()));
            of_source.get(from..to).unwrap_or_default().to_vec()
        }
        // The example of a group may have left the window.
        None => vec![line],
    };
    Some((line, around))
}

/// Which lines a step goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Errors and worse.
    Error,
    /// With a filter its matches; else lines like the selected one.
    Alike,
}

/// The identity of the next (or previous) wanted line from the selected one.
pub fn next(model: &Model, wanted: Wanted, back: bool) -> Option<String> {
    if model.log_view.grouped {
        let rows = groups(model);
        let ids: Vec<String> = rows.iter().map(|group| group.id.to_string()).collect();
        let at = model.log_groups.position(&ids);
        let hit = |index: &usize| wanted == Wanted::Alike || rows.get(*index).is_some_and(|g| g.level.is_error());
        let found = if back { (0..at).rev().find(hit) } else { (at + 1..rows.len()).find(hit) };
        return found.and_then(|index| ids.get(index).cloned());
    }
    let rows = lines(model);
    let selected = model.logs.selected.as_ref().and_then(|id| rows.iter().position(|line| line.id.to_string() == *id));
    // At the end, where the newest are followed, a step back begins with the newest itself.
    let at = selected.unwrap_or(rows.len());
    let like = rows.get(at.min(rows.len().saturating_sub(1)));
    let alike = like.map(|line| (line.source, line.level, pattern(&line.text)));
    let hit = |index: &usize| {
        rows.get(*index).is_some_and(|line| match wanted {
            Wanted::Error => line.level.is_error(),
            Wanted::Alike if !model.logs.filter.trim().is_empty() => true,
            Wanted::Alike => alike.as_ref().is_some_and(|(source, level, text)| {
                line.source == *source && line.level == *level && pattern(&line.text) == *text
            }),
        })
    };
    let found = if back { (0..at).rev().find(hit) } else { (at + 1..rows.len()).find(hit) };
    found.and_then(|index| rows.get(index)).map(|line| line.id.to_string())
}

/// The line before or after the opened one, of its source; past the ends the last there is.
pub fn beside(model: &Model, by: isize) -> Option<String> {
    let (line, around) = opened(model)?;
    let at = around.iter().position(|l| l.id == line.id)?;
    let to = at.saturating_add_signed(by).min(around.len().saturating_sub(1));
    around.get(to).map(|line| line.id.to_string())
}

/// How many rows the opened line takes on a terminal of so many columns, about.
pub fn height(line: &Line, columns: u16) -> usize {
    let columns = usize::from(columns.saturating_sub(4)).max(1);
    let rows = |text: &str| text.chars().count().div_ceil(columns).max(1);
    rows(&line.text) + line.more.lines().map(rows).sum::<usize>()
}
