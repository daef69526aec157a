//! The Monitoring Plugins' format: `MIDWATCH STATUS - text | 'label'=value[UOM]`, details on the following lines.

use super::{Number, View};
use crate::domain::level::Level;

/// The report.
pub fn render(view: &View<'_>) -> String {
    let word = match view.level {
        Level::Ok | Level::Note => "OK",
        Level::Warning => "WARNING",
        Level::Critical => "CRITICAL",
        Level::Unknown => "UNKNOWN",
    };
    let mut data = Vec::new();
    for row in &view.rows {
        let Number::Value(value) = row.value else { continue };
        let unit = match row.unit {
            "ms" => "ms",
            "s" => "s",
            "B" => "B",
            _ => "",
        };
        // A label is quoted; quotes and equal signs in it would end it.
        let label = format!("{}.{}.{}", row.of, row.source.name(), row.name).replace(['\'', '=', '|'], "_");
        data.push(format!("'{label}'={value}{unit}"));
    }
    let clean = |text: &str| text.replace('|', "/");
    let mut first = format!("{} {word} - {}", clean(&view.name), clean(&view.summary));
    if !data.is_empty() {
        first.push_str(&[" | ", &data.join(" ")].concat());
    }
    let mut lines = vec![first];
    for finding in &view.findings {
        lines.push(clean(&format!(
            "{}: {}: {} ({})",
            finding.level.word(),
            finding.site,
            finding.title,
            finding.evidence
        )));
        lines.extend(finding.details.iter().map(|detail| clean(&format!("  {detail}"))));
    }
    lines.push(String::new());
    lines.join("\n")
}
