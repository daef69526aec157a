//! The incident record on the screen: what happened when, the newest first; observed and said apart.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_top};
use super::clock::Clock;
use super::format;
use super::glyphs;
use super::grid::Window;
use super::overlay::frame;
use super::theme::Role;
use crate::app::model::Model;
use crate::app::record::row_id;
use crate::domain::level::Level;
use crate::domain::record::report::name;
use crate::domain::record::{By, Entry, What};

/// Rows the selected entry may take, shown in full below the others.
const DETAIL_ROWS: u16 = 4;

/// Draws the record over the whole screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock, typing: bool) {
    let record = &model.timeline;
    let shown = record.shown();
    let foot = if typing {
        "Enter keeps the filter · Esc clears it"
    } else {
        "N note · / filter · j k · U clock · Esc closes"
    };
    let inner = frame(canvas, area, (area.width, area.height), &title(model, clock), foot);
    let (head, mut rest) = split_top(inner, 1);
    if typing || !record.table.filter.is_empty() {
        let mut left = vec![piece(Role::Filter, "filter: "), piece(Role::Text, record.table.filter.clone())];
        if typing {
            left.push(piece(Role::Selected, " "));
        }
        canvas.row(
            head,
            &left,
            &[piece(Role::Muted, format::plural(shown.len(), "entry").replace("entrys", "entries"))],
        );
    } else if let Some(why) = &record.trouble {
        canvas.pieces(head, &[piece(Role::Warning, "▲ warning "), piece(Role::Text, why.clone())]);
    } else {
        let text = "observed by midwatch, and said by people: shared by everybody on this host";
        canvas.put(head, text, Role::Muted);
    }
    if shown.is_empty() {
        let text = if record.entries.is_empty() {
            "Nothing is on record yet. What comes and goes is written down by itself; N writes a note."
        } else {
            "no entry has these words; Esc clears the filter"
        };
        canvas.paragraph(split_top(rest, 1).1, text, Role::Muted);
        return;
    }
    let ids: Vec<String> = shown.iter().map(|entry| row_id(entry)).collect();
    let selected = record.table.position(&ids);
    let detail = DETAIL_ROWS.min(rest.height / 3);
    let (list, below) = split_top(rest, rest.height.saturating_sub(detail));
    rest = list;
    let window = Window::around(record.table.offset, selected, usize::from(list.height), shown.len());
    for (at, entry) in shown.iter().enumerate().skip(window.first).take(window.len) {
        let (row, after) = split_top(rest, 1);
        rest = after;
        let (left, right) = line(entry, clock, row.width);
        canvas.row(row, &left, &right);
        if at == selected {
            canvas.paint(row, Role::Selected);
        }
    }
    if let Some(entry) = shown.get(selected).filter(|_| detail > 1) {
        whole(canvas, below, entry, clock);
    }
}

/// A level as a glyph and a word.
fn level(level: Level) -> Piece {
    piece(glyphs::role(level), format!("{} {:<8}", glyphs::level(level), level.word()))
}

/// `incident 20261121-0257 · suspected SEV-2 · for 12m`: the one that goes on, else the last, as `report` has it.
fn title(model: &Model, clock: &Clock) -> String {
    let Some(incident) = &model.timeline.incident else {
        return "incident record · no incident".to_owned();
    };
    // One that is over was as bad as it was at its worst, as the report has it.
    let (severity, suspected) = match incident.to {
        None => incident.current(),
        Some(_) => (incident.severity, !incident.confirmed),
    };
    let severity = match (severity, suspected) {
        (Some(n), true) => format!("suspected SEV-{n}"),
        (Some(n), false) => format!("SEV-{n}"),
        (None, _) => "no severity set".to_owned(),
    };
    let span = |since| format::span(clock.now.secs_since(since));
    let lasted = match incident.to {
        None => format!("for {}", span(incident.from)),
        Some(to) => format!("over for {}", span(to)),
    };
    format!("incident {} · {severity} · {lasted}", incident.id)
}

fn line(entry: &Entry, clock: &Clock, width: u16) -> (Vec<Piece>, Vec<Piece>) {
    let role = match &entry.by {
        By::Midwatch => Role::Text,
        By::Person(_) => Role::Accent,
    };
    let mut left = vec![piece(Role::Muted, clock.when(entry.at)), piece(Role::Muted, " "), level(entry.level)];
    let of = name(entry.scope.as_ref());
    if !of.is_empty() && width >= 70 {
        left.push(piece(Role::Muted, [" ", of].concat()));
    }
    left.push(piece(role, [" ", &entry.text()].concat()));
    let mut by = match &entry.by {
        By::Midwatch => String::new(),
        By::Person(who) => ["said by ", &who.user].concat(),
    };
    if entry.id == 0 {
        by.push_str(if by.is_empty() { "not on disk" } else { ", not on disk" });
    }
    if let What::Todo { .. } = entry.what
        && entry.id > 0
    {
        by = format!("#{} {by}", entry.id);
    }
    let right = if by.is_empty() { Vec::new() } else { vec![piece(Role::Muted, by)] };
    (left, right)
}

/// The selected entry in full.
fn whole(canvas: &mut Canvas<'_>, area: Rect, entry: &Entry, clock: &Clock) {
    let by = match &entry.by {
        By::Midwatch => "observed by midwatch".to_owned(),
        By::Person(who) => ["said by ", &who.whole()].concat(),
    };
    let of = name(entry.scope.as_ref());
    let when =
        [clock.when(entry.at).as_str(), " ", clock.zone_name(), if of.is_empty() { "" } else { " · " }, of, " · "]
            .concat();
    let number = if entry.id > 0 { format!("#{}", entry.id) } else { "not on disk".to_owned() };
    canvas.heading(
        area,
        &[piece(Role::Muted, [&when, entry.what.kind(), " · ", &by].concat())],
        &[piece(Role::Muted, number)],
    );
    let (_, rest) = split_top(area, 1);
    let used = canvas.paragraph(rest, &entry.text(), Role::Text);
    let mut rest = split_top(rest, used).1;
    if let What::Opened(case) = &entry.what {
        for detail in case.details.iter().take(usize::from(rest.height)) {
            let (row, below) = split_top(rest, columns(1));
            canvas.put(row, detail, Role::Muted);
            rest = below;
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::app::record::Timeline;
    use crate::domain::id::HostId;
    use crate::domain::record::Who;
    use crate::domain::record::said::said;
    use crate::domain::time::Timestamp;
    use crate::ui::theme::Theme;
    use crate::ui::{Glyphs, Look};

    #[test]
    fn an_incident_that_is_over_is_still_named_as_the_report_names_it() {
        let t0 = Timestamp::from_millis(1_795_229_820_000);
        let look = Look {
            theme: Theme::built_in("mono").unwrap_or_else(|| unreachable!("it is built in")),
            glyphs: Glyphs::Ascii,
            zone: TimeZone::UTC,
        };
        let told = |lines: &[(i64, &str)], secs| {
            let now = t0.plus_secs(secs);
            let mut model = Model::new(now, Vec::new(), HostId("web1".to_owned()));
            let entries =
                lines.iter().filter_map(|(at, line)| said(line, &Who::default(), None, None, t0.plus_secs(*at)));
            let mut timeline = Timeline::default();
            timeline.take(entries.collect(), now);
            model.timeline = timeline;
            title(&model, &Clock::of(&model, &look))
        };
        assert_eq!(told(&[(0, "a note")], 60), "incident record · no incident");
        let on = [(0, "SEV-2 nobody can buy")];
        assert_eq!(told(&on, 60), "incident 20261121-0257 · SEV-2 · for 1m00s");
        let over = [(0, "SEV-2 nobody can buy"), (120, "SEV-3 some can"), (300, "RESOLVED")];
        assert_eq!(told(&over, 420), "incident 20261121-0257 · SEV-2 · over for 2m00s");
    }
}
