//! Backups looked at in the foreground, for the command line: of a site, or of a bare folder without one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::check::Verdict;
use super::meter::Control;
use super::plan::Plan;
use super::program::Tools;
use super::proofs::Proofs;
use super::surveyor::{File, Known, Shared, Surveyor, locked};
use crate::config::SiteConfig;
use crate::config::backups::{BackupPlace, BackupsConfig, Trust};
use crate::domain::backup::BackupsReading;
use crate::domain::time::Timestamp;

/// The backups of a site or a folder, and what is needed to read them.
#[derive(Debug)]
pub struct Inventory {
    surveyor: Surveyor,
    tools: Tools,
    shared: Shared,
    live: Option<PathBuf>,
}

impl Inventory {
    /// That of a site; `state`: where verdicts are remembered.
    pub fn of_site(site: &SiteConfig, state: Option<&Path>, read_only: bool) -> Self {
        Self::new(Plan { patient: true, ..Plan::of(site, read_only) }, state)
    }

    /// That of a folder (or one file), whatever lies in it.
    pub fn of_folder(path: &Path, state: Option<&Path>) -> Self {
        let place = BackupPlace {
            path: path.to_owned(),
            pattern: None,
            subject: None,
            off_host: None,
            found_by: "command line".to_owned(),
            trust: Trust::Told,
            repository: None,
            kept_days: None,
            rotation: None,
        };
        let config = BackupsConfig { places: vec![place], ..BackupsConfig::default() };
        Self::new(Plan { config, bare: true, practice: true, ..Plan::default() }, state)
    }

    fn new(plan: Plan, state: Option<&Path>) -> Self {
        let known = Known { proofs: Proofs::open(state), ..Known::default() };
        let (shared, tools) = (Arc::new(Mutex::new(known)), Tools::find());
        let live = plan.data_dir.clone();
        Self { surveyor: Surveyor::new(plan, tools.clone(), Arc::clone(&shared)), tools, shared, live }
    }

    /// What there is, and what is known of it.
    pub fn list(&mut self, now: Timestamp) -> BackupsReading {
        self.surveyor.round(now).reading
    }

    /// Reads one of them to its end, and remembers what was found; `None`: it is none of them.
    pub fn prove(&mut self, now: Timestamp, path: &Path, control: &Control) -> Option<Verdict> {
        let file = self.surveyor.round(now).files.into_iter().find(|file| file.path == path)?;
        let begun = Instant::now();
        let verdict = super::examine(&file, self.live.as_deref(), &self.tools, control);
        super::remember(&mut locked(&self.shared), &file, verdict.clone(), begun.elapsed());
        Some(verdict)
    }

    /// Reads everything to its end, then lists it. `tell` is called with the name before each; `control` stops it.
    pub fn verify(
        &mut self,
        now: Timestamp,
        control: &Control,
        tell: &mut dyn FnMut(&str, usize, usize),
    ) -> BackupsReading {
        let files: Vec<File> = self.surveyor.round(now).files;
        let total = files.len();
        for (at, file) in files.into_iter().enumerate() {
            if control.stopped() {
                break;
            }
            tell(&file.path.to_string_lossy(), at + 1, total);
            let begun = Instant::now();
            let verdict = super::examine(&file, self.live.as_deref(), &self.tools, control);
            super::remember(&mut locked(&self.shared), &file, verdict, begun.elapsed());
        }
        self.list(now)
    }
}
