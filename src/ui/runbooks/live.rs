//! One run: its steps, what it prints, how long it takes, and how it is taken up where it stands still.

use ratatui::layout::Rect;

use super::standing;
use crate::app::model::Model;
use crate::app::runbooks::{Run, Standing};
use crate::domain::level::Level;
use crate::domain::text::span;
use crate::runbook::card;
use crate::runbook::kept::Stream;
use crate::runbook::plan::{Act, PlannedStep};
use crate::runbook::run::{StepState, What};
use crate::ui::canvas::{Canvas, columns, piece, split_top};
use crate::ui::clock::Clock;
use crate::ui::format;
use crate::ui::glyphs;
use crate::ui::grid::Window;
use crate::ui::theme::Role;

/// Silence that is worth a word, in seconds.
const SILENT_S: u64 = 10;

/// Draws it.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, run: &Run, clock: &Clock) {
    canvas.heading(area, &[piece(Role::Title, run.plan.title.as_str())], &[standing(run.standing())]);
    let rest = split_top(area, 1).1;
    let rest = facts(canvas, rest, run, clock);
    let rest = next(canvas, rest, model, run);
    let count = run.plan.steps.len();
    // Output has at least a third, and what the steps leave.
    let room = rest.height.saturating_sub((rest.height / 3).max(2)).max(1);
    let whole = columns(count.saturating_mul(1)) <= room;
    let used = steps(canvas, split_top(rest, room).0, run, clock, if whole { count } else { usize::from(room) });
    let rest = split_top(rest, used).1;
    let rest = if rest.height > 6 { split_top(rest, 1).1 } else { rest };
    output(canvas, rest, model, run, clock);
}

/// Who, since when, how long; the rest of the area.
fn facts(canvas: &mut Canvas<'_>, area: Rect, run: &Run, clock: &Clock) -> Rect {
    let (row, mut rest) = split_top(area, 1);
    let since = clock.when(run.began);
    let left = [
        piece(Role::Muted, if run.ended.is_some() { "begun " } else { "held since " }),
        piece(Role::Text, [&since, " ", clock.zone_name()].concat()),
        piece(Role::Muted, " by "),
        piece(Role::Accent, run.by.whole()),
    ];
    let usual = run.plan.expected_ms().map(|ms| format!(" of about {}", span(ms))).unwrap_or_default();
    let elapsed = run.elapsed_ms(clock.now);
    let late = run.ended.is_none() && run.plan.expected_ms().is_some_and(|ms| elapsed > ms.saturating_mul(2));
    let right = [piece(if late { Role::Warning } else { Role::Accent }, span(elapsed)), piece(Role::Muted, usual)];
    canvas.row(row, &left, &right);
    if area.height >= 12 {
        let (row, below) = split_top(rest, 1);
        let on = format!("{} · as {} · on {}", run.plan.risk.word(), run.plan.user, run.plan.host.name);
        canvas.row(row, &[piece(Role::Muted, on)], &[piece(Role::Muted, run.id.as_str())]);
        rest = below;
    }
    if let Some((_, left)) = &run.progress.ended
        && !left.is_empty()
    {
        let used = canvas.paragraph(split_top(rest, 3).0, left, standing(run.standing()).role);
        rest = split_top(rest, used).1;
    }
    rest
}

/// What the operator can do now; the rest of the area.
fn next(canvas: &mut Canvas<'_>, area: Rect, model: &Model, run: &Run) -> Rect {
    let mut rest = area;
    let mut say = |text: &str, role: Role| {
        let used = canvas.paragraph(split_top(rest, 3).0, text, role);
        rest = split_top(rest, used).1;
    };
    match run.standing() {
        Standing::Running if run.progress.stopping => say("▲ it stops after this step", Role::Warning),
        Standing::Asks => {
            let question = run.question().map(|(_, question)| question).unwrap_or_default();
            say(&["▲ asks: ", &question].concat(), Role::Warning);
            say(if run.mine && !model.read_only { "R or Enter: answer it" } else { "" }, Role::Key);
        }
        Standing::Lost => {
            let seen = "▲ its runner is gone: what ran last may have been done or not; that is looked at first";
            say(seen, Role::Warning);
        }
        Standing::Running | Standing::Ended(_) => {}
    }
    let ways = run.ways_on();
    if !ways.is_empty() {
        let key = if run.mine && !model.read_only { "R, or: " } else { "" };
        say(&format!("{key}midwatch runbook resume {}", run.id), Role::Key);
        let ways: Vec<String> = ways.into_iter().map(|(flag, what)| [flag, what].join(" ").trim().to_owned()).collect();
        say(&ways.join(" · "), Role::Muted);
    }
    if !run.mine && run.ended.is_none() {
        say(&format!("{0}'s: only who acts as {0} can stop or answer it", run.owner), Role::Muted);
    }
    rest
}

/// The steps, around the one it is at; the rows they took.
fn steps(canvas: &mut Canvas<'_>, area: Rect, run: &Run, clock: &Clock, visible: usize) -> u16 {
    let at = run.step().saturating_sub(1);
    let window = Window::around(at.saturating_sub(visible / 2), at, visible, run.plan.steps.len());
    let mut rest = area;
    for (index, step) in run.plan.steps.iter().enumerate().skip(window.first).take(window.len) {
        let Some(state) = run.progress.steps.get(index) else { continue };
        let (row, below) = split_top(rest, 1);
        rest = below;
        let (level, word) = if run.question().is_some_and(|(of, _)| of == index) {
            (Some(Level::Warning), "asks")
        } else {
            of_step(step, state, run.lives || run.ended.is_some())
        };
        let role = level.map_or(Role::Muted, glyphs::role);
        let glyph = level.map_or(" ", glyphs::level);
        let name_role = if index == at && run.ended.is_none() { Role::Title } else { Role::Text };
        let mut left = vec![
            piece(role, format!("{glyph} ")),
            piece(Role::Muted, format!("{:>2} ", index + 1)),
            piece(name_role, step.name.as_str()),
        ];
        if matches!(state, StepState::Begun(_) | StepState::Waiting) {
            left.push(piece(Role::Muted, ["  ", &card::act(&step.act)].concat()));
        }
        if let StepState::Failed(_, why) = state {
            left.push(piece(Role::Critical, ["  ", why].concat()));
        }
        let right = [piece(role, [&attempt(run, index), word].concat()), piece(Role::Accent, time(run, index, clock))];
        canvas.row(row, &left, &right);
    }
    area.height - rest.height
}

fn attempt(run: &Run, index: usize) -> String {
    let tried = run.progress.attempts.get(index).copied().unwrap_or(0);
    if tried > 1 { format!("attempt {tried} ") } else { String::new() }
}

fn time(run: &Run, index: usize, clock: &Clock) -> String {
    let estimate = run.plan.steps.get(index).and_then(|step| step.estimate_ms);
    match run.times(index) {
        (Some(began), Some(ended)) => format!(" {:>6}", span(ended.millis_since(began))),
        (Some(began), None) if run.ended.is_none() && run.lives => {
            let usual = estimate.map(|ms| format!(" of {}", span(ms))).unwrap_or_default();
            format!(" {:>6}{usual}", span(clock.now.millis_since(began)))
        }
        (Some(_) | None, _) => estimate.map(|ms| format!(" ~{:>5}", span(ms))).unwrap_or_default(),
    }
}

/// How bad a step's state is, and a word for it. Begun without a runner: nobody knows.
const fn of_step(step: &PlannedStep, state: &StepState, runner: bool) -> (Option<Level>, &'static str) {
    match state {
        StepState::Done(_) if matches!(step.act, Act::Unseen(_)) => (Some(Level::Unknown), "not verified"),
        StepState::Waiting => (None, state.word()),
        StepState::Begun(_) if !runner => (Some(Level::Unknown), "not known whether done"),
        StepState::Begun(_) => (Some(Level::Note), state.word()),
        StepState::Done(_) => (Some(Level::Ok), state.word()),
        StepState::Failed(..) => (Some(Level::Critical), state.word()),
        StepState::Skipped | StepState::Reverted => (Some(Level::Warning), state.word()),
    }
}

/// The last lines it printed.
fn output(canvas: &mut Canvas<'_>, area: Rect, model: &Model, run: &Run, clock: &Clock) {
    let tail = Some(&model.runbooks.tail).filter(|tail| tail.run == run.id);
    let printed = tail.map(|tail| tail.printed.as_slice()).unwrap_or_default();
    // What the runner notes, that it is silent among it, is nothing printed.
    let told = run.entries.iter().rev().find(|entry| !matches!(entry.what, What::Note(_)));
    let spoke = printed.last().map(|last| last.at).max(told.map(|last| last.at));
    let silent = spoke.map(|at| clock.now.secs_since(at)).filter(|secs| *secs >= SILENT_S && run.ended.is_none());
    let right = match silent.filter(|_| run.lives) {
        Some(secs) => vec![piece(Role::Warning, format!("nothing printed for {}", format::span(secs)))],
        None if run.ended.is_none() && run.lives => vec![piece(Role::Muted, "Ctrl-C stops it, or leaves it alone")],
        None => Vec::new(),
    };
    let mut lines: Vec<(Role, &str)> = Vec::new();
    for part in printed {
        let role = if part.stream == Stream::Err { Role::Warning } else { Role::Text };
        lines.extend(part.text.lines().map(|line| (role, line)));
    }
    let rest = split_top(area, 1).1;
    let height = usize::from(rest.height);
    let end = lines.len().saturating_sub(model.runbooks.back).max(height).min(lines.len());
    let below = lines.len() - end;
    let more = [piece(Role::Accent, format!("{below} lines below · End"))];
    canvas.heading(area, &[piece(Role::Title, "output")], if below > 0 { &more } else { &right });
    if lines.is_empty() {
        let text = if tail.is_none() { "not read yet" } else { "nothing was printed" };
        canvas.put(rest, text, Role::Muted);
        return;
    }
    let mut rest = rest;
    for (role, line) in lines.iter().take(end).skip(end.saturating_sub(height)) {
        let (row, below) = split_top(rest, 1);
        canvas.put(row, line, *role);
        rest = below;
    }
}
