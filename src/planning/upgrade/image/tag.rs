//! Tags of images: which stay what they are, and which are versions.

use super::{NoPlan, Version, no};

/// Tags that mean another image tomorrow.
const MOVING: [&str; 12] = [
    "latest",
    "stable",
    "main",
    "master",
    "edge",
    "nightly",
    "dev",
    "develop",
    "unstable",
    "beta",
    "production",
    "release",
];
/// A tag that means the same image tomorrow.
pub(super) fn good(tag: &str) -> Result<(), NoPlan> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let begins = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if !begins || tag.len() > 128 || !tag.chars().all(safe) {
        return Err(no(format!("{tag} is no tag of an image")));
    }
    if MOVING.contains(&tag.to_ascii_lowercase().as_str()) {
        return Err(no(format!(
            "{tag} is another image tomorrow, so nobody could say which version this was: name a version"
        )));
    }
    Ok(())
}

/// A tag as far as it is a version: `2026.8.0-alpine`.
pub(super) struct Tag {
    pub(super) version: Version,
    pub(super) variant: String,
}

impl Tag {
    pub(super) fn of(tag: &str) -> Option<Self> {
        let (version, variant) = tag.split_once('-').unwrap_or((tag, ""));
        Some(Self { version: Version::of(version)?, variant: variant.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Tag, good};

    #[test]
    fn a_tag_is_a_version_that_stays() {
        assert!(good("2026.8.0").is_ok() && good("v1_2-alpine").is_ok());
        for (tag, why) in
            [("latest", "tomorrow"), ("Stable", "tomorrow"), ("-a", "no tag"), ("a b", "no tag"), ("", "no tag")]
        {
            assert!(good(tag).unwrap_err().to_string().contains(why), "{tag}");
        }
        assert!(Tag::of("stable").is_none());
        assert_eq!(Tag::of("2026.8.0-alpine").map(|tag| tag.variant).as_deref(), Some("alpine"));
    }
}
