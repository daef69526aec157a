use ratatui::style::{Color, Modifier};

use super::*;

/// The 16 colours as xterm shows them by default.
const XTERM: [(Color, [u8; 3]); 16] = [
    (Color::Black, [0, 0, 0]),
    (Color::Red, [205, 0, 0]),
    (Color::Green, [0, 205, 0]),
    (Color::Yellow, [205, 205, 0]),
    (Color::Blue, [0, 0, 238]),
    (Color::Magenta, [205, 0, 205]),
    (Color::Cyan, [0, 205, 205]),
    (Color::Gray, [229, 229, 229]),
    (Color::DarkGray, [127, 127, 127]),
    (Color::LightRed, [255, 0, 0]),
    (Color::LightGreen, [0, 255, 0]),
    (Color::LightYellow, [255, 255, 0]),
    (Color::LightBlue, [92, 92, 255]),
    (Color::LightMagenta, [255, 0, 255]),
    (Color::LightCyan, [0, 255, 255]),
    (Color::White, [255, 255, 255]),
];

fn luminance(rgb: [u8; 3]) -> f64 {
    let linear = rgb.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

/// The contrast of a style as WCAG counts it, where `default` is black on white or white on black.
fn contrast(style: Style, light: bool) -> f64 {
    let (ink, paper) = if light { ([0; 3], [255; 3]) } else { ([255; 3], [0; 3]) };
    let rgb = |colour: Option<Color>, default: [u8; 3]| {
        XTERM.iter().find(|(c, _)| Some(*c) == colour).map_or(default, |(_, rgb)| *rgb)
    };
    let (a, b) = (luminance(rgb(style.fg, ink)), luminance(rgb(style.bg, paper)));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_built_in_theme_defines_every_role_itself_and_no_other() {
    for name in Theme::NAMES {
        let theme = Theme::parse(name, Theme::source(name).unwrap()).unwrap();
        let missing: Vec<_> = Role::ALL.iter().filter(|r| !theme.styles.contains_key(r)).collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
        assert_eq!(Theme::built_in(name), Some(theme));
    }
}

#[test]
fn every_style_can_be_read_on_the_terminal_it_is_for() {
    for name in Theme::NAMES {
        let theme = Theme::built_in(name).unwrap();
        for role in Role::ALL {
            let style = theme.style(*role);
            let least = if name == "high-contrast" { 5.0 } else { 3.0 };
            let contrast = contrast(style, name == "light");
            assert!(contrast >= least, "{name}: {} has a contrast of {contrast:.1}", role.name());
            for colour in [style.fg, style.bg].into_iter().flatten() {
                let safe = colour == Color::Reset || XTERM.iter().any(|(c, _)| *c == colour);
                assert!(safe, "{name}: {} uses {colour:?}, which 16 colours lack", role.name());
            }
        }
    }
}

#[test]
fn levels_differ_from_each_other_and_from_text() {
    for name in Theme::NAMES {
        let theme = Theme::built_in(name).unwrap();
        for (loud, calm) in [
            (Role::Critical, Role::Text),
            (Role::Critical, Role::Warning),
            (Role::Critical, Role::Ok),
            (Role::VerdictCritical, Role::VerdictOk),
            (Role::VerdictCritical, Role::VerdictWarning),
            (Role::VerdictUnknown, Role::VerdictOk),
            (Role::Unknown, Role::Ok),
            (Role::Selected, Role::Text),
            (Role::Stale, Role::Text),
            (Role::StripBad, Role::Strip),
            (Role::TabSelected, Role::Tab),
        ] {
            assert_ne!(theme.style(loud), theme.style(calm), "{name}: {} and {}", loud.name(), calm.name());
        }
    }
}

#[test]
fn mono_has_no_colour_and_without_colours_every_theme_is_mono() {
    let mono = Theme::built_in("mono").unwrap();
    let bare = Theme::built_in("dark").unwrap().adapted(TermProfile::NoColor);
    for role in Role::ALL {
        let style = mono.style(*role);
        assert_eq!((style.fg, style.bg), (None, None), "{}", role.name());
        let allowed = Modifier::BOLD | Modifier::REVERSED | Modifier::UNDERLINED | Modifier::DIM;
        assert!(allowed.contains(style.add_modifier));
        assert_eq!(bare.style(*role), style);
    }
}

#[test]
fn sixteen_colours_take_every_theme_as_it_is() {
    for name in Theme::NAMES {
        let theme = Theme::built_in(name).unwrap();
        assert_eq!(theme.clone().adapted(TermProfile::Ansi16), theme, "{name}");
    }
    let rich = Theme::parse("mine", "critical = \"#ff8800 on #102030\"").unwrap().adapted(TermProfile::Ansi16);
    let style = rich.style(Role::Critical);
    assert!(!matches!(style.fg, Some(Color::Rgb(..))) && !matches!(style.bg, Some(Color::Rgb(..))));
}

#[test]
fn a_file_of_the_operators_names_only_what_differs() {
    let mine = Theme::parse("mine", "base = \"light\"\ncritical = \"reverse\"\n").unwrap();
    assert_eq!(mine.style(Role::Critical), Style::new().reversed());
    assert_eq!(mine.style(Role::Warning), Theme::built_in("light").unwrap().style(Role::Warning));
    let dark = Theme::parse("other", "").unwrap();
    assert_eq!(dark.style(Role::Key), Theme::built_in("dark").unwrap().style(Role::Key));
    let patched = dark.patched(&BTreeMap::from([("key".to_owned(), "red".to_owned())])).unwrap();
    assert_eq!(patched.style(Role::Key), Style::new().fg(Color::Red));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let message = |text: &str| Theme::parse("mine", text).unwrap_err().to_string();
    assert_eq!(
        message("text = \"red\"\ncritcal = \"bold\"\n"),
        "theme `mine`, line 2: `critcal` is no role; did you mean `critical`?"
    );
    assert!(message("\n\nkey = \"bold rde\"").starts_with("theme `mine`, line 3, key: `rde` is neither a colour"));
    assert!(message("base = \"drak\"").contains("line 1: base = `drak` is no built-in theme"));
    assert!(message("text = 3").starts_with("theme `mine`, line 1: "));
    assert!(message("text = ").starts_with("theme `mine`, line 1: "));
    let unknown = Theme::built_in("dark").unwrap().patched(&BTreeMap::from([("xyz".to_owned(), String::new())]));
    assert_eq!(unknown.unwrap_err().to_string(), "theme `dark`: `xyz` is no role");
}
