//! From a plan to the permission to act: asked, answered, checked again, spent.
//!
//! Invariant: a [`Permit`] comes from [`approve`] and [`Good::spent`] alone, which the runner calls and nobody else. It can't be made,
//! copied or read from anywhere:
//!
//! ```compile_fail
//! let permit = midwatch::runbook::approval::Permit(());
//! ```
//!
//! ```compile_fail
//! fn twice(permit: midwatch::runbook::approval::Permit) {
//!     let copy = permit.clone();
//! }
//! ```
//!
//! ```compile_fail
//! let permit: midwatch::runbook::approval::Permit = serde_json::from_str("null").unwrap();
//! ```
//!
//! And who only looks can't ask for one: a [`Challenge`] takes an [`Armed`], which a read-only configuration has not.
//!
//! ```compile_fail
//! let armed = midwatch::runbook::approval::Armed(());
//! ```

use serde::{Deserialize, Serialize};

use super::plan::{Confirm, HostCard, Plan};
use crate::domain::time::Timestamp;

/// How long a plan can be approved after it was made: what it found is then looked at again anyway, but whoever reads an
/// older one no longer sees the world.
pub const PLAN_TTL_MS: u64 = 15 * 60_000;
/// How long an answer is worth something: it travels to a process that is started at once.
pub const ANSWER_TTL_MS: u64 = 60_000;

/// That approvals may be asked for at all.
#[derive(Debug)]
pub struct Armed(());

impl Armed {
    /// `None` where nothing may ever act.
    pub fn unless(read_only: bool) -> Option<Self> {
        (!read_only).then_some(Self(()))
    }
}

/// A plan that waits for its approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    digest: String,
    asked: Timestamp,
    confirm: Confirm,
}

/// What the operator said to a plan. Worth one run of it, for [`ANSWER_TTL_MS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    digest: String,
    typed: String,
    at: Timestamp,
    nonce: String,
}

impl Answer {
    /// The number that is used up by it.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }
}

/// The permission to carry out one plan, once.
#[derive(Debug)]
pub struct Permit(());

/// Why there is no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Something else was typed.
    #[error("not confirmed: `{0}` has to be typed exactly")]
    Mismatch(String),
    /// Too late.
    #[error("the plan is {0} s old: it is worth {max} s; make a new one", max = PLAN_TTL_MS / 1000)]
    Stale(u64),
    /// The answer was on its way for too long, or comes from the future.
    #[error("the approval was given {0} s ago and is worth {max} s; approve it anew", max = ANSWER_TTL_MS / 1000)]
    Expired(i64),
    /// It is for another plan.
    #[error("the approval is for another plan: what was shown is not what would run")]
    Changed,
    /// It was used.
    #[error("the approval has been used: one is good for one run")]
    Spent,
    /// Another machine, or the same after a restart.
    #[error("the plan was made for {0}, this is {1}")]
    Elsewhere(String, String),
    /// It can't be noted that it is used.
    #[error("the approval can't be recorded as used: {0}")]
    Unrecorded(String),
}

impl Challenge {
    /// Asks about this plan.
    pub fn about(plan: &Plan, _armed: &Armed) -> Self {
        Self { digest: plan.digest(), asked: plan.made, confirm: plan.confirm.clone() }
    }

    /// Asks about going on with a run of this plan that was begun: what it found then is no matter now.
    pub fn again(plan: &Plan, now: Timestamp, _armed: &Armed) -> Self {
        Self { digest: plan.digest(), asked: now, confirm: plan.confirm.clone() }
    }

    /// What has to be typed.
    pub const fn confirm(&self) -> &Confirm {
        &self.confirm
    }

    /// Whether this is what has to be typed.
    pub fn fits(&self, typed: &str) -> bool {
        typed == self.confirm.text()
    }

    /// The operator typed this; `nonce` is a number nobody has used.
    ///
    /// # Errors
    /// When it is not the text, or too late.
    pub fn answer(&self, typed: &str, nonce: String, now: Timestamp) -> Result<Answer, Refused> {
        if !self.fits(typed) {
            return Err(Refused::Mismatch(self.confirm.text().to_owned()));
        }
        fresh(self.asked, now)?;
        Ok(Answer { digest: self.digest.clone(), typed: typed.to_owned(), at: now, nonce })
    }
}

fn fresh(made: Timestamp, now: Timestamp) -> Result<(), Refused> {
    let age = now.millis_since(made);
    if age > PLAN_TTL_MS { Err(Refused::Stale(age / 1000)) } else { Ok(()) }
}

/// An approval that is good but for one thing: whether it was used before.
#[derive(Debug)]
pub struct Good(());

impl Good {
    /// Its number was used up just now, and durably: `unused` says whether nobody had before.
    ///
    /// # Errors
    /// When somebody had, or it can't be recorded.
    pub fn spent(self, unused: Result<bool, String>) -> Result<Permit, Refused> {
        if unused.map_err(Refused::Unrecorded)? { Ok(Permit(())) } else { Err(Refused::Spent) }
    }
}

/// Whether this answer is worth a run of this plan, here and now.
///
/// # Errors
/// Why not.
pub fn approve(plan: &Plan, answer: &Answer, host: &HostCard, now: Timestamp) -> Result<Good, Refused> {
    if plan.host.machine != host.machine || plan.host.boot != host.boot {
        let told = |host: &HostCard| format!("{} (boot {})", host.name, host.boot.get(..8).unwrap_or(&host.boot));
        return Err(Refused::Elsewhere(told(&plan.host), told(host)));
    }
    if answer.digest != plan.digest() {
        return Err(Refused::Changed);
    }
    if answer.typed != plan.confirm.text() {
        return Err(Refused::Mismatch(plan.confirm.text().to_owned()));
    }
    let age = now.as_millis().saturating_sub(answer.at.as_millis());
    if age < 0 || age > i64::try_from(ANSWER_TTL_MS).unwrap_or(i64::MAX) {
        return Err(Refused::Expired(age / 1000));
    }
    if answer.nonce.len() < 16 {
        return Err(Refused::Changed);
    }
    Ok(Good(()))
}

#[cfg(test)]
mod tests;
