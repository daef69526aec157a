//! Where the tag of an image is written: in a compose file, or as a variable beside it. What is found is a guess until
//! Compose itself has read it.

use std::collections::BTreeSet;

/// An image as it is asked for: `ghcr.io/shop/app:1.9`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) tag: String,
}

impl Reference {
    /// `None`: it has no tag, or is named by its digest.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (name, tag) = text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
        let good = !name.is_empty() && !name.contains('@') && !tag.is_empty();
        good.then(|| Self { name: name.to_owned(), tag: tag.to_owned() })
    }

    pub(super) fn with(&self, tag: &str) -> Self {
        Self { name: self.name.clone(), tag: tag.to_owned() }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

/// A file's name and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) path: String,
    pub(super) text: String,
}

/// Where the tag stands: in one file, perhaps in several of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// The file.
    pub(super) file: Text,
    /// Where in its text.
    pub(super) at: Vec<usize>,
    /// The variable, where it is one, and what else of its value comes before the tag.
    pub(super) variable: Option<(String, String)>,
}

impl Places {
    /// The lines, for people.
    pub(super) fn told(&self) -> String {
        let lines: Vec<String> = self.at.iter().map(|at| line(&self.file.text, *at).to_string()).collect();
        format!("{}:{}", self.file.path, lines.join(","))
    }
}

fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// Looks for the tag in the project's files and its variables; `others` are services that are not meant.
///
/// # Errors
/// Why it can't be told where it is written, in a sentence.
pub(super) fn places(
    files: &[Text],
    variables: Option<&Text>,
    reference: &Reference,
    others: &[String],
) -> Result<Places, String> {
    // By file and place, so that a line which several services share counts once.
    let mut found: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut named = None;
    for (number, file) in files.iter().enumerate() {
        for image in images(&file.text) {
            if image.service.is_some_and(|service| others.iter().any(|other| other == service)) {
                continue;
            }
            match naming(&image, reference) {
                Some(Naming::Here(at)) => {
                    found.insert((number, at));
                }
                Some(Naming::Variable { name, whole, usual }) => {
                    let before = if whole { format!("{}:", reference.name) } else { String::new() };
                    let wanted = [before.as_str(), &reference.tag].concat();
                    let set = variables.map_or(Ok(None), |file| set_to(file, name))?;
                    let here = usual.filter(|(_, value)| *value == wanted);
                    match (set, here) {
                        (Some((at, value)), _) if value == wanted => {
                            found.insert((files.len(), at + before.len()));
                            named = Some((name.to_owned(), before));
                        }
                        (None, Some((at, _))) => {
                            found.insert((number, at + before.len()));
                        }
                        (Some(_) | None, _) => {}
                    }
                }
                None => {}
            }
        }
    }
    let of = |number: usize| files.get(number).or(variables.filter(|_| number == files.len()));
    let mut all: Vec<Places> = Vec::new();
    for (number, at) in found {
        let Some(file) = of(number) else { continue };
        if let Some(places) = all.iter_mut().find(|places| places.file.path == file.path) {
            places.at.push(at);
        } else {
            let variable = named.clone().filter(|_| number == files.len());
            all.push(Places { file: file.clone(), at: vec![at], variable });
        }
    }
    let looked: Vec<&str> = files.iter().chain(variables).map(|file| file.path.as_str()).collect();
    match (all.pop(), all.is_empty()) {
        (Some(only), true) if only.variable.is_none() || only.at.len() == 1 => Ok(only),
        (Some(last), _) => {
            let all: Vec<String> = all.iter().chain([&last]).map(Places::told).collect();
            Err(format!(
                "the tag of {reference} is written in several places ({}): which count can't be told",
                all.join(" and ")
            ))
        }
        (None, _) => Err(format!(
            "no line of {} was found that names the tag of {reference}: `image: {reference}`, or `image: {}:${{TAG}}` with \
             `TAG={}`",
            looked.join(", "),
            reference.name,
            reference.tag
        )),
    }
}

/// A line that names an image.
struct Image<'t> {
    /// The service it is of; `None`: of none, a part that services share.
    service: Option<&'t str>,
    value: &'t str,
    /// Where the value begins.
    at: usize,
}

fn images(text: &str) -> Vec<Image<'_>> {
    let mut out = Vec::new();
    let (mut section, mut depth, mut service) = ("", None, None);
    let mut begins = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start_matches(' ');
        let indent = line.len() - bare.len();
        let content = bare.trim_end();
        if !content.is_empty() && !content.starts_with('#') {
            let key = content.split(':').next().unwrap_or_default().trim_matches(['"', '\'']);
            if indent == 0 {
                (section, depth, service) = (key, None, None);
            } else if section == "services" && indent <= *depth.get_or_insert(indent) {
                service = Some(key);
            }
            if let Some((value, after)) = content.strip_prefix("image:").and_then(scalar) {
                out.push(Image { service, value, at: begins + indent + "image:".len() + after });
            }
        }
        begins += line.len();
    }
    out
}

/// The value after a key, out of its quotes and without what follows it, and where it begins.
fn scalar(rest: &str) -> Option<(&str, usize)> {
    let value = rest.trim_start_matches([' ', '\t']);
    let before = rest.len() - value.len();
    if before == 0 || value.is_empty() || value.starts_with('#') {
        return None;
    }
    quoted(value, " #").map(|(value, after)| (value, before + after))
}

/// A value out of its quotes, or up to what begins a comment; and where it begins.
fn quoted<'t>(value: &'t str, comment: &str) -> Option<(&'t str, usize)> {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            let end = inner.find(quote)?;
            return Some((inner.get(..end)?, 1));
        }
    }
    let end = value.find(comment).unwrap_or(value.len());
    Some((value.get(..end)?.trim_end(), 0))
}

enum Naming<'t> {
    /// The tag is written there.
    Here(usize),
    /// A variable says it, or the whole reference; and what it is where nothing sets it, with its place.
    Variable { name: &'t str, whole: bool, usual: Option<(usize, &'t str)> },
}

fn naming<'t>(image: &Image<'t>, reference: &Reference) -> Option<Naming<'t>> {
    let value = image.value;
    let Some(dollar) = value.rfind('$') else {
        let same = Reference::of(value).is_some_and(|named| named == *reference);
        return same.then(|| Naming::Here(image.at + value.len() - reference.tag.len()));
    };
    let (before, variable) = value.split_at_checked(dollar)?;
    let whole = before.is_empty();
    // Another image may have a variable for its tag too; with a variable before it nobody knows yet.
    let fits = before.strip_suffix(':').is_some_and(|name| name.contains('$') || name == reference.name);
    if !whole && !fits {
        return None;
    }
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let Some(inner) = variable.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')) else {
        let name = variable.strip_prefix('$').filter(|name| is_name(name))?;
        return Some(Naming::Variable { name, whole, usual: None });
    };
    let end = inner.find([':', '-', '?']).unwrap_or(inner.len());
    let (name, rest) = inner.split_at_checked(end).filter(|(name, _)| is_name(name))?;
    let usual = rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-'));
    let usual = usual.map(|usual| (image.at + value.len() - 1 - usual.len(), usual));
    (usual.is_some() || rest.is_empty() || rest.starts_with([':', '?'])).then_some(Naming::Variable {
        name,
        whole,
        usual,
    })
}

/// What a file of variables sets one to, and where that stands; `None`: it does not.
fn set_to<'t>(file: &'t Text, name: &str) -> Result<Option<(usize, &'t str)>, String> {
    let mut out = None;
    let mut begins = 0;
    for line in file.text.split_inclusive('\n') {
        let bare = line.trim_start();
        let bare = bare.strip_prefix("export ").unwrap_or(bare).trim_start();
        let at = begins + line.len() - bare.len();
        begins += line.len();
        let Some((_, value)) = bare.split_once('=').filter(|(key, _)| key.trim_end() == name) else { continue };
        let trimmed = value.trim_start_matches(' ');
        let at = at + bare.len() - trimmed.len();
        let found = quoted(trimmed.trim_end_matches(['\n', '\r']), " #").map(|(value, after)| (at + after, value));
        if let Some((first, _)) = out {
            let lines = [first, at].map(|at| self::line(&file.text, at).to_string());
            return Err(format!(
                "{} is set more than once in {}, in the lines {}",
                name,
                file.path,
                lines.join(" and ")
            ));
        }
        out = found;
    }
    Ok(out)
}

/// The image of a service, of settings as Compose prints them.
pub(super) fn image_of(settings: &str, wanted: &str) -> Option<Reference> {
    let (mut section, mut service) = ("", "");
    for line in settings.lines() {
        let bare = line.trim_start_matches(' ');
        match line.len() - bare.len() {
            0 => (section, service) = (bare.trim_end_matches(':'), ""),
            2 if section == "services" => service = bare.trim_end_matches(':').trim_matches(['"', '\'']),
            4 if section == "services" && service == wanted => {
                if let Some(value) = bare.strip_prefix("image: ") {
                    return Reference::of(value.trim().trim_matches(['"', '\'']));
                }
            }
            _ => {}
        }
    }
    None
}

/// The services whose image alone is another in the second of two settings, as Compose prints them.
///
/// # Errors
/// What else is another, by its name alone: values may be secrets.
pub(super) fn changed(before: &str, after: &str, from: &Reference, to: &Reference) -> Result<BTreeSet<String>, String> {
    if before.lines().count() != after.lines().count() {
        return Err("other settings than images would change with it".to_owned());
    }
    let (mut section, mut service, mut out) = ("", "", BTreeSet::new());
    for (old, new) in before.lines().zip(after.lines()) {
        let bare = old.trim_start_matches(' ');
        match old.len() - bare.len() {
            0 => (section, service) = (bare.trim_end_matches(':'), ""),
            2 if section == "services" && !bare.starts_with('-') => service = bare.trim_end_matches(':'),
            _ => {}
        }
        if old == new {
            continue;
        }
        let image =
            |line: &str| line.trim().strip_prefix("image: ").map(|value| value.trim_matches(['"', '\'']).to_owned());
        if image(old) != Some(from.to_string()) || image(new) != Some(to.to_string()) {
            let name = bare.split([':', '=']).next().unwrap_or_default().trim_start_matches(['-', ' ']);
            return Err(format!("not only images would change with it, but also `{name}` of {service}"));
        }
        if section == "services" && !service.is_empty() {
            out.insert(service.trim_matches(['"', '\'']).to_owned());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
