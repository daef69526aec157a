//! Has everything looked at again as soon as a run has ended: what it has changed is seen at once.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::backends::journal;

/// How often ends of runs are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Asks for a look whenever a run has ended, whoever has started it.
pub(super) async fn follow(state: &Path, poll_now: watch::Sender<u64>) {
    let mut known = journal::ends(state);
    loop {
        sleep(LOOK).await;
        let ends = journal::ends(state);
        if ends != known {
            known = ends;
            poll_now.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}
