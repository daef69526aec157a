//! The lane "what changed", and who else is here: what stands beside what broke.

use ratatui::layout::Rect;

use super::canvas::{Canvas, columns, piece, split_top};
use super::clock::Clock;
use super::format;
use super::source::{Source, State};
use super::theme::Role;
use crate::app::model::{Host, Model, Site};
use crate::domain::change::{Change, ChangeKind, Known};
use crate::domain::id::SourceKind;
use crate::domain::people::PresenceKind;
use crate::domain::time::Timestamp;

/// Changes that the lane would like to show.
const WANTED: usize = 8;
/// Those present that are named in one line.
const PRESENT: usize = 4;
/// A login older than this is of somebody who is not at work on this, in milliseconds: 12 hours.
const PRESENT_MS: u64 = 12 * 3_600_000;

/// The rows the lane would like to have: a heading, the newest changes, a line of who is here; none where there is
/// nothing to tell.
pub(super) fn wanted(model: &Model) -> u16 {
    let Some(host) = model.host() else { return 0 };
    let n = changes(host, model.site()).len().min(WANTED);
    let also = usize::from(also_here(host, model.shown_now()).is_some());
    if n + also == 0 { 0 } else { columns(1 + n + also) }
}

/// Draws the lane, the newest change first; the rows used.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) -> u16 {
    let Some(host) = model.host().filter(|_| area.height > 0) else { return 0 };
    let source = Source::of(SourceKind::Changes, &host.changes, None);
    canvas.heading(area, &[piece(Role::Title, "what changed")], &[source.age(clock)]);
    let (_, mut rest) = split_top(area, 1);
    let also = also_here(host, clock.now);
    let kept = u16::from(also.is_some() && rest.height > 1);
    match source.state {
        State::Unseen(why) | State::Failed(_, why) => {
            canvas.put(rest, &["? ", why].concat(), Role::Unknown);
            rest = split_top(rest, 1).1;
        }
        State::Waiting | State::Fresh(_) | State::Stale(..) => {}
    }
    let lane = changes(host, model.site());
    let rows = usize::from(rest.height.saturating_sub(kept));
    let times: Vec<String> = lane.iter().take(rows).map(|change| clock.when(change.at)).collect();
    let width = times.iter().map(|time| super::text::width(time)).max().unwrap_or(0);
    for (change, time) in lane.iter().zip(&times) {
        let (row, below) = split_top(rest, 1);
        rest = below;
        let pad = " ".repeat(width.saturating_sub(super::text::width(time)));
        let left = [piece(Role::Muted, [time, &pad, "  "].concat()), piece(role(change), change.text.as_str())];
        let who = change.who.iter().map(|who| piece(Role::Muted, who.as_str()));
        canvas.row(row, &left, &who.collect::<Vec<_>>());
    }
    if lane.is_empty() && matches!(source.state, State::Fresh(_)) {
        canvas.put(rest, "nothing in the last 30 days", Role::Muted);
        rest = split_top(rest, 1).1;
    }
    if let Some(also) = also.filter(|_| kept > 0) {
        let (row, below) = split_top(rest, 1);
        rest = below;
        canvas.put(row, &also, Role::Muted);
    }
    area.height - rest.height
}

/// What a change is worth to who looks for a cause.
const fn role(change: &Change) -> Role {
    match (change.kind, change.how) {
        (ChangeKind::Kill, _) => Role::Warning,
        (ChangeKind::Login, _) => Role::Muted,
        _ => Role::Text,
    }
}

/// The changes of the host, with the migrations of the shown site among them, the newest first.
fn changes(host: &Host, site: Option<&Site>) -> Vec<Change> {
    let mut out: Vec<Change> = host.changes.value().map(|reading| reading.changes.clone()).unwrap_or_default();
    let migrated = site.and_then(|site| site.database.value()?.migrations.as_ref());
    let migration = |at: Timestamp, what: String| Change::new(at, ChangeKind::Migration, what, Known::Logged);
    out.extend(
        migrated.into_iter().flatten().filter_map(|head| {
            Some(migration(head.at?, format!("migration {}.{} was applied", head.app, head.head())))
        }),
    );
    out.sort_by_key(|change| std::cmp::Reverse(change.at));
    out
}

/// Who else is here: `also here: an on pts/1 from 192.0.2.7, root: apt upgrade for 2m10s`.
pub(super) fn also_here(host: &Host, now: Timestamp) -> Option<String> {
    let people = &host.people.value()?.people;
    let recent = |at: Option<Timestamp>| at.is_none_or(|at| now.millis_since(at) <= PRESENT_MS);
    let here: Vec<_> = people.iter().filter(|p| p.kind != PresenceKind::Login || recent(p.since)).collect();
    let told = here.iter().take(PRESENT).map(|present| {
        let span = present.since.map(|since| format!(" for {}", format::span(now.secs_since(since))));
        match present.kind {
            PresenceKind::Login => format!("{} ({})", present.who, present.what),
            PresenceKind::Change | PresenceKind::Midwatch | PresenceKind::Client => {
                format!(
                    "{}: {}{}",
                    present.who,
                    crate::domain::text::plain(&present.what, 60),
                    span.unwrap_or_default()
                )
            }
        }
    });
    let told: Vec<String> = told.collect();
    let more = here.len().saturating_sub(PRESENT);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!told.is_empty()).then(|| ["also here: ", &told.join(", "), &more].concat())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use super::{draw, wanted};
    use crate::app::model::Model;
    use crate::domain::change::{Change, ChangeKind, ChangesReading, Known};
    use crate::domain::id::HostId;
    use crate::domain::people::{PeopleReading, Presence, PresenceKind};
    use crate::domain::reading::Reading;
    use crate::domain::time::Timestamp;
    use crate::ui::canvas::Canvas;
    use crate::ui::clock::Clock;
    use crate::ui::theme::Theme;
    use crate::ui::{Glyphs, Look};

    const NOW: Timestamp = Timestamp::from_millis(1_795_230_000_000);

    fn lines(model: &Model, width: u16, height: u16) -> Vec<String> {
        let look =
            Look { theme: Theme::built_in(Theme::NAMES[0]).unwrap(), glyphs: Glyphs::Unicode, zone: TimeZone::UTC };
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let clock = Clock::of(model, &look);
        let used = draw(&mut Canvas::new(&mut buffer, &look), area, model, &clock);
        assert!(used <= height);
        let row = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..used).map(row).collect()
    }

    #[test]
    fn the_lane_tells_the_newest_first_and_who_else_is_here() {
        let mut model = Model::new(NOW, Vec::new(), HostId("web1".to_owned()));
        assert_eq!(wanted(&model), 0);
        let change =
            |ago: i64, kind, text: &str| Change::new(NOW.plus_secs(-ago), kind, text.to_owned(), Known::Logged);
        let changes = vec![
            change(60, ChangeKind::Package, "apt: openssl 3.0.17 → 3.0.18, reboot needed").by(Some("an".to_owned())),
            change(900, ChangeKind::Config, "/etc/pretix/pretix.cfg was written"),
        ];
        let fresh = ChangesReading { changes, unseen: Vec::new() };
        model.hosts[0].changes = Reading::Fresh { value: fresh, at: NOW, took_ms: 1 };
        let people = vec![Presence {
            who: "root".to_owned(),
            what: "apt-get upgrade".to_owned(),
            since: Some(NOW.plus_secs(-130)),
            kind: PresenceKind::Change,
            pid: Some(7),
        }];
        let here = PeopleReading { people, unseen: Vec::new() };
        model.hosts[0].people = Reading::Fresh { value: here, at: NOW, took_ms: 1 };
        assert_eq!(wanted(&model), 4);
        let drawn = lines(&model, 70, 6);
        assert!(drawn[0].starts_with("what changed"), "{drawn:#?}");
        assert!(
            drawn[1].contains("apt: openssl 3.0.17 → 3.0.18, reboot needed") && drawn[1].ends_with("an"),
            "{drawn:#?}"
        );
        assert!(drawn[2].contains("/etc/pretix/pretix.cfg was written"));
        assert!(drawn[3].starts_with("also here: root: apt-get upgrade for"), "{drawn:#?}");
        for (width, height) in [(0, 0), (1, 1), (12, 2), (40, 3)] {
            lines(&model, width, height);
        }
    }
}
