//! Queues and workers: how much waits, since when at least, and whether anyone takes it.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_top};
use super::clock::Clock;
use super::format;
use super::grid::{self, Align, Column, Window};
use super::source::Source;
use super::strip::slope;
use super::theme::Role;
use crate::app::model::Site;
use crate::domain::history::names;
use crate::domain::id::SourceKind;
use crate::domain::redis::{Broker, Labour};

/// Seconds after which it is worth saying for how long a task has been held.
const HELD_LONG_S: u64 = 60;

/// One queue, as the broker and the application tell of it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    name: String,
    waiting: Option<u64>,
    oldest_at_least_s: Option<u64>,
    reported: Option<u64>,
    reported_oldest_s: Option<f64>,
    /// The application said so before the broker was asked, and it is something else.
    outdated: bool,
}

const COLUMNS: &[Column<Row>] = &[
    Column {
        title: "queue",
        width: 12,
        most: 30,
        align: Align::Left,
        rank: 0,
        sort: None,
        cell: |r| piece(Role::Text, r.name.as_str()),
    },
    Column {
        title: "waiting",
        width: 7,
        most: 8,
        align: Align::Right,
        rank: 0,
        sort: None,
        cell: |r| number(r.waiting),
    },
    Column {
        title: "oldest",
        width: 9,
        most: 10,
        align: Align::Right,
        rank: 1,
        sort: None,
        cell: |r| match r.oldest_at_least_s {
            Some(secs) => piece(Role::Text, ["≥ ", &format::span(secs)].concat()),
            None => piece(Role::Muted, format::NONE),
        },
    },
    Column {
        title: "app says",
        width: 8,
        most: 9,
        align: Align::Right,
        rank: 2,
        sort: None,
        cell: |r| said(r, number(r.reported)),
    },
    Column {
        title: "app: oldest",
        width: 11,
        most: 11,
        align: Align::Right,
        rank: 3,
        sort: None,
        cell: |r| match r.reported_oldest_s {
            Some(secs) => said(r, piece(Role::Text, format::latency(secs))),
            None => piece(Role::Muted, format::NONE),
        },
    },
];

/// What the application says of a queue: beside a newer figure of the broker's it was so.
fn said(row: &Row, value: Piece) -> Piece {
    if row.outdated { piece(Role::Muted, ["was ", &value.text].concat()) } else { value }
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn number(n: Option<u64>) -> Piece {
    match n {
        None => piece(Role::Muted, format::NONE),
        Some(0) => piece(Role::Text, "0"),
        Some(n) => piece(Role::Accent, format::count(n as f64)),
    }
}

/// Draws queues and workers; the rows used.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, site: &Site, clock: &Clock) -> u16 {
    let source = Source::at(site, SourceKind::Redis);
    let broker = site.redis.value().and_then(|redis| redis.broker.as_ref());
    let metrics = Source::at(site, SourceKind::Traffic);
    let others = if site.traffic.value().is_some_and(|t| !t.queues.is_empty()) { vec![metrics] } else { Vec::new() };
    let title = [piece(Role::Title, "queues and workers")];
    let rest = source.heading_with(canvas, area, &title, &others, clock);
    let (row, rest) = split_top(rest, 1);
    if let Some(broker) = broker {
        canvas.pieces(row, &workers(broker, site));
    } else {
        let seen = site.redis.value().is_some();
        let text = if seen {
            "no broker is configured here"
        } else {
            "no word from the broker: whether anyone works is unknown"
        };
        canvas.put(row, text, if seen { Role::Muted } else { Role::Unknown });
    }
    area.height - rest.height + queues(canvas, rest, site)
}

/// Draws a table of the queues, the longest first; the rows used.
pub(super) fn queues(canvas: &mut Canvas<'_>, area: Rect, site: &Site) -> u16 {
    let rows = rows(site, site.redis.value().and_then(|redis| redis.broker.as_ref()));
    if rows.is_empty() || area.height < 2 {
        return 0;
    }
    let window = Window::around(0, 0, usize::from(area.height - 1), rows.len());
    grid::draw(canvas, area, COLUMNS, &rows.iter().collect::<Vec<_>>(), window, None, None);
    columns(window.len).saturating_add(1)
}

/// Who takes tasks, and how fast the queue grows, in one line.
fn workers(broker: &Broker, site: &Site) -> Vec<Piece> {
    let mut pieces = line(broker);
    if broker.labour() == Labour::Unknown {
        pieces.push(piece(Role::Muted, "; Data (5) says what would open it"));
    }
    if let Some(pace) = slope(&site.history, names::QUEUE).filter(|pace| pace.abs() >= 0.05) {
        let (role, word) = if pace > 0.0 { (Role::Warning, " · ↑ ") } else { (Role::Text, " · ↓ ") };
        pieces.push(piece(role, [word, &format::rate(pace.abs()), "/s"].concat()));
    }
    pieces
}

/// Who takes tasks, in one line.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(super) fn line(broker: &Broker) -> Vec<Piece> {
    let all = broker.consumers.unwrap_or(0);
    let workers = |n: u32| format::plural(n as usize, "worker");
    let mut pieces = match broker.labour() {
        Labour::Unknown => vec![piece(Role::Unknown, "? who takes tasks can't be seen")],
        Labour::Gone => vec![piece(Role::Critical, "✖ nobody takes tasks")],
        Labour::Asking => {
            let verb = if all == 1 { " asks for tasks" } else { " ask for tasks" };
            vec![piece(Role::Text, workers(all) + verb)]
        }
        Labour::Busy(busy) => {
            vec![
                piece(Role::Text, workers(all.max(busy))),
                piece(Role::Accent, format!(" · {busy} busy, asking for no more")),
            ]
        }
        Labour::Hung(hung, secs) => vec![
            piece(Role::Text, workers(all)),
            piece(Role::Critical, format!(" · ✖ {hung} hung for {}", format::span(secs))),
        ],
        Labour::Leaving(leaving, secs) => vec![
            piece(Role::Text, workers(all)),
            piece(Role::Warning, format!(" · ▲ {leaving} stopping for {}", format::span(secs))),
        ],
        Labour::Unsure(unsure, secs) => vec![
            piece(Role::Text, workers(all)),
            piece(Role::Warning, format!(" · ▲ {unsure} busy or hung for {}", format::span(secs))),
        ],
    };
    if let Some(held) = broker.unacked {
        pieces.push(piece(Role::Text, [" · ", &format::count(held as f64), " in hand"].concat()));
    }
    let oldest = broker.unacked_oldest_s.filter(|secs| *secs >= HELD_LONG_S);
    pieces.extend(oldest.map(|secs| piece(Role::Muted, [", oldest ", &format::span(secs)].concat())));
    let parked = broker.parked.iter().map(|parked| parked.tasks).sum::<u64>();
    if parked > 0 {
        pieces.push(piece(Role::Muted, [" · ", &format::count(parked as f64), " parked"].concat()));
    }
    pieces
}

/// The broker's queues and the application's, joined by name; the longest first.
fn rows(site: &Site, broker: Option<&Broker>) -> Vec<Row> {
    let queues = broker.map(|b| b.queues.as_slice()).unwrap_or_default();
    let mut rows: Vec<Row> = queues
        .iter()
        .map(|q| Row {
            name: q.name.clone(),
            waiting: Some(q.waiting),
            oldest_at_least_s: q.oldest_at_least_s,
            reported: None,
            reported_oldest_s: None,
            outdated: false,
        })
        .collect();
    let older = site.redis.fresh().is_some() && site.traffic.at() < site.redis.at();
    for queue in site.traffic.value().map(|t| t.queues.as_slice()).unwrap_or_default() {
        let (reported, reported_oldest_s) = (Some(queue.waiting), queue.oldest_s);
        match rows.iter_mut().find(|row| row.name == queue.name) {
            Some(row) => {
                (row.reported, row.reported_oldest_s) = (reported, reported_oldest_s);
                row.outdated = older && row.waiting != reported;
            }
            None => rows.push(Row {
                name: queue.name.clone(),
                waiting: None,
                oldest_at_least_s: None,
                reported,
                reported_oldest_s,
                outdated: false,
            }),
        }
    }
    rows.sort_by(|a, b| b.waiting.max(b.reported).cmp(&a.waiting.max(a.reported)).then_with(|| a.name.cmp(&b.name)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SiteId;
    use crate::domain::reading::Seen;
    use crate::domain::redis::{RedisReading, WaitingQueue};
    use crate::domain::time::Timestamp;
    use crate::domain::traffic::{Queue, Traffic};

    #[test]
    fn what_the_application_said_before_is_not_shown_as_if_it_said_so_now() {
        let t0 = Timestamp::from_millis(1_795_230_000_000);
        let mut site = Site::new(SiteId("shop".into()), String::new(), String::new(), String::new(), false);
        let queue = Queue { name: "default".into(), waiting: 0, oldest_s: Some(0.0) };
        site.traffic.absorb(Seen::Value(Traffic { queues: vec![queue], ..Traffic::default() }), t0, 3);
        let mut look = |secs, waiting| {
            let queue = WaitingQueue { name: "default".into(), waiting, oldest_at_least_s: None };
            let broker = Broker { queues: vec![queue], ..Broker::default() };
            let reading = RedisReading { broker: Some(broker.clone()), ..RedisReading::default() };
            site.redis.absorb(Seen::Value(reading), t0.plus_secs(secs), 3);
            let rows = rows(&site, Some(&broker));
            rows.first().map(|row| COLUMNS.iter().map(|c| (c.cell)(row).text).collect::<Vec<_>>())
        };
        let told = |cells: Option<Vec<String>>| cells.and_then(|cells| cells.get(3).cloned()).unwrap_or_default();
        assert_eq!(told(look(0, 40)), "0", "both of one moment");
        assert_eq!(told(look(10, 40)), "was 0");
        assert_eq!(told(look(15, 0)), "0", "they agree");
    }
}
