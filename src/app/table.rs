//! A table's state: what is selected (by identity, never by row number), how it is sorted, filtered and scrolled.

use serde::{Deserialize, Serialize};

/// State of a sortable, filterable table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Table {
    /// Identity of the selected row; `None`: the first.
    pub selected: Option<String>,
    /// First visible row, kept by the last known selection and height.
    pub offset: usize,
    /// Column sorted by, an index into the screen's columns.
    pub sort: usize,
    /// Sorted the other way round.
    pub reversed: bool,
    /// Only rows with all of these words (case-insensitive) are shown; may be empty.
    pub filter: String,
    /// Identity of the row that is opened, if one is.
    pub open: Option<String>,
    /// Nothing selected means the last row, and the last row selected means nothing: new ones are followed.
    #[serde(default)]
    pub from_end: bool,
}

impl Table {
    /// Whether `text` holds every word of the filter.
    pub fn accepts(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.filter.split_whitespace().all(|word| text.contains(&word.to_lowercase()))
    }

    /// The row selected among `rows` (identities in display order); the first if the selection is gone.
    pub fn position(&self, rows: &[String]) -> usize {
        match &self.selected {
            None if self.from_end => rows.len().saturating_sub(1),
            None => 0,
            Some(id) => rows.iter().position(|row| row == id).unwrap_or(0),
        }
    }

    /// Moves the selection by `by` rows, stopping at both ends, and keeps it within `height` visible rows.
    pub fn step(&mut self, rows: &[String], by: isize, height: usize) {
        let last = rows.len().saturating_sub(1);
        let to = self.position(rows).saturating_add_signed(by).min(last);
        self.selected = rows.get(to).filter(|_| !(self.from_end && to == last)).cloned();
        self.follow(to, height);
    }

    /// Scrolls as little as possible so that row `at` is within `height` visible rows.
    pub fn follow(&mut self, at: usize, height: usize) {
        let height = height.max(1);
        if at < self.offset {
            self.offset = at;
        } else if at >= self.offset + height {
            self.offset = at + 1 - height;
        }
    }
}
