//! From a restore point to a plan, as transitions: what is offered, and what is filled in.
#![cfg(test)]

use midwatch::app::effect::Effect;
use midwatch::app::model::{Model, Overlay};
use midwatch::app::runbooks::Book;
use midwatch::app::runbooks::desk::{Desk, Errand, Wish};
use midwatch::app::view::backups::restore_points;
use midwatch::domain::backup::BackupsReading;
use midwatch::domain::backup::kind::Subject;
use midwatch::domain::backup::points::Point;
use midwatch::domain::reading::Reading;
use midwatch::runbook::spec::Risk;

use super::press;
use crate::backups::screen;

const BOOKS: [&str; 6] =
    ["prove-backup", "restart-services", "restore-database", "restore-files", "restore-point", "take-backup"];

fn book(id: &str) -> Book {
    Book {
        id: id.to_owned(),
        summary: String::new(),
        risk: Risk::Destructive,
        host: false,
        treats: Vec::new(),
        services: Vec::new(),
        steps: 1,
        built_in: true,
    }
}

fn model() -> Model {
    let mut model = screen::fresh();
    model.runbooks.books = BOOKS.map(book).to_vec();
    model
}

fn offered(model: &Model) -> Vec<String> {
    let Overlay::Desk(desk) = &model.overlay else { return Vec::new() };
    let Desk::Point { choices, .. } = desk.as_ref() else { return Vec::new() };
    choices.iter().map(|choice| choice.value.clone()).collect()
}

fn wished(effects: Vec<Effect>) -> Option<Wish> {
    effects
        .into_iter()
        .find_map(|effect| if let Effect::Errand(Errand::Plan(wish)) = effect { Some(wish) } else { None })
}

/// The model with a point selected that has this; the paths of its parts.
fn selected(mut model: Model, wanted: impl Fn(&Point<'_>) -> bool) -> (Model, Vec<String>) {
    let found = restore_points(&model).into_iter().find(|point| wanted(point));
    let (id, paths) = found.map(|p| (p.id().to_owned(), p.parts().map(|b| b.path.clone()).collect())).unwrap();
    model.backups.selected = Some(id);
    (model, paths)
}

fn both(point: &Point<'_>) -> bool {
    point.parts().count() == 2
}

/// A model without a backup of the database.
fn files_alone() -> Model {
    let mut model = model();
    if let Reading::Fresh { value, .. } = &mut model.sites[0].backups {
        value.backups.retain(|backup| backup.subject == Subject::Files);
    }
    model
}

#[test]
fn of_database_and_files_all_is_offered_and_both_are_filled_in() {
    let (mut model, paths) = selected(model(), both);
    assert_eq!(press(&mut model, "R"), []);
    assert_eq!(offered(&model), ["restore-point", "restore-database", "restore-files", "prove-backup", "take-backup"]);
    let site = model.sites[0].id.0.clone();
    for (keys, book, given) in [
        ("Enter", "restore-point", vec![("backup", &paths[0]), ("files", &paths[1])]),
        ("R j Enter", "restore-database", vec![("backup", &paths[0])]),
        ("R j j Enter", "restore-files", vec![("backup", &paths[1])]),
        ("R j j j Enter", "prove-backup", vec![("backup", &paths[0])]),
        ("R G Enter", "take-backup", vec![]),
    ] {
        let wish = wished(press(&mut model, keys)).unwrap();
        let given = given.into_iter().map(|(name, path)| (name.to_owned(), path.clone())).collect();
        assert_eq!((wish.book.as_str(), wish.site.as_deref(), wish.given), (book, Some(site.as_str()), given));
        press(&mut model, "Esc");
    }
}

#[test]
fn of_files_alone_no_database_is_restored() {
    let (mut model, paths) = selected(files_alone(), |point| point.database.is_none());
    press(&mut model, "R");
    assert_eq!(offered(&model), ["restore-files", "prove-backup", "take-backup"]);
    let wish = wished(press(&mut model, "Enter")).unwrap();
    assert_eq!(wish.given["backup"], paths[0]);
}

#[test]
fn what_is_gone_by_then_is_not_planned_with() {
    let (mut model, _) = selected(model(), both);
    press(&mut model, "R");
    let none = BackupsReading::default();
    let at = model.now;
    model.sites[0].backups = Reading::Fresh { value: none, at, took_ms: 1 };
    assert_eq!(wished(press(&mut model, "Enter")), None);
    assert!(model.toast.as_ref().is_some_and(|toast| toast.text.contains("is not there any more")));
    // Where there is none, one can be taken.
    model.backups.selected = None;
    let wish = wished(press(&mut model, "R")).unwrap();
    assert_eq!((wish.book.as_str(), wish.given.len()), ("take-backup", 0));
}
