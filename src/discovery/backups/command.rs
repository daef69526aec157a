//! What a command line, or the script it runs, says about backups: which tool, where to, for how long, which database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::Surroundings;
use crate::config::backups::{Repository, Tool};
use crate::domain::backup::kind::Subject;

/// A script longer than this is a program.
const LONGEST_SCRIPT: u64 = 64 * 1024;
/// Words that mean a backup by themselves.
const TOOLS: [&str; 12] = [
    "pg_dump",
    "pg_dumpall",
    "mysqldump",
    "mariadb-dump",
    "restic",
    "borg",
    "borgmatic",
    "pgbackrest",
    "barman",
    "autopostgresqlbackup",
    "automysqlbackup",
    "mariabackup",
];
/// Those that dump a database.
const DUMPS: [&str; 9] = [
    "pg_dump",
    "pg_dumpall",
    "mysqldump",
    "mariadb-dump",
    "pgbackrest",
    "barman",
    "autopostgresqlbackup",
    "automysqlbackup",
    "mariabackup",
];
/// Words that mean one only where backups are spoken of besides.
const COPIERS: [&str; 5] = ["tar", "rsync", "sqlite3", "cp", "scp"];
/// Directories that nobody saves to.
const NEVER: [&str; 14] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/etc",
    "/dev",
    "/proc",
    "/sys",
    "/run",
    "/var/log",
    "/var/run",
    "/var/lib/dpkg",
    "/boot",
    "/tmp",
];

/// What was understood.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Understood {
    /// Directories that are written to.
    pub(super) targets: Vec<PathBuf>,
    /// Repositories.
    pub(super) repositories: Vec<Repository>,
    /// Days after which old ones are removed.
    pub(super) kept_days: Option<u32>,
    /// The file its words go to.
    pub(super) log: Option<PathBuf>,
    /// What is saved: a dump of a database, or files.
    pub(super) subject: Option<Subject>,
    /// Databases that are dumped by name.
    pub(super) databases: Vec<String>,
}

/// What a command, with the script it runs, says about backups; `None`: nothing.
pub(super) fn understand(around: &Surroundings, command: &str) -> Option<Understood> {
    let script = script(around, command);
    let text = match &script {
        Some(script) => [command, "\n", script.as_str()].concat(),
        None => command.to_owned(),
    };
    makes_backups(&text).then(|| read(around, &text))
}

/// What the tools that are named save; one that dumps and copies does both.
fn subject(text: &str) -> Subject {
    let named = |tools: &[&str]| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines.flat_map(words).any(|word| tools.contains(&word.rsplit('/').next().unwrap_or(word)))
    };
    let dumps = named(&DUMPS) || text.contains(".backup");
    match (dumps, named(&["tar", "rsync", "restic", "borg", "borgmatic"])) {
        (true, true) => Subject::Both,
        (true, false) => Subject::Database,
        (false, _) => Subject::Files,
    }
}

/// Whether the text names a tool that makes backups.
fn makes_backups(text: &str) -> bool {
    let mut copies = false;
    let lower = text.to_ascii_lowercase();
    for word in lower.lines().filter(|l| !l.trim_start().starts_with('#')).flat_map(words) {
        let program = word.rsplit('/').next().unwrap_or(word);
        if TOOLS.contains(&program) {
            return true;
        }
        copies |= COPIERS.contains(&program);
    }
    copies && ["backup", ".dump", "dumps/"].iter().any(|word| lower.contains(word))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '(' | ')' | '`' | '\'' | '"' | '{' | '}'))
        .filter(|word| !word.is_empty())
}

/// The text of the script that a command runs.
fn script(around: &Surroundings, command: &str) -> Option<String> {
    for word in words(command) {
        if !word.starts_with('/') || word.starts_with("/dev") {
            continue;
        }
        let path = around.at(Path::new(word));
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        if meta.is_file() && meta.len() <= LONGEST_SCRIPT {
            let text = std::fs::read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some(text) = text.filter(|text| text.starts_with("#!") || word.strip_suffix(".sh").is_some()) {
                return Some(text);
            }
        }
    }
    None
}

fn read(around: &Surroundings, text: &str) -> Understood {
    let mut out = Understood { subject: Some(subject(text)), ..Understood::default() };
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let tokens = tokens(line);
        for token in &tokens {
            if let Some((name, value)) = token.strip_prefix("--").unwrap_or(token).split_once('=')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            {
                let value = expanded(value, &variables);
                variables.insert(name.to_owned(), value);
            }
        }
        let tokens: Vec<String> = tokens.iter().map(|token| expanded(token, &variables)).collect();
        for (at, token) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map_or("", String::as_str);
            let value = token.split_once('=').map_or(token.as_str(), |(_, value)| value);
            // sqlite3's own command, within quotes of its own.
            let saved = [".backup ", ".dump ", ".output "].iter().find_map(|word| token.strip_prefix(word));
            let (before, value) = saved.map_or((before, value), |path| ("-o", path.trim().trim_matches(['\'', '"'])));
            if before == ">>" || (before == ">" && value.strip_suffix(".log").is_some()) {
                out.log = out.log.take().or_else(|| Some(PathBuf::from(value)).filter(|p| p.is_absolute()));
                continue;
            }
            if let Some(dir) = target(around, before, value)
                && !out.targets.contains(&dir)
            {
                out.targets.push(dir);
            }
            if before == "-mtime" || before == "-ctime" {
                let days = value.strip_prefix('+').and_then(|n| n.parse::<u32>().ok());
                out.kept_days = out.kept_days.or(days.map(|n| n + 1));
            }
        }
        out.databases.extend(databases(&tokens));
        repositories(&tokens, &variables, &mut out.repositories);
    }
    // A directory that is also reached through a deeper one is the place.
    let all = out.targets.clone();
    out.targets.retain(|dir| !all.iter().any(|other| other != dir && dir.starts_with(other)));
    out
}

/// The words of a line, quotes taken off, redirections (`>`, `>>`) apart.
fn tokens(line: &str) -> Vec<String> {
    let (mut out, mut word, mut quote, mut depth) = (Vec::new(), String::new(), None::<char>, 0_u32);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            // `$(date +%F)` is one piece of a word.
            (_, '$') if chars.peek() == Some(&'(') => {
                chars.next();
                depth += 1;
                word.push_str("$(");
            }
            (_, '(') if depth > 0 => {
                depth += 1;
                word.push(c);
            }
            (_, ')') if depth > 0 => {
                depth -= 1;
                word.push(c);
            }
            _ if depth > 0 => word.push(c),
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '>') => {
                // The number before it is a descriptor.
                let descriptor = std::mem::take(&mut word);
                out.extend(Some(descriptor).filter(|d| !d.is_empty() && !d.bytes().all(|b| b.is_ascii_digit())));
                let twice = chars.next_if_eq(&'>').is_some();
                out.push(if twice { ">>" } else { ">" }.to_owned());
            }
            (None, c) if c.is_whitespace() || matches!(c, ';' | '|' | '&') => {
                out.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty()));
            }
            (_, c) => word.push(c),
        }
    }
    out.extend(Some(word).filter(|w| !w.is_empty()));
    out
}

/// `$NAME` and `${NAME}` replaced where the value is known.
fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = text.to_owned();
    // The longest names first, so that `$DIR` does not cut `$DIRECTORY`.
    let mut names: Vec<&String> = variables.keys().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names {
        if let Some(value) = variables.get(name) {
            out = out.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
        }
        if out.len() > 4096 {
            break;
        }
    }
    out
}

/// The directory that a word means to write to, if it means one.
fn target(around: &Surroundings, before: &str, word: &str) -> Option<PathBuf> {
    if !word.starts_with('/') {
        return None;
    }
    let output = matches!(
        before,
        ">" | "-f"
            | "-o"
            | "--file"
            | "--result-file"
            | "-cf"
            | "-czf"
            | "-cJf"
            | "czf"
            | "cf"
            | "-acf"
            | "-cjf"
            | "cjf"
            | "cJf"
            | "-zcf"
            | "-r"
    );
    let lower = word.to_ascii_lowercase();
    let named = ["backup", "dump", "archive", "snapshot"].iter().any(|name| lower.contains(name));
    if !output && !named {
        return None;
    }
    // What comes after `$(date …)`, `%F`, `*` or `?` is not known.
    let known = word.split(['$', '%', '*', '?', '`', '{']).next().unwrap_or(word);
    let path = Path::new(known);
    let is_dir = |path: &Path| std::fs::metadata(around.at(path)).is_ok_and(|meta| meta.is_dir());
    let cut = known.len() < word.len();
    let dir = if (known.ends_with('/') || (!cut && is_dir(path))) && !super::command::is_dump(around, path) {
        path
    } else {
        path.parent()?
    };
    let dir: PathBuf = dir.components().collect();
    let never = dir.parent().is_none() || NEVER.iter().any(|no| dir.starts_with(no));
    (!never).then_some(dir)
}

/// Whether a directory is itself a dump (`pg_dump -Fd`).
fn is_dump(around: &Surroundings, dir: &Path) -> bool {
    around.at(dir).join("toc.dat").symlink_metadata().is_ok()
}

/// The databases that a line dumps by name: the last word of a dumping program, or `-d`.
fn databases(tokens: &[String]) -> Vec<String> {
    let program = |t: &String| matches!(t.rsplit('/').next(), Some("pg_dump" | "mysqldump" | "mariadb-dump"));
    let Some(at) = tokens.iter().position(program) else { return Vec::new() };
    let rest = tokens.get(at + 1..).unwrap_or_default();
    let (mut out, mut skip) = (Vec::new(), false);
    for (n, token) in rest.iter().enumerate() {
        let before = n.checked_sub(1).and_then(|n| rest.get(n)).map_or("", String::as_str);
        if token == ">"
            || token == ">>"
            || token.rsplit('/').next().is_some_and(|t| t == "gzip" || t == "zstd" || t == "xz")
        {
            break;
        }
        if skip {
            skip = false;
            if !matches!(before, "-d" | "--dbname") {
                continue;
            }
        } else if token.starts_with('-') {
            if let Some(name) = token.strip_prefix("--dbname=") {
                out.push(name.to_owned());
            }
            // Options with their value in the next word.
            skip = matches!(
                token.as_str(),
                "-h" | "-p"
                    | "-U"
                    | "-u"
                    | "-f"
                    | "-F"
                    | "-d"
                    | "-n"
                    | "-t"
                    | "-T"
                    | "-N"
                    | "-Z"
                    | "-j"
                    | "-E"
                    | "-S"
                    | "--host"
                    | "--port"
                    | "--username"
                    | "--user"
                    | "--file"
                    | "--format"
                    | "--dbname"
            );
            continue;
        }
        if !token.contains('$') && !token.starts_with('/') && !token.contains('=') {
            out.push(token.clone());
        }
    }
    out.truncate(1);
    out
}

fn repositories(tokens: &[String], variables: &BTreeMap<String, String>, out: &mut Vec<Repository>) {
    let named = |t: &String| t.rsplit('/').next().map(str::to_owned);
    let after = |option: &[&str]| {
        let at = tokens.iter().position(|t| option.contains(&t.as_str()))?;
        tokens.get(at + 1).cloned()
    };
    let assigned = |prefix: &str| tokens.iter().find_map(|t| t.strip_prefix(prefix)).map(str::to_owned);
    let variable = |name: &str| variables.get(name).cloned();
    for token in tokens {
        let found = match named(token).as_deref() {
            Some("restic") => {
                let repo =
                    after(&["-r", "--repo"]).or_else(|| assigned("--repo=")).or_else(|| variable("RESTIC_REPOSITORY"));
                let password = after(&["-p", "--password-file"])
                    .or_else(|| assigned("--password-file="))
                    .or_else(|| variable("RESTIC_PASSWORD_FILE"));
                repo.map(|repo| (Tool::Restic, repo, password, None))
            }
            Some("borg") => {
                let archive = tokens.iter().find(|t| t.contains("::")).and_then(|t| t.split("::").next());
                let repo = archive.filter(|repo| !repo.is_empty()).map(str::to_owned).or_else(|| variable("BORG_REPO"));
                repo.map(|repo| (Tool::Borg, repo, None, None))
            }
            Some("pgbackrest") => {
                let stanza = assigned("--stanza=").or_else(|| after(&["--stanza"]));
                tokens.iter().any(|t| t == "backup").then(|| (Tool::PgBackRest, String::new(), None, stanza))
            }
            Some("barman") => after(&["backup"]).map(|server| (Tool::Barman, String::new(), None, Some(server))),
            Some(_) | None => None,
        };
        if let Some((tool, repo, password, name)) = found {
            let password_file = password.map(PathBuf::from);
            let repository = Repository { tool, repo, password_file, name };
            if !repository.repo.contains('$') && !out.contains(&repository) {
                out.push(repository);
            }
        }
    }
}
