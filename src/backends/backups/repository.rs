//! Asks tools that keep repositories of their own, in their own JSON, without a lock and without a cache of theirs.

mod parse;

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
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
const PATIENCE: Duration = Duration::from_mins(1);
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
pub(super) fn list(repository: &Repository, tools: &Tools, read_only: bool) -> Result<Vec<Kept>, Silent> {
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
            let mut args = words(&["--bypass-lock", "list", "--json"]);
            args.push(repo);
            let mut env: Vec<(&'static str, OsString)> = vec![
                ("BORG_RELOCATED_REPO_ACCESS_IS_OK", "no".into()),
                ("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes".into()),
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
    let reading = thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(out) = &mut out {
            out.take(MOST).read_to_end(&mut text).ok();
            std::io::copy(out, &mut std::io::sink()).ok();
        }
        text
    });
    let listening = thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(errors) = &mut errors {
            errors.take(4096).read_to_end(&mut text).ok();
            std::io::copy(errors, &mut std::io::sink()).ok();
        }
        String::from_utf8_lossy(&text).into_owned()
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
    let (text, said) = (reading.join().unwrap_or_default(), listening.join().unwrap_or_default());
    match status {
        None => Err(Silent::Failed(format!("{name} gave no answer within {} s", PATIENCE.as_secs()))),
        Some(status) if status.success() => Ok(String::from_utf8_lossy(&text).into_owned()),
        Some(_) => {
            let line = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it says nothing");
            let line = plain(&crate::domain::redact::redact(line), 160);
            let denied = ["permission denied", "password", "passphrase", "Permission denied"];
            if denied.iter().any(|word| said.contains(word)) {
                let hint = "set password_file for this repository in midwatch.toml, or run midwatch as the user who makes the backups";
                return Err(Silent::Unseen(format!("{name}: {line}; {hint}")));
            }
            Err(Silent::Failed(format!("{name}: {line}")))
        }
    }
}
