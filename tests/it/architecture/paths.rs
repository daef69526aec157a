//! The paths a Rust file names, read from its tokens: comments, strings and test items are left out, groups of `use`
//! are taken apart. Not a parser of Rust: a reader of `a::b::c`, which is all that layers can be seen by.

use std::collections::HashMap;

/// A path as it is written, and the line it begins on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    /// Whether it stands in a `use`.
    pub(crate) import: bool,
}

/// What a file names outside its tests.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) paths: Vec<Named>,
    /// What a name of the file stands for, by its imports and modules.
    pub(crate) local: HashMap<String, Vec<String>>,
    /// Lines that are not a test's.
    pub(crate) lines: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    line: usize,
    text: String,
}

/// What `text` names.
pub(crate) fn names(text: &str) -> Names {
    let (tokens, test_lines) = without_tests(&tokens(text));
    let mut names = Names { lines: text.lines().count().saturating_sub(test_lines), ..Names::default() };
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is = |offset: usize, text: &str| tokens.get(at + offset).is_some_and(|t| t.text == text);
        // `use<'a>` in a type is no import.
        if token.text == "use" && !is(1, "<") {
            at = tree(&tokens, at + 1, &mut Vec::new(), &mut names);
        } else if token.text == "mod" && (is(2, ";") || is(2, "{")) {
            if let Some(module) = tokens.get(at + 1) {
                names.local.insert(module.text.clone(), vec!["self".to_owned(), module.text.clone()]);
            }
            at += 2;
        } else if is_name(&token.text) && is(1, "::") {
            let mut segments = vec![token.text.clone()];
            at += 1;
            while let (Some(colons), Some(next)) = (tokens.get(at), tokens.get(at + 1)) {
                if colons.text != "::" || !is_name(&next.text) {
                    break;
                }
                segments.push(next.text.clone());
                at += 2;
            }
            names.paths.push(Named { line: token.line, segments, import: false });
        } else {
            at += 1;
        }
    }
    names
}

/// Reads one tree of a `use` that begins at `at`, below `prefix`; gives where it ends.
fn tree(tokens: &[Token], mut at: usize, prefix: &mut Vec<String>, names: &mut Names) -> usize {
    let depth = prefix.len();
    let mut line = None;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|t| t.text != "}") {
                    let end = tree(tokens, at, prefix, names);
                    at = if tokens.get(end).is_some_and(|t| t.text == ",") { end + 1 } else { end.max(at + 1) };
                }
                prefix.truncate(depth);
                return at + 1;
            }
            text if is_name(text) || text == "*" => {
                if text == "as" {
                    break;
                }
                line = line.or(Some(token.line));
                prefix.push(token.text.clone());
                at += 1;
            }
            _ => break,
        }
    }
    if prefix.last().is_some_and(|last| last == "self") && prefix.len() > 1 {
        prefix.pop();
    }
    let mut alias = prefix.last().cloned().unwrap_or_default();
    if tokens.get(at).is_some_and(|t| t.text == "as") {
        alias = tokens.get(at + 1).map(|t| t.text.clone()).unwrap_or_default();
        at += 2;
    }
    if let Some(line) = line {
        names.local.insert(alias, prefix.clone());
        names.paths.push(Named { line, segments: prefix.clone(), import: true });
    }
    prefix.truncate(depth);
    at
}

/// The tokens outside items under `#[cfg(test)]`, and how many lines those take. A file under `#![cfg(test)]` has none.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, usize) {
    let begins = |at: usize, words: &[&str]| {
        words.iter().enumerate().all(|(n, word)| tokens.get(at + n).is_some_and(|t| t.text == *word))
    };
    let (mut kept, mut lines, mut at) = (Vec::new(), 0, 0);
    while let Some(token) = tokens.get(at) {
        if begins(at, &["#", "!", "[", "cfg", "(", "test", ")", "]"]) {
            return (Vec::new(), tokens.last().map_or(0, |last| last.line));
        }
        if !begins(at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            kept.push(token.clone());
            at += 1;
            continue;
        }
        let first = token.line;
        let (mut depth, mut last) = (0_usize, first);
        at += 7;
        while let Some(token) = tokens.get(at) {
            at += 1;
            last = token.line;
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                "}" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                ";" if depth == 0 => break,
                _ => {}
            }
        }
        lines += last - first + 1;
    }
    (kept, lines)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Names, `::` and single signs; comments, strings, characters, numbers and lifetimes leave nothing behind.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut out, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let begin = at;
        match (peek(at), peek(at + 1)) {
            ('/', '/') => at += chars.iter().skip(at).take_while(|c| **c != '\n').count(),
            ('/', '*') => at = comment_end(&chars, at),
            ('"', _) => at = string_end(&chars, at + 1, 0, true),
            ('\'', '\\') => {
                at += 3;
                at += chars.iter().skip(at).take_while(|c| **c != '\'').count() + 1;
            }
            ('\'', _) if peek(at + 2) == '\'' => at += 3,
            ('\'', _) => at += 1 + chars.iter().skip(at + 1).take_while(|c| word(**c)).count(),
            (':', ':') => {
                at += 2;
                out.push(Token { line, text: "::".to_owned() });
            }
            (c, _) if word(c) => {
                let text: String = chars.iter().skip(at).take_while(|c| word(**c)).collect();
                at += text.chars().count();
                let hashes = chars.iter().skip(at).take_while(|c| **c == '#').count();
                let raw = matches!(text.as_str(), "r" | "br" | "cr");
                if raw && peek(at + hashes) == '"' {
                    at = string_end(&chars, at + hashes + 1, hashes, false);
                } else if raw && hashes == 1 {
                    at += 1; // `r#type`: the name follows
                } else if !(c.is_ascii_digit() || matches!(text.as_str(), "b" | "c") && matches!(peek(at), '"' | '\''))
                {
                    out.push(Token { line, text });
                }
            }
            (c, _) => {
                at += 1;
                if !c.is_whitespace() {
                    out.push(Token { line, text: c.to_string() });
                }
            }
        }
        line += chars.iter().take(at).skip(begin).filter(|c| **c == '\n').count();
    }
    out
}

/// Behind the comment that begins at `at`; they nest.
fn comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars.get(at), chars.get(at + 1)) {
            (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
            (Some('*'), Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Behind the string whose text begins at `at` and that ends with `"` and this many `#`.
fn string_end(chars: &[char], mut at: usize, hashes: usize, escapes: bool) -> usize {
    while let Some(c) = chars.get(at) {
        if escapes && *c == '\\' {
            at += 2;
        } else if *c == '"' && chars.iter().skip(at + 1).take_while(|c| **c == '#').count() >= hashes {
            return at + 1 + hashes;
        } else {
            at += 1;
        }
    }
    at
}

#[test]
fn paths_are_read_as_the_compiler_would() {
    let text = "use a::{b, c::{self, D as E}, f::*};\n/* x::y /* */ x::y */ let s = \"x::y \\\" x::y\"; // x::y\n\
        let r = r#\"x::\"y\"#; let c = ':'; let q = '\\''; fn g<'a>(i: &'a h::I) -> impl J + use<'a> {}\nk::l::<m::N>();\n";
    let read: Vec<String> =
        names(text).paths.iter().map(|named| format!("{} {}", named.line, named.segments.join("::"))).collect();
    assert_eq!(read, ["1 a::b", "1 a::c", "1 a::c::D", "1 a::f::*", "3 h::I", "4 k::l", "4 m::N"]);
    assert_eq!(names(text).local.get("E").map(|path| path.join("::")).as_deref(), Some("a::c::D"));
}

#[test]
fn tests_are_left_out_and_what_follows_them_is_not() {
    let names = names(
        "use a::b;\n#[cfg(test)]\n#[path = \"x\"]\nmod tests {\n    use c::d;\n}\n#[cfg(test)]\nmod t;\nuse e::f;\n",
    );
    assert_eq!(names.paths.iter().map(|named| named.line).collect::<Vec<_>>(), [1, 9]);
    assert_eq!(names.lines, 2);
}
