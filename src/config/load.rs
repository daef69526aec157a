//! From files, environment, flags and discovery to one checked [`Config`].

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use toml::Spanned;
use url::Url;

use super::file::{Chords, ConfigFile, PaceFile, SecretFile, SiteFile};
use super::report::{ConfigError, Mistake, masked, nearest};
use super::site;
use super::{Config, Found, Look, PaceConfig, Trace, paths};
use crate::discovery::{Discovery, Surroundings, discover};
use crate::domain::id::HostId;
use crate::triage::Thresholds;

/// A longer file is no configuration.
const MAX: u64 = 1024 * 1024;

/// What the command line asks for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Read this file and no other.
    pub config: Option<PathBuf>,
    /// Watch the application with this configuration file.
    pub app_config: Option<PathBuf>,
    /// Keep state here.
    pub state_dir: Option<PathBuf>,
    /// Look only.
    pub read_only: bool,
    /// A theme.
    pub theme: Option<String>,
    /// How many colours.
    pub color: Option<super::ColorChoice>,
    /// Only ASCII.
    pub ascii: bool,
}

/// A file with its mistakes so far.
pub(super) struct Source {
    pub(super) path: PathBuf,
    text: String,
    /// Whether every user of the machine may read it.
    pub(super) open: bool,
    pub(super) mistakes: Vec<Mistake>,
}

impl Source {
    pub(super) fn mistake(&mut self, span: std::ops::Range<usize>, what: impl Into<String>, help: Option<String>) {
        self.mistakes.push(Mistake { span, what: what.into(), help });
    }

    /// The part of the file that holds a key, for mistakes in values that carry no place of their own.
    pub(super) fn find(&self, key: &str) -> std::ops::Range<usize> {
        let at = self.text.match_indices(key).map(|(i, _)| i).find(|i| {
            let before = self.text.get(..*i).unwrap_or_default();
            before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty())
        });
        at.map_or(0..0, |i| i..i + key.len())
    }
}

/// Reads, discovers, lays one over the other, and checks.
///
/// # Errors
/// Every mistake of the first file that has any; a file that can't be read.
pub fn load(request: &Request, around: &Surroundings) -> Result<Config, ConfigError> {
    let named = named(request, around);
    let mut config = Config {
        host: host(around),
        sites: Vec::new(),
        state: super::StateDir::Memory("not looked for yet".to_owned()),
        pace: PaceConfig::default(),
        thresholds: Thresholds::default(),
        look: Look { theme_dirs: paths::theme_dirs(around), ..Look::default() },
        keys: BTreeMap::new(),
        read_only: request.read_only
            || around.env.get("MIDWATCH_READ_ONLY").is_some_and(|v| !matches!(v.as_str(), "" | "0" | "false" | "no")),
        trail: Vec::new(),
    };
    let mut found = Discovery::default();
    let mut discovering = true;
    let mut state_dir = None;
    let mut files = Vec::new();
    for path in paths::files(around, named.as_deref()) {
        let Some((file, source)) = read(around, &path, named.is_some(), &mut config.trail)? else { continue };
        discovering = file.discover.unwrap_or(discovering);
        state_dir = file.state_dir.clone().map(PathBuf::from).or(state_dir);
        files.push((file, source));
    }
    if discovering || request.app_config.is_some() {
        found = discover(around, request.app_config.as_deref());
    }
    config.trail.append(&mut found.trail);
    config.sites = found.sites;
    for (file, mut source) in files {
        overlay(&mut config, file, &mut source, around);
        if !source.mistakes.is_empty() {
            let text = masked(&source.text);
            return Err(ConfigError::Mistakes { path: source.path, text, mistakes: source.mistakes });
        }
    }
    if discovering {
        let jobs = crate::discovery::backups::Jobs::find(around);
        for site in &mut config.sites {
            site.backups = crate::discovery::backups::places(around, site, &jobs);
            config.trail.extend(crate::discovery::backups::trail(site));
        }
    }
    let state_dir = request
        .state_dir
        .clone()
        .or_else(|| around.env.get("MIDWATCH_STATE_DIR").filter(|d| !d.is_empty()).map(PathBuf::from))
        .or(state_dir);
    config.state = paths::state(around, state_dir.as_deref());
    if let Some(theme) =
        request.theme.clone().or_else(|| around.env.get("MIDWATCH_THEME").filter(|t| !t.is_empty()).cloned())
    {
        config.look.theme = theme;
    }
    config.look.color = request.color.unwrap_or(config.look.color);
    config.look.ascii |= request.ascii;
    Ok(config)
}

fn host(around: &Surroundings) -> HostId {
    let name = std::fs::read_to_string(around.at(Path::new("/proc/sys/kernel/hostname"))).unwrap_or_default();
    let name = crate::domain::text::plain(name.trim(), 64);
    HostId(if name.is_empty() { "this host".to_owned() } else { name })
}

fn read(
    around: &Surroundings,
    path: &Path,
    named: bool,
    trail: &mut Vec<Trace>,
) -> Result<Option<(ConfigFile, Source)>, ConfigError> {
    let what = "configuration".to_owned();
    let unreadable = |why: String| ConfigError::Unreadable { path: path.to_owned(), why };
    let bytes = match bounded(&around.at(path)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {
            trail.push(Trace { what, outcome: Found::No(format!("{} isn't there (it need not be)", path.display())) });
            return Ok(None);
        }
        // Of the usual files one that can't be read is told and passed over; one that was named is an error.
        Err(error) if !named => {
            trail.push(Trace { what, outcome: Found::Broken(format!("{}: {error}", path.display())) });
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|b| **b == b'\n').count();
        unreadable(format!("line {line} is not UTF-8: save the file as UTF-8"))
    })?;
    match toml::from_str::<ConfigFile>(&text) {
        Ok(file) => {
            trail.push(Trace { what, outcome: Found::Yes(path.display().to_string()) });
            Ok(Some((file, Source { path: path.to_owned(), text, open: open(&around.at(path)), mistakes: Vec::new() })))
        }
        Err(error) => {
            let help = unknown_key(error.message());
            let mistake = Mistake { span: error.span().unwrap_or(0..0), what: plain_message(error.message()), help };
            Err(ConfigError::Mistakes { path: path.to_owned(), text: masked(&text), mistakes: vec![mistake] })
        }
    }
}

/// Whether every user may read a file.
fn open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

/// A mistake in `[table]` that only others can see (they know the keys and themes there are), at its place in the file
/// that wrote `key` last; without a place where no file did.
pub fn mistake_at(request: &Request, around: &Surroundings, table: &str, key: &str, what: String) -> ConfigError {
    let named = named(request, around);
    for path in paths::files(around, named.as_deref()).into_iter().rev() {
        let text = bounded(&around.at(&path)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((text, span)) = text.and_then(|text| Some((masked(&text), place(&text, table, key)?))) else {
            continue;
        };
        return ConfigError::Mistakes { path, text, mistakes: vec![Mistake { span, what, help: None }] };
    }
    ConfigError::Elsewhere(what)
}

/// Where a key of a table is written, as `key = …` below `[table]` or as `table.key = …` above the first table.
fn place(text: &str, table: &str, key: &str) -> Option<std::ops::Range<usize>> {
    let (mut within, mut start) = (String::new(), 0);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if let Some(header) = trimmed.strip_prefix('[') {
            header.split(']').next().unwrap_or_default().trim().clone_into(&mut within);
        } else if let Some((written, _)) = trimmed.split_once('=') {
            let written = written.trim().replace(['"', '\''], "");
            let full = if within.is_empty() { written } else { [within.as_str(), ".", &written].concat() };
            if full == [table, ".", key].concat() {
                let indent = line.len() - line.trim_start().len();
                return Some(start + indent..start + indent + trimmed.len());
            }
        }
        start += line.len();
    }
    None
}

/// The configuration file the command line or the environment names.
fn named(request: &Request, around: &Surroundings) -> Option<PathBuf> {
    let by_env = || around.env.get("MIDWATCH_CONFIG").filter(|p| !p.is_empty()).map(PathBuf::from);
    request.config.clone().or_else(by_env)
}

/// A file's bytes, if there are not too many of them.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX {
        return Err(io::Error::other("is longer than 1 MB: that is no configuration"));
    }
    Ok(bytes)
}

/// serde's sentence without its list of everything that would have been known, and without the value of a string, which
/// might be a secret.
fn plain_message(message: &str) -> String {
    let first = message.split(", expected one of").next().unwrap_or(message);
    let first = first.split(", there are no fields").next().unwrap_or(first).trim_end();
    match first.split_once("string \"") {
        Some((before, after)) => format!("{before}string{}", after.rsplit_once('"').map_or("", |(_, rest)| rest)),
        None => first.to_owned(),
    }
}

/// For an unknown key: the nearest of those serde lists.
fn unknown_key(message: &str) -> Option<String> {
    let mut ticked = message.split('`').skip(1).step_by(2);
    let word = ticked.next().filter(|_| message.starts_with("unknown"))?;
    let known: Vec<&str> = ticked.collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(format!("known here: {}", known.join(", "))),
    }
}

fn overlay(config: &mut Config, file: ConfigFile, source: &mut Source, around: &Surroundings) {
    config.read_only |= file.read_only.unwrap_or(false);
    thresholds(&mut config.thresholds, source);
    pace(&mut config.pace, &file.pace, source);
    let look = file.look;
    config.look.theme = look.theme.unwrap_or_else(|| std::mem::take(&mut config.look.theme));
    config.look.patch.extend(look.roles);
    config.look.color = look.color.unwrap_or(config.look.color);
    config.look.ascii = look.ascii.unwrap_or(config.look.ascii);
    if let Some(frames) = look.frames_per_second {
        if !(1..=60).contains(&frames) {
            source.mistake(source.find("frames_per_second"), "frames_per_second must be from 1 to 60", None);
        }
        config.look.frames_per_second = frames;
    }
    for (action, chords) in file.keys {
        let chords = match chords.into_inner() {
            Chords::One(chord) => vec![chord],
            Chords::Many(chords) => chords,
        };
        config.keys.insert(action, chords);
    }
    for (name, entry) in file.sites {
        let span = entry.span();
        let entry: SiteFile = entry.into_inner();
        site::overlay(config, &name, entry, span, source, around);
    }
    for written in file.triggers {
        let span = written.span();
        let Some((of, trigger)) = super::logs::trigger(written, source) else { continue };
        if let Some(of) = of.as_ref().filter(|of| !config.sites.iter().any(|site| site.id.0 == **of)) {
            source.mistake(
                span,
                format!("is about a site {} that there is not", crate::domain::text::plain(of, 60)),
                None,
            );
        }
        for site in config.sites.iter_mut().filter(|site| of.as_ref().is_none_or(|of| site.id.0 == *of)) {
            site.triggers.retain(|known| known.name != trigger.name);
            site.triggers.push(trigger.clone());
        }
    }
}

/// Key by key: what this file doesn't name stays as it is.
fn thresholds(thresholds: &mut Thresholds, source: &mut Source) {
    let written: Option<toml::Table> = toml::from_str::<toml::Table>(&source.text)
        .ok()
        .and_then(|mut file| file.remove("thresholds"))
        .and_then(|table| table.try_into().ok());
    let (Some(written), Ok(mut merged)) = (written, toml::Table::try_from(&*thresholds)) else { return };
    let usual = toml::Table::try_from(Thresholds::default()).unwrap_or_default();
    for (key, value) in written {
        #[expect(clippy::cast_precision_loss, reason = "only compared with 0 and 1")]
        let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
        // A limit that is a share has one by default.
        let share = usual.get(&key).and_then(toml::Value::as_float).is_some_and(|usual| (0.0..=1.0).contains(&usual));
        let most = if share { 1.0 } else { f64::MAX };
        if !number.is_some_and(|n| (0.0..=most).contains(&n)) {
            let what = if share { "must be a share from 0.0 to 1.0" } else { "must be 0 or more" };
            let help = share.then(|| "90 % is 0.9".to_owned());
            source.mistake(source.find(&key), what, help);
        }
        merged.insert(key, value);
    }
    if let Ok(merged) = merged.try_into() {
        *thresholds = merged;
    }
}

fn pace(pace: &mut PaceConfig, file: &PaceFile, source: &mut Source) {
    let mut set = |target: &mut Duration, value: &Option<Spanned<String>>, least: Duration| {
        let Some(value) = value else { return };
        match duration(value.get_ref()) {
            Some(span) if span >= least && span <= Duration::from_hours(1) => *target = span,
            Some(_) => {
                let least = crate::domain::text::span(u64::try_from(least.as_millis()).unwrap_or(0));
                source.mistake(
                    value.span(),
                    format!("must be from {least} to 1 hour: asking more often does harm"),
                    None,
                );
            }
            None => source.mistake(value.span(), "is no duration", Some("write it like \"5s\", \"1m 30s\"".to_owned())),
        }
    };
    let second = Duration::from_secs(1);
    set(&mut pace.health, &file.health, second);
    set(&mut pace.metrics, &file.metrics, second * 5);
    set(&mut pace.host, &file.host, second);
    set(&mut pace.database, &file.database, second);
    set(&mut pace.redis, &file.redis, second);
    set(&mut pace.services, &file.services, second);
    set(&mut pace.logs, &file.logs, second);
    set(&mut pace.backups, &file.backups, second);
    set(&mut pace.changes, &file.changes, second);
    set(&mut pace.hang, &file.hang, second * 2);
}

pub(super) fn duration(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(span).ok()
}

/// A URL with a host, or a mistake at its place.
pub(super) fn url(value: &Spanned<String>, source: &mut Source) -> Option<Url> {
    match Url::parse(value.get_ref()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
        Ok(_) | Err(_) => {
            source.mistake(value.span(), "is no URL", Some("write it like \"https://tickets.example.org\"".to_owned()));
            None
        }
    }
}

/// The secret, from where it is; a sentence if it can't be had.
pub(super) fn secret(value: &SecretFile, around: &Surroundings) -> Result<SecretString, String> {
    let line = |path: PathBuf| {
        let bytes = bounded(&around.at(&path)).map_err(|error| format!("{}: {error}", path.display()))?;
        let text = String::from_utf8(bytes).map_err(|_not_text| format!("{} is not UTF-8", path.display()))?;
        let first = text.lines().next().unwrap_or_default();
        if first.is_empty() {
            Err(format!("the first line of {} is empty", path.display()))
        } else {
            Ok(first.to_owned())
        }
    };
    let text = match value {
        SecretFile::Literal(text) => Ok(text.clone()),
        SecretFile::File { file } => line(around.cwd.join(file)),
        SecretFile::Env { env } => around.env.get(env).cloned().ok_or_else(|| format!("the environment has no {env}")),
        SecretFile::Credential { credential } => match around.env.get("CREDENTIALS_DIRECTORY") {
            Some(dir) if !credential.contains('/') => line(Path::new(dir).join(credential)),
            Some(_) | None => {
                Err(format!("there is no systemd credential {credential} (CREDENTIALS_DIRECTORY is not set)"))
            }
        },
    };
    text.map(SecretString::from)
}

#[cfg(test)]
mod tests;
