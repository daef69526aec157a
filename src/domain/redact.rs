//! Takes secrets out of text that comes from outside, before anything keeps or shows it.

use std::borrow::Cow;

/// Names whose values are secrets, in lower case, as they end a key.
const KEYS: &[&str] =
    &["password", "passwd", "passphrase", "pwd", "secret", "token", "api_key", "apikey", "secret_key"];
/// What stands for a secret.
pub const REDACTED: &str = "[redacted]";

/// `text` without the login of URLs and without the values of keys that name secrets (`password=…`, `token: …`).
pub fn redact(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    if !lower.contains("://") && !KEYS.iter().any(|key| lower.contains(key)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        out.push_str(&logins(&values(word)));
    }
    Cow::Owned(out)
}

fn values(word: &str) -> String {
    let Some((key, value)) = word.split_once(['=', ':']) else { return word.to_owned() };
    let name = key.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
    if value.trim().is_empty() || value.starts_with("//") || !KEYS.iter().any(|k| name.ends_with(k)) {
        return word.to_owned();
    }
    let end: String = value.chars().rev().take_while(|c| c.is_whitespace()).collect();
    let separator = word.get(key.len()..=key.len()).unwrap_or("=");
    [key, separator, REDACTED, &end].concat()
}

fn logins(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let Some(at) = authority.rfind('@') else { return word.to_owned() };
    [scheme, "://", REDACTED, rest.get(at..).unwrap_or_default()].concat()
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn logins_and_values_of_secret_keys_go() {
        assert_eq!(redact("to redis://:pw@h:1/0 now"), "to redis://[redacted]@h:1/0 now");
        assert_eq!(redact("DB_PASSWORD=hunter2 next"), "DB_PASSWORD=[redacted] next");
        assert_eq!(redact("see http://host/path"), "see http://host/path");
        assert_eq!(redact("nothing here"), "nothing here");
    }
}
