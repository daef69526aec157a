//! Reads the tables of cron, and the scripts it runs daily.

use std::fs;
use std::io;
use std::path::Path;

use super::super::Surroundings;
use super::command::understand;
use super::{Job, Jobs};
use crate::config::backups::BackupJob;
use crate::domain::redact::redact;
use crate::domain::text::plain;

/// More than any table has.
const LARGEST: u64 = 256 * 1024;

/// Reads all tables that can be read.
pub(super) fn read(around: &Surroundings, out: &mut Jobs) {
    let mut tables = vec![("/etc/crontab".to_owned(), Owner::Column)];
    for (dir, owner) in
        [("/etc/cron.d", Owner::Column), ("/var/spool/cron/crontabs", Owner::Name), ("/var/spool/cron", Owner::Name)]
    {
        match fs::read_dir(around.at(Path::new(dir))) {
            Ok(entries) => {
                let names = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_file()));
                let mut names: Vec<String> =
                    names.filter_map(|e| e.file_name().into_string().ok()).filter(|n| !n.starts_with('.')).collect();
                names.sort();
                tables.extend(names.into_iter().map(|name| (format!("{dir}/{name}"), owner)));
            }
            Err(error) => unseen(dir, &error, out),
        }
    }
    for (path, owner) in tables {
        match text(around, &path) {
            Ok(text) => table(around, &path, owner, &text, out),
            Err(error) => unseen(&path, &error, out),
        }
    }
    for (dir, schedule) in [
        ("/etc/cron.hourly", "hourly"),
        ("/etc/cron.daily", "daily"),
        ("/etc/cron.weekly", "weekly"),
        ("/etc/cron.monthly", "monthly"),
    ] {
        for entry in fs::read_dir(around.at(Path::new(dir))).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            // The distribution's own.
            if !["dpkg", "apt-compat", "logrotate", "man-db", ".placeholder", "bsdmainutils"].contains(&name.as_str()) {
                line(around, &format!("cron {dir}/{name}"), schedule, Some("root"), &format!("{dir}/{name}"), out);
            }
        }
    }
}

/// Where a table says who runs a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// In the sixth column.
    Column,
    /// In the table's own name.
    Name,
}

fn unseen(path: &str, error: &io::Error, out: &mut Jobs) {
    if error.kind() == io::ErrorKind::PermissionDenied {
        out.unseen
            .push(format!("the backup jobs in {path} can't be seen: only root and the group crontab may look there"));
    }
}

fn text(around: &Surroundings, path: &str) -> io::Result<String> {
    use io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(around.at(Path::new(path)))?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn table(around: &Surroundings, path: &str, owner: Owner, text: &str, out: &mut Jobs) {
    for written in text.lines().map(str::trim) {
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        let fields = if written.starts_with('@') { 1 } else { 5 };
        let Some((schedule, rest)) = split_fields(written, fields) else { continue };
        // An assignment: MAILTO=root.
        if schedule.contains('=') {
            continue;
        }
        let (user, command) = match owner {
            Owner::Column => match split_fields(rest, 1) {
                Some((user, command)) => (Some(user), command),
                None => continue,
            },
            Owner::Name => (path.rsplit('/').next(), rest),
        };
        // In a table `%` must be written `\%`.
        line(around, &format!("cron {path}"), schedule, user, &command.replace("\\%", "%"), out);
    }
}

/// The first `n` fields, and what comes after them.
fn split_fields(line: &str, n: usize) -> Option<(&str, &str)> {
    let mut end = 0;
    for _ in 0..n {
        let rest = line.get(end..)?;
        let start = end + rest.len() - rest.trim_start().len();
        let word = line.get(start..)?.find(char::is_whitespace)?;
        end = start + word;
    }
    Some((line.get(..end)?.trim(), line.get(end..)?.trim()))
}

fn line(around: &Surroundings, name: &str, schedule: &str, user: Option<&str>, command: &str, out: &mut Jobs) {
    let Some(understood) = understand(around, command) else { return };
    out.found.push(Job {
        told: BackupJob {
            name: plain(name, 120),
            schedule: plain(schedule, 60),
            command: plain(&redact(command), 300),
            user: user.map(|user| plain(user, 40)),
            log: understood.log,
            targets: understood.targets,
            subject: understood.subject,
            databases: understood.databases,
            ..BackupJob::default()
        },
        repositories: understood.repositories,
        kept_days: understood.kept_days,
    });
}
