//! Connections, locks and transactions (INC-13, INC-15, INC-16, INC-24), and the role (INC-22).

use super::{Look, ago, span};
use crate::domain::database::{DatabaseReading, Engine, Session};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::text;
use crate::triage::{Claim, Since};

/// Programs whose transactions are long by their nature: copies and moves of whole databases.
const LONG_BY_NATURE: &[&str] =
    &["pg_dump", "pg_dumpall", "pg_basebackup", "pg_restore", "pgbackrest", "barman", "midwatch"];
/// A transaction is a warning, not only a note, after so many times its threshold.
const FAR: f64 = 30.0;
/// Most lines of a tree.
const LINES: usize = 30;

impl Look<'_> {
    /// Whether it takes writes.
    pub(super) fn role(&self, out: &mut Vec<Claim>) {
        if !self.db.read_only {
            return;
        }
        let identity = &self.db.identity;
        let title = if identity.in_recovery {
            "The application is connected to a standby: every write fails".to_owned()
        } else {
            format!("{} refuses writes: it is read-only or a standby", self.name())
        };
        let mut evidence = format!("{} {}", self.name(), self.db.version);
        if let Some(lag) = identity.replay_lag_s {
            evidence = format!("{evidence} · the last change it has is {} old", span(lag));
        }
        let system = identity.system.iter().map(|system| format!("system identifier {system}"));
        out.push(self.claim("database-read-only", Level::Critical, title, evidence).with(system));
    }

    /// Whether there are connections left.
    pub(super) fn connections(&self, out: &mut Vec<Claim>) {
        let (Some(used), Some(usable)) = (self.db.sessions, self.db.usable_sessions.filter(|n| *n > 0)) else {
            return;
        };
        let part = f64::from(used) / f64::from(usable);
        let level = if part >= self.limits.connections_critical {
            Level::Critical
        } else if part >= self.limits.connections_warning {
            Level::Warning
        } else {
            return;
        };
        let title = format!("{} has {used} of {usable} connections in use", self.name());
        let held =
            self.db.crowd.iter().take(3).map(|c| format!("{} {} from {}", c.count, c.state, named(&c.application)));
        let held = held.collect::<Vec<_>>().join(", ");
        let evidence = if held.is_empty() {
            format!("{} of what an ordinary role can have", text::percent(part))
        } else {
            format!("{} of what an ordinary role can have: {held}", text::percent(part))
        };
        out.push(self.claim("database-connections", level, title, evidence).with(crowd(self.db)));
    }

    /// Who blocks whom.
    pub(super) fn locks(&self, out: &mut Vec<Claim>) {
        let (among, roots): (Vec<&Session>, Vec<&Session>) =
            self.db.blockers.iter().partition(|root| self.is_among_buyers(root));
        self.advisory(&among, out);
        let worst = roots.iter().max_by_key(|root| root.blocks);
        if let Some(root) = worst.filter(|root| self.is_long(root)) {
            out.push(self.lock(root, &roots));
            return;
        }
        let unexplained = self.db.waiting.unwrap_or(0).saturating_sub(self.db.advisory_waiters.unwrap_or(0));
        let waited = self.db.longest_wait_s;
        if self.db.blockers.is_empty() && unexplained > 0 && (waited <= 0.0 || waited >= self.limits.lock_wait_s) {
            let waits = if unexplained == 1 { "1 session waits" } else { &format!("{unexplained} sessions wait") };
            let title = format!("{waits} in {} for a lock", self.name());
            let evidence = "who blocks them can't be seen with this role";
            out.push(self.claim("database-lock", Level::Warning, title, evidence).with(self.db.unseen.iter().cloned()));
        }
    }

    /// Only the application knows what an advisory lock means; pretix takes one for each order. Who holds one and does
    /// nothing is no buyer, though.
    fn is_among_buyers(&self, root: &Session) -> bool {
        let stuck = root.state.starts_with("idle") && root.transaction_s >= self.limits.blocked_s;
        !stuck && !root.behind.is_empty() && root.behind.iter().all(Session::waits_for_advisory)
    }

    fn advisory(&self, among: &[&Session], out: &mut Vec<Claim>) {
        let waiting: u32 = among.iter().map(|root| root.blocks).sum();
        let waited = among.iter().flat_map(|root| &root.behind).map(|s| s.since_s).fold(0.0, f64::max);
        if u64::from(waiting) < self.limits.advisory_waiters_warning || waited < 1.0 {
            return;
        }
        let title = format!("{} wait for an advisory lock of the application", text::count(waiting.into(), "session"));
        let pages: Vec<&str> = among.iter().flat_map(|root| &root.behind).map(|s| s.page.as_str()).collect();
        let page = pages.iter().find(|page| !page.is_empty()).map(|page| format!(" at {page}")).unwrap_or_default();
        let evidence = format!(
            "the longest for {}{page}: buyers of one event wait for each other, which a rush does and no fault of the database",
            span(waited)
        );
        let claim = self.claim("advisory-lock-waiters", Level::Warning, title, evidence);
        out.push(claim.since(ago(self.at, waited), true).with(tree(among)));
    }

    /// Waits of milliseconds are how locks work.
    fn is_long(&self, root: &Session) -> bool {
        let waited = root.tree().iter().skip(1).map(|(_, s)| s.since_s).fold(0.0, f64::max);
        if root.behind.is_empty() {
            let known = self.db.longest_wait_s > 0.0;
            return if known { self.db.longest_wait_s >= self.limits.lock_wait_s } else { root.transaction_s >= 5.0 };
        }
        waited >= self.limits.lock_wait_s
    }

    fn lock(&self, root: &Session, roots: &[&Session]) -> Claim {
        let waited = self.db.longest_wait_s;
        let many = root.blocks >= 3 && (waited <= 0.0 || waited >= self.limits.lock_wait_s * 2.0);
        let level = if root.transaction_s >= self.limits.blocked_s || many { Level::Critical } else { Level::Warning };
        let who = if root.application.is_empty() { String::new() } else { format!(" ({})", root.application) };
        let (name, pid) = (self.name(), root.pid);
        let title = match self.db.engine {
            Engine::Sqlite => format!("{name} is locked: process {pid}{who} writes"),
            Engine::Postgresql | Engine::Mysql if pid == 0 => {
                format!(
                    "A lock in {name}: a prepared transaction{who} blocks {}",
                    text::count(root.blocks.into(), "other")
                )
            }
            Engine::Postgresql | Engine::Mysql => {
                format!("A lock in {name}: session {pid}{who} blocks {}", text::count(root.blocks.into(), "other"))
            }
        };
        let mut evidence = match self.db.engine {
            Engine::Sqlite => format!("{} for at least {}", root.state, span(root.transaction_s)),
            Engine::Postgresql | Engine::Mysql => {
                format!(
                    "{} in a transaction of {}; nothing blocks it: it is the root",
                    root.state,
                    span(root.transaction_s)
                )
            }
        };
        if let Some(first) = root.behind.first().filter(|first| !first.query.is_empty()) {
            evidence.push_str("; first behind it: ");
            evidence.push_str(&cut(&first.query, 60));
        }
        let since = if waited > 0.0 { waited } else { root.transaction_s };
        let mut claim = self.claim("database-lock", level, title, evidence).with(tree(roots));
        claim.since = Some(Since::told(ago(self.at, since), true, SourceKind::Database));
        if root.concluded { claim.suspected() } else { claim }
    }

    /// Transactions that are open for long and block nobody yet.
    pub(super) fn transactions(&self, out: &mut Vec<Claim>) {
        let roots: Vec<i64> = self.db.blockers.iter().map(|root| root.pid).collect();
        let ours = |s: &&Session| {
            !roots.contains(&s.pid) && !LONG_BY_NATURE.iter().any(|name| s.application.starts_with(name))
        };
        let idle = |s: &&Session| s.state.starts_with("idle in transaction");
        let open: Vec<&Session> = self.db.transactions.iter().filter(ours).collect();
        let (idle, busy): (Vec<&Session>, Vec<&Session>) = open.into_iter().partition(|s| idle(s));
        let idle: Vec<&Session> = idle.into_iter().filter(|s| s.since_s >= self.limits.idle_transaction_s).collect();
        if let Some(worst) = idle.iter().max_by(|a, b| a.since_s.total_cmp(&b.since_s)) {
            let level =
                if worst.since_s >= self.limits.idle_transaction_s * 10.0 { Level::Warning } else { Level::Note };
            let title = format!(
                "Session {} ({}) is idle in a transaction for {}",
                worst.pid,
                named(&worst.application),
                span(worst.since_s)
            );
            let evidence =
                format!("{} of them; it keeps its locks and holds vacuum back; last: {}", idle.len(), said(worst));
            let claim = self.claim("database-idle-transaction", level, title, evidence);
            out.push(claim.since(ago(self.at, worst.since_s), true).with(idle.iter().map(|s| line(s))));
        }
        let long: Vec<&Session> =
            // Who waits for a lock does nothing for long: that is told with the lock.
            busy.into_iter()
                .filter(|s| s.transaction_s >= self.limits.long_transaction_s && !s.wait.starts_with("Lock"))
                .collect();
        if let Some(worst) = long.iter().max_by(|a, b| a.transaction_s.total_cmp(&b.transaction_s)) {
            let level =
                if worst.transaction_s >= self.limits.long_transaction_s * FAR { Level::Warning } else { Level::Note };
            let title = format!(
                "Session {} ({}) works in a transaction of {}",
                worst.pid,
                named(&worst.application),
                span(worst.transaction_s)
            );
            let evidence = format!("{} of them; now: {}", long.len(), said(worst));
            let claim = self.claim("database-long-transaction", level, title, evidence);
            out.push(claim.since(ago(self.at, worst.transaction_s), true).with(long.iter().map(|s| line(s))));
        }
    }
}

fn named(application: &str) -> &str {
    if application.is_empty() { "no name given" } else { application }
}

fn said(session: &Session) -> String {
    if session.query.is_empty() { "hidden without pg_monitor".to_owned() } else { cut(&session.query, 80) }
}

fn cut(text: &str, max: usize) -> String {
    crate::domain::text::plain(text, max)
}

/// Who holds the connections, line by line.
pub(super) fn crowd(db: &DatabaseReading) -> Vec<String> {
    let line = |c: &crate::domain::database::Crowd| {
        let longest = span(f64::from(u32::try_from(c.longest_s).unwrap_or(u32::MAX)));
        format!("{:>4} {} from {}, the longest for {longest}", c.count, c.state, named(&c.application))
    };
    db.crowd.iter().map(line).collect()
}

/// The sessions as trees, the roots first.
fn tree(roots: &[&Session]) -> Vec<String> {
    let mut out = Vec::new();
    for (depth, session) in roots.iter().flat_map(|root| root.tree()) {
        if out.len() >= LINES {
            out.push("… and more".to_owned());
            break;
        }
        let branch = if depth == 0 { String::new() } else { ["  ".repeat(depth - 1).as_str(), "└ "].concat() };
        out.push([branch.as_str(), &line(session)].concat());
    }
    out
}

/// One session in one line.
fn line(session: &Session) -> String {
    let mut parts = vec![format!("{} {}", session.pid, named(&session.application))];
    let from = if session.client.is_empty() { String::new() } else { format!("@{}", session.client) };
    if !session.user.is_empty() {
        parts.push([session.user.as_str(), &from].concat());
    }
    if session.wait.starts_with("Lock") || session.wait.starts_with("Waiting") {
        parts.push(format!("waits {} for {}", span(session.since_s), session.wait.trim_start_matches("Lock ")));
    } else {
        parts.push(session.state.clone());
    }
    parts.push(format!("transaction {}", span(session.transaction_s)));
    if !session.page.is_empty() {
        parts.push(format!("page {}", session.page));
    }
    if !session.query.is_empty() {
        parts.push(session.query.clone());
    }
    parts.join(" · ")
}
