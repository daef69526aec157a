//! Which services are a site's: units, supervised programs, containers, plain processes, and the servers it stands on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use url::Url;

use super::compose::{Project, own_address, projects, site as stack, translate};
use super::running::{Keeper, Running, running};
use super::supervised::{Supervised, supervised};
use super::units::{UnitFile, unit_files};
use super::{Process, Surroundings};
use crate::config::{AppKind, Found, ServiceConfig, ServicePlace, SiteConfig, Trace, UserManager, without_login};
use crate::domain::database::Engine;
use crate::domain::service::{MOST_SERVICES, Role};
use crate::domain::text::plain;

/// Units of servers that several may use, by role.
const SHARED: &[(Role, &[&str])] = &[
    (Role::Database, &["postgresql", "mariadb", "mysql", "mysqld"]),
    (Role::Redis, &["redis-server", "redis", "valkey-server", "valkey", "keydb-server"]),
    (Role::Proxy, &["nginx", "haproxy", "caddy", "traefik", "apache2", "httpd"]),
];

/// What there is on this machine, looked at once for all sites.
pub(super) struct Machine<'a> {
    pub(super) around: &'a Surroundings,
    pub(super) processes: &'a [Process],
    pub(super) running: Vec<Running>,
    pub(super) units: Vec<UnitFile>,
    pub(super) supervised: Vec<Supervised>,
    pub(super) projects: Vec<Project>,
}

/// Gives each site its services, and tells of them.
pub(super) fn attach(machine: &Machine<'_>, sites: &mut [SiteConfig], trail: &mut Vec<Trace>) {
    let apps: Vec<AppKind> = sites.iter().map(|s| s.app).collect();
    for site in sites {
        let alone = apps.iter().filter(|app| **app == site.app).count() == 1;
        let mut found = Services { out: std::mem::take(&mut site.services) };
        machine.within(site, trail);
        machine.own(site, alone, &mut found);
        machine.shared(site, &mut found);
        site.services = found.out;
        site.services.sort_by(|a, b| a.role.cmp(&b.role).then_with(|| a.name.cmp(&b.name)));
        tell(site, trail);
    }
}

fn tell(site: &SiteConfig, trail: &mut Vec<Trace>) {
    let what = || "services".to_owned();
    if site.services.is_empty() {
        let why = "none was found; name them in midwatch.toml: [sites.NAME.services.web] unit = \"…\"".to_owned();
        trail.push(Trace { what: what(), outcome: Found::No(why) });
    }
    for service in &site.services {
        let place = plain(&service.place.name(), 120);
        let manager = service.place.manager().word();
        let outcome = Found::Yes(format!("{} {place} ({manager}, by {})", service.role.word(), service.found));
        trail.push(Trace { what: what(), outcome });
    }
}

#[derive(Default)]
struct Services {
    out: Vec<ServiceConfig>,
}

impl Services {
    fn add(&mut self, name: &str, role: Role, place: ServicePlace, shared: bool, found: String) {
        let same =
            |known: &ServiceConfig| known.place.name() == place.name() && known.place.manager() == place.manager();
        if self.out.len() >= MOST_SERVICES || self.out.iter().any(same) {
            return;
        }
        let base = plain(name, 60);
        let mut names = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}-{n}")));
        let free = |name: &String| !self.out.iter().any(|known| known.name == *name);
        let name = names.find(free).unwrap_or(base);
        self.out.push(ServiceConfig { name, role, place, shared, found, start: None });
    }

    fn unit(&mut self, unit: &str, user: Option<UserManager>, role: Role, shared: bool, found: String) {
        let name = unit.strip_suffix(".service").unwrap_or(unit);
        self.add(name, role, ServicePlace::Unit { unit: unit.to_owned(), user }, shared, found);
    }

    fn has(&self, role: Role) -> bool {
        self.out.iter().any(|service| service.role == role)
    }
}

const fn app_name(app: AppKind) -> Option<&'static str> {
    match app {
        AppKind::Pretix => Some("pretix"),
        AppKind::Pretalx => Some("pretalx"),
        AppKind::Web => None,
    }
}

impl<'a> Machine<'a> {
    /// Looks at it.
    pub(super) fn look(around: &'a Surroundings, processes: &'a [Process], trail: &mut Vec<Trace>) -> Self {
        let running = running(around);
        let supervised = supervised(around, &running, trail);
        Self { around, processes, running, units: unit_files(around), supervised, projects: projects(around, trail) }
    }

    /// A site for each Compose project that serves pages and is no site's yet.
    pub(super) fn add_stacks(&self, sites: &mut Vec<SiteConfig>, trail: &mut Vec<Trace>) {
        for project in &self.projects {
            let covers = |site: &SiteConfig| {
                let source: Vec<PathBuf> = site.source.iter().cloned().collect();
                project.mounts(self.around, &source) || project.answers_at(site)
            };
            if sites.iter().any(covers) {
                continue;
            }
            let taken = sites.iter().map(|s| s.id.0.clone()).collect();
            let Some(site) = stack(project, &taken) else {
                let why = format!("project {} publishes no web service to this host", plain(&project.name, 60));
                trail.push(Trace { what: "site url".to_owned(), outcome: Found::No(why) });
                continue;
            };
            let mut trace = |what: &str, outcome: Found| trail.push(Trace { what: what.to_owned(), outcome });
            trace("site url", Found::Yes(format!("{} (compose project {})", without_login(&site.url), site.title)));
            match &site.database {
                Ok(found) => {
                    let (name, host) = (plain(&found.name, 200), plain(&found.host, 80));
                    let how = found.container.as_ref().map(|c| format!(" ({})", own_address(c))).unwrap_or_default();
                    trace("database", Found::Yes(format!("{} {name} on {host}{how}", found.engine.name())));
                }
                Err(why) => trace("database", Found::No(why.clone())),
            }
            let redis = site.redis.as_ref().map(|redis| redis.container.as_ref());
            let broker = site.broker.as_ref().map(|broker| broker.container.as_ref());
            for (what, way) in [("redis", redis), ("broker", broker)] {
                let published = || "published to this host".to_owned();
                trace(
                    what,
                    way.map_or_else(
                        |why| Found::No(why.clone()),
                        |c| Found::Yes(c.map_or_else(published, own_address)),
                    ),
                );
            }
            sites.push(site);
        }
    }
}

impl Machine<'_> {
    /// Names that only the containers know, in the configuration of a site that is run by them.
    fn within(&self, site: &mut SiteConfig, trail: &mut Vec<Trace>) {
        let source: Vec<PathBuf> = site.source.iter().cloned().collect();
        for project in self.projects.iter().filter(|p| p.mounts(self.around, &source)) {
            translate(project, site, |what, outcome| trail.push(Trace { what: what.to_owned(), outcome }));
        }
    }

    /// What runs the application itself.
    fn own(&self, site: &SiteConfig, alone: bool, found: &mut Services) {
        let source: Vec<PathBuf> = site.source.iter().cloned().collect();
        for project in self.projects.iter().filter(|p| p.mounts(self.around, &source) || p.answers_at(site)) {
            project.services(found_into(found));
        }
        let Some(app) = app_name(site.app) else { return };
        for unit in self.units.iter().filter(|unit| unit.runs(app)) {
            if self.reads(app, &unit.env, unit.cwd.as_deref(), site, alone) {
                let own = || UserManager::of(rustix::process::geteuid().as_raw(), self.around);
                let user = unit.user.then(own);
                found.unit(&unit.name, user, unit.role(Some(app)), false, unit.path.display().to_string());
            }
        }
        let read: BTreeSet<u32> =
            self.processes.iter().filter(|p| p.reads(self.around, &source)).map(Process::pid).collect();
        let mine: Vec<&Running> = self.running.iter().filter(|p| read.contains(&p.pid)).collect();
        for supervisor in &self.supervised {
            for program in &supervisor.programs {
                let words = &program.words;
                let ours = words.iter().any(|w| w.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == app));
                if ours && self.reads(app, &program.env, None, site, alone) {
                    let place = ServicePlace::Supervisor { at: supervisor.at.clone(), program: program.name.clone() };
                    let role = Role::of(&program.name, words);
                    found.add(&program.name, role, place, false, supervisor.path.display().to_string());
                }
            }
        }
        for process in &mine {
            let Some(role) = process.role.filter(|r| matches!(r, Role::Web | Role::Worker | Role::Beat)) else {
                continue;
            };
            let by = format!("process {}", process.pid);
            match &process.keeper {
                Keeper::Unit(unit) => found.unit(unit, None, role, false, by),
                Keeper::UserUnit(unit, uid) => {
                    found.unit(unit, Some(UserManager::of(*uid, self.around)), role, false, by);
                }
                Keeper::Container => {}
                Keeper::Nobody => {
                    let parent = process.parent;
                    let child = mine.iter().any(|p| p.pid == parent);
                    let supervised = self.supervised.iter().any(|s| s.pid == Some(parent));
                    if !child && !supervised {
                        let place = ServicePlace::Process { words: telling(&process.words), uid: Some(process.uid) };
                        found.add(&format!("{app}-{}", role.word()), role, place, false, by);
                    }
                }
            }
        }
    }

    /// Whether something started with this environment there runs this site, not another of the same application.
    fn reads(
        &self,
        app: &str,
        env: &std::collections::BTreeMap<String, String>,
        cwd: Option<&Path>,
        site: &SiteConfig,
        alone: bool,
    ) -> bool {
        let Some(source) = site.source.as_deref() else { return alone };
        let real = |path: &Path| {
            let path = self.around.at(path);
            path.canonicalize().unwrap_or(path)
        };
        if let Some(path) = env.get(&format!("{}_CONFIG_FILE", app.to_uppercase())) {
            return real(&cwd.unwrap_or(Path::new("/")).join(path)) == real(source);
        }
        let usual = format!("/etc/{app}/{app}.cfg");
        let beside = cwd.map(|cwd| cwd.join(format!("{app}.cfg")));
        alone || real(source) == real(Path::new(&usual)) || beside.is_some_and(|b| real(&b) == real(source))
    }

    /// The servers on this machine that the site stands on.
    fn shared(&self, site: &SiteConfig, found: &mut Services) {
        let (mut database, mut redis) = (None, None);
        if let Ok(config) = &site.database
            && config.engine != Engine::Sqlite
            && (config.host.starts_with('/') || is_local(&config.host))
        {
            database = Some(config.port.unwrap_or(if config.engine == Engine::Postgresql { 5432 } else { 3306 }));
        }
        let urls =
            site.redis.iter().map(|r| r.url.expose_secret()).chain(site.broker.iter().map(|b| b.url.expose_secret()));
        for url in urls {
            let parsed = Url::parse(url).ok();
            let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
            if is_local(host) {
                redis = Some(parsed.as_ref().and_then(Url::port).unwrap_or(6379));
            }
        }
        let mysql = site.database.as_ref().is_ok_and(|d| d.engine == Engine::Mysql);
        for (role, names) in SHARED {
            let port = match role {
                Role::Database => database,
                Role::Redis => redis,
                // One that stands before an address other than the application's own.
                Role::Proxy => site.url.port_or_known_default().filter(|_| site.direct.is_some() && !site.practice),
                Role::Web | Role::Worker | Role::Beat | Role::Periodic | Role::Other => None,
            };
            let Some(port) = port.filter(|_| !found.has(*role)) else { continue };
            self.server(*role, names, port, mysql, found);
        }
    }

    fn server(&self, role: Role, names: &[&str], port: u16, mysql: bool, found: &mut Services) {
        let fits = |name: &str| {
            let stem = name.split(['@', '.']).next().unwrap_or_default();
            let right = role != Role::Database || (stem == "postgresql") != mysql;
            right && names.contains(&stem) && name.ends_with(".service")
        };
        let of_role: Vec<&Running> = self.running.iter().filter(|p| p.role == Some(role)).collect();
        // One that listens elsewhere is another server; of many nobody says where.
        let elsewhere = |p: &&&Running| p.port.is_some_and(|named| named != port);
        let here = |p: &&&Running| p.port == Some(port);
        let unit_of = |p: &&Running| match &p.keeper {
            Keeper::Unit(unit) if fits(unit) => Some(unit.clone()),
            Keeper::Unit(_) | Keeper::UserUnit(..) | Keeper::Container | Keeper::Nobody => None,
        };
        let plain: Vec<&Running> = of_role.iter().filter(|p| p.keeper == Keeper::Nobody).copied().collect();
        let masters: Vec<&Running> =
            plain.iter().filter(|p| !plain.iter().any(|o| o.pid == p.parent)).copied().collect();
        // Debian's `postgresql.service` only starts the others.
        let real =
            |name: &str| name != "postgresql.service" || !self.units.iter().any(|u| u.name.starts_with("postgresql@"));
        let sure: BTreeSet<String> = of_role.iter().filter(here).filter_map(unit_of).collect();
        let mut one = masters.iter().find(here).copied().filter(|_| sure.is_empty());
        let mut units = sure;
        if units.is_empty() && one.is_none() {
            units = of_role.iter().filter(|p| !elsewhere(p)).filter_map(unit_of).collect();
        }
        if units.is_empty() && one.is_none() {
            let wanted = self.units.iter().filter(|u| u.wanted && !u.user && fits(&u.name) && real(&u.name));
            // One that runs, and listens elsewhere, is not the one.
            let other = |name: &String| of_role.iter().any(|p| elsewhere(&p) && unit_of(p).as_ref() == Some(name));
            units = wanted.map(|u| u.name.clone()).filter(|name| !other(name)).collect();
        }
        for unit in &units {
            found.unit(unit, None, role, true, "its usual name".to_owned());
        }
        let rest: Vec<&Running> = masters.iter().filter(|p| !elsewhere(p)).copied().collect();
        if units.is_empty() && one.is_none() && rest.len() == 1 {
            one = rest.first().copied();
        }
        if let Some(process) = one {
            let place = ServicePlace::Process { words: telling(&process.words), uid: Some(process.uid) };
            let by = format!("process {}, port {port}", process.pid);
            found.add(role.word(), role, place, true, by);
        }
    }
}

fn found_into(found: &mut Services) -> impl FnMut(&str, Role, ServicePlace, String) + '_ {
    |name, role, place, by| found.add(name, role, place, false, by)
}

fn is_local(host: &str) -> bool {
    matches!(host, "" | "localhost" | "127.0.0.1" | "::1" | "[::1]")
}

/// The words of a command line that stay the same from start to start and tell it from others: its program, and the
/// application or the place it is told.
fn telling(words: &[String]) -> Vec<String> {
    // With setproctitle all is one word: `gunicorn: master [pretix.wsgi]`.
    let words: Vec<&str> = match words {
        [title] => title.split([' ', '[', ']', '(', ')']).filter(|w| !w.is_empty() && *w != "master").collect(),
        words => words.iter().map(String::as_str).collect(),
    };
    let interpreter = |word: &&str| {
        let base = word.rsplit('/').next().unwrap_or(word);
        base.starts_with("python") || matches!(base, "sh" | "bash" | "env")
    };
    // `python3 -m celery …` says nothing of which application; the interpreter of a virtual environment does.
    let own = |word: &&&str| {
        interpreter(word) && word.starts_with('/') && !word.starts_with("/usr/") && !word.starts_with("/bin/")
    };
    let place = words.first().filter(own).map(|word| (*word).to_owned());
    let (mut out, mut announced) = (Vec::<String>::new(), false);
    for word in words.into_iter().filter(|word| !interpreter(word)).take(12) {
        let option = word.starts_with('-');
        let secret = word.contains("://") || word.contains('@');
        if !option && !secret && !announced && out.len() < 3 {
            out.push(word.trim_end_matches(':').to_owned());
        }
        let lower = word.to_ascii_lowercase();
        announced = option && ["pass", "secret", "token", "auth", "key"].iter().any(|part| lower.contains(part));
    }
    if !out.iter().any(|word| word.starts_with('/')) {
        out.extend(place);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::telling;

    fn words(line: &str) -> Vec<String> {
        line.split('|').map(ToOwned::to_owned).collect()
    }

    #[test]
    fn what_tells_a_command_line_from_others_holds_no_secret() {
        for (line, expected) in [
            (
                "/srv/v/bin/python3|/srv/v/bin/gunicorn|pretix.wsgi|--name|pretix",
                "/srv/v/bin/gunicorn pretix.wsgi pretix",
            ),
            ("gunicorn: master [pretix.wsgi]", "gunicorn pretix.wsgi"),
            (
                "/srv/v/bin/python3|-m|celery|-A|pretix.celery_app|worker",
                "celery pretix.celery_app worker /srv/v/bin/python3",
            ),
            ("/usr/bin/python3|-m|celery|-A|app|worker", "celery app worker"),
            ("/srv/v/bin/celery|-A|pretix.celery_app|worker|-l|info", "/srv/v/bin/celery pretix.celery_app worker"),
            ("x|--requirepass|hunter2|run", "x run"),
            ("celery|-b|redis://:hunter2@x/1|-A|app|worker", "celery app worker"),
            (
                "/usr/lib/postgresql/15/bin/postgres|-D|/srv/pg|-p|5433",
                "/usr/lib/postgresql/15/bin/postgres /srv/pg 5433",
            ),
            ("/usr/bin/redis-server 127.0.0.1:56379", "/usr/bin/redis-server 127.0.0.1:56379"),
        ] {
            assert_eq!(telling(&words(line)).join(" "), expected, "{line}");
        }
    }
}
