//! The screen Logs.
#![cfg(test)]

use midwatch::app::event::Event;
use midwatch::app::model::{Model, Screen};
use midwatch::app::update::update;
use midwatch::app::view;
use midwatch::domain::log::Severity;
use midwatch::ui;
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{dark, snapshot};
use crate::support::fixtures::{self, logs};

fn keys(model: &mut Model, keys: &str) {
    for key in keys.split_whitespace() {
        let chord = key.parse().unwrap_or_else(|_| unreachable!("{key} is a key"));
        update(model, Event::Key(chord));
    }
}

fn with(pressed: &str) -> Model {
    let mut model = logs::logs();
    keys(&mut model, pressed);
    model.toast = None;
    model
}

#[test]
fn screens() {
    snapshot("logs-following", &with(""));
    snapshot("logs-errors-alone", &with("L L L"));
    snapshot("logs-moved-right", &with("E . ."));
    snapshot("logs-opened", &with("E E E E E E E E E E Enter"));
    snapshot("logs-groups", &with("v"));
    snapshot("logs-group-opened", &with("v j Enter"));
    let mut model = fixtures::healthy();
    model.screen = Screen::Logs;
    snapshot("logs-nothing-yet", &model);
}

fn selected(model: &Model) -> &midwatch::domain::log::Line {
    let rows = view::rows(model);
    let id = rows.get(model.table().position(&rows)).unwrap();
    view::logs::line(model, id).unwrap_or_else(|| unreachable!("a row is a line"))
}

#[test]
fn errors_are_found_in_both_directions() {
    let mut model = logs::logs();
    let mut seen = Vec::new();
    for _ in 0..5 {
        keys(&mut model, "E");
        assert!(selected(&model).level.is_error());
        seen.push(selected(&model).id);
    }
    for id in seen.iter().rev().skip(1) {
        keys(&mut model, "e");
        assert_eq!(selected(&model).id, *id);
    }
    // The newest error is the last one there is.
    keys(&mut model, "e");
    assert!(model.toast.as_ref().is_some_and(|t| t.text.contains("no error after")));
    // Lines like the selected one, and back.
    keys(&mut model, "N N n");
    assert!(selected(&model).text.contains("SIGKILL"));
}

#[test]
fn the_end_is_followed_until_a_line_is_chosen() {
    let mut model = logs::logs();
    let last = |m: &Model| m.sites[0].logs.value().map(|l| l.window.lines().len() - 1);
    let at = |m: &Model| m.logs.position(&view::rows(m));
    assert_eq!((model.logs.selected.clone(), Some(at(&model))), (None, last(&model)));
    keys(&mut model, "k k");
    assert_eq!(Some(at(&model) + 2), last(&model));
    keys(&mut model, "G");
    assert_eq!(model.logs.selected, None);
    keys(&mut model, "g j G");
    assert_eq!(model.logs.selected, None);
}

#[test]
fn levels_and_words_leave_lines_out() {
    let mut model = logs::logs();
    keys(&mut model, "L L");
    assert!(view::logs::lines(&model).iter().all(|l| l.level >= Severity::Warning));
    keys(&mut model, "/ g u n i c o r n Enter");
    assert!(view::logs::lines(&model).iter().all(|l| l.source == 1) && !view::rows(&model).is_empty());
    // What stands only in the traceback is found too.
    keys(&mut model, "Esc / r e f u s e d Enter");
    assert_eq!(view::rows(&model).len(), 10);
}

#[test]
fn an_opened_line_steps_within_its_source() {
    let mut model = logs::logs();
    keys(&mut model, "E Enter");
    let source = selected(&model).source;
    for _ in 0..12 {
        keys(&mut model, "k");
        assert_eq!(selected(&model).source, source);
        assert_eq!(model.logs.open.as_deref(), Some(selected(&model).id.to_string().as_str()));
    }
    keys(&mut model, "PgDn PgDn PgUp Esc");
    assert_eq!(model.logs.open, None);
    assert_eq!(model.screen, Screen::Logs);
}

#[test]
fn no_secret_and_nothing_a_terminal_obeys_is_shown() {
    let text = ui::plain(&with("v"), &dark(), 300, 60);
    assert!(!text.contains("x8f3k2m9q1z5w7r4") && text.contains("[redacted]"), "{text}");
    for pressed in ["", "v", "E Enter", "v Enter", ". ."] {
        let mut model = logs::hostile();
        keys(&mut model, pressed);
        let text = ui::plain(&model, &dark(), 120, 40);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        assert!(!text.contains('\u{202e}'));
    }
}

#[test]
fn while_the_screen_is_held_only_the_newest_look_is_kept() {
    use midwatch::domain::id::{Scope, SiteId};
    use midwatch::domain::observation::{Observation, Observed};
    use midwatch::domain::reading::Seen;
    let mut model = logs::logs();
    keys(&mut model, "Space");
    for n in 0..50 {
        let what = Observation::Logs(Box::new(Seen::Value(logs::reading())));
        let at = fixtures::NOW.plus_secs(n);
        let scope = Scope::Site(SiteId(model.sites[0].id.0.clone()));
        update(&mut model, Event::Observed(Box::new(Observed { scope, at, took_ms: 1, what })));
    }
    assert_eq!(model.held.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn nothing_panics_at_any_size(
        width in 0_u16..=200,
        height in 0_u16..=80,
        hostile in any::<bool>(),
        pressed in proptest::collection::vec(
            prop::sample::select(vec!["j", "k", "g", "G", "e", "E", "n", "N", "v", "L", ".", ",", "Enter", "Esc", "PgDn", "PgUp", "s", "R", "Space"]),
            0..14,
        ),
    ) {
        let mut model = if hostile { logs::hostile() } else { logs::logs() };
        model.size = (width, height);
        keys(&mut model, &pressed.join(" "));
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        ui::draw(&model, &dark(), &mut buffer);
    }
}
