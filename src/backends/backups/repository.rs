//! Asks tools that keep repositories of their own, in their own JSON, without a lock and without a cache of theirs.

mod parse;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::program::Tools;
use crate::config::backups::{Repository, Tool};
use crate::domain::backup::kind::Kind;
use crate::domain::backup::proof::Proof;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;
pub(super) use parse::parse;

/// How long a tool may take to list what it has.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// How long a look at all places waits for it.
pub(super) const GLANCE: Duration = Duration::from_secs(2);
/// How long the end of its output is waited for when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a list holds.
const HOLDS: Duration = Duration::from_mins(10);
/// Bytes of its answer that are read.
const MOST: u64 = 16 << 20;

/// One backup in a repository.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    /// Its name there.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: Kind,
    /// When it was made.
    pub(super) made: Timestamp,
    /// Its size, where the tool tells.
    pub(super) bytes: Option<u64>,
    /// What the tool itself says of it.
    pub(super) proof: Proof,
    /// Paths in it, where the tool tells.
    pub(super) paths: Vec<String>,
}

/// Why a tool told nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Silent {
    /// It can't be asked.
    Unseen(String),
    /// It was asked and failed.
    Failed(String),
}

type List = Result<Vec<Kept>, Silent>;

/// The last list of each repository; a repository that is far away is asked on a thread of its own.
#[derive(Debug, Default)]
pub(super) struct Lists(BTreeMap<String, Asked>);

#[derive(Debug, Default)]
struct Asked {
    at: Option<Instant>,
    list: Option<List>,
    under_way: Option<Receiver<List>>,
}

impl Lists {
    /// What a repository holds: the last list while it holds, else a new one, waited for as long as `patience`; until
    /// it comes, the last one.
    pub(super) fn get(
        &mut self,
        name: &str,
        repository: &Repository,
        tools: &Tools,
        read_only: bool,
        patience: Duration,
    ) -> List {
        let asked = self.0.entry(name.to_owned()).or_default();
        if asked.under_way.is_none() && asked.at.is_none_or(|at| at.elapsed() > HOLDS) {
            let (tell, told) = channel();
            let (repository, tools) = (repository.clone(), tools.clone());
            let work = move || drop(tell.send(list(&repository, &tools, read_only)));
            match thread::Builder::new().name("midwatch-repository".to_owned()).spawn(work) {
                Ok(_) => asked.under_way = Some(told),
                Err(error) => return Err(Silent::Failed(format!("no thread is to be had: {error}"))),
            }
        }
        if let Some(told) = &asked.under_way {
            match told.recv_timeout(patience) {
                Ok(list) => (asked.at, asked.list, asked.under_way) = (Some(Instant::now()), Some(list), None),
                Err(RecvTimeoutError::Disconnected) => asked.under_way = None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let program = repository.tool.program();
        let waiting = || Err(Silent::Unseen(format!("{program} has been asked and has not answered yet")));
        asked.list.clone().unwrap_or_else(waiting)
    }
}

/// Whether a repository is on another host, by its own notation.
pub(super) fn is_elsewhere(repository: &Repository) -> Option<bool> {
    let repo = repository.repo.as_str();
    match repository.tool {
        Tool::Restic => Some(!repo.starts_with('/') && repo.contains(':')),
        Tool::Borg => Some(repo.starts_with("ssh://") || (!repo.starts_with('/') && repo.contains(':'))),
        Tool::PgBackRest | Tool::Barman => None,
    }
}

/// What is in a repository.
fn list(repository: &Repository, tools: &Tools, read_only: bool) -> Result<Vec<Kept>, Silent> {
    let name = repository.tool.program();
    let Some(program) = tools.get(name) else {
        return Err(Silent::Unseen(format!("{name} is not installed here, so its repository can't be listed")));
    };
    // borg writes its cache and a security record, Barman its log, before they answer.
    if read_only && matches!(repository.tool, Tool::Borg | Tool::Barman) {
        return Err(Silent::Unseen(format!("{name} writes files of its own to answer, which --read-only forbids")));
    }
    let (args, env) = request(repository);
    let text = ask(program, &args, &env)?;
    parse(repository, &text).ok_or_else(|| Silent::Failed(format!("{name} answers in a form that is not known")))
}

type Request = (Vec<OsString>, Vec<(&'static str, OsString)>);

fn request(repository: &Repository) -> Request {
    let words = |words: &[&str]| -> Vec<OsString> { words.iter().map(OsString::from).collect() };
    let repo = OsString::from(&repository.repo);
    let name = repository.name.clone().unwrap_or_default();
    match repository.tool {
        Tool::Restic => {
            let mut args = words(&["--no-lock", "--no-cache", "--json", "-r"]);
            args.extend([repo, "snapshots".into()]);
            if let Some(file) = &repository.password_file {
                args.extend(["--password-file".into(), file.into()]);
            }
            (args, Vec::new())
        }
        Tool::Borg => {
            // Never past its lock: without an index of the last commit borg writes one, and two must not do so at once.
            // A repository this user has not met before is left alone.
            let mut args = words(&["--lock-wait", "1", "list", "--json"]);
            args.push(repo);
            let mut env: Vec<(&'static str, OsString)> = vec![
                ("BORG_RELOCATED_REPO_ACCESS_IS_OK", "no".into()),
                ("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "no".into()),
            ];
            // An environment is read by its own user and root alone, as the file is.
            let secret = repository.password_file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
            env.extend(secret.as_deref().and_then(|text| text.lines().next()).map(|s| ("BORG_PASSPHRASE", s.into())));
            (args, env)
        }
        Tool::PgBackRest => {
            let mut args = words(&["--output=json", "--log-level-file=off", "--log-level-console=off"]);
            if !name.is_empty() {
                args.push(format!("--stanza={name}").into());
            }
            args.push("info".into());
            (args, Vec::new())
        }
        Tool::Barman => {
            let server = if name.is_empty() { "all" } else { name.as_str() };
            (words(&["-q", "-f", "json", "list-backup", server]), Vec::new())
        }
    }
}

/// Runs a tool and takes its answer.
fn ask(program: &Path, args: &[OsString], env: &[(&'static str, OsString)]) -> Result<String, Silent> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").current_dir("/").process_group(0);
    command.envs(env.iter().map(|(key, value)| (key, value)));
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| Silent::Failed(format!("{name} can't be run: {error}")))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (mut out, mut errors) = (child.stdout.take(), child.stderr.take());
    let (tell, reading) = channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(out) = &mut out {
            out.take(MOST).read_to_end(&mut text).ok();
            tell.send(text).ok();
            std::io::copy(out, &mut std::io::sink()).ok();
        }
    });
    let (tell, listening) = channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(errors) = &mut errors {
            errors.take(4096).read_to_end(&mut text).ok();
            tell.send(String::from_utf8_lossy(&text).into_owned()).ok();
            std::io::copy(errors, &mut std::io::sink()).ok();
        }
    });
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
            Ok(None) | Err(_) => {
                if let Some(pid) = pid {
                    kill_process_group(pid, Signal::KILL).ok();
                }
                child.wait().ok();
                break None;
            }
        }
    };
    // A child of its own (ssh that stays connected) may keep the pipes open for long.
    let text = reading.recv_timeout(LAST_WORDS).unwrap_or_default();
    let said = listening.recv_timeout(LAST_WORDS).unwrap_or_default();
    match status {
        None => Err(Silent::Failed(format!("{name} gave no answer within {} s", PATIENCE.as_secs()))),
        Some(status) if status.success() => Ok(String::from_utf8_lossy(&text).into_owned()),
        Some(_) => {
            let line = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it says nothing");
            let line = plain(&crate::domain::redact::redact(line), 160);
            let denied = ["permission denied", "password", "passphrase", "Permission denied", "previously unknown"];
            if denied.iter().any(|word| said.contains(word)) {
                let hint = "set password_file for this repository in midwatch.toml, or run midwatch as the user who makes the backups";
                return Err(Silent::Unseen(format!("{name}: {line}; {hint}")));
            }
            // Whoever holds its lock writes into it.
            if said.contains("the lock") {
                return Err(Silent::Unseen(format!("{name} is at work there: {line}")));
            }
            Err(Silent::Failed(format!("{name}: {line}")))
        }
    }
}
