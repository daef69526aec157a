//! Tasks that wait when the database changes: they are about rows of the one that is put away, and go with it.

use super::restore::small_step;
use super::{Act, Choice, Draft, NoPlan, PlannedStep, Subject};
use crate::backends::database::held::held;
use crate::backends::redis::parked::Tasks;
use crate::domain::database::Engine;
use crate::domain::redis::Parked;
use crate::domain::text::{count, plain, span};
use crate::runbook::plan::tasks::TasksAct;
use crate::runbook::spec::Parameter;

/// The step that puts what waits aside.
const PARK: &str = "put the waiting tasks aside";

impl Draft<'_> {
    /// The steps after an exchange: what waits goes aside with the database that is `held` from then on, and what was put
    /// aside with the `other`, which comes into use, comes back. None where the site has no broker.
    pub(super) async fn tasks_change(&mut self, held: &str, other: &str) -> Vec<PlannedStep> {
        let Some(config) = self.ground.site.and_then(|site| site.broker.as_ref().ok()) else { return Vec::new() };
        let seen = async {
            let tasks = Tasks::of(config).await?;
            Ok::<_, String>((tasks.waiting().await?, tasks.parked(other).await?))
        };
        let (waiting, parked) = match seen.await {
            Ok(seen) => seen,
            Err(why) => {
                self.costs.push(format!(
                    "Tasks that wait in the queues are not put aside, for they can't be seen: {why}. Workers will do them on a \
                     database that may lack what they are about."
                ));
                return Vec::new();
            }
        };
        self.costs.push(format!(
            "Tasks that wait in the queues when the databases change places are about the one that is put away: they are put \
             aside with {held}, and come back when that does. Or give-back-tasks gives them to the database in use, and \
             drop-tasks removes them, as the release of what is held does."
        ));
        self.at_risk.push(format!("{} tasks wait, workers hold {}", waiting.messages, waiting.held));
        let (park, back) = (
            TasksAct::Park { with: held.to_owned(), lists: waiting.lists.clone() },
            TasksAct::GiveBack { with: held.to_owned() },
        );
        let mut steps = vec![both(PARK, park, back)];
        if let Some(parked) = parked {
            self.at_risk.push(format!("{parked} tasks come back that were put aside with {other}"));
            let (back, park) = (
                TasksAct::GiveBack { with: other.to_owned() },
                TasksAct::Park { with: other.to_owned(), lists: waiting.lists },
            );
            steps.push(both("give back the tasks that were put aside", back, park));
        }
        steps
    }

    /// Before a held database is dropped: what was put aside with it goes, too.
    pub(super) async fn drop_tasks(&mut self, with: &str) {
        let Some(config) = self.ground.site.and_then(|site| site.broker.as_ref().ok()) else { return };
        let Ok(tasks) = Tasks::of(config).await else { return };
        if let Ok(Some(parked)) = tasks.parked(with).await {
            self.costs.push(format!("{parked} tasks that were put aside with {with} are removed with it."));
            self.steps.push(dropped(with));
        }
    }

    /// Tasks that were put aside, as a parameter.
    pub(super) async fn what_is_parked(&mut self, parameter: &Parameter, given: Option<&String>) -> Result<(), NoPlan> {
        let all = self.parked().await?;
        let age = |one: &Parked| span(self.ground.made.millis_since(one.since));
        let label = |one: &Parked| format!("{} · for {}", count(one.tasks, "task"), age(one));
        let choices: Vec<_> = all.iter().map(|one| Choice { value: one.with.clone(), label: label(one) }).collect();
        if choices.is_empty() {
            return Err(NoPlan::Impossible("midwatch has put no task of this site aside".to_owned()));
        }
        let (name, title) = (parameter.name.clone(), parameter.title.clone());
        let Some(value) = given else { return Err(NoPlan::Missing(name, title, choices)) };
        if !choices.iter().any(|choice| choice.value == *value) {
            let why = "is nothing that tasks were put aside with".to_owned();
            return Err(NoPlan::Wrong(name, plain(value, 60), why, choices));
        }
        self.count_on(Subject::Parked(value.clone())).await?;
        self.values.insert(name, value.clone());
        Ok(())
    }

    async fn parked(&self) -> Result<Vec<Parked>, NoPlan> {
        let site = self.ground.site.ok_or_else(|| NoPlan::Impossible("there is no site".to_owned()))?;
        let config = site.broker.as_ref().map_err(|why| NoPlan::Impossible(why.clone()))?;
        let seen = async { Tasks::of(config).await?.all_parked().await };
        seen.await.map_err(NoPlan::Impossible)
    }

    /// What was put aside goes back into its queues.
    pub(super) async fn give_back_tasks(&mut self, with: &str) -> Result<(), NoPlan> {
        self.told_of(with, "come back into their queues").await?;
        self.costs.push(
            "Workers do these tasks at once, on the database in use, which may lack what they are about: a task whose order \
             is not there fails, and mail may go out that no longer fits."
                .to_owned(),
        );
        let mut step = small_step("give the tasks back", Act::Tasks(TasksAct::GiveBack { with: with.to_owned() }));
        step.max_attempts = 3;
        self.steps.push(step);
        Ok(())
    }

    /// What was put aside is removed.
    pub(super) async fn drop_parked(&mut self, with: &str) -> Result<(), NoPlan> {
        self.told_of(with, "are removed: nobody will ever do them").await?;
        self.steps.push(dropped(with));
        Ok(())
    }

    /// How many there are, and whether what they are about is still held.
    async fn told_of(&mut self, with: &str, what: &str) -> Result<(), NoPlan> {
        let tasks = self.count_on(Subject::Parked(with.to_owned())).await?;
        self.costs.push(format!("{tasks} put aside with {}: they {what}.", plain(with, 200)));
        let held = self.held_for_tasks().await;
        if let Some(runbook) = held.iter().find(|(name, _)| name == with).map(|(_, runbook)| runbook) {
            self.costs.push(format!(
                "The database they are about is still held: {runbook} would put it back into use with them, and will do \
                 so without."
            ));
        }
        Ok(())
    }

    /// What is held of the site, and what puts it back.
    async fn held_for_tasks(&self) -> Vec<(String, &'static str)> {
        let Some(site) = self.ground.site else { return Vec::new() };
        let files = crate::backends::look::files::held(site);
        let files = files.into_iter().filter(|held| held.database).map(|held| (held.path, "swap-back-file"));
        let databases = match &site.database {
            Ok(database) if database.engine != Engine::Sqlite => held(database).await.unwrap_or_default(),
            Ok(_) | Err(_) => Vec::new(),
        };
        files.chain(databases.into_iter().map(|held| (held.name, "swap-back"))).collect()
    }
}

/// The step that removes what was put aside with something.
fn dropped(with: &str) -> PlannedStep {
    let act = Act::Tasks(TasksAct::Drop { with: with.to_owned() });
    let mut step = small_step("remove the tasks that were put aside", act);
    step.max_attempts = 3;
    step
}

/// A step and its way back.
fn both(name: &str, act: TasksAct, back: TasksAct) -> PlannedStep {
    let mut step = small_step(name, Act::Tasks(act));
    step.revert = Some(Act::Tasks(back));
    step.max_attempts = 3;
    step
}
