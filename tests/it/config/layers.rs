//! One thing over another: the machine's file, the operator's, the environment, flags, what was found; and the state directory.

use std::path::{Path, PathBuf};

use midwatch::config::load::{Request, load};
use midwatch::config::{AppKind, ColorChoice, Config, Found, StateDir, paths};
use secrecy::ExposeSecret;

use super::{Machine, broken, only, outcomes};

const SYSTEM: &str = "/etc/midwatch/config.toml";
const OWN: &str = "/home/op/.config/midwatch/config.toml";
const PRETIX: &str = "[pretix]\nurl = https://tickets.example.org\ninstance_name = Found\n[database]\n\
                      backend = postgresql\nname = pretix\npassword = found\n[metrics]\nenabled = on\nuser = m\n\
                      passphrase = found\n[redis]\nlocation = redis://found/0\n";

fn loaded(machine: &Machine) -> Config {
    load(&Request::default(), &machine.around).unwrap()
}

#[test]
fn the_operators_file_wins_over_the_machines_key_by_key() {
    let machine = Machine::new();
    machine.write(
        SYSTEM,
        "[thresholds]\ndisk_warning = 0.5\ndisk_critical = 0.6\n[pace]\nhealth = \"9s\"\nhost = \"9s\"\n\
         [look]\ntheme = \"mono\"\nascii = true\n[look.roles]\na = \"red\"\nb = \"red\"\n[keys]\nquit = \"x\"\nhelp = \"y\"\n\
         [sites.a]\nurl = \"https://a.org\"\ntitle = \"A\"\nhealth_path = \"/up\"\n",
    );
    machine.write(
        OWN,
        "[thresholds]\ndisk_critical = 0.7\n[pace]\nhealth = \"4s\"\n[look]\ntheme = \"light\"\n[look.roles]\nb = \"blue\"\n\
         [keys]\nhelp = \"z\"\n[sites.a]\ntitle = \"Mine\"\n[sites.b]\nurl = \"https://b.org\"\n",
    );
    let config = loaded(&machine);
    assert!((config.thresholds.disk_warning - 0.5).abs() < f64::EPSILON, "what the operator doesn't name stays");
    assert!((config.thresholds.disk_critical - 0.7).abs() < f64::EPSILON);
    assert_eq!(config.thresholds.certificate_warning_days, 20);
    assert_eq!((config.pace.health.as_secs(), config.pace.host.as_secs()), (4, 9));
    assert_eq!((config.look.theme.as_str(), config.look.ascii), ("light", true));
    assert_eq!([config.look.patch["a"].as_str(), config.look.patch["b"].as_str()], ["red", "blue"]);
    assert_eq!([config.keys["quit"][0].as_str(), config.keys["help"][0].as_str()], ["x", "z"]);
    let [a, b] = config.sites.as_slice() else { panic!("{:?}", config.sites) };
    assert_eq!([a.title.as_str(), a.url.as_str(), &a.health_path], ["Mine", "https://a.org/", "/up"]);
    assert_eq!((b.id.0.as_str(), b.app, b.health_path.as_str()), ("b", AppKind::Web, "/healthcheck/"));
    let read = outcomes(&config.trail, "configuration");
    assert_eq!(read, [&Found::Yes(SYSTEM.to_owned()), &Found::Yes(OWN.to_owned())]);
}

#[test]
fn without_files_nothing_is_wrong_and_the_trail_says_where_they_would_be() {
    let machine = Machine::new();
    let config = loaded(&machine);
    let said = |path: &str| Found::No(format!("{path} isn't there (it need not be)"));
    assert_eq!(outcomes(&config.trail, "configuration"), [&said(SYSTEM), &said(OWN)]);
}

#[test]
fn a_usual_file_that_cannot_be_read_is_told_and_passed_over() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.at(SYSTEM)).unwrap();
    machine.write(OWN, "[pace]\nhealth = \"4s\"\n");
    let config = loaded(&machine);
    assert_eq!(config.pace.health.as_secs(), 4);
    let broken = Found::Broken(format!("{SYSTEM}: Is a directory (os error 21)"));
    assert_eq!(outcomes(&config.trail, "configuration")[0], &broken);
}

#[test]
fn a_table_lies_over_the_site_of_its_name() {
    let machine = Machine::new();
    machine.write("/etc/pretix/pretix.cfg", PRETIX);
    machine.write(
        OWN,
        "[sites.\"tickets.example.org\"]\ndirect = \"http://127.0.0.1:8345\"\ndatabase_password = \"mine\"\n",
    );
    let config = loaded(&machine);
    let site = only(&config.sites);
    assert_eq!((site.title.as_str(), site.direct.as_ref().unwrap().port()), ("Found", Some(8345)));
    let database = site.database.as_ref().unwrap();
    assert_eq!([database.name.as_str(), database.password.expose_secret()], ["pretix", "mine"]);
    assert_eq!(site.redis.as_ref().unwrap().url.expose_secret(), "redis://found/0");
}

#[test]
fn a_table_lies_over_the_site_of_its_applications_file_and_names_it() {
    let machine = Machine::new();
    machine.write("/etc/pretix/pretix.cfg", PRETIX);
    machine.write(
        OWN,
        "[sites.shop]\napp_config = \"/etc/pretix/pretix.cfg\"\nmetrics_url = \"http://127.0.0.1:8345/metrics\"\n",
    );
    let config = loaded(&machine);
    let site = only(&config.sites);
    assert_eq!((site.id.0.as_str(), site.title.as_str()), ("shop", "Found"));
    let metrics = site.metrics.as_ref().unwrap();
    let (user, password) = metrics.login.as_ref().unwrap();
    assert_eq!([metrics.url.as_str(), user, password.expose_secret()], ["http://127.0.0.1:8345/metrics", "m", "found"]);
}

#[test]
fn a_site_is_made_of_a_file_that_was_not_found() {
    let machine = Machine::new();
    machine.write("/etc/pretix/pretix.cfg", PRETIX);
    machine.write("/srv/other/cfp.cfg", "[site]\nurl = https://cfp.example.org\n");
    machine.write(OWN, "[sites.cfp]\napp_config = \"/srv/other/cfp.cfg\"\napp = \"pretalx\"\n");
    let config = loaded(&machine);
    let names: Vec<&str> = config.sites.iter().map(|s| s.id.0.as_str()).collect();
    assert_eq!(names, ["tickets.example.org", "cfp"]);
    assert_eq!((config.sites[1].app, config.sites[1].url.as_str()), (AppKind::Pretalx, "https://cfp.example.org/"));
}

#[test]
fn an_applications_file_that_cannot_be_read_costs_only_its_own_site() {
    let machine = Machine::new();
    machine.write(OWN, "[sites.a]\napp_config = \"/gone/pretix.cfg\"\n[sites.b]\nurl = \"https://b.org\"\n");
    let config = loaded(&machine);
    assert_eq!(only(&config.sites).id.0, "b");
    assert_eq!(broken(&config.trail, "pretix.cfg"), "/gone/pretix.cfg: isn't there");
    machine.write(OWN, "[sites.a]\napp_config = \"/gone/pretix.cfg\"\nurl = \"https://a.org\"\n");
    let config = loaded(&machine);
    assert_eq!(only(&config.sites).url.as_str(), "https://a.org/", "its URL is enough to ask it");
}

#[test]
fn discovery_can_be_switched_off_and_a_flag_still_names_a_file() {
    let machine = Machine::new();
    machine.write("/etc/pretix/pretix.cfg", PRETIX);
    machine.write(OWN, "discover = false\n");
    assert!(loaded(&machine).sites.is_empty());
    machine.write(OWN, "discover = false\n[sites.shop]\napp_config = \"/etc/pretix/pretix.cfg\"\n");
    assert_eq!(only(&loaded(&machine).sites).id.0, "shop");
    let request = Request { app_config: Some("/etc/pretix/pretix.cfg".into()), ..Request::default() };
    assert_eq!(only(&load(&request, &machine.around).unwrap().sites).id.0, "shop");
}

#[test]
fn flags_win_over_the_environment_and_that_over_files() {
    let mut machine = Machine::new();
    machine.write("/srv/file.toml", "state_dir = \"/state/file\"\n[look]\ntheme = \"light\"\ncolor = \"16\"\n");
    machine.env("MIDWATCH_CONFIG", "file.toml");
    let config = loaded(&machine);
    assert_eq!((config.look.theme.as_str(), config.read_only), ("light", false));
    assert_eq!(config.state, StateDir::Directory(machine.at("/state/file")));
    machine.env("MIDWATCH_THEME", "mono");
    machine.env("MIDWATCH_STATE_DIR", "/state/environment");
    machine.env("MIDWATCH_READ_ONLY", "1");
    let config = loaded(&machine);
    assert_eq!((config.look.theme.as_str(), config.read_only), ("mono", true));
    assert_eq!(config.state, StateDir::Directory(machine.at("/state/environment")));
    machine.env("MIDWATCH_READ_ONLY", "0");
    let request = Request {
        theme: Some("dark".to_owned()),
        state_dir: Some("flag".into()),
        color: Some(ColorChoice::Never),
        ascii: true,
        ..Request::default()
    };
    let config = load(&request, &machine.around).unwrap();
    assert_eq!((config.look.theme.as_str(), config.look.color), ("dark", ColorChoice::Never));
    assert!(config.look.ascii && !config.read_only);
    assert_eq!(config.state, StateDir::Directory(machine.at("/srv/flag")));
}

fn state(machine: &Machine, named: Option<&str>) -> StateDir {
    paths::state(&machine.around, named.map(Path::new))
}

#[test]
fn state_goes_to_the_shared_directory_or_to_the_operators_own() {
    use std::os::unix::fs::PermissionsExt;
    let mut machine = Machine::new();
    let own = StateDir::Directory(machine.at("/home/op/.local/state/midwatch"));
    assert_eq!(state(&machine, None), own);
    let mode = std::fs::metadata(machine.at("/home/op/.local/state/midwatch")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else may read history");
    machine.env("XDG_STATE_HOME", "/xdg");
    assert_eq!(state(&machine, None), StateDir::Directory(machine.at("/xdg/midwatch")));
    machine.env("XDG_STATE_HOME", "relative");
    assert_eq!(state(&machine, None), own, "a relative one counts for nothing (XDG's own rule)");
    machine.write("/var/lib/midwatch", "a file, not a directory");
    assert_eq!(state(&machine, None), own);
    std::fs::remove_file(machine.at("/var/lib/midwatch")).unwrap();
    std::fs::create_dir_all(machine.at("/var/lib/midwatch")).unwrap();
    let shared = StateDir::Directory(machine.at("/var/lib/midwatch"));
    assert_eq!(state(&machine, None), shared);
    std::fs::set_permissions(machine.at("/var/lib/midwatch"), std::fs::Permissions::from_mode(0o555)).unwrap();
    let root = rustix::process::geteuid().is_root();
    assert_eq!(state(&machine, None), if root { shared } else { own });
}

#[test]
fn without_a_state_directory_there_is_memory_and_a_reason() {
    let mut machine = Machine::new();
    machine.write("/state/file", "");
    let StateDir::Memory(why) = state(&machine, Some("/state/file")) else { panic!("a file was taken") };
    assert!(why.ends_with("history is kept in memory") && why.contains("/state/file: "), "{why}");
    machine.around.home = None;
    let why = "HOME is not set, and no /var/lib/midwatch can be written: history is kept in memory";
    assert_eq!(state(&machine, None), StateDir::Memory(why.to_owned()));
    let config = loaded(&machine);
    assert_eq!(config.state, StateDir::Memory(why.to_owned()));
    assert_eq!(outcomes(&config.trail, "configuration").len(), 1, "only the machine's file is looked for");
    assert_eq!(paths::user_dir(&machine.around), None);
    machine.env("XDG_CONFIG_HOME", "/xdg");
    assert_eq!(paths::user_dir(&machine.around), Some(PathBuf::from("/xdg/midwatch")));
}
