//! Text from outside made safe for a terminal.

use std::borrow::Cow;

/// Whether a character moves the cursor, is not seen, or shows others in another order or another place: control
/// characters, what directs writing from right to left, joiners, variation selectors, tags, separators of lines.
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// `text` as it is, several lines of it too, with every character that [`misleads`] written out: `\u{202e}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    written_out(text, |c, out| out.extend(c.escape_unicode()))
}

/// A JSON document that means the same, in which no character [`misleads`]: such stand in its strings alone, and are
/// written out there.
pub fn escaped_json(document: &str) -> Cow<'_, str> {
    written_out(document, |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str("\\u");
            out.extend([12, 8, 4, 0].map(|shift| char::from_digit(u32::from(*unit >> shift & 15), 16).unwrap_or('0')));
        }
    })
}

fn written_out(text: &str, write: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let plain = |c: char| c == '\n' || !misleads(c);
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if plain(c) { out.push(c) } else { write(c, &mut out) }
    }
    Cow::Owned(out)
}

/// `text` without control characters, escape sequences' leaders, bidirectional overrides or variation selectors,
/// white space folded, cut to at most `max` characters with `…`.
pub fn plain(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if misleads(c) {
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

/// A span of milliseconds as people say it: `0.4 s`, `12 s`, `6m40s`, `3h05m`, `2d 4h`.
pub fn span(millis: u64) -> String {
    let secs = millis / 1000;
    match secs {
        0 if millis >= 100 => format!("0.{} s", millis / 100),
        0..60 => format!("{secs} s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86_400 => format!("{}h{:02}m", secs / 3600, secs % 3600 / 60),
        _ => format!("{}d {}h", secs / 86_400, secs % 86_400 / 3600),
    }
}

/// Bytes in binary units with three digits: `0 B`, `12.3 MB`, `1.50 GB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB", "PB"] {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    match value {
        _ if unit == "B" => format!("{bytes} B"),
        v if v < 9.995 => format!("{v:.2} {unit}"),
        v if v < 99.95 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

/// A share (0.0 to 1.0) in percent: `0 %`, `0.3 %`, `12 %`, `100 %`; never rounded up to 100 or down to 0.
pub fn percent(share: f64) -> String {
    let p = share * 100.0;
    match p {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 0.05 => "<0.1 %".to_owned(),
        p if p < 9.95 => format!("{p:.1} %"),
        p if p < 100.0 => format!("{:.0} %", p.min(99.0)),
        p => format!("{p:.0} %"),
    }
}

/// Milliseconds: `0.4 ms`, `12 ms`, `1.20 s`, `31.0 s`.
pub fn latency(millis: f64) -> String {
    match millis {
        m if m < 9.95 => format!("{m:.1} ms"),
        m if m < 999.5 => format!("{m:.0} ms"),
        m if m < 9_995.0 => format!("{:.2} s", m / 1000.0),
        m => format!("{:.1} s", m / 1000.0),
    }
}

/// A count with its noun: `1 task`, `312 tasks`.
pub fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `1 task waits`, `312 tasks wait`.
pub fn tasks_wait(n: u64) -> String {
    if n == 1 { "1 task waits".to_owned() } else { format!("{n} tasks wait") }
}

#[cfg(test)]
mod tests {
    use super::{escaped, escaped_json, misleads, plain};

    #[test]
    fn what_misleads_is_written_out_and_a_document_means_the_same() {
        assert_eq!(escaped("a\n  b c"), "a\n  b c");
        assert_eq!(escaped("rm \u{202e}txt\u{1b}[2J\r\u{e0041}"), "rm \\u{202e}txt\\u{1b}[2J\\u{d}\\u{e0041}");
        let text = "a\n\u{9b}2J \u{2066}\u{e0041}\u{61c}é";
        let document = serde_json::to_string(text).unwrap();
        let shown = escaped_json(&document);
        assert!(!shown.chars().any(misleads), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        assert_eq!(plain("a\u{202e}b\u{2067}c\u{61c}d\u{e0041}e\u{2028}f", 80), "abcde f");
    }

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
