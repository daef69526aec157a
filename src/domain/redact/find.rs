//! Where the secrets are in a text.

use std::ops::Range;

use memchr::memmem;

use super::REDACTED;

/// Parts of names whose values are secrets, in lower case.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "private_key",
    "signing_key",
    "credential",
    "sessionid",
    "session_key",
    "requirepass",
    "masterauth",
    "smtp_pass",
    "db_pass",
];
/// Names whose values are secrets, whole.
const WHOLE: &[&str] = &["pass", "auth"];
/// Names whose values reach to the end of the line.
const HEADERS: &[&str] = &["authorization", "cookie"];
/// What is in the place of a value and is none.
const NOTHING: &[&str] = &["none", "null", "true", "false", "nil", "undefined", "''", "\"\""];
/// How tokens begin that are known by their form.
const FORMS: &[&str] = &[
    "AKIA",
    "ASIA",
    "AIza",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "whsec_",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "SG.",
    "eyJ",
];
/// How password hashes begin.
const HASHES: &[&str] =
    &["pbkdf2_sha256$", "pbkdf2_sha1$", "argon2$", "bcrypt_sha256$", "bcrypt$", "scrypt$", "SCRAM-SHA-256$"];
/// Programs that take a secret as the argument of a short option.
const OPTIONS: &[(&str, &str)] = &[
    ("mysql", " -p"),
    ("mariadb", " -p"),
    ("sshpass", " -p"),
    ("redis-cli", " -a"),
    ("valkey-cli", " -a"),
    ("curl", " -u"),
];
/// Links of pretix and pretalx with a secret, and how many parts of the path come before it.
const LINKS: &[(&str, usize)] =
    &[("/order/", 1), ("/ticket/", 2), ("/invite/", 0), ("/invitation/", 0), ("/reset/", 0), ("/recover/", 0)];

/// The places of all secrets; they may overlap.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let lower = text.to_ascii_lowercase();
    logins(text, &mut out);
    for name in NAMES.iter().chain(WHOLE).chain(HEADERS) {
        for at in memmem::find_iter(lower.as_bytes(), name) {
            named(text, &lower, at, name, &mut out);
        }
    }
    for scheme in ["bearer ", "basic ", "digest "] {
        for at in memmem::find_iter(lower.as_bytes(), scheme) {
            let start = at + scheme.len();
            let token = span(text, start, |c| c.is_ascii_alphanumeric() || "._~+/=-".contains(c));
            let telling = text.get(token.clone()).is_some_and(|t| t.contains(|c: char| c.is_ascii_digit() || c == '='));
            out.extend((token.len() >= 8 && telling).then_some(token));
        }
    }
    for form in FORMS {
        for at in memmem::find_iter(text.as_bytes(), form).filter(|at| begins(text, *at)) {
            let token = span(text, at, |c| c.is_ascii_alphanumeric() || "._-".contains(c));
            out.extend((token.len() >= form.len() + 12).then_some(token));
        }
    }
    for form in HASHES {
        let hash = |at| span(text, at, |c| !c.is_whitespace() && !"\"'<>".contains(c));
        out.extend(memmem::find_iter(text.as_bytes(), form).map(hash));
    }
    keys(text, &mut out);
    options(text, &lower, &mut out);
    links(text, &mut out);
    out
}

/// The characters from `start` on that are `of` a kind.
fn span(text: &str, start: usize, of: impl Fn(char) -> bool) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    start..start + rest.find(|c| !of(c)).unwrap_or(rest.len())
}

fn begins(text: &str, at: usize) -> bool {
    !text.get(..at).is_some_and(|before| before.ends_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Passwords in URLs: `scheme://user:PASSWORD@host`, and a login that is one long token (`https://TOKEN@sentry.io/1`).
fn logins(text: &str, out: &mut Vec<Range<usize>>) {
    let ends = |c: char| c.is_whitespace() || "\"'<>`".contains(c);
    for at in memmem::find_iter(text.as_bytes(), "://") {
        let start = at + 3;
        let whole = span(text, start, |c| !ends(c));
        let Some(rest) = text.get(whole) else { continue };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        // A password may hold a slash that nobody has escaped; a port holds only digits.
        let slashed = || {
            let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
            let like_port = port.bytes().all(|b| b.is_ascii_digit()) || port.ends_with(']');
            rest.rfind('@').filter(|_| !like_port)
        };
        let Some(host_end) = authority.rfind('@').or_else(slashed) else { continue };
        let Some(login) = rest.get(..host_end) else { continue };
        match login.split_once(':') {
            Some((user, password)) if !password.is_empty() => {
                let from = start + user.len() + 1;
                out.push(from..from + password.len());
            }
            None if login.len() >= 16 => out.push(start..start + login.len()),
            Some(_) | None => {}
        }
    }
}

/// The value of a name that was found at `at`.
fn named(text: &str, lower: &str, at: usize, name: &str, out: &mut Vec<Range<usize>>) {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let name_end = span(text, at, in_name).end;
    if WHOLE.contains(&name) {
        let before = lower.get(..at).unwrap_or_default();
        if before.ends_with(|c: char| c.is_ascii_alphanumeric()) || name_end != at + name.len() {
            return;
        }
    }
    let header = HEADERS.contains(&name);
    let after = text.get(name_end..).unwrap_or_default();
    // `"token": …`, `\"token\": …`, `['token'] = …`
    let bare = after.trim_start_matches(['\\', '"', '\'', '`', ']']);
    let closed = after.len() - bare.len();
    let gap = bare.len() - bare.trim_start_matches([' ', '\t']).len();
    let sign = bare.get(gap..).unwrap_or_default();
    let value = match sign.strip_prefix("=>").or_else(|| sign.strip_prefix(['=', ':'])) {
        Some(value) if !value.starts_with("//") => value,
        Some(_) => return,
        None => {
            // `PASSWORD 'x'`, `--password x`, `requirepass x`
            let dashed = text
                .get(..at)
                .is_some_and(|b| b.trim_end_matches(in_name).is_empty() || word_before(b).starts_with('-'));
            let option = dashed && word_before(text.get(..name_end).unwrap_or_default()).starts_with("--");
            let directive = matches!(name, "requirepass" | "masterauth");
            let quoted = sign.starts_with(['\'', '"']);
            if gap == 0 || closed > 0 || !(option || directive || quoted) || (option && sign.starts_with('-')) {
                return;
            }
            sign
        }
    };
    let value = value.trim_start_matches([' ', '\t']);
    let start = text.len() - value.len();
    out.extend(value_at(text, start, header));
}

fn word_before(text: &str) -> &str {
    text.rsplit(|c: char| c.is_whitespace() || "\"'".contains(c)).next().unwrap_or_default()
}

/// The value that begins at `start`; what says that there is none is left.
fn value_at(text: &str, start: usize, whole_line: bool) -> Option<Range<usize>> {
    let rest = text.get(start..)?;
    if rest.starts_with(REDACTED) {
        return None;
    }
    // `b'…'`, `r"…"`, `\"…\"`
    let prefix =
        usize::from(rest.starts_with(['b', 'r', 'u']) && rest.get(1..).is_some_and(|r| r.starts_with(['\'', '"'])));
    let prefix = prefix + rest.get(prefix..).map_or(0, |r| r.len() - r.trim_start_matches('\\').len());
    let inner = rest.get(prefix..)?;
    let range = match inner.chars().next() {
        Some(quote @ ('"' | '\'' | '`')) => {
            let from = start + prefix + 1;
            let body = text.get(from..)?;
            from..from + closing(body, quote, prefix > 0 && rest.starts_with('\\'))
        }
        Some(_) if whole_line => start..start + rest.find(['\n', '"', '\'']).unwrap_or(rest.len()),
        Some(_) | None => span(text, start, |c| !c.is_whitespace() && !"&\"'<>`".contains(c)),
    };
    let secret = text.get(range.clone())?.trim_end_matches([',', ';', ')', '}', ']']);
    let nothing = secret.is_empty() || NOTHING.contains(&secret.to_ascii_lowercase().as_str());
    (!nothing && !secret.starts_with(REDACTED)).then_some(range)
}

/// Where a quoted value ends; an escaped quote doesn't end it, unless the opening one was escaped too.
fn closing(body: &str, quote: char, escaped: bool) -> usize {
    let mut before = ' ';
    for (at, c) in body.char_indices() {
        if c == '\n' {
            return at;
        }
        if c == quote && (escaped || before != '\\') {
            return if escaped && before == '\\' { at - 1 } else { at };
        }
        before = if before == '\\' && c == '\\' { ' ' } else { c };
    }
    body.len()
}

/// Private keys, from their first line to their last.
fn keys(text: &str, out: &mut Vec<Range<usize>>) {
    for at in memmem::find_iter(text.as_bytes(), "PRIVATE KEY-----") {
        let head = text.get(..at).unwrap_or_default();
        if head
            .rfind("-----BEGIN")
            .is_none_or(|begin| head.get(begin..).is_none_or(|h| h.contains('\n') || h.contains("-----END")))
        {
            continue;
        }
        let start = at + "PRIVATE KEY-----".len();
        let rest = text.get(start..).unwrap_or_default();
        let end = start + rest.find("-----END").unwrap_or(rest.len());
        if text.get(start..end).is_some_and(|key| key.trim() != REDACTED) {
            out.push(start..end);
        }
    }
}

/// Secrets as arguments of short options: `mysql -pX`, `redis-cli -a X`, `curl -u user:X`.
fn options(text: &str, lower: &str, out: &mut Vec<Range<usize>>) {
    for (program, option) in OPTIONS {
        let Some(program) = memmem::find(lower.as_bytes(), program.as_bytes()) else { continue };
        for at in memmem::find_iter(text.as_bytes(), option).filter(|at| *at > program) {
            let start = at + option.len();
            let rest = text.get(start..).unwrap_or_default();
            let joined = !rest.starts_with(char::is_whitespace);
            // To mysql the option without a value means: ask. What follows is the database.
            if !joined && *option == " -p" && !lower.contains("sshpass") {
                continue;
            }
            let start = start + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
            out.extend(
                value_at(text, start, false).filter(|r| !text.get(r.clone()).is_some_and(|v| v.starts_with('-'))),
            );
        }
    }
}

/// The secret parts of links.
fn links(text: &str, out: &mut Vec<Range<usize>>) {
    for (link, parts) in LINKS {
        for at in memmem::find_iter(text.as_bytes(), link) {
            let mut start = at + link.len();
            let mut parts = *parts;
            while parts > 0 {
                let part = span(text, start, |c| c.is_ascii_alphanumeric());
                if part.is_empty() || text.as_bytes().get(part.end) != Some(&b'/') {
                    break;
                }
                start = part.end + 1;
                parts -= 1;
            }
            let secret = span(text, start, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            let mixed = text.get(secret.clone()).is_some_and(|s| s.contains(|c: char| c.is_ascii_digit()));
            out.extend((parts == 0 && mixed && secret.len() >= 10).then_some(secret));
        }
    }
}
