//! Tasks that wait when the database changes: they are about rows of the one that is put away, and go with it.

use super::restore::small_step;
use super::{Act, Draft, PlannedStep};
use crate::backends::redis::parked::Tasks;
use crate::runbook::plan::tasks::TasksAct;

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
             aside with it. They come back with it, and are gone when {held} is."
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
            let act = Act::Tasks(TasksAct::Drop { with: with.to_owned() });
            let mut step = small_step("remove the tasks that were put aside", act);
            step.max_attempts = 3;
            self.steps.push(step);
        }
    }
}

/// A step and its way back.
fn both(name: &str, act: TasksAct, back: TasksAct) -> PlannedStep {
    let mut step = small_step(name, Act::Tasks(act));
    step.revert = Some(Act::Tasks(back));
    step.max_attempts = 3;
    step
}
