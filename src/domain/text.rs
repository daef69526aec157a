//! Text from outside made safe for a terminal.

/// `text` without control characters, escape sequences' leaders, bidirectional overrides or variation selectors,
/// white space folded, cut to at most `max` characters with `…`.
pub fn plain(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    let mut gap = false;
    for c in text.chars() {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}');
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if hidden {
            continue;
        }
        if count + usize::from(gap && count > 0) >= max {
            out.push('…');
            break;
        }
        if gap && count > 0 {
            out.push(' ');
            count += 1;
        }
        gap = false;
        out.push(c);
        count += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_that_could_move_a_cursor_survives() {
        assert_eq!(plain("a\x1b[2Jb\r\n\tc\u{202e}d\u{7}", 80), "a[2Jb cd");
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        assert_eq!(plain("abc def", 5), "abc d…");
        assert_eq!(plain("abc", 3), "abc");
    }
}
