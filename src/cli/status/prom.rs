//! Prometheus text, for a textfile collector.

use std::collections::BTreeMap;

use super::{Number, Row, View, exit_code};

/// The report: `midwatch_status` (0 ok, 1 warning, 2 critical, 3 unknown), `midwatch_finding`, `midwatch_reading`, and the
/// age of each reading.
pub fn render(view: &View<'_>) -> String {
    let model = view.model;
    let mut out = String::new();
    family(&mut out, "midwatch_status", "0 ok, 1 warning, 2 critical, 3 unknown.");
    sample(&mut out, "midwatch_status", &[], f64::from(exit_code(view.level)));
    family(
        &mut out,
        "midwatch_finding",
        "What is wrong; the value is 1 for a warning, 2 for critical, 3 for unknown, 0 for a note.",
    );
    for f in &view.findings {
        let labels = [("of", f.site.as_str()), ("rule", f.rule.as_str()), ("subject", f.subject.as_str())];
        sample(&mut out, "midwatch_finding", &labels, f64::from(exit_code(f.level)));
    }
    let rows = &view.rows;
    family(&mut out, "midwatch_reading", "A reading; unit 1 is a share, 1/s a rate.");
    for row in rows {
        if let Number::Value(value) = row.value {
            sample(&mut out, "midwatch_reading", &labels(row), value);
        }
    }
    family(&mut out, "midwatch_reading_age_seconds", "How old the readings of a source are.");
    let ages: BTreeMap<_, _> =
        rows.iter().filter_map(|r| Some(((r.of.as_str(), r.source), model.now.millis_since(r.observed_at?)))).collect();
    for ((of, source), age) in ages {
        #[expect(clippy::cast_precision_loss, reason = "an age in seconds fits")]
        sample(&mut out, "midwatch_reading_age_seconds", &[("of", of), ("source", source.name())], age as f64 / 1000.0);
    }
    out
}

fn labels(row: &Row) -> [(&'static str, &str); 4] {
    [("of", &row.of), ("source", row.source.name()), ("name", &row.name), ("unit", row.unit)]
}

fn family(out: &mut String, name: &str, help: &str) {
    out.push_str(&["# HELP ", name, " ", help, "\n# TYPE ", name, " gauge\n"].concat());
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escape(v))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    out.push_str(&[name, &labels, " ", &value.to_string(), "\n"].concat());
}
