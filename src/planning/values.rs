//! What can be given for a parameter, and what it brings.

pub(super) mod backups;

use super::{Draft, Ground, NoPlan, services};
use crate::backends::database::DatabaseProbe;
use crate::backends::host::HostProbe;
use crate::domain::database::Session;
use crate::domain::host::DeletedFile;
use crate::domain::reading::Seen;
use crate::domain::text::{bytes, plain};
use crate::ports::Observe;
use crate::runbook::plan::Subject;
use crate::runbook::spec::{Kind, Parameter, Runbook};
use crate::runbook::template::Values;

/// Something that can be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The value.
    pub value: String,
    /// What it is.
    pub label: String,
}

/// Looks at a host until what takes longer was looked at, this long apart.
const LOOKS: u32 = 20;
const APART: std::time::Duration = std::time::Duration::from_millis(250);

pub(super) fn given(runbook: &Runbook, ground: Ground<'_>) -> Values {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let mut values = Values::from([pair("host", ground.config.host.0.clone())]);
    if let Some(site) = ground.site {
        values.extend([pair("site", site.id.0.clone()), pair("title", site.title.clone())]);
    }
    if let super::StateDir::Directory(dir) = &ground.config.state {
        let name = format!("{}-{}", runbook.id, ground.made.as_millis());
        // Where nobody else can put a link in the way.
        let own = crate::backends::journal::path(dir, rustix::process::geteuid().as_raw());
        let own = own.parent().map(std::path::Path::to_owned).unwrap_or_default();
        values.extend([pair("dir", own.join("evidence").join(name).display().to_string())]);
    }
    values
}

/// `PID:FD`.
pub(super) fn descriptor(text: &str) -> Result<(u32, u32), String> {
    let (pid, fd) = text.split_once(':').unwrap_or(("", ""));
    let number =
        |text: &str| text.parse::<u32>().map_err(|_no_number| format!("{text} is no PID:FD", text = plain(text, 40)));
    Ok((number(pid)?, number(fd)?))
}

impl Draft<'_> {
    pub(super) async fn parameter(&mut self, parameter: &Parameter, given: Option<&String>) -> Result<(), NoPlan> {
        let name = &parameter.name;
        let part = |part: &str| format!("{name}.{part}");
        let missing = |choices| NoPlan::Missing(name.clone(), parameter.title.clone(), choices);
        let wrong =
            |value: &str, why: &str, choices| NoPlan::Wrong(name.clone(), plain(value, 60), why.to_owned(), choices);
        match &parameter.kind {
            Kind::Service(roles) => {
                let all = self.looker.services().await.map_err(NoPlan::Impossible)?;
                let fit: Vec<_> = all.into_iter().filter(|s| roles.is_empty() || roles.contains(&s.role)).collect();
                let choices = services::choices(&fit, !roles.is_empty());
                let value = services::named(&fit, given.ok_or_else(|| missing(choices.clone()))?);
                if !choices.iter().any(|choice| choice.value == *value) {
                    return Err(wrong(value, "there is no such service here", choices));
                }
                let one = fit.iter().find(|service| service.name == *value);
                let told = |f: fn(&crate::domain::service::Service) -> &str| one.map_or("", f).to_owned();
                self.values.insert(part("role"), told(|s| s.role.word()));
                self.values.insert(part("place"), told(|s| &s.place));
                self.values.insert(part("manager"), told(|s| s.manager.word()));
                self.values.insert(name.clone(), value.to_owned());
            }
            Kind::Session => {
                let sessions = self.blockers().await?;
                let label =
                    |s: &Session| format!("{} · blocks {} · {} · {}", s.user, s.blocks, s.state, plain(&s.query, 60));
                let choices: Vec<_> =
                    sessions.iter().map(|s| Choice { value: s.pid.to_string(), label: label(s) }).collect();
                if choices.is_empty() {
                    return Err(NoPlan::Impossible("nobody waits for a lock now: there is nothing to end".to_owned()));
                }
                let only = choices.first().filter(|_| choices.len() == 1).map(|choice| choice.value.clone());
                let value = given.cloned().or(only).ok_or_else(|| missing(choices.clone()))?;
                let Some(session) = sessions.iter().find(|s| s.pid.to_string() == value) else {
                    return Err(wrong(&value, "nobody waits for this session", choices));
                };
                self.count_on(Subject::Session(session.pid)).await?;
                self.values.insert(part("user"), session.user.clone());
                self.values.insert(part("query"), plain(&session.query, 120));
                self.values.insert(name.clone(), value);
            }
            Kind::DeletedLog => {
                let files = self.deleted().await?;
                let label = |f: &DeletedFile| format!("{} · {} · {}", bytes(f.bytes), f.path, f.command);
                let choices: Vec<_> =
                    files.iter().map(|f| Choice { value: format!("{}:{}", f.pid, f.fd), label: label(f) }).collect();
                if choices.is_empty() {
                    return Err(NoPlan::Impossible("no process holds a deleted log open".to_owned()));
                }
                let value = given.ok_or_else(|| missing(choices.clone()))?;
                let (pid, fd) = descriptor(value).map_err(|why| wrong(value, &why, choices.clone()))?;
                let Some(file) = files.iter().find(|f| (f.pid, f.fd) == (pid, fd)) else {
                    return Err(wrong(value, "that is no deleted log that is held open", choices));
                };
                self.count_on(Subject::Descriptor(pid, fd)).await?;
                self.values.insert(part("pid"), pid.to_string());
                self.values.insert(part("fd"), fd.to_string());
                self.values.insert(part("path"), file.path.clone());
                self.values.insert(part("command"), file.command.clone());
                self.values.insert(name.clone(), value.clone());
            }
            Kind::Choice(words) => {
                let choices: Vec<_> = words.iter().map(|w| Choice { value: w.clone(), label: String::new() }).collect();
                let value = given.ok_or_else(|| missing(choices.clone()))?;
                if !words.contains(value) {
                    return Err(wrong(value, "is none of the choices", choices));
                }
                self.values.insert(name.clone(), value.clone());
            }
            Kind::HeldDatabase => self.held_database(parameter, given).await?,
            Kind::Parked => self.what_is_parked(parameter, given).await?,
            Kind::Backup | Kind::Directory | Kind::BackupPlace => self.path(parameter, given).await?,
            Kind::Held => self.what_is_held(parameter, given).await?,
            Kind::Database | Kind::Version | Kind::Text => {
                let Some(value) = given else {
                    let choices = if parameter.kind == Kind::Version { self.versions().await } else { Vec::new() };
                    return Err(missing(choices));
                };
                let free = parameter.kind == Kind::Text;
                let good = |c: char| {
                    if free { !c.is_control() } else { c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_') }
                };
                if value.is_empty() || value.starts_with('-') || value.len() > 200 || !value.chars().all(good) {
                    return Err(wrong(value, &format!("is no {}", parameter.kind.word()), Vec::new()));
                }
                self.values.insert(name.clone(), value.clone());
            }
        }
        Ok(())
    }

    /// One of the databases that are held for the site.
    async fn held_database(&mut self, parameter: &Parameter, given: Option<&String>) -> Result<(), NoPlan> {
        let (name, title) = (parameter.name.clone(), parameter.title.clone());
        let site = self.ground.site.ok_or_else(|| NoPlan::Impossible("there is no site".to_owned()))?;
        let choices = super::restore::held(site, self.ground.made).await?;
        if choices.is_empty() {
            return Err(NoPlan::Impossible("midwatch holds no database of this site".to_owned()));
        }
        let Some(value) = given else { return Err(NoPlan::Missing(name, title, choices)) };
        if !choices.iter().any(|choice| choice.value == *value) {
            return Err(NoPlan::Wrong(name, plain(value, 60), "is not held".to_owned(), choices));
        }
        self.values.insert(name, value.clone());
        Ok(())
    }

    /// The sessions at the root of lock chains.
    async fn blockers(&self) -> Result<Vec<Session>, NoPlan> {
        let none = || NoPlan::Impossible("there is no site to look at".to_owned());
        let database = self.ground.site.ok_or_else(none)?.database.as_ref();
        let mut probe = DatabaseProbe::new(database.map_err(|why| NoPlan::Impossible(why.clone()))?);
        match probe.observe().await {
            Seen::Value(reading) => Ok(reading.blockers),
            Seen::Failed(why) | Seen::Unseen(why) => Err(NoPlan::Impossible(why)),
            Seen::Asking => Err(NoPlan::Impossible("the database has not answered".to_owned())),
        }
    }

    /// Deleted logs that are held open, the largest first. Data is never among them.
    async fn deleted(&self) -> Result<Vec<DeletedFile>, NoPlan> {
        let mut probe = HostProbe::watching(&crate::backends::host::Targets::of(self.ground.config));
        for _ in 0..LOOKS {
            if let Seen::Value(reading) = probe.observe().await
                && let Some(depth) = reading.depth
            {
                let is_log = |file: &DeletedFile| file.data_of.is_none() && logs(&file.path);
                return Ok(depth.deleted.into_iter().filter(is_log).collect());
            }
            tokio::time::sleep(APART).await;
        }
        Err(NoPlan::Impossible("what processes hold open can't be seen".to_owned()))
    }
}

/// Whether a path is surely a log's: by its ending, or by where it is.
fn logs(path: &str) -> bool {
    let name = path.trim_end_matches(" (deleted)");
    let name = name.rsplit('/').next().unwrap_or(name);
    let ending = std::path::Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("log"));
    ending || name.contains(".log.") || name.contains(".log-") || path.starts_with("/var/log/")
}
