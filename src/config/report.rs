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

/// Keys whose value is surely no secret. A value behind any other key (a mistyped one may hold a password) is masked.
const OPEN: &[&str] = &[
    "discover",
    "read_only",
    "state_dir",
    "app_config",
    "app",
    "title",
    "url",
    "direct",
    "health_path",
    "metrics_url",
    "metrics_user",
    "queues",
    "practice",
    "path",
    "unit",
    "role",
    "user",
    "compose",
    "supervisor",
    "socket",
    "ignore",
    "user_unit",
    "container",
    "socket",
    "name",
    "absent_for",
    "rate",
    "within",
    "level",
    "health",
    "metrics",
    "host",
    "services",
    "logs",
    "backups",
    "changes",
    "hang",
    "theme",
    "color",
    "ascii",
    "frames_per_second",
];

/// Keys whose value is a secret, or may hold one.
const HIDDEN: &[&str] = &["metrics_password", "database_password", "database", "redis", "broker"];

/// How the names of thresholds end; their values are numbers.
const UNITS: &[&str] = &["_warning", "_critical", "_hours", "_s", "_ms", "_days", "_count", "_mb"];

/// `text` with everything masked that may be a secret: only section headers, and values behind keys that hold none,
/// stay as they are. Its length in bytes is kept, so that spans still fit.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within: Option<&str> = None;
    let mut torn = false;
    for line in text.split_inclusive('\n') {
        let shown = if within.is_some() || torn { 0 } else { open(line) };
        torn = line.matches('"').count() % 2 == 1;
        let (open, hidden) = line.split_at_checked(shown).unwrap_or(("", line));
        out.push_str(open);
        // Every byte but white space and quotes becomes a star.
        out.extend(hidden.chars().flat_map(|c| {
            let kept = c.is_whitespace() || c == '"' || c == '\'';
            std::iter::repeat_n(if kept { c } else { '*' }, if kept { 1 } else { c.len_utf8() })
        }));
        for quotes in ["\"\"\"", "'''"] {
            if within.is_none_or(|w| w == quotes) && line.matches(quotes).count() % 2 == 1 {
                within = if within.is_some() { None } else { Some(quotes) };
            }
        }
    }
    out
}

/// How many bytes of a line, from its start, may be shown.
fn open(line: &str) -> usize {
    let trimmed = line.trim();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | '[' | ']' | ' ');
    if trimmed.starts_with('[') && trimmed.ends_with(']') && trimmed.chars().all(plain) {
        return line.len();
    }
    let Some((key, value)) = line.split_once('=') else {
        // A key whose equals sign was forgotten is shown, if it is one for sure.
        let indent = line.len() - line.trim_start().len();
        let word = trimmed.split_whitespace().next().filter(|w| OPEN.contains(w) || HIDDEN.contains(w));
        return word.map_or(0, |word| indent + word.len());
    };
    if !key.trim().chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
        return 0;
    }
    let last = key.trim().rsplit('.').next().unwrap_or_default();
    let bare = value.trim().trim_matches(['"', '\'']);
    let number = bare.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
    let known = match last {
        // In [pace] these are spans, in [sites] they may be URLs with a login.
        "redis" | "broker" | "database" => number || bare.contains("://"),
        _ if UNITS.iter().any(|unit| last.ends_with(unit)) => number,
        _ => OPEN.contains(&last),
    };
    // A login in a URL, a second key, a comment on the same line, a string that goes on.
    let whole = value.matches('"').count().is_multiple_of(2) || !value.contains("://");
    let safe = whole && !value.contains(['@', '=', '#', '?']) && !["\"\"\"", "'''"].iter().any(|q| value.contains(q));
    if known && safe { line.len() } else { line.len() - value.len() }
}

/// The nearest of `known` to `word`, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|k| (strsim::jaro_winkler(word, k), k));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
}
