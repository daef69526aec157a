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
