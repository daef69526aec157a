//! The opened finding: which one it is, and how far it can be scrolled.

use crate::app::model::{Model, Screen};
use crate::triage::{Finding, SinceSource, rule};

/// Rows of the screen that are not its text, where there is a note at the foot; one more on a high terminal.
const FRAME_ROWS: u16 = 5;
/// The longest sentences that say since when: where it was watched, and where it is known from elsewhere.
const WATCHED: usize = 50;
const TOLD: usize = 86;
/// The columns that stand before the words of the catalogue, and before a symptom's evidence.
const LABEL: usize = 8;
const INDENT: usize = 11;

/// The finding with this identity, wherever it stands in the tree.
pub fn find<'m>(findings: &'m [Finding], id: &str) -> Option<&'m Finding> {
    findings.iter().find_map(|f| if f.id() == id { Some(f) } else { find(&f.symptoms, id) })
}

/// Whether a finding is opened on the screen that is shown, be it gone or not.
pub fn is_open(model: &Model) -> bool {
    model.screen == Screen::Now && model.now_table.open.is_some()
}

/// The last row that can stand at the top of the opened finding: it then ends at the bottom, about. Never too little.
pub fn last_top(model: &Model) -> usize {
    let opened = model.now_table.open.as_deref().and_then(|id| find(&model.findings, id));
    let high = u16::from(model.size.1 >= 20);
    let room = usize::from(model.size.1.saturating_sub(FRAME_ROWS + high));
    opened.map_or(0, |finding| height(finding, model.size.0).saturating_sub(room))
}

/// How many rows it takes on a terminal of so many columns, or a few more than that.
pub fn height(finding: &Finding, columns: u16) -> usize {
    let width = usize::from(columns.saturating_sub(2)).max(1);
    let below = |text: &str, indent: usize| wrapped(text, width.saturating_sub(indent).max(1));
    let some = |rows: usize| if rows > 0 { rows + 1 } else { 0 };
    let advice = rule(&finding.rule).map(|r| [r.meaning, r.mend, r.danger].map(|text| below(text, LABEL)).iter().sum());
    let symptoms: usize = finding.symptoms.iter().map(|f| 1 + below(&f.evidence, INDENT)).sum();
    let when = if finding.since.seen && finding.since.from == SinceSource::Watched { WATCHED } else { TOLD };
    let head = 1 + below(&finding.title, 0) + when.div_ceil(width) + 1;
    let rows = [below(&finding.evidence, 0), advice.unwrap_or(0), finding.details.len(), symptoms];
    (head + rows.map(some).iter().sum::<usize>()).saturating_sub(1) + usize::from(!finding.symptoms.is_empty())
}

/// The rows of a text broken between words; what is wider than a column counts as two.
fn wrapped(text: &str, width: usize) -> usize {
    let columns = |word: &str| word.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
    let (mut rows, mut used) = (0, width + 1);
    for word in text.split_whitespace().map(columns) {
        if used + 1 + word <= width {
            used += 1 + word;
        } else {
            rows += word.div_ceil(width).max(1);
            used = if word > width { word % width } else { word };
        }
    }
    rows
}
