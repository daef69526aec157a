//! Text measured, cut and wrapped in columns of the terminal, never within a grapheme.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// The columns `text` takes.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.graphemes(true).map(UnicodeWidthStr::width).sum() }
}

/// `text` in at most `max` columns; what was cut off shows as `…`.
pub(super) fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used >= max {
            break;
        }
        out.push_str(grapheme);
    }
    if max > 0 {
        out.push('…');
    }
    Cow::Owned(out)
}

/// `text` in at most `max` columns, cut at its beginning: for dotted names and paths, whose end tells them apart.
pub(super) fn cut_start(text: &str, max: usize) -> Cow<'_, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut used = 0;
    for grapheme in text.graphemes(true).rev() {
        used += grapheme.width();
        if used >= max {
            break;
        }
        kept.push(grapheme);
    }
    let tail = kept.into_iter().rev().collect::<String>();
    Cow::Owned(if max > 0 { ["…", &tail].concat() } else { String::new() })
}

/// `text` in lines of at most `max` columns, broken between words where that is possible.
pub(super) fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let gap = usize::from(!line.is_empty());
        if width(&line) + gap + width(word) > max && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        // What is wider than a whole line can't be shown at all.
        for grapheme in word.graphemes(true).filter(|g| g.width() <= max) {
            if width(&line) + grapheme.width() > max && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line.push_str(grapheme);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `text` in lines of at most `max` columns, every character where it was: for commands, where a blank may matter.
pub(super) fn fold(text: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    // What is wider than a whole line can't be shown at all.
    for grapheme in text.graphemes(true).filter(|g| g.width() <= max) {
        if used + grapheme.width() > max {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        line.push_str(grapheme);
        used += grapheme.width();
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cutting_keeps_graphemes_whole() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(cut_start("pretix.base.services", 9), "…services");
        assert_eq!(wrap("eins zwei drei", 9), ["eins zwei", "drei"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(fold("a  b c", 3), ["a  ", "b c"]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked(text in "\\PC{0,40}", max in 2_usize..30) {
            prop_assert!(width(&cut(&text, max)) <= max);
            prop_assert!(width(&cut_start(&text, max)) <= max);
            prop_assert!(wrap(&text, max).iter().all(|line| width(line) <= max));
            prop_assert!(fold(&text, max).iter().all(|line| width(line) <= max));
        }
    }
}
