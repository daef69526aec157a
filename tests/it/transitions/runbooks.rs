//! From a finding to a run, as transitions: what is asked for, what approves, and what never does.
#![cfg(test)]

use midwatch::app::effect::Effect;
use midwatch::app::event::Event;
use midwatch::app::model::{Model, Overlay, Screen};
use midwatch::app::runbooks::desk::{Choice, Desk, Errand, NoPlan};
use midwatch::app::update::{unseen, update};
use midwatch::runbook::plan::Confirm;
use midwatch::runbook::run::Word;

use super::press;
use crate::support::fixtures::runbooks::{self, plan, runbooks as model, tail};

fn desk(model: &Model) -> &Desk {
    let Overlay::Desk(desk) = &model.overlay else { panic!("no desk: {:?}", model.overlay) };
    desk
}

fn errands(effects: Vec<Effect>) -> Vec<Errand> {
    let errand = |effect| if let Effect::Errand(errand) = effect { Some(errand) } else { None };
    effects.into_iter().filter_map(errand).collect()
}

/// A model with the card of the finding's plan, drawn.
fn with_card(confirm: Confirm) -> Model {
    let mut m = model();
    m.screen = Screen::Now;
    press(&mut m, "R");
    let mut plan = plan();
    plan.confirm = confirm;
    update(&mut m, Event::Planned(1, Ok(Box::new(plan))));
    update(&mut m, Event::Drawn(1));
    m
}

fn typed(text: &str) -> Confirm {
    Confirm::Type(text.to_owned())
}

#[test]
fn a_findings_runbook_is_planned_for_its_site_and_nothing_else_happens() {
    let mut m = model();
    m.screen = Screen::Now;
    let asked = errands(press(&mut m, "R"));
    let [Errand::Plan(wish)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((wish.book.as_str(), wish.number), ("restart-services", 1));
    assert_eq!(wish.site.as_deref(), Some(m.sites[0].id.0.as_str()));
    assert!(matches!(desk(&m), Desk::Planning { .. }));
    assert_eq!(press(&mut m, "Enter y Enter"), []);
    press(&mut m, "Esc");
    assert_eq!(m.overlay, Overlay::None);
    // What nobody waits for any more covers nothing.
    update(&mut m, Event::Planned(1, Ok(Box::new(plan()))));
    assert_eq!(m.overlay, Overlay::None);
}

#[test]
fn a_finding_without_a_runbook_says_so() {
    let mut m = model();
    m.screen = Screen::Now;
    m.findings[0].rule = "web-slow".into();
    assert_eq!(press(&mut m, "R"), []);
    assert!(m.toast.is_some_and(|toast| toast.text.contains("no runbook treats web-slow")));
}

#[test]
fn enter_on_the_catalogue_plans_and_on_a_run_watches_it() {
    let mut m = model();
    // Four runs stand above it; what treats the finding comes first.
    let asked = errands(press(&mut m, "j j j j Enter"));
    assert!(matches!(asked.as_slice(), [Errand::Plan(wish)] if wish.book == "restart-services"), "{asked:?}");
    let mut m = model();
    let id = runbooks::running().id.clone();
    assert_eq!(errands(press(&mut m, "Enter")), [Errand::Follow(Some(id.clone()))]);
    update(&mut m, Event::Printed(tail(&id)));
    assert_eq!(m.runbooks.tail.run, id);
    assert_eq!(errands(press(&mut m, "Esc")), [Errand::Follow(None)]);
    press(&mut m, "Enter");
    assert_eq!(errands(press(&mut m, "1")), [Errand::Follow(None)]);
}

#[test]
fn what_a_run_printed_is_scrolled_and_stays_where_it_is_looked_at() {
    let mut m = model();
    let id = runbooks::running().id.clone();
    press(&mut m, "Enter");
    update(&mut m, Event::Printed(tail(&id)));
    press(&mut m, "k k");
    assert_eq!(m.runbooks.back, 2);
    press(&mut m, "k k k k");
    assert_eq!(m.runbooks.back, 3, "the oldest line stays in sight");
    let mut more = tail(&id);
    let printed = std::sync::Arc::make_mut(&mut more.printed);
    let last = printed.last().unwrap().clone();
    printed.push(last);
    update(&mut m, Event::Printed(more));
    assert_eq!(m.runbooks.back, 4, "what is looked at has moved");
    press(&mut m, "End");
    assert_eq!(m.runbooks.back, 0);
    update(&mut m, Event::Printed(tail(&id)));
    assert_eq!(m.runbooks.back, 0, "the newest is followed");
    press(&mut m, "k Esc Enter");
    assert_eq!(m.runbooks.back, 0);
}

#[test]
fn a_missing_parameter_is_chosen_or_typed_and_asked_again() {
    let mut m = model();
    press(&mut m, "j j j j R");
    let choice = |value: &str| Choice { value: value.into(), label: String::new() };
    let choices = vec![choice("pretix-web"), choice("pretix-worker")];
    let missing = |choices| NoPlan::Parameter { name: "service".into(), says: "Which?".into(), choices };
    update(&mut m, Event::Planned(1, Err(missing(choices))));
    let asked = errands(press(&mut m, "j j Enter"));
    let [Errand::Plan(wish)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((wish.given["service"].as_str(), wish.number), ("pretix-worker", 2));
    // The answer to the first question comes too late for the second.
    update(&mut m, Event::Planned(1, Ok(Box::new(plan()))));
    assert!(matches!(desk(&m), Desk::Planning { .. }));
    update(&mut m, Event::Planned(2, Err(missing(Vec::new()))));
    assert_eq!(press(&mut m, "Enter"), []);
    update(&mut m, Event::Paste("pretix-".into()));
    let asked = errands(press(&mut m, "w e b Enter"));
    assert!(matches!(asked.as_slice(), [Errand::Plan(wish)] if wish.given["service"] == "pretix-web"), "{asked:?}");
    update(&mut m, Event::Planned(3, Err(NoPlan::Impossible("not now".into()))));
    assert!(matches!(desk(&m), Desk::Refused { why, .. } if why == "not now"));
    press(&mut m, "Esc");
    assert_eq!(m.overlay, Overlay::None);
}

#[test]
fn only_the_exact_text_and_then_enter_approves() {
    let mut m = with_card(typed("web1/x"));
    for keys in ["Enter", "y Enter", "w e b 1 Enter", "w e b 1 / x x Enter", "W e b 1 / x Enter", "Space Enter"] {
        assert_eq!(press(&mut m, keys), [], "{keys}");
        let Desk::Card(card) = desk(&m) else { panic!("the card is gone after {keys}") };
        assert!(card.said.as_ref().is_some_and(|said| said.contains("nothing was done")), "{keys}");
    }
    let asked = errands(press(&mut m, "w e b 1 / x Enter"));
    let [Errand::Start { number: 1, plan, challenge, typed, again: None }] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    assert!(challenge.fits(typed) && plan.confirm.text() == "web1/x");
    // Once handed over, nothing hands it over again.
    assert_eq!(press(&mut m, "Enter w e b 1 / x Enter"), []);
}

#[test]
fn enter_alone_never_approves_not_even_what_only_looks() {
    for confirm in [Confirm::Nothing, Confirm::Yes] {
        let mut m = with_card(confirm);
        assert_eq!(press(&mut m, "Enter Enter Enter"), []);
        assert!(matches!(errands(press(&mut m, "y Enter")).as_slice(), [Errand::Start { .. }]));
    }
}

#[test]
fn what_was_typed_before_the_card_was_drawn_does_not_count() {
    let mut m = model();
    m.screen = Screen::Now;
    press(&mut m, "R");
    assert_eq!(unseen(&m), None);
    let mut plan = plan();
    plan.confirm = Confirm::Yes;
    update(&mut m, Event::Planned(1, Ok(Box::new(plan))));
    assert_eq!(unseen(&m), Some(1));
    assert_eq!(press(&mut m, "y Enter"), []);
    // Another card was drawn, not this.
    update(&mut m, Event::Drawn(7));
    assert_eq!(press(&mut m, "y Enter"), []);
    update(&mut m, Event::Drawn(1));
    assert_eq!(unseen(&m), None);
    assert_eq!(press(&mut m, "Enter"), []);
    assert_eq!(errands(press(&mut m, "y Enter")).len(), 1);
}

#[test]
fn a_card_that_can_t_be_read_takes_nothing() {
    let mut m = with_card(Confirm::Yes);
    update(&mut m, Event::Resized(30, 5));
    assert_eq!(press(&mut m, "y Enter"), []);
}

#[test]
fn pasted_text_confirms_nothing() {
    let mut m = with_card(Confirm::Yes);
    update(&mut m, Event::Paste("y\n".into()));
    assert_eq!(press(&mut m, "Enter"), []);
    let Desk::Card(card) = desk(&m) else { panic!("the card is gone") };
    assert!(card.line.is_empty());
}

#[test]
fn who_only_looks_can_approve_nothing() {
    let mut m = model();
    (m.screen, m.read_only) = (Screen::Now, true);
    press(&mut m, "R");
    let mut plan = plan();
    plan.confirm = Confirm::Yes;
    update(&mut m, Event::Planned(1, Ok(Box::new(plan))));
    update(&mut m, Event::Drawn(1));
    assert!(matches!(desk(&m), Desk::Card(card) if card.challenge.is_none()));
    assert_eq!(press(&mut m, "y Enter j k Enter"), []);
    press(&mut m, "Esc");
    assert_eq!(m.overlay, Overlay::None);
}

#[test]
fn what_was_begun_is_watched_and_what_was_refused_is_told_in_full() {
    let mut m = with_card(Confirm::Yes);
    press(&mut m, "y Enter");
    let id = runbooks::running().id.clone();
    let followed = errands(update(&mut m, Event::Started(1, Ok(id.clone()))));
    assert_eq!(followed, [Errand::Follow(Some(id.clone()))]);
    assert_eq!((m.screen, &m.overlay), (Screen::Runbooks, &Overlay::None));
    assert_eq!(m.runs.open, Some(format!("run {id}")));
    let mut m = with_card(Confirm::Yes);
    press(&mut m, "y Enter");
    update(&mut m, Event::Started(1, Err("held by rose since 03:04".into())));
    assert!(matches!(desk(&m), Desk::Refused { why, .. } if why.contains("held by rose")));
}

#[test]
fn ctrl_c_on_a_run_asks_and_twice_kills_nothing() {
    let mut m = model();
    press(&mut m, "Enter");
    let run = runbooks::running().id.clone();
    assert_eq!(press(&mut m, "Ctrl-C"), []);
    assert_eq!(press(&mut m, "Enter y q"), []);
    assert!(matches!(desk(&m), Desk::Leave { .. }));
    assert_eq!(press(&mut m, "Ctrl-C"), [Effect::Quit]);
    for (key, word) in [("a", Word::StopAfter), ("n", Word::StopNow)] {
        press(&mut m, "Ctrl-C");
        m.overlay = Overlay::None;
        press(&mut m, "Ctrl-C");
        assert_eq!(errands(press(&mut m, key)), [Errand::Tell { run: run.clone(), word, step: None }]);
    }
    press(&mut m, "Ctrl-C");
    assert_eq!(errands(press(&mut m, "l")), [Errand::Follow(None)]);
    // Nothing is watched any more: the way out is the way out.
    assert_eq!(press(&mut m, "Ctrl-C"), [Effect::Quit]);
}

#[test]
fn ctrl_c_on_a_run_that_is_over_leaves() {
    let mut m = model();
    m.runbooks.runs = Some(vec![runbooks::failed()]);
    press(&mut m, "Enter");
    assert_eq!(press(&mut m, "Ctrl-C"), [Effect::Quit]);
}

#[test]
fn a_question_is_answered_with_y_or_n_and_enter() {
    let asking = runbooks::asking();
    for (keys, word) in [("y Enter", Word::Proceed), ("n Enter", Word::Decline)] {
        let mut m = model();
        m.runbooks.runs = Some(vec![asking.clone()]);
        press(&mut m, "Enter R");
        assert!(matches!(desk(&m), Desk::Answer { step: 1, .. }));
        assert_eq!(press(&mut m, "Enter x Enter"), []);
        update(&mut m, Event::Paste("y".into()));
        assert_eq!(press(&mut m, "Enter"), []);
        let told = Errand::Tell { run: asking.id.clone(), word, step: Some(1) };
        assert_eq!(errands(press(&mut m, keys)), [told]);
    }
    let mut m = model();
    (m.runbooks.runs, m.read_only) = (Some(vec![asking]), true);
    press(&mut m, "Enter");
    assert_eq!(errands(press(&mut m, "R y Enter")), []);
    assert_eq!(m.overlay, Overlay::None);
}

#[test]
fn a_run_is_taken_up_by_an_approval_again() {
    let mut m = model();
    m.runbooks.runs = Some(vec![runbooks::failed()]);
    press(&mut m, "Enter R");
    assert!(matches!(desk(&m), Desk::Ways { .. }));
    assert_eq!(press(&mut m, "j Enter"), []);
    // Nothing of what was typed before it was drawn counts.
    let text = "p r e t i x - w o r k e r Enter";
    assert_eq!(press(&mut m, text), []);
    let number = unseen(&m).unwrap();
    update(&mut m, Event::Drawn(number));
    assert_eq!(press(&mut m, "Enter y Enter"), []);
    let asked = errands(press(&mut m, text));
    let [Errand::Start { again: Some(again), .. }] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((again.choice, again.seq, &again.run), (Some(Word::Skip), 6, &runbooks::failed().id));
    let mut m = model();
    (m.runbooks.runs, m.read_only) = (Some(vec![runbooks::failed()]), true);
    press(&mut m, "Enter R Enter");
    assert!(matches!(desk(&m), Desk::Card(card) if card.challenge.is_none()));
}

#[test]
fn how_a_run_goes_on_is_told_as_commands() {
    let flags =
        |run: &midwatch::app::runbooks::Run| run.ways_on().into_iter().map(|(flag, _)| flag).collect::<Vec<_>>();
    assert_eq!(flags(&runbooks::failed()), ["--retry", "--skip"]);
    assert_eq!(flags(&runbooks::lost()), [""]);
    assert!(flags(&runbooks::running()).is_empty());
}

#[test]
fn runs_are_bounded() {
    let mut m = model();
    update(&mut m, Event::Runs(vec![runbooks::failed(); 80], Vec::new()));
    assert_eq!(m.runbooks.runs.map(|runs| runs.len()), Some(50));
}
