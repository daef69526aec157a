//! Takes secrets out of text that comes from outside, before anything keeps or shows it.
//!
//! It would rather take too much than too little: what stands after `password=` goes, whatever it is. What it can't know
//! is a secret without any name or form; nothing here replaces care in what an application logs.

mod find;

use std::borrow::Cow;

/// What stands for a secret.
pub const REDACTED: &str = "[redacted]";
/// What one pass replaces may bring to light what a next one finds; more passes than these there never were.
const PASSES: usize = 8;

/// `text` without secrets: passwords in URLs and DSNs, values of keys that name secrets (`password=…`, `"token": "…"`,
/// `--password …`, `PASSWORD '…'`), authorization headers and cookies, tokens and password hashes known by their form,
/// private keys, and the secret parts of the links to orders and invitations. Doing it twice changes nothing.
pub fn redact(text: &str) -> Cow<'_, str> {
    let Some(mut out) = once(text) else { return Cow::Borrowed(text) };
    for _ in 1..PASSES {
        match once(&out) {
            Some(next) if next != out => out = next,
            Some(_) | None => break,
        }
    }
    Cow::Owned(out)
}

/// One pass; `None`: there is nothing to take out.
fn once(text: &str) -> Option<String> {
    let mut found = find::secrets(text);
    found.retain(|range| text.get(range.clone()).is_some_and(|secret| !secret.is_empty() && secret != REDACTED));
    if found.is_empty() {
        return None;
    }
    found.sort_by_key(|range| (range.start, range.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        if range.start >= done {
            out.push_str(text.get(done..range.start).unwrap_or_default());
            out.push_str(REDACTED);
        }
        done = done.max(range.end);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests;
