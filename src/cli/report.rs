//! `midwatch report`: the incident record under the usual headings of a post-mortem, or as a hand-over. It reads the record
//! and asks nobody else anything.

pub mod handover;
pub mod json;
pub mod markdown;

use std::path::PathBuf;

use color_eyre::eyre::{WrapErr, eyre};
use jiff::tz::TimeZone;

use super::args::{ReportArgs, ReportForm};
use super::run::{USAGE, say, say_error};
use crate::backends::store::record::{self, RecordFile};
use crate::config::paths::SHARED_STATE;
use crate::config::{Config, StateDir};
use crate::domain::id::Scope;
use crate::domain::record::Entry;
use crate::domain::record::incident::{Incident, QUIET_MS, incidents};
use crate::domain::record::ledger::Standing;
use crate::domain::record::report::{Wanted, hand_over, report};
use crate::domain::record::said::span_ms;
use crate::domain::time::Timestamp;
use crate::runtime::clock;

/// Without an incident and without `--since` it tells of the last day, in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// There is nothing to tell of.
const NOTHING: u8 = 1;

/// What was read from disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where.
    pub path: PathBuf,
    /// Everything, ascending by time.
    pub entries: Vec<Entry>,
    /// What stands.
    pub standing: Vec<(Scope, Standing)>,
}

/// What a report is written with.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The moment.
    pub now: Timestamp,
    /// The reader's own time zone.
    pub zone: TimeZone,
    /// The machine.
    pub host: String,
    /// Where the record is.
    pub path: PathBuf,
}

/// Prints a report; the exit code is 0, 1 when there is nothing to tell of, 64 for an incident there is none of.
///
/// # Errors
/// When the record can't be read or the report not be written.
pub async fn run(config: &Config, args: &ReportArgs) -> color_eyre::Result<u8> {
    let Some(record) = open(config).await? else {
        let place = match &config.state {
            StateDir::Directory(dir) => record::path(dir).display().to_string(),
            StateDir::Memory(why) => why.clone(),
        };
        say_error(&format!("midwatch: nothing has been recorded yet ({place})"));
        return Ok(NOTHING);
    };
    let now = clock::now();
    let setting = Setting { now, zone: TimeZone::system(), host: config.host.0.clone(), path: record.path.clone() };
    let (text, code) = write(&record, args, &setting)?;
    match code {
        0 => say(text.as_bytes()),
        code => {
            say_error(&text);
            Ok(code)
        }
    }
}

/// Writes what was asked for; what to say with an exit code that is not 0 goes to standard error.
///
/// # Errors
/// When JSON can't be written.
pub fn write(record: &Record, args: &ReportArgs, setting: &Setting) -> color_eyre::Result<(String, u8)> {
    let Setting { now, .. } = *setting;
    let all = incidents(&record.entries, now);
    if args.list {
        return Ok((list(&all, args.output, setting)?, 0));
    }
    if args.handover {
        let over = hand_over(&record.entries, &record.standing, now, args.site.as_deref());
        let text = match args.output {
            ReportForm::Markdown => handover::render(&over, setting),
            ReportForm::Json => json::hand_over(&over, setting)?,
        };
        return Ok((text, 0));
    }
    let wanted = match wanted(&all, args, now) {
        Ok(wanted) => wanted,
        Err(complaint) => return Ok((complaint, USAGE)),
    };
    let report = report(&record.entries, now, wanted);
    let text = match args.output {
        ReportForm::Markdown => markdown::render(&report, setting),
        ReportForm::Json => json::report(&report, setting)?,
    };
    Ok((text, 0))
}

/// The whole record of this host, as far as it may be read.
async fn open(config: &Config) -> color_eyre::Result<Option<Record>> {
    let own = if let StateDir::Directory(dir) = &config.state { Some(dir.clone()) } else { None };
    // Who may not write the shared directory may still be allowed to read what is in it.
    for dir in own.into_iter().chain([PathBuf::from(SHARED_STATE)]) {
        let opened = RecordFile::read(&dir).await;
        let Some(mut file) = opened.wrap_err("the record can't be read")? else { continue };
        let mut entries = file.entries(0, u32::MAX).await.wrap_err("the record can't be read")?;
        entries.sort_by_key(|entry| (entry.at, entry.id));
        let standing = file.standings().await.wrap_err("the record can't be read")?;
        file.close().await;
        return Ok(Some(Record { path: record::path(&dir), entries, standing }));
    }
    Ok(None)
}

/// Which part of the record is asked for: an incident, a time, or by default the last incident.
fn wanted<'a>(all: &'a [Incident], args: &'a ReportArgs, now: Timestamp) -> Result<Wanted<'a>, String> {
    let site = args.site.as_deref();
    let whole = |incident: &'a Incident| {
        // What people say in the quiet time after it belongs to it.
        let quiet = i64::try_from(QUIET_MS).unwrap_or(0);
        Wanted {
            from: incident.from,
            to: incident.until(now).plus_millis(quiet).min(now),
            site,
            incident: Some(incident),
        }
    };
    if let Some(id) = &args.incident {
        let found: Vec<&Incident> = all.iter().filter(|i| i.id.starts_with(id.as_str())).collect();
        return match found.as_slice() {
            [incident] => Ok(whole(incident)),
            [] => {
                let last: Vec<&str> = all.iter().rev().take(5).map(|i| i.id.as_str()).collect();
                let known = if last.is_empty() {
                    "there is none".to_owned()
                } else {
                    format!("the last are {}", last.join(", "))
                };
                Err(format!("midwatch: no incident `{id}`; {known}"))
            }
            several => {
                let names: Vec<&str> = several.iter().map(|i| i.id.as_str()).collect();
                Err(format!("midwatch: `{id}` is several incidents: {}", names.join(", ")))
            }
        };
    }
    if let Some(since) = &args.since {
        let from = moment(since, now)
            .ok_or_else(|| format!("midwatch: `{since}` is no time: write 30m, 3h, 2d, or 2026-11-21T02:50:00Z"))?;
        return Ok(Wanted { from, to: now, site, incident: None });
    }
    Ok(match all.last() {
        Some(incident) => whole(incident),
        None => Wanted { from: now.plus_millis(-DAY_MS), to: now, site, incident: None },
    })
}

/// `3h`, or an RFC 3339 time.
fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(span) = span_ms(text) {
        return Some(now.plus_millis(-span));
    }
    text.parse::<jiff::Timestamp>().ok().map(|t| Timestamp::from_millis(t.as_millisecond()))
}

/// Every incident there is, the last first.
fn list(all: &[Incident], form: ReportForm, setting: &Setting) -> color_eyre::Result<String> {
    match form {
        ReportForm::Json => json::list(all, setting),
        ReportForm::Markdown => {
            if all.is_empty() {
                return Ok("No incident is on record.\n".to_owned());
            }
            let lines = all.iter().rev().map(|i| ["- ", &markdown::headline(i, setting), "\n"].concat());
            Ok(lines.collect())
        }
    }
}

/// A time in one of the two zones.
pub(super) fn written(at: Timestamp, zone: &TimeZone, pattern: &str) -> color_eyre::Result<String> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).map_err(|error| eyre!("{error}"))?;
    Ok(at.to_zoned(zone.clone()).strftime(pattern).to_string())
}
