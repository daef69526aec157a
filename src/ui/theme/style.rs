//! A style as people write it: `bold red`, `black on yellow`, `#1d2021 on default`, `reverse`.

use ratatui::style::{Color, Modifier, Style};

/// A style that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StyleError {
    /// A word that means nothing.
    #[error(
        "`{0}` is neither a colour (default, black, red, green, yellow, blue, magenta, cyan, white, bright-…, #rrggbb) \
         nor one of bold, dim, italic, underline, reverse"
    )]
    Word(String),
    /// Two colours for the same place.
    #[error("`{0}` is a second colour: write `colour on colour`")]
    SecondColour(String),
    /// `on` without a colour after it.
    #[error("`on` needs a colour after it")]
    NoBackground,
}

const COLOURS: [(&str, Color); 17] = [
    ("default", Color::Reset),
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("white", Color::Gray),
    ("bright-black", Color::DarkGray),
    ("bright-red", Color::LightRed),
    ("bright-green", Color::LightGreen),
    ("bright-yellow", Color::LightYellow),
    ("bright-blue", Color::LightBlue),
    ("bright-magenta", Color::LightMagenta),
    ("bright-cyan", Color::LightCyan),
    ("bright-white", Color::White),
];

const MODIFIERS: [(&str, Modifier); 5] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underline", Modifier::UNDERLINED),
    ("reverse", Modifier::REVERSED),
];

/// Reads a style. A colour that isn't named stays as it is below.
pub(super) fn parse(text: &str) -> Result<Style, StyleError> {
    let mut style = Style::new();
    let mut background = false;
    for word in text.split_whitespace() {
        if let Some((_, modifier)) = MODIFIERS.iter().find(|(name, _)| *name == word) {
            style = style.add_modifier(*modifier);
        } else if word == "on" && !background {
            background = true;
        } else {
            let colour = colour(word).ok_or_else(|| StyleError::Word(word.to_owned()))?;
            let place = if background { &mut style.bg } else { &mut style.fg };
            if place.replace(colour).is_some() {
                return Err(StyleError::SecondColour(word.to_owned()));
            }
        }
    }
    if background && style.bg.is_none() { Err(StyleError::NoBackground) } else { Ok(style) }
}

fn colour(word: &str) -> Option<Color> {
    if let Some(hex) = word.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.is_ascii()) {
        return u32::from_str_radix(hex, 16).ok().map(Color::from_u32);
    }
    COLOURS.iter().find(|(name, _)| *name == word).map(|(_, colour)| *colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_read_as_written() {
        assert_eq!(parse("bold red"), Ok(Style::new().fg(Color::Red).bold()));
        assert_eq!(parse("black on yellow"), Ok(Style::new().fg(Color::Black).bg(Color::Yellow)));
        assert_eq!(parse("#010203 on default"), Ok(Style::new().fg(Color::Rgb(1, 2, 3)).bg(Color::Reset)));
        assert_eq!(parse("reverse"), Ok(Style::new().reversed()));
        assert_eq!(parse(""), Ok(Style::new()));
    }

    #[test]
    fn nonsense_is_told() {
        assert_eq!(parse("bold rde"), Err(StyleError::Word("rde".into())));
        assert_eq!(parse("red blue"), Err(StyleError::SecondColour("blue".into())));
        assert_eq!(parse("red on"), Err(StyleError::NoBackground));
        for text in ["#12345", "#12345g", "#ÄÄÄ", "on on", "#"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
