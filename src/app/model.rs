//! All state in one plain value: what is known, what is shown, what is selected. No channels, no handles, no clock.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::event::Storage;
use super::keymap::Keymap;
use super::line::Line;
use super::record::Timeline;
use super::runbooks::Runbooks;
use super::runbooks::desk::Desk;
use super::table::Table;
use super::view::logs::LogView;
use crate::domain::access::AccessReading;
use crate::domain::app_state::AppReading;
use crate::domain::backup::BackupsReading;
use crate::domain::change::ChangesReading;
use crate::domain::database::DatabaseReading;
use crate::domain::health::HealthCheck;
use crate::domain::history::History;
use crate::domain::host::HostReading;
use crate::domain::id::{HostId, Scope, SiteId, SourceKind};
use crate::domain::log::LogReading;
use crate::domain::observation::Observed;
use crate::domain::people::PeopleReading;
use crate::domain::reading::Reading;
use crate::domain::record::About;
use crate::domain::redis::RedisReading;
use crate::domain::schedule::ScheduleReading;
use crate::domain::service::ServicesReading;
use crate::domain::time::Timestamp;
use crate::domain::traffic::Traffic;
use crate::domain::updates::UpdatesReading;
use crate::triage::{Finding, Memory, Thresholds};

/// The screens, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Screen {
    /// What is wrong, since when.
    #[default]
    Now,
    /// Requests by route.
    Requests,
    /// Queues, workers, tasks.
    Tasks,
    /// The machine.
    Host,
    /// Database and Redis.
    Data,
    /// Services.
    Services,
    /// Logs.
    Logs,
    /// Backups.
    Backups,
    /// Runbooks and their runs.
    Runbooks,
}

impl Screen {
    /// Every screen, in the order of their keys.
    pub const ALL: [Self; 9] = [
        Self::Now,
        Self::Requests,
        Self::Tasks,
        Self::Host,
        Self::Data,
        Self::Services,
        Self::Logs,
        Self::Backups,
        Self::Runbooks,
    ];
}

/// What covers the screen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// Help, scrolled by so many lines.
    Help {
        /// First visible line.
        scroll: usize,
    },
    /// The palette: what was typed, and which match is selected.
    Palette {
        /// The text typed.
        input: String,
        /// Index among the matches.
        selected: usize,
    },
    /// The filter line of the current screen's table is being typed.
    Filter {
        /// The filter before, for Esc.
        before: String,
    },
    /// A note for the incident record is being typed.
    Note {
        /// What was typed.
        line: Line,
        /// The finding it is about.
        about: Option<About>,
    },
    /// The incident record.
    Timeline {
        /// Its filter is being typed.
        typing: bool,
    },
    /// What stands between a wish and a run.
    Desk(Box<Desk>),
}

/// A short message that goes away by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toast {
    /// What it says.
    pub text: String,
    /// When it goes.
    pub until: Timestamp,
}

/// One site, as far as it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Its name.
    pub id: SiteId,
    /// The name its visitors see.
    pub title: String,
    /// `pretix 2026.8.0`.
    pub app: String,
    /// Its public URL.
    pub url: String,
    /// A practice site.
    pub practice: bool,
    /// What there is to see of it: a site without Redis lacks nothing.
    pub sources: Vec<SourceKind>,
    /// The healthcheck on the public URL.
    pub health: Reading<HealthCheck>,
    /// The healthcheck on the application's own port.
    pub direct: Reading<HealthCheck>,
    /// The application's metrics.
    pub traffic: Reading<Traffic>,
    /// The database.
    pub database: Reading<DatabaseReading>,
    /// Redis, queues, workers.
    pub redis: Reading<RedisReading>,
    /// Its access logs.
    pub access: Reading<AccessReading>,
    /// The services it consists of.
    pub services: Reading<ServicesReading>,
    /// Its logs.
    pub logs: Reading<LogReading>,
    /// Its backups.
    pub backups: Reading<BackupsReading>,
    /// The application on disk.
    pub on_disk: Reading<AppReading>,
    /// When anything was last heard of it, from whoever polls.
    pub heard: Option<Timestamp>,
    /// Questions under way without an answer: which, since when.
    pub asking: Vec<(SourceKind, Timestamp)>,
    /// What was.
    pub history: History,
    /// Who polls.
    pub storage: Storage,
    /// What the rules remember between two looks (since when, how often in a row).
    pub memory: Memory,
}

impl Site {
    /// A site nothing is known of yet, with every source but a port of its own.
    pub fn new(id: SiteId, title: String, app: String, url: String, practice: bool) -> Self {
        Self {
            id,
            title,
            app,
            url,
            practice,
            sources: vec![SourceKind::Health, SourceKind::Traffic, SourceKind::Database, SourceKind::Redis],
            health: Reading::Never,
            direct: Reading::Never,
            traffic: Reading::Never,
            database: Reading::Never,
            redis: Reading::Never,
            access: Reading::Never,
            services: Reading::Never,
            logs: Reading::Never,
            backups: Reading::Never,
            on_disk: Reading::Never,
            heard: None,
            asking: Vec::new(),
            history: History::new(),
            storage: Storage::Starting,
            memory: Memory::default(),
        }
    }

    /// Its scope.
    pub fn scope(&self) -> Scope {
        Scope::Site(self.id.clone())
    }

    /// Its requests, and from where: the application's metrics, or the access logs where those don't answer.
    pub fn requests(&self) -> (SourceKind, Option<&Traffic>) {
        match (self.traffic.fresh(), self.access.value()) {
            (None, Some(access)) => (SourceKind::Access, Some(&access.traffic)),
            (Some(_) | None, _) => (SourceKind::Traffic, self.traffic.value()),
        }
    }

    /// Since when a question to this source is under way without an answer.
    pub fn asking_since(&self, kind: SourceKind) -> Option<Timestamp> {
        self.asking.iter().find(|(k, _)| *k == kind).map(|(_, since)| *since)
    }
}

/// One host, as far as it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub id: HostId,
    /// When anything was last heard of it, from whoever polls.
    pub heard: Option<Timestamp>,
    /// The last reading.
    pub reading: Reading<HostReading>,
    /// What changed.
    pub changes: Reading<ChangesReading>,
    /// What runs by the clock.
    pub schedule: Reading<ScheduleReading>,
    /// Units of the machine that failed and are no site's.
    #[serde(default)]
    pub units: Reading<ServicesReading>,
    /// Pending updates.
    pub updates: Reading<UpdatesReading>,
    /// Who else is here.
    pub people: Reading<PeopleReading>,
    /// What was.
    pub history: History,
    /// Who polls.
    pub storage: Storage,
    /// What the rules remember between two looks.
    pub memory: Memory,
}

impl Host {
    /// Its scope.
    pub fn scope(&self) -> Scope {
        Scope::Host(self.id.clone())
    }

    /// A host nothing is known of yet.
    pub fn new(id: HostId) -> Self {
        Self {
            id,
            heard: None,
            reading: Reading::Never,
            changes: Reading::Never,
            schedule: Reading::Never,
            units: Reading::Never,
            updates: Reading::Never,
            people: Reading::Never,
            history: History::new(),
            storage: Storage::Starting,
            memory: Memory::default(),
        }
    }
}

/// How much time the strips show, in seconds: 10 minutes, 30 minutes, 1 hour, 3 hours.
pub const ZOOMS: [i64; 4] = [600, 1800, 3600, 10_800];

/// All state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a state of its own")]
pub struct Model {
    /// The time of the last event that brought one.
    pub now: Timestamp,
    /// When the program was opened.
    pub opened: Timestamp,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The sites; may be empty (then only the host is watched).
    pub sites: Vec<Site>,
    /// The hosts; at least this one.
    pub hosts: Vec<Host>,
    /// Which site is shown.
    pub site_index: usize,
    /// Whether the operator has pressed a key: until then the site of the worst finding is shown.
    pub touched: bool,
    /// Which screen is shown.
    pub screen: Screen,
    /// What covers it.
    pub overlay: Overlay,
    /// What is wrong, worst first, over all sites and hosts.
    pub findings: Vec<Finding>,
    /// Table of findings on Now.
    pub now_table: Table,
    /// First visible row of the finding that is opened on Now.
    #[serde(default)]
    pub finding_top: usize,
    /// Table of routes on Requests.
    pub requests: Table,
    /// Table of tasks on Tasks.
    pub tasks: Table,
    /// Table of processes on Host.
    pub processes: Table,
    /// Table of sessions on Data.
    pub data: Table,
    /// Table of services on Services.
    pub services: Table,
    /// Table of lines on Logs.
    pub logs: Table,
    /// Table of groups on Logs.
    pub log_groups: Table,
    /// How the logs are looked at.
    pub log_view: LogView,
    /// Table of backups on Backups.
    pub backups: Table,
    /// Table of runs and runbooks on Runbooks.
    #[serde(default)]
    pub runs: Table,
    /// Runbooks and their runs.
    #[serde(default)]
    pub runbooks: Runbooks,
    /// The incident record.
    pub timeline: Timeline,
    /// Index into [`ZOOMS`].
    pub zoom: usize,
    /// UTC first rather than local time.
    pub utc_first: bool,
    /// Index of the theme among those loaded.
    pub theme: usize,
    /// How many themes are loaded.
    pub themes: usize,
    /// Since when the screen is held still.
    pub paused: Option<Timestamp>,
    /// What came while it was held still, the newest at the back, at most [`HELD`].
    pub held: VecDeque<Observed>,
    /// A short message.
    pub toast: Option<Toast>,
    /// Whether nothing may ever act.
    pub read_only: bool,
    /// Why no application was found, when none was.
    pub no_site: Option<String>,
    /// Whether an application runs here that this user may not look into: then all that is seen being fine says little.
    pub no_entry: bool,
    /// Observations dropped so far.
    pub dropped: u64,
    /// The last jump of the wall clock: when, and by how many milliseconds.
    pub clock_jump: Option<(Timestamp, i64)>,
    /// What the keys mean.
    pub keymap: Keymap,
    /// When a number is a warning, when critical.
    pub thresholds: Thresholds,
    /// How long nothing may be heard of a site or host, in milliseconds, before nothing is known of it.
    pub silent_after_ms: u64,
}

/// Observations kept while the screen is held still.
pub const HELD: usize = 400;

impl Model {
    /// A program that has just been opened at `now`: these sites and this host are known by name only.
    pub fn new(now: Timestamp, sites: Vec<Site>, host: HostId) -> Self {
        Self {
            now,
            opened: now,
            size: (80, 24),
            sites,
            hosts: vec![Host::new(host)],
            site_index: 0,
            touched: false,
            screen: Screen::Now,
            overlay: Overlay::None,
            findings: Vec::new(),
            now_table: Table::default(),
            finding_top: 0,
            requests: Table::default(),
            tasks: Table::default(),
            processes: Table::default(),
            data: Table::default(),
            services: Table::default(),
            logs: Table { from_end: true, ..Table::default() },
            log_groups: Table::default(),
            log_view: LogView::default(),
            backups: Table::default(),
            runs: Table::default(),
            runbooks: Runbooks::default(),
            timeline: Timeline::default(),
            zoom: 2,
            utc_first: true,
            theme: 0,
            themes: 1,
            paused: None,
            held: VecDeque::new(),
            toast: None,
            read_only: false,
            no_site: None,
            no_entry: false,
            dropped: 0,
            clock_jump: None,
            keymap: Keymap::default(),
            thresholds: Thresholds::default(),
            silent_after_ms: 45_000,
        }
    }

    /// The site that is shown.
    pub fn site(&self) -> Option<&Site> {
        self.sites.get(self.site_index)
    }

    /// The host that is shown.
    pub fn host(&self) -> Option<&Host> {
        self.hosts.first()
    }

    /// The table of the current screen.
    pub const fn table(&self) -> &Table {
        match self.screen {
            Screen::Now => &self.now_table,
            Screen::Requests => &self.requests,
            Screen::Tasks => &self.tasks,
            Screen::Host => &self.processes,
            Screen::Data => &self.data,
            Screen::Services => &self.services,
            Screen::Logs if self.log_view.grouped => &self.log_groups,
            Screen::Logs => &self.logs,
            Screen::Backups => &self.backups,
            Screen::Runbooks => &self.runs,
        }
    }

    /// The table of the current screen.
    pub const fn table_mut(&mut self) -> &mut Table {
        match self.screen {
            Screen::Now => &mut self.now_table,
            Screen::Requests => &mut self.requests,
            Screen::Tasks => &mut self.tasks,
            Screen::Host => &mut self.processes,
            Screen::Data => &mut self.data,
            Screen::Services => &mut self.services,
            Screen::Logs if self.log_view.grouped => &mut self.log_groups,
            Screen::Logs => &mut self.logs,
            Screen::Backups => &mut self.backups,
            Screen::Runbooks => &mut self.runs,
        }
    }

    /// The time the strips end at: now, or when the screen was held still.
    pub fn shown_now(&self) -> Timestamp {
        self.paused.unwrap_or(self.now)
    }

    /// The actions the palette offers for `input`, best first: those whose name or title holds every word of it.
    pub fn palette_matches(input: &str) -> Vec<Action> {
        let input = input.to_lowercase();
        let hit = |spec: &&super::action::ActionSpec| {
            let text = format!("{} {} {}", spec.name, spec.title, spec.help).to_lowercase();
            input.split_whitespace().all(|word| text.contains(word))
        };
        let mut matches: Vec<_> = super::action::ACTIONS.iter().filter(hit).collect();
        matches.sort_by_key(|spec| (spec.name != input.trim(), !spec.name.starts_with(input.trim())));
        matches.into_iter().map(|spec| spec.action).collect()
    }
}
