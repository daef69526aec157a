//! Whether something is so: looked at again and again, for as long as it may still come.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{LOOK, Run};
use crate::domain::text::span;
use crate::runbook::plan::{Act, Probe};

/// For how long a service that was started may not be there. One that comes up slowly is there meanwhile: its process, or
/// its manager, which says that it starts.
pub(in super::super) const DOWN: Duration = Duration::from_secs(10);

impl Run<'_> {
    /// Looks until it holds, the time is over, or the operator stops it.
    pub(super) async fn until(&mut self, probe: &Probe, deadline: Instant) -> Result<Result<String, String>, String> {
        self.looked(probe, deadline, None).await
    }

    /// The same for what an act has brought about. A service that was started and stays down does not come up by itself;
    /// one whose keeper is waited for may.
    pub(super) async fn verified(
        &mut self,
        act: &Act,
        probe: &Probe,
        deadline: Instant,
    ) -> Result<Result<String, String>, String> {
        let comes = matches!(act, Act::Wait(_) | Act::Probe(_));
        self.looked(probe, deadline, (!comes).then_some(DOWN)).await
    }

    async fn looked(
        &mut self,
        probe: &Probe,
        deadline: Instant,
        most: Option<Duration>,
    ) -> Result<Result<String, String>, String> {
        let mut down = None;
        loop {
            let why = match self.holds(probe).await {
                Ok(how) => return Ok(Ok(how)),
                Err(why) => why,
            };
            self.listen().await?;
            if *self.stop.borrow() {
                return Ok(Err(format!("stopped while it was waited for: {why}")));
            }
            if Instant::now() >= deadline {
                return Ok(Err(format!("not within its time: {why}")));
            }
            if let Some(most) = most {
                let since = self.tools.looker.down(probe).await.then(|| *down.get_or_insert_with(Instant::now));
                down = since;
                if since.is_some_and(|since| since.elapsed() >= most) {
                    let most = span(u64::try_from(most.as_millis()).unwrap_or(u64::MAX));
                    return Ok(Err(format!(
                        "it was started, and has not run for {most}: {why}; its own log says why it ended"
                    )));
                }
            }
            sleep(LOOK.min(deadline - Instant::now())).await;
        }
    }
}
