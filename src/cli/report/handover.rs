//! The hand-over: one page for whoever takes the watch, to be accepted by name.

use super::Setting;
use super::markdown::{both, by, clean, headline, todos};
use crate::domain::level::Level;
use crate::domain::record::report::{HandOver, Line, Stood};
use crate::domain::text::span;

/// After so long without a look what stands is old news, in milliseconds.
const OLD_MS: u64 = 150_000;

/// The hand-over in Markdown.
pub fn render(over: &HandOver, setting: &Setting) -> String {
    let mut out = vec![format!("# Hand-over of {} at {}", clean(&setting.host), both(over.at, setting)), String::new()];
    out.extend(state(over, setting));
    let mut section = |heading: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            out.extend([String::new(), format!("## {heading}"), String::new()]);
            out.extend(lines);
        }
    };
    section("Stands now (observed by midwatch)", standing(over, setting));
    section("What was tried and said", over.tried.iter().map(|l| said(l, setting)).collect());
    section("Acknowledged", over.acknowledged.iter().map(|l| said(l, setting)).collect());
    section("To do", if over.todos.is_empty() { Vec::new() } else { todos(&over.todos, setting) });
    section("Held", vec!["- nothing that this midwatch knows of".to_owned()]);
    section(
        "Next check",
        vec!["- when: ____  by: ____".to_owned(), "- taken over by: ____ (write it down: `N` in midwatch)".to_owned()],
    );
    out.push(String::new());
    out.join("\n")
}

fn state(over: &HandOver, setting: &Setting) -> Vec<String> {
    let mut out = Vec::new();
    out.push(match &over.incident {
        Some(incident) if incident.to.is_none() => {
            let now = match incident.current() {
                (Some(n), false) => format!("SEV-{n} now"),
                (Some(n), true) => format!("suspected SEV-{n} now, confirmed by nobody"),
                (None, _) => "no severity set".to_owned(),
            };
            format!("- Incident {}; {now}", headline(incident, setting))
        }
        Some(incident) => {
            let ago = span(setting.now.millis_since(incident.until(setting.now)));
            format!("- No incident now; the last one ended {ago} ago: {}", headline(incident, setting))
        }
        None => "- No incident within a day".to_owned(),
    });
    for (name, looked) in &over.looked {
        let text = match looked {
            None => "never looked at".to_owned(),
            Some(at) if over.at.millis_since(*at) > OLD_MS => {
                format!("NOT WATCHED for {}: what stands here may be wrong", span(over.at.millis_since(*at)))
            }
            Some(_) => "watched".to_owned(),
        };
        out.push(format!("- {}: {text}", clean(name)));
    }
    out
}

fn standing(over: &HandOver, setting: &Setting) -> Vec<String> {
    let told = over.standing.iter().filter(|s| s.level > Level::Note).collect::<Vec<_>>();
    if told.is_empty() {
        return vec!["- nothing is wrong".to_owned()];
    }
    let line = |s: &&Stood| {
        let at_least = if s.from_seen { "" } else { "≥ " };
        let indent = if s.under.is_some() { "  " } else { "" };
        let age = span(setting.now.millis_since(s.from));
        let evidence = if s.evidence.is_empty() { String::new() } else { format!(": {}", clean(&s.evidence)) };
        format!("{indent}- **{}** {}{evidence} (for {at_least}{age})", s.level.word(), clean(&s.title))
    };
    told.iter().map(line).collect()
}

fn said(line: &Line, setting: &Setting) -> String {
    format!("- {}: {} ({})", both(line.at, setting), clean(&line.text), by(line))
}
