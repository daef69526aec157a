//! An application's own configuration: INI files as Python's `RawConfigParser` reads them, with the environment over them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use configparser::ini::{Ini, IniDefault};

use super::Surroundings;
use crate::config::AppKind;

/// A longer file is no configuration.
const MAX: u64 = 1024 * 1024;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It can't be read.
    #[error("{}: {why}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// It is no INI file.
    #[error("{}: {why}", .path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Why; never shows a line of the file.
        why: String,
    },
}

/// Options by section.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// The section whose options every other one inherits.
const DEFAULTS: &str = "DEFAULT";

/// What one application is configured with. Holds secrets, so it has no `Debug`.
pub struct Settings {
    values: Sections,
    prefix: &'static str,
    env: BTreeMap<String, String>,
    root: Surroundings,
    files: Vec<PathBuf>,
    /// Files that are there and were passed over, as the application passes over what it can't open.
    passed_over: Vec<SettingsError>,
}

impl Settings {
    /// Reads `files` in order, the last winning; those that aren't there are passed over unless there is only one.
    ///
    /// # Errors
    /// A file that can't be understood; one that can't be read, if no other could.
    pub fn read(
        around: &Surroundings,
        files: &[PathBuf],
        app: AppKind,
        env: &BTreeMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let prefix = if app == AppKind::Pretalx { "PRETALX" } else { "PRETIX" };
        let (mut values, mut passed_over, mut read) = (Sections::new(), Vec::new(), Vec::new());
        for path in files {
            let path_here = around.at(path);
            if files.len() > 1 && absent(&path_here) {
                continue;
            }
            match text(&path_here, path) {
                Ok(text) => {
                    read.push(path.clone());
                    for (section, options) in parse(&text, path)? {
                        values.entry(section).or_default().extend(options);
                    }
                }
                Err(error) => passed_over.push(error),
            }
        }
        if read.is_empty() && !passed_over.is_empty() {
            return Err(passed_over.remove(0));
        }
        Ok(Self { values, prefix, env: env.clone(), root: around.clone(), files: read, passed_over })
    }

    /// The files that were read, the one that wins last.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Why files that are there were passed over.
    pub fn passed_over(&self) -> impl Iterator<Item = String> {
        self.passed_over.iter().map(ToString::to_string)
    }

    /// A value: from `FILE__PREFIX_SECTION_OPTION` (a file's content), `PREFIX_SECTION_OPTION`, or the files.
    pub fn get(&self, section: &str, option: &str) -> Option<String> {
        let name = self.variable(section, option);
        if let Some(path) = self.env.get(&format!("FILE__{name}"))
            && let Ok(text) = text(&self.root.at(Path::new(path)), Path::new(path))
        {
            return Some(text.trim().to_owned());
        }
        // As Python: a default of any file reaches every section there is, and only those.
        let own = || {
            let options = self.values.get(section)?;
            options.get(option).or_else(|| self.values.get(DEFAULTS)?.get(option)).cloned()
        };
        self.env.get(&name).cloned().or_else(own)
    }

    /// The environment variable that stands over an option: pretix has a rule, pretalx a list (`common/settings/config.py`).
    fn variable(&self, section: &str, option: &str) -> String {
        let key = |s: &str| s.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let option = key(option);
        match (self.prefix, section) {
            ("PRETALX", "database") => {
                let option = match option.as_str() {
                    "BACKEND" => "TYPE",
                    "PASSWORD" => "PASS",
                    other => other,
                };
                format!("PRETALX_DB_{option}")
            }
            ("PRETALX", "redis") if option == "LOCATION" => "PRETALX_REDIS".to_owned(),
            (prefix, section) => format!("{prefix}_{}_{option}", key(section)),
        }
    }

    /// A value that isn't empty.
    pub fn some(&self, section: &str, option: &str) -> Option<String> {
        self.get(section, option).filter(|v| !v.is_empty())
    }

    /// A switch, as Python reads it; `None` if it isn't set or is neither.
    pub fn switch(&self, section: &str, option: &str) -> Option<bool> {
        match self.get(section, option)?.to_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => Some(true),
            "0" | "no" | "false" | "off" => Some(false),
            _ => None,
        }
    }
}

/// Whether there is surely nothing there; a dangling link or a closed directory is something.
pub(super) fn absent(path: &Path) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    std::fs::symlink_metadata(path).is_err_and(|error| matches!(error.kind(), NotFound | NotADirectory))
}

/// A file's text, or a sentence that says why not.
fn text(real: &Path, shown: &Path) -> Result<String, SettingsError> {
    let fail = |why: String| SettingsError::Unreadable { path: shown.to_owned(), why };
    let explain = |error: std::io::Error| {
        let kind = error.kind();
        fail(if kind == std::io::ErrorKind::PermissionDenied {
            "can't be read by this user; run midwatch as root or as the application's user".to_owned()
        } else if kind == std::io::ErrorKind::NotFound {
            let dangling = std::fs::symlink_metadata(real).is_ok();
            if dangling { "is a link to a file that isn't there" } else { "isn't there" }.to_owned()
        } else {
            error.to_string()
        })
    };
    // Asked before it is opened: to open a pipe would wait for somebody to write into it.
    if !std::fs::metadata(real).map_err(explain)?.is_file() {
        return Err(fail("is no file".to_owned()));
    }
    let file = std::fs::File::open(real).map_err(explain)?;
    let mut bytes = Vec::new();
    file.take(MAX + 1).read_to_end(&mut bytes).map_err(explain)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX {
        return Err(fail("is longer than 1 MB: that is no configuration".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count();
        fail(format!("line {line} is not UTF-8"))
    })
}

fn parse(text: &str, path: &Path) -> Result<Sections, SettingsError> {
    let mut rules = IniDefault::default();
    // As RawConfigParser: a comment is a whole line, never the rest of one; a password may hold `;` and `#`.
    rules.inline_comment_symbols = Some(Vec::new());
    rules.multiline = true;
    rules.comment_symbols = vec![';', '#'];
    rules.case_sensitive = true;
    let mut ini = Ini::new_from_defaults(rules);
    let sections = ini.read(text.to_owned()).map_err(|why| {
        // The library's sentence may quote the line; only its number is kept.
        let number: String = why.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        let why =
            if number.is_empty() { "is no INI file".to_owned() } else { format!("line {number} is not understood") };
        SettingsError::Syntax { path: path.to_owned(), why }
    })?;
    let mut out = Sections::new();
    for (section, options) in sections {
        let options = options.into_iter().filter_map(|(option, value)| Some((option.to_lowercase(), value?)));
        out.entry(section).or_default().extend(options);
    }
    Ok(out)
}
