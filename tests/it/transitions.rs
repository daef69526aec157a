//! Events in, model and effects out: no I/O, no clock, no terminal.

#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test says what it expects by failing")]

mod points;
mod runbooks;

use midwatch::app::action::{ACTIONS, Action};
use midwatch::app::effect::Effect;
use midwatch::app::event::{Event, Storage};
use midwatch::app::key::{Chord, Key};
use midwatch::app::keymap::{Keymap, KeymapError};
use midwatch::app::model::{Model, Overlay, Screen, Site};
use midwatch::app::update::update;
use midwatch::domain::health::{HealthCheck, HealthState};
use midwatch::domain::history::{self, Point, SeriesKey};
use midwatch::domain::host::HostReading;
use midwatch::domain::id::{HostId, Scope, SiteId, SourceKind};
use midwatch::domain::level::Level;
use midwatch::domain::observation::{Observation, Observed};
use midwatch::domain::reading::{Reading, Seen};
use midwatch::domain::time::Timestamp;
use midwatch::domain::traffic::{Count, Route, Traffic, Window};
use proptest::prelude::*;

const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

fn at(secs: i64) -> Timestamp {
    T0.plus_secs(secs)
}

fn model() -> Model {
    let site = Site::new(
        SiteId("tickets".to_owned()),
        "Tickets".to_owned(),
        "pretix 2026.8.0".to_owned(),
        "https://tickets.example.org".to_owned(),
        false,
    );
    let mut model = Model::new(T0, vec![site], HostId("web1".to_owned()));
    update(&mut model, Event::Resized(80, 24));
    model
}

fn site_scope() -> Scope {
    Scope::Site(SiteId("tickets".to_owned()))
}

fn saw(what: Observation, secs: i64) -> Event {
    Event::Observed(Box::new(Observed { scope: site_scope(), at: at(secs), took_ms: 3, what }))
}

fn check(state: HealthState) -> Observation {
    Observation::Health(Seen::Value(HealthCheck {
        state,
        status: (state == HealthState::Ok).then_some(200),
        latency_ms: 3.0,
        detail: "as the server said".to_owned(),
        url: "https://tickets.example.org/healthcheck/".to_owned(),
        tls: None,
        clock_offset_ms: None,
    }))
}

fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys.split_whitespace() {
        effects.extend(update(model, Event::Key(key.parse::<Chord>().unwrap())));
    }
    effects
}

fn routes(names: &[&str]) -> Observation {
    let route = |(i, name): (usize, &&str)| Route {
        url_name: (*name).to_owned(),
        method: "GET".to_owned(),
        classes: [
            Count::default(),
            Count { total: 10.0 - i as f64, in_window: 1.0 },
            Count::default(),
            Count::default(),
            Count::default(),
        ],
        rate: Some(10.0 - i as f64),
        ..Route::default()
    };
    let routes = names.iter().enumerate().map(route).collect();
    Observation::Traffic(Seen::Value(Traffic { routes, window: Window::Seconds(60.0), ..Traffic::default() }))
}

#[test]
fn a_failing_look_keeps_the_last_value_with_its_age_and_the_reason() {
    let mut m = model();
    update(&mut m, saw(routes(&["a"]), 1));
    update(&mut m, saw(Observation::Traffic(Seen::Failed("500".to_owned())), 20));
    update(&mut m, saw(Observation::Traffic(Seen::Failed("still 500".to_owned())), 40));
    let reading = &m.sites[0].traffic;
    assert_eq!(reading.at(), Some(at(1)));
    assert_eq!(reading.failed_since(), Some(at(20)));
    assert_eq!(reading.why(), Some("still 500"));
    assert_eq!(reading.fresh(), None);
    assert_eq!(reading.value().map(|t| t.routes.len()), Some(1));
}

#[test]
fn a_question_under_way_is_told_until_its_answer_comes() {
    let mut m = model();
    update(&mut m, saw(check(HealthState::Ok), 1));
    update(&mut m, saw(Observation::Health(Seen::Asking), 6));
    update(&mut m, Event::Tick(at(18)));
    assert_eq!(m.sites[0].asking_since(SourceKind::Health), Some(at(6)));
    assert_eq!(m.findings[0].rule, "web-hangs");
    assert!(m.findings[0].title.contains("no answer for 12 s"), "{}", m.findings[0].title);
    update(&mut m, saw(check(HealthState::Ok), 19));
    assert_eq!(m.sites[0].asking_since(SourceKind::Health), None);
    assert!(m.findings.is_empty());
}

#[test]
fn one_bad_answer_is_a_warning_and_a_confirmed_one_critical() {
    let mut m = model();
    update(&mut m, saw(check(HealthState::Ok), 1));
    update(&mut m, Event::Tick(at(6)));
    update(&mut m, saw(check(HealthState::Unreachable), 6));
    assert_eq!((m.findings[0].rule.as_str(), m.findings[0].level), ("web-unreachable", Level::Warning));
    update(&mut m, Event::Tick(at(8)));
    update(&mut m, saw(check(HealthState::Unreachable), 8));
    assert_eq!(m.findings[0].level, Level::Critical);
    assert_eq!((m.findings[0].since.at, m.findings[0].since.seen), (at(6), true));
}

#[test]
fn history_from_disk_says_since_when_it_was_already_down() {
    let mut m = model();
    let step = |secs: i64| history::step_of(at(secs));
    let points = (0..40).map(|i| Point { step: step(-400) + i, value: if i < 10 { 0.0 } else { 4.0 } }).collect();
    update(&mut m, Event::Recalled(site_scope(), vec![(SeriesKey::new("health"), points)]));
    update(&mut m, Event::Tick(at(5)));
    update(&mut m, saw(check(HealthState::Unreachable), 5));
    let since = m.findings[0].since;
    assert_eq!((since.at, since.seen), (Timestamp::from_millis((step(-400) + 10) * 10_000), true));
    assert_eq!(m.findings[0].level, Level::Critical);
}

#[test]
fn unknown_is_never_fine() {
    let mut m = model();
    assert!(!m.seen_enough());
    update(&mut m, saw(check(HealthState::Ok), 1));
    assert!(!m.seen_enough(), "the host was not seen yet");
    let host = Observation::Host(Box::new(Seen::Value(HostReading::default())));
    let scope = Scope::Host(HostId("web1".to_owned()));
    update(&mut m, Event::Observed(Box::new(Observed { scope, at: at(1), took_ms: 1, what: host })));
    assert!(m.seen_enough());
    update(&mut m, saw(Observation::Health(Seen::Failed("no".to_owned())), 2));
    assert!(!m.seen_enough());
}

#[test]
fn the_broken_site_is_shown_until_somebody_chooses() {
    let mut m = model();
    let fine = Site::new(SiteId("a".to_owned()), String::new(), "web".to_owned(), String::new(), false);
    m.sites.insert(0, fine);
    m.no_entry = true;
    assert!(!m.seen_enough(), "an application that may not be looked into is not fine");
    assert_eq!(m.site_index, 0);
    for secs in [1, 21, 41, 61] {
        update(&mut m, saw(check(HealthState::ServerError), secs));
    }
    update(&mut m, Event::Tick(at(62)));
    assert_eq!((m.findings[0].level, m.site_index), (Level::Critical, 1));
    press(&mut m, "S");
    assert_eq!(m.site_index, 0);
    update(&mut m, saw(check(HealthState::ServerError), 66));
    update(&mut m, Event::Tick(at(67)));
    assert_eq!(m.site_index, 0, "under somebody's hands nothing moves by itself");
}

#[test]
fn the_selection_follows_the_row_not_its_number() {
    let mut m = model();
    update(&mut m, saw(routes(&["a", "b", "c"]), 1));
    press(&mut m, "2 j");
    assert_eq!(m.requests.selected.as_deref(), Some("GET b"));
    update(&mut m, saw(routes(&["z", "a", "c", "b"]), 16));
    assert_eq!(m.requests.selected.as_deref(), Some("GET b"));
    press(&mut m, "j");
    assert_eq!(m.requests.selected.as_deref(), Some("GET b"), "it is the last row now");
    press(&mut m, "k");
    assert_eq!(m.requests.selected.as_deref(), Some("GET c"));
}

#[test]
fn keys_go_to_the_filter_while_it_is_typed() {
    let mut m = model();
    update(&mut m, saw(routes(&["query", "other"]), 1));
    assert_eq!(press(&mut m, "2 / q u e"), []);
    assert_eq!(m.requests.filter, "que");
    assert_eq!(midwatch::app::view::rows(&m), ["GET query"]);
    press(&mut m, "Enter");
    assert_eq!(m.overlay, Overlay::None);
    press(&mut m, "/ x Esc");
    assert_eq!(m.requests.filter, "que", "Esc brings the filter back that was there");
    press(&mut m, "Esc");
    assert_eq!(m.requests.filter, "");
}

#[test]
fn escape_goes_one_level_back_and_never_leaves() {
    let mut m = model();
    update(&mut m, saw(routes(&["a"]), 1));
    press(&mut m, "2 Enter");
    assert_eq!(m.requests.open.as_deref(), Some("GET a"));
    press(&mut m, "Esc");
    assert_eq!((m.requests.open.as_deref(), m.screen), (None, Screen::Requests));
    assert_eq!(press(&mut m, "Esc Esc Esc"), []);
    assert_eq!(m.screen, Screen::Now);
    assert_eq!(press(&mut m, "q"), [Effect::Quit]);
}

#[test]
fn control_c_leaves_from_anywhere() {
    for before in ["", "?", ":", "2 /", "2 Enter"] {
        let mut m = model();
        press(&mut m, before);
        assert_eq!(press(&mut m, "Ctrl-C"), [Effect::Quit], "after {before}");
    }
}

#[test]
fn the_palette_finds_an_action_by_any_of_its_words() {
    let mut m = model();
    press(&mut m, ": t a s k Enter");
    assert_eq!((m.screen, &m.overlay), (Screen::Tasks, &Overlay::None));
    assert_eq!(press(&mut m, ": q Enter"), [Effect::Quit]);
    for spec in ACTIONS {
        assert_eq!(Model::palette_matches(spec.name).first(), Some(&spec.action), "{}", spec.name);
    }
}

#[test]
fn a_screen_held_still_catches_up_when_released() {
    let mut m = model();
    update(&mut m, saw(routes(&["a"]), 1));
    press(&mut m, "Space");
    update(&mut m, Event::Tick(at(30)));
    update(&mut m, saw(routes(&["a", "b"]), 31));
    assert_eq!(m.sites[0].traffic.value().map(|t| t.routes.len()), Some(1));
    assert_eq!(m.shown_now(), T0);
    press(&mut m, "Space");
    assert_eq!(m.sites[0].traffic.value().map(|t| t.routes.len()), Some(2));
    assert!(m.held.is_empty());
}

#[test]
fn effects_are_asked_for_not_done() {
    let mut m = model();
    assert_eq!(press(&mut m, "Ctrl-Z"), [Effect::Suspend]);
    assert_eq!(press(&mut m, "Ctrl-L"), [Effect::Redraw]);
    assert_eq!(press(&mut m, "r"), [Effect::PollNow]);
    assert_eq!(press(&mut m, "Y"), [Effect::CopyScreen]);
    update(&mut m, saw(routes(&["a"]), 1));
    assert_eq!(press(&mut m, "2 y"), [Effect::Copy("GET a".to_owned())]);
}

#[test]
fn remapped_keys_replace_the_defaults_and_clashes_are_refused() {
    let with = |name: &str, keys: &[&str]| {
        Keymap::with(&[(name.to_owned(), keys.iter().map(|k| (*k).to_owned()).collect())].into())
    };
    let map = with("pause", &["p"]).unwrap();
    assert_eq!(map.action(Chord::char('p')), Some(Action::Pause));
    assert_eq!(map.action(Chord::char(' ')), None);
    assert!(matches!(with("pause", &["j"]), Err(KeymapError::Duplicate { .. })));
    assert!(matches!(with("pause", &["Ctrl-C"]), Err(KeymapError::Reserved { .. })));
    assert!(matches!(with("pause", &["Hyper-x"]), Err(KeymapError::BadKey { .. })));
    let Err(KeymapError::UnknownAction { nearest, .. }) = with("puase", &["p"]) else { panic!("accepted") };
    assert_eq!(nearest.as_deref(), Some("pause"));
    let map = with("quit", &["X"]).unwrap();
    assert_eq!(map.action(Chord::ctrl('c')), Some(Action::Quit), "there is always a way out");
    assert_eq!(with("back", &[]).unwrap().action(Chord::plain(Key::Esc)), Some(Action::Back));
}

#[test]
fn storage_and_clock_jumps_are_kept_to_be_told() {
    let mut m = model();
    update(&mut m, Event::Storage(site_scope(), Storage::Reader { pid: 7, trouble: None }));
    assert_eq!(m.sites[0].storage, Storage::Reader { pid: 7, trouble: None });
    update(&mut m, Event::ClockJumped(-420_000));
    assert_eq!(m.clock_jump.map(|j| j.1), Some(-420_000));
    update(&mut m, Event::Tick(at(120)));
    assert_eq!(m.clock_jump, None);
}

fn any_chord() -> impl Strategy<Value = Chord> {
    let key = prop_oneof![
        any::<char>().prop_map(Key::Char),
        prop::sample::select("jkhlgGsSRTUYy/:? +-=<>1234qQr".chars().collect::<Vec<_>>()).prop_map(Key::Char),
        prop::sample::select(vec![
            Key::Enter,
            Key::Esc,
            Key::Tab,
            Key::BackTab,
            Key::Backspace,
            Key::Up,
            Key::Down,
            Key::Home,
            Key::End,
            Key::PageUp,
            Key::PageDown,
        ]),
    ];
    (key, any::<bool>(), any::<bool>()).prop_map(|(key, ctrl, alt)| Chord { key, ctrl: ctrl && alt, alt })
}

fn any_event() -> impl Strategy<Value = Event> {
    let state = prop::sample::select(vec![
        HealthState::Ok,
        HealthState::ServerError,
        HealthState::Unreachable,
        HealthState::Hanging,
        HealthState::Misdirected,
    ]);
    let secs = -100_000_i64..100_000;
    prop_oneof![
        4 => any_chord().prop_map(Event::Key),
        1 => ".{0,400}".prop_map(Event::Paste),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(w, h)| Event::Resized(w, h)),
        1 => any::<i64>().prop_map(|ms| Event::Tick(Timestamp::from_millis(ms))),
        2 => (state, secs.clone()).prop_map(|(state, s)| saw(check(state), s)),
        1 => (prop::collection::vec("[a-c]{1,3}", 0..6), secs.clone()).prop_map(|(names, s)| saw(routes(&names.iter().map(String::as_str).collect::<Vec<_>>()), s)),
        1 => (any::<f32>(), any::<i64>()).prop_map(|(value, step)| Event::Recalled(site_scope(), vec![(SeriesKey::new("health"), vec![Point { step, value }])])),
        1 => any::<i64>().prop_map(Event::ClockJumped),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_sequence_of_events_panics_and_replaying_it_gives_the_same_model(events in prop::collection::vec(any_event(), 0..60)) {
        let (mut one, mut two) = (model(), model());
        for event in &events {
            update(&mut one, event.clone());
        }
        for event in events {
            update(&mut two, event);
        }
        prop_assert!(one.held.len() <= midwatch::app::model::HELD);
        prop_assert_eq!(one, two);
    }

    #[test]
    fn what_is_kept_of_a_reading_never_gets_younger_by_failing(fails in 1_i64..50) {
        let mut reading = Reading::Never;
        reading.absorb(Seen::Value(1), at(0), 1);
        for i in 1..=fails {
            reading.absorb(Seen::<i32>::Failed("no".to_owned()), at(i), 1);
        }
        prop_assert_eq!(reading.at(), Some(at(0)));
        prop_assert_eq!(reading.failed_since(), Some(at(1)));
    }
}
