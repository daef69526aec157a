//! What routes and tasks have in common when one is opened: a share per outcome, a latency histogram, the trend.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_left, split_top};
use super::format;
use super::glyphs;
use super::strip::spark;
use super::theme::Role;
use crate::domain::traffic::{Bucket, Count, Latency, share};

/// One outcome of requests or tasks: what it is called, how often it was, how it looks when it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// What it is called.
    pub(super) name: &'static str,
    /// How often.
    pub(super) count: Count,
    /// Its role where it happened.
    pub(super) role: Role,
}

/// A route or a task, opened.
#[derive(Debug)]
pub(super) struct Detail<'a> {
    /// Outcomes, the good ones first.
    pub(super) outcomes: Vec<Outcome>,
    /// Runs per second.
    pub(super) rate: Option<f64>,
    /// What is counted: `request`, `run`.
    pub(super) unit: &'static str,
    /// Latency.
    pub(super) latency: &'a Latency,
    /// Rates of the last looks.
    pub(super) spark: &'a [f32],
    /// What has to be known of the latencies, if anything.
    pub(super) remark: &'static str,
}

impl Detail<'_> {
    /// Draws it.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let (row, rest) = split_top(area, 1);
        self.numbers(canvas, row);
        let (row, rest) = split_top(rest, 1);
        self.trend(canvas, row);
        let rest = if rest.height > 14 { split_top(rest, 1).1 } else { rest };
        if rest.width >= 110 {
            let (left, right) = split_left(rest, rest.width * 2 / 5, 3);
            self.outcomes(canvas, left);
            self.histogram(canvas, right);
        } else {
            let used = self.outcomes(canvas, rest);
            let (_, rest) = split_top(rest, used);
            let needed = squeeze(&self.latency.buckets, usize::MAX).len() + 2;
            let rest = if usize::from(rest.height) > needed { split_top(rest, 1).1 } else { rest };
            self.histogram(canvas, rest);
        }
    }

    fn numbers(&self, canvas: &mut Canvas<'_>, row: Rect) {
        let l = self.latency;
        let mean = l.mean_s.map_or_else(|| format::NONE.to_owned(), format::latency);
        let numbers = [
            ("", format::rate_or_none(self.rate) + "/s"),
            ("p50 ", format::quantile(l.p50)),
            ("p95 ", format::quantile(l.p95)),
            ("p99 ", format::quantile(l.p99)),
            ("mean ", mean),
        ];
        let mut pieces: Vec<Piece> = Vec::new();
        for (at, (name, value)) in numbers.into_iter().enumerate() {
            let gap = if at > 0 { "   " } else { "" };
            pieces.extend([piece(Role::Muted, [gap, name].concat()), piece(Role::Accent, value)]);
        }
        canvas.pieces(row, &pieces);
    }

    fn trend(&self, canvas: &mut Canvas<'_>, row: Rect) {
        let text = spark(self.spark, usize::from(row.width).saturating_sub(26));
        if text.is_empty() {
            canvas.put(row, "no trend yet: rates need two looks", Role::Muted);
        } else {
            let looks = format!("  last {}", format::plural(self.spark.len(), "look"));
            canvas.pieces(row, &[piece(Role::Muted, "per s "), piece(Role::Strip, text), piece(Role::Muted, looks)]);
        }
    }

    fn outcomes(&self, canvas: &mut Canvas<'_>, area: Rect) -> u16 {
        let all: f64 = self.outcomes.iter().map(|o| o.count.in_window).sum();
        canvas.heading(area, &[piece(Role::Title, "outcomes")], &[piece(Role::Muted, "in window   total")]);
        let (_, mut rest) = split_top(area, 1);
        for outcome in &self.outcomes {
            let (row, below) = split_top(rest, 1);
            rest = below;
            let part = share(outcome.count.in_window, all);
            let happened = outcome.count.in_window > 0.0;
            let name = format!("{:<15}", outcome.name);
            let right = format!(
                "{:>7} {:>8} {:>7}",
                format::share_or_none(part),
                format::count(outcome.count.in_window),
                format::count(outcome.count.total)
            );
            let room = usize::from(row.width).saturating_sub(name.len() + right.len() + 2);
            let (full, empty) = glyphs::bar(part.unwrap_or(0.0), room);
            let role = if happened { outcome.role } else { Role::Muted };
            let bar = if happened { bar_role(outcome.role) } else { Role::Bar };
            let left = [piece(role, name), piece(bar, full), piece(Role::Border, empty)];
            canvas.row(row, &left, &[piece(role, right)]);
        }
        area.height - rest.height
    }

    fn histogram(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let title = [piece(Role::Title, "latency")];
        canvas.heading(area, &title, &[piece(Role::Muted, format!("{}s in window", self.unit))]);
        let (_, mut rest) = split_top(area, 1);
        let all: f64 = self.latency.buckets.iter().map(|b| b.count).sum();
        if all <= 0.0 {
            let used = canvas.paragraph(rest, "nothing was observed in this window", Role::Muted);
            canvas.put(split_top(rest, used).1, self.remark, Role::Muted);
            return;
        }
        let rows = usize::from(rest.height.saturating_sub(u16::from(!self.remark.is_empty())));
        let shown = squeeze(&self.latency.buckets, rows);
        let highest = shown.iter().map(|b| b.count).fold(0.0, f64::max);
        let mut lower = None;
        for bucket in &shown {
            let (row, below) = split_top(rest, 1);
            rest = below;
            let name = match (bucket.le_s, lower) {
                (Some(le), _) => ["≤ ", &format::latency(le)].concat(),
                (None, Some(lower)) => ["> ", &format::latency(lower)].concat(),
                (None, None) => "any".to_owned(),
            };
            lower = bucket.le_s.or(lower);
            let part = format::share_or_none(share(bucket.count, all));
            let right = format!("{part:>7} {:>7}", format::count(bucket.count));
            let room = usize::from(row.width).saturating_sub(10 + right.len() + 2);
            let (full, _) = glyphs::bar(bucket.count / highest, room);
            let pad = " ".repeat(9_usize.saturating_sub(super::text::width(&name)));
            let left = [piece(Role::Muted, [pad.as_str(), &name, " "].concat()), piece(Role::Bar, full)];
            canvas.row(row, &left, &[piece(Role::Text, right)]);
        }
        canvas.put(rest, self.remark, Role::Muted);
    }
}

const fn bar_role(role: Role) -> Role {
    if matches!(role, Role::Critical) { Role::BarBad } else { Role::Bar }
}

/// Buckets without the empty ones at both ends, neighbours added up until there are at most `rows`.
fn squeeze(buckets: &[Bucket], rows: usize) -> Vec<Bucket> {
    let first = buckets.iter().position(|b| b.count > 0.0).unwrap_or(0);
    let last = buckets.iter().rposition(|b| b.count > 0.0).unwrap_or(0);
    let mut shown: Vec<Bucket> = buckets.iter().take(last + 1).skip(first.saturating_sub(1)).copied().collect();
    while shown.len() > rows.max(1) {
        let add = |pair: &[Bucket]| match pair {
            [a, b] => Bucket { le_s: b.le_s, count: a.count + b.count },
            [a, ..] => *a,
            [] => Bucket { le_s: None, count: 0.0 },
        };
        shown = shown.chunks(2).map(add).collect();
    }
    shown
}

impl Detail<'_> {
    /// Draws it below a table that leaves so much room free: the selected row need not be opened then.
    pub(super) fn preview(&self, canvas: &mut Canvas<'_>, area: Rect, name: &str) {
        if area.height < PREVIEW {
            return;
        }
        let rest = split_top(area, 1).1;
        canvas.heading(rest, &[piece(Role::Title, name)], &[piece(Role::Muted, "selected")]);
        self.draw(canvas, split_top(rest, 1).1);
    }
}

/// Rows from which on a preview is worth having.
const PREVIEW: u16 = 14;

/// A table's facts below its heading: pieces joined with dots, cut to one row.
pub(super) fn facts(canvas: &mut Canvas<'_>, area: Rect, facts: &[Piece]) -> Rect {
    let (row, rest) = split_top(area, 1);
    let mut pieces = Vec::new();
    for (at, fact) in facts.iter().filter(|fact| !fact.text.is_empty()).enumerate() {
        if at > 0 {
            pieces.push(piece(Role::Muted, " · "));
        }
        pieces.push(fact.clone());
    }
    let _: u16 = canvas.pieces(row, &pieces);
    rest
}

/// Text that stands in the place of a table that has no rows.
pub(super) fn empty(canvas: &mut Canvas<'_>, area: Rect, text: &str) {
    let (_, rest) = split_top(area, columns(usize::from(area.height > 4)));
    canvas.paragraph(rest, text, Role::Muted);
}
