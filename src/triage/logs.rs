//! What the logs say (FIELD INC-06, INC-07, INC-12 to INC-14, INC-33, INC-40), and what is new or too much in them.
//!
//! A single error is no finding: messages count only when they are well known, or come again and again, or were asked
//! for by the operator.

mod rules;

use std::sync::Arc;

pub use self::rules::RULES;

use super::{Claim, SiteFacts, Thresholds};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::log::{Group, Line, LogReading, Sign, SignKind, Tally};
use crate::domain::text;
use crate::domain::time::Timestamp;

/// Rows of a traceback that are shown with a finding, from its end.
const ROWS: usize = 12;
/// Most findings of repeated errors at once; the rest is on the screen Logs.
const REPEATS: usize = 3;

/// What is claimed.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let (Some(logs), Some(at)) = (facts.logs.fresh(), facts.logs.at()) else { return Vec::new() };
    let look = Look { logs, at, now: facts.now, window_ms: limits.log_window_s.saturating_mul(1000) };
    let mut out = Vec::new();
    out.extend(look.timeouts(facts, limits));
    out.extend(look.upstream(limits));
    out.extend(look.known(
        SignKind::LocksTimedOut,
        limits.locks_timed_out_count,
        ("locks-time-out", Level::Warning),
        "Buyers wait for each other's locks in vain",
    ));
    out.extend(look.schema(limits));
    out.extend(look.known(
        SignKind::UnregisteredTask,
        1,
        ("worker-older", Level::Warning),
        "A worker refuses tasks it does not know: its code is older than that of the web process",
    ));
    out.extend(look.known(
        SignKind::StaticMissing,
        limits.static_errors_count,
        ("static-missing", Level::Critical),
        "Built files are missing, and pages fail for it",
    ));
    let unread = look.known(
        SignKind::ManifestUnread,
        limits.static_errors_count,
        ("static-missing", Level::Note),
        "The list of built files can't be read: pages may come without styles and scripts",
    );
    out.extend(unread.filter(|_| !out.iter().any(|c: &Claim| c.rule == "static-missing")));
    out.extend(look.names(limits));
    let corrupt = look.known(
        SignKind::SessionCorrupt,
        limits.corrupt_sessions_count,
        ("sessions-corrupt", Level::Warning),
        "the secret that signs sessions has changed, and everybody is logged out",
    );
    out.extend(corrupt.map(Claim::suspected));
    look.repeated(limits, &mut out);
    look.floods(limits, &mut out);
    look.triggers(&mut out);
    out
}

struct Look<'a> {
    logs: &'a LogReading,
    at: Timestamp,
    now: Timestamp,
    window_ms: u64,
}

impl<'a> Look<'a> {
    /// A well-known message that came at least so often lately.
    fn sign(&self, kind: SignKind, least: u64) -> Option<(&'a Sign, u64)> {
        let sign = self.logs.sign(kind)?;
        let n = sign.tally.within(self.window_ms, self.now);
        (n >= least.max(1)).then_some((sign, n))
    }

    fn known(&self, kind: SignKind, least: u64, (rule, level): (&'static str, Level), title: &str) -> Option<Claim> {
        let (sign, n) = self.sign(kind, least)?;
        Some(self.claim(rule, level, title, sign, n))
    }

    fn claim(&self, rule: &'static str, level: Level, title: impl Into<String>, sign: &Sign, n: u64) -> Claim {
        Claim::new(rule, level, title, self.often(&sign.tally, n, &sign.example), SourceKind::Logs, self.at)
            .since(sign.tally.streak, sign.seen)
            .with(self.details(&sign.example))
    }

    /// `7 times in 5m00s, the last 12 s ago (pretix.log)`.
    fn often(&self, tally: &Tally, n: u64, example: &Line) -> String {
        let last = text::span(self.now.millis_since(tally.last));
        let window = text::span(self.window_ms);
        // Only so many times are remembered one by one.
        let least =
            if usize::try_from(n).is_ok_and(|n| n >= crate::domain::log::tally::TIMES_MAX) { "≥ " } else { "" };
        let times = if n == 1 { "once".to_owned() } else { format!("{least}{n} times") };
        format!("{times} in {window}, the last {last} ago ({})", self.logs.source(example))
    }

    fn details(&self, line: &Line) -> Vec<String> {
        let mut out = vec![format!("{}: {} {}", self.logs.source(line), line.level.word(), line.text)];
        let rows: Vec<&str> = line.more.lines().collect();
        out.extend(rows.iter().skip(rows.len().saturating_sub(ROWS)).map(|row| (*row).to_owned()));
        out
    }

    fn timeouts(&self, facts: &SiteFacts<'_>, limits: &Thresholds) -> Option<Claim> {
        let (sign, n) = self.sign(SignKind::WorkerTimeout, limits.worker_timeouts_count)?;
        let title = format!("The web server killed {} that had not answered for its limit", text::count(n, "worker"));
        let mut claim = self.claim("worker-timeouts", Level::Warning, title, sign, n);
        let waiting = facts.database.fresh().and_then(|db| db.waiting).filter(|n| *n > 0);
        let why = match (self.sign(SignKind::OomKill, 1), waiting) {
            (Some((oom, _)), _) => {
                format!(
                    "; the kernel did kill a process for memory {} ago",
                    text::span(self.now.millis_since(oom.tally.last))
                )
            }
            (None, Some(n)) => format!(
                "; {} in the database for a lock",
                if n == 1 { "1 session waits".to_owned() } else { format!("{n} sessions wait") }
            ),
            (None, None) => "; its \"out of memory?\" is a guess".to_owned(),
        };
        claim.evidence.push_str(&why);
        Some(claim)
    }

    fn upstream(&self, limits: &Thresholds) -> Option<Claim> {
        let (sign, n) = self.sign(SignKind::UpstreamFails, limits.upstream_errors_count)?;
        let none = ["no live upstreams", "has no server available"].iter().any(|s| sign.example.text.contains(s));
        let (level, title) = if none {
            (Level::Critical, "The proxy has no application left to ask".to_owned())
        } else {
            (Level::Warning, "The proxy gets no answer from the application".to_owned())
        };
        Some(self.claim("proxy-upstream-errors", level, title, sign, n))
    }

    fn schema(&self, limits: &Thresholds) -> Option<Claim> {
        let (sign, n) = self.sign(SignKind::SchemaBehind, limits.schema_errors_count)?;
        let line = &sign.example;
        let said = line.exception().unwrap_or(&line.text);
        let what = said.split(": ").last().unwrap_or(said).split(" at character").next().unwrap_or(said);
        // The application says so itself, or only the database, which also answers people's typos.
        let own = line.exception().is_some()
            || line.text.contains("ProgrammingError")
            || line.text.contains("OperationalError");
        let level = if own { Level::Critical } else { Level::Warning };
        let title = format!("the schema is older than the code: {}", text::plain(what, 100));
        Some(self.claim("schema-behind-code", level, title, sign, n).suspected())
    }

    fn names(&self, limits: &Thresholds) -> Option<Claim> {
        let (sign, n) = self.sign(SignKind::NameUnresolved, limits.unresolved_names_count)?;
        let line = &sign.example;
        let said = [&line.text, line.exception().unwrap_or_default()].join(" ");
        let name = unresolved(&said);
        let title = match name {
            Some(name) => format!("The name {} does not resolve", text::plain(name, 80)),
            None => "Names do not resolve".to_owned(),
        };
        // Database and Redis are what the site stands on; what tasks fetch from outside is not.
        let stack = ["could not translate host name", "OperationalError", "redis", "connecting to"];
        let level = if stack.iter().any(|s| said.contains(s)) { Level::Critical } else { Level::Warning };
        Some(self.claim("name-resolution", level, title, sign, n).of(name.unwrap_or_default()))
    }

    /// Equal errors that come again and again and are not well known.
    fn repeated(&self, limits: &Thresholds, out: &mut Vec<Claim>) {
        let mut often: Vec<(&Arc<Line>, &Group, u64)> = Vec::new();
        for group in self.logs.groups.iter().filter(|g| g.level.is_error()) {
            let line = &group.example;
            let n = group.tally.within(self.window_ms, self.now);
            let least = if group.new { limits.new_errors_count } else { limits.repeated_errors_count };
            // What a rule above has already said need not be said again; a wrong host name is the visitor's fault.
            let said = SignKind::of(&line.text, &line.more).iter().any(|kind| *kind != SignKind::WorkerKilled);
            if n >= least.max(1) && !said && !line.text.contains("Invalid HTTP_HOST header") {
                often.push((line, group, n));
            }
        }
        often.sort_by_key(|(_, group, n)| (std::cmp::Reverse(group.new), std::cmp::Reverse(*n)));
        for (line, group, n) in often.into_iter().take(REPEATS) {
            let (rule, level) = if group.new { ("errors-new", Level::Warning) } else { ("errors-repeat", Level::Note) };
            let title = text::plain(&line.summary(), 120);
            let title = if group.new { format!("A new error comes again and again: {title}") } else { title };
            let evidence = self.often(&group.tally, n, line);
            let claim = Claim::new(rule, level, title, evidence, SourceKind::Logs, self.at)
                .of(format!("{:016x}", group.id))
                .since(group.tally.streak, group.new)
                .with(self.details(line));
            out.push(claim);
        }
    }

    fn floods(&self, limits: &Thresholds, out: &mut Vec<Claim>) {
        for source in &self.logs.sources {
            let Some(rate) = source.rate.filter(|rate| rate * 60.0 >= limits.log_flood_mb * 1_048_576.0) else {
                continue;
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float cast to an integer saturates"
            )]
            let rate = rate.max(0.0) as u64;
            let title = format!("{} grows by {} a second", source.name, text::bytes(rate));
            let skipped = match source.skipped {
                0 => String::new(),
                skipped => format!("; {} of it were passed over", text::bytes(skipped)),
            };
            let evidence = format!("{}{skipped}", source.place);
            out.push(
                Claim::new("log-flood", Level::Warning, title, evidence, SourceKind::Logs, self.at)
                    .of(source.name.clone()),
            );
        }
    }

    fn triggers(&self, out: &mut Vec<Claim>) {
        for fired in &self.logs.fired {
            let details = fired.example.as_ref().map(|line| self.details(line)).unwrap_or_default();
            out.push(
                Claim::new("trigger", fired.level, fired.name.clone(), fired.what.clone(), SourceKind::Logs, self.at)
                    .of(fired.name.clone())
                    .since(fired.since, fired.seen)
                    .with(details),
            );
        }
    }
}

/// The name that a message says did not resolve.
fn unresolved(text: &str) -> Option<&str> {
    let quoted = |before: &str, quote: char| text.split_once(before)?.1.split(quote).next();
    let name = quoted("host name \"", '"')
        .or_else(|| quoted("Failed to resolve '", '\''))
        .or_else(|| quoted("resolve host '", '\''))
        .or_else(|| text.split_once("connecting to ")?.1.split([':', ' ', '.']).next())?;
    (!name.is_empty() && name.len() <= 253).then_some(name)
}

#[cfg(test)]
mod tests;
