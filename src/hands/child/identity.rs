//! As whom a program runs, and what it finds in its environment.

use std::ffi::OsString;

use crate::backends::store::who;
use crate::runbook::plan::Command;

/// What of the runner's environment a program gets.
const PASSED: [&str; 4] = ["PATH", "LANG", "LC_ALL", "TZ"];
/// What runuser sets by the password file, whatever it is given.
const SET_BY_RUNUSER: [&str; 4] = ["HOME", "SHELL", "USER", "LOGNAME"];
/// What belongs to one user, and is no other's.
const PERSONAL: [&str; 3] = ["HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
/// Where programs are, if nothing says so.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The user the runner runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Me {
    pub(super) uid: u32,
    pub(super) name: Option<String>,
}

impl Me {
    pub(super) fn here() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        Self { uid, name: who::named(uid) }
    }

    /// Whether a command runs as somebody else.
    fn changes<'a>(&self, command: &'a Command) -> Option<&'a str> {
        let user = command.user.as_deref()?;
        let same = self.name.as_deref() == Some(user) || (self.uid == 0 && user == "root");
        (!same).then_some(user)
    }

    /// The words that run a command as its user.
    ///
    /// # Errors
    /// A sentence, where it names no program or no user.
    pub(super) fn words(&self, command: &Command) -> Result<Vec<String>, String> {
        if command.argv.first().is_none_or(String::is_empty) {
            return Err("the step names no program".to_owned());
        }
        if command.argv.iter().any(|word| word.contains('\0')) {
            return Err("an argument holds a NUL, which no program can be given".to_owned());
        }
        if let Some((name, _)) = command.env.iter().find(|(name, value)| !is_variable(name) || value.contains('\0')) {
            return Err(format!("`{}` is no variable that a program can be given", name.escape_default()));
        }
        let before: &[&str] = match self.changes(command) {
            None => &[],
            Some(user) if !is_name(user) => return Err(format!("`{}` is no user's name", user.escape_default())),
            Some(user) if self.uid == 0 => &["runuser", "-u", user, "--"],
            Some("root") => &["sudo", "-n", "--"],
            Some(user) => &["sudo", "-n", "-u", user, "--"],
        };
        let mut words: Vec<String> = before.iter().map(|word| (*word).to_owned()).collect();
        if self.sudo(command) && (command.dir.is_some() || !command.env.is_empty()) {
            // sudo hands on neither directory nor environment.
            words.push("env".to_owned());
            words.extend(command.dir.iter().flat_map(|dir| ["-C".to_owned(), dir.clone()]));
            words.extend(command.env.iter().map(|(name, value)| format!("{name}={value}")));
        }
        if self.uid == 0 && self.changes(command).is_some() {
            // runuser sets these anew.
            let own = command.env.iter().filter(|(name, _)| SET_BY_RUNUSER.contains(&name.as_str()));
            let own: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
            words.extend((!own.is_empty()).then(|| "env".to_owned()).into_iter().chain(own));
        }
        words.extend(command.argv.iter().cloned());
        Ok(words)
    }

    fn sudo(&self, command: &Command) -> bool {
        self.uid != 0 && self.changes(command).is_some()
    }

    /// The directory a command is started in: for what goes through sudo that is entered behind it.
    pub(super) fn directory<'a>(&self, command: &'a Command) -> &'a str {
        command.dir.as_deref().filter(|_| !self.sudo(command)).unwrap_or("/")
    }

    /// The environment of a command.
    pub(super) fn environment<'a>(&self, command: &'a Command) -> Vec<(&'a str, OsString)> {
        let named = |name: &'static str| Some((name, std::env::var_os(name).filter(|value| !value.is_empty())?));
        let mut out: Vec<(&str, OsString)> = PASSED.into_iter().filter_map(named).collect();
        // Root takes no program from where somebody else's PATH may lead.
        if self.uid == 0 {
            out.retain(|(name, _)| *name != "PATH");
        }
        if !out.iter().any(|(name, _)| *name == "PATH") {
            out.push(("PATH", PATH.into()));
        }
        match self.changes(command) {
            None => out.extend(PERSONAL.into_iter().filter_map(named)),
            Some(user) => out.extend(who::home(user).map(|home| ("HOME", home.into()))),
        }
        out.extend(command.env.iter().map(|(name, value)| (name.as_str(), value.into())));
        out
    }
}

/// As `useradd` takes it, so never an option.
fn is_name(user: &str) -> bool {
    let begins = user.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    begins && user.len() <= 64 && user.chars().all(|c| c.is_ascii_alphanumeric() || "_.-@$\\".contains(c))
}

/// As a shell takes it; nothing that makes the loader or a shell load other code.
fn is_variable(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with("LD_")
}

#[cfg(test)]
mod tests {
    use super::Me;
    use crate::runbook::plan::Command;

    fn command(user: Option<&str>) -> Command {
        let user = user.map(str::to_owned);
        Command { argv: vec!["id".to_owned(), "-u".to_owned()], user, ..Command::default() }
    }

    fn words(uid: u32, name: Option<&str>, user: Option<&str>) -> String {
        let me = Me { uid, name: name.map(str::to_owned) };
        me.words(&command(user)).map_or_else(|why| why, |words| words.join(" "))
    }

    #[test]
    fn a_command_runs_as_its_user() {
        assert_eq!(words(0, Some("root"), None), "id -u");
        assert_eq!(words(0, Some("root"), Some("root")), "id -u");
        assert_eq!(words(0, None, Some("root")), "id -u");
        assert_eq!(words(1000, Some("rose"), Some("rose")), "id -u");
        assert_eq!(words(0, Some("root"), Some("pretix")), "runuser -u pretix -- id -u");
        assert_eq!(words(1000, Some("rose"), Some("root")), "sudo -n -- id -u");
        assert_eq!(words(1000, None, Some("pretix")), "sudo -n -u pretix -- id -u");
    }

    #[test]
    fn environment_and_directory_reach_a_program_also_through_sudo() {
        let env = [("A".to_owned(), "b c".to_owned())].into();
        let command = Command { env, dir: Some("/srv".to_owned()), ..command(Some("pretix")) };
        let me = Me { uid: 1000, name: None };
        assert_eq!(me.words(&command).unwrap().join(" "), "sudo -n -u pretix -- env -C /srv A=b c id -u");
        assert_eq!(me.directory(&command), "/");
        let root = Me { uid: 0, name: None };
        assert_eq!(root.words(&command).unwrap().join(" "), "runuser -u pretix -- id -u");
        assert_eq!(root.directory(&command), "/srv");
        let at_home = Command { env: [("HOME".to_owned(), "/srv/home".to_owned())].into(), ..command.clone() };
        assert_eq!(root.words(&at_home).unwrap().join(" "), "runuser -u pretix -- env HOME=/srv/home id -u");
        assert!(root.environment(&command).contains(&("A", "b c".into())));
        let wrong = |name: &str| Command { env: [(name.to_owned(), String::new())].into(), ..command.clone() };
        assert!(me.words(&wrong("A=B")).is_err() && me.words(&wrong("LD_PRELOAD")).is_err());
    }

    #[test]
    fn what_names_no_user_or_program_is_refused() {
        assert_eq!(words(0, None, Some("-c")), "`-c` is no user's name");
        assert_eq!(words(0, None, Some("")), "`` is no user's name");
        let me = Me { uid: 0, name: None };
        assert!(me.words(&Command { argv: vec![], ..command(None) }).is_err());
        assert!(me.words(&Command { argv: vec!["a\0b".to_owned()], ..command(None) }).is_err());
    }

    #[test]
    fn nothing_of_one_users_session_reaches_another() {
        let me = Me { uid: 0, name: Some("root".to_owned()) };
        let names = |user| {
            let command = command(user);
            me.environment(&command).into_iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert!(names(None).contains(&"PATH".to_owned()));
        assert!(!names(Some("nobody")).iter().any(|name| name.starts_with("XDG") || name.starts_with("DBUS")));
    }
}
