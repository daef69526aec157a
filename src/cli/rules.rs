//! `midwatch rules`: the catalogue of rules, made from what the rules themselves declare.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::Form;
use crate::triage::{Rule, Thresholds, rules};

/// The catalogue.
pub fn print(form: Form) -> String {
    match form {
        Form::Text => text(),
        Form::Json => [document().to_string(), "\n".to_owned()].concat(),
    }
}

fn limits(rule: &Rule) -> Vec<(&'static str, Value)> {
    let all = serde_json::to_value(Thresholds::default()).unwrap_or_default();
    rule.thresholds.iter().map(|name| (*name, all.get(name).cloned().unwrap_or_default())).collect()
}

fn document() -> Value {
    let one = |rule: &Rule| {
        let limits: serde_json::Map<String, Value> =
            limits(rule).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        json!({
            "id": rule.id,
            "incidents": rule.incidents,
            "reads": rule.reads.iter().map(|s| s.name()).collect::<Vec<_>>(),
            "thresholds": limits,
            "meaning": rule.meaning,
            "mend": rule.mend,
            "danger": rule.danger,
            "runbook": rule.runbook,
        })
    };
    json!({ "schema_version": 1, "rules": rules().map(one).collect::<Vec<_>>() })
}

fn text() -> String {
    let (mut done, mut out) = (String::new(), String::new());
    for rule in rules() {
        let reads: Vec<&str> = rule.reads.iter().map(|s| s.name()).collect();
        let mut line = |head: &str, body: &str| {
            if !body.is_empty() {
                let _written = writeln!(out, "  {head:<10} {body}");
            }
        };
        line("means", rule.meaning);
        line("mend", rule.mend);
        line("danger", rule.danger);
        line("runbook", rule.runbook.unwrap_or_default());
        line("reads", &reads.join(", "));
        line("classes", &rule.incidents.join(", "));
        let limits: Vec<String> = limits(rule).iter().map(|(name, value)| format!("{name} = {value}")).collect();
        line("limits", &limits.join(", "));
        let body = std::mem::take(&mut out);
        let _written = writeln!(done, "{}\n{body}", rule.id);
    }
    done
}
