//! Whether a drill has been remembered.

use std::path::Path;

use crate::backends::backups::proofs::Proofs;
use crate::domain::text::span;
use crate::runbook::plan::drill::DrillProbe;

pub(super) fn holds(probe: &DrillProbe) -> Result<String, String> {
    let proofs = Proofs::open(Some(Path::new(&probe.state)));
    match proofs.drill(&probe.digest).filter(|drill| drill.at >= probe.since) {
        Some(drill) => Ok(format!("it is proven restored, in {}: {}", span(drill.took_ms), drill.found)),
        None => Err("no drill with this backup has been remembered since".to_owned()),
    }
}
