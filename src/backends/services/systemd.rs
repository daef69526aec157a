//! What systemd says of units: one `systemctl show` for many of them, and one for all that failed.

mod show;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use show::{Unit, failed_unit, service, signal};

use super::Trouble;
use super::command::{Ended, run};
use crate::config::UserManager;

/// What is asked of each unit (FIELD D-UNIT, and what the detail shows).
const PROPERTIES: &str = "Id,Names,Description,LoadState,ActiveState,SubState,Result,Type,Restart,NRestarts,StartLimitBurst,\
StartLimitIntervalUSec,ExecMainStatus,ExecMainCode,ExecMainStartTimestamp,ExecMainExitTimestamp,MainPID,\
StateChangeTimestamp,ActiveEnterTimestamp,InactiveEnterTimestamp,UnitFileState,FragmentPath,MemoryCurrent,MemoryMax,\
CPUUsageNSec,TasksCurrent,NeedDaemonReload,ControlGroup,User,StatusText,ExecStart,TriggeredBy,\
LastTriggerUSec,NextElapseUSecRealtime,Unit";

/// How long systemd is waited for.
const LIMIT: Duration = Duration::from_secs(3);

/// Whose manager is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// The system's.
    System,
    /// A user's.
    User(UserManager),
}

/// Asks for these units; by the name they were asked by.
///
/// # Errors
/// A sentence that says what would help.
pub(super) async fn units(whose: &Whose, names: &[String]) -> Result<BTreeMap<String, Unit>, Trouble> {
    let mut arguments =
        vec!["show".to_owned(), "--no-pager".to_owned(), format!("--property={PROPERTIES}"), "--".to_owned()];
    arguments.extend(names.iter().cloned());
    let text = systemctl(whose, &arguments).await?;
    let units = show::parse(&text);
    let found = |asked: &String| {
        let unit = units.iter().find(|unit| unit.is(asked))?;
        Some((asked.clone(), unit.clone()))
    };
    Ok(names.iter().filter_map(found).collect())
}

/// Every unit that failed.
///
/// # Errors
/// As [`units`].
pub(super) async fn failed(whose: &Whose) -> Result<Vec<Unit>, Trouble> {
    let arguments = ["show", "--no-pager", "--state=failed", &format!("--property={PROPERTIES}"), "--", "*"];
    let text = systemctl(whose, &arguments.map(ToOwned::to_owned)).await?;
    let mut units = show::parse(&text);
    units.retain(Unit::has_failed);
    Ok(units)
}

/// What `systemctl` says.
///
/// # Errors
/// As [`units`].
pub(super) async fn systemctl(whose: &Whose, arguments: &[String]) -> Result<String, Trouble> {
    let own = rustix::process::geteuid();
    // UTC, so that times can be read without knowing the names of time zones.
    let mut env = vec![("LC_ALL", "C".to_owned()), ("TZ", "UTC".to_owned()), ("SYSTEMD_COLORS", "0".to_owned())];
    let mut all = Vec::new();
    if let Whose::User(UserManager { uid, runtime }) = whose {
        let uid = *uid;
        if !own.is_root() && own.as_raw() != uid {
            let why = format!("The user manager of user {uid} can't be asked: run midwatch as that user, or as root.");
            return Err(Trouble { why, lasting: true });
        }
        all.push("--user".to_owned());
        env.push(("XDG_RUNTIME_DIR", runtime.display().to_string()));
        if own.as_raw() != uid {
            // A bus of our own session would lead to our own manager.
            env.push(("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}/bus", runtime.display())));
        }
    }
    all.extend_from_slice(arguments);
    let trouble = |lasting: bool, why: String| Err(Trouble { why, lasting });
    match run("systemctl", &all, &env, LIMIT).await {
        Ended::Well(text) => Ok(text),
        Ended::Badly(said) if said.contains("not been booted with systemd") => {
            trouble(true, "This system was not booted with systemd: its units can't be seen.".to_owned())
        }
        Ended::Badly(said) if said.contains("denied") => trouble(
            true,
            format!("systemd refuses to be asked ({said}): run as root, or let this user onto the system's bus."),
        ),
        Ended::Badly(said) if said.contains("connect to") && matches!(whose, Whose::User(_)) => trouble(
            true,
            format!(
                "The user manager does not answer ({said}): it runs while that user is logged in, or lingers \
                 (loginctl enable-linger USER)."
            ),
        ),
        Ended::Badly(said) => trouble(false, format!("systemctl: {said}.")),
        Ended::Late => trouble(false, format!("systemd has not answered for {} s.", LIMIT.as_secs())),
        Ended::Absent => trouble(true, "There is no systemctl here: units of systemd can't be seen.".to_owned()),
        Ended::Failed(why) => trouble(false, format!("systemctl can't be run ({why}).")),
    }
}
