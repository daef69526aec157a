//! A repository as an upgrade is told of it: where it may lie, which commit is meant, which version its source says it is.

use std::sync::LazyLock;

use regex::Regex;

/// Digits of a commit's id.
const ID: usize = 40;
/// The longest name of a branch or tag, and the longest address.
const LONGEST: usize = 200;

/// What is told of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Its whole id.
    Id(String),
    /// A branch or a tag, or something like `refs/pull/1/head`.
    Name(String),
}

/// A version as it is written in its normal form, which is how an installation's files are named after it.
static NORMAL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let n = r"(?:0|[1-9]\d*)";
    Regex::new(&format!(r"^{n}(?:\.{n})*(?:(?:a|b|rc){n})?(?:\.post{n})?(?:\.dev{n})?$")).ok()
});
/// `__version__ = "…"`.
static OWN_VERSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?m)^__version__(?:\s*:\s*\w+)?\s*=\s*['"]([^'"\n]*)['"]"#).ok());
/// `version = "…"` in a table.
static TOLD_VERSION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"^version\s*=\s*['"]([^'"]*)['"]"#).ok());

/// Whether this is a commit's whole id.
pub fn is_id(text: &str) -> bool {
    text.len() == ID && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The beginning of a commit's id, as people say it.
pub fn short(id: &str) -> &str {
    id.get(..7).unwrap_or(id)
}

/// A repository's address as git and pip both take it.
///
/// # Errors
/// Why it is not taken, in a sentence that doesn't repeat it.
pub fn address(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._~/:@+".contains(c);
    let kinds = "a repository is given as https://…, ssh://…, git@HOST:PATH, or by its absolute path";
    if text.is_empty() || text.len() > LONGEST || text.starts_with('-') || !text.chars().all(good) {
        return Err(format!("{kinds}; it has letters, digits and -._~/:@+ alone"));
    }
    if text.starts_with('/') {
        return Ok(format!("file://{text}"));
    }
    if let Some((host, path)) = text.strip_prefix("git@").and_then(|rest| rest.split_once(':')) {
        return address(&format!("ssh://git@{host}/{}", path.trim_start_matches('/')));
    }
    let (scheme, rest) = text.split_once("://").ok_or(kinds)?;
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, host) = place.rsplit_once('@').map_or((None, place), |(login, host)| (Some(login), host));
    let credentials = match scheme {
        "https" => login.is_some(),
        "ssh" => login.is_some_and(|login| login.contains([':', '@'])),
        "file" if login.is_none() && host.is_empty() && !path.is_empty() => return Ok(text.to_owned()),
        _ => return Err(kinds.to_owned()),
    };
    if credentials {
        return Err(
            "the address has credentials in it, which would be shown and recorded: leave them out; git finds them in \
                    its credential helper, or in .netrc in the home directory of the application's user"
                .to_owned(),
        );
    }
    if host.is_empty() || host.starts_with('-') || login.is_some_and(|login| login.is_empty() || login.starts_with('-'))
    {
        return Err(kinds.to_owned());
    }
    if path.is_empty() || path.contains('@') {
        return Err(format!("{kinds}: this names no repository"));
    }
    Ok(text.to_owned())
}

/// Which commit is meant.
///
/// # Errors
/// Why nothing can be called that.
pub fn wish(text: &str) -> Result<Wish, String> {
    let lower = text.to_ascii_lowercase();
    if is_id(&lower) {
        return Ok(Wish::Id(lower));
    }
    let odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    if text.is_empty()
        || text.len() > LONGEST
        || text.starts_with(['-', '/'])
        || text.contains("..")
        || text.contains(odd)
    {
        return Err("that can be no branch, no tag and no commit id".to_owned());
    }
    Ok(Wish::Name(text.to_owned()))
}

/// What a name may be called in full.
pub fn references(name: &str) -> Vec<String> {
    if name.starts_with("refs/") {
        return vec![name.to_owned()];
    }
    ["refs/heads/", "refs/tags/"].map(|kind| [kind, name].concat()).to_vec()
}

/// The id of the commit a name stands for, from what `git ls-remote` lists: a line each, `ID<tab>REFERENCE`.
///
/// # Errors
/// Why there is none, or which of several is meant can't be told.
pub fn chosen(listed: &str, name: &str) -> Result<String, String> {
    let mut found: Vec<String> = Vec::new();
    for reference in references(name) {
        // A tag with a message of its own is listed twice: the second line has the commit.
        let peeled = format!("{reference}^{{}}");
        let id = |wanted: &str| {
            let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
            lines.find(|(_, name)| *name == wanted).map(|(id, _)| id.to_owned())
        };
        found.extend(id(&peeled).or_else(|| id(&reference)));
    }
    let mut all = found.into_iter();
    let Some(first) = all.next() else {
        let may_be_id = (4..ID).contains(&name.len()) && is_hex(&name.to_ascii_lowercase());
        let hint = if may_be_id { "; the id of a commit has to be given whole, all 40 digits" } else { "" };
        return Err(format!("has no branch and no tag called {name}{hint}"));
    };
    if all.any(|other| other != first) {
        return Err(format!(
            "has a branch and a tag called {name}, which are two commits: give refs/heads/{name}, refs/tags/{name}, or the \
             commit's id"
        ));
    }
    if !is_id(&first) {
        return Err(format!("names its commits in another way than by {ID} digits"));
    }
    Ok(first)
}

/// The version a source says it is: in its `pyproject.toml`, or else in its package's `__init__.py`.
///
/// # Errors
/// Why it does not say.
pub fn version(pyproject: Option<&str>, init: Option<&str>) -> Result<String, String> {
    let first = |regex: &Option<Regex>, text: &str| {
        let found = regex.as_ref()?.captures(text)?;
        Some(found.get(1)?.as_str().to_owned())
    };
    let mut table = "";
    let mut told = None;
    for line in pyproject.unwrap_or_default().lines().map(str::trim) {
        if line.starts_with('[') {
            table = line.split('#').next().unwrap_or_default().trim();
        } else if table == "[project]" && told.is_none() {
            told = first(&TOLD_VERSION, line);
        }
    }
    let Some(version) = told.or_else(|| first(&OWN_VERSION, init?)) else {
        return Err("it says its version neither in pyproject.toml nor as __version__ in its package".to_owned());
    };
    if version.len() <= 40 && NORMAL.as_ref().is_some_and(|normal| normal.is_match(&version)) {
        return Ok(version);
    }
    let version = crate::domain::text::plain(&version, 40);
    Err(format!("it says that it is {version}, which is not written as pip writes versions"))
}

/// The name of a directory among an installation's packages that says which commit it was built from. It goes where they go.
pub fn mark(package: &str, version: &str, id: &str) -> String {
    format!("{}{id}", marks(package, version))
}

/// How the names of those of one version begin.
pub fn marks(package: &str, version: &str) -> String {
    format!("{package}-{version}.commit-")
}

#[cfg(test)]
mod tests;
