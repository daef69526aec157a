//! Statements of others, fit to be shown: without their constants, which may be names, addresses and secrets.

use super::Engine;
use crate::domain::redact::redact;
use crate::domain::text::plain;

/// How long a shown statement may be.
const LONGEST: usize = 160;

/// The statement with every constant as `?`, without comments, on one line, cut.
///
/// Whether a backslash hides the quote behind it depends on settings of the other session: what follows one is left out.
pub fn shown(engine: Engine, sql: &str) -> String {
    let mut out = String::with_capacity(sql.len().min(4096));
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        // More is never shown, however long the statement is.
        if out.len() > 2048 {
            break;
        }
        let (piece, tail) = match c {
            '\'' => ("?", after_quote(rest, '\'')),
            // MySQL takes it for a constant, unless told otherwise.
            '"' if engine == Engine::Mysql => ("?", after_quote(rest, '"')),
            '"' | '`' => {
                let tail = after_quote(rest, c);
                (upto(rest, tail), tail)
            }
            '/' if rest.starts_with("/*") => (" ", rest.split_once("*/").map_or("", |(_, tail)| tail)),
            '-' if rest.starts_with("--") => (" ", rest.split_once('\n').map_or("", |(_, tail)| tail)),
            '$' => match dollar_quoted(rest) {
                Some(tail) => ("?", tail),
                None => cut_at(rest, c.len_utf8()),
            },
            '0'..='9' if !ends_in_word(&out) => ("?", rest.trim_start_matches(is_number)),
            _ => cut_at(rest, c.len_utf8()),
        };
        out.push_str(piece);
        rest = tail;
    }
    plain(&redact(&out), LONGEST)
}

/// The page that a statement serves, by the comment that the application puts into it: `/* url=:healthcheck */`.
pub fn page(sql: &str) -> String {
    let mut rest = sql;
    while let Some((_, comment)) = rest.split_once("/*") {
        let (inside, tail) = comment.split_once("*/").unwrap_or((comment, ""));
        let value = inside.split_once("url=").map(|(_, value)| value);
        if let Some(word) = value.and_then(|value| value.trim_start_matches(['\'', '"', ':']).split_whitespace().next())
        {
            let word = word.split(['?', '&', '\'', '"', ',']).next().unwrap_or_default();
            return plain(&redact(word), 80);
        }
        rest = tail;
    }
    String::new()
}

const fn is_number(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '.' || c == '_'
}

/// Whether a digit here is part of a name.
fn ends_in_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

fn cut_at(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

fn upto<'a>(text: &'a str, tail: &str) -> &'a str {
    cut_at(text, text.len() - tail.len()).0
}

/// What follows the quoted text that this begins with, of which a doubled quote is part.
fn after_quote(text: &str, quote: char) -> &str {
    let mut rest = text.chars();
    rest.next();
    while let Some(c) = rest.next() {
        if c == '\\' && rest.as_str().starts_with(quote) {
            return "";
        }
        if c == quote {
            if !rest.as_str().starts_with(quote) {
                return rest.as_str();
            }
            rest.next();
        }
    }
    ""
}

/// What follows `$tag$ … $tag$`; `None` for a parameter like `$1`.
fn dollar_quoted(text: &str) -> Option<&str> {
    let (tag, inside) = text.strip_prefix('$')?.split_once('$')?;
    if tag.starts_with(|c: char| c.is_ascii_digit()) || !tag.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let end = ["$", tag, "$"].concat();
    Some(inside.split_once(&end).map_or("", |(_, tail)| tail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Engine, page, shown};

    #[test]
    fn constants_go_and_names_stay() {
        for (sql, text) in [
            (
                "SELECT /* url=:a */ \"t1\".\"id\" FROM t1 WHERE mail = 'o''neil@x.org' AND n = 42",
                "SELECT \"t1\".\"id\" FROM t1 WHERE mail = ? AND n = ?",
            ),
            ("update t set a='x', b=1.5e3 -- why\n where id in (1,2)", "update t set a=?, b=? where id in (?,?)"),
            ("select 'x\\', 'secret'", "select ?"),
            ("select $1, $tag$ secret $tag$, $$x$$, `a'b`", "select $1, ?, ?, `a'b`"),
            ("alter role x password 'hunter2", "alter role x password ?"),
            ("select * from a where token=deadbeef", "select * from a where token=[redacted]"),
            ("select x'ff', 0xdeadbeef", "select x?, ?"),
        ] {
            assert_eq!(shown(Engine::Postgresql, sql), text);
        }
        assert_eq!(shown(Engine::Mysql, "select \"secret\", `a b`"), "select ?, `a b`");
    }

    #[test]
    fn it_is_cut_and_harmless() {
        assert!(shown(Engine::Sqlite, &"x ".repeat(9000)).chars().count() <= 161);
        assert_eq!(shown(Engine::Postgresql, "select\x1b[2J 1"), "select[? ?");
    }

    #[test]
    fn the_page_is_in_the_comment() {
        assert_eq!(page("SELECT /* url=:healthcheck */ 1"), "healthcheck");
        assert_eq!(page("/* a */ SELECT 1 /* x=1 url='presale:event.index?token=abc' */"), "presale:event.index");
        assert_eq!(page("SELECT 'url=x'"), "");
        assert_eq!(page("/* url="), "");
    }

    proptest! {
        #[test]
        fn what_is_in_quotes_is_never_shown(before in "[a-z =(,]{0,20}", secret in "[A-Z]{8}", after in "[a-z ]{0,20}") {
            let sql = format!("{before}'{secret}'{after}");
            let told = shown(Engine::Postgresql, &sql);
            prop_assert!(!told.contains(&secret), "{}", told);
        }

        #[test]
        fn any_text_is_taken(sql in "\\PC{0,80}") {
            shown(Engine::Mysql, &sql);
            page(&sql);
        }
    }
}
