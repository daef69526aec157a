//! Mistakes in a configuration file, told so that they can be mended: file, line, the line itself, the nearest known key.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes of the file it is in.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Why a configuration can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// A file can't be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file has mistakes.
    Mistakes {
        /// Which.
        path: PathBuf,
        /// Its text, with the values of secrets masked.
        text: String,
        /// All that were found.
        mistakes: Vec<Mistake>,
    },
    /// Something outside any file (the environment, a flag) can't be used.
    Elsewhere(String),
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Elsewhere(why) => f.write_str(why),
            Self::Mistakes { path, text, mistakes } => {
                let path = path.display().to_string();
                for (n, mistake) in mistakes.iter().enumerate() {
                    let end = mistake.span.end.min(text.len());
                    let span = mistake.span.start.min(end)..end;
                    let snippet = Snippet::source(text.as_str())
                        .path(path.as_str())
                        .annotation(AnnotationKind::Primary.span(span));
                    let mut group = Level::ERROR.primary_title(mistake.what.as_str()).element(snippet);
                    if let Some(help) = &mistake.help {
                        group = group.element(Level::HELP.message(help.as_str()));
                    }
                    let gap = if n == 0 { "" } else { "\n\n" };
                    write!(f, "{gap}{}", Renderer::plain().render(&[group]))?;
                }
                Ok(())
            }
        }
    }
}

/// `text` with every value masked that stands behind a key which may hold a secret, length kept so that spans still fit.
pub fn masked(text: &str) -> String {
    let secret = |line: &str| {
        let key = line.split('=').next().unwrap_or_default().to_lowercase();
        ["password", "passphrase", "secret", "token", "redis", "broker", "database", "url"]
            .iter()
            .any(|w| key.contains(w))
    };
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.split_once('=') {
            Some((key, value))
                if secret(line)
                    && (value.contains('@') || !key.to_lowercase().contains("url") && holds_literal(key, value)) =>
            {
                out.push_str(key);
                out.push('=');
                // Every byte but white space and quotes becomes a star.
                out.extend(value.chars().flat_map(|c| {
                    let kept = c.is_whitespace() || c == '"' || c == '\'';
                    std::iter::repeat_n(if kept { c } else { '*' }, if kept { 1 } else { c.len_utf8() })
                }));
            }
            _ => out.push_str(line),
        }
    }
    out
}

/// References to a secret (`{ file = … }`) are no secret, nor is a database or Redis URL without a login in it.
fn holds_literal(key: &str, value: &str) -> bool {
    let key = key.to_lowercase();
    let url_key = ["redis", "broker", "database"].iter().any(|w| key.trim() == *w);
    !value.trim_start().starts_with('{') && !url_key
}

/// The nearest of `known` to `word`, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|k| (strsim::jaro_winkler(word, k), k));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
}
