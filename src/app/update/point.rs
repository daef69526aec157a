//! From a restore point to a plan: what can be done with it, with its parts filled in.

use super::{desk, toast};
use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::app::runbooks::desk::{Choice, Desk, Wish};
use crate::app::view;
use crate::domain::backup::Backup;
use crate::domain::backup::points::Point;

/// What can be done with a restore point, in the order in which it is offered; of each runbook what it is given.
const BOOKS: [(&str, Gives, &str); 5] = [
    ("restore-point", Gives::Both, "database and files come back, exchanged together"),
    ("restore-database", Gives::Database, "the database comes back"),
    ("restore-files", Gives::Files, "a directory comes back"),
    ("prove-backup", Gives::One, "a drill: restored where nobody uses it, looked at, removed"),
    ("take-backup", Gives::Nothing, "a new backup of the site as it is now"),
];

/// What of a restore point a runbook is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    Both,
    Database,
    Files,
    /// The database, or the files where there is none.
    One,
    Nothing,
}

impl Gives {
    /// The parameters it fills in; `None`: the point has no such part, or none that lies in a file here.
    fn given<'p>(self, point: Option<&Point<'p>>) -> Option<Vec<(&'static str, &'p str)>> {
        let lies = |backup: Option<&'p Backup>| backup.map(|b| b.path.as_str()).filter(|path| path.starts_with('/'));
        let (database, files) = (lies(point.and_then(|p| p.database)), lies(point.and_then(|p| p.files)));
        match self {
            Self::Nothing => Some(Vec::new()),
            Self::Database => Some(vec![("backup", database?)]),
            Self::Files => Some(vec![("backup", files?)]),
            Self::One => Some(vec![("backup", database.or(files)?)]),
            Self::Both => (database? != files?).then_some(vec![("backup", database?), ("files", files?)]),
        }
    }
}

/// The point that is opened or selected.
fn selected(model: &Model) -> Option<Point<'_>> {
    let points = view::backups::restore_points(model);
    if let Some(open) = &model.backups.open {
        return points.into_iter().find(|point| point.id() == open);
    }
    let ids: Vec<String> = points.iter().map(|point| point.id().to_owned()).collect();
    points.into_iter().nth(model.backups.position(&ids))
}

/// Offers what can be done with it.
pub(super) fn asked(model: &mut Model) -> Vec<Effect> {
    if model.site().is_none() {
        toast(model, "no application is watched, so there is nothing to back up".to_owned());
        return Vec::new();
    }
    let point = selected(model);
    let known = |id: &str| model.runbooks.books.iter().any(|book| book.id == id);
    let choices: Vec<Choice> = BOOKS
        .iter()
        .filter(|(id, gives, _)| known(id) && gives.given(point.as_ref()).is_some())
        .map(|(id, _, what)| Choice { value: (*id).to_owned(), label: (*what).to_owned() })
        .collect();
    let id = point.map(|point| point.id().to_owned()).unwrap_or_default();
    match choices.as_slice() {
        [] => toast(model, "no runbook for backups is known here".to_owned()),
        // Nothing is there to restore.
        [only] if id.is_empty() => {
            let book = only.value.clone();
            return taken(model, &id, &book);
        }
        _ => desk::lay(model, Desk::Point { point: id, choices, selected: 0 }),
    }
    Vec::new()
}

/// One was chosen: its plan, with the parts of the point as they are now.
pub(super) fn taken(model: &mut Model, id: &str, book: &str) -> Vec<Effect> {
    let points = view::backups::restore_points(model);
    let point = points.iter().find(|point| point.id() == id);
    let gives = BOOKS.iter().find(|(known, ..)| *known == book).map(|(_, gives, _)| *gives);
    let Some(given) = gives.and_then(|gives| gives.given(point)) else {
        toast(model, format!("{id} is not there any more"));
        return Vec::new();
    };
    let given = given.into_iter().map(|(name, path)| (name.to_owned(), path.to_owned())).collect();
    let site = model.site().map(|site| site.id.0.clone());
    desk::plan(model, Wish { book: book.to_owned(), site, given, ..Wish::default() })
}
