//! Where the container of a service is now: its address changes when it is made anew, and may then be another's.

use std::time::{Duration, Instant};

use super::errand::{Answer, Errand};
use crate::config::Contained;
use crate::discovery::socket::container::address_of;

/// How long Docker is waited for, connecting included.
const LIMIT: Duration = Duration::from_secs(2);

/// Its address.
///
/// # Errors
/// A sentence, where it has none, or Docker does not say.
pub(crate) async fn address(of: &Contained) -> Result<String, String> {
    let late = || format!("Docker at {} has not said where the container {of} is.", of.socket.display());
    let (mut errand, asked) = (Errand::default(), of.clone());
    errand.begin(move || address_of(&asked)).map_err(|error| error.to_string())?;
    match errand.answer(Instant::now() + LIMIT).await {
        Answer::Came(address) => address,
        Answer::Waiting(_) | Answer::Lost => Err(late()),
    }
}
