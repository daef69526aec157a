//! A plan as a card: what, where, as whom, what it costs, every step with its command, the way back; and what has to be
//! typed to approve it.

use ratatui::layout::Rect;

use super::desk::typed;
use crate::app::model::Model;
use crate::app::runbooks::desk::Card;
use crate::runbook::card::{ONLY_LOOKS, details, head};
use crate::runbook::plan::Confirm;
use crate::runbook::run::StepState;
use crate::runbook::spec::Risk;
use crate::ui::canvas::{Canvas, Piece, columns, piece, split_top};
use crate::ui::format;
use crate::ui::overlay::frame;
use crate::ui::text;
use crate::ui::theme::Role;

/// Columns of what a line is about.
const HEADS: usize = 10;

/// The card's lines in so many columns.
fn lines(card: &Card, width: usize, states: &[StepState]) -> Vec<Vec<Piece>> {
    let mut out = Vec::new();
    if let Some(again) = &card.again {
        let says = ["run ", &again.run, ": ", &again.says].concat();
        out.push(vec![piece(Role::Muted, format!("{:<HEADS$} ", "takes up")), piece(Role::Warning, says)]);
    }
    for (name, body) in head(&card.plan) {
        let role = match name {
            "plan" => Role::Title,
            "risk" => super::risk(card.plan.risk).role,
            "costs" => Role::Warning,
            _ => Role::Text,
        };
        let wrapped = text::wrap(&body, width.saturating_sub(HEADS + 1));
        for (at, line) in wrapped.into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            out.push(vec![piece(Role::Muted, format!("{name:<HEADS$} ")), piece(role, line)]);
        }
    }
    out.push(Vec::new());
    for (n, step) in card.plan.steps.iter().enumerate() {
        let state = states.get(n).map_or(String::new(), |state| ["  ", word(state)].concat());
        let number = piece(Role::Muted, format!("{:>3}. ", n + 1));
        out.push(vec![number, piece(Role::Accent, step.name.as_str()), piece(Role::Muted, state)]);
        for said in details(step) {
            let wrapped = text::fold(&said, width.saturating_sub(5));
            out.extend(wrapped.into_iter().map(|line| vec![piece(Role::Text, ["     ", &line].concat())]));
        }
    }
    out
}

/// How a step of a run that stands still is.
const fn word(state: &StepState) -> &'static str {
    if matches!(state, StepState::Begun(_)) { "not known whether done" } else { state.word() }
}

/// Draws it.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, card: &Card) {
    let width = area.width.min(100);
    let taken_up = card.again.as_ref().and_then(|again| model.runbooks.run(&again.run));
    let states = taken_up.map(|run| run.progress.steps.as_slice()).unwrap_or_default();
    let lines = lines(card, usize::from(width).saturating_sub(4), states);
    // Below the plan: a rule, what has to be typed, and what is said to that.
    let height = columns(lines.len()).saturating_add(5).min(area.height);
    let visible = usize::from(height.saturating_sub(5));
    let first = card.scroll.min(lines.len().saturating_sub(visible));
    let under = lines.len().saturating_sub(first + visible);
    let more = if lines.len() > visible { " · ↑ ↓ PgUp PgDn scroll" } else { "" };
    let (done, what) = match card.again {
        None => ("nothing has been done", "plan on "),
        Some(_) => ("nothing goes on now", "run taken up on "),
    };
    let foot = [done, " · Esc leaves", more].concat();
    let title = [what, &card.plan.host.name].concat();
    let inner = frame(canvas, area, (width, height), &title, &foot);
    let mut rest = inner;
    for line in lines.iter().skip(first).take(visible) {
        let (row, below) = split_top(rest, 1);
        canvas.pieces(row, line);
        rest = below;
    }
    let (_, rest) = split_top(inner, columns(visible));
    let hidden =
        if under > 0 { vec![piece(Role::Key, format::plural(under, "line") + " more below")] } else { Vec::new() };
    canvas.heading(rest, &[], &hidden);
    confirm(canvas, split_top(rest, 1).1, model, card);
}

/// What has to be typed.
fn confirm(canvas: &mut Canvas<'_>, area: Rect, model: &Model, card: &Card) {
    let (row, below) = split_top(area, 1);
    if card.challenge.is_none() || model.read_only {
        canvas.paragraph(area, ONLY_LOOKS, Role::ReadOnly);
        return;
    }
    // What is typed before the plan was on the screen does not count: so it is not asked for before either.
    if !card.seen {
        return;
    }
    let what = match (&card.plan.confirm, card.plan.risk) {
        (Confirm::Nothing, _) => "it only looks: type y, then Enter, to run it: ".to_owned(),
        (Confirm::Yes, Risk::Interrupts) => "what it interrupts is down: type y, then Enter, to run it: ".to_owned(),
        (Confirm::Yes, Risk::Observe | Risk::Reversible | Risk::Destructive) => {
            "type y, then Enter, to run it: ".to_owned()
        }
        (Confirm::Type(text), _) => format!("type {text}, then Enter, to run it: "),
    };
    typed(canvas, row, &what, &card.line);
    if let Some(said) = &card.said {
        canvas.put(below, said, Role::Warning);
    }
}
