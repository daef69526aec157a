//! What a person types, as an entry of the record: `TODO: …`, `DONE 12`, `SEV-2 …`, `ACK 30m …`, or just a note.

use super::{About, By, Entry, LINE_MAX, What, Who};
use crate::domain::id::Scope;
use crate::domain::level::Level;
use crate::domain::redact::{REDACTED, redact};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// How long an acknowledgement holds unless it says otherwise, in milliseconds: an hour.
pub const ACK_MS: i64 = 3_600_000;
/// The longest it can, in milliseconds: a week.
const ACK_MAX_MS: i64 = 7 * 86_400_000;

/// What a line means that was typed by `who` at `at` about `scope`, with the finding `about` selected. `None`: it is
/// empty.
pub fn said(line: &str, who: &Who, scope: Option<Scope>, about: Option<&About>, at: Timestamp) -> Option<Entry> {
    let line = plain(&spoken(&redact(line)), LINE_MAX);
    if line.is_empty() {
        return None;
    }
    let what = meant(&line, about, at);
    // An empty `TODO:` says nothing.
    if matches!(&what, What::Todo { text } if text.is_empty()) {
        return None;
    }
    let level = severity_level(&what);
    Some(Entry { id: 0, at, scope, level, by: By::Person(who.clone()), what }.clean())
}

/// What people call a secret when they write a sentence.
const SECRETS: &[&str] = &["password", "passwort", "passphrase", "passcode", "pin", "token", "secret", "key"];

/// `the password is hunter2`, which no log would say: the word after it goes if it looks like one that nobody could
/// guess. (`the token is invalid` stays.)
fn spoken(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let named = |at: usize| words.get(at).is_some_and(|word| SECRETS.contains(&bare(word).as_str()));
    let links =
        |at: usize| words.get(at).is_some_and(|word| matches!(bare(word).as_str(), "is" | "was" | "now" | "ist"));
    let telling = |word: &str| {
        let inner = word.trim_matches(|c: char| ",.;:!?\"'()".contains(c));
        inner.len() > 3 && inner.contains(|c: char| !c.is_alphabetic() && !matches!(c, '-' | '\''))
    };
    let secret = |at: usize, word: &str| {
        let before = |back: usize| at.checked_sub(back);
        let near = before(1).is_some_and(links) && (before(2).is_some_and(named) || before(3).is_some_and(named));
        near && telling(word)
    };
    let kept = |(at, word): (usize, &&str)| if secret(at, word) { REDACTED.to_owned() } else { (*word).to_owned() };
    words.iter().enumerate().map(kept).collect::<Vec<_>>().join(" ")
}

/// How bad what is said is: a severity as it says, everything else is a note.
fn severity_level(what: &What) -> Level {
    let What::Severity { severity: Some(severity), .. } = what else { return Level::Note };
    if *severity <= 2 { Level::Critical } else { Level::Warning }
}

fn meant(line: &str, about: Option<&About>, at: Timestamp) -> What {
    let (word, rest) = split_word(line);
    match (word.to_ascii_uppercase().as_str(), about) {
        ("TODO", _) => What::Todo { text: rest.to_owned() },
        ("DONE", _) => {
            let (number, text) = split_word(rest);
            match number.trim_start_matches('#').parse() {
                Ok(todo) => What::Done { todo, text: text.to_owned() },
                Err(_) => What::Note { text: line.to_owned() },
            }
        }
        ("ACK", Some(about)) => {
            let (first, text) = split_word(rest);
            let (span, text) = match span_ms(first) {
                Some(span) => (span, text),
                None => (ACK_MS, rest),
            };
            let until = at.plus_millis(span.min(ACK_MAX_MS));
            let About { finding, title } = about.clone();
            What::Acknowledged { finding, title, text: text.to_owned(), until }
        }
        ("RESOLVED", _) => What::Severity { severity: None, suspected: false, text: rest.to_owned() },
        (word, _) => match severity(word) {
            Some(n) => What::Severity { severity: Some(n), suspected: false, text: rest.to_owned() },
            None => What::Note { text: line.to_owned() },
        },
    }
}

/// The first word without a colon at its end, and what follows.
fn split_word(line: &str) -> (&str, &str) {
    let end = line.find([' ', ':']).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word, rest.trim_start_matches([' ', ':']))
}

/// `SEV-2`, `SEV2`.
fn severity(word: &str) -> Option<u8> {
    let digits = word.strip_prefix("SEV")?.trim_start_matches('-');
    digits.parse().ok().filter(|n| (1..=5).contains(n))
}

/// A span as people type it: `90s`, `30m`, `2h`, `1d`; in milliseconds.
pub fn span_ms(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|n| *n >= 0)?;
    let ms = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms)
}
