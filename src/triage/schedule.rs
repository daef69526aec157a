//! What the schedule, changes, updates and people of a host say (FIELD INC-09, INC-10).

use super::{Claim, HostFacts, Rule, Thresholds};

/// The rules of this module.
pub const RULES: &[Rule] = &[];

/// What is claimed.
pub const fn claims(_facts: &HostFacts<'_>, _limits: &Thresholds) -> Vec<Claim> {
    Vec::new()
}
