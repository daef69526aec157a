//! One "since when" strip: a label, past values as heights, the value now and its age. Blank cells: nobody watched.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, piece, split_left, split_top, width_of};
use super::clock::Clock;
use super::format;
use super::glyphs::{self, RAMP};
use super::theme::Role;
use crate::app::model::Site;
use crate::domain::history::{History, Series, SeriesKey};

/// What height a value has, and what it looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// From 0 to 1.
    Share,
    /// From 0 to the highest value visible, but at least this.
    Highest(f32),
    /// [`crate::domain::health::HealthState::height`]: a solid line while all is well, marks where it wasn't.
    Health,
}

/// One strip.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strip {
    /// What it is of.
    pub(super) label: String,
    /// Strips with a higher number drop out first where there is no room.
    pub(super) rank: u8,
    /// The name of its series.
    pub(super) series: String,
    /// Heights.
    pub(super) scale: Scale,
    /// From this value on something is wrong.
    pub(super) bad_from: f32,
    /// The value now.
    pub(super) value: Piece,
    /// What may be added where there is room.
    pub(super) extra: String,
    /// How old the value is.
    pub(super) age: Piece,
}

/// The columns of strips: label, strip, value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    /// Of the label.
    pub(super) label: u16,
    /// Of the value.
    pub(super) value: u16,
}

impl Columns {
    /// For strips in so many columns.
    pub(super) fn within(width: u16, strips: &[Strip]) -> Self {
        let longest = strips.iter().map(|s| super::text::width(&s.label)).max().unwrap_or(0);
        let label = super::canvas::columns(longest).clamp(8, if width < 70 { 12 } else { 18 });
        let value = (u32::from(width) * 2 / 5).clamp(18, 36);
        Self { label, value: u16::try_from(value).unwrap_or(18) }
    }

    /// The area of the strip within a row.
    pub(super) const fn middle(self, row: Rect) -> Rect {
        let (_, rest) = split_left(row, self.label, 1);
        let taken = self.value + 1;
        Rect { width: rest.width.saturating_sub(taken), ..rest }
    }
}

/// The line with the times at which the strips begin and end.
pub(super) fn axis(canvas: &mut Canvas<'_>, row: Rect, columns: Columns, clock: &Clock) {
    let span = clock.now.secs_since(clock.from);
    canvas.put(split_left(row, columns.label, 1).0, "since when", Role::Title);
    let middle = columns.middle(row);
    let (from, to) = (format::hour_minute(clock.from, &clock.zone), format::hour_minute(clock.now, &clock.zone));
    let to = [to.as_str(), " ", clock.zone_name()].concat();
    let rule = usize::from(middle.width).saturating_sub(from.len() + to.len() + 2);
    let line =
        [piece(Role::Muted, from), piece(Role::Border, [" ", &"─".repeat(rule), " "].concat()), piece(Role::Muted, to)];
    canvas.pieces(middle, &line);
    let (_, value) = split_left(row, columns.label + 1 + middle.width, 1);
    canvas.put(value, &["now · strip ", &short_span(span)].concat(), Role::Muted);
}

fn short_span(secs: u64) -> String {
    if secs.is_multiple_of(3600) { format!("{} h", secs / 3600) } else { format!("{} min", secs / 60) }
}

impl Strip {
    /// Draws the strip into one row.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, row: Rect, columns: Columns, history: &History, clock: &Clock) {
        canvas.put(split_left(row, columns.label, 1).0, &self.label, Role::Text);
        let middle = columns.middle(row);
        if let Some(series) = history.get(&SeriesKey::new(self.series.as_str())) {
            self.cells(canvas, middle, series, clock);
        }
        let (_, value) = split_left(row, columns.label + 1 + middle.width, 1);
        canvas.pieces(value, &self.words(usize::from(value.width)));
    }

    /// Value, extra and age in so many columns; the extra goes first.
    fn words(&self, columns: usize) -> Vec<Piece> {
        let dot = || piece(Role::Muted, " · ");
        let mut short = vec![self.value.clone()];
        if !self.age.text.is_empty() {
            short.extend([dot(), self.age.clone()]);
        }
        let mut long = short.clone();
        if !self.extra.is_empty() {
            long.splice(1..1, [dot(), piece(Role::Text, self.extra.clone())]);
        }
        if width_of(&long) <= columns { long } else { short }
    }

    fn cells(&self, canvas: &mut Canvas<'_>, area: Rect, series: &Series, clock: &Clock) {
        let cells = series.cells(clock.from, clock.now, area.width.into());
        let highest = cells.iter().flatten().copied().fold(0.0_f32, f32::max);
        let mut run = String::new();
        let mut role = Role::Strip;
        let mut rest = area;
        for cell in cells {
            let (glyph, next) = self.cell(cell, highest);
            if next != role && !run.is_empty() {
                let used = canvas.put(rest, &run, role);
                rest = split_left(rest, used, 0).1;
                run.clear();
            }
            role = next;
            run.push_str(glyph);
        }
        canvas.put(rest, &run, role);
    }

    fn cell(&self, value: Option<f32>, highest: f32) -> (&'static str, Role) {
        let Some(value) = value else { return (" ", Role::Strip) };
        let bad = value >= self.bad_from;
        match self.scale {
            Scale::Health if value < 0.5 => ("▄", Role::StripOk),
            Scale::Health if value < 1.5 => ("?", Role::Warning),
            Scale::Health => ("✖", Role::StripBad),
            Scale::Share => (glyphs::height(value.into()), if bad { Role::StripBad } else { Role::Strip }),
            Scale::Highest(floor) => {
                let top = highest.max(floor).max(f32::MIN_POSITIVE);
                (glyphs::height(f64::from(value / top)), if bad { Role::StripBad } else { Role::Strip })
            }
        }
    }
}

/// How fast a series rises, per second; `None` where too little was seen, or too little since it jumped.
pub(super) fn slope(history: &History, name: &str) -> Option<f64> {
    history.get(&SeriesKey::new(name))?.slope()
}

/// Recent values as one line of glyphs, the newest at the right, in at most `columns`.
pub(super) fn spark(values: &[f32], columns: usize) -> String {
    let shown = values.get(values.len().saturating_sub(columns)..).unwrap_or_default();
    let top = shown.iter().copied().filter(|v| v.is_finite()).fold(0.0_f32, f32::max);
    let glyph =
        |v: &f32| if top > 0.0 { glyphs::height(f64::from(v / top)) } else { RAMP.first().copied().unwrap_or(" ") };
    shown.iter().map(glyph).collect()
}

/// Draws strips above a table, where the screen is high enough for both; the rest of the area.
pub(super) fn above(canvas: &mut Canvas<'_>, area: Rect, strips: &[Strip], site: &Site, clock: &Clock) -> Rect {
    if area.height < 30 {
        return area;
    }
    let strips: Vec<(Strip, &History)> = strips.iter().map(|strip| (strip.clone(), &site.history)).collect();
    let used = draw(canvas, area, &strips, clock);
    split_top(area, used + 1).1
}

/// Draws strips below their axis; those with the highest rank drop out first. The rows used.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, strips: &[(Strip, &History)], clock: &Clock) -> u16 {
    if area.height < 2 || strips.is_empty() {
        return 0;
    }
    let mut ranks: Vec<u8> = strips.iter().map(|(s, _)| s.rank).collect();
    ranks.sort_unstable();
    let limit = ranks.get(usize::from(area.height - 2).min(ranks.len() - 1)).copied().unwrap_or(u8::MAX);
    let kept: Vec<&(Strip, &History)> = strips.iter().filter(|(s, _)| s.rank <= limit).collect();
    let owned: Vec<Strip> = kept.iter().map(|(s, _)| s.clone()).collect();
    let columns = Columns::within(area.width, &owned);
    let (head, mut rest) = split_top(area, 1);
    axis(canvas, head, columns, clock);
    for (strip, history) in kept {
        let (row, below) = split_top(rest, 1);
        strip.draw(canvas, row, columns, history, clock);
        rest = below;
    }
    area.height - rest.height
}
