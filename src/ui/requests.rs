//! Requests by route, and one route.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_top};
use super::clock::Clock;
use super::detail::{Detail, Outcome, empty, facts};
use super::format;
use super::grid::{self, Align, Column, Sorted, Window, column};
use super::source::Source;
use super::strip::{self, spark};
use super::strips;
use super::theme::Role;
use crate::app::model::{Model, Site};
use crate::app::view;
use crate::domain::access::AccessReading;
use crate::domain::id::SourceKind;
use crate::domain::traffic::{Route, Traffic};

/// The columns, in the order of display.
pub(super) const COLUMNS: &[Column<Route>] = &[
    column("route", (26, 44), Align::LeftTail, 0, Some(4), |r| piece(Role::Text, r.url_name.as_str())),
    column("method", (6, 7), Align::Left, 3, None, |r| piece(Role::Muted, r.method.as_str())),
    column("rate/s", (7, 7), Align::Right, 0, Some(0), |r| piece(Role::Accent, format::rate_or_none(r.rate))),
    column("2xx", (5, 6), Align::Right, 7, None, |r| class(r, 2, Role::Text)),
    column("3xx", (5, 6), Align::Right, 9, None, |r| class(r, 3, Role::Text)),
    column("4xx", (5, 6), Align::Right, 6, None, |r| class(r, 4, Role::Text)),
    column("5xx", (5, 6), Align::Right, 2, Some(1), |r| class(r, 5, Role::Critical)),
    column("err %", (7, 7), Align::Right, 1, None, |r| {
        let role = if r.in_window(5) > 0.0 { Role::Critical } else { Role::Muted };
        piece(role, format::share_or_none(r.error_share()))
    }),
    column("p50", (6, 7), Align::Right, 5, None, |r| piece(Role::Text, format::quantile(r.latency.p50))),
    column("p95", (6, 7), Align::Right, 1, Some(2), |r| piece(Role::Text, format::quantile(r.latency.p95))),
    column("p99", (6, 7), Align::Right, 4, None, |r| piece(Role::Text, format::quantile(r.latency.p99))),
    column("total", (6, 7), Align::Right, 8, Some(3), |r| piece(Role::Muted, format::count(r.total()))),
    column("trend", (12, 40), Align::Newest, 10, None, |r| piece(Role::Strip, spark(&r.spark, 40))),
];

fn class(route: &Route, class: usize, role: Role) -> Piece {
    let n = route.in_window(class);
    if n > 0.0 { piece(role, format::count(n)) } else { piece(Role::Muted, "0") }
}

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let Some(site) = model.site() else {
        empty(
            canvas,
            area,
            "No application is watched, so there are no requests to show. Now (1) says why none was found.",
        );
        return;
    };
    let (kind, traffic) = site.requests();
    let source = Source::at(site, kind);
    let Some(traffic) = traffic else {
        let rest = source.heading(canvas, area, &[piece(Role::Title, "requests")], clock);
        let text = "Requests by route come from the application's own metrics page, or from access logs.";
        let why = site.access.why().map(|why| [" Of the logs: ", why].concat()).unwrap_or_default();
        empty(canvas, rest, &[text, &why].concat());
        return;
    };
    if let Some(id) = &model.requests.open {
        one(canvas, area, (site, traffic), id, clock);
        return;
    }
    let area = strip::above(canvas, area, &strips::of_requests(site, clock), site, clock);
    let mut title = vec![piece(Role::Title, "requests ")];
    title.extend(totals(traffic));
    let rest = source.heading(canvas, area, &title, clock);
    let rows = view::routes(model);
    let identities: Vec<String> = rows.iter().map(|r| view::route_id(r)).collect();
    let selected = model.requests.position(&identities);
    let height = usize::from(rest.height.saturating_sub(2));
    let window = Window::around(model.requests.offset, selected, height, rows.len());
    let mut said = vec![piece(Role::Muted, format::window(traffic.window))];
    let shown = format::plural(traffic.routes.len(), "route");
    said.push(piece(Role::Muted, window.label(rows.len()).unwrap_or(shown)));
    said.extend(match site.access.value().filter(|_| kind == SourceKind::Access) {
        Some(access) => log_facts(access, traffic, clock),
        None => page_facts(traffic),
    });
    let rest = facts(canvas, rest, &said);
    if rows.is_empty() {
        let filtered = !traffic.routes.is_empty();
        empty(
            canvas,
            rest,
            if filtered { "no route has these words; Esc clears the filter" } else { "no request was counted yet" },
        );
        return;
    }
    let sorted = Sorted { by: model.requests.sort, reversed: model.requests.reversed };
    grid::draw(canvas, rest, COLUMNS, &rows, window, Some(selected), Some(sorted));
    if let Some(route) = rows.get(selected) {
        let (_, below) = split_top(rest, columns(window.len).saturating_add(1));
        detail(route).preview(canvas, below, &view::route_id(route));
    }
}

/// Rate and share of errors over all routes.
fn totals(traffic: &Traffic) -> Vec<Piece> {
    let errors = traffic.error_share();
    let role = if errors.is_some_and(|share| share > 0.0) { Role::Critical } else { Role::Text };
    let rate = traffic.request_rate().map(|rate| format::rate(rate) + "/s");
    vec![
        piece(Role::Accent, rate.unwrap_or_else(|| "no rate yet".to_owned())),
        piece(Role::Muted, " · "),
        piece(role, errors.map_or_else(|| "no requests".to_owned(), |share| format::share(share) + " errors")),
    ]
}

/// What has to be known of the metrics page; the worst first.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(super) fn page_facts(traffic: &Traffic) -> Vec<Piece> {
    let page = &traffic.page;
    let mut said = Vec::new();
    said.extend(page.cut.as_ref().map(|why| piece(Role::Warning, ["▲ page cut: ", why].concat())));
    if page.bad_lines > 0 {
        let first = page.first_bad.as_ref().map(|first| [" (", first, ")"].concat()).unwrap_or_default();
        said.push(piece(
            Role::Warning,
            format!("▲ {}{first}", format::plural(usize::try_from(page.bad_lines).unwrap_or(usize::MAX), "bad line")),
        ));
    }
    if traffic.reset {
        said.push(piece(Role::Note, "counters began anew"));
    }
    if traffic.left_out > 0 {
        said.push(piece(Role::Note, format!("{} more left out", traffic.left_out)));
    }
    said.push(piece(Role::Muted, format::count(page.samples as f64) + " samples"));
    said.push(piece(Role::Muted, format::bytes(page.bytes)));
    said
}

/// What has to be known of the access logs; the worst first.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn log_facts(access: &AccessReading, traffic: &Traffic, clock: &Clock) -> Vec<Piece> {
    let mut said = Vec::new();
    for log in &access.logs {
        said.extend(log.trouble.as_ref().map(|why| piece(Role::Warning, ["▲ ", why].concat())));
        if log.skipped > 0 {
            said.push(piece(Role::Warning, format!("▲ {} passed over: too much at once", format::bytes(log.skipped))));
        }
        if !log.shared_with.is_empty() {
            said.push(piece(Role::Note, format!("also holds requests for {}", log.shared_with.join(", "))));
        }
    }
    if access.statics.bad > 0 {
        said.push(piece(Role::Warning, format!("▲ {} static files missing", format::count(access.statics.bad as f64))));
    }
    if let Some(at) = access.last_request {
        said.push(piece(Role::Muted, format!("last request {} ago", format::span(clock.now.secs_since(at)))));
    }
    if traffic.left_out > 0 {
        said.push(piece(Role::Note, format!("{} requests of further routes", traffic.left_out)));
    }
    if !access.logs.iter().any(|log| log.timed) {
        said.push(piece(Role::Note, "the log has no times"));
    }
    said.extend(access.logs.iter().map(|log| piece(Role::Muted, [log.path.as_str(), " (", &log.by, ")"].concat())));
    said
}

fn one(canvas: &mut Canvas<'_>, area: Rect, (site, traffic): (&Site, &Traffic), id: &str, clock: &Clock) {
    let source = Source::at(site, site.requests().0);
    let title = [piece(Role::Title, id), piece(Role::Muted, ["  ", &format::window(traffic.window)].concat())];
    let rest = source.heading(canvas, area, &title, clock);
    let Some(route) = traffic.routes.iter().find(|r| view::route_id(r) == id) else {
        empty(canvas, rest, "This route is no longer there. Esc goes back to the others.");
        return;
    };
    detail(route).draw(canvas, rest);
}

fn detail(route: &Route) -> Detail<'_> {
    let names = ["1xx", "2xx ok", "3xx redirect", "4xx client", "5xx error"];
    let roles = [Role::Text, Role::Ok, Role::Text, Role::Text, Role::Critical];
    let outcomes = names.into_iter().zip(roles).zip(route.classes).skip(1);
    Detail {
        outcomes: outcomes.map(|((name, role), count)| Outcome { name, count, role }).collect(),
        rate: route.rate,
        unit: "request",
        latency: &route.latency,
        spark: &route.spark,
        remark: "",
    }
}
