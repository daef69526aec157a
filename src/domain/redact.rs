//! Takes secrets out of text that comes from outside, before anything keeps or shows it.

use std::borrow::Cow;

/// Names whose values are secrets, in lower case, as they end a key.
const KEYS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "pwd",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "secret_key",
    "secret-key",
    "access_key",
    "private_key",
    "authorization",
    "cookie",
    "pgpassword",
    "mysql_pwd",
];
/// Words that come between a key and its value when people write: `the password is …`, `Authorization: Bearer …`.
const BETWEEN: &[&str] = &["is", "was", "=", ":", "=>", "bearer", "basic", "token"];
/// What stands for a secret.
pub const REDACTED: &str = "[redacted]";

/// `text` without the login of URLs and without the values of keys that name secrets (`password=…`, `token: …`, `the
/// password is …`). What is left out is only what is known to be secret: a secret without a name stays.
pub fn redact(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    if !lower.contains("://") && !KEYS.iter().any(|key| lower.contains(key)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    // Whether a value is waited for, and whether that was said by `:`, `=` or a word between.
    let (mut key, mut sure) = (false, false);
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim();
        if bare.is_empty() {
            out.push_str(word);
            continue;
        }
        let lower = bare.to_ascii_lowercase();
        if key && (BETWEEN.contains(&lower.as_str()) || BETWEEN.contains(&lower.trim_end_matches([':', '=']))) {
            sure = true;
            out.push_str(word);
            continue;
        }
        if key && sure {
            let end = word.get(word.trim_end().len()..).unwrap_or_default();
            out.push_str(REDACTED);
            out.push_str(end);
            (key, sure) = (false, false);
            continue;
        }
        key = names_secret(lower.trim_end_matches([':', '=']));
        // `--password …` is followed by it, too.
        sure = key && (lower.ends_with([':', '=']) || lower.starts_with("--"));
        out.push_str(&logins(&values(word)));
    }
    Cow::Owned(out)
}

/// Whether a word is the name of a secret: `DB_PASSWORD`, `--token`.
fn names_secret(word: &str) -> bool {
    let name = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    KEYS.iter().any(|key| name.ends_with(key))
}

/// `key=value`, `key:value`, and several of them in one word (`a=1&token=2`).
fn values(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for part in word.split_inclusive(['&', ',', ';']) {
        let end =
            part.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '&' | ',' | ';' | '"' | '\'' | '}' | ')'));
        let (body, tail) = part.split_at(end.len());
        match body.find(['=', ':']).map(|at| body.split_at(at)) {
            Some((key, value))
                if value.len() > 1 && !value.starts_with("://") && names_secret(&key.to_ascii_lowercase()) =>
            {
                out.push_str(&[key, value.get(..1).unwrap_or("="), REDACTED, tail].concat());
            }
            Some(_) | None => out.push_str(part),
        }
    }
    out
}

fn logins(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let Some(at) = authority.rfind('@') else { return word.to_owned() };
    [scheme, "://", REDACTED, rest.get(at..).unwrap_or_default()].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::redact;

    #[test]
    fn logins_and_values_of_secret_keys_go() {
        for (text, expected) in [
            ("to redis://:pw@h:1/0 now", "to redis://[redacted]@h:1/0 now"),
            ("DB_PASSWORD=hunter2 next", "DB_PASSWORD=[redacted] next"),
            ("token: hunter2 next", "token: [redacted] next"),
            ("the password is hunter2, try it", "the password is [redacted] try it"),
            ("Authorization: Bearer hunter2", "Authorization: Bearer [redacted]"),
            ("PGPASSWORD = hunter2 psql", "PGPASSWORD = [redacted] psql"),
            ("?a=1&token=hunter2&b=2", "?a=1&token=[redacted]&b=2"),
            ("{\"password\":\"hunter2\",\"user\":\"rose\"}", "{\"password\":[redacted]\",\"user\":\"rose\"}"),
            ("mysql --password hunter2 -h db", "mysql --password [redacted] -h db"),
            ("see http://host/path", "see http://host/path"),
            ("the token bucket is empty", "the token bucket is empty"),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_named_a_secret_never_stays(before in "[a-z ]{0,20}", name in "(password|DB_TOKEN|api_key)", sep in "(=|: |:| is )", after in "[a-z ]{0,20}") {
            let text = format!("{before} {name}{sep}hunter2 {after}");
            prop_assert!(!redact(&text).contains("hunter2"), "{}", redact(&text));
        }

        #[test]
        fn it_never_panics_and_is_done_once(text in "\\PC{0,120}") {
            let once = redact(&text).into_owned();
            prop_assert_eq!(redact(&once).into_owned(), once);
        }
    }
}
