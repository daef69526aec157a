//! What Docker Compose says of a project: its settings as it reads them. It changes nothing here.
//!
//! Invariant: settings hold secrets. They stay in memory, and nothing of them gets into a message but names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::images::Placed;
use super::services::command::{Ended, run};
use super::store::who;
use crate::runbook::plan::Command;

/// How long Compose may take to read a project; the one of Debian 12 takes a second.
const LIMIT: Duration = Duration::from_secs(30);
/// Where programs are, as for a run's own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// From this one on, an engine tells Compose 1 too little to make a container anew.
const TOO_NEW: u64 = 25;

/// A project, and the Compose that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The engine's socket.
    pub socket: PathBuf,
    /// Its name.
    pub name: String,
    /// Its files.
    pub files: Vec<PathBuf>,
    /// The file with its variables, where it is there.
    pub env_file: Option<PathBuf>,
    dir: PathBuf,
    /// Whether the variables' file was named, and is not where Compose looks by itself.
    named: bool,
    /// Whether it is Compose 1, a program of its own.
    old: bool,
    /// What the programs find in their environment.
    env: BTreeMap<String, String>,
}

/// How the settings would be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read<'a> {
    /// As the files are.
    AsItIs,
    /// With this text instead of that file.
    Instead(&'a Path, &'a str),
    /// With this variable.
    With(&'a str, &'a str),
}

impl Project {
    /// The project that this container is of.
    ///
    /// # Errors
    /// Why Compose can't be asked for it, in a sentence.
    pub async fn of(socket: &Path, container: &Placed) -> Result<Self, String> {
        let Placed { project, dir, files, .. } = container;
        if files.is_empty() || !dir.is_absolute() {
            return Err(format!("{} does not say which files it was made from", container.name));
        }
        if let Some(gone) = files.iter().chain(&container.env_files).find(|file| !file.is_file()) {
            return Err(format!("{} was made from {}, which is not there", container.name, gone.display()));
        }
        let env_file = match container.env_files.as_slice() {
            [] => Some(dir.join(".env")).filter(|file| file.is_file()),
            [one] => Some(one.clone()),
            [_, _, ..] => {
                return Err(format!("{project} has several files with variables: which counts can't be told"));
            }
        };
        // Where Docker's programs look for Compose and for the registries' logins.
        let config = std::env::var("DOCKER_CONFIG").ok().filter(|dir| dir.starts_with('/'));
        let env = config.map(|dir| ("DOCKER_CONFIG".to_owned(), dir)).into_iter().collect();
        let old = container.version.starts_with("1.");
        let made = Self {
            socket: socket.to_owned(),
            name: project.clone(),
            files: files.clone(),
            named: !container.env_files.is_empty(),
            env_file,
            dir: dir.clone(),
            old,
            env,
        };
        if old {
            made.old_one_can().await?;
        }
        Ok(made)
    }

    async fn old_one_can(&self) -> Result<(), String> {
        let engine = asked(&self.docker_command(&["version", "--format", "{{.Server.Version}}"])).await?;
        let major = engine.trim().split('.').next().and_then(|major| major.parse::<u64>().ok());
        match major {
            Some(major) if major < TOO_NEW => Ok(()),
            Some(_) | None => Err(format!(
                "{} was made with Compose 1, which can't make containers anew on an engine like this one ({}): install \
                 Compose 2 and run `docker compose up -d` once",
                self.name,
                engine.trim()
            )),
        }
    }

    /// What keeps Compose from fetching what it shall make containers of: Compose 2 may be told to by the project's files.
    pub fn without_fetching(&self) -> &'static [&'static str] {
        if self.old { &[] } else { &["--pull", "never"] }
    }

    /// Docker's own program.
    fn docker(&self) -> Vec<String> {
        vec!["docker".to_owned(), "--host".to_owned(), format!("unix://{}", self.socket.display())]
    }

    /// Compose, for this project, with these files.
    fn compose(&self, files: &[PathBuf]) -> Vec<String> {
        let mut words = self.docker();
        if self.old {
            if let Some(program) = words.first_mut() {
                "docker-compose".clone_into(program);
            }
        } else {
            words.push("compose".to_owned());
        }
        words.extend(["--project-name".to_owned(), self.name.clone()]);
        words.extend(["--project-directory".to_owned(), self.dir.display().to_string()]);
        let env_file = self.env_file.iter().filter(|_| self.named);
        words.extend(env_file.flat_map(|file| ["--env-file".to_owned(), file.display().to_string()]));
        words.extend(files.iter().flat_map(|file| ["--file".to_owned(), file.display().to_string()]));
        words
    }

    /// Docker's program with these words, for a run.
    pub fn docker_command(&self, words: &[&str]) -> Command {
        self.command(self.docker(), words)
    }

    /// Compose with these words, for a run.
    pub fn compose_command(&self, words: &[&str]) -> Command {
        self.command(self.compose(&self.files), words)
    }

    fn command(&self, mut argv: Vec<String>, words: &[&str]) -> Command {
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        Command { argv, env: self.env.clone(), ..Command::default() }
    }

    /// What prints the sum of each service's settings, as Compose notes it on the containers it makes, for [`sums`].
    pub fn sums_commands(&self) -> (Command, Option<Command>) {
        let list = self.compose_command(self.list());
        (list, self.again())
    }

    /// What that prints.
    ///
    /// # Errors
    /// What Compose complains of.
    pub async fn sums(&self, read: Read<'_>) -> Result<String, String> {
        let (list, _file) = self.config(read, self.list())?;
        sums(&list, self.again().as_ref()).await
    }

    /// All settings of the project as Compose reads them. They hold secrets.
    ///
    /// # Errors
    /// What Compose complains of.
    pub async fn settings(&self, read: Read<'_>) -> Result<String, String> {
        let (list, _file) = self.config(read, &["config"])?;
        asked(&list).await
    }

    /// Compose 2 knows what is in the services' own files of variables only when it has put it into the settings, which it
    /// then has to read once more (seen with 2.26.1); Compose 1 counts it in.
    fn list(&self) -> &'static [&'static str] {
        if self.old { &["config", "--hash", "*"] } else { &["config"] }
    }

    fn again(&self) -> Option<Command> {
        (!self.old).then(|| self.command(self.compose(&[]), &[]))
    }

    /// A question to Compose; the file it reads is there as long as what comes with it.
    fn config(&self, read: Read<'_>, words: &[&str]) -> Result<(Command, Option<File>), String> {
        let text = match read {
            Read::Instead(_, text) => Some(in_memory(text)?),
            Read::AsItIs | Read::With(..) => None,
        };
        let instead = |file: &PathBuf| match (&read, &text) {
            (Read::Instead(path, _), Some((_, new))) if std::fs::canonicalize(file).is_ok_and(|real| real == *path) => {
                new.clone()
            }
            (Read::AsItIs | Read::With(..) | Read::Instead(..), _) => file.clone(),
        };
        let files: Vec<PathBuf> = self.files.iter().map(instead).collect();
        let mut command = self.command(self.compose(&files), words);
        if let Read::With(name, value) = read {
            command.env.insert(name.to_owned(), value.to_owned());
        }
        Ok((command, text.map(|(file, _)| file)))
    }
}

/// What Compose prints of the sums of a project's services: what `list` prints, or what comes of reading that `again`.
///
/// # Errors
/// What Compose complains of.
pub async fn sums(list: &Command, again: Option<&Command>) -> Result<String, String> {
    let said = asked(list).await?;
    let Some(again) = again else { return Ok(said) };
    let (_file, name) = in_memory(&said)?;
    let mut last = again.clone();
    let name = name.display().to_string();
    last.argv.extend(["--file", &name, "config", "--hash", "*"].map(str::to_owned));
    asked(&last).await
}

/// Runs a program that only looks, with nothing of this user's environment: as a run does later.
async fn asked(command: &Command) -> Result<String, String> {
    let home = who::home(&who::user()).unwrap_or_else(|| "/".to_owned());
    let mut words = vec!["-i".to_owned(), format!("PATH={PATH}"), format!("HOME={home}"), "LC_ALL=C.UTF-8".to_owned()];
    words.extend(command.env.iter().map(|(name, value)| format!("{name}={value}")));
    words.extend(command.argv.iter().cloned());
    let old = command.argv.first().is_some_and(|program| program == "docker-compose");
    let name = if old { "docker-compose" } else { "docker compose" };
    match run("env", &words, &[], LIMIT).await {
        Ended::Well(said) => Ok(said),
        Ended::Badly(why) if why.contains("No such file or directory") || why.contains("unknown") => Err(format!(
            "`{name}` is not to be had here, with which the project was made: install it, or set DOCKER_CONFIG to where its \
             plugin is"
        )),
        // What it complains of may be a line with a secret in it.
        Ended::Badly(_) => Err(format!(
            "{name} can't read the project: `{name} config --quiet` there says why (it may show what is secret in its files)"
        )),
        Ended::Late => Err(format!("{name} has not answered within {} s", LIMIT.as_secs())),
        Ended::Absent => Err("there is no env here".to_owned()),
        Ended::Failed(why) => Err(format!("{name} can't be run: {why}")),
    }
}

/// A file that is in memory alone, and a name by which programs of this user find it as long as it is open: Compose may read it
/// more than once, and a text with secrets is not put on a disk.
fn in_memory(text: &str) -> Result<(File, PathBuf), String> {
    let made = || -> std::io::Result<File> {
        let mut file = File::from(rustix::fs::memfd_create("midwatch-compose", rustix::fs::MemfdFlags::CLOEXEC)?);
        file.write_all(text.as_bytes())?;
        Ok(file)
    };
    let file = made().map_err(|error| format!("no file in memory is to be had: {error}"))?;
    let name = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    Ok((file, PathBuf::from(name)))
}
