//! `midwatch config path|check|show|schema`.

use std::io::{self, Write};

use crate::app::keymap::{Keymap, KeymapError};
use crate::config::file::ConfigFile;
use crate::config::load::{Request, load, mistake_at};
use crate::config::{Config, Found, SiteConfig, StateDir, paths, without_login};
use crate::discovery::Surroundings;
use crate::domain::text::plain;

/// Everything is right.
const FINE: u8 = 0;
/// A mistake was found (as `status`: critical).
const WRONG: u8 = 2;

/// Every file and directory that is used, and whether it is there.
///
/// # Errors
/// When `out` can't be written.
pub fn path(request: &Request, out: &mut impl Write) -> io::Result<u8> {
    let around = Surroundings::of_process();
    let there = |path: &std::path::Path| if path.exists() { "there" } else { "not there" };
    for file in paths::files(&around, request.config.as_deref()) {
        writeln!(out, "config  {} ({})", file.display(), there(&file))?;
    }
    for dir in paths::theme_dirs(&around) {
        writeln!(out, "themes  {} ({})", dir.display(), there(&dir))?;
    }
    match load(request, &around) {
        Ok(config) => {
            match &config.state {
                StateDir::Directory(dir) => writeln!(out, "state   {}", dir.display())?,
                StateDir::Memory(why) => writeln!(out, "state   none: {why}")?,
            }
            for site in &config.sites {
                if let Some(path) = &site.source {
                    writeln!(out, "site    {} ({})", path.display(), site.id)?;
                }
            }
            Ok(FINE)
        }
        Err(error) => {
            writeln!(out, "{error}")?;
            Ok(WRONG)
        }
    }
}

/// Every mistake, or that there is none.
///
/// # Errors
/// When `out` can't be written.
pub fn check(request: &Request, out: &mut impl Write) -> io::Result<u8> {
    let config = match load(request, &Surroundings::of_process()) {
        Ok(config) => config,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(WRONG);
        }
    };
    let complaints = complaints(&config, request, &Surroundings::of_process());
    let code = if complaints.is_empty() { FINE } else { WRONG };
    if !complaints.is_empty() {
        writeln!(out, "{}", complaints.join("\n\n"))?;
    }
    for trace in &config.trail {
        if let Found::Broken(why) = &trace.outcome {
            writeln!(out, "warning: {}: {why}", trace.what)?;
        }
    }
    if code == FINE {
        writeln!(
            out,
            "the configuration is right; {} watched",
            crate::domain::text::count(u64::try_from(config.sites.len()).unwrap_or(0), "site")
        )?;
    }
    Ok(code)
}

/// What is wrong with the keys and the look: those who know which there are say it, the file and line are found to it.
pub(crate) fn complaints(config: &Config, request: &Request, around: &Surroundings) -> Vec<String> {
    let keys = Keymap::with(&config.keys).err().map(|error| {
        let key = match &error {
            KeymapError::UnknownAction { name, .. }
            | KeymapError::BadKey { name, .. }
            | KeymapError::Duplicate { second: name, .. }
            | KeymapError::Reserved { name, .. } => name.clone(),
        };
        mistake_at(request, around, "keys", &key, error.to_string()).to_string()
    });
    let look = super::screens::looks(&config.look).err().map(|error| {
        // The role is named in the sentence; a sentence that names none is about the theme.
        let role =
            config.look.patch.keys().find(|role| error.starts_with("[look.roles]") && error.contains(role.as_str()));
        let (table, key) = role.map_or(("look", "theme"), |role| ("look.roles", role.as_str()));
        mistake_at(request, around, table, key, error).to_string()
    });
    keys.into_iter().chain(look).collect()
}

/// What holds in the end, as TOML, with where it came from. Secrets are not in it.
///
/// # Errors
/// When `out` can't be written.
pub fn show(request: &Request, out: &mut impl Write) -> io::Result<u8> {
    let config = match load(request, &Surroundings::of_process()) {
        Ok(config) => config,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(WRONG);
        }
    };
    for trace in &config.trail {
        let (word, text) = match &trace.outcome {
            Found::Yes(text) => ("found", text),
            Found::No(text) => ("not found", text),
            Found::Broken(text) => ("broken", text),
        };
        writeln!(out, "# {word}: {}: {text}", trace.what)?;
    }
    out.write_all(effective(&config).as_bytes())?;
    Ok(FINE)
}

/// A JSON schema of the file.
///
/// # Errors
/// When `out` can't be written.
pub fn schema(out: &mut impl Write) -> io::Result<u8> {
    let schema = schemars::schema_for!(ConfigFile);
    let text = serde_json::to_string_pretty(&schema).map_err(io::Error::other)?;
    writeln!(out, "{text}")?;
    Ok(FINE)
}

/// The configuration as a file that could be read back, but for its secrets.
fn effective(config: &Config) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut lines = vec![format!("read_only = {}", config.read_only)];
    match &config.state {
        StateDir::Directory(dir) => lines.push(format!("state_dir = {}", quoted(&dir.display().to_string()))),
        StateDir::Memory(why) => lines.push(format!("# no state directory: {why}")),
    }
    let pace = &config.pace;
    lines.push("\n[pace]".to_owned());
    let spans = [
        ("health", pace.health),
        ("metrics", pace.metrics),
        ("host", pace.host),
        ("database", pace.database),
        ("redis", pace.redis),
        ("services", pace.services),
        ("logs", pace.logs),
        ("backups", pace.backups),
        ("changes", pace.changes),
        ("hang", pace.hang),
    ];
    lines.extend(spans.map(|(name, span)| format!("{name} = \"{}ms\"", span.as_millis())));
    lines.push("\n[thresholds]".to_owned());
    lines.push(toml::to_string(&config.thresholds).unwrap_or_default().trim_end().to_owned());
    let look = &config.look;
    lines.push(format!(
        "\n[look]\ntheme = {}\ncolor = {}\nascii = {}\nframes_per_second = {}",
        quoted(&look.theme),
        serde_json::to_string(&look.color).unwrap_or_default(),
        look.ascii,
        look.frames_per_second
    ));
    if !look.patch.is_empty() {
        lines.push("\n[look.roles]".to_owned());
        lines.extend(look.patch.iter().map(|(role, style)| format!("{role} = {}", quoted(style))));
    }
    if !config.keys.is_empty() {
        lines.push("\n[keys]".to_owned());
        lines.extend(config.keys.iter().map(|(action, keys)| {
            format!("{action} = [{}]", keys.iter().map(|k| quoted(k)).collect::<Vec<_>>().join(", "))
        }));
    }
    for site in &config.sites {
        lines.push(format!("\n[sites.{}]", quoted(&site.id.0)));
        lines.extend(site_lines(site, quoted));
        for service in &site.services {
            lines.push(format!("[sites.{}.services.{}]", quoted(&site.id.0), quoted(&service.name)));
            lines.extend(service.keys().into_iter().map(|(key, value)| format!("{key} = {}", quoted(&value))));
        }
        if let Some(releases) = &site.releases {
            let current = quoted(&releases.current.display().to_string());
            lines.push(format!("[sites.{}.releases]\ncurrent = {current}", quoted(&site.id.0)));
            let words = |words: &Vec<String>| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
            lines.extend(releases.migrate.as_ref().map(|argv| format!("migrate = [{}]", words(argv))));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn site_lines(site: &SiteConfig, quoted: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = vec![
        format!("app = {}", serde_json::to_string(&site.app).unwrap_or_default()),
        format!("title = {}", quoted(&site.title)),
        format!("url = {}", quoted(without_login(&site.url).as_str())),
        format!("health_path = {}", quoted(&site.health_path)),
    ];
    lines.extend(site.source.as_ref().map(|p| format!("app_config = {}", quoted(&p.display().to_string()))));
    lines.extend(site.direct.as_ref().map(|u| format!("direct = {}", quoted(without_login(u).as_str()))));
    match &site.metrics {
        Ok(metrics) => {
            lines.push(format!("metrics_url = {}", quoted(without_login(&metrics.url).as_str())));
            if let Some((user, _)) = &metrics.login {
                lines.push(format!("metrics_user = {}\n# metrics_password: [redacted]", quoted(user)));
            }
        }
        Err(why) => lines.push(format!("# no metrics: {why}")),
    }
    match &site.database {
        Ok(db) => {
            let host = if db.host.is_empty() { "the default socket".to_owned() } else { plain(&db.host, 120) };
            let port = db.port.map(|p| format!(" port {p}")).unwrap_or_default();
            lines.push(format!(
                "# database: {} {} on {host}{port} as {}, password [redacted]",
                db.engine.name(),
                plain(&db.name, 200),
                plain(&db.user, 80)
            ));
        }
        Err(why) => lines.push(format!("# no database: {why}")),
    }
    match &site.redis {
        Ok(_) => lines.push("# redis: [redacted]".to_owned()),
        Err(why) => lines.push(format!("# no redis: {why}")),
    }
    match &site.broker {
        Ok(broker) => lines.push(format!("# broker: [redacted], queues {}", plain(&broker.queues.join(", "), 400))),
        Err(why) => lines.push(format!("# no broker: {why}")),
    }
    if site.practice {
        lines.push("practice = true".to_owned());
    }
    lines
}
