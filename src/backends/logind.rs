//! Whether logind ends what a login has started when that login ends (`KillUserProcesses=yes`): a run would not outlive
//! its terminal.

use std::collections::BTreeMap;
use std::path::Path;

use super::roll;

/// Where its configuration is, what counts more first.
const PLACES: [&str; 4] = ["etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd"];
/// Drop-in files that are read of one place.
const FILES: usize = 200;

/// What of its configuration matters here.
#[derive(Debug, Default)]
struct Told {
    kills: bool,
    only: Vec<String>,
    except: Vec<String>,
}

/// Why a process that this one starts would end with its login, in a sentence; `None`: it would not.
pub fn ends_with_login(user: &str) -> Option<String> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    judged(&groups, &told(Path::new("/")), user)
}

fn judged(groups: &str, told: &Told, user: &str) -> Option<String> {
    // `0::/user.slice/user-1000.slice/session-3.scope`; what a user's manager or a unit started is in none.
    let scope = groups.lines().find_map(|line| {
        let last = line.rsplit('/').find(|part| part.starts_with("session-"))?;
        std::path::Path::new(last).extension().is_some_and(|ending| ending == "scope").then_some(last)
    })?;
    let named = |list: &[String]| list.iter().any(|name| name == user);
    let ended = told.kills && !named(&told.except) && (told.only.is_empty() || named(&told.only));
    ended.then(|| {
        format!(
            "logind ends everything of {scope} when this login ends (KillUserProcesses=yes): the run would be cut off. \
             Start it as root, from a unit, or from a session of your user manager (`loginctl enable-linger {user}`, then \
             `systemd-run --user --pty midwatch`)"
        )
    })
}

fn told(root: &Path) -> Told {
    let mut out = Told { except: vec!["root".to_owned()], ..Told::default() };
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
            let names = || value.split_whitespace().map(str::to_owned).collect();
            match key {
                "KillUserProcesses" => {
                    out.kills = ["yes", "true", "on", "1", "y", "t"].iter().any(|yes| value.eq_ignore_ascii_case(yes));
                }
                "KillOnlyUsers" => out.only = names(),
                "KillExcludeUsers" => out.except = names(),
                _ => {}
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{judged, told};

    const LOGIN: &str = "0::/user.slice/user-1000.slice/session-3.scope\n";

    #[test]
    fn what_would_end_with_its_login_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let ends = |groups: &str, user: &str| judged(groups, &told(dir.path()), user);
        assert_eq!(ends(LOGIN, "rose"), None);
        write("etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=no\n");
        write("usr/lib/systemd/logind.conf.d/50-kill.conf", "[Login]\nKillUserProcesses=yes\n");
        let why = ends(LOGIN, "rose").unwrap();
        assert!(why.contains("session-3.scope") && why.contains("enable-linger rose"), "{why}");
        assert_eq!(ends(LOGIN, "root"), None, "root is left out unless said otherwise");
        assert_eq!(ends("0::/system.slice/cron.service\n", "rose"), None);
        assert_eq!(ends("0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.service\n", "rose"), None);
        write("etc/systemd/logind.conf.d/60-who.conf", "[Login]\nKillOnlyUsers=guest\nKillExcludeUsers=\n");
        assert!(ends(LOGIN, "rose").is_none() && ends(LOGIN, "guest").is_some() && ends(LOGIN, "root").is_none());
        write("etc/systemd/logind.conf.d/50-kill.conf", "[Login]\nKillUserProcesses = no\n");
        assert_eq!(ends(LOGIN, "guest"), None, "the administrator's file of that name counts");
    }
}
