//! From an application's own settings to a site that can be watched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

use super::{Candidate, Settings};
use crate::config::backups::BackupsConfig;
use crate::config::{
    AppKind, BrokerConfig, DatabaseConfig, Found, MetricsConfig, RedisConfig, SiteConfig, Trace, without_login,
};
use crate::domain::database::Engine;
use crate::domain::id::SiteId;
use crate::domain::text::plain;

/// pretix' queues (`settings.py`, `CELERY_TASK_QUEUES`).
const QUEUES: [&str; 5] = ["default", "checkout", "mail", "background", "notifications"];

/// The site an application's settings describe, if its URL can be asked; `taken` are the names of sites there already are.
pub(super) fn describe(
    candidate: &Candidate,
    settings: &Settings,
    taken: &BTreeSet<String>,
    trail: &mut Vec<Trace>,
) -> Option<SiteConfig> {
    let app = candidate.app;
    let main = if app == AppKind::Pretalx { "site" } else { "pretix" };
    let url = settings.some(main, "url").unwrap_or_else(|| unset_url(app).to_owned());
    let url = Url::parse(url.trim_end_matches('/')).ok().filter(Url::has_host);
    let mut trace = |what: &str, outcome: Found| trail.push(Trace { what: what.to_owned(), outcome });
    let Some(url) = url else {
        trace("site url", Found::Broken(format!("[{main}] url is no URL: the site can't be asked")));
        return None;
    };
    trace("site url", Found::Yes(without_login(&url).to_string()));
    let data_dir = data_dir(candidate, settings);
    let direct = candidate.direct.clone().filter(|d| !same_place(d, &url));
    let database = database(settings, &candidate.cwd, &data_dir);
    match &database {
        Ok(found) => {
            let note = if found.engine == Engine::Sqlite { ", not meant for production" } else { "" };
            let place = if found.host.is_empty() { String::new() } else { format!(" on {}", plain(&found.host, 80)) };
            let name = plain(&found.name, 200);
            trace("database", Found::Yes(format!("{} {name}{place}{note}", found.engine.name())));
        }
        Err(why) => trace("database", Found::Broken(why.clone())),
    }
    let (redis, broker) = (redis(settings), broker(settings, app));
    for (what, found) in [("redis", redis.as_ref().err()), ("broker", broker.as_ref().err())] {
        trace(what, found.map_or_else(|| Found::Yes("configured".to_owned()), |why| Found::No(why.clone())));
    }
    let metrics = metrics(settings, app, &url);
    match &metrics {
        Ok(found) => trace("metrics", Found::Yes(without_login(&found.url).to_string())),
        Err(why) => trace("metrics", Found::No(why.clone())),
    }
    let title = settings.some(main, "instance_name").or_else(|| settings.some(main, "name"));
    Some(SiteConfig {
        id: site_id(&url, app, taken),
        title: plain(title.as_deref().or(url.host_str()).unwrap_or("site"), 80),
        app,
        version: candidate.version.clone(),
        url,
        direct,
        health_path: "/healthcheck/".to_owned(),
        metrics,
        database,
        redis,
        broker,
        data_dir: Some(data_dir),
        logs: Vec::new(),
        triggers: Vec::new(),
        access_logs: Vec::new(),
        certificate_file: None,
        mail_host: settings.some("mail", "host"),
        backups: BackupsConfig {
            secret_in_config: Some(settings.some("django", "secret").is_some()),
            code: vec![candidate.cwd.clone()],
            ..BackupsConfig::default()
        },
        source: settings.files().last().cloned(),
        services: Vec::new(),
        migrate: None,
        releases: None,
        practice: false,
    })
}

/// The URL an application believes in that was told none (pretix' and pretalx' `settings.py`).
fn unset_url(app: AppKind) -> &'static str {
    if app == AppKind::Pretalx { "http://localhost" } else { "http://localhost:8000" }
}

fn data_dir(candidate: &Candidate, settings: &Settings) -> PathBuf {
    let named = match candidate.app {
        AppKind::Pretalx => settings.some("filesystem", "data"),
        AppKind::Pretix | AppKind::Web => {
            settings.some("pretix", "datadir").or_else(|| candidate.env.get("DATA_DIR").cloned())
        }
    };
    candidate.cwd.join(named.unwrap_or_else(|| "data".to_owned()))
}

/// The site's name: its host name, and the application where that is taken.
fn site_id(url: &Url, app: AppKind, taken: &BTreeSet<String>) -> SiteId {
    let host = url.host_str().unwrap_or("site");
    let kind = if app == AppKind::Pretalx { "pretalx" } else { "pretix" };
    let base = if matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]") { kind } else { host };
    let mut names = std::iter::once(base.to_owned()).chain((2..).map(|n| format!("{base}-{n}")));
    SiteId(names.find(|n| !taken.contains(n)).unwrap_or_else(|| base.to_owned()))
}

/// Where gunicorn listens, as a URL; a Unix socket is none that can be asked over TCP.
pub(super) fn direct(bind: &str) -> Option<Url> {
    let place = bind.strip_prefix("tcp://").unwrap_or(bind);
    if place.starts_with("unix:") || place.starts_with("fd://") || place.contains(['/', '@']) {
        return None;
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        // gunicorn's own default.
        Some(_) | None => (place, "8000"),
    };
    let host = match host {
        "" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        named => named,
    };
    let place = format!("{host}:{port}");
    Url::parse(&format!("http://{place}")).ok().filter(Url::has_host)
}

fn same_place(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

fn database(settings: &Settings, cwd: &Path, data_dir: &Path) -> Result<DatabaseConfig, String> {
    let backend = settings.some("database", "backend").unwrap_or_else(|| "sqlite3".to_owned());
    let engine = match backend.as_str() {
        b if b.contains("postgres") => Engine::Postgresql,
        b if b.contains("mysql") || b.contains("mariadb") => Engine::Mysql,
        b if b.contains("sqlite") => Engine::Sqlite,
        other => return Err(format!("[database] backend `{}` is not known", plain(other, 40))),
    };
    let get = |option| settings.some("database", option).unwrap_or_default();
    let name = match engine {
        Engine::Sqlite => {
            let named = settings.some("database", "name").map(|name| cwd.join(name));
            named.unwrap_or_else(|| data_dir.join("db.sqlite3")).display().to_string()
        }
        Engine::Postgresql | Engine::Mysql => get("name"),
    };
    let port = match settings.some("database", "port") {
        None => None,
        Some(text) => Some(text.trim().parse().map_err(|error| format!("[database] port: {error}"))?),
    };
    Ok(DatabaseConfig {
        engine,
        host: get("host"),
        port,
        name,
        user: get("user"),
        password: SecretString::from(get("password")),
        container: None,
    })
}

fn redis(settings: &Settings) -> Result<RedisConfig, String> {
    let Some(location) = settings.some("redis", "location") else {
        return Err("[redis] location is not set".to_owned());
    };
    // pretalx' own default is the word.
    if location.eq_ignore_ascii_case("false") {
        return Err("[redis] location is switched off".to_owned());
    }
    // The host in the URL is then the name of a service that only the sentinels know.
    if settings.some("redis", "sentinels").is_some() {
        return Err("Redis is reached through sentinels, which are not asked; set redis = \"redis://HOST:PORT\" for this site in midwatch.toml to watch one server".to_owned());
    }
    let url = translated(&location);
    let password = settings.some("redis", "password");
    let url = SecretString::from(password.map_or_else(|| url.clone(), |p| with_password(&url, &p)));
    Ok(RedisConfig { url, container: None })
}

/// The URL with pretix' `[redis] password`, which stands over one in the URL (django-redis' `OPTIONS["PASSWORD"]`).
fn with_password(location: &str, password: &str) -> String {
    let Ok(mut url) = Url::parse(location) else { return location.to_owned() };
    if url.has_host() {
        return url.set_password(Some(password)).map_or_else(|()| location.to_owned(), |()| url.to_string());
    }
    url.query_pairs_mut().append_pair("pass", password);
    url.to_string()
}

fn broker(settings: &Settings, app: AppKind) -> Result<BrokerConfig, String> {
    let Some(location) = settings.some("celery", "broker") else {
        return Err("[celery] broker is not set: tasks run within the web process".to_owned());
    };
    broker_at(&location, app)
}

/// The broker a URL means, if it is a Redis.
///
/// # Errors
/// A sentence, when it is none.
pub fn broker_at(location: &str, app: AppKind) -> Result<BrokerConfig, String> {
    // Without a scheme the whole text might be a secret: nothing of it is shown.
    let (kind, _) = location.split_once("://").ok_or_else(|| "the broker's URL is not understood".to_owned())?;
    if !matches!(kind, "redis" | "rediss" | "redis+socket" | "unix" | "redis+unix") {
        let known = ["amqp", "amqps", "pyamqp", "sqs", "memory", "filesystem", "sentinel", "kafka"].contains(&kind);
        let kind = if known { format!("`{kind}`") } else { "no Redis".to_owned() };
        return Err(format!("the broker is {kind}: queues are read from the metrics only"));
    }
    let queues =
        if app == AppKind::Pretix { QUEUES.map(ToOwned::to_owned).to_vec() } else { vec!["celery".to_owned()] };
    Ok(BrokerConfig {
        priorities: app == AppKind::Pretix && kind == "redis",
        url: SecretString::from(translated(location)),
        queues,
        container: None,
    })
}

/// Celery's way to write a Unix socket, in the Redis library's: `redis+socket://PATH?virtual_host=N`.
pub fn translated(location: &str) -> String {
    let Some(rest) = location.strip_prefix("redis+socket://") else { return location.to_owned() };
    format!("redis+unix://{}", rest.replace("virtual_host=", "db="))
}

fn metrics(settings: &Settings, app: AppKind, url: &Url) -> Result<MetricsConfig, String> {
    if app == AppKind::Pretalx {
        return Err("pretalx has no metrics".to_owned());
    }
    if settings.switch("metrics", "enabled") != Some(true) {
        return Err("switched off: set enabled=true, user and passphrase in [metrics] of pretix.cfg".to_owned());
    }
    // pretix' own defaults (`settings.py`); it takes an empty passphrase for one.
    let user = settings.get("metrics", "user").unwrap_or_else(|| "metrics".to_owned());
    let passphrase = settings.get("metrics", "passphrase").unwrap_or_default();
    let at = format!("{}/metrics", url.as_str().trim_end_matches('/'));
    let url = Url::parse(&at).map_err(|error| format!("the site's URL can't carry /metrics: {error}"))?;
    Ok(MetricsConfig { url, login: Some((user, SecretString::from(passphrase))) })
}
