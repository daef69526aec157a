//! What a key does, by mode.

use super::{desk, logs, observe, said, toast};
use crate::app::action::{ACTIONS, Action};
use crate::app::effect::Effect;
use crate::app::event::Storage;
use crate::app::key::{Chord, Key};
use crate::app::model::{Model, Overlay, Screen, ZOOMS};
use crate::app::runbooks::desk::Desk;
use crate::app::view;
use crate::app::view::logs::Wanted;

/// The longest text that can be typed into a line.
const LINE_MAX: usize = 200;
/// Lines of a screen that are not rows of its table.
const FRAME_LINES: u16 = 8;

/// A key was pressed.
pub(super) fn pressed(model: &mut Model, chord: Chord) -> Vec<Effect> {
    // The two ways out of anything, in every mode.
    if chord == Chord::ctrl('c') {
        let asked = matches!(&model.overlay, Overlay::Desk(desk) if matches!(desk.as_ref(), Desk::Leave { .. }));
        if !asked && desk::leaving(model) {
            return Vec::new();
        }
        return vec![Effect::Quit];
    }
    match std::mem::take(&mut model.overlay) {
        Overlay::None => match model.keymap.action(chord) {
            Some(action) => act(model, action),
            None => Vec::new(),
        },
        Overlay::Help { scroll } => help(model, chord, scroll),
        Overlay::Palette { input, selected } => palette(model, chord, input, selected),
        Overlay::Filter { before } => filter(model, chord, before),
        Overlay::Note { line, about } => said::typing(model, chord, line, about),
        Overlay::Timeline { typing } => timeline(model, chord, typing),
        Overlay::Desk(desk) => desk::pressed(model, chord, *desk),
    }
}

fn timeline(model: &mut Model, chord: Chord, typing: bool) -> Vec<Effect> {
    if typing {
        let typing = said::filtering(model, chord);
        model.overlay = Overlay::Timeline { typing };
        return Vec::new();
    }
    let page = page(model);
    let by = match model.keymap.action(chord) {
        Some(Action::Back | Action::Close | Action::Timeline) => {
            // The first step back clears the filter.
            if chord.key == Key::Esc && !model.timeline.table.filter.is_empty() {
                model.timeline.table.filter.clear();
                model.overlay = Overlay::Timeline { typing };
            }
            return Vec::new();
        }
        Some(Action::Quit) => return vec![Effect::Quit],
        Some(action @ (Action::Redraw | Action::Suspend | Action::Clock)) => {
            model.overlay = Overlay::Timeline { typing };
            return act(model, action);
        }
        Some(Action::Note | Action::PreviousMatch) => {
            said::note(model);
            return Vec::new();
        }
        Some(Action::Filter) => {
            model.overlay = Overlay::Timeline { typing: true };
            return Vec::new();
        }
        Some(Action::Up) => -1,
        Some(Action::Down) => 1,
        Some(Action::HalfPageUp) => -(page / 2).max(1),
        Some(Action::HalfPageDown) => (page / 2).max(1),
        Some(Action::PageUp) => -page,
        Some(Action::PageDown) => page,
        Some(Action::First) => isize::MIN,
        Some(Action::Last) => isize::MAX,
        Some(_) | None => 0,
    };
    said::step(model, by);
    model.overlay = Overlay::Timeline { typing };
    Vec::new()
}

/// Text was pasted: it goes where text is typed, and nowhere else.
pub(super) fn pasted(model: &mut Model, pasted: &str) {
    let text: String = pasted.chars().filter(|c| !c.is_control()).take(LINE_MAX).collect();
    match &mut model.overlay {
        Overlay::Palette { input, selected } => {
            input.push_str(&text);
            *input = input.chars().take(LINE_MAX).collect();
            *selected = 0;
        }
        Overlay::Filter { .. } => {
            let table = model.table_mut();
            table.filter.push_str(&text);
            table.filter = table.filter.chars().take(LINE_MAX).collect();
        }
        // A line break is a blank there: what was pasted stays one line.
        Overlay::Note { line, .. } => line.insert(pasted, crate::domain::record::LINE_MAX),
        Overlay::Timeline { typing: true } => model.timeline.table.filter.push_str(&text),
        Overlay::Desk(desk) => desk::pasted(desk, pasted),
        Overlay::None | Overlay::Help { .. } | Overlay::Timeline { typing: false } => {}
    }
}

fn help(model: &mut Model, chord: Chord, scroll: usize) -> Vec<Effect> {
    let page = usize::from(model.size.1.saturating_sub(6)).max(1);
    let last = ACTIONS.len();
    let scroll = match model.keymap.action(chord) {
        Some(Action::Help | Action::Back | Action::Close | Action::Open) => return Vec::new(),
        Some(Action::Quit) => return vec![Effect::Quit],
        Some(action @ (Action::Redraw | Action::Suspend)) => {
            model.overlay = Overlay::Help { scroll };
            return act(model, action);
        }
        Some(Action::Up) => scroll.saturating_sub(1),
        Some(Action::Down) => scroll + 1,
        Some(Action::PageUp | Action::HalfPageUp) => scroll.saturating_sub(page),
        Some(Action::PageDown | Action::HalfPageDown) => scroll + page,
        Some(Action::First) => 0,
        Some(Action::Last) => last,
        Some(_) | None => scroll,
    };
    model.overlay = Overlay::Help { scroll: scroll.min(last) };
    Vec::new()
}

fn palette(model: &mut Model, chord: Chord, mut input: String, selected: usize) -> Vec<Effect> {
    let matches = Model::palette_matches(&input);
    let last = matches.len().saturating_sub(1);
    let mut selected = selected.min(last);
    match (chord.key, chord.ctrl) {
        (Key::Esc, _) => return Vec::new(),
        (Key::Enter, _) => return matches.get(selected).map(|action| act(model, *action)).unwrap_or_default(),
        (Key::Up, _) | (Key::Char('p'), true) => selected = selected.saturating_sub(1),
        (Key::Down | Key::Tab, _) | (Key::Char('n'), true) => selected = (selected + 1).min(last),
        (Key::Backspace, _) => {
            if input.pop().is_none() {
                return Vec::new();
            }
            selected = 0;
        }
        (Key::Char('u'), true) => input.clear(),
        (Key::Char(c), false) if !chord.alt && input.chars().count() < LINE_MAX => {
            input.push(c);
            selected = 0;
        }
        _ => {}
    }
    model.overlay = Overlay::Palette { input, selected };
    Vec::new()
}

fn filter(model: &mut Model, chord: Chord, before: String) -> Vec<Effect> {
    let table = model.table_mut();
    match (chord.key, chord.ctrl) {
        (Key::Esc, _) => {
            table.filter = before;
            return Vec::new();
        }
        (Key::Enter, _) => return Vec::new(),
        (Key::Backspace, _) if table.filter.pop().is_none() => {
            return Vec::new();
        }
        (Key::Char('u'), true) => table.filter.clear(),
        (Key::Char(c), false) if !chord.alt && table.filter.chars().count() < LINE_MAX => table.filter.push(c),
        (Key::Up, _) => step(model, -1),
        (Key::Down, _) => step(model, 1),
        _ => {}
    }
    model.overlay = Overlay::Filter { before };
    Vec::new()
}

fn page(model: &Model) -> isize {
    isize::try_from(model.size.1.saturating_sub(FRAME_LINES).max(1)).unwrap_or(1)
}

fn step(model: &mut Model, by: isize) {
    if logs::stepped(model, by) {
        return;
    }
    // What is opened is moved, and not the list behind it.
    if view::finding::is_open(model) {
        model.finding_top = model.finding_top.saturating_add_signed(by).min(view::finding::last_top(model));
        return;
    }
    if view::runbooks::watched(model).is_some() {
        model.runbooks.scroll(by);
        return;
    }
    let rows = view::rows(model);
    let height = usize::try_from(page(model)).unwrap_or(1);
    model.table_mut().step(&rows, by, height);
}

/// Does what an action says.
fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Show(screen) => model.screen = screen,
        Action::NextScreen => cycle_screen(model, 1),
        Action::PreviousScreen => cycle_screen(model, Screen::ALL.len() - 1),
        Action::NextSite => next_site(model),
        Action::Up => step(model, -1),
        Action::Down => step(model, 1),
        Action::HalfPageUp | Action::PageUp if logs::scrolled(model, true) => {}
        Action::HalfPageDown | Action::PageDown if logs::scrolled(model, false) => {}
        Action::HalfPageUp => step(model, -(page(model) / 2).max(1)),
        Action::HalfPageDown => step(model, (page(model) / 2).max(1)),
        Action::PageUp => step(model, -page(model)),
        Action::PageDown => step(model, page(model)),
        Action::First => step(model, isize::MIN),
        Action::Last => step(model, isize::MAX),
        Action::Open => return open(model),
        Action::Runbook => return desk::asked(model),
        Action::Back => {
            back(model);
        }
        Action::Close => {
            if !back(model) {
                return vec![Effect::Quit];
            }
        }
        Action::SortNext => sort(model, 1),
        Action::SortPrevious => sort(model, usize::MAX),
        Action::SortReverse => {
            let table = model.table_mut();
            table.reversed = !table.reversed;
        }
        Action::Filter => {
            let before = model.table().filter.clone();
            model.table_mut().open = None;
            model.overlay = Overlay::Filter { before };
        }
        Action::NextError => logs::seek(model, Wanted::Error, false),
        Action::PreviousError => logs::seek(model, Wanted::Error, true),
        Action::NextMatch => logs::seek(model, Wanted::Alike, false),
        // Elsewhere there is nothing to find again, and N is for notes.
        Action::PreviousMatch if model.screen != Screen::Logs => said::note(model),
        Action::PreviousMatch => logs::seek(model, Wanted::Alike, true),
        Action::LogLevel => logs::level(model),
        Action::LogGroups => logs::groups(model),
        Action::TextRight => logs::shift(model, true),
        Action::TextLeft => logs::shift(model, false),
        Action::Pause => pause(model),
        Action::PollNow => {
            let text = match model.site().map(|s| &s.storage).or_else(|| model.host().map(|h| &h.storage)) {
                Some(Storage::Reader { pid, .. }) => format!("midwatch {pid} polls; what it sees comes within seconds"),
                Some(Storage::Starting | Storage::Poller | Storage::Memory(_)) | None => {
                    "looking now, as far as that does no harm".to_owned()
                }
            };
            toast(model, text);
            return vec![Effect::PollNow];
        }
        Action::ZoomOut => model.zoom = (model.zoom + 1).min(ZOOMS.len() - 1),
        Action::ZoomIn => model.zoom = model.zoom.saturating_sub(1),
        Action::Clock => model.utc_first = !model.utc_first,
        Action::NextTheme => model.theme = (model.theme + 1) % model.themes.max(1),
        Action::Note => said::note(model),
        Action::Acknowledge => said::acknowledge(model),
        Action::Timeline => model.overlay = Overlay::Timeline { typing: false },
        Action::Severity(severity) => return said::severity(model, Some(severity)),
        Action::Resolved => return said::severity(model, None),
        Action::Copy => return copy(model),
        Action::CopyScreen => return vec![Effect::CopyScreen],
        Action::Help => model.overlay = Overlay::Help { scroll: 0 },
        Action::Palette => model.overlay = Overlay::Palette { input: String::new(), selected: 0 },
        Action::Redraw => return vec![Effect::Redraw],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Quit => return vec![Effect::Quit],
    }
    Vec::new()
}

fn cycle_screen(model: &mut Model, by: usize) {
    let all = Screen::ALL;
    let at = all.iter().position(|s| *s == model.screen).unwrap_or(0);
    if let Some(screen) = all.get((at + by) % all.len()) {
        model.screen = *screen;
    }
}

fn next_site(model: &mut Model) {
    model.site_index = (model.site_index + 1) % model.sites.len().max(1);
    match (model.sites.len(), model.site()) {
        (2.., Some(site)) => {
            let title = site.title.clone();
            toast(model, title);
        }
        _ => toast(model, "only one site is watched".to_owned()),
    }
    for table in [
        &mut model.requests,
        &mut model.tasks,
        &mut model.data,
        &mut model.services,
        &mut model.logs,
        &mut model.log_groups,
        &mut model.backups,
    ] {
        table.open = None;
    }
}

fn open(model: &mut Model) -> Vec<Effect> {
    // A process has nothing to open: its row says all there is.
    if model.screen == Screen::Host {
        return Vec::new();
    }
    // A runbook opens as its plan, a run that asks as its question.
    let opened = model.screen == Screen::Runbooks && model.runs.open.is_some();
    if opened || (model.screen == Screen::Runbooks && view::runbooks::book(model).is_some()) {
        let asks = view::runbooks::watched(model).and_then(|id| model.runbooks.run(id)?.question()).is_some();
        return if opened && !asks { Vec::new() } else { desk::asked(model) };
    }
    if view::finding::is_open(model) {
        return Vec::new();
    }
    model.finding_top = 0;
    let rows = view::rows(model);
    let table = model.table_mut();
    table.open = rows.get(table.position(&rows)).cloned();
    table.selected = table.open.clone().or(table.selected.take());
    Vec::new()
}

/// One level back: close what is open, clear the filter, leave the screen for Now. False if there was no way back.
fn back(model: &mut Model) -> bool {
    let table = model.table_mut();
    if table.open.take().is_some() {
        return true;
    }
    if !table.filter.is_empty() {
        table.filter.clear();
        return true;
    }
    let before = std::mem::replace(&mut model.screen, Screen::Now);
    before != Screen::Now
}

fn sort(model: &mut Model, by: usize) {
    let sorts = view::sorts(model.screen);
    if sorts.is_empty() {
        return;
    }
    if model.screen == Screen::Logs && !model.log_view.grouped {
        toast(model, "lines stand in the order of their time; groups can be sorted".to_owned());
        return;
    }
    let table = model.table_mut();
    table.sort = if by == 1 { (table.sort + 1) % sorts.len() } else { (table.sort + sorts.len() - 1) % sorts.len() };
    table.reversed = false;
    table.offset = 0;
    table.selected = None;
}

fn pause(model: &mut Model) {
    if model.paused.take().is_some() {
        observe::release(model);
    } else {
        model.paused = Some(model.now);
    }
}

fn copy(model: &mut Model) -> Vec<Effect> {
    let text = match model.screen {
        Screen::Now => {
            let rows = view::findings(model);
            let ids: Vec<String> = rows.iter().map(|(_, f)| f.id()).collect();
            rows.get(model.now_table.position(&ids)).map(|(_, f)| format!("{}: {} ({})", f.site, f.title, f.evidence))
        }
        Screen::Host => {
            let rows = view::processes(model);
            let ids: Vec<String> = rows.iter().map(|p| p.pid.to_string()).collect();
            rows.get(model.processes.position(&ids)).map(|p| format!("{} {}", p.pid, p.command))
        }
        Screen::Logs => logs::copied(model),
        Screen::Runbooks => {
            // The id alone, as commands take it.
            let rows = view::rows(model);
            let row = model.runs.open.as_ref().or_else(|| rows.get(model.runs.position(&rows)));
            row.and_then(|row| row.split_once(' ')).map(|(_, id)| id.to_owned())
        }
        Screen::Requests | Screen::Tasks | Screen::Data | Screen::Services | Screen::Backups => {
            let rows = view::rows(model);
            rows.get(model.table().position(&rows)).cloned()
        }
    };
    if let Some(text) = text {
        return vec![Effect::Copy(text)];
    }
    toast(model, "nothing is selected".to_owned());
    Vec::new()
}
