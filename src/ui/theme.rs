//! Roles and their styles. A theme is data: `themes/*.toml` here, or a file of the operator's that names only what differs.
//!
//! Invariant: every theme has a style for every role; the built-in ones define each themselves.

use std::collections::{BTreeMap, HashMap};

use ratatui::style::Style;
use termprofile::TermProfile;

mod style;

pub use style::StyleError;

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $name:literal,)*) => {
        /// What a piece of the screen is, as far as its look goes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Role { $($(#[$doc])* $role,)* }

        impl Role {
            /// Every role, in the order of the theme files.
            pub const ALL: &[Self] = &[$(Self::$role,)*];

            /// Its name in a theme file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$role => $name,)* }
            }
        }
    };
}

roles! {
    /// Ordinary text, and the screen's background.
    Text = "text",
    /// What matters less: units, ages, evidence.
    Muted = "muted",
    /// What shall be found quickly: names, the current value.
    Accent = "accent",
    /// The title of a panel.
    Title = "title",
    /// Rules and frames.
    Border = "border",
    /// The first line.
    Header = "header",
    /// The name of a screen that isn't shown.
    Tab = "tab",
    /// The name of the screen that is shown.
    TabSelected = "tab-selected",
    /// The titles of a table's columns.
    Column = "column",
    /// The last line.
    Footer = "footer",
    /// A key to press.
    Key = "key",
    /// The selected row.
    Selected = "selected",
    /// Fine.
    Ok = "ok",
    /// Worth knowing.
    Note = "note",
    /// Not seen, or not yet.
    Unknown = "unknown",
    /// Needs a look soon.
    Warning = "warning",
    /// Broken.
    Critical = "critical",
    /// The verdict line when all is fine.
    VerdictOk = "verdict-ok",
    /// The verdict line when there is something worth knowing.
    VerdictNote = "verdict-note",
    /// The verdict line when something can't be seen.
    VerdictUnknown = "verdict-unknown",
    /// The verdict line when something needs a look.
    VerdictWarning = "verdict-warning",
    /// The verdict line when something is broken.
    VerdictCritical = "verdict-critical",
    /// A strip of past values.
    Strip = "strip",
    /// The parts of a strip in which all was fine.
    StripOk = "strip-ok",
    /// The parts of a strip in which something was wrong.
    StripBad = "strip-bad",
    /// The filled part of a bar.
    Bar = "bar",
    /// The filled part of a bar that is too full.
    BarBad = "bar-bad",
    /// The badge of a practice site.
    Practice = "practice",
    /// The badge of a read-only session.
    ReadOnly = "read-only",
    /// The badge of a screen held still.
    Paused = "paused",
    /// Values that are no longer current.
    Stale = "stale",
    /// A filter that is set or being typed.
    Filter = "filter",
    /// A short message.
    Toast = "toast",
}

/// A style for every role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    name: String,
    styles: BTreeMap<Role, Style>,
}

/// What is wrong with a theme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    /// The text is no TOML of the expected shape.
    #[error("theme `{theme}`, line {line}: {message}")]
    Syntax {
        /// The theme.
        theme: String,
        /// Where, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// No role has this name.
    #[error("theme `{theme}`{}: `{role}` is no role{}", at(*.line), hint(.nearest.as_deref()))]
    UnknownRole {
        /// The theme.
        theme: String,
        /// Where, from 1; 0 where the change did not come from a file.
        line: usize,
        /// As written.
        role: String,
        /// The nearest there is.
        nearest: Option<String>,
    },
    /// A style could not be read.
    #[error("theme `{theme}`{}, {role}: {error}", at(*.line))]
    Style {
        /// The theme.
        theme: String,
        /// Where, from 1; 0 where the change did not come from a file.
        line: usize,
        /// The role.
        role: String,
        /// Why.
        error: StyleError,
    },
    /// `base` names no built-in theme.
    #[error("theme `{theme}`, line {line}: base = `{base}` is no built-in theme: write one of {}", Theme::NAMES.join(", "))]
    UnknownBase {
        /// The theme.
        theme: String,
        /// Where, from 1.
        line: usize,
        /// As written.
        base: String,
    },
}

fn at(line: usize) -> String {
    if line == 0 { String::new() } else { format!(", line {line}") }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default()
}

const DARK: &str = include_str!("../../themes/dark.toml");
const LIGHT: &str = include_str!("../../themes/light.toml");
const HIGH_CONTRAST: &str = include_str!("../../themes/high-contrast.toml");
const COLOUR_BLIND_SAFE: &str = include_str!("../../themes/colour-blind-safe.toml");
const MONO: &str = include_str!("../../themes/mono.toml");

impl Theme {
    /// The built-in themes, in the order in which a key goes through them.
    pub const NAMES: [&str; 5] = ["dark", "light", "high-contrast", "colour-blind-safe", "mono"];

    /// The text of a built-in theme's file.
    pub fn source(name: &str) -> Option<&'static str> {
        let texts = [DARK, LIGHT, HIGH_CONTRAST, COLOUR_BLIND_SAFE, MONO];
        Self::NAMES.iter().zip(texts).find(|(known, _)| **known == name).map(|(_, text)| text)
    }

    /// A built-in theme; `None` if there is none of this name.
    pub fn built_in(name: &str) -> Option<Self> {
        let plain = Self { name: name.to_owned(), styles: BTreeMap::new() };
        Self::source(name).and_then(|text| plain.read(text).ok())
    }

    /// A theme from the text of a file: `role = "style"`, and `base = "light"` for the built-in theme that gives what
    /// the file leaves out (`dark` if nothing is said).
    ///
    /// # Errors
    /// With the line: no TOML, an unknown role or base, an unreadable style.
    pub fn parse(name: &str, text: &str) -> Result<Self, ThemeError> {
        Self { name: name.to_owned(), styles: BTreeMap::new() }.read(text)
    }

    /// This theme with the styles of some roles replaced.
    ///
    /// # Errors
    /// An unknown role, or an unreadable style.
    pub fn patched(mut self, changes: &BTreeMap<String, String>) -> Result<Self, ThemeError> {
        for (role, text) in changes {
            self.set(0, role, text)?;
        }
        Ok(self)
    }

    /// This theme with every colour replaced by the nearest that the terminal has; bold and reverse stay.
    #[must_use]
    pub fn adapted(mut self, profile: TermProfile) -> Self {
        // Without colours there must still be levels: a reversed bar says "look here" where red can't.
        let colours = matches!(profile, TermProfile::Ansi16 | TermProfile::Ansi256 | TermProfile::TrueColor);
        if !colours && let Some(mono) = Self::built_in("mono") {
            return Self { name: self.name, styles: mono.styles };
        }
        for style in self.styles.values_mut() {
            *style = profile.adapt_style(*style);
        }
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(&role).copied().unwrap_or_default()
    }

    fn read(mut self, text: &str) -> Result<Self, ThemeError> {
        type Entry = toml::Spanned<String>;
        let entries: HashMap<Entry, Entry> = toml::from_str(text).map_err(|error| ThemeError::Syntax {
            theme: self.name.clone(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().to_owned(),
        })?;
        let mut entries: Vec<(usize, String, String)> = entries
            .into_iter()
            .map(|(key, value)| (line_of(text, key.span().start), key.into_inner(), value.into_inner()))
            .collect();
        entries.sort();
        let base = entries.iter().position(|(_, key, _)| key == "base").map(|at| entries.remove(at));
        if let Some((line, _, base)) = base {
            let known = Self::NAMES.contains(&base.as_str()) && base != self.name;
            let theme = known.then(|| Self::built_in(&base)).flatten();
            self.styles = theme.ok_or_else(|| ThemeError::UnknownBase { theme: self.name.clone(), line, base })?.styles;
        } else if !Self::NAMES.contains(&self.name.as_str()) {
            self.styles = Self::built_in("dark").map(|dark| dark.styles).unwrap_or_default();
        }
        for (line, role, style) in entries {
            self.set(line, &role, &style)?;
        }
        Ok(self)
    }

    fn set(&mut self, line: usize, role: &str, text: &str) -> Result<(), ThemeError> {
        let theme = || self.name.clone();
        let Some(known) = Role::ALL.iter().copied().find(|known| known.name() == role) else {
            let near = Role::ALL.iter().map(|known| (strsim::jaro_winkler(known.name(), role), known.name()));
            let nearest = near.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.75);
            let nearest = nearest.map(|(_, name)| name.to_owned());
            return Err(ThemeError::UnknownRole { theme: theme(), line, role: role.to_owned(), nearest });
        };
        let style = style::parse(text).map_err(|error| ThemeError::Style {
            theme: theme(),
            line,
            role: role.to_owned(),
            error,
        })?;
        self.styles.insert(known, style);
        Ok(())
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
