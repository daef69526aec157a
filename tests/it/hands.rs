//! What acts: the journal, the target's lock, programs and their end. With real processes.

#![expect(clippy::unwrap_used, reason = "a test that can't set its scene has to fail")]

mod child;
mod journal;
mod lock;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use midwatch::backends::process_id;
use midwatch::domain::record::Who;
use midwatch::domain::time::Timestamp;
use midwatch::runbook::kept::RunRecord;
use midwatch::runbook::plan::{Confirm, HostCard, Plan, SCHEMA};
use midwatch::runbook::run::ProcessId;
use midwatch::runbook::spec::Risk;

use crate::support::servers::eventually;

const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn rose() -> Who {
    Who { user: "rose".to_owned(), ..Who::default() }
}

/// A plan of this runbook for this site, without steps.
fn plan(runbook: &str, site: Option<&str>) -> Plan {
    let host = HostCard { name: "web1".to_owned(), machine: "m".to_owned(), boot: "b".to_owned() };
    Plan {
        schema: SCHEMA,
        made: T0,
        runbook: runbook.to_owned(),
        title: "Restart".to_owned(),
        risk: Risk::Interrupts,
        host,
        user: "root".to_owned(),
        site: site.map(str::to_owned),
        target: "site:shop".to_owned(),
        also: Vec::new(),
        parameters: BTreeMap::new(),
        facts: Vec::new(),
        steps: Vec::new(),
        costs: Vec::new(),
        at_risk: Vec::new(),
        way_back: String::new(),
        confirm: Confirm::Yes,
        past_ms: Vec::new(),
    }
}

fn record(id: &str) -> RunRecord {
    RunRecord::new(id.to_owned(), plan("restart", Some("shop")), rose(), T0)
}

/// A process that is killed, and waited for, with its guard.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn kill(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn gone(process: &ProcessId) {
    eventually("the process has ended", || (!process_id::lives(process)).then_some(()));
}
