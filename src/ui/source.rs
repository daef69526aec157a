//! How old what is shown is, or why there is nothing: the state of a reading, whatever it reads.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, piece, split_top};
use super::clock::Clock;
use super::format;
use super::theme::Role;
use crate::app::model::{Host, Site};
use crate::domain::id::SourceKind;
use crate::domain::reading::Reading;
use crate::domain::time::Timestamp;

/// Seconds after which a question without an answer is worth a word.
const SLOW_S: u64 = 3;

/// The state of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State<'a> {
    /// Nothing has come yet.
    Waiting,
    /// Seen at this time.
    Fresh(Timestamp),
    /// Seen at this time; looking has failed since.
    Stale(Timestamp, Timestamp, &'a str),
    /// Never seen; looking has failed since.
    Failed(Timestamp, &'a str),
    /// Can't be seen.
    Unseen(&'a str),
}

/// A source on the screen: which one, its state, and whether a question is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source<'a> {
    /// Which one.
    pub(super) kind: SourceKind,
    /// Its state.
    pub(super) state: State<'a>,
    /// Since when a question is under way.
    pub(super) asking: Option<Timestamp>,
}

impl<'a> Source<'a> {
    /// Of a reading.
    pub(super) fn of<T>(kind: SourceKind, reading: &'a Reading<T>, asking: Option<Timestamp>) -> Self {
        let state = match reading {
            Reading::Never => State::Waiting,
            Reading::Fresh { at, .. } => State::Fresh(*at),
            Reading::Stale { at, failed_since, why, .. } => State::Stale(*at, *failed_since, why),
            Reading::Failed { failed_since, why } => State::Failed(*failed_since, why),
            Reading::Unseen { why } => State::Unseen(why),
        };
        Self { kind, state, asking }
    }

    /// Every source of a site, in the order of display.
    pub(super) fn all(site: &'a Site) -> impl Iterator<Item = Self> + use<'a> {
        SourceKind::ALL.into_iter().filter(|kind| site.sources.contains(kind)).map(|kind| Self::at(site, kind))
    }

    /// One source of a site; the host is none of them and shows as waiting.
    pub(super) fn at(site: &'a Site, kind: SourceKind) -> Self {
        let asking = site.asking_since(kind);
        match kind {
            SourceKind::Health => Self::of(kind, &site.health, asking),
            SourceKind::Direct => Self::of(kind, &site.direct, asking),
            SourceKind::Traffic => Self::of(kind, &site.traffic, asking),
            SourceKind::Database => Self::of(kind, &site.database, asking),
            SourceKind::Redis => Self::of(kind, &site.redis, asking),
            SourceKind::Access => Self::of(kind, &site.access, asking),
            SourceKind::Services => Self::of(kind, &site.services, asking),
            SourceKind::Logs => Self::of(kind, &site.logs, asking),
            SourceKind::Backups => Self::of(kind, &site.backups, asking),
            SourceKind::App => Self::of(kind, &site.on_disk, asking),
            SourceKind::Host
            | SourceKind::Changes
            | SourceKind::Schedule
            | SourceKind::Updates
            | SourceKind::People => Self { kind, state: State::Waiting, asking },
        }
    }

    /// The source of a host.
    pub(super) fn host(host: &'a Host) -> Self {
        Self::of(SourceKind::Host, &host.reading, None)
    }

    /// Every source of a host.
    pub(super) fn hosts(host: &'a Host) -> [Self; 5] {
        [
            Self::host(host),
            Self::of(SourceKind::Changes, &host.changes, None),
            Self::of(SourceKind::Schedule, &host.schedule, None),
            Self::of(SourceKind::Updates, &host.updates, None),
            Self::of(SourceKind::People, &host.people, None),
        ]
    }

    /// Seconds a question has been without an answer, when that is long enough to say.
    pub(super) fn unanswered(&self, now: Timestamp) -> Option<u64> {
        self.asking.map(|since| now.secs_since(since)).filter(|secs| *secs >= SLOW_S)
    }

    /// Whether its value is the current one: seen by the last look, and no later question waits for its answer.
    pub(super) fn is_current(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Fresh(_)) && self.unanswered(now).is_none()
    }

    /// A value of this source as it may be shown: what is no longer current is never shown as fine.
    pub(super) fn value(&self, value: Option<Piece>, now: Timestamp) -> Piece {
        match value {
            None => piece(Role::Unknown, "? unknown"),
            Some(value) if self.is_current(now) => value,
            Some(value) => piece(Role::Muted, ["was ", &value.text].concat()),
        }
    }

    /// Its age in a few words.
    pub(super) fn age(&self, clock: &Clock) -> Piece {
        if let Some(secs) = self.unanswered(clock.now) {
            return piece(Role::Stale, ["no answer for ", &format::span(secs)].concat());
        }
        match self.state {
            State::Waiting => piece(Role::Unknown, "no answer yet"),
            State::Fresh(at) => piece(Role::Muted, format::ago(at, clock.now)),
            State::Stale(_, since, _) => piece(Role::Stale, ["stale since ", &clock.when(since)].concat()),
            State::Failed(since, _) => piece(Role::Stale, ["fails since ", &clock.when(since)].concat()),
            State::Unseen(_) => piece(Role::Unknown, "not seen"),
        }
    }

    /// Its age in as few words as can be.
    pub(super) fn short_age(&self, clock: &Clock) -> Piece {
        let span = |since: Timestamp| format::span(clock.now.secs_since(since));
        if let Some(secs) = self.unanswered(clock.now) {
            return piece(Role::Stale, ["no answer ", &format::span(secs)].concat());
        }
        match self.state {
            State::Stale(_, since, _) => piece(Role::Stale, ["stale ", &span(since)].concat()),
            State::Failed(since, _) => piece(Role::Stale, ["fails ", &span(since)].concat()),
            State::Waiting | State::Fresh(_) | State::Unseen(_) => self.age(clock),
        }
    }

    /// What has to be said about it beyond its age: why it is stale, or why there is nothing.
    pub(super) fn trouble(&self, clock: &Clock) -> Option<(String, Role)> {
        let asked = self.unanswered(clock.now).map(|secs| format!("; no answer for {} now", format::span(secs)));
        let asked = asked.unwrap_or_default();
        match self.state {
            State::Fresh(_) if asked.is_empty() => None,
            State::Fresh(at) => {
                let text = format!("▲ these are the values of {}{asked}", clock.when(at));
                Some((text, Role::Stale))
            }
            State::Waiting => Some((format!("? waiting for the first answer{asked}"), Role::Unknown)),
            State::Stale(at, since, why) => {
                let (at, since) = (clock.when(at), clock.when(since));
                let why = why.trim_end_matches('.');
                Some((format!("▲ stale since {since} — {why}{asked}. These are the values of {at}."), Role::Stale))
            }
            State::Failed(since, why) => {
                Some((format!("? never seen; fails since {} — {why}{asked}", clock.when(since)), Role::Unknown))
            }
            State::Unseen(why) => Some((format!("? can't be seen — {why}"), Role::Unknown)),
        }
    }

    /// A heading with the age at the right, and below it, where there is trouble, why; what is left of the area.
    pub(super) fn heading(&self, canvas: &mut Canvas<'_>, area: Rect, title: &[Piece], clock: &Clock) -> Rect {
        self.heading_with(canvas, area, title, &[], clock)
    }

    /// A heading that also tells the age of other sources.
    pub(super) fn heading_with(
        &self,
        canvas: &mut Canvas<'_>,
        area: Rect,
        title: &[Piece],
        others: &[Source<'_>],
        clock: &Clock,
    ) -> Rect {
        let mut right = vec![piece(Role::Muted, [self.kind.name(), " "].concat()), self.age(clock)];
        for other in others {
            let name = [" · ", other.kind.name(), " "].concat();
            right.extend([piece(Role::Muted, name), other.short_age(clock)]);
        }
        canvas.heading(area, title, &right);
        let (_, mut rest) = split_top(area, 1);
        if let Some((text, role)) = self.trouble(clock) {
            let most = if rest.height > 10 { 3 } else { 1 };
            let used = canvas.paragraph(split_top(rest, most).0, &text, role);
            rest = split_top(rest, used).1;
        }
        rest
    }
}
