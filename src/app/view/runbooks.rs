//! The rows of Runbooks: runs, those that go on first, then the newest; below them the catalogue, what treats a finding of
//! now first.

use crate::app::model::{Model, Screen};
use crate::app::runbooks::{Book, Run};
use crate::triage::Finding;

/// A row.
#[derive(Debug, Clone, Copy)]
pub enum Row<'m> {
    /// A run.
    Run(&'m Run),
    /// A runbook, and what it would treat now.
    Book(&'m Book, Option<&'m Finding>),
}

impl Row<'_> {
    /// Its identity.
    pub fn id(&self) -> String {
        match self {
            Self::Run(run) => run_id(&run.id),
            Self::Book(book, _) => ["book ", &book.id].concat(),
        }
    }
}

/// The identity of a run's row.
pub fn run_id(run: &str) -> String {
    ["run ", run].concat()
}

/// Every finding, symptoms after their causes.
pub fn findings(model: &Model) -> Vec<&Finding> {
    fn walk<'m>(out: &mut Vec<&'m Finding>, finding: &'m Finding) {
        out.push(finding);
        for symptom in &finding.symptoms {
            walk(out, symptom);
        }
    }
    let mut out = Vec::new();
    for finding in &model.findings {
        walk(&mut out, finding);
    }
    out
}

/// The runbooks that treat a finding.
pub fn treating<'m>(model: &'m Model, finding: &Finding) -> Vec<&'m Book> {
    model.runbooks.books.iter().filter(|book| book.treats.contains(&finding.rule)).collect()
}

/// Runs, filtered: those that go on first.
pub fn runs(model: &Model) -> Vec<&Run> {
    let accepts = |run: &&Run| {
        let words = [run.plan.title.as_str(), run.on(), &run.by.user, run.standing().word(), &run.id];
        model.runs.accepts(&words.join(" "))
    };
    let all = model.runbooks.runs.iter().flatten().map(AsRef::as_ref);
    let mut out: Vec<&Run> = all.filter(accepts).collect();
    out.sort_by_key(|run| run.ended.is_some() || !run.lives);
    out
}

/// The catalogue, filtered: what treats a finding of now first, in the order of the findings.
pub fn books(model: &Model) -> Vec<(&Book, Option<&Finding>)> {
    let found = findings(model);
    let treated = |book: &Book| found.iter().position(|finding| book.treats.contains(&finding.rule));
    let books = model
        .runbooks
        .books
        .iter()
        .filter(|book| model.runs.accepts(&[book.id.as_str(), " ", &book.summary, " ", book.risk.word()].concat()));
    let mut out: Vec<_> = books.map(|book| (book, treated(book))).collect();
    out.sort_by_key(|(_, treated)| treated.unwrap_or(usize::MAX));
    out.into_iter().map(|(book, treated)| (book, treated.and_then(|at| found.get(at).copied()))).collect()
}

/// All rows, in display order.
pub fn all(model: &Model) -> Vec<Row<'_>> {
    let runs = runs(model).into_iter().map(Row::Run);
    runs.chain(books(model).into_iter().map(|(book, finding)| Row::Book(book, finding))).collect()
}

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    all(model).iter().map(Row::id).collect()
}

/// The id of the run that is watched: opened, on the screen that is shown.
pub fn watched(model: &Model) -> Option<&str> {
    model.runs.open.as_deref().filter(|_| model.screen == Screen::Runbooks)?.strip_prefix("run ")
}

/// The finding that is opened or selected on Now.
pub fn finding(model: &Model) -> Option<&Finding> {
    if model.screen != Screen::Now {
        return None;
    }
    if let Some(id) = &model.now_table.open {
        return findings(model).into_iter().find(|finding| finding.id() == *id);
    }
    let rows = super::findings(model);
    let ids: Vec<String> = rows.iter().map(|(_, finding)| finding.id()).collect();
    rows.get(model.now_table.position(&ids)).map(|(_, finding)| *finding)
}

/// The runbook that is selected.
pub fn book(model: &Model) -> Option<(&Book, Option<&Finding>)> {
    let rows = all(model);
    let ids: Vec<String> = rows.iter().map(Row::id).collect();
    match rows.get(model.runs.position(&ids)) {
        Some(Row::Book(book, finding)) => Some((book, *finding)),
        Some(Row::Run(_)) | None => None,
    }
}
