//! What the services say (FIELD INC-01, INC-02, INC-08).

use super::{Claim, Rule, SiteFacts, Thresholds};

/// The rules of this module.
pub const RULES: &[Rule] = &[];

/// What is claimed.
pub const fn claims(_facts: &SiteFacts<'_>, _limits: &Thresholds) -> Vec<Claim> {
    Vec::new()
}
