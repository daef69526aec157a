//! The command line as clap sees it.

mod parts;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::parts::{AlikeArgs, ExchangeArgs, PointArgs, ShimArgs};
use crate::config::ColorChoice;

/// What is broken, since when, what changed: a terminal for the engineer on call.
///
/// Without a command it opens the screens on a terminal, and prints `status` elsewhere. Without configuration it finds
/// the applications of this host by itself; `midwatch doctor` says what was found and what was not.
#[derive(Debug, Parser)]
#[command(name = "midwatch", version, max_term_width = 100)]
pub struct Cli {
    /// What all commands understand.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that all commands understand.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Read this configuration file and no other.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Watch the application with this configuration file (pretix.cfg, pretalx.cfg), besides what is found.
    #[arg(long, global = true, value_name = "FILE")]
    pub app_config: Option<PathBuf>,
    /// Keep readings, history and locks here.
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Look only: put the process into a sandbox that can't write outside its state directory.
    #[arg(long, global = true)]
    pub read_only: bool,
    /// How many colours.
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub color: Option<ColorChoice>,
    /// A built-in theme, or one of your own.
    #[arg(long, global = true, value_name = "NAME")]
    pub theme: Option<String>,
    /// Only ASCII on the screen.
    #[arg(long, global = true)]
    pub ascii: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open the screens (the default on a terminal).
    Tui,
    /// Say once, or again and again, how things are; the exit code is 0 ok, 1 warning, 2 critical, 3 unknown.
    Status(StatusArgs),
    /// Say how one part is: a rule (`disk-full`), a source (`database`) or an area (`disk`, `queues`), with its exit code.
    Check(CheckArgs),
    /// Write the incident record as a post-mortem, or as a hand-over to the next one on watch. Asks nobody anything.
    Report(ReportArgs),
    /// Poll and keep history without a screen, for every midwatch on this host to read (a systemd unit ships with it).
    Record,
    /// Bring up a small real site in a temporary directory and watch it: a place to practise.
    Demo(DemoArgs),
    /// Say what was found, what was not, why, and what root would see more.
    Doctor {
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// List the backups of the sites, or of any folder, and say how far each is proven; the exit code is 0 ok, 1 warning,
    /// 2 broken or critical, 3 unknown.
    Backups(BackupsArgs),
    /// List runbooks, plan them, run them, see what they did; the exit code is 0 done and verified, 1 a step failed, 10
    /// refused because read-only, 11 somebody else acts, 12 not confirmed or the world has changed, 13 not possible, 14
    /// done but not verified, 130 cancelled.
    #[command(subcommand)]
    Runbook(RunbookCommand),
    /// List the rules, or one of them: what each reads, means, and what mends it.
    Rules {
        /// Only this rule, by its id (`disk-full`).
        id: Option<String>,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Say where the configuration comes from, check it, show it, print its schema.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
    /// Carry out the approved plan that comes through standard input.
    #[command(hide = true)]
    Runner,
    /// Note which process this is, and become a program of a run's step.
    #[command(hide = true)]
    Shim(ShimArgs),
    /// Exchange two directories in one step of the kernel, as a step of a run.
    #[command(hide = true)]
    Exchange(ExchangeArgs),
    /// Have a link say another release, as a step of a run.
    #[command(hide = true)]
    Point(PointArgs),
    /// Become a program that finds in its environment what a process finds in its own.
    #[command(hide = true)]
    Alike(AlikeArgs),
}

/// What can be asked of the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// The files that are read, in order, and the directories that are used.
    Path,
    /// Whether it is right; every mistake with file, line and the nearest known key.
    Check,
    /// What holds in the end, and where each part came from. Secrets are not shown.
    Show,
    /// A JSON schema of the file.
    Schema,
    /// Lines for systemd-tmpfiles that make the place of the locks (`/run/midwatch`) at every boot, so that operators who
    /// are not root can act before root has.
    Tmpfiles,
}

/// Flags of `status`.
#[derive(Debug, Clone, Default, Args)]
pub struct StatusArgs {
    /// Say it once and end (the default).
    #[arg(long, conflicts_with = "watch")]
    pub once: bool,
    /// Say it again whenever it changes, at most every so many seconds.
    #[arg(long, value_name = "SECS", num_args = 0..=1, default_missing_value = "5", require_equals = true,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub watch: Option<u64>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = StatusForm::Text)]
    pub output: StatusForm,
}

/// Flags of `check`.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckArgs {
    /// A rule's id, a source, or an area; `list` prints them.
    pub name: String,
    /// Only of this site or host.
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = StatusForm::Nagios)]
    pub output: StatusForm,
}

/// Flags of `report`.
#[derive(Debug, Clone, Default, Args)]
pub struct ReportArgs {
    /// From when on: `30m`, `3h`, `2d`, or a time like 2026-11-21T02:50:00Z. Without it: the incident that goes on, or the
    /// last one.
    #[arg(long, value_name = "WHEN", conflicts_with = "incident")]
    pub since: Option<String>,
    /// This incident; its first characters are enough.
    #[arg(long, value_name = "ID")]
    pub incident: Option<String>,
    /// Only this site, with the host and what people said.
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// A hand-over: what stands, what was tried, what is to be done.
    #[arg(long, conflicts_with_all = ["since", "incident"])]
    pub handover: bool,
    /// Every incident on record.
    #[arg(long, conflicts_with_all = ["since", "incident", "handover"])]
    pub list: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = ReportForm::Markdown)]
    pub output: ReportForm,
}

/// How the incident record can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReportForm {
    /// For people, under the headings of a post-mortem.
    #[default]
    Markdown,
    /// One JSON document.
    Json,
}

/// Flags of `backups`.
#[derive(Debug, Clone, Args)]
pub struct BackupsArgs {
    /// What to do with them (default: list).
    #[command(subcommand)]
    pub command: Option<BackupsCommand>,
    /// Look at this folder or file, without a site and without configuration.
    #[arg(long, global = true, value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// How to print it.
    #[arg(short, long, global = true, value_enum, default_value_t = Form::Text)]
    pub output: Form,
}

/// What can be done with backups.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum BackupsCommand {
    /// List them with what is known of each, reading none.
    List(Folder),
    /// Read each from its beginning to its end, then list them.
    Verify(Folder),
}

/// A folder to look at instead of the sites' backups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Folder {
    /// Look at this folder or file, without a site and without configuration; like --path.
    #[arg(value_name = "PATH", conflicts_with = "path")]
    pub folder: Option<PathBuf>,
}

/// What can be done with runbooks.
#[derive(Debug, Clone, Subcommand)]
pub enum RunbookCommand {
    /// List them.
    List {
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Show one as it is written.
    Show {
        /// Its id.
        name: String,
    },
    /// Say what is wrong with a file, with line and column.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Look everything up and show what would be done, with the token that confirms it. Changes nothing.
    Plan {
        /// What to plan.
        #[command(flatten)]
        wish: Wish,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = PlanForm::Text)]
        output: PlanForm,
    },
    /// Plan it, have it confirmed, run it, and show it until it ends. It goes on when the terminal goes.
    Run {
        /// What to run.
        #[command(flatten)]
        wish: Wish,
        /// How it is confirmed.
        #[command(flatten)]
        consent: Consent,
        /// Start it and end; `attach` shows it.
        #[arg(long)]
        detach: bool,
        /// How to print it; json prints a line for each thing that happens.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Show a run from its beginning on, until it ends.
    Attach {
        /// The run; its first characters are enough. Without it: the one that goes on.
        run: Option<String>,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Go on with a run that failed, was stopped, or whose runner is gone. What that left running is ended first.
    Resume {
        /// The run; its first characters are enough.
        run: String,
        /// Try the step that failed again.
        #[arg(long, conflicts_with_all = ["skip", "revert"])]
        retry: bool,
        /// Go on without the step that failed.
        #[arg(long, conflicts_with = "revert")]
        skip: bool,
        /// Undo what was done, as far as it can be.
        #[arg(long)]
        revert: bool,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// How it is confirmed.
        #[command(flatten)]
        consent: Consent,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Stop a run: after the step it is at, or now.
    Abort {
        /// The run; its first characters are enough.
        run: String,
        /// End what it runs now.
        #[arg(long)]
        now: bool,
    },
    /// Answer the question a run asks.
    Answer {
        /// The run; its first characters are enough.
        run: String,
        /// yes or no.
        #[arg(value_parser = ["yes", "no"])]
        word: String,
        /// The step whose question it is, from 1 on: if the run has gone on to another one, nothing is said.
        #[arg(long)]
        step: usize,
    },
    /// What runs have done: all of them, or one of them whole.
    Log {
        /// The run; its first characters are enough.
        run: Option<String>,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
}

/// How a plan is confirmed without being asked.
#[derive(Debug, Clone, Default, Args)]
pub struct Consent {
    /// The token that `plan` has printed (for resume: that the refusal has printed): it is good for exactly that.
    #[arg(long, value_name = "TOKEN", conflicts_with = "yes")]
    pub confirm: Option<String>,
    /// Confirm what needs only a `y`.
    #[arg(long)]
    pub yes: bool,
}

/// A runbook and its parameters.
#[derive(Debug, Clone, Args)]
pub struct Wish {
    /// The runbook's id.
    pub name: String,
    /// Its parameters: `service=web`.
    #[arg(value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// The site; needed only where there are several.
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
}

/// How a plan can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PlanForm {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// For a ticket or a chat.
    Markdown,
}

/// How a status can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum StatusForm {
    /// For people.
    #[default]
    Text,
    /// One JSON document, or one a line with `--watch`.
    Json,
    /// The Monitoring Plugins' format, with performance data.
    Nagios,
    /// Prometheus text, for a textfile collector.
    Prom,
}

/// How a report can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Flags of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Begin with this fault.
    #[arg(long, value_enum)]
    pub fault: Option<crate::demo::Fault>,
    /// No screen: print where everything is as KEY=VALUE and stay until interrupted.
    #[arg(long)]
    pub headless: bool,
    /// Part of the practice site itself.
    #[command(subcommand)]
    pub part: Option<DemoPart>,
}

/// The practice site's own processes.
#[derive(Debug, Clone, Subcommand)]
pub enum DemoPart {
    /// The web process.
    #[command(hide = true)]
    RunWeb {
        /// The site's directory.
        dir: PathBuf,
    },
    /// The worker.
    #[command(hide = true)]
    RunWorker {
        /// The site's directory.
        dir: PathBuf,
    },
    /// Has a practice site start a service that was stopped.
    #[command(hide = true)]
    Start {
        /// The site's directory.
        dir: PathBuf,
        /// Which service.
        service: crate::demo::Service,
    },
    /// Applies the migrations of the release it is run in.
    #[command(hide = true)]
    Migrate {
        /// The site's directory.
        dir: PathBuf,
    },
    /// The visitors.
    #[command(hide = true)]
    Visitors {
        /// The site's directory.
        dir: PathBuf,
    },
}

impl BackupsArgs {
    /// Whether each is to be read.
    pub const fn verify(&self) -> bool {
        matches!(self.command, Some(BackupsCommand::Verify(_)))
    }

    /// The folder or file to look at instead of the sites' backups.
    pub fn folder(&self) -> Option<&Path> {
        let named = match &self.command {
            Some(BackupsCommand::List(named) | BackupsCommand::Verify(named)) => named.folder.as_deref(),
            None => None,
        };
        named.or(self.path.as_deref())
    }
}

impl Command {
    /// Whether a wrong call of it ends with 3 (the Monitoring Plugins' "unknown") rather than 64.
    pub fn is_check(name: &str) -> bool {
        matches!(name, "status" | "doctor" | "check" | "backups")
    }
}
