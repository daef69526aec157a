//! An application whose releases lie side by side: the link that says which is in use.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::load::Source;
use crate::discovery::Surroundings;

/// `[sites.NAME.releases]`, as it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleasesFile {
    /// The link to the release in use, a directory named by its version, beside which the others lie: `/srv/shop/current`.
    pub current: String,
    /// What migrates the database, with its arguments, run in the new release as the user and in the environment of the
    /// web service (default: nothing does). It must not mind being run twice.
    pub migrate: Option<Vec<String>>,
}

/// Releases side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasesConfig {
    /// The link to the one in use.
    pub current: PathBuf,
    /// What migrates the database, with its arguments; `None`: nothing does.
    pub migrate: Option<Vec<String>>,
}

/// Reads it.
pub(super) fn read(
    written: Spanned<ReleasesFile>,
    source: &mut Source,
    around: &Surroundings,
) -> Option<ReleasesConfig> {
    let (span, file) = (written.span(), written.into_inner());
    let mut mistake = |what: &str, help: &str| {
        source.mistake(span.start..span.end.min(span.start + 1), what.to_owned(), Some(help.to_owned()));
    };
    if file.current.is_empty() {
        mistake("current is empty", "write the path of the link: current = \"/srv/shop/current\"");
        return None;
    }
    if file.migrate.as_ref().is_some_and(|words| words.first().is_none_or(String::is_empty)) {
        mistake("migrate names no program", "write migrate = [\"/program\", \"argument\", …], or leave it out");
        return None;
    }
    Some(ReleasesConfig { current: around.cwd.join(file.current), migrate: file.migrate })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::ReleasesConfig;
    use crate::config::load::{Request, load};
    use crate::discovery::Surroundings;

    fn read(text: &str) -> Result<Option<ReleasesConfig>, String> {
        let tree = tempfile::tempdir().unwrap();
        let text =
            ["discover = false\n[sites.shop]\nurl = \"http://x.example\"\n[sites.shop.releases]\n", text].concat();
        fs::write(tree.path().join("m.toml"), text).unwrap();
        let around = Surroundings { root: tree.path().to_owned(), cwd: "/srv".into(), ..Surroundings::default() };
        let request = Request { config: Some("/m.toml".into()), ..Request::default() };
        load(&request, &around).map(|mut config| config.sites.remove(0).releases).map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_not_be_meant_is_a_mistake() {
        let plain = read("current = \"current\"\n").unwrap().unwrap();
        assert_eq!(plain, ReleasesConfig { current: "/srv/current".into(), migrate: None });
        for (text, why) in [
            ("current = \"\"\n", "current is empty"),
            ("current = \"/a\"\nmigrate = []\n", "names no program"),
            ("current = \"/a\"\nmigrate = [\"\"]\n", "names no program"),
            ("migrate = [\"a\"]\n", "current"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
