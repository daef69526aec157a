//! Eyes on a configuration: everything that watches, started for real, and a model that takes in what it sees.
#![cfg(test)]

use std::path::Path;
use std::time::Duration;

use midwatch::app::event::Event;
use midwatch::app::model::Model;
use midwatch::app::update::update;
use midwatch::config::load::{Request, load};
use midwatch::discovery::Surroundings;
use midwatch::triage::Finding;
use midwatch::watch::{self, Watch};
use tokio::time::{Instant, timeout_at};

/// How long a condition is waited for before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A midwatch without a screen.
pub(crate) struct Eyes {
    watch: Watch,
    wires: midwatch::runtime::driver::Wires,
    /// What it knows.
    pub(crate) model: Model,
}

impl Eyes {
    /// Opens eyes on a configuration text; `dir` takes the file and the state directory. Write `discover = false` into
    /// it, unless discovery is what is tested.
    pub(crate) fn open(dir: &Path, config: &str) -> Self {
        Self::open_with(dir, config, [])
    }

    /// The same with this environment.
    pub(crate) fn open_with<const N: usize>(dir: &Path, config: &str, env: [(String, String); N]) -> Self {
        let path = dir.join("midwatch.toml");
        std::fs::write(&path, config).unwrap();
        let request = Request { config: Some(path), state_dir: Some(dir.join("state")), ..Request::default() };
        let around = Surroundings { root: "/".into(), cwd: "/".into(), env: env.into(), ..Surroundings::default() };
        let config = std::sync::Arc::new(load(&request, &around).unwrap());
        let (watch, wires) = Watch::begin(&config);
        Self { watch, wires, model: watch::model(&config) }
    }

    /// Takes in what is seen until the condition holds.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Model) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.model) {
            let Ok(Some(event)) = timeout_at(deadline, self.wires.events.recv()).await else {
                let named: Vec<_> = self.model.findings.iter().map(|f| (f.id(), &f.title, &f.evidence)).collect();
                panic!("not within {PATIENCE:?}: {what}; findings: {named:#?}");
            };
            update(&mut self.model, event);
            update(&mut self.model, Event::Tick(midwatch::runtime::clock::now()));
        }
    }

    /// Waits until the top finding of the site or host `of` has this rule.
    pub(crate) async fn top(&mut self, of: &str, rule: &str) -> Finding {
        self.until(&format!("{rule} is the top finding of {of}"), |m| top(m, of).is_some_and(|f| f.rule == rule)).await;
        top(&self.model, of).unwrap().clone()
    }

    /// Waits until a finding of `of` has this rule, as a cause or below one: for notes, whose order is their age's.
    pub(crate) async fn told(&mut self, of: &str, rule: &str) {
        self.until(&format!("{rule} is told"), |m| m.findings.iter().any(|f| f.site == of && holds(f, rule))).await;
    }

    /// Waits until no finding of `of` has this rule, neither as a cause nor below one.
    pub(crate) async fn gone(&mut self, of: &str, rule: &str) {
        self.until(&format!("{rule} is gone"), |m| !m.findings.iter().any(|f| f.site == of && holds(f, rule))).await;
    }

    /// Ends everything.
    pub(crate) async fn end(self) {
        self.watch.end().await;
    }
}

/// The first finding of a site or host.
pub(crate) fn top<'m>(model: &'m Model, of: &str) -> Option<&'m Finding> {
    model.findings.iter().find(|f| f.site == of)
}

/// Whether the finding, or one below it, has this rule.
pub(crate) fn holds(finding: &Finding, rule: &str) -> bool {
    finding.rule == rule || finding.symptoms.iter().any(|f| holds(f, rule))
}
