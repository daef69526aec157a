//! From a wish to a run: what the operator's keys do on the way, and what comes back.

use super::toast;
use crate::app::effect::Effect;
use crate::app::key::{Chord, Key};
use crate::app::line::Line;
use crate::app::model::{Model, Overlay, Screen};
use crate::app::runbooks::Book;
use crate::app::runbooks::desk::{Again, Card, Choice, Desk, Errand, NoPlan, Wish};
use crate::app::view::runbooks::{self, run_id};
use crate::domain::text::plain;
use crate::runbook::approval::{Armed, Challenge};
use crate::runbook::plan::Plan;
use crate::runbook::run::Word;
use crate::triage::Finding;

/// The longest text that can be typed into a line.
const LINE_MAX: usize = 200;
/// The smallest terminal on which a card can be read: columns, rows.
const READABLE: (u16, u16) = (40, 10);

/// Covers the screen with this.
pub(super) fn lay(model: &mut Model, desk: Desk) {
    model.overlay = Overlay::Desk(Box::new(desk));
}

/// What mends the finding, what can be done with a backup, the selected runbook's plan, or the answer to the watched run's
/// question.
pub(super) fn asked(model: &mut Model) -> Vec<Effect> {
    if model.screen == Screen::Runbooks {
        if let Some(run) = runbooks::watched(model).and_then(|id| model.runbooks.run(id)) {
            if run.ways_on().is_empty() {
                answer(model);
            } else {
                ways(model);
            }
            return Vec::new();
        }
        let picked = runbooks::book(model).map(|(book, finding)| wish(model, book, finding));
        if let Some(wish) = picked {
            return plan(model, wish);
        }
        toast(model, "a run is selected: Enter shows it; runbooks stand below".to_owned());
        return Vec::new();
    }
    if model.screen == Screen::Backups {
        return super::point::asked(model);
    }
    let Some(finding) = runbooks::finding(model).cloned() else {
        toast(model, "R is for findings (1), backups (8) and runbooks (9)".to_owned());
        return Vec::new();
    };
    let books: Vec<Book> = runbooks::treating(model, &finding).into_iter().cloned().collect();
    match books.as_slice() {
        [] => toast(model, format!("no runbook treats {}; 9 shows all there are", finding.rule)),
        [only] => {
            let wish = wish(model, only, Some(&finding));
            return plan(model, wish);
        }
        several => {
            let choices = several.iter().map(|b| Choice { value: b.id.clone(), label: b.summary.clone() }).collect();
            lay(model, Desk::Which { finding: finding.id(), choices, selected: 0 });
        }
    }
    Vec::new()
}

/// The site a finding is of, or else the one that is shown.
fn site_of(model: &Model, finding: Option<&Finding>) -> Option<String> {
    let of = finding.and_then(|finding| model.sites.iter().find(|site| site.id.0 == finding.site));
    of.or_else(|| model.site()).map(|site| site.id.0.clone())
}

/// The plan of a runbook, for what a finding is about as far as that is a service.
fn wish(model: &Model, book: &Book, finding: Option<&Finding>) -> Wish {
    let mut wish = Wish { book: book.id.clone(), ..Wish::default() };
    if !book.host {
        wish.site = site_of(model, finding);
    }
    // A finding about a service is of its role and name.
    let name = finding.and_then(|finding| finding.subject.split_once(' ')).map(|(_, name)| name);
    let site = model.sites.iter().find(|site| Some(&site.id.0) == wish.site.as_ref());
    let services = site.and_then(|site| site.services.value()).map(|reading| reading.services.as_slice());
    let known = services.unwrap_or_default().iter().find(|service| Some(service.name.as_str()) == name);
    if let (Some(service), [parameter]) = (known, book.services.as_slice()) {
        wish.given.insert(parameter.clone(), service.name.clone());
    }
    wish
}

/// Asks for the plan.
pub(super) fn plan(model: &mut Model, mut wish: Wish) -> Vec<Effect> {
    model.runbooks.asked = model.runbooks.asked.wrapping_add(1);
    wish.number = model.runbooks.asked;
    lay(model, Desk::Planning { wish: wish.clone(), since: model.now });
    vec![Effect::Errand(Errand::Plan(wish))]
}

/// The plan is there, or why it is not. One that nobody waits for any more is let go.
pub(super) fn planned(model: &mut Model, number: u64, plan: Result<Box<Plan>, NoPlan>) {
    let Overlay::Desk(desk) = &model.overlay else { return };
    let Desk::Planning { wish, .. } = desk.as_ref() else { return };
    if wish.number != number {
        return;
    }
    let wish = wish.clone();
    let next = match plan {
        Ok(plan) => {
            let challenge = Armed::unless(model.read_only).map(|armed| Challenge::about(&plan, &armed));
            let (line, said) = (Line::default(), None);
            Desk::Card(Box::new(Card {
                number,
                plan: *plan,
                again: None,
                challenge,
                seen: false,
                scroll: 0,
                line,
                said,
            }))
        }
        Err(NoPlan::Parameter { name, says, choices }) if choices.is_empty() => {
            Desk::Fill { wish, name, says, line: Line::default() }
        }
        Err(NoPlan::Parameter { name, says, choices }) => Desk::Choose { wish, name, says, choices, selected: 0 },
        Err(NoPlan::Impossible(why)) => Desk::Refused { title: wish.book, why, scroll: 0 },
    };
    lay(model, next);
}

/// A card was drawn: from now on what is typed is an answer to it.
pub(super) fn drawn(model: &mut Model, number: u64) {
    if let Overlay::Desk(desk) = &mut model.overlay
        && let Desk::Card(card) = desk.as_mut()
    {
        card.seen |= card.number == number;
    }
}

/// The number of the card that waits to be drawn.
pub fn unseen(model: &Model) -> Option<u64> {
    let Overlay::Desk(desk) = &model.overlay else { return None };
    let Desk::Card(card) = desk.as_ref() else { return None };
    (!card.seen && readable(model)).then_some(card.number)
}

const fn readable(model: &Model) -> bool {
    model.size.0 >= READABLE.0 && model.size.1 >= READABLE.1
}

/// What became of what was approved.
pub(super) fn started(model: &mut Model, number: u64, reply: Result<String, String>) {
    let mut waited = None;
    if let Overlay::Desk(desk) = &model.overlay
        && let Desk::Starting { number: of, title, .. } = desk.as_ref()
        && *of == number
    {
        waited = Some(title.clone());
    }
    match (reply, waited) {
        (Ok(run), Some(_)) => {
            model.overlay = Overlay::None;
            model.screen = Screen::Runbooks;
            model.runs.filter.clear();
            model.runs.selected = Some(run_id(&run));
            model.runs.open = Some(run_id(&run));
        }
        (Ok(run), None) => toast(model, format!("the run goes on: {run} (9)")),
        (Err(why), Some(title)) => lay(model, Desk::Refused { title, why, scroll: 0 }),
        (Err(why), None) => refused(model, why),
    }
}

/// Something was said to a run, or could not be.
pub(super) fn spoken(model: &mut Model, reply: Result<String, String>) {
    match reply {
        Ok(text) => toast(model, text),
        Err(why) => refused(model, why),
    }
}

/// In full where nothing else covers the screen.
fn refused(model: &mut Model, why: String) {
    if model.overlay == Overlay::None {
        lay(model, Desk::Refused { title: "not done".to_owned(), why, scroll: 0 });
    } else {
        toast(model, why);
    }
}

/// Ctrl-C while a run that goes on is watched; false: there is none.
pub(super) fn leaving(model: &mut Model) -> bool {
    let run = runbooks::watched(model).and_then(|id| model.runbooks.run(id)).filter(|run| run.ended.is_none());
    let Some(run) = run.filter(|run| run.lives).map(|run| run.id.clone()) else { return false };
    lay(model, Desk::Leave { run });
    true
}

/// Opens the answer to the watched run's question.
fn answer(model: &mut Model) {
    let run = runbooks::watched(model).and_then(|id| model.runbooks.run(id));
    let question = run.and_then(|run| run.question().map(|asked| (run.id.clone(), run.mine, run.owner.clone(), asked)));
    let Some((run, mine, owner, (step, question))) = question else {
        return toast(model, "the run asks nothing now".to_owned());
    };
    if model.read_only {
        return toast(model, "this midwatch only looks (read-only): nothing can be answered here".to_owned());
    }
    if !mine {
        return toast(model, format!("the run is {owner}'s: only who acts as {owner} can answer"));
    }
    lay(model, Desk::Answer { run, step, question, line: Line::default(), said: None });
}

/// Opens the ways to take up the watched run.
fn ways(model: &mut Model) {
    let Some(run) = runbooks::watched(model).and_then(|id| model.runbooks.run(id)) else { return };
    if !run.mine {
        let why = format!("the run is {0}'s: only who acts as {0} can take it up", run.owner);
        return toast(model, why);
    }
    let choice = |(flag, what): (&str, &str)| Choice { value: flag.to_owned(), label: what.to_owned() };
    let (run, choices) = (run.id.clone(), run.ways_on().into_iter().map(choice).collect());
    lay(model, Desk::Ways { run, choices, selected: 0 });
}

/// The card of a run that is taken up in this way: an approval again.
fn taken_up(model: &mut Model, id: &str, flag: &str) {
    let Some(run) = model.runbooks.run(id) else { return };
    let Some((_, says)) = run.ways_on().into_iter().find(|(known, _)| *known == flag) else { return };
    let choice = match flag {
        "--retry" => Some(Word::Retry),
        "--skip" => Some(Word::Skip),
        "--revert" => Some(Word::Revert),
        _ => None,
    };
    let seq = run.entries.last().map_or(0, |entry| entry.seq);
    let again = Some(Again { run: run.id.clone(), choice, says: says.to_owned(), seq });
    let plan = run.plan.clone();
    let challenge = Armed::unless(model.read_only).map(|armed| Challenge::again(&plan, model.now, &armed));
    model.runbooks.asked = model.runbooks.asked.wrapping_add(1);
    let (number, line) = (model.runbooks.asked, Line::default());
    let card = Card { number, plan, again, challenge, seen: false, scroll: 0, line, said: None };
    lay(model, Desk::Card(Box::new(card)));
}

/// A key while something of this covers the screen.
pub(super) fn pressed(model: &mut Model, chord: Chord, desk: Desk) -> Vec<Effect> {
    match desk {
        Desk::Which { finding, choices, selected } => match chosen(chord, &choices, selected) {
            Picked::Left => {}
            Picked::At(selected) => lay(model, Desk::Which { finding, choices, selected }),
            Picked::Taken(value) => {
                let finding = runbooks::findings(model).into_iter().find(|f| f.id() == finding).cloned();
                let book = model.runbooks.books.iter().find(|book| book.id == value);
                let wish = book.map(|book| self::wish(model, book, finding.as_ref()));
                return wish.map(|wish| plan(model, wish)).unwrap_or_default();
            }
        },
        Desk::Point { point, choices, selected } => match chosen(chord, &choices, selected) {
            Picked::Left => {}
            Picked::At(selected) => lay(model, Desk::Point { point, choices, selected }),
            Picked::Taken(book) => return super::point::taken(model, &point, &book),
        },
        Desk::Ways { run, choices, selected } => match chosen(chord, &choices, selected) {
            Picked::Left => {}
            Picked::At(selected) => lay(model, Desk::Ways { run, choices, selected }),
            Picked::Taken(flag) => taken_up(model, &run, &flag),
        },
        Desk::Choose { mut wish, name, says, choices, selected } => match chosen(chord, &choices, selected) {
            Picked::Left => {}
            Picked::At(selected) => lay(model, Desk::Choose { wish, name, says, choices, selected }),
            Picked::Taken(value) => {
                wish.given.insert(name, value);
                return plan(model, wish);
            }
        },
        Desk::Fill { mut wish, name, says, mut line } => match (chord.key, chord.ctrl) {
            (Key::Esc, _) => {}
            (Key::Enter, _) if !line.text().trim().is_empty() => {
                wish.given.insert(name, line.text().trim().to_owned());
                return plan(model, wish);
            }
            _ => {
                line.key(chord, LINE_MAX);
                lay(model, Desk::Fill { wish, name, says, line });
            }
        },
        Desk::Planning { .. } | Desk::Starting { .. } if chord.key == Key::Esc => {}
        kept @ (Desk::Planning { .. } | Desk::Starting { .. }) => lay(model, kept),
        Desk::Refused { title, why, scroll } => {
            if !matches!(chord.key, Key::Esc | Key::Enter | Key::Char('q')) {
                let scroll = scrolled(model, chord, scroll, true).unwrap_or(scroll);
                lay(model, Desk::Refused { title, why, scroll });
            }
        }
        Desk::Card(card) => return self::card(model, chord, card),
        Desk::Leave { run } => return leave(model, chord, run),
        Desk::Answer { run, step, question, line, .. } => {
            return answering(model, chord, (run, step), (question, line));
        }
    }
    Vec::new()
}

/// What a key does in a list of choices.
enum Picked {
    Left,
    At(usize),
    Taken(String),
}

fn chosen(chord: Chord, choices: &[Choice], selected: usize) -> Picked {
    let last = choices.len().saturating_sub(1);
    match (chord.key, chord.ctrl) {
        (Key::Esc | Key::Char('q'), false) => Picked::Left,
        (Key::Enter, _) => choices.get(selected).map_or(Picked::Left, |choice| Picked::Taken(choice.value.clone())),
        (Key::Up | Key::Char('k'), false) => Picked::At(selected.saturating_sub(1)),
        (Key::Down | Key::Char('j'), false) => Picked::At((selected + 1).min(last)),
        (Key::Home | Key::Char('g'), false) => Picked::At(0),
        (Key::End | Key::Char('G'), false) => Picked::At(last),
        _ => Picked::At(selected),
    }
}

/// Where a key scrolls to; `letters`: j and k scroll too. `None`: it does not.
fn scrolled(model: &Model, chord: Chord, scroll: usize, letters: bool) -> Option<usize> {
    let page = usize::from(model.size.1.saturating_sub(8)).max(1);
    Some(match (chord.key, chord.ctrl) {
        (Key::Up, _) => scroll.saturating_sub(1),
        (Key::Down, _) => scroll.saturating_add(1),
        (Key::Char('k'), false) if letters => scroll.saturating_sub(1),
        (Key::Char('j'), false) if letters => scroll.saturating_add(1),
        (Key::PageUp, _) | (Key::Char('u'), true) => scroll.saturating_sub(page),
        (Key::PageDown, _) | (Key::Char('d'), true) => scroll.saturating_add(page),
        _ => return None,
    })
}

/// The most lines anything here is scrolled by.
const FAR: usize = 2_000;

/// A key on a card. What is typed counts only once the card was drawn; only the exact text, and then Enter, approves.
fn card(model: &mut Model, chord: Chord, mut card: Box<Card>) -> Vec<Effect> {
    if chord.key == Key::Esc {
        return Vec::new();
    }
    let typing = card.challenge.is_some();
    if let Some(scroll) = scrolled(model, chord, card.scroll, !typing) {
        card.scroll = scroll.min(FAR);
        lay(model, Desk::Card(card));
        return Vec::new();
    }
    let Some(challenge) = card.challenge.clone().filter(|_| card.seen && readable(model)) else {
        lay(model, Desk::Card(card));
        return Vec::new();
    };
    if chord.key != Key::Enter {
        card.said = None;
        card.line.key(chord, LINE_MAX);
        lay(model, Desk::Card(card));
        return Vec::new();
    }
    // What needs no confirmation is approved by the empty text; a `y` says that Enter was meant.
    let exact = card.line.text() == card.wanted();
    let typed = challenge.confirm().text().to_owned();
    if !exact || !challenge.fits(&typed) {
        card.said = Some(format!("nothing was done: {} has to be typed exactly", card.wanted()));
        card.line = Line::default();
        lay(model, Desk::Card(card));
        return Vec::new();
    }
    let Card { number, plan, again, .. } = *card;
    lay(model, Desk::Starting { number, title: plan.title.clone(), since: model.now });
    vec![Effect::Errand(Errand::Start { number, plan: Box::new(plan), challenge, typed, again })]
}

/// What shall become of the run that is watched. Ctrl-C again leaves midwatch, and the run alone.
fn leave(model: &mut Model, chord: Chord, run: String) -> Vec<Effect> {
    let word = match (chord.key, chord.ctrl) {
        (Key::Char('a'), false) => Word::StopAfter,
        (Key::Char('n'), false) => Word::StopNow,
        (Key::Char('l'), false) => {
            model.runs.open = None;
            return Vec::new();
        }
        (Key::Esc, _) => return Vec::new(),
        _ => {
            lay(model, Desk::Leave { run });
            return Vec::new();
        }
    };
    if model.read_only {
        toast(model, "this midwatch only looks (read-only): it can't stop a run".to_owned());
        return Vec::new();
    }
    vec![Effect::Errand(Errand::Tell { run, word, step: None })]
}

/// A key while a question is answered: y or n, then Enter.
fn answering(
    model: &mut Model,
    chord: Chord,
    (run, step): (String, usize),
    (question, mut line): (String, Line),
) -> Vec<Effect> {
    let mut said = None;
    match (chord.key, chord.ctrl) {
        (Key::Esc, _) => return Vec::new(),
        (Key::Enter, _) => {
            let word = match line.text().as_str() {
                "y" => Some(Word::Proceed),
                "n" => Some(Word::Decline),
                _ => None,
            };
            if let Some(word) = word {
                return vec![Effect::Errand(Errand::Tell { run, word, step: Some(step) })];
            }
            said = Some(format!("nothing was said: `{}` is neither y nor n", plain(&line.text(), 20)));
            line = Line::default();
        }
        _ => {
            line.key(chord, LINE_MAX);
        }
    }
    lay(model, Desk::Answer { run, step, question, line, said });
    Vec::new()
}

/// Pasted text goes into a parameter, and into nothing that confirms.
pub(super) fn pasted(desk: &mut Desk, text: &str) {
    match desk {
        Desk::Fill { line, .. } => line.insert(text, LINE_MAX),
        Desk::Card(card) => card.said = Some("pasted text is no answer: it has to be typed".to_owned()),
        Desk::Answer { said, .. } => *said = Some("pasted text is no answer: it has to be typed".to_owned()),
        Desk::Which { .. }
        | Desk::Point { .. }
        | Desk::Ways { .. }
        | Desk::Planning { .. }
        | Desk::Choose { .. }
        | Desk::Starting { .. }
        | Desk::Refused { .. }
        | Desk::Leave { .. } => {}
    }
}
