//! Which key means which action: the registry's defaults, changed by the configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::action::{ACTIONS, Action};
use super::key::{Chord, Key};

/// Chords and their actions on a screen. Overlays have fixed keys of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keymap {
    bindings: Vec<(Chord, Action)>,
}

/// What is wrong with a `[keys]` table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// No action has this name.
    #[error("`{name}` is no action{}", hint(.nearest.as_deref()))]
    UnknownAction {
        /// As written.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// A key could not be read.
    #[error("keys.{name}: {error}")]
    BadKey {
        /// The action.
        name: String,
        /// Why.
        error: super::key::ChordError,
    },
    /// A key would mean two things.
    #[error("the key {chord} is given to both `{first}` and `{second}`: give one of them another")]
    Duplicate {
        /// The key.
        chord: String,
        /// One action.
        first: String,
        /// The other.
        second: String,
    },
    /// A key that must keep its meaning.
    #[error("keys.{name}: {chord} can't be remapped: it always {does}")]
    Reserved {
        /// The action.
        name: String,
        /// The key.
        chord: String,
        /// What it does.
        does: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default()
}

impl Default for Keymap {
    fn default() -> Self {
        let parse = |text: &&str| text.parse::<Chord>().ok();
        let bindings = ACTIONS.iter().flat_map(|s| s.keys.iter().filter_map(parse).map(move |c| (c, s.action)));
        Self { bindings: bindings.collect() }
    }
}

impl Keymap {
    /// The defaults with `changes` laid over them: action name to its keys (all of them; an empty list frees its keys).
    ///
    /// # Errors
    /// The first unknown action, unreadable key, reserved key, or key with two meanings.
    pub fn with(changes: &BTreeMap<String, Vec<String>>) -> Result<Self, KeymapError> {
        let mut map = Self::default();
        for name in changes.keys() {
            let Some(spec) = ACTIONS.iter().find(|s| s.name == name) else {
                let near = ACTIONS
                    .iter()
                    .max_by(|a, b| strsim::jaro_winkler(a.name, name).total_cmp(&strsim::jaro_winkler(b.name, name)));
                let nearest = near.filter(|s| strsim::jaro_winkler(s.name, name) > 0.75).map(|s| s.name.to_owned());
                return Err(KeymapError::UnknownAction { name: name.clone(), nearest });
            };
            map.bindings.retain(|(_, action)| *action != spec.action);
        }
        for (name, keys) in changes {
            let Some(spec) = ACTIONS.iter().find(|s| s.name == name) else { continue };
            for key in keys {
                let chord: Chord = key.parse().map_err(|error| KeymapError::BadKey { name: name.clone(), error })?;
                let must =
                    [(Chord::ctrl('c'), Action::Quit, "quits"), (Chord::plain(Key::Esc), Action::Back, "goes back")];
                if let Some((_, _, does)) = must.iter().find(|(c, a, _)| *c == chord && *a != spec.action) {
                    let (chord, does) = (chord.to_string(), (*does).to_owned());
                    return Err(KeymapError::Reserved { name: name.clone(), chord, does });
                }
                if let Some(first) = map.action(chord).filter(|a| *a != spec.action).and_then(Action::spec) {
                    let (first, second) = (first.name.to_owned(), name.clone());
                    return Err(KeymapError::Duplicate { chord: chord.to_string(), first, second });
                }
                if map.action(chord).is_none() {
                    map.bindings.push((chord, spec.action));
                }
            }
        }
        // The two ways out stay whatever is remapped.
        for (chord, action) in [(Chord::ctrl('c'), Action::Quit), (Chord::plain(Key::Esc), Action::Back)] {
            if map.action(chord).is_none() {
                map.bindings.push((chord, action));
            }
        }
        Ok(map)
    }

    /// What a chord means on a screen.
    pub fn action(&self, chord: Chord) -> Option<Action> {
        self.bindings.iter().find(|(c, _)| *c == chord).map(|(_, action)| *action)
    }

    /// The chords of an action, in order of preference.
    pub fn chords(&self, action: Action) -> impl Iterator<Item = Chord> + '_ {
        self.bindings.iter().filter(move |(_, a)| *a == action).map(|(c, _)| *c)
    }

    /// The first chord of an action, written; empty if it has none.
    pub fn label(&self, action: Action) -> String {
        self.chords(action).next().map(|c| c.to_string()).unwrap_or_default()
    }

    /// The README's key table, in Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::from("| key | action | what it does |\n|---|---|---|\n");
        for spec in ACTIONS {
            let keys: Vec<String> = self.chords(spec.action).map(|c| format!("`{c}`")).collect();
            out.push_str(&["| ", &keys.join(" "), " | `", spec.name, "` | ", spec.help, " |\n"].concat());
        }
        out
    }
}
