//! The keys of the note that is typed, and of the record that is read.

use super::toast;
use crate::app::effect::{Effect, Remark};
use crate::app::key::{Chord, Key};
use crate::app::line::Line;
use crate::app::model::{Model, Overlay, Screen};
use crate::app::record::row_id;
use crate::app::view;
use crate::domain::record::said::ACK_MS;
use crate::domain::record::{About, LINE_MAX};
use crate::triage::Finding;

/// The longest filter.
const FILTER_MAX: usize = 200;

/// Opens the line for a note.
pub(super) fn note(model: &mut Model) {
    model.overlay = Overlay::Note { line: Line::default(), about: None };
}

/// Opens the line for an acknowledgement of the selected finding.
pub(super) fn acknowledge(model: &mut Model) {
    let selected = if model.screen == Screen::Now { selected(model) } else { None };
    let of = |finding: &Finding| About { finding: finding.id(), title: finding.title.clone() };
    let Some(about) = selected.or_else(|| model.findings.first()).map(of) else {
        toast(model, "there is no finding to acknowledge".to_owned());
        return;
    };
    let hours = ACK_MS / 3_600_000;
    model.overlay = Overlay::Note { line: Line::new(&format!("ACK {hours}h: ")), about: Some(about) };
}

fn selected(model: &Model) -> Option<&Finding> {
    let rows = view::rows(model);
    view::findings(model).get(model.now_table.position(&rows)).map(|(_, finding)| *finding)
}

/// Says at once that an incident is as severe as this, or over.
pub(super) fn severity(model: &Model, severity: Option<u8>) -> Vec<Effect> {
    let line = severity.map_or_else(|| "RESOLVED".to_owned(), |n| format!("SEV-{n}"));
    vec![Effect::Note(remark(model, line, None))]
}

fn remark(model: &Model, line: String, about: Option<About>) -> Remark {
    // What is said of a finding is said of its site or host.
    let named = |name: &str| {
        let site = model.sites.iter().find(|s| s.id.0 == name).map(crate::app::model::Site::scope);
        site.or_else(|| model.hosts.iter().find(|h| h.id.0 == name).map(crate::app::model::Host::scope))
    };
    let of = about
        .as_ref()
        .and_then(|about| model.findings.iter().flat_map(all).find(|f| f.id() == about.finding))
        .map(|f| f.site.clone());
    let scope = match of {
        Some(name) => named(&name),
        None => model.site().map(crate::app::model::Site::scope),
    };
    Remark { line, scope, about }
}

fn all(finding: &Finding) -> Vec<&Finding> {
    std::iter::once(finding).chain(finding.symptoms.iter().flat_map(all)).collect()
}

/// A key while a note is typed.
pub(super) fn typing(model: &mut Model, chord: Chord, mut line: Line, about: Option<About>) -> Vec<Effect> {
    match chord.key {
        Key::Esc => return Vec::new(),
        Key::Enter => {
            if line.text().trim().is_empty() {
                return Vec::new();
            }
            return vec![Effect::Note(remark(model, line.text(), about))];
        }
        Key::Char(_)
        | Key::F(_)
        | Key::Tab
        | Key::BackTab
        | Key::Backspace
        | Key::Delete
        | Key::Up
        | Key::Down
        | Key::Left
        | Key::Right
        | Key::Home
        | Key::End
        | Key::PageUp
        | Key::PageDown => {
            line.key(chord, LINE_MAX);
        }
    }
    model.overlay = Overlay::Note { line, about };
    Vec::new()
}

/// A key while the filter of the record is typed; true: it goes on.
pub(super) fn filtering(model: &mut Model, chord: Chord) -> bool {
    let filter = &mut model.timeline.table.filter;
    match (chord.key, chord.ctrl) {
        (Key::Esc, _) => {
            filter.clear();
            return false;
        }
        (Key::Enter, _) => return false,
        (Key::Backspace, _) => return filter.pop().is_some(),
        (Key::Char('u'), true) => filter.clear(),
        (Key::Char(c), false) if !chord.alt && filter.chars().count() < FILTER_MAX => filter.push(c),
        _ => {}
    }
    true
}

/// Moves the selection of the record.
pub(super) fn step(model: &mut Model, by: isize) {
    let rows: Vec<String> = model.timeline.shown().into_iter().map(row_id).collect();
    let height = usize::from(model.size.1.saturating_sub(8)).max(1);
    model.timeline.table.step(&rows, by, height);
}
