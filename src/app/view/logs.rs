//! The rows of Logs.

use crate::app::model::Model;

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    let Some(logs) = model.site().and_then(|s| s.logs.value()) else { return Vec::new() };
    let accepted = logs.window.iter().enumerate().filter(|(_, line)| model.logs.accepts(&line.text));
    accepted.map(|(n, _)| n.to_string()).collect()
}
