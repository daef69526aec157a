//! The screen Runbooks, and what stands between a wish and a run.
#![cfg(test)]

use midwatch::app::line::Line;
use midwatch::app::model::{Model, Overlay};
use midwatch::app::runbooks::desk::{Again, Choice, Desk, Wish};
use midwatch::ui;

use super::{dark, snapshot};
use crate::support::fixtures::runbooks::{self, card, tail};
use crate::support::fixtures::{NOW, ago};

fn opened(mut model: Model, run: &std::sync::Arc<midwatch::app::runbooks::Run>) -> Model {
    model.runs.open = Some(format!("run {}", run.id));
    model.runbooks.tail = tail(&run.id);
    model.runbooks.runs = Some(vec![run.clone()]);
    model
}

fn under(desk: Desk) -> Model {
    let mut model = runbooks::runbooks();
    model.overlay = Overlay::Desk(Box::new(desk));
    model
}

fn wish() -> Wish {
    Wish { number: 1, book: "restart-services".into(), ..Wish::default() }
}

#[test]
fn runs_and_the_catalogue() {
    let mut model = runbooks::runbooks();
    snapshot("runbooks", &model);
    model.runs.filter = "no such thing".into();
    let empty = ui::plain(&model, &dark(), 80, 24);
    assert!(empty.contains("no run has these words") && empty.contains("no runbook has these words"), "{empty}");
    model = runbooks::runbooks();
    (model.runbooks.runs, model.runbooks.books) = (None, Vec::new());
    let text = ui::plain(&model, &dark(), 80, 24);
    assert!(text.contains("have not been read yet"), "{text}");
}

#[test]
fn a_run_that_goes_on() {
    snapshot("runbooks-running", &opened(runbooks::runbooks(), &runbooks::running()));
}

#[test]
fn what_the_runner_notes_of_a_silence_does_not_end_it() {
    let mut model = opened(runbooks::runbooks(), &runbooks::silent());
    model.runbooks.tail.printed = std::sync::Arc::default();
    let text = ui::plain(&model, &dark(), 80, 24);
    assert!(text.contains("nothing printed for 9m50s"), "{text}");
}

#[test]
fn a_run_that_asks() {
    let mut model = opened(runbooks::runbooks(), &runbooks::asking());
    snapshot("runbooks-asking", &model);
    model.read_only = true;
    assert!(!ui::plain(&model, &dark(), 80, 24).contains("answer it"));
}

#[test]
fn a_run_whose_runner_is_gone() {
    snapshot("runbooks-lost", &opened(runbooks::runbooks(), &runbooks::lost()));
}

#[test]
fn a_run_that_failed() {
    snapshot("runbooks-failed", &opened(runbooks::runbooks(), &runbooks::failed()));
}

#[test]
fn a_plan() {
    snapshot("runbooks-card", &under(Desk::Card(Box::new(card(true)))));
    let mut typed = card(true);
    typed.line = Line::new("pretix-wor");
    typed.scroll = 99;
    let text = ui::plain(&under(Desk::Card(Box::new(typed))), &dark(), 60, 15);
    assert!(text.contains("pretix-wor") && text.contains("a worker takes tasks"), "{text}");
}

#[test]
fn a_plan_that_can_only_be_looked_at() {
    let mut model = under(Desk::Card(Box::new(card(false))));
    model.read_only = true;
    for (width, height) in [(60, 15), (80, 24), (160, 48)] {
        let text = ui::plain(&model, &dark(), width, height);
        assert!(text.contains("only looks (read-only)") && !text.contains("then Enter"), "{text}");
    }
}

#[test]
fn a_run_that_is_taken_up() {
    let mut card = card(true);
    let run = runbooks::lost().id.clone();
    card.again = Some(Again { run, choice: None, says: "goes on with it".into(), seq: 4 });
    let text = ui::plain(&under(Desk::Card(Box::new(card.clone()))), &dark(), 80, 24);
    assert!(text.contains("11c0: goes on with it") && text.contains("nothing goes on now"), "{text}");
    assert!(text.contains("1. restart pretix-worker  verified"), "{text}");
    assert!(text.contains("2. the site answers  not known whether done"), "{text}");
}

#[test]
fn commands_are_shown_as_they_are_run() {
    let mut card = card(true);
    if let midwatch::runbook::plan::Act::Command(command) = &mut card.plan.steps[0].act {
        command.argv = vec!["echo".into(), "two  blanks".into(), "an \u{1b}[2J escape".into()];
    }
    let text = ui::plain(&under(Desk::Card(Box::new(card))), &dark(), 120, 40);
    assert!(text.contains(r"$ echo 'two  blanks' $'an \u{1b}[2J escape'"), "{text}");
}

#[test]
fn a_parameter_that_has_to_be_chosen() {
    let choice = |value: &str, label: &str| Choice { value: value.into(), label: label.into() };
    let choices = vec![
        choice("all", "every one of them"),
        choice("pretix-web", "web · systemd · runs"),
        choice("pretix-worker", "worker · systemd · runs"),
    ];
    let (name, says) = ("service".into(), "Which service?".into());
    snapshot("runbooks-choose", &under(Desk::Choose { wish: wish(), name, says, choices, selected: 2 }));
}

#[test]
fn what_is_waited_for_and_what_was_refused() {
    let text = |desk| ui::plain(&under(desk), &dark(), 80, 24);
    assert!(text(Desk::Planning { wish: wish(), since: ago(3) }).contains("3 s so far"));
    assert!(text(Desk::Starting { number: 1, title: "Restart".into(), since: NOW }).contains("takes the lock"));
    let says = "service = x: there is no such service here".to_owned();
    let fill = Desk::Fill { wish: wish(), name: "path".into(), says, line: Line::new("/srv") };
    assert!(text(fill).contains("path: /srv"));
    let why = "the lock is held by rose\n  since 03:04".to_owned();
    let refused = text(Desk::Refused { title: "Restart".into(), why, scroll: 0 });
    assert!(refused.contains("Nothing was begun:") && refused.contains("held by rose"), "{refused}");
    let leave = text(Desk::Leave { run: runbooks::running().id.clone() });
    assert!(leave.contains("stop after this step") && leave.contains("Restart pretix-worker of pretix"), "{leave}");
}
