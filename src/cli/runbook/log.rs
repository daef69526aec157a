//! What runs have done.

use std::fmt::Write as _;

use serde_json::json;

use super::follow::{lives, standing, told};
use super::refused;
use crate::backends::journal;
use crate::backends::store::who;
use crate::cli::args::Form;
use crate::cli::run::{USAGE, say};
use crate::config::{Config, StateDir};
use crate::domain::text::{escaped, escaped_json};
use crate::hands::runner::IMPOSSIBLE;
use crate::runbook::kept::RunView;

/// Most rows of output that are printed of one run.
const ROWS: u32 = 20_000;

/// Lists all runs, or shows one whole.
pub(super) async fn log(config: &Config, run: Option<&str>, output: Form) -> color_eyre::Result<u8> {
    let StateDir::Directory(state) = &config.state else {
        return refused(IMPOSSIBLE, "there is no state directory, so there are no runs");
    };
    let Some(run) = run else {
        let runs = journal::runs(state).await;
        let text = match output {
            Form::Json => {
                let list: Vec<_> = runs.runs.iter().map(summary).collect();
                format!("{}\n", json!({"schema_version": 1, "runs": list, "unread": runs.unread}))
            }
            Form::Text => {
                let mut out = String::new();
                for view in &runs.runs {
                    let end = end(view);
                    let _written = writeln!(
                        out,
                        "{:<44} {:<22} {:<24} {end}",
                        view.record.id,
                        view.record.plan.site.as_deref().unwrap_or(&view.record.plan.host.name),
                        view.record.by.user,
                    );
                }
                for unread in &runs.unread {
                    let _written = writeln!(out, "not read: {unread}");
                }
                if out.is_empty() { "no run yet\n".to_owned() } else { out }
            }
        };
        let text = if output == Form::Json { escaped_json(&text) } else { escaped(&text) };
        return say(text.as_bytes());
    };
    let view = match journal::read(state, run).await {
        Ok(view) => view,
        Err(error) => return refused(USAGE, &error.to_string()),
    };
    let rows = journal::output_after(state, view.owner, &view.record.id, 0, ROWS).await.unwrap_or_default();
    if output == Form::Json {
        let printed: Vec<_> = rows.iter().map(|(_, printed)| printed).collect();
        let value = json!({"schema_version": 1, "run": view.record, "entries": view.entries, "output": printed,
                           "owner": who::name(view.owner), "state": end(&view)});
        return say(format!("{}\n", escaped_json(&value.to_string())).as_bytes());
    }
    let mut lines: Vec<(i64, u8, String)> = Vec::new();
    for entry in &view.entries {
        lines.extend(told(&view.record.plan, entry).map(|line| (entry.at.as_millis(), 1, line)));
    }
    for (_, printed) in &rows {
        lines.push((printed.at.as_millis(), 0, format!("      {}", printed.text.replace('\n', "\n      "))));
    }
    lines.sort_by_key(|(at, rank, _)| (*at, *rank));
    let lines: Vec<String> = lines.into_iter().map(|(_, _, line)| line).collect();
    say(escaped(&format!("{}\n{}\n", standing(&view), lines.join("\n"))).as_bytes())
}

fn end(view: &RunView) -> &'static str {
    match view.ended() {
        Some((outcome, _)) => outcome.word(),
        None if lives(view) => "goes on",
        None => "its runner is gone",
    }
}

fn summary(view: &RunView) -> serde_json::Value {
    json!({
        "id": view.record.id, "runbook": view.record.plan.runbook, "title": view.record.plan.title,
        "site": view.record.plan.site, "target": view.record.plan.target, "by": view.record.by,
        "began": view.record.began, "state": end(view), "took_ms": view.took_ms(), "owner": who::name(view.owner),
    })
}
