//! nginx' configuration as a tree of directives, its includes put in place.
//!
//! Invariants: files, depth and size are bounded; any text ends in a tree.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::backends::plain;

/// Files of one configuration.
const FILES: usize = 300;
/// Bytes read of each.
const BYTES: u64 = 512 * 1024;
/// Blocks within blocks, and includes within includes.
const DEPTH: usize = 12;
/// Directives in all.
const MOST: usize = 50_000;

/// `name args… ;` or `name args… { block }`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) block: Vec<Self>,
}

impl Directive {
    /// Those in its block with this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.block.iter().filter(move |d| d.name == name)
    }
}

/// The tree of the configuration at `path`.
///
/// # Errors
/// A sentence, where that file can't be read. One that is included and can't be is left out.
pub(super) fn read(path: &Path) -> Result<Vec<Directive>, String> {
    let text = text(path).map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    let mut reader = Reader { prefix: path.parent().map(Path::to_owned).unwrap_or_default(), files: 1, directives: 0 };
    Ok(reader.tree(&text, 0))
}

fn text(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    plain::open(path)?.take(BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct Reader {
    prefix: PathBuf,
    files: usize,
    directives: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

impl Reader {
    fn tree(&mut self, text: &str, depth: usize) -> Vec<Directive> {
        let mut tokens = tokens(text).into_iter();
        self.block(&mut tokens, depth)
    }

    fn block(&mut self, tokens: &mut std::vec::IntoIter<Token>, depth: usize) -> Vec<Directive> {
        let (mut out, mut words) = (Vec::new(), Vec::new());
        while let Some(token) = tokens.next() {
            let block = match token {
                Token::Word(word) => {
                    words.push(word);
                    continue;
                }
                Token::End => Vec::new(),
                Token::Open if depth < DEPTH => self.block(tokens, depth + 1),
                Token::Open | Token::Close => break,
            };
            let mut line = std::mem::take(&mut words).into_iter();
            let Some(name) = line.next() else { continue };
            self.directives += 1;
            if self.directives > MOST {
                break;
            }
            let args: Vec<String> = line.collect();
            match (name.as_str(), args.first()) {
                ("include", Some(pattern)) if depth < DEPTH => out.extend(self.included(pattern, depth + 1)),
                _ => out.push(Directive { name, args, block }),
            }
        }
        out
    }

    fn included(&mut self, pattern: &str, depth: usize) -> Vec<Directive> {
        let mut out = Vec::new();
        for path in matching(&self.prefix.join(pattern)) {
            if self.files >= FILES {
                break;
            }
            self.files += 1;
            if let Ok(text) = text(&path) {
                out.extend(self.tree(&text, depth));
            }
        }
        out
    }
}

/// The files a pattern with stars in its last part means, sorted as nginx has them.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((before, after)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let Some(dir) = pattern.parent() else { return Vec::new() };
    let fits =
        |file: &str| file.starts_with(before) && file.ends_with(after) && file.len() >= before.len() + after.len();
    let mut out: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| {
            let names = entries.filter_map(Result::ok).filter(|e| fits(&e.file_name().to_string_lossy()));
            names.map(|e| e.path()).take(FILES).collect()
        })
        .unwrap_or_default();
    out.sort();
    out
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            ';' => out.push(Token::End),
            '{' => out.push(Token::Open),
            '}' => out.push(Token::Close),
            '"' | '\'' => {
                let mut word = String::new();
                while let Some(next) = chars.next() {
                    match next {
                        '\\' => word.extend(chars.next()),
                        next if next == c => break,
                        next => word.push(next),
                    }
                }
                out.push(Token::Word(word));
            }
            c if c.is_whitespace() => {}
            c => {
                let mut word = String::from(c);
                // `${name}` is part of a word.
                while let Some(next) = chars
                    .next_if(|n| !n.is_whitespace() && !matches!(n, ';' | '}') && *n != '{')
                    .or_else(|| if word.ends_with('$') { chars.next_if(|n| *n == '{') } else { None })
                {
                    word.push(next);
                    if next == '{' {
                        for inner in chars.by_ref() {
                            word.push(inner);
                            if inner == '}' {
                                break;
                            }
                        }
                    }
                }
                out.push(Token::Word(word));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(text: &str) -> Vec<Directive> {
        Reader { prefix: PathBuf::from("/nonexistent"), files: 0, directives: 0 }.tree(text, 0)
    }

    #[test]
    fn words_quotes_and_blocks_are_told_apart() {
        let parsed = tree("a 'b c' \"d\\\"e\" ${f}g; # no { \nh { i j; k {} } l;");
        let [a, h, l] = parsed.as_slice() else { panic!("{parsed:?}") };
        assert_eq!((a.name.as_str(), a.args.as_slice()), ("a", ["b c", "d\"e", "${f}g"].map(String::from).as_slice()));
        assert_eq!(h.block.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["i", "k"]);
        assert_eq!(l.name, "l");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[a-z{};'\"#$\\\\ \n*]{0,200}") {
            tree(&text);
        }
    }
}
