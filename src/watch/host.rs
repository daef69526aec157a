//! Polls one host: its readings often, what changes slowly seldom.

use std::time::Duration;

use tokio::sync::watch;

use super::scope::Turn;
use super::site::{look, observe};
use crate::backends::changes::ChangesProbe;
use crate::backends::host::{HostProbe, Targets};
use crate::backends::people::PeopleProbe;
use crate::backends::schedule::ScheduleProbe;
use crate::backends::services::ServicesProbe;
use crate::backends::updates::UpdatesProbe;
use crate::config::Config;
use crate::domain::id::SourceKind;
use crate::domain::observation::Observation;

/// The host's CPU shares need two looks; the second follows the first this soon.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// Polls the host for ever.
pub(super) async fn poll(config: &Config, turn: Turn, poll_now: watch::Receiver<u64>) {
    let emit = turn.emit;
    let again = || (emit.clone(), poll_now.clone());
    let slow = config.pace.changes;
    let host = async {
        let mut probe = HostProbe::watching(&Targets::of(config));
        let wrap = |seen| Observation::Host(Box::new(seen));
        // The first look has no shares yet; the second has.
        look(&mut probe, &emit, &wrap, &mut |_| {}).await;
        tokio::time::sleep(SECOND_LOOK).await;
        let (emit, poll_now) = again();
        observe(probe, config.pace.host, emit, poll_now, wrap, |_| {}).await;
    };
    let changes = {
        let (emit, poll_now) = again();
        observe(ChangesProbe::new(config), slow, emit, poll_now, |seen| Observation::Changes(Box::new(seen)), |_| {})
    };
    let units = {
        let (emit, poll_now) = again();
        let wrap = |seen| Observation::Services(Box::new(seen));
        observe(ServicesProbe::of_host(config), slow, emit, poll_now, wrap, |_| {})
    };
    let schedule = {
        let (emit, poll_now) = again();
        let wrap = |seen| Observation::Schedule(Box::new(seen));
        observe(ScheduleProbe::new(config), config.pace.of_host(SourceKind::Schedule), emit, poll_now, wrap, |_| {})
    };
    let updates = {
        let (emit, poll_now) = again();
        let wrap = |seen| Observation::Updates(Box::new(seen));
        observe(UpdatesProbe::new(config), config.pace.of_host(SourceKind::Updates), emit, poll_now, wrap, |_| {})
    };
    let people = {
        let (emit, poll_now) = again();
        observe(PeopleProbe::new(config), slow, emit, poll_now, |seen| Observation::People(Box::new(seen)), |_| {})
    };
    tokio::join!(host, changes, units, schedule, updates, people);
}
