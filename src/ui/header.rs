//! What frames every screen: the line of where and when, the tabs, the verdict, and the footer.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, piece, split_top, width_of};
use super::clock::Clock;
use super::format;
use super::glyphs;
use super::theme::Role;
use super::verdict::verdict;
use crate::app::action::{ACTIONS, Action};
use crate::app::event::Storage;
use crate::app::model::{Model, Overlay, Screen};
use crate::app::view;
use crate::domain::level::Level;

/// Seconds for which a jump of the clock is worth a word.
const JUMP_S: u64 = 600;

/// The first three lines.
pub(super) fn top(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let (where_when, rest) = split_top(area, 1);
    let (tabs, last) = split_top(rest, 1);
    identity(canvas, where_when, model, clock);
    screens(canvas, tabs, model);
    state(canvas, last, model, clock);
}

fn identity(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let mut left = vec![piece(Role::Header, " ")];
    if let Some(site) = model.site() {
        left.push(piece(Role::Header, address(&site.url, &site.id.0)));
        if model.sites.len() > 1 {
            left.push(piece(Role::Muted, format!(" ({} of {})", model.site_index + 1, model.sites.len())));
        }
        if area.width >= 60 && !site.app.is_empty() {
            left.push(piece(Role::Text, ["  ", &site.app].concat()));
        }
        if area.width >= 110 && !site.title.is_empty() && site.title != site.id.0 {
            left.push(piece(Role::Muted, ["  “", &site.title, "”"].concat()));
        }
    } else {
        left.push(piece(Role::Header, "no application"));
    }
    if let Some(host) = model.host().filter(|_| area.width >= 70) {
        left.push(piece(Role::Muted, ["  ", &host.id.0].concat()));
    }
    let mut right = vec![
        piece(Role::Header, format::clock(model.now, &clock.zone)),
        piece(Role::Muted, [" ", clock.zone_name()].concat()),
    ];
    if area.width >= 64 {
        let time = format::hour_minute(model.now, &clock.other);
        right.push(piece(Role::Muted, ["  ", &time, " ", clock.other_name()].concat()));
    }
    let badges = [
        (model.site().is_some_and(|s| s.practice), Role::Practice, " PRACTICE "),
        (model.paused.is_some(), Role::Paused, " PAUSED "),
        (model.read_only, Role::ReadOnly, " RO "),
    ];
    for (_, role, text) in badges.into_iter().filter(|(shown, ..)| *shown) {
        right.extend([piece(Role::Text, " "), piece(role, text)]);
    }
    right.push(piece(Role::Text, " "));
    canvas.row(area, &left, &right);
}

/// Host and port of a URL; `otherwise` where it has none.
fn address(url: &str, otherwise: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().and_then(|host| host.rsplit('@').next()).unwrap_or_default();
    if host.is_empty() { otherwise.to_owned() } else { host.to_owned() }
}

/// The title of a screen.
pub(super) fn title(screen: Screen) -> &'static str {
    Action::Show(screen).spec().map_or("", |spec| spec.title)
}

fn screens(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let tabs = |brief: bool, before: &str| -> Vec<Piece> {
        let tab = |screen: Screen| {
            let label = model.keymap.label(Action::Show(screen));
            let named = screen == model.screen || !brief || label.is_empty();
            let (gap, title) =
                (if label.is_empty() || !named { "" } else { " " }, if named { title(screen) } else { "" });
            let text = [before, &label, gap, title, " "].concat();
            piece(if screen == model.screen { Role::TabSelected } else { Role::Tab }, text)
        };
        Screen::ALL.into_iter().map(tab).collect()
    };
    let table = model.table();
    let mut right = Vec::new();
    if !table.filter.is_empty() && !matches!(model.overlay, Overlay::Filter { .. }) {
        right = vec![piece(Role::Filter, ["filter: ", &table.filter].concat()), piece(Role::Muted, " ")];
    }
    // Where not all titles have room, the keys have, and the title of what is shown.
    let room = usize::from(area.width).saturating_sub(width_of(&right) + 1);
    let tight = [vec![piece(Role::Tab, " ")], tabs(false, "")].concat();
    let wide = [tabs(false, " "), tight].into_iter().find(|tabs| width_of(tabs) <= room);
    canvas.row(area, &wide.unwrap_or_else(|| tabs(true, " ")), &right);
}

fn state(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let verdict = verdict(model);
    let role = match verdict.level {
        Level::Ok => Role::VerdictOk,
        Level::Note => Role::VerdictNote,
        Level::Unknown => Role::VerdictUnknown,
        Level::Warning => Role::VerdictWarning,
        Level::Critical => Role::VerdictCritical,
    };
    let mut text = [" ", glyphs::level(verdict.level), " ", verdict.level.word()].concat();
    if let Some(since) = verdict.since {
        let span = format::span(clock.now.secs_since(since.at));
        text.push_str(&[" for ", if since.seen { "" } else { "≥ " }, &span].concat());
    }
    text.push_str(&[" — ", &verdict.text].concat());
    let count = format::plural(model.findings.len(), "finding") + " ";
    let left = [piece(role, text)];
    let fits = width_of(&left) + count.len() < usize::from(area.width);
    let right = if fits && !model.findings.is_empty() { vec![piece(role, count)] } else { Vec::new() };
    canvas.row(area, &left, &right);
    canvas.paint(area, role);
}

/// What has to be known about midwatch itself; mostly nothing.
pub(super) fn notes(model: &Model, clock: &Clock) -> Vec<String> {
    let mut notes = Vec::new();
    let storages = model.site().map(|s| &s.storage).into_iter().chain(model.host().map(|h| &h.storage));
    for storage in storages {
        let note = match storage {
            Storage::Starting | Storage::Poller => continue,
            Storage::Reader { pid, trouble: None } => format!("read from midwatch {pid}"),
            Storage::Reader { pid, trouble: Some(why) } => format!("midwatch {pid}, which polls, can't publish: {why}"),
            Storage::Memory(why) => format!("memory only: {why}"),
        };
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if let Some(why) = model.timeline.trouble.as_ref().filter(|why| !notes.iter().any(|note| note.contains(*why))) {
        notes.push(format!("incident record: {why}"));
    }
    if let Some(since) = model.paused {
        let held = format::plural(model.held.len(), "look");
        let span = format::span(model.now.secs_since(since));
        notes.push(format!("held still for {span}, {held} waiting"));
    }
    if let Some((at, millis)) = model.clock_jump.filter(|(at, _)| model.now.secs_since(*at) < JUMP_S) {
        let way = if millis < 0 { "back" } else { "ahead" };
        let span = format::millis(millis.unsigned_abs());
        notes.push(format!("the clock jumped {way} by {span} at {}", clock.when(at)));
    }
    if model.dropped > 0 {
        notes.push(format!("{} looks dropped: newer ones were there", model.dropped));
    }
    notes
}

/// The last lines: notes, where there are any, and the keys, a message, or the filter being typed.
pub(super) fn foot(canvas: &mut Canvas<'_>, area: Rect, model: &Model, notes: &[String]) {
    let (note_row, key_row) = split_top(area, area.height.saturating_sub(1));
    if !notes.is_empty() {
        canvas.put(note_row, &[" ", &notes.join(" · ")].concat(), Role::Muted);
    }
    if let Overlay::Filter { .. } = model.overlay {
        let left = [
            piece(Role::Filter, " filter: "),
            piece(Role::Text, model.table().filter.clone()),
            piece(Role::Selected, " "),
        ];
        let right = [
            piece(Role::Key, "Enter"),
            piece(Role::Muted, " keep  "),
            piece(Role::Key, "Esc"),
            piece(Role::Muted, " undo "),
        ];
        canvas.row(key_row, &left, &right);
    } else if let Some(toast) = model.toast.as_ref().filter(|toast| toast.until > model.now) {
        canvas.put(key_row, &[" ", &toast.text, " "].concat(), Role::Toast);
    } else {
        keys(canvas, key_row, model);
    }
}

/// Whether there is a plan to look at, or a question to answer.
fn runbook_useful(model: &Model) -> bool {
    if let Some(id) = view::runbooks::watched(model) {
        return model.runbooks.run(id).is_some_and(|run| run.question().is_some() || !run.ways_on().is_empty());
    }
    match model.screen {
        Screen::Runbooks => view::runbooks::book(model).is_some(),
        Screen::Now => view::runbooks::finding(model).is_some_and(|f| !view::runbooks::treating(model, f).is_empty()),
        Screen::Backups => model.site().is_some_and(|site| site.backups.value().is_some()),
        Screen::Requests | Screen::Tasks | Screen::Host | Screen::Data | Screen::Services | Screen::Logs => false,
    }
}

fn keys(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let mut specs: Vec<_> = ACTIONS.iter().filter_map(|spec| spec.footer.map(|rank| (rank, spec))).collect();
    specs.sort_by_key(|(rank, _)| *rank);
    let opened = model.table().open.is_some();
    let mut shown: Vec<Vec<Piece>> = Vec::new();
    let back = Action::Back.spec().filter(|_| opened || !model.table().filter.is_empty());
    let rows = view::rows(model).len();
    let ordered = model.screen == Screen::Logs && !model.log_view.grouped;
    let sorts = !ordered && !view::sorts(model.screen).is_empty();
    let runbook = runbook_useful(model);
    for spec in back.into_iter().chain(specs.into_iter().map(|(_, spec)| spec)) {
        let useless = (spec.action == Action::Open && (opened || rows == 0 || model.screen == Screen::Host))
            || (spec.action == Action::SortNext && (opened || rows < 2 || !sorts))
            || (spec.action == Action::Filter && (opened || (rows < 2 && model.table().filter.is_empty())))
            || (spec.action == Action::Runbook && !runbook)
            || (spec.action == Action::NextSite && model.sites.len() < 2);
        let label = model.keymap.label(spec.action);
        if !useless && !label.is_empty() {
            shown.push(vec![piece(Role::Key, label), piece(Role::Footer, [" ", spec.title].concat())]);
        }
    }
    let mut line = vec![piece(Role::Footer, " ")];
    for (at, item) in shown.into_iter().enumerate() {
        let gap = if at == 0 { "" } else { "  " };
        if width_of(&line) + gap.len() + width_of(&item) > area.width.into() {
            break;
        }
        line.push(piece(Role::Footer, gap));
        line.extend(item);
    }
    canvas.pieces(area, &line);
}
