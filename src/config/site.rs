//! A `[sites.NAME]` table laid over what discovery found, or made a site of its own.

use std::ops::Range;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use toml::Spanned;
use url::Url;

use super::file::{SecretFile, SiteFile};
use super::load::{Source, secret, url};
use super::{AppKind, Config, DatabaseConfig, Found, MetricsConfig, RedisConfig, SiteConfig, Trace};
use crate::discovery::{Surroundings, application, broker_at, translated};
use crate::domain::database::Engine;
use crate::domain::id::SiteId;
use crate::domain::text::plain;

/// Lays `file` over the site it means: one of its name, or that of the same application's configuration file.
pub(super) fn overlay(
    config: &mut Config,
    name: &str,
    file: SiteFile,
    span: Range<usize>,
    source: &mut Source,
    around: &Surroundings,
) {
    let id = SiteId(plain(name, 60));
    let app_config = file.app_config.as_ref().map(|p| around.cwd.join(p));
    let place = config.sites.iter().position(|s| s.id == id || (app_config.is_some() && s.source == app_config));
    let base = match place {
        Some(place) => Some(config.sites.remove(place)),
        None => app_config.as_deref().and_then(|path| {
            let mut found = application(around, path, file.app);
            found.trail.retain(|t| !config.trail.contains(t));
            config.trail.append(&mut found.trail);
            found.sites.pop()
        }),
    };
    // An application's configuration that can't be read is told in the trail; the other sites are watched all the same.
    if base.is_none() && app_config.is_some() && file.url.is_none() {
        return;
    }
    let Some(mut site) = base.or_else(|| bare(&id, &file, source, span)) else { return };
    site.id = id;
    merge(&mut site, file, source, around, &mut config.trail);
    config.sites.insert(place.unwrap_or(config.sites.len()).min(config.sites.len()), site);
}

/// A site described by its table alone.
fn bare(id: &SiteId, file: &SiteFile, source: &mut Source, span: Range<usize>) -> Option<SiteConfig> {
    let Some(written) = &file.url else {
        let span = span.start..span.end.min(span.start + 1);
        source.mistake(
            span,
            format!("[sites.{id}] has no url, and no application's configuration to take it from"),
            Some("add url = \"https://…\", or app_config = \"/etc/pretix/pretix.cfg\"".to_owned()),
        );
        return None;
    };
    // A wrong one is told when the table is laid over, together with the table's other mistakes.
    let url = Url::parse(written.get_ref()).or_else(|_| Url::parse("http://localhost")).ok()?;
    Some(SiteConfig::bare(id.clone(), file.app.unwrap_or(AppKind::Web), url))
}

fn merge(site: &mut SiteConfig, file: SiteFile, source: &mut Source, around: &Surroundings, trail: &mut Vec<Trace>) {
    site.title = file.title.map_or_else(|| std::mem::take(&mut site.title), |title| plain(&title, 80));
    site.app = file.app.unwrap_or(site.app);
    super::service::overlay(&mut site.services, file.services, source, around);
    site.access_logs.extend(file.access_logs.iter().flatten().map(|path| around.cwd.join(path)));
    site.certificate_file = file.certificate_file.map(|path| around.cwd.join(path)).or(site.certificate_file.take());
    if let Some(words) = file.migrate {
        if words.get_ref().first().is_none_or(String::is_empty) {
            source.mistake(words.span(), "migrate names no program", None);
        }
        site.migrate = Some(words.into_inner());
    }
    site.practice = file.practice.unwrap_or(site.practice);
    site.data_dir = file.data_dir.map(|dir| around.cwd.join(dir)).or_else(|| site.data_dir.take());
    site.backups.lay(file.backups, source, around);
    site.releases = file
        .releases
        .and_then(|releases| super::releases::read(releases, source, around))
        .or_else(|| site.releases.take());
    site.url = file.url.as_ref().and_then(|u| url(u, source)).unwrap_or_else(|| site.url.clone());
    site.direct = file.direct.as_ref().and_then(|u| url(u, source)).or_else(|| site.direct.take());
    if let Some(path) = file.health_path {
        if !path.starts_with('/') {
            source.mistake(source.find("health_path"), "must begin with a slash", None);
        }
        site.health_path = path;
    }
    let exposed = source.open.then(|| source.path.display().to_string());
    if let (Some(path), Some(written)) = (exposed.as_deref(), &file.database)
        && Url::parse(written.get_ref()).is_ok_and(|url| url.password().is_some_and(|p| !p.is_empty()))
    {
        trail.push(Trace { what: format!("{} database", site.id), outcome: Found::Broken(told_to_all(path)) });
    }
    let mut secret_of = |value: &SecretFile, what: &str| match secret(value, around) {
        Ok(secret) if exposed.is_some() && holds_secret(value, what) => {
            let path = exposed.as_deref().unwrap_or_default();
            trail.push(Trace { what: format!("{} {what}", site.id), outcome: Found::Broken(told_to_all(path)) });
            Some(secret)
        }
        Ok(secret) => Some(secret),
        Err(why) => {
            trail.push(Trace { what: format!("{} {what}", site.id), outcome: Found::Broken(why) });
            None
        }
    };
    let password = file.metrics_password.as_ref().and_then(|p| secret_of(p, "metrics_password"));
    let page = file.metrics_url.as_ref().and_then(|u| url(u, source));
    let old = std::mem::replace(&mut site.metrics, Err(String::new()));
    // A login that was found goes only where it was meant for, or to the application's own port on this host; another
    // host gets what is written for it.
    let (old_url, old_login) = match &old {
        Ok(old) => (Some(old.url.clone()), old.login.clone()),
        Err(_) => (None, None),
    };
    let same = page.as_ref().is_none_or(|page| {
        let here = page.host_str().is_some_and(|h| matches!(h, "localhost" | "127.0.0.1" | "[::1]"));
        here || old_url.as_ref().is_some_and(|old| old.origin() == page.origin())
    });
    let (old_user, old_password) = old_login.filter(|_| same).unzip();
    let login = file.metrics_user.or(old_user).zip(password.or(old_password));
    site.metrics = match (page.or(old_url), old) {
        (Some(url), _) => Ok(MetricsConfig { url, login }),
        (None, old) => old,
    };
    let password = file.database_password.as_ref().and_then(|p| secret_of(p, "database_password"));
    if let Some(written) = &file.database {
        site.database = database(written, password, source)
            .ok_or_else(|| "its URL in the configuration is not understood".to_owned());
    } else if let (Ok(database), Some(password)) = (&mut site.database, password) {
        database.password = password;
    }
    if let Some(url) = file.redis.as_ref().and_then(|r| secret_of(r, "redis")) {
        let url = SecretString::from(translated(url.expose_secret()));
        site.redis = Ok(RedisConfig { url, container: None });
    }
    if let Some(url) = file.broker.as_ref().and_then(|b| secret_of(b, "broker")) {
        site.broker = broker_at(url.expose_secret(), site.app);
    }
    for log in super::logs::logs(file.logs, source) {
        site.logs.retain(|known| known.place != log.place);
        site.logs.push(log);
    }
    if let (Some(queues), Ok(broker)) = (file.queues, &mut site.broker) {
        broker.queues = queues;
    }
}

/// Whether the file itself holds a secret: a password written out, or a URL with a login.
fn holds_secret(value: &SecretFile, what: &str) -> bool {
    matches!(value, SecretFile::Literal(text) if what.ends_with("password") || text.contains('@'))
}

fn told_to_all(path: &str) -> String {
    format!(
        "{path} holds this secret and every user may read it: chmod 640 it, or write {{ file = \"…\" }} or {{ credential = \"…\" }}"
    )
}

/// `postgresql://user:password@host:5432/name`, `mysql://…`, `sqlite:///path`.
fn database(written: &Spanned<String>, password: Option<SecretString>, source: &mut Source) -> Option<DatabaseConfig> {
    let text = written.get_ref();
    if let Some(path) = text.strip_prefix("sqlite://") {
        let name = PathBuf::from(path).display().to_string();
        return Some(DatabaseConfig {
            engine: Engine::Sqlite,
            host: String::new(),
            port: None,
            name,
            user: String::new(),
            password: SecretString::from(String::new()),
            container: None,
        });
    }
    let parsed = Url::parse(text).ok();
    let engine = match parsed.as_ref().map(Url::scheme) {
        Some("postgresql" | "postgres") => Engine::Postgresql,
        Some("mysql" | "mariadb") => Engine::Mysql,
        Some(_) | None => {
            let help = "write it like \"postgresql://user@host:5432/name\" or \"sqlite:///path\"".to_owned();
            source.mistake(written.span(), "is no database URL", Some(help));
            return None;
        }
    };
    let url = parsed?;
    let own = url.password().map(decoded);
    // A socket's directory can't be a URL's host: `?host=/run/postgresql`, as libpq takes it.
    let socket = url.query_pairs().find(|(k, _)| k == "host").map(|(_, v)| v.into_owned());
    Some(DatabaseConfig {
        engine,
        host: socket.or_else(|| url.host_str().map(decoded)).unwrap_or_default(),
        port: url.port(),
        name: decoded(url.path().trim_start_matches('/')),
        user: decoded(url.username()),
        password: password.unwrap_or_else(|| SecretString::from(own.unwrap_or_default())),
        container: None,
    })
}

/// Text of a URL with its `%XX` read.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        if let (b'%', Some(byte)) = (first, hex) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
