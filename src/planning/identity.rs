//! By what a site is known. Two configurations may call it differently, and one may know more of it than the other: whoever
//! acts on it does so under all of its names, so that any one they have in common keeps them apart.

use std::path::Path;

use url::Url;

use crate::config::{DatabaseConfig, ServicePlace, SiteConfig};
use crate::domain::database::Engine;
use crate::runbook::plan::HostCard;

/// Names beyond these are left out; what comes first tells most.
const MOST: usize = 60;
/// What this machine is called in names, whatever it is called elsewhere.
const HERE: &str = "here";

/// The names, the first of them the one to be shown. Never none.
pub(super) fn names(host: &HostCard, site: Option<&SiteConfig>) -> Vec<String> {
    let Some(site) = site else { return vec![format!("host {}", host.machine)] };
    let mut out: Vec<String> = site.data_dir.iter().map(|dir| format!("site {}", real(dir))).collect();
    out.extend(site.database.as_ref().ok().and_then(|known| database(known, host)));
    let addresses = std::iter::once(&site.url).chain(&site.direct);
    out.extend(addresses.map(|url| format!("site at {}", address(url, host))));
    out.extend(site.services.iter().filter(|service| !service.shared).map(|service| place(&service.place)));
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|name| seen.insert(name.clone()));
    out.truncate(MOST);
    out
}

/// A path without links, as far as it can be followed.
fn real(path: &Path) -> String {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn database(config: &DatabaseConfig, host: &HostCard) -> Option<String> {
    let port = match config.engine {
        Engine::Sqlite => return Some(format!("database {}", real(Path::new(&config.name)))),
        Engine::Postgresql => 5432,
        Engine::Mysql => 3306,
    };
    if config.name.is_empty() {
        return None;
    }
    let place = machine(&config.host, host);
    Some(format!("database {place}:{}/{}", config.port.unwrap_or(port), config.name))
}

fn address(url: &Url, host: &HostCard) -> String {
    let port = url.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", machine(url.host_str().unwrap_or_default(), host))
}

/// A machine as a name has it: this one is `here`, by its own name, its loopback, or a socket on it.
fn machine(name: &str, host: &HostCard) -> String {
    let bare = name.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let loopback =
        bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    let own = bare.is_empty() || bare.starts_with('/') || bare == "localhost" || bare == host.name.to_ascii_lowercase();
    if loopback || own { HERE.to_owned() } else { bare }
}

fn place(place: &ServicePlace) -> String {
    match place {
        ServicePlace::Unit { unit, user: None } => format!("unit {unit}"),
        ServicePlace::Unit { unit, user: Some(user) } => format!("unit {unit} of user {}", user.uid),
        ServicePlace::Compose { project, service, .. } => format!("container {project}/{service}"),
        ServicePlace::Supervisor { at, program } => format!("program {program} at {}", at.listens),
        ServicePlace::Process { words, .. } => format!("process {}", words.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::names;
    use crate::config::{AppKind, DatabaseConfig, ServiceConfig, ServicePlace, SiteConfig};
    use crate::domain::database::Engine;
    use crate::domain::id::SiteId;
    use crate::domain::service::Role;
    use crate::runbook::plan::HostCard;

    fn host() -> HostCard {
        HostCard { name: "Web1".to_owned(), machine: "m".to_owned(), boot: "b".to_owned() }
    }

    fn site(url: &str) -> SiteConfig {
        SiteConfig::bare(SiteId("shop".to_owned()), AppKind::Web, url.parse().unwrap())
    }

    fn database(engine: Engine, host: &str, port: Option<u16>, name: &str) -> DatabaseConfig {
        let (host, name, user) = (host.to_owned(), name.to_owned(), "shop".to_owned());
        DatabaseConfig { engine, host, port, name, user, password: "secret".into(), container: None }
    }

    fn shared(one: &SiteConfig, other: &SiteConfig) -> Vec<String> {
        let others = names(&host(), Some(other));
        names(&host(), Some(one)).into_iter().filter(|name| others.contains(name)).collect()
    }

    #[test]
    fn views_of_one_site_have_a_name_in_common() {
        let dir = tempfile::tempdir().unwrap();
        let (data, link) = (dir.path().join("data"), dir.path().join("link"));
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink(&data, &link).unwrap();
        let whole = SiteConfig {
            data_dir: Some(data.clone()),
            direct: Some("http://localhost:8345".parse().unwrap()),
            database: Ok(database(Engine::Postgresql, "", None, "shop")),
            services: vec![ServiceConfig {
                name: "web".to_owned(),
                role: Role::Web,
                place: ServicePlace::Unit { unit: "shop-web.service".to_owned(), user: None },
                shared: false,
                found: String::new(),
                start: None,
            }],
            ..site("https://shop.example.org/")
        };
        assert_eq!(names(&host(), Some(&whole))[0], format!("site {}", data.canonicalize().unwrap().display()));
        assert_eq!(shared(&whole, &site("https://SHOP.example.org")), ["site at shop.example.org:443"]);
        assert_eq!(shared(&whole, &site("http://127.0.0.1:8345")), ["site at here:8345"]);
        assert_eq!(shared(&whole, &site("http://web1:8345")), ["site at here:8345"]);
        let by_data = SiteConfig { data_dir: Some(link), ..site("http://[::1]:1") };
        assert_eq!(shared(&whole, &by_data).len(), 1);
        let by_database =
            SiteConfig { database: Ok(database(Engine::Postgresql, "::1", Some(5432), "shop")), ..site("http://a:1") };
        assert_eq!(shared(&whole, &by_database), ["database here:5432/shop"]);
        let by_unit = SiteConfig { services: whole.services.clone(), ..site("http://a:1") };
        assert_eq!(shared(&whole, &by_unit), ["unit shop-web.service"]);
    }

    #[test]
    fn what_several_sites_have_in_common_does_not_keep_them_apart() {
        let one = SiteConfig {
            data_dir: Some(PathBuf::from("/srv/a")),
            database: Ok(database(Engine::Postgresql, "db", None, "a")),
            ..site("https://a.example.org")
        };
        let mut other = SiteConfig {
            data_dir: Some(PathBuf::from("/srv/b")),
            database: Ok(database(Engine::Postgresql, "db", None, "b")),
            ..site("https://b.example.org")
        };
        other.services = vec![ServiceConfig {
            name: "database".to_owned(),
            role: Role::Database,
            place: ServicePlace::Unit { unit: "postgresql.service".to_owned(), user: None },
            shared: true,
            found: String::new(),
            start: None,
        }];
        let one = SiteConfig { services: other.services.clone(), ..one };
        assert_eq!(shared(&one, &other), [""; 0]);
        assert_eq!(names(&host(), None), ["host m"]);
    }
}
