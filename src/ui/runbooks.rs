//! Runbooks: the runs that go on and were, below them the catalogue; or one run, opened.

mod card;
pub(super) mod desk;
mod live;

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_top};
use super::clock::Clock;
use super::detail::empty;
use super::glyphs;
use super::grid::{self, Align, Column, Window, column};
use super::theme::Role;
use crate::app::model::Model;
use crate::app::runbooks::{Book, Run, Standing};
use crate::app::view::runbooks;
use crate::domain::level::Level;
use crate::domain::text::span;
use crate::runbook::run::Outcome;
use crate::runbook::spec::Risk;
use crate::triage::Finding;

/// A run as a row.
#[derive(Debug)]
struct Past {
    began: Piece,
    title: Piece,
    on: Piece,
    by: Piece,
    state: Piece,
    step: Piece,
    took: Piece,
}

const RUNS: &[Column<Past>] = &[
    column("began", (11, 11), Align::Left, 0, None, |r| r.began.clone()),
    column("state", (13, 13), Align::Left, 0, None, |r| r.state.clone()),
    column("run", (20, 60), Align::Left, 0, None, |r| r.title.clone()),
    column("step", (5, 5), Align::Right, 1, None, |r| r.step.clone()),
    column("took / usual", (13, 17), Align::Right, 2, None, |r| r.took.clone()),
    column("on", (10, 20), Align::Left, 4, None, |r| r.on.clone()),
    column("by", (8, 16), Align::Left, 3, None, |r| r.by.clone()),
];

/// A runbook as a row.
#[derive(Debug)]
struct Known {
    id: Piece,
    risk: Piece,
    says: Piece,
}

const BOOKS: &[Column<Known>] = &[
    column("runbook", (18, 24), Align::Left, 0, None, |r| r.id.clone()),
    column("risk", (16, 16), Align::Left, 1, None, |r| r.risk.clone()),
    column("treats now, or what it does", (20, 200), Align::Left, 0, None, |r| r.says.clone()),
];

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    if let Some(id) = runbooks::watched(model) {
        match model.runbooks.run(id) {
            Some(run) => live::draw(canvas, area, model, run, clock),
            None => empty(canvas, area, "This run is not among the newest that can be read. Esc goes back."),
        }
        return;
    }
    let runs = runbooks::runs(model);
    let books = runbooks::books(model);
    let identities = runbooks::rows(model);
    let selected = model.runs.position(&identities);
    let mut area = area;
    for why in model.runbooks.unread.iter().chain(&model.runbooks.broken).take(2) {
        let used = canvas.paragraph(split_top(area, 2).0, &["? ", why].concat(), Role::Unknown);
        area = split_top(area, used).1;
    }
    // The catalogue has what it needs, but the runs at least half.
    let wanted = columns(books.len()).saturating_add(2);
    let (needed, half) = (columns(runs.len().max(1)).saturating_add(2), area.height / 2);
    let upper = needed.min(area.height.saturating_sub(wanted).max(half));
    let (above, below) = split_top(area, upper);
    let gap = u16::from(area.height >= upper.saturating_add(wanted).saturating_add(1));
    past(canvas, above, model, &runs, selected, clock);
    catalogue(canvas, split_top(below, gap).1, model, &books, selected.checked_sub(runs.len()));
}

fn past(canvas: &mut Canvas<'_>, area: Rect, model: &Model, runs: &[&Run], selected: usize, clock: &Clock) {
    let going = runs.iter().filter(|run| matches!(run.standing(), Standing::Running | Standing::Asks)).count();
    let mut title = vec![piece(Role::Title, "runs")];
    if going > 0 {
        title.push(piece(Role::Note, format!("  {going} going on")));
    }
    canvas.heading(area, &title, &[]);
    let rest = split_top(area, 1).1;
    if runs.is_empty() {
        let text = match (&model.runbooks.runs, model.runs.filter.is_empty()) {
            (None, _) => "the journals of runs have not been read yet",
            (Some(_), true) => "nothing has been run here yet",
            (Some(_), false) => "no run has these words; Esc clears the filter",
        };
        canvas.put(rest, text, Role::Muted);
        return;
    }
    let rows: Vec<Past> = runs.iter().map(|run| of_run(run, clock)).collect();
    let rows: Vec<&Past> = rows.iter().collect();
    let chosen = (selected < rows.len()).then_some(selected);
    let height = usize::from(rest.height.saturating_sub(1));
    let window = Window::around(model.runs.offset, chosen.unwrap_or(0), height, rows.len());
    grid::draw(canvas, rest, RUNS, &rows, window, chosen, None);
}

fn catalogue(
    canvas: &mut Canvas<'_>,
    area: Rect,
    model: &Model,
    books: &[(&Book, Option<&Finding>)],
    selected: Option<usize>,
) {
    let hint = if model.read_only { "read-only: plans can be looked at" } else { "Enter shows the plan" };
    canvas.heading(area, &[piece(Role::Title, "catalogue")], &[piece(Role::Muted, hint)]);
    let rest = split_top(area, 1).1;
    if books.is_empty() {
        let filtered = !model.runs.filter.is_empty();
        let text = if filtered { "no runbook has these words" } else { "the catalogue has not been read yet" };
        canvas.put(rest, text, Role::Muted);
        return;
    }
    let rows: Vec<Known> = books.iter().map(|(book, finding)| of_book(book, *finding)).collect();
    let rows: Vec<&Known> = rows.iter().collect();
    let height = usize::from(rest.height.saturating_sub(1));
    let window = Window::around(0, selected.unwrap_or(0), height, rows.len());
    grid::draw(canvas, rest, BOOKS, &rows, window, selected, None);
}

fn of_run(run: &Run, clock: &Clock) -> Past {
    let elapsed = span(run.elapsed_ms(clock.now));
    let began = clock.when(run.began);
    // The year of what was lately is known.
    let began = if began.len() > 11 { began.get(5..).unwrap_or(&began) } else { &began };
    let took = match run.plan.expected_ms() {
        Some(ms) => format!("{elapsed} / {}", span(ms)),
        None => elapsed,
    };
    Past {
        began: piece(Role::Muted, began),
        title: piece(Role::Text, run.plan.title.as_str()),
        on: piece(Role::Muted, run.on()),
        by: piece(Role::Muted, run.by.user.as_str()),
        state: short(run.standing()),
        step: piece(Role::Muted, format!("{}/{}", run.step(), run.plan.steps.len())),
        took: piece(Role::Accent, took),
    }
}

fn of_book(book: &Book, finding: Option<&Finding>) -> Known {
    let says = match finding {
        Some(finding) => {
            piece(glyphs::role(finding.level), [glyphs::level(finding.level), " ", &finding.title].concat())
        }
        None => piece(Role::Muted, book.summary.as_str()),
    };
    let own = if book.built_in { "" } else { " (own)" };
    let accent = if finding.is_some() { Role::Accent } else { Role::Text };
    Known { id: piece(accent, [&book.id, own].concat()), risk: risk(book.risk), says }
}

/// What a runbook does to the world.
pub(super) fn risk(risk: Risk) -> Piece {
    let role = match risk {
        Risk::Observe => Role::Muted,
        Risk::Reversible => Role::Note,
        Risk::Interrupts => Role::Warning,
        Risk::Destructive => Role::Critical,
    };
    piece(role, risk.word())
}

/// How a run is, where there is little room.
fn short(of: Standing) -> Piece {
    let whole = standing(of);
    if of == Standing::Ended(Outcome::Unverified) { piece(whole.role, "▲ unverified") } else { whole }
}

/// How a run is, as a glyph and words.
fn standing(standing: Standing) -> Piece {
    let level = match standing {
        Standing::Running => Level::Note,
        Standing::Asks | Standing::Lost => Level::Warning,
        Standing::Ended(outcome) => match outcome {
            Outcome::Done => Level::Ok,
            Outcome::Failed => Level::Critical,
            Outcome::Unverified | Outcome::Refused => Level::Warning,
            Outcome::Cancelled | Outcome::Reverted => Level::Note,
        },
    };
    piece(glyphs::role(level), [glyphs::level(level), " ", standing.word()].concat())
}
