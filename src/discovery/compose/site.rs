//! A site out of a Compose project: its URL from a published port, its database and Redis from published ports and the
//! containers' environment.

use std::collections::BTreeSet;

use secrecy::SecretString;
use url::Url;

use super::Project;
use super::container::{Container, Published};
use crate::config::{AppKind, BrokerConfig, DatabaseConfig, RedisConfig, SiteConfig, decoded};
use crate::discovery::{broker_at, translated};
use crate::domain::database::Engine;
use crate::domain::id::SiteId;
use crate::domain::service::Role;
use crate::domain::text::plain;

/// The site of a project that has a web service with a published port; `taken` are the names there are.
pub(in super::super) fn site(project: &Project, taken: &BTreeSet<String>) -> Option<SiteConfig> {
    let web = project.of(Role::Web)?;
    let (proxy, own) = (project.of(Role::Proxy).and_then(url), url(web));
    let url = proxy.clone().or_else(|| own.clone())?;
    let database = database(project);
    let (redis, broker) = redis(project);
    let base = plain(&project.name, 60);
    let mut names = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}-{n}")));
    Some(SiteConfig {
        id: SiteId(names.find(|n| !taken.contains(n)).unwrap_or(base)),
        title: plain(&project.name, 80),
        version: web.image.rsplit('/').next().map(|image| plain(image, 60)).filter(|image| !image.is_empty()),
        health_path: health_path(web).unwrap_or_else(|| "/".to_owned()),
        direct: own.filter(|own| proxy.is_some() && *own != url),
        metrics: Err("no metrics page is known of a Compose project; set metrics_url for this site".to_owned()),
        redis,
        broker,
        database,
        ..SiteConfig::bare(SiteId(String::new()), AppKind::Web, url)
    })
}

/// Where a container's first published port can be asked: a web port first.
fn url(container: &Container) -> Option<Url> {
    let rank = |p: &&Published| match p.private {
        443 => 0,
        80 | 8000 | 8080 | 8443 | 5000 | 3000 => 1,
        _ => 2,
    };
    let port = container.published.iter().min_by_key(rank)?;
    let scheme = if matches!(port.private, 443 | 8443) { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{}", address(port))).ok()
}

fn address(port: &Published) -> String {
    let ip = match port.ip.as_str() {
        "" | "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        v6 if v6.contains(':') => format!("[{v6}]"),
        v4 => v4.to_owned(),
    };
    format!("{ip}:{}", port.public)
}

/// The path that the container's own healthcheck asks for.
fn health_path(container: &Container) -> Option<String> {
    let text = container.probe.join(" ");
    let found = text.match_indices("://").find_map(|(at, _)| {
        let rest = text.get(at + 3..)?;
        let end = rest.find(['\'', '"', ' ', ')', '|', ';', '`']).unwrap_or(rest.len());
        let path = rest.get(rest.find('/')?..end)?;
        path.starts_with('/').then(|| path.split(['?', '#']).next().unwrap_or(path).to_owned())
    });
    let app = ["pretix", "pretalx"].iter().any(|app| container.words.iter().any(|w| w.contains(app)));
    found.filter(|path| path.len() <= 200).or_else(|| app.then(|| "/healthcheck/".to_owned()))
}

fn unpublished(service: &str, what: &str, port: u16) -> String {
    let service = plain(service, 60);
    format!(
        "{what} (service {service}) is not published to this host: ports: [\"127.0.0.1:{port}:{port}\"] in the compose file would let it be asked"
    )
}

fn database(project: &Project) -> Result<DatabaseConfig, String> {
    let server = project.of(Role::Database).ok_or_else(|| "the Compose project has no database service".to_owned())?;
    let text = [server.image.as_str(), &server.words.join(" "), &server.service].concat().to_ascii_lowercase();
    let mysql = ["mysql", "mariadb"].iter().any(|word| text.contains(word));
    let (engine, usual) = if mysql { (Engine::Mysql, 3306) } else { (Engine::Postgresql, 5432) };
    let told = told_url(project, &server.service, &["postgres", "postgresql", "mysql", "mariadb"]);
    let port = server.published.iter().find(|p| p.private == usual).or_else(|| server.published.first());
    let port = port.ok_or_else(|| unpublished(&server.service, engine.name(), usual))?;
    let own = |names: &[&str]| names.iter().find_map(|name| server.env.get(*name)).filter(|v| !v.is_empty()).cloned();
    let (user, password, name) = match engine {
        Engine::Mysql => (
            own(&["MYSQL_USER", "MARIADB_USER"]),
            own(&["MYSQL_PASSWORD", "MARIADB_PASSWORD"]),
            own(&["MYSQL_DATABASE", "MARIADB_DATABASE"]),
        ),
        Engine::Postgresql | Engine::Sqlite => {
            (own(&["POSTGRES_USER"]), own(&["POSTGRES_PASSWORD"]), own(&["POSTGRES_DB", "POSTGRES_USER"]))
        }
    };
    let of_url = |get: fn(&Url) -> Option<String>| told.as_ref().and_then(get).filter(|v| !v.is_empty());
    let usual_user = if mysql { "root" } else { "postgres" };
    let user = of_url(|u| Some(decoded(u.username()))).or(user).unwrap_or_else(|| usual_user.to_owned());
    let password = of_url(|u| u.password().map(decoded)).or(password).unwrap_or_default();
    let name = of_url(|u| Some(decoded(u.path().trim_start_matches('/')))).or(name).unwrap_or_else(|| user.clone());
    let address = address(port);
    let host = address.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host).trim_matches(['[', ']']).to_owned();
    Ok(DatabaseConfig { engine, host, port: Some(port.public), name, user, password: SecretString::from(password) })
}

/// A URL in the environment of the application's containers that names this service as its host.
fn told_url(project: &Project, service: &str, schemes: &[&str]) -> Option<Url> {
    let apps =
        project.containers.iter().filter(|c| matches!(c.role, Role::Worker | Role::Web | Role::Beat | Role::Other));
    let urls = apps.flat_map(|c| c.env.values()).filter_map(|value| Url::parse(value).ok());
    let mut urls = urls.filter(|url| {
        schemes.iter().any(|s| url.scheme().split('+').next() == Some(s)) && url.host_str() == Some(service)
    });
    urls.next()
}

fn redis(project: &Project) -> (Result<RedisConfig, String>, Result<BrokerConfig, String>) {
    let Some(server) = project.of(Role::Redis) else {
        let why = "the Compose project has no Redis service".to_owned();
        return (Err(why.clone()), Err(why));
    };
    let port = server.published.iter().find(|p| p.private == 6379).or_else(|| server.published.first());
    let Some(port) = port else {
        let why = unpublished(&server.service, "Redis", 6379);
        return (Err(why.clone()), Err(why));
    };
    let at = |url: Option<Url>| -> String {
        let address = address(port);
        let (host, number) = address.rsplit_once(':').unwrap_or(("127.0.0.1", "6379"));
        if let Some(mut url) = url
            && url.set_host(Some(host)).is_ok()
            && url.set_port(number.parse().ok()).is_ok()
        {
            return url.to_string();
        }
        let mut words = server.words.iter().flat_map(|w| w.split_ascii_whitespace());
        let told = words.by_ref().any(|w| w == "--requirepass").then(|| words.next()).flatten();
        let password = told.map(ToOwned::to_owned).or_else(|| server.env.get("REDIS_PASSWORD").cloned());
        let mut bare = Url::parse(&format!("redis://{address}/0")).ok();
        if let (Some(url), Some(password)) = (&mut bare, password) {
            url.set_password(Some(&password)).ok();
        }
        bare.map_or_else(|| format!("redis://{address}/0"), |url| url.to_string())
    };
    let schemes = ["redis", "rediss"];
    let url = translated(&at(told_url(project, &server.service, &schemes)));
    // The broker is known by the worker alone, by the usual names of its variable.
    let told = ["CELERY_BROKER_URL", "BROKER_URL", "CELERY_BROKER", "PRETIX_CELERY_BROKER", "PRETALX_CELERY_BROKER"];
    let worker = project.of(Role::Worker).or_else(|| project.of(Role::Web));
    let broker = worker.and_then(|w| told.iter().find_map(|name| w.env.get(*name))).and_then(|v| Url::parse(v).ok());
    let broker = broker.filter(|url| url.host_str() == Some(&server.service));
    let broker = match broker {
        Some(url) => broker_at(&at(Some(url)), AppKind::Web),
        None => Err("which broker the worker uses is not in its environment; set broker for this site".to_owned()),
    };
    (Ok(RedisConfig { url: SecretString::from(url) }), broker)
}
