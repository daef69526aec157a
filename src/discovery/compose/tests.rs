//! Recorded containers, and what becomes of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{Container, Project, container, site, translate};
use crate::config::{BrokerConfig, RedisConfig};
use crate::domain::database::Engine;
use crate::domain::service::Role;

const LIST: &str = include_str!("../../../tests/fixtures/compose/containers-json.json");
const BACKEND: &str = include_str!("../../../tests/fixtures/compose/inspect-backend.json");

fn recorded(change: impl FnOnce(&mut Value)) -> Container {
    let mut all: Value = serde_json::from_str(BACKEND).unwrap();
    change(&mut all[0]);
    Container::read(&serde_json::to_vec(&all[0]).unwrap()).unwrap()
}

fn service(name: &str, image: &str, command: &[&str], env: &[&str], port: Option<(u16, u16)>) -> Container {
    recorded(|c| {
        c["Config"]["Labels"]["com.docker.compose.service"] = name.into();
        c["Config"]["Image"] = image.into();
        c["Path"] = command[0].into();
        c["Args"] = json!(command[1..]);
        c["Config"]["Env"] = json!(env);
        c["NetworkSettings"]["Ports"] = json!({});
        c["NetworkSettings"]["Networks"] = json!({});
        c["HostConfig"]["PortBindings"] = port.map_or_else(
            || json!({}),
            |(private, public)| json!({format!("{private}/tcp"): [{"HostIp": "", "HostPort": public.to_string()}]}),
        );
    })
}

fn project(containers: Vec<Container>) -> Project {
    Project { name: "shop".to_owned(), socket: PathBuf::from("/run/docker.sock"), reachable: true, containers }
}

#[test]
fn the_recorded_backend_is_understood() {
    assert_eq!(container::ids(LIST.as_bytes()).unwrap().len(), 5);
    let web = recorded(|_| {});
    assert_eq!((web.project.as_str(), web.service.as_str(), web.role), ("pretalx", "backend", Role::Web));
    assert_eq!((web.published[0].private, web.published[0].public), (8000, 58400));
    assert!(web.mounts.contains(&PathBuf::from("/srv/pretalx/docker/project/pretalx.cfg")));
    let site = site(&project(vec![web]), &BTreeSet::new()).unwrap();
    assert_eq!((site.id.0.as_str(), site.url.as_str()), ("shop", "http://127.0.0.1:58400/"));
    assert_eq!(site.health_path, "/healthcheck/");
    assert!(site.database.is_err() && site.redis.is_err());
}

#[test]
fn a_stack_of_five_becomes_a_site() {
    let env = [
        "DATABASE_URL=postgresql+psycopg://app:p%40ss%26%3D@db/shop",
        "CELERY_BROKER_URL=redis://:hunter2@cache:6379/2",
    ];
    let shop = project(vec![
        service("proxy", "nginx:1", &["nginx"], &[], Some((80, 8080))),
        service("backend", "shop:1.2", &["gunicorn", "shop.wsgi"], &env, Some((8000, 8000))),
        service("tasks", "shop:1.2", &["celery", "-A", "shop", "worker"], &env, None),
        service("beat", "shop:1.2", &["celery", "-A", "shop", "beat"], &env, None),
        service(
            "db",
            "postgres:16",
            &["docker-entrypoint.sh", "postgres"],
            &["POSTGRES_PASSWORD=x"],
            Some((5432, 15432)),
        ),
        service("cache", "valkey/valkey:8", &["valkey-server"], &[], Some((6379, 16379))),
    ]);
    let roles: Vec<Role> = shop.containers.iter().map(|c| c.role).collect();
    assert_eq!(roles, [Role::Proxy, Role::Web, Role::Worker, Role::Beat, Role::Database, Role::Redis]);
    let taken = BTreeSet::from(["shop".to_owned()]);
    let site = site(&shop, &taken).unwrap();
    assert_eq!((site.id.0.as_str(), site.url.as_str()), ("shop-2", "http://127.0.0.1:8080/"));
    assert_eq!(site.direct.as_ref().map(url::Url::as_str), Some("http://127.0.0.1:8000/"));
    assert_eq!(site.version.as_deref(), Some("shop:1.2"));
    let database = site.database.as_ref().unwrap();
    assert_eq!(
        (database.engine, database.host.as_str(), database.port),
        (Engine::Postgresql, "127.0.0.1", Some(15432))
    );
    assert_eq!((database.user.as_str(), database.name.as_str()), ("app", "shop"));
    assert_eq!(database.password.expose_secret(), "p@ss&=");
    assert_eq!(site.redis.as_ref().unwrap().url.expose_secret(), "redis://:hunter2@127.0.0.1:16379/2");
    assert_eq!(site.broker.as_ref().unwrap().url.expose_secret(), "redis://:hunter2@127.0.0.1:16379/2");
    let shown = format!("{site:?} {shop:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("p@ss"), "{shown}");
}

#[test]
fn the_servers_own_environment_serves_where_the_application_says_nothing() {
    let env = ["MARIADB_USER=u", "MARIADB_PASSWORD=pw", "MARIADB_DATABASE=d"];
    let shop = project(vec![
        service("web", "shop:1", &["uvicorn", "shop:app"], &[], Some((8000, 8000))),
        service("db", "mariadb:11", &["docker-entrypoint.sh", "mariadbd"], &env, Some((3306, 13306))),
        service("redis", "redis:7", &["redis-server", "--requirepass", "secret"], &[], Some((6379, 16379))),
    ]);
    let site = site(&shop, &BTreeSet::new()).unwrap();
    let database = site.database.as_ref().unwrap();
    assert_eq!((database.engine, database.port, database.user.as_str()), (Engine::Mysql, Some(13306), "u"));
    assert_eq!((database.name.as_str(), database.password.expose_secret()), ("d", "pw"));
    assert_eq!(site.redis.as_ref().unwrap().url.expose_secret(), "redis://:secret@127.0.0.1:16379/0");
    assert!(site.broker.as_ref().unwrap_err().contains("broker"));
}

#[test]
fn without_a_published_web_service_there_is_no_site() {
    let taken = BTreeSet::new();
    assert!(
        site(&project(vec![service("db", "postgres:16", &["postgres"], &[], Some((5432, 5432)))]), &taken).is_none()
    );
    assert!(site(&project(vec![service("web", "x", &["gunicorn", "x"], &[], None)]), &taken).is_none());
}

/// A service that publishes nothing, at an address of its own.
fn hidden(name: &str, image: &str, address: &str) -> Container {
    Container { address: Some(address.to_owned()), ..service(name, image, &[name], &[], None) }
}

#[test]
fn what_is_not_published_is_asked_at_its_own_address() {
    let env = ["DATABASE_URL=postgres://app:pw@db/shop", "CELERY_BROKER_URL=redis://:hunter2@cache:6379/2"];
    let web = || service("web", "shop:1", &["gunicorn", "shop.wsgi"], &env, Some((8000, 8000)));
    let hidden = || vec![web(), hidden("db", "postgres:16", "172.18.0.2"), hidden("cache", "redis:7", "172.18.0.3")];
    let found = site(&project(hidden()), &BTreeSet::new()).unwrap();
    let database = found.database.as_ref().unwrap();
    assert_eq!((database.host.as_str(), database.port), ("172.18.0.2", Some(5432)));
    assert_eq!(database.container.as_ref().unwrap().to_string(), "shop/db");
    assert_eq!(found.broker.as_ref().unwrap().url.expose_secret(), "redis://:hunter2@172.18.0.3:6379/2");
    assert_eq!(found.redis.as_ref().unwrap().container.as_ref().unwrap().service, "cache");

    // Of a daemon without root the same address may be anybody's here.
    let rootless = Project { reachable: false, ..project(hidden()) };
    let found = site(&rootless, &BTreeSet::new()).unwrap();
    assert!(found.database.is_err() && found.redis.is_err() && found.broker.is_err());

    // A configuration file that is read within the project names its services.
    let mut found = site(&project(vec![web()]), &BTreeSet::new()).unwrap();
    found.redis = Ok(RedisConfig { url: "redis://cache/1".into(), container: None });
    found.broker =
        Ok(BrokerConfig { url: "redis://elsewhere/1".into(), queues: vec![], priorities: false, container: None });
    let mut told = Vec::new();
    translate(&project(hidden()), &mut found, |what, outcome| told.push(format!("{what} {outcome:?}")));
    assert_eq!(found.redis.as_ref().unwrap().url.expose_secret(), "redis://172.18.0.3:6379/1");
    assert_eq!(found.broker.as_ref().unwrap().url.expose_secret(), "redis://elsewhere/1");
    assert!(
        matches!(told.as_slice(), [one] if one.contains("redis Yes(\"shop/cache at its container's own address")),
        "{told:?}"
    );
    // Its paths are those of the containers, but what they have from the host under the same name.
    let within = |dir: &str, shared: &[&str]| {
        let mut all = hidden();
        all[0].shared = shared.iter().map(PathBuf::from).collect();
        let mut found = site(&project(vec![web()]), &BTreeSet::new()).unwrap();
        found.data_dir = Some(PathBuf::from(dir));
        translate(&project(all), &mut found, |_, _| {});
        found.data_dir
    };
    assert_eq!(within("/data", &["/srv"]), None);
    assert_eq!(within("/srv/data", &["/srv"]), Some(PathBuf::from("/srv/data")));

    // As whom a server is asked is not guessed.
    let nobody = || service("web", "shop:1", &["gunicorn", "shop.wsgi"], &[], Some((8000, 8000)));
    let guessed = site(&project(vec![nobody(), hidden().remove(1)]), &BTreeSet::new()).unwrap();
    assert!(guessed.database.unwrap_err().contains("as whom it is asked"));
}
