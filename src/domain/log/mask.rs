//! The pattern of a message: what stays the same when the same thing happens again.

/// Most characters of a pattern.
const PATTERN_MAX: usize = 300;
/// Most bytes between two quotes that are taken for a quoted value.
const QUOTED_MAX: usize = 400;

/// `text` with numbers, ids, UUIDs, hexadecimal and quoted values replaced, cut to a bounded length.
pub fn pattern(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(PATTERN_MAX));
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        if out.len() >= PATTERN_MAX {
            break;
        }
        let word = rest.find(|c: char| !is_word(c)).map_or(rest, |end| rest.get(..end).unwrap_or(rest));
        let taken = if !word.is_empty() {
            put(&mut out, word);
            word.len()
        } else if let Some(inner) = quoted(rest, first, before) {
            out.extend([first, '…', first]);
            inner + 2 * first.len_utf8()
        } else {
            out.push(first);
            first.len_utf8()
        };
        before = rest.get(..taken).and_then(|t| t.chars().next_back()).unwrap_or(' ');
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// The length of what stands between a quote at the front and its closing one. An apostrophe opens nothing.
fn quoted(rest: &str, quote: char, before: char) -> Option<usize> {
    if !matches!(quote, '"' | '\'' | '`') || before.is_alphanumeric() {
        return None;
    }
    let inner = rest.get(quote.len_utf8()..)?;
    inner.find(quote).filter(|end| (1..=QUOTED_MAX).contains(end))
}

/// A word as it stays the same: ids become one `#`, other digits in a row become one each.
fn put(out: &mut String, word: &str) {
    // pretix' order codes are letters as often as not.
    if out.ends_with("/order/") || out.ends_with("/orders/") {
        out.push('#');
        return;
    }
    if !word.bytes().any(|b| b.is_ascii_digit()) {
        out.push_str(word);
        return;
    }
    if is_id(word) {
        out.push('#');
        return;
    }
    let mut digits = false;
    for c in word.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !digits {
            out.push('#');
        }
        digits = c.is_ascii_digit();
    }
}

/// Hexadecimal of some length, a UUID, or letters and digits too mixed to be a name.
fn is_id(word: &str) -> bool {
    let hex = word.strip_prefix("0x").unwrap_or(word);
    if hex.len() >= 8 && hex.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return true;
    }
    let kinds: Vec<bool> = word.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.is_ascii_digit()).collect();
    let changes = kinds.windows(2).filter(|pair| matches!(pair, [a, b] if a != b)).count();
    word.len() >= 6 && changes >= 3
}

/// A 64-bit FNV-1a hash over several texts, each closed off from the next.
pub fn hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::pattern;

    #[test]
    fn the_same_thing_has_one_pattern() {
        for (a, b) in [
            ("WORKER TIMEOUT (pid:21020)", "WORKER TIMEOUT (pid:7)"),
            (
                "Task notify[f0e22e9a-7e2c-443d-9eea-7991921a5023] failed",
                "Task notify[fbad7ee1-20e7-4337-af25-c28f355b0617] failed",
            ),
            ("relation \"orders\" does not exist at character 15", "relation \"users\" does not exist at character 7"),
            ("Internal Server Error: /a/order/X7KD9/", "Internal Server Error: /a/order/YBLEK/"),
            ("object at 0x7f3a9c0012", "object at 0x7f3a9c9990"),
        ] {
            assert_eq!(pattern(a), pattern(b));
        }
    }

    #[test]
    fn different_things_have_different_patterns() {
        for (a, b) in [
            ("connection refused", "connection reset"),
            ("can't connect, it's gone", "can't write, it's gone"),
            ("utf8 broken", "ascii broken"),
        ] {
            assert_ne!(pattern(a), pattern(b));
        }
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_never_panics(text in "\\PC{0,900}") {
            prop_assert!(pattern(&text).len() <= super::PATTERN_MAX + text.len().min(900));
        }

        #[test]
        fn numbers_make_no_difference(words in "[a-z ]{0,40}", a in any::<u32>(), b in any::<u32>()) {
            prop_assert_eq!(pattern(&format!("{words} {a} x")), pattern(&format!("{words} {b} x")));
        }
    }
}
