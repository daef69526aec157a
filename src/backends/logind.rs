//! Whether logind ends what a login has started when that login ends (`KillUserProcesses=yes`): a run would not outlive
//! its terminal, so it is started outside, in a scope of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::roll;
use super::store::who;

/// Where its configuration is, what counts more first.
const PLACES: [&str; 4] = ["etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd"];
/// Drop-in files that are read of one place.
const FILES: usize = 200;
/// Makes scopes.
const SYSTEMD_RUN: &str = "systemd-run";
/// Where root takes it from: not from where somebody else's PATH may lead.
const DIRS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What of its configuration matters here.
#[derive(Debug, Default)]
struct Told {
    kills: bool,
    only: Vec<String>,
    /// `None`: nothing was said, so root alone.
    except: Option<Vec<String>>,
}

/// A login: its scope is ended as a whole, whoever its processes run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session<'a> {
    scope: &'a str,
    /// Who has logged in.
    owner: Option<u32>,
}

/// What starts a program outside of this login, to be followed by the program and its words: it becomes the program, with
/// the same number, the same pipes and the same environment. `None`: this login ends nothing.
///
/// # Errors
/// Why there is no outside for this user, and what helps.
pub fn outside(run: &str, nonce: &str) -> Result<Option<Command>, String> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let root = Path::new("/");
    let Some(session) = session(&groups) else { return Ok(None) };
    let owner = session.owner.and_then(|uid| named(root, uid));
    if !ends(&told(root), owner.as_deref()) {
        return Ok(None);
    }
    let uid = rustix::process::geteuid().as_raw();
    let lingering = || {
        let user = named(root, uid).unwrap_or_else(|| uid.to_string());
        if lingers(root, &user) { Ok(()) } else { Err(user) }
    };
    let words = words(uid, lingering, run, nonce).map_err(|user| {
        format!("logind ends everything of {} when that login ends. {}", session.scope, helps(&user))
    })?;
    let mut command = Command::new(program(uid)?);
    command.args(words);
    if uid != 0 && std::env::var_os("XDG_RUNTIME_DIR").is_none_or(|dir| dir.is_empty()) {
        command.env("XDG_RUNTIME_DIR", format!("/run/user/{uid}"));
    }
    Ok(Some(command))
}

fn helps(user: &str) -> String {
    format!(
        "A run of {user}'s goes on only if {user} lingers: `loginctl enable-linger {user}` (root may, or {user} where \
         polkit lets them), or start it as root"
    )
}

fn program(uid: u32) -> Result<PathBuf, String> {
    if uid != 0 {
        return Ok(PathBuf::from(SYSTEMD_RUN));
    }
    let found = DIRS.iter().map(|dir| Path::new(dir).join(SYSTEMD_RUN)).find(|path| path.is_file());
    found.ok_or_else(|| format!("there is no {SYSTEMD_RUN}, and without it a run would end with this login"))
}

/// The words for systemd-run. Only root may ask the system's manager; a user's own ends with their last login unless they
/// linger.
fn words<E>(uid: u32, lingering: impl FnOnce() -> Result<(), E>, run: &str, nonce: &str) -> Result<Vec<String>, E> {
    let mut words = Vec::new();
    if uid != 0 {
        lingering()?;
        words.push("--user".to_owned());
    }
    // What a killed runner has left may still be in the scope of its own: taken up again, the run needs another name.
    let chance = nonce.get(..8).unwrap_or(nonce);
    words.extend(["--scope", "--quiet", "--collect"].map(str::to_owned));
    words.extend([format!("--unit=midwatch-run-{run}-{chance}"), format!("--description=midwatch run {run}")]);
    words.push("--".to_owned());
    Ok(words)
}

/// Of `0::/user.slice/user-1000.slice/session-3.scope`; what a user's manager or a unit started is in none.
fn session(groups: &str) -> Option<Session<'_>> {
    groups.lines().find_map(|line| {
        let mut parts = line.rsplit('/');
        let scope = parts
            .find(|part| part.strip_prefix("session-").is_some_and(|rest| rest.strip_suffix(".scope").is_some()))?;
        let owner = parts.find_map(|part| part.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok());
        Some(Session { scope, owner })
    })
}

/// As logind decides it; who has no name is taken for one whose processes it ends.
fn ends(told: &Told, owner: Option<&str>) -> bool {
    let named = |list: &[String]| owner.map(|owner| list.iter().any(|name| name == owner));
    let left_out = told.except.as_deref().map_or(Some(owner == Some("root")), named);
    if left_out == Some(true) {
        return false;
    }
    // The list overrides the switch.
    if told.only.is_empty() { told.kills } else { named(&told.only).unwrap_or(true) }
}

/// A user's name, also of a directory service's as far as logind has it.
fn named(root: &Path, uid: u32) -> Option<String> {
    who::named(uid).or_else(|| {
        let text = roll::text(&root.join("run/systemd/users").join(uid.to_string())).ok()?;
        text.lines().find_map(|line| line.strip_prefix("NAME=")).map(str::to_owned)
    })
}

/// Whether a user's manager outlives their last login.
fn lingers(root: &Path, user: &str) -> bool {
    !user.contains('/') && root.join("var/lib/systemd/linger").join(user).is_file()
}

fn told(root: &Path) -> Told {
    let mut out = Told::default();
    let whole = PLACES.iter().find_map(|place| roll::text(&root.join(place).join("logind.conf")).ok());
    // Of drop-ins of one name the one that counts most holds; they are read by name.
    let mut parts: BTreeMap<std::ffi::OsString, std::path::PathBuf> = BTreeMap::new();
    for place in PLACES.iter().rev() {
        for path in roll::list(&root.join(place).join("logind.conf.d"), FILES).unwrap_or_default() {
            if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|ending| ending == "conf")) {
                parts.insert(name.to_owned(), path.clone());
            }
        }
    }
    let parts = parts.into_values().filter_map(|path| roll::text(&path).ok());
    for text in whole.into_iter().chain(parts) {
        for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
            let (key, value) = (key.trim(), value.trim());
            // Said again, a list grows; said empty, it begins anew.
            let names = |list: &mut Vec<String>| {
                if value.is_empty() {
                    list.clear();
                }
                list.extend(value.split_whitespace().map(str::to_owned));
            };
            match key {
                "KillUserProcesses" => {
                    out.kills = ["yes", "true", "on", "1", "y", "t"].iter().any(|yes| value.eq_ignore_ascii_case(yes));
                }
                "KillOnlyUsers" => names(&mut out.only),
                "KillExcludeUsers" => names(out.except.get_or_insert_default()),
                _ => {}
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Session, ends, lingers, named, session, told, words};

    #[test]
    fn a_session_is_whose_slice_it_is_in_whoever_runs_there() {
        let of = |scope, owner| Some(Session { scope, owner });
        assert_eq!(session("0::/user.slice/user-1000.slice/session-3.scope\n"), of("session-3.scope", Some(1000)));
        let old = "4:cpu:/\n1:name=systemd:/user.slice/user-0.slice/session-c1.scope\n";
        assert_eq!(session(old), of("session-c1.scope", Some(0)));
        assert_eq!(session("0::/session-3.scope\n"), of("session-3.scope", None));
        assert_eq!(session("0::/system.slice/cron.service\n"), None);
        assert_eq!(session("0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope\n"), None);
        assert_eq!(session("0::/system.slice/midwatch-run-1.scope\n"), None);
    }

    #[test]
    fn what_would_end_with_its_login_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let ended = |owners: [Option<&str>; 4]| owners.map(|owner| ends(&told(dir.path()), owner));
        let all = [Some("rose"), Some("guest"), Some("root"), None];
        assert_eq!(ended(all), [false; 4]);
        write("etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=no\n");
        write("usr/lib/systemd/logind.conf.d/50-kill.conf", "[Login]\nKillUserProcesses=yes\n");
        assert_eq!(ended(all), [true, true, false, true], "root is left out unless said otherwise");
        write("etc/systemd/logind.conf.d/60-who.conf", "[Login]\nKillExcludeUsers=rose\nKillExcludeUsers=lily\n");
        assert_eq!(ended(all), [false, true, true, true], "who is left out is said anew");
        write("etc/systemd/logind.conf.d/60-who.conf", "[Login]\nKillOnlyUsers=guest\nKillExcludeUsers=\n");
        assert_eq!(ended(all), [false, true, false, true]);
        write("etc/systemd/logind.conf.d/50-kill.conf", "[Login]\nKillUserProcesses = no\n");
        assert_eq!(ended(all), [false, true, false, true], "the list overrides the switch");
        write("etc/systemd/logind.conf.d/60-who.conf", "");
        assert_eq!(ended(all), [false; 4], "the administrator's file of a name counts");
    }

    #[test]
    fn a_user_lingers_by_their_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("var/lib/systemd/linger")).unwrap();
        fs::write(dir.path().join("var/lib/systemd/linger/rose"), "").unwrap();
        assert_eq!(
            ["rose", "lily", "", "..", "../linger/rose"].map(|user| lingers(dir.path(), user)),
            [true, false, false, false, false]
        );
    }

    #[test]
    fn a_user_of_a_directory_service_has_the_name_that_logind_knows() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("run/systemd/users")).unwrap();
        fs::write(dir.path().join("run/systemd/users/3999999999"), "# private\nNAME=ada\nSTATE=active\n").unwrap();
        assert_eq!(named(dir.path(), 3_999_999_999).as_deref(), Some("ada"));
        assert_eq!(named(dir.path(), 3_999_999_998), None);
    }

    #[test]
    fn root_asks_the_system_and_a_user_their_own_manager_if_it_stays() {
        let told = |uid, lingering: Result<(), &'static str>| {
            words(uid, || lingering, "20261122-031500-evidence-1a2b", "0f1e2d3c-4b5a").map(|words| words.join(" "))
        };
        let rest = "--scope --quiet --collect --unit=midwatch-run-20261122-031500-evidence-1a2b-0f1e2d3c \
                    --description=midwatch run 20261122-031500-evidence-1a2b --";
        assert_eq!(told(0, Err("root")), Ok(rest.to_owned()));
        assert_eq!(told(1000, Ok(())), Ok(format!("--user {rest}")));
        assert_eq!(told(1000, Err("rose")), Err("rose"));
    }
}
