//! What the application on disk says (FIELD INC-12, INC-14, INC-40).

use super::{Claim, Rule, SiteFacts, Thresholds};

/// The rules of this module.
pub const RULES: &[Rule] = &[];

/// What is claimed.
pub const fn claims(_facts: &SiteFacts<'_>, _limits: &Thresholds) -> Vec<Claim> {
    Vec::new()
}
