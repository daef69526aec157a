//! Queues, workers, background tasks, and one task.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_top};
use super::clock::Clock;
use super::detail::{Detail, Outcome, empty, facts};
use super::format;
use super::grid::{self, Align, Column, Sorted, Window, column};
use super::requests::page_facts;
use super::source::Source;
use super::strip::{self, spark};
use super::strips;
use super::theme::Role;
use super::workers;
use crate::app::model::{Model, Site};
use crate::app::view;
use crate::domain::id::SourceKind;
use crate::domain::traffic::{Count, Task, Traffic};

pub(super) const COLUMNS: &[Column<Task>] = &[
    column("task", (32, 56), Align::LeftTail, 0, Some(4), |t| piece(Role::Text, t.name.as_str())),
    column("rate/s", (7, 7), Align::Right, 0, Some(0), |t| piece(Role::Accent, format::rate_or_none(t.rate))),
    column("ok", (6, 7), Align::Right, 4, None, |t| count(t.success, Role::Text)),
    column("errors", (7, 7), Align::Right, 0, Some(1), |t| count(t.error, Role::Critical)),
    column("expected", (8, 8), Align::Right, 3, None, |t| count(t.expected_error, Role::Text)),
    column("p50", (6, 7), Align::Right, 5, None, |t| piece(Role::Text, format::quantile(t.latency.p50))),
    column("p95", (6, 7), Align::Right, 1, Some(2), |t| piece(Role::Text, format::quantile(t.latency.p95))),
    column("p99", (6, 7), Align::Right, 6, None, |t| piece(Role::Text, format::quantile(t.latency.p99))),
    column("total", (6, 7), Align::Right, 7, Some(3), |t| piece(Role::Muted, format::count(t.total()))),
    column("trend", (12, 40), Align::Newest, 8, None, |t| piece(Role::Strip, spark(&t.spark, 40))),
];

fn count(count: Count, role: Role) -> Piece {
    let n = count.in_window;
    if n > 0.0 { piece(role, format::count(n)) } else { piece(Role::Muted, "0") }
}

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let Some(site) = model.site() else {
        empty(
            canvas,
            area,
            "No application is watched, so there are no tasks to show. Now (1) says why none was found.",
        );
        return;
    };
    if let (Some(id), Some(traffic)) = (&model.tasks.open, site.traffic.value()) {
        one(canvas, area, (site, traffic), id, clock);
        return;
    }
    let area = strip::above(canvas, area, &strips::of_tasks(site, clock), site, clock);
    let most = area.height.saturating_sub(6).max(area.height / 2);
    let used = workers::draw(canvas, split_top(area, most).0, site, clock);
    let (_, rest) = split_top(area, used);
    let rest = if rest.height > 12 { split_top(rest, 1).1 } else { rest };
    table(canvas, rest, model, site, clock);
}

fn table(canvas: &mut Canvas<'_>, area: Rect, model: &Model, site: &Site, clock: &Clock) {
    let source = Source::at(site, SourceKind::Traffic);
    let mut title = vec![piece(Role::Title, "tasks ")];
    let traffic = site.traffic.value();
    title.extend(traffic.map(totals).unwrap_or_default());
    let rest = source.heading(canvas, area, &title, clock);
    let Some(traffic) = traffic else { return };
    let rows = view::tasks(model);
    let identities: Vec<String> = rows.iter().map(|t| t.name.clone()).collect();
    let selected = model.tasks.position(&identities);
    let height = usize::from(rest.height.saturating_sub(2));
    let window = Window::around(model.tasks.offset, selected, height, rows.len());
    let mut said = vec![piece(Role::Muted, format::window(traffic.window))];
    let shown = format::plural(traffic.tasks.len(), "task");
    said.push(piece(Role::Muted, window.label(rows.len()).unwrap_or(shown)));
    said.extend(page_facts(traffic));
    let rest = facts(canvas, rest, &said);
    if rows.is_empty() {
        let filtered = !traffic.tasks.is_empty();
        empty(
            canvas,
            rest,
            if filtered { "no task has these words; Esc clears the filter" } else { "no task was counted yet" },
        );
        return;
    }
    let sorted = Sorted { by: model.tasks.sort, reversed: model.tasks.reversed };
    grid::draw(canvas, rest, COLUMNS, &rows, window, Some(selected), Some(sorted));
    if let Some(task) = rows.get(selected) {
        let (_, below) = split_top(rest, columns(window.len).saturating_add(1));
        detail(task).preview(canvas, below, &task.name);
    }
}

fn totals(traffic: &Traffic) -> Vec<Piece> {
    let errors = traffic.task_error_share();
    let role = if errors.is_some_and(|share| share > 0.0) { Role::Critical } else { Role::Text };
    let rate = traffic.task_rate().map(|rate| format::rate(rate) + "/s");
    vec![
        piece(Role::Accent, rate.unwrap_or_else(|| "no rate yet".to_owned())),
        piece(Role::Muted, " · "),
        piece(role, errors.map_or_else(|| "no runs".to_owned(), |share| format::share(share) + " errors")),
    ]
}

fn one(canvas: &mut Canvas<'_>, area: Rect, (site, traffic): (&Site, &Traffic), id: &str, clock: &Clock) {
    let source = Source::at(site, SourceKind::Traffic);
    let title = [piece(Role::Title, id), piece(Role::Muted, ["  ", &format::window(traffic.window)].concat())];
    let rest = source.heading(canvas, area, &title, clock);
    let Some(task) = traffic.tasks.iter().find(|t| t.name == id) else {
        empty(canvas, rest, "This task is no longer on the metrics page. Esc goes back to the others.");
        return;
    };
    detail(task).draw(canvas, rest);
}

fn detail(task: &Task) -> Detail<'_> {
    let outcome = |name, count, role| Outcome { name, count, role };
    Detail {
        outcomes: vec![
            outcome("success", task.success, Role::Ok),
            outcome("expected error", task.expected_error, Role::Text),
            outcome("error", task.error, Role::Critical),
        ],
        rate: task.rate,
        unit: "run",
        latency: &task.latency,
        spark: &task.spark,
        remark: "Only runs that ended well are timed.",
    }
}
