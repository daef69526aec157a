//! What the healthcheck and the certificate say (FIELD INC-01, INC-07, INC-32, T-10).

use super::{Claim, Rule, SiteFacts, Thresholds};
use crate::domain::health::{HealthCheck, HealthState, OnDisk};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::text;
use crate::domain::time::Timestamp;

/// The rules that say the site itself does not answer as it should.
pub const STATES: [&str; 4] = ["web-unreachable", "web-hangs", "web-error", "web-misdirected"];

/// A bad answer counts as a warning until it has held for so long: one lost packet is no outage.
pub const CONFIRMED_MS: u64 = 1_500;

/// A question unanswered for so long is worth telling.
pub const ASKING_TOLD_MS: u64 = 3_000;

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "web-unreachable",
        incidents: &["INC-01"],
        reads: &[SourceKind::Health],
        thresholds: &[],
        meaning: "Nothing answers at the address of the site: refused, reset, or no such name.",
        mend: "See why the web service ended before it is started again.",
        danger: "Starting it again without reading why masks a broken upgrade.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "web-hangs",
        incidents: &["INC-06"],
        reads: &[SourceKind::Health],
        thresholds: &[],
        meaning: "A connection is taken, but the healthcheck is not answered.",
        mend: "Follow to what it waits for: the database, Redis, a full accept queue. A restart is the second step.",
        danger: "A restart loses the evidence and empties the queue for a minute only.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "web-error",
        incidents: &["INC-01", "INC-07"],
        reads: &[SourceKind::Health],
        thresholds: &[],
        meaning: "The healthcheck is answered with an error.",
        mend: "See what it stands on: it asks the database, the cache and Redis.",
        danger: "A restart does not mend what it stands on.",
        runbook: None,
    },
    Rule {
        id: "web-misdirected",
        incidents: &["INC-07"],
        reads: &[SourceKind::Health],
        thresholds: &[],
        meaning: "Something answers, but not this site: another host name, a redirect elsewhere.",
        mend: "Compare the site URL of the application with the proxy in front of it.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "web-slow",
        incidents: &["INC-06"],
        reads: &[SourceKind::Health],
        thresholds: &["health_slow_ms"],
        meaning: "The healthcheck, which does next to nothing, takes long.",
        mend: "See what it waits for: database, Redis, CPU.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "certificate",
        incidents: &["INC-32"],
        reads: &[SourceKind::Health],
        thresholds: &["certificate_warning_days", "certificate_critical_days"],
        meaning: "The certificate that is served has expired, expires soon, or is not trusted.",
        mend: "See whether the file on disk is newer than what is served: then a reload is missing. Else renew it, dry run first.",
        danger: "Retries against the authority burn its rate limit.",
        runbook: None,
    },
    Rule {
        id: "certificate-not-loaded",
        incidents: &["INC-32"],
        reads: &[SourceKind::Health],
        thresholds: &["certificate_warning_days", "certificate_critical_days"],
        meaning: "The file holds a newer certificate than the one that is served: whoever serves it was not reloaded.",
        mend: "Check the proxy's configuration (nginx -t), reload it, look at the handshake again.",
        danger: "Asking the authority for yet another one burns its rate limit.",
        runbook: None,
    },
    Rule {
        id: "clock-wrong",
        incidents: &["INC-34"],
        reads: &[SourceKind::Health, SourceKind::Database, SourceKind::Redis],
        thresholds: &["clock_warning_ms", "clock_critical_ms"],
        meaning: "The clocks of this host and of what it talks to differ: tokens, two-factor codes and TLS fail.",
        mend: "Start the time service of the one that is wrong, and let it slew; stop schedulers before a jump.",
        danger: "Setting a clock back runs jobs twice and breaks locks.",
        runbook: None,
    },
    Rule {
        id: "proxy-fault",
        incidents: &["INC-07"],
        reads: &[SourceKind::Health, SourceKind::Direct],
        thresholds: &[],
        meaning: "The application answers on its own port, the public address does not: the fault lies between them.",
        mend: "Check the configuration of the proxy (nginx -t), then reload it.",
        danger: "Reloading a broken configuration on the last good proxy.",
        runbook: None,
    },
    Rule {
        id: "own-port-fault",
        incidents: &["INC-07"],
        reads: &[SourceKind::Health, SourceKind::Direct],
        thresholds: &[],
        meaning: "The public address answers, the own port of the application does not.",
        mend: "See whether the address of the own port is still right.",
        danger: "",
        runbook: None,
    },
];

/// What the healthchecks claim.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let mut out = Vec::new();
    let asking = facts.asking.iter().find(|(kind, _)| matches!(kind, SourceKind::Health | SourceKind::Direct));
    match asking.filter(|(_, since)| facts.now.millis_since(*since) >= ASKING_TOLD_MS) {
        Some((_, since)) => out.push(unanswered(facts, *since)),
        None => out.extend(facts.health.value().zip(facts.health.at()).and_then(|(check, at)| state(facts, check, at))),
    }
    if let (Some(check), Some(at)) = (facts.health.value(), facts.health.at()) {
        out.extend(certificate(facts, check, at, limits));
        out.extend(not_loaded(facts, check, at, limits));
        if check.state == HealthState::Ok && check.latency_ms >= limits.health_slow_ms {
            out.push(claim(
                "web-slow",
                Level::Warning,
                format!("The healthcheck answers slowly: {}", text::latency(check.latency_ms)),
                format!("{} usually takes a few milliseconds", check.url),
                at,
            ));
        }
    }
    out.extend(own_port(facts));
    out.extend(clock(facts, limits));
    out
}

fn claim(rule: &'static str, level: Level, title: String, evidence: String, at: Timestamp) -> Claim {
    Claim::new(rule, level, title, evidence, SourceKind::Health, at)
}

fn unanswered(facts: &SiteFacts<'_>, since: Timestamp) -> Claim {
    let waited = text::span(facts.now.millis_since(since));
    let mut claim = claim(
        "web-hangs",
        Level::Critical,
        format!("The site hangs: no answer for {waited}"),
        "connected, and the healthcheck has not been answered; it is waited for, not repeated".to_owned(),
        since,
    );
    if let Some(check) = facts.health.value().filter(|c| c.state == HealthState::Hanging) {
        claim.evidence = format!("{}; before that: {}", claim.evidence, check.detail);
    }
    if let Some(asked) = facts.direct.value().or(facts.health.value()) {
        claim.evidence = format!("{} · {}", claim.evidence, asked.url);
    }
    claim
}

fn state(facts: &SiteFacts<'_>, check: &HealthCheck, at: Timestamp) -> Option<Claim> {
    let evidence = format!("{} · {} · {} ago", check.detail, text::latency(check.latency_ms), ago(facts, at));
    let (rule, level, title) = match check.state {
        HealthState::Ok => return None,
        HealthState::Unreachable => ("web-unreachable", Level::Critical, "The site can't be reached".to_owned()),
        HealthState::Hanging => {
            ("web-hangs", Level::Critical, "The site hangs: it connects and never answers".to_owned())
        }
        HealthState::ServerError => {
            let status = check.status.map(|s| format!(" {s}")).unwrap_or_default();
            ("web-error", Level::Critical, format!("The healthcheck answers{status}"))
        }
        HealthState::Misdirected => {
            let status = check.status.map(|s| format!(" {s}")).unwrap_or_default();
            ("web-misdirected", Level::Warning, format!("The healthcheck is misdirected:{status}"))
        }
    };
    Some(claim(rule, level, title, evidence, at))
}

fn ago(facts: &SiteFacts<'_>, at: Timestamp) -> String {
    text::span(facts.now.millis_since(at))
}

fn certificate(facts: &SiteFacts<'_>, check: &HealthCheck, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    let certificate = check.tls.as_ref()?;
    let left_ms = certificate.not_after.millis_since(facts.now);
    let days = left_ms / 86_400_000;
    let unseen = match &certificate.on_disk {
        Some(OnDisk { path, newer_until: Err(why), .. }) => format!(" · {path}: {why}"),
        Some(_) | None => String::new(),
    };
    let evidence = format!("{} · issued by {}{unseen}", certificate.subject, certificate.issuer);
    if let Some(why) = &certificate.distrust {
        let title = format!("The certificate is not trusted: {why}");
        return Some(claim("certificate", Level::Critical, title, evidence, at));
    }
    let level = match days {
        d if d <= limits.certificate_critical_days => Level::Critical,
        d if d <= limits.certificate_warning_days => Level::Warning,
        _ => return None,
    };
    Some(claim("certificate", level, format!("The certificate expires in {}", text::span(left_ms)), evidence, at))
}

/// A renewed certificate lies on disk, and the old one is still served (INC-32).
fn not_loaded(facts: &SiteFacts<'_>, check: &HealthCheck, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    let certificate = check.tls.as_ref()?;
    let on_disk = certificate.on_disk.as_ref()?;
    let until = on_disk.newer_until.as_ref().ok().copied().flatten()?;
    let left_ms = certificate.not_after.millis_since(facts.now);
    let level = match left_ms / 86_400_000 {
        d if d <= limits.certificate_critical_days => Level::Critical,
        d if d <= limits.certificate_warning_days => Level::Warning,
        _ => Level::Note,
    };
    let ends = if left_ms == 0 { "has expired".to_owned() } else { format!("ends in {}", text::span(left_ms)) };
    let title = format!("The renewed certificate was not loaded: the old one is still served, and {ends}");
    let evidence = format!(
        "{} ({}) is good for {}: reload {}",
        on_disk.path,
        on_disk.by,
        text::span(until.millis_since(facts.now)),
        if on_disk.by == "midwatch.toml" { "whoever serves it" } else { on_disk.by.as_str() }
    );
    Some(claim("certificate-not-loaded", level, title, evidence, at))
}

/// How far each clock that was asked is ahead of this host's, in milliseconds.
fn clocks(facts: &SiteFacts<'_>) -> Vec<(&'static str, i64)> {
    let web = facts.health.fresh().and_then(|check| check.clock_offset_ms);
    let redis = facts.redis.fresh().and_then(|redis| redis.server.clock_ahead_ms);
    let database = facts.database.fresh().and_then(|database| database.clock_offset_ms);
    [("the web server", web), ("the database", database), ("Redis", redis)]
        .into_iter()
        .filter_map(|(who, offset)| Some((who, offset?)))
        .collect()
}

/// Clocks that differ (INC-34): where two agree against this host it is this host's that is wrong.
fn clock(facts: &SiteFacts<'_>, limits: &Thresholds) -> Option<Claim> {
    let at = facts.health.at().or(facts.database.at()).or(facts.redis.at())?;
    let all = clocks(facts);
    let off: Vec<&(&str, i64)> = all.iter().filter(|(_, ms)| ms.unsigned_abs() >= limits.clock_warning_ms).collect();
    let (first, worst) = (off.first()?, off.iter().map(|(_, ms)| ms.unsigned_abs()).max()?);
    let agree = off.iter().filter(|(_, ms)| ms.abs_diff(first.1) <= limits.clock_warning_ms).count() >= 2;
    let level = if agree && worst >= limits.clock_critical_ms { Level::Critical } else { Level::Warning };
    let way = |ms: i64| if ms > 0 { "behind" } else { "ahead of" };
    let title = if agree {
        format!("This host's clock is {} {} the others", text::span(worst), way(first.1))
    } else {
        let (who, ms) = first;
        format!("Suspected: one clock is wrong: this host is {} {} {who}", text::span(ms.unsigned_abs()), way(*ms))
    };
    let evidence = all.iter().map(|(who, ms)| match ms {
        0 => format!("{who}: the same"),
        ms => format!("{who}: {}{} s", if *ms > 0 { "+" } else { "−" }, ms.unsigned_abs() / 1000),
    });
    let evidence = evidence.collect::<Vec<_>>().join(" · ");
    let evidence = format!("{evidence}; tokens, two-factor codes and TLS go by the clock");
    let claimed = claim("clock-wrong", level, title, evidence, at);
    Some(if agree { claimed } else { claimed.suspected() })
}

/// Which side of the proxy is at fault (INC-07).
fn own_port(facts: &SiteFacts<'_>) -> Option<Claim> {
    let (Reading::Fresh { value: direct, at, .. }, Some(public)) = (facts.direct, facts.health.value()) else {
        return None;
    };
    // The own port isn't asked while the site hangs: what it said before says nothing about now.
    if public.state == HealthState::Hanging || (public.state != HealthState::Ok && Some(*at) < facts.health.at()) {
        return None;
    }
    let (rule, title) = match (public.state == HealthState::Ok, direct.state == HealthState::Ok) {
        (true, true) | (false, false) => return None,
        (false, true) => (
            "proxy-fault",
            format!(
                "The application answers on its own port in {}: the fault is between it and the public URL",
                text::latency(direct.latency_ms)
            ),
        ),
        (true, false) => (
            "own-port-fault",
            format!("The public URL is fine, the application's own port is not: {}", direct.state.word()),
        ),
    };
    let evidence = format!("{}: {} · {}: {}", public.url, public.detail, direct.url, direct.detail);
    Some(claim(rule, Level::Warning, title, evidence, *at))
}
