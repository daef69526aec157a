//! A site out of a Compose project: its URL from a published port, its database and Redis from published ports and the
//! containers' environment.

use std::collections::BTreeSet;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::Project;
use super::container::{Container, Published};
use crate::config::{AppKind, BrokerConfig, Contained, DatabaseConfig, Found, RedisConfig, SiteConfig, decoded};
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

/// Where a server's container is reached.
struct Way {
    host: String,
    port: u16,
    container: Option<Contained>,
}

impl Way {
    /// Host and port, as a URL has them.
    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }

    /// The URL with this way instead of the service's name.
    fn instead(&self, mut url: Url) -> Option<Url> {
        let host = self.authority();
        let host = host.rsplit_once(':').map(|(host, _)| host);
        (url.set_host(host).is_ok() && url.set_port(Some(self.port)).is_ok()).then_some(url)
    }
}

/// Where it is published, and where it is not, at its own address.
fn way(project: &Project, server: &Container, usual: u16) -> Option<Way> {
    let port = server.published.iter().find(|p| p.private == usual).or_else(|| server.published.first());
    if let Some(port) = port {
        let address = address(port);
        let host = address.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host).trim_matches(['[', ']']).to_owned();
        return Some(Way { host, port: port.public, container: None });
    }
    let host = server.address.clone().filter(|_| project.reachable)?;
    let (socket, project) = (project.socket.clone(), project.name.clone());
    Some(Way { host, port: usual, container: Some(Contained { socket, project, service: server.service.clone() }) })
}

fn unpublished(service: &str, what: &str, port: u16) -> String {
    let service = plain(service, 60);
    format!(
        "{what} (service {service}) is not published to this host, and has no address here that could be asked instead: ports: [\"127.0.0.1:{port}:{port}\"] in the compose file would let it be asked"
    )
}

/// How a container is asked that publishes nothing.
pub(in super::super) fn own_address(container: &Contained) -> String {
    format!("{container} at its container's own address, which Docker is asked for at each connection")
}

/// What a configuration file reads as seen within the project, as it is reached from this host: `host = postgres` is the
/// name of a service, which only its containers know.
pub(in super::super) fn translate(project: &Project, site: &mut SiteConfig, mut trace: impl FnMut(&str, Found)) {
    let server = |host: &str| project.containers.iter().find(|c| c.service == host);
    // A path of the containers' is another's on this host, unless they have it from here.
    if let Some(dir) = site.data_dir.take_if(|dir| !project.shares(dir)) {
        let why = format!("{} is within the containers: it is neither saved nor restored from here", dir.display());
        trace("files", Found::No(why));
    }
    if let Some(database) = site.database.as_ref().ok().filter(|database| database.engine == Engine::Sqlite)
        && !project.shares(Path::new(&database.name))
    {
        site.database = Err(format!("{} is a file within the containers", plain(&database.name, 200)));
    }
    if let Ok(database) = &mut site.database
        && let Some(server) = server(&database.host)
    {
        let usual = if database.engine == Engine::Mysql { 3306 } else { 5432 };
        let usual = database.port.unwrap_or(usual);
        match way(project, server, usual) {
            Some(way) => {
                (database.host, database.port, database.container) = (way.host, Some(way.port), way.container);
                database.container.iter().for_each(|container| trace("database", Found::Yes(own_address(container))));
            }
            None => site.database = Err(unpublished(&server.service, database.engine.name(), usual)),
        }
    }
    let mut reached = |what: &str, url: &SecretString| -> Option<Result<(SecretString, Option<Contained>), String>> {
        let url = Url::parse(url.expose_secret()).ok()?;
        let server = server(url.host_str()?)?;
        let way = way(project, server, url.port().unwrap_or(6379));
        let Some(way) = way else { return Some(Err(unpublished(&server.service, "Redis", 6379))) };
        way.container.iter().for_each(|container| trace(what, Found::Yes(own_address(container))));
        way.instead(url).map(|url| Ok((SecretString::from(url.to_string()), way.container)))
    };
    if let Ok(redis) = &mut site.redis {
        match reached("redis", &redis.url) {
            Some(Ok((url, container))) => (redis.url, redis.container) = (url, container),
            Some(Err(why)) => site.redis = Err(why),
            None => {}
        }
    }
    if let Ok(broker) = &mut site.broker {
        match reached("broker", &broker.url) {
            Some(Ok((url, container))) => (broker.url, broker.container) = (url, container),
            Some(Err(why)) => site.broker = Err(why),
            None => {}
        }
    }
}

fn database(project: &Project) -> Result<DatabaseConfig, String> {
    let server = project.of(Role::Database).ok_or_else(|| "the Compose project has no database service".to_owned())?;
    let text = [server.image.as_str(), &server.words.join(" "), &server.service].concat().to_ascii_lowercase();
    let mysql = ["mysql", "mariadb"].iter().any(|word| text.contains(word));
    let (engine, usual) = if mysql { (Engine::Mysql, 3306) } else { (Engine::Postgresql, 5432) };
    let told = told_url(project, &server.service, &["postgres", "postgresql", "mysql", "mariadb"]);
    let way = way(project, server, usual).ok_or_else(|| unpublished(&server.service, engine.name(), usual))?;
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
    if way.container.is_some() && user.is_none() && password.is_none() && told.is_none() {
        return Err(format!(
            "neither the environment of {} nor the application's says as whom it is asked: name the application's \
             configuration with --app-config, or set database for this site",
            plain(&server.service, 60)
        ));
    }
    let usual_user = if mysql { "root" } else { "postgres" };
    let user = of_url(|u| Some(decoded(u.username()))).or(user).unwrap_or_else(|| usual_user.to_owned());
    let password = of_url(|u| u.password().map(decoded)).or(password).unwrap_or_default();
    let name = of_url(|u| Some(decoded(u.path().trim_start_matches('/')))).or(name).unwrap_or_else(|| user.clone());
    let Way { host, port, container } = way;
    Ok(DatabaseConfig { engine, host, port: Some(port), name, user, password: SecretString::from(password), container })
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
    let Some(way) = way(project, server, 6379) else {
        let why = unpublished(&server.service, "Redis", 6379);
        return (Err(why.clone()), Err(why));
    };
    let at = |url: Option<Url>| -> String {
        if let Some(url) = url.and_then(|url| way.instead(url)) {
            return url.to_string();
        }
        let address = way.authority();
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
        Some(url) => broker_at(&at(Some(url)), AppKind::Web)
            .map(|broker| BrokerConfig { container: way.container.clone(), ..broker }),
        None => Err("which broker the worker uses is not in its environment; set broker for this site".to_owned()),
    };
    (Ok(RedisConfig { url: SecretString::from(url), container: way.container }), broker)
}
