//! The practice site's worker: takes tasks from the database, one at a time.

use std::time::{Duration, Instant};

use super::{Fault, Ground, database, metrics};

/// How often an empty queue is looked at.
const IDLE: Duration = Duration::from_millis(400);

/// Works until the process ends.
///
/// # Errors
/// When the database can't be opened.
pub async fn work(ground: Ground) -> color_eyre::Result<()> {
    let mut db = database::open(&ground.database()).await?;
    let mut done: u64 = 0;
    loop {
        // A locked database is waited for and tried again: tasks are never lost to it.
        let Ok(Some(task)) = database::take_task(&mut db).await else {
            tokio::time::sleep(IDLE).await;
            continue;
        };
        let begun = Instant::now();
        done += 1;
        tokio::time::sleep(Duration::from_millis(15 + done * 37 % 60)).await;
        let failed = ground.fault() == Some(Fault::Errors) && done.is_multiple_of(3);
        // Every seventeenth order is sold out: an error the application expects.
        let status = match (failed, task.ends_with("perform_order") && done.is_multiple_of(17)) {
            (true, _) => "error",
            (false, true) => "expected-error",
            (false, false) => "success",
        };
        let mut counters = vec![(format!("pretix_task_runs_total{{task_name=\"{task}\",status=\"{status}\"}}"), 1.0)];
        if status == "success" {
            let labels = format!("task_name=\"{task}\"");
            counters.extend(metrics::observation(
                "pretix_task_duration_seconds",
                &labels,
                begun.elapsed().as_secs_f64(),
            ));
        }
        database::add(&mut db, &counters).await.ok();
    }
}
