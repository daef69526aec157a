//! The screens as text, at the sizes people have; and that nothing can make drawing panic.

mod data;
mod logs;
mod runbooks;

use std::fmt::Write as _;

use jiff::tz::{TimeZone, offset};
use midwatch::app::event::Event;
use midwatch::app::key::{Chord, Key};
use midwatch::app::model::{Model, Overlay, Screen, Site, Toast};
use midwatch::app::update::update;
use midwatch::app::view;
use midwatch::domain::id::SiteId;
use midwatch::ui::theme::Theme;
use midwatch::ui::{self, Glyphs, Look};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

use crate::support::fixtures;

const SIZES: [(u16, u16); 4] = [(60, 15), (80, 24), (120, 40), (160, 48)];

fn look(theme: &str, glyphs: Glyphs) -> Look {
    let theme = Theme::built_in(theme).unwrap_or_else(|| unreachable!("{theme} is built in"));
    Look { theme, glyphs, zone: TimeZone::fixed(offset(1)) }
}

fn dark() -> Look {
    look("dark", Glyphs::Unicode)
}

fn on(mut model: Model, screen: Screen) -> Model {
    model.screen = screen;
    model
}

fn snapshot(name: &str, model: &Model) {
    for (width, height) in SIZES {
        let screen = ui::plain(model, &dark(), width, height);
        settings().bind(|| insta::assert_snapshot!(format!("{name}@{width}x{height}"), screen));
    }
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn now() {
    for (name, model) in fixtures::all().into_iter().filter(|(name, _)| *name != "hostile") {
        snapshot(&format!("now-{name}"), &model);
    }
}

#[test]
fn of_several_sites_each_finding_says_whose_it_is() {
    let mut model = fixtures::db_down();
    assert!(!ui::plain(&model, &dark(), 160, 48).contains("pretix: "));
    let more = Site::new(SiteId("talks".into()), String::new(), "pretalx".into(), String::new(), false);
    model.sites.push(more);
    assert!(ui::plain(&model, &dark(), 160, 48).contains("✖ critical pretix: "));
}

#[test]
fn an_application_that_may_not_be_looked_into_is_unknown() {
    let mut model = fixtures::no_site();
    assert!(ui::plain(&model, &dark(), 160, 48).contains("the host is fine"));
    model.no_entry = true;
    let screen = ui::plain(&model, &dark(), 160, 48);
    assert!(screen.contains("? unknown — an application runs here that this user may not look into"), "{screen}");
}

#[test]
fn now_with_a_finding_opened() {
    let mut model = fixtures::db_down();
    model.now_table.open = Some(model.findings[0].id());
    snapshot("now-finding", &model);
    model.now_table.open = Some("pretix/gone/".into());
    assert!(ui::plain(&model, &dark(), 80, 24).contains("This finding is gone"));
}

#[test]
fn an_opened_finding_scrolls_to_its_end_and_the_list_behind_it_stays() {
    let mut model = fixtures::db_down();
    model.size = (60, 15);
    model.now_table.selected = Some(model.findings[0].id());
    let press = |model: &mut Model, key| update(model, Event::Key(Chord { key, ctrl: false, alt: false }));
    let shown = |model: &Model| ui::plain(model, &dark(), 60, 15);
    press(&mut model, Key::Enter);
    assert!(!shown(&model).contains("what follows from it"), "{}", shown(&model));
    press(&mut model, Key::Char('j'));
    assert!(!shown(&model).contains("rule database-down"), "one row down: {}", shown(&model));
    press(&mut model, Key::Char('k'));
    assert!(shown(&model).contains("rule database-down"), "{}", shown(&model));
    let mut seen = String::new();
    for _ in 0..4 {
        press(&mut model, Key::PageDown);
        seen.push_str(&shown(&model));
    }
    let last = model.findings[0].symptoms.last().unwrap_or_else(|| unreachable!("it has symptoms"));
    let words: Vec<&str> = last.evidence.split_whitespace().collect();
    let end = words.last().unwrap_or_else(|| unreachable!("it has evidence"));
    assert!(seen.contains("what follows from it") && seen.contains(end), "{seen}");
    let end = shown(&model);
    press(&mut model, Key::Char('G'));
    assert_eq!(shown(&model), end, "there is nothing after the end");
    for _ in 0..3 {
        press(&mut model, Key::Char('k'));
    }
    assert_ne!(shown(&model), end, "and the way back begins there");
    assert_eq!(model.now_table.selected, Some(model.findings[0].id()), "the list did not move");
    press(&mut model, Key::Esc);
    press(&mut model, Key::Enter);
    assert!(shown(&model).contains("rule database-down"), "opened anew it begins at its beginning");
}

#[test]
fn requests() {
    for (name, model) in [
        ("healthy", fixtures::healthy()),
        ("many-routes", fixtures::many_routes()),
        ("stale", fixtures::stale()),
        ("first-minute", fixtures::first_minute()),
        ("nothing-yet", fixtures::nothing_yet()),
    ] {
        snapshot(&format!("requests-{name}"), &on(model, Screen::Requests));
    }
    let mut model = on(fixtures::many_routes(), Screen::Requests);
    model.requests.open = Some("POST presale:event.checkout".into());
    snapshot("requests-one", &model);
}

#[test]
fn tasks() {
    for (name, model) in
        [("healthy", fixtures::healthy()), ("worker-down", fixtures::worker_down()), ("stale", fixtures::stale())]
    {
        snapshot(&format!("tasks-{name}"), &on(model, Screen::Tasks));
    }
    let mut model = on(fixtures::healthy(), Screen::Tasks);
    model.tasks.open = Some("pretix.base.services.orders.perform_order".into());
    snapshot("tasks-one", &model);
}

#[test]
fn host() {
    for (name, model) in
        [("healthy", fixtures::healthy()), ("hung-mount", fixtures::hung_mount()), ("stale", fixtures::stale())]
    {
        snapshot(&format!("host-{name}"), &on(model, Screen::Host));
    }
}

#[test]
fn services() {
    let mut model = fixtures::services();
    snapshot("services", &model);
    model.services.open = Some("pretix-web".into());
    snapshot("services-one", &model);
    model.services.open = Some("unit certbot.service".into());
    assert!(ui::plain(&model, &dark(), 80, 24).contains("exit status 1"));
    model.services.open = Some("gone".into());
    assert!(ui::plain(&model, &dark(), 80, 24).contains("no longer told of"));
    (model.services.open, model.services.filter) = (None, "redis".into());
    let filtered = ui::plain(&model, &dark(), 80, 24);
    assert!(filtered.contains("redis") && !filtered.contains("renderer"), "{filtered}");
}

#[test]
fn overlays() {
    let mut model = fixtures::healthy();
    model.overlay = Overlay::Help { scroll: 9 };
    snapshot("overlay-help", &model);
    model.overlay = Overlay::Palette { input: "sort".into(), selected: 1 };
    snapshot("overlay-palette", &model);
    model = on(fixtures::many_routes(), Screen::Requests);
    model.requests.filter = "5xx checkout".into();
    model.overlay = Overlay::Filter { before: String::new() };
    snapshot("overlay-filter", &model);
    model.overlay = Overlay::None;
    model.toast = Some(Toast { text: "copied 31 characters".into(), until: fixtures::NOW.plus_secs(2) });
    snapshot("toast", &model);
}

/// The styles of the verdict and of the findings, run by run.
#[test]
fn severities_have_their_styles_in_every_theme() {
    for theme in Theme::NAMES {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 12));
        ui::draw(&fixtures::db_down(), &look(theme, Glyphs::Unicode), &mut buffer);
        let mut out = String::new();
        for row in buffer.area.rows().skip(2) {
            let mut run = (String::new(), None);
            let cells = row.columns().map(|at| &buffer[(at.x, at.y)]).map(|c| (c.symbol(), Some(c.style())));
            for (symbol, style) in cells.chain([("", None)]) {
                if run.1.is_some() && run.1 != style {
                    let style = run.1.unwrap_or_default();
                    let (fg, bg, how) =
                        (style.fg.unwrap_or_default(), style.bg.unwrap_or_default(), style.add_modifier);
                    if !run.0.trim().is_empty() || bg != ratatui::style::Color::Reset {
                        writeln!(out, "{fg} on {bg} {how:?}: {}", run.0.trim()).unwrap();
                    }
                    run.0.clear();
                }
                run.0.push_str(symbol);
                run.1 = style;
            }
        }
        settings().bind(|| insta::assert_snapshot!(format!("severity-{theme}"), out));
    }
}

#[test]
fn a_screen_for_ascii_has_nothing_else() {
    for (name, mut model) in fixtures::all() {
        for screen in Screen::ALL {
            model.screen = screen;
            let text = ui::plain(&model, &look("mono", Glyphs::Ascii), 120, 40);
            assert!(text.is_ascii(), "{name} {screen:?}");
        }
    }
    let screen = ui::plain(&fixtures::db_down(), &look("mono", Glyphs::Ascii), 80, 24);
    settings().bind(|| insta::assert_snapshot!("ascii-now-db-down@80x24", screen));
}

#[test]
fn too_small_is_said() {
    let text = ui::plain(&fixtures::healthy(), &dark(), 38, 9);
    assert!(text.contains("terminal too small: 38×9, needs 40×10"), "{text}");
    assert!(!ui::plain(&fixtures::healthy(), &dark(), 40, 10).contains("too small"));
}

#[test]
fn fine_is_said_only_where_everything_was_seen() {
    let verdict = |model: &Model| ui::plain(model, &dark(), 100, 24).lines().nth(2).unwrap().to_owned();
    assert!(verdict(&fixtures::healthy()).contains("✔ ok — all fine"));
    for (name, model) in
        fixtures::all().into_iter().filter(|(name, _)| !["healthy", "many-routes", "first-minute"].contains(name))
    {
        assert!(!verdict(&model).contains('✔'), "{name}: {}", verdict(&model));
    }
    let mut model = fixtures::stale();
    model.findings.clear();
    assert!(verdict(&model).contains("? unknown — no current answer from: metrics, redis, host"));
}

#[test]
fn the_selected_row_is_on_the_screen() {
    let mut model = on(fixtures::many_routes(), Screen::Requests);
    let rows = view::rows(&model);
    for (at, id) in rows.iter().enumerate().step_by(37) {
        model.requests.selected = Some(id.clone());
        model.requests.offset = (at * 7) % rows.len();
        let name = id.split_once(' ').unwrap().1;
        let tail: String = name.chars().rev().take(10).collect::<Vec<_>>().into_iter().rev().collect();
        assert!(ui::plain(&model, &dark(), 80, 24).contains(&tail), "{id}");
    }
}

fn overlay() -> impl Strategy<Value = Overlay> {
    prop_oneof![
        Just(Overlay::None),
        any::<usize>().prop_map(|scroll| Overlay::Help { scroll }),
        (".{0,400}", any::<usize>()).prop_map(|(input, selected)| Overlay::Palette { input, selected }),
        ".{0,30}".prop_map(|before| Overlay::Filter { before }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics_at_any_size(
        width in 0_u16..=300,
        height in 0_u16..=300,
        fixture in 0_usize..13,
        screen in 0_usize..9,
        overlay in overlay(),
        open in any::<bool>(),
        offset in any::<usize>(),
        sort in 0_usize..9,
        filter in "[a-z5]{0,3}",
    ) {
        let (_, mut model) = fixtures::all().swap_remove(fixture);
        model.screen = Screen::ALL[screen];
        model.overlay = overlay;
        let row = view::rows(&model).into_iter().nth(offset % 50);
        let table = model.table_mut();
        (table.offset, table.sort) = (offset, sort);
        table.filter = filter;
        table.open = row.filter(|_| open);
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        ui::draw(&model, &dark(), &mut buffer);
        for (at, _) in buffer.content.iter().enumerate().filter(|(_, cell)| cell.symbol().width() > 1) {
            let within = (at + 1) % usize::from(width) != 0;
            prop_assert!(within && buffer.content[at + 1].symbol() == " ", "a wide glyph is cut in half");
        }
        let glyphs = if open { Glyphs::Ascii } else { Glyphs::Unicode };
        ui::plain(&model, &look("mono", glyphs), width.min(90), height.min(30));
    }
}
