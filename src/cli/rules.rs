//! `midwatch rules`: the catalogue of rules, made from what the rules themselves declare.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::Form;
use crate::triage::rule::{rule, rules};
use crate::triage::{Rule, Thresholds};

/// The catalogue, or one rule of it.
///
/// # Errors
/// What to say when there is no such rule: the nearest there are.
pub fn print(id: Option<&str>, form: Form) -> Result<String, String> {
    let wanted: Vec<&Rule> = match id {
        None => rules().collect(),
        Some(id) => vec![rule(&id.to_lowercase()).ok_or_else(|| unknown(id))?],
    };
    Ok(match form {
        Form::Text => text(&wanted),
        Form::Json => [document(&wanted).to_string(), "\n".to_owned()].concat(),
    })
}

fn unknown(id: &str) -> String {
    let near = nearest(id, rules().map(|rule| rule.id));
    let near = if near.is_empty() { String::new() } else { format!("did you mean {}? ", near.join(", ")) };
    format!("no rule is called `{id}`; {near}`midwatch rules` lists them all")
}

/// The names most like a word, each in backticks, the likest first; at most four.
pub(super) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let word = word.to_lowercase();
    let scored = names.map(|known| (strsim::jaro_winkler(known, &word), known));
    let mut near: Vec<(f64, &str)> = scored.filter(|(score, _)| *score > 0.7).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.iter().take(4).map(|(_, name)| format!("`{name}`")).collect()
}

fn limits(rule: &Rule) -> Vec<(&'static str, Value)> {
    let all = serde_json::to_value(Thresholds::default()).unwrap_or_default();
    rule.thresholds.iter().map(|name| (*name, all.get(name).cloned().unwrap_or_default())).collect()
}

fn document(wanted: &[&Rule]) -> Value {
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
    json!({ "schema_version": 1, "rules": wanted.iter().map(|rule| one(rule)).collect::<Vec<_>>() })
}

fn text(wanted: &[&Rule]) -> String {
    let (mut done, mut out) = (String::new(), String::new());
    for rule in wanted {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_can_be_asked_for_in_both_forms() {
        let text = print(Some("disk-full"), Form::Text).unwrap_or_default();
        assert!(
            text.starts_with("disk-full\n  means ") && text.contains("\n  mend ") && text.contains("\n  reads "),
            "{text}"
        );
        assert_eq!(text.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).count(), 1, "{text}");
        let json: Value =
            serde_json::from_str(&print(Some("Disk-Full"), Form::Json).unwrap_or_default()).unwrap_or_default();
        assert_eq!((json["rules"][0]["id"].as_str(), json["rules"][1].is_null()), (Some("disk-full"), true));
        assert_eq!(json["schema_version"], 1);
    }

    #[test]
    fn of_a_rule_there_is_not_the_nearest_are_told() {
        let told = print(Some("disk-ful"), Form::Text).err().unwrap_or_default();
        assert!(told.starts_with("no rule is called `disk-ful`; did you mean `disk-full`"), "{told}");
        let told = print(Some("qqq"), Form::Text).err().unwrap_or_default();
        assert_eq!(told, "no rule is called `qqq`; `midwatch rules` lists them all");
    }
}
