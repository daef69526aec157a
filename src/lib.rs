//! midwatch: what is broken, since when, what changed, in a terminal.
//!
//! # Bird's-eye view
//!
//! ```text
//!  sources ──Observed──▶ app::model ──▶ triage (pure rules) ──▶ findings ──▶ ui / status
//!  (http, metrics, host,      ▲                                    │
//!   database, redis)          └─ runtime: one ordered event stream ┘
//!        │
//!        └─▶ recorder (state directory) ──▶ every other midwatch on this host
//! ```
//!
//! These are the *eyes*: they observe, decide what is wrong, and draw. No code of theirs changes anything outside
//! midwatch's own state directory. What acts are the *hands* ([`hands`]): other processes, started for one approved plan
//! each, and reached from nowhere but their own commands.
//!
//! # Code map
//!
//! | module | holds | may use |
//! |---|---|---|
//! | [`domain`] | readings, observations, history, the metrics parser, the pace of questions: pure | nothing |
//! | [`triage`] | rules from readings to findings: pure | `domain` |
//! | [`app`] | model, events, actions, keys, update: pure | `domain`, `triage`, `runbook` |
//! | [`ports`] | traits of the sources | `domain` |
//! | [`config`], [`discovery`] | what to watch, told or found | `domain`, `triage` |
//! | [`runbook`] | runbooks, plans, approvals, runs: pure | `domain` |
//! | [`backends`] | HTTP, host, database, Redis, the store and the journal on disk | `ports`, `domain`, `config`, `runbook` |
//! | [`planning`] | from a runbook and what was chosen to a plan: looks everything up, changes nothing | `backends`, `runbook`, `config` |
//! | [`hands`] | what acts: the runner, the target's lock, programs and their end | `backends`, `runbook`, `config` |
//! | [`runtime`] | event loop, terminal, input, signals, sandbox | `app` |
//! | [`ui`] | drawing a model, themes | `app`, `runbook`, `triage`, `domain` |
//! | [`watch`] | puts sources, recorder and event stream together | everything below [`cli`] |
//! | [`cli`] | commands | everything |
//! | [`demo`] | the practice site | nothing of the above |
//!
//! # Invariants
//!
//! - One question per site is under way at a time, however many midwatches run ([`domain::pace`], [`backends::store`]).
//! - No number is shown without its age; unknown is a state of its own and never green ([`domain::reading`]).
//! - All state is one plain value; drawing changes none of it ([`app::model`], [`ui`]).
//! - The event loop never blocks, every buffer is bounded ([`runtime`]).
//! - Secrets are `SecretString` by type from the moment they are read ([`config`]).

pub mod app;
pub mod backends;
pub mod cli;
pub mod config;
pub mod demo;
pub mod discovery;
pub mod domain;
pub mod hands;
pub mod planning;
pub mod ports;
pub mod runbook;
pub mod runtime;
pub mod triage;
pub mod ui;
pub mod watch;

pub use cli::run;
