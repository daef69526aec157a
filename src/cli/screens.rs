//! `midwatch` on a terminal: themes, locale, terminal, event loop.

mod journals;
mod work;

use std::env;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::{WrapErr, eyre};
use jiff::tz::TimeZone;
use termprofile::{DetectorSettings, TermProfile};

use crate::app::keymap::Keymap;
use crate::app::model::Model;
use crate::config::{ColorChoice, Config, Look as LookConfig};
use crate::runtime::driver::{self, End, Signals};
use crate::runtime::input::inputs;
use crate::runtime::terminal::{Frame, Terminal};
use crate::ui::theme::Theme;
use crate::ui::{self, Glyphs, Look};
use crate::watch::{self, Watch};

/// Opens the screens and runs until the operator leaves.
/// `flags` lead a runner it starts to the same configuration.
pub async fn open(config: Arc<Config>, flags: Vec<OsString>) -> color_eyre::Result<End> {
    let looks = looks(&config.look).map_err(|why| eyre!(why))?;
    let mut model = watch::model(&config);
    model.keymap = Keymap::with(&config.keys).wrap_err("[keys] in the configuration")?;
    model.themes = looks.len();
    model.theme = looks.iter().position(|l| l.theme.name() == config.look.theme).unwrap_or(0);
    model.size = Terminal::size().wrap_err("the terminal's size can't be read")?;
    let signals = Signals::take().wrap_err("signals can't be received")?;
    let inputs = inputs().wrap_err("there is no terminal to read keys from")?;
    let terminal =
        Terminal::enter().wrap_err("the terminal can't be used: midwatch needs one on its standard output")?;
    let frame_time = Duration::from_millis(1000 / u64::from(config.look.frames_per_second.clamp(1, 60)));
    let (mut watch, wires) = Watch::begin(&config);
    let work = watch.work().map(|work| tokio::spawn(work::serve(Arc::clone(&config), Arc::new(flags), work)));
    let drawn = looks.clone();
    let draw = move |model: &Model, frame: &mut Frame<'_>| {
        if let Some(look) = drawn.get(model.theme).or_else(|| drawn.first()) {
            ui::render(model, look, frame);
        }
    };
    let plain = |model: &Model| match looks.get(model.theme).or_else(|| looks.first()) {
        Some(look) => ui::plain(model, look, model.size.0, model.size.1),
        None => String::new(),
    };
    let end = driver::screens(model, wires, (signals, terminal), inputs, frame_time, draw, plain).await;
    if let Some(work) = work {
        work.abort();
    }
    watch.end().await;
    end.wrap_err("the event loop could not be started")
}

/// Every theme there is, the operator's own included, for this terminal.
///
/// # Errors
/// A sentence: an unknown theme, or a mistake in the operator's own.
pub fn looks(look: &LookConfig) -> Result<Vec<Look>, String> {
    let profile = profile(look.color);
    let glyphs = if look.ascii || !utf8() { Glyphs::Ascii } else { Glyphs::Unicode };
    let zone = TimeZone::system();
    let mut themes: Vec<Theme> = Theme::NAMES.iter().filter_map(|name| Theme::built_in(name)).collect();
    if !Theme::NAMES.contains(&look.theme.as_str()) {
        themes.push(own_theme(look)?);
    }
    let finish = |theme: Theme| {
        let theme = theme.patched(&look.patch).map_err(|error| format!("[look.roles]: {error}"))?;
        Ok(Look { theme: theme.adapted(profile), glyphs, zone: zone.clone() })
    };
    themes.into_iter().map(finish).collect()
}

fn own_theme(look: &LookConfig) -> Result<Theme, String> {
    let unknown = || format!("there is no theme `{}`; there are {}", look.theme, Theme::NAMES.join(", "));
    let path = look
        .theme_dirs
        .iter()
        .map(|dir| dir.join(format!("{}.toml", look.theme)))
        .find(|p| p.is_file())
        .ok_or_else(unknown)?;
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Theme::parse(&look.theme, &text).map_err(|error| format!("{}: {error}", path.display()))
}

pub(super) fn profile(choice: ColorChoice) -> TermProfile {
    let detected = || TermProfile::detect(&std::io::stdout(), DetectorSettings::default());
    match choice {
        ColorChoice::Auto => detected(),
        ColorChoice::Always => match detected() {
            TermProfile::NoTty | TermProfile::NoColor => TermProfile::Ansi16,
            known @ (TermProfile::Ansi16 | TermProfile::Ansi256 | TermProfile::TrueColor) => known,
        },
        ColorChoice::Never => TermProfile::NoColor,
        ColorChoice::Ansi16 => TermProfile::Ansi16,
        ColorChoice::Ansi256 => TermProfile::Ansi256,
        ColorChoice::Truecolor => TermProfile::TrueColor,
    }
}

/// Whether the locale is UTF-8: the first of `LC_ALL`, `LC_CTYPE`, `LANG` that is set decides.
pub(super) fn utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| env::var(name).ok()).find(|v| !v.is_empty());
    locale.is_some_and(|l| {
        let l = l.to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    })
}
