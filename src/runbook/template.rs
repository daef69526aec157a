//! `{{ name }}` in a runbook's texts and arguments. Nothing else is understood: no expressions, no shell. What a name
//! stands for goes into one text, or one argument, as it is.

use std::collections::BTreeMap;

/// What names stand for.
pub type Values = BTreeMap<String, String>;

/// Why a text can't be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("`{{{{` is never closed: write {{{{ name }}}}")]
    Open,
    /// Something in the braces is no name.
    #[error("`{0}` is no name: only {{{{ name }}}} can be filled in, with lower-case letters, digits, `_` and `.`")]
    NoName(String),
    /// Nothing has this name.
    #[error("nothing is called `{0}` here")]
    Unknown(String),
}

/// A part of a text.
enum Part<'t> {
    Text(&'t str),
    Name(&'t str),
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(TemplateError::Open)?;
        let name = name.trim();
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
        if name.is_empty() || !name.chars().all(good) {
            return Err(TemplateError::NoName(name.to_owned()));
        }
        parts.push(Part::Text(before));
        parts.push(Part::Name(name));
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// The names a text needs.
///
/// # Errors
/// When it can't be understood.
pub fn names(text: &str) -> Result<Vec<&str>, TemplateError> {
    let name = |part| match part {
        Part::Name(name) => Some(name),
        Part::Text(_) => None,
    };
    Ok(parts(text)?.into_iter().filter_map(name).collect())
}

/// The text with every name replaced.
///
/// # Errors
/// When a name stands for nothing, or the text can't be understood.
pub fn fill(text: &str, values: &Values) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    for part in parts(text)? {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Name(name) => {
                out.push_str(values.get(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_text_whatever_is_in_it() {
        let values = Values::from([("unit".to_owned(), "a b; rm {{ x }}".to_owned())]);
        assert_eq!(fill("systemctl {{ unit }}!", &values).as_deref(), Ok("systemctl a b; rm {{ x }}!"));
    }

    #[test]
    fn what_is_no_name_is_told() {
        let none = Values::new();
        assert_eq!(fill("{{ nope }}", &none), Err(TemplateError::Unknown("nope".to_owned())));
        assert_eq!(fill("{{ open", &none), Err(TemplateError::Open));
        assert_eq!(fill("{{ a + b }}", &none), Err(TemplateError::NoName("a + b".to_owned())));
    }
}
