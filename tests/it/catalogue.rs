//! The registries agree with themselves and with what is written about them.

#![expect(clippy::expect_used, reason = "a test says what it expects by failing")]

use std::collections::BTreeSet;

use midwatch::app::action::{ACTIONS, Action};
use midwatch::app::key::Chord;
use midwatch::app::keymap::Keymap;
use midwatch::app::model::Screen;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md")
}

#[test]
fn every_action_has_a_name_of_its_own_a_title_a_sentence_and_a_key() {
    let mut names = BTreeSet::new();
    for spec in ACTIONS {
        assert!(names.insert(spec.name), "{} twice", spec.name);
        assert!(spec.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{}", spec.name);
        assert!(!spec.title.is_empty() && spec.help.ends_with('.'), "{}", spec.name);
        // What is said once in an incident has no key that could be hit by mistake: the palette has it.
        let said = matches!(spec.action, Action::Severity(_) | Action::Resolved);
        assert_eq!(spec.keys.is_empty(), said, "{}", spec.name);
    }
}

#[test]
fn every_default_key_can_be_read_and_means_one_thing() {
    let mut chords = BTreeSet::new();
    for spec in ACTIONS {
        for key in spec.keys {
            let chord: Chord = key.parse().unwrap_or_else(|e| panic!("{}: {e}", spec.name));
            assert!(chords.insert(chord), "{key} means two things");
            assert_eq!(Keymap::default().action(chord), Some(spec.action));
        }
    }
}

#[test]
fn every_screen_can_be_reached_by_its_number() {
    for (n, screen) in Screen::ALL.into_iter().enumerate() {
        let chord: Chord = (n + 1).to_string().parse().expect("a digit");
        assert_eq!(Keymap::default().action(chord), Some(Action::Show(screen)));
    }
}

#[test]
fn no_key_shadows_the_ways_out() {
    let map = Keymap::default();
    assert_eq!(map.action(Chord::ctrl('c')), Some(Action::Quit));
    assert_eq!(map.action("Esc".parse().expect("a key")), Some(Action::Back));
}

#[test]
fn the_readmes_key_table_is_the_registry() {
    assert!(
        readme().contains(&Keymap::default().markdown()),
        "README.md's key table differs:\n{}",
        Keymap::default().markdown()
    );
}
