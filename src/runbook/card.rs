//! A plan as it is read: what, where, as whom, what it costs, every step, the way back.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::plan::releases::ReleasesAct;
use super::plan::together::Turn;
use super::plan::{Act, Command, Confirm, Plan, PlannedStep, Probe, UpgradeAct, UpgradeProbe, subject};
use crate::domain::text::{misleads, span};

/// For people. `armed`: approvals can be given.
pub fn text(plan: &Plan, armed: bool) -> String {
    let mut out = String::new();
    for (head, body) in head(plan) {
        let _written = writeln!(out, "{head:<10} {body}");
    }
    let _written = writeln!(out, "\n{}\nNothing has been done.", steps(plan));
    let _written = match (armed, &plan.confirm) {
        (false, _) => writeln!(out, "{ONLY_LOOKS}"),
        (true, Confirm::Nothing) => writeln!(out, "It needs no confirmation."),
        (true, Confirm::Yes) => writeln!(out, "To run it: y, or --confirm={}", plan.token()),
        (true, Confirm::Type(text)) => writeln!(out, "To run it: type {text}, or --confirm={}", plan.token()),
    };
    out
}

/// What is said where nothing can be approved.
pub const ONLY_LOOKS: &str = "This midwatch only looks (read-only): nothing can be approved here.";

/// All of a plan but its steps: what each line is about, and what it says.
pub fn head(plan: &Plan) -> Vec<(&'static str, String)> {
    let boot = plan.host.boot.get(..8).unwrap_or_default();
    let mut out = vec![
        ("plan", plan.title.clone()),
        ("risk", plan.risk.word().to_owned()),
        ("host", format!("{}   boot {boot}", plan.host.name)),
    ];
    out.extend(plan.site.as_ref().map(|site| ("site", site.clone())));
    out.extend([("acts on", plan.target.clone()), ("as", plan.user.clone())]);
    out.extend(plan.costs.iter().map(|cost| ("costs", cost.clone())));
    out.extend(plan.at_risk.iter().map(|risk| ("now", risk.clone())));
    out.extend(plan.facts.iter().map(|fact| ("counts on", format!("{}: {}", subject(&fact.of), fact.was))));
    out.extend([("takes", expected(plan)), ("way back", plan.way_back.clone())]);
    out
}

/// Every step, with what it does exactly.
pub fn steps(plan: &Plan) -> String {
    let mut out = String::new();
    for (n, step) in plan.steps.iter().enumerate() {
        let _written = writeln!(out, "{:>3}. {}", n + 1, step.name);
        for said in details(step) {
            let _written = writeln!(out, "     {said}");
        }
    }
    out
}

/// For a ticket.
pub fn markdown(plan: &Plan) -> String {
    let mut out = format!("# {}\n\n", plan.title);
    let site = plan.site.as_ref().map(|site| format!(", site {site}")).unwrap_or_default();
    let _written = writeln!(out, "- {}; on {}{site}, as {}", plan.risk.word(), plan.host.name, plan.user);
    for cost in &plan.costs {
        let _written = writeln!(out, "- costs: {cost}");
    }
    for fact in &plan.facts {
        let _written = writeln!(out, "- counts on {}: `{}`", subject(&fact.of), fact.was);
    }
    let _written = writeln!(out, "- takes: {}\n- way back: {}\n", expected(plan), plan.way_back);
    for (n, step) in plan.steps.iter().enumerate() {
        let _written = writeln!(out, "{}. {}", n + 1, step.name);
        for said in details(step) {
            let _written = writeln!(out, "   - {said}");
        }
    }
    out
}

/// As one document; the token only where it is worth something.
pub fn json(plan: &Plan, armed: bool) -> Value {
    let mut value = json!({
        "schema_version": 1,
        "plan": plan,
        "digest": plan.digest(),
        "expected_s": plan.expected_ms().map(|ms| ms / 1000),
        "commands": plan.steps.iter().map(|step| act(&step.act)).collect::<Vec<_>>(),
    });
    if let (true, Some(map)) = (armed, value.as_object_mut()) {
        map.insert("token".to_owned(), json!(plan.token()));
    }
    value
}

/// How long it takes, and how that is known.
pub fn expected(plan: &Plan) -> String {
    let past = plan.past_ms.len();
    match (plan.expected_ms(), past) {
        (None, _) => "not known: it has not been run here".to_owned(),
        (Some(ms), 0) => format!("about {}, as it is written", span(ms)),
        (Some(ms), n) => format!("about {}, as the last {n} did", span(ms)),
    }
}

/// What a step does, what must hold after it, what undoes it: a line each.
pub fn details(step: &PlannedStep) -> Vec<String> {
    let mut lines = if let Act::Upgrade(UpgradeAct::InOrder(commands)) = &step.act {
        commands.iter().map(words).collect()
    } else {
        each(&step.act)
    };
    lines.extend(step.unless.as_ref().map(|probe| format!("unless {}", holds(probe))));
    lines.extend(step.verify.as_ref().map(|probe| format!("then {}", holds(probe))));
    lines.extend(step.revert.as_ref().map(|undo| format!("undone by: {}", act(undo))));
    lines
}

/// What a step does: a line for each part of it.
fn each(of: &Act) -> Vec<String> {
    let Act::Together(turns) = of else { return vec![act(of)] };
    let line = |(at, turn): (usize, &Turn)| {
        let first = if at == 0 { "all of this or none: " } else { "then at once: " };
        [first, &act(&turn.act)].concat()
    };
    turns.iter().enumerate().map(line).collect()
}

/// What is done, exactly.
pub fn act(act: &Act) -> String {
    match act {
        Act::Command(command) => words(command),
        Act::Probe(probe) => format!("must hold: {}", holds(probe)),
        Act::Wait(probe) => format!("waits until {}", holds(probe)),
        Act::Ask(question) => format!("asks: {question}"),
        Act::Note(text) => text.clone(),
        Act::Unseen(why) => format!("is not verified, for it can't be seen from here: {why}"),
        Act::End { pid, patience_ms, kill } => {
            let then = if *kill { format!(", KILL after {}", span(*patience_ms)) } else { String::new() };
            format!("sends TERM to process {pid}{then}")
        }
        Act::Session { pid, terminate: false, .. } => format!("pg_cancel_backend({pid})"),
        Act::Session { pid, terminate: true, .. } => format!("pg_terminate_backend({pid})"),
        Act::Postgres(act) => act.shown(),
        Act::Mysql(act) => act.told(),
        Act::Forget(prefix) => format!("removes the keys {prefix}* from the site's Redis"),
        Act::Tasks(act) => act.told(),
        Act::Upgrade(UpgradeAct::InOrder(commands)) => commands.iter().map(words).collect::<Vec<_>>().join(", then "),
        Act::Upgrade(UpgradeAct::Renew { service, start }) => {
            let then = start.as_ref().map_or_else(|| "whoever keeps it starts it again".to_owned(), words);
            format!("ends what runs as {service} by then (TERM, after 30 s KILL), then {then}")
        }
        Act::Upgrade(UpgradeAct::MigrateOther { database, migrate, missing, .. }) => {
            let what = match missing.as_slice() {
                [] => "something is".to_owned(),
                named => format!("{} are", named.join(", ")),
            };
            format!("in {database} alone: {}, if the application finds there that {what} missing", words(migrate))
        }
        Act::Upgrade(UpgradeAct::Again(command)) => format!("{}   once more where it fails", words(command)),
        Act::Upgrade(UpgradeAct::Retag(retag)) => retag.told(),
        Act::Upgrade(UpgradeAct::Releases(ReleasesAct::Point(pointing))) => words(&pointing.command()),
        Act::Upgrade(UpgradeAct::Releases(ReleasesAct::Alike { service, command, .. })) => {
            format!("{}   with what {service} finds in its environment", words(command))
        }
        Act::Files(act) => act.told(),
        Act::Drill(act) => act.told(),
        Act::Empty(file) => file.told(),
        Act::Halt(service) => format!("ends what runs as {service} by then (TERM, after 30 s KILL)"),
        Act::Together(turns) => {
            let turns: Vec<String> = turns.iter().map(|turn| self::act(&turn.act)).collect();
            format!("all of this or none: {}", turns.join(", then "))
        }
        Act::InTurn(acts) => acts.iter().map(self::act).collect::<Vec<_>>().join(", then "),
    }
}

fn words(command: &Command) -> String {
    let quoted = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%{}".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.to_owned()
        } else if word.chars().any(misleads) {
            // Nothing of it may reach a terminal as it is, nor be left out.
            format!("$'{}'", word.escape_debug())
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let env = command.env.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
    let argv: Vec<String> = env.chain(command.argv.iter().map(|word| quoted(word))).collect();
    let dir = command.dir.as_ref().map(|dir| format!("   in {dir}")).unwrap_or_default();
    let user = command.user.as_ref().map(|user| format!("   as {user}")).unwrap_or_default();
    let save = command.save.as_ref().map(|path| format!("   into {path}")).unwrap_or_default();
    let exits: Vec<String> = command.exits.iter().map(i32::to_string).collect();
    let exits = if exits.is_empty() { String::new() } else { format!("   exit {} is no failure", exits.join(", ")) };
    format!("$ {}{user}{dir}{save}{exits}", argv.join(" "))
}

/// What holds, in words.
pub fn holds(probe: &Probe) -> String {
    match probe {
        Probe::Runs(service) => format!("{service} runs"),
        Probe::Steady { service, seconds } => format!("{service} has run for {seconds} s without a break"),
        Probe::Restarted { service, .. } => format!("{service} runs anew"),
        Probe::Stopped(service) => format!("{service} does not run"),
        Probe::Forgiven(service) => format!("the manager of {service} has not given it up"),
        Probe::Healthy => "the healthcheck answers well".to_owned(),
        Probe::WorkerListens => "a worker takes tasks".to_owned(),
        Probe::Gone { pid, .. } => format!("process {pid} has ended"),
        Probe::SessionGone { pid, .. } => format!("session {pid} holds nothing any more"),
        Probe::Succeeds(command) => format!("`{}` ends with 0", command.argv.join(" ")),
        Probe::Files(probe) => probe.told(),
        Probe::All(all) => all.iter().map(holds).collect::<Vec<_>>().join("; and "),
        Probe::Drill(_) => "it is remembered that the backup was restored".to_owned(),
        Probe::Freed { pid, fd } => format!("descriptor {fd} of process {pid} holds no space"),
        Probe::Postgres(question) => question.means.clone(),
        Probe::Mysql(probe) => probe.told(),
        Probe::Upgrade(UpgradeProbe::Lacks { word, .. }) => format!("the application has no command `{word}`"),
        Probe::Upgrade(UpgradeProbe::SchemaIs { was, .. }) => format!("the database has not been migrated: {was}"),
        Probe::Upgrade(UpgradeProbe::Image(probe)) => probe.told(),
        Probe::Upgrade(UpgradeProbe::Releases(probe)) => probe.told(),
        Probe::Upgrade(UpgradeProbe::Running { version }) => {
            format!("{version} is installed, and every process of the application was started after it was")
        }
    }
}
