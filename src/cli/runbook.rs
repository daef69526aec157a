//! `midwatch runbook`: catalogue, plans, runs.

pub(super) mod follow;
mod log;
pub(super) mod start;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::args::{Form, Global, PlanForm, RunbookCommand, Wish};
use super::run::{USAGE, say, say_error, with_config};
use crate::config::{Config, SiteConfig, StateDir, paths};
use crate::discovery::Surroundings;
use crate::domain::text::{escaped, escaped_json};
use crate::domain::time::Timestamp;
use crate::hands::{self, order::Reply};
use crate::planning::{Catalogue, Ground, NoPlan, plan};
use crate::runbook::card;
use crate::runbook::plan::Plan;
use crate::runbook::run::Word;
use crate::runbook::spec::Runbook;

/// What was asked for is not possible now.
const IMPOSSIBLE: u8 = 13;
/// A configuration that can't be used (`EX_CONFIG`).
const BAD_CONFIG: u8 = 78;

/// Carries out the command.
///
/// # Errors
/// When standard output can't be written, or no thread can be had.
pub fn runbook(global: &Global, command: RunbookCommand) -> color_eyre::Result<u8> {
    match command {
        RunbookCommand::List { output } => say(list(&catalogue(), output).as_bytes()),
        RunbookCommand::Show { name } => show(&name),
        RunbookCommand::Check { file } => match Catalogue::check(&file) {
            Ok(runbook) => say(format!("{} is right: {} steps\n", runbook.id, runbook.steps.len()).as_bytes()),
            Err(why) => {
                say_error(&escaped(why.trim_end()));
                Ok(1)
            }
        },
        RunbookCommand::Plan { wish, output } => on(global, async |config| {
            let plan = match make(config, &wish, crate::runtime::clock::now()).await {
                Ok(plan) => plan,
                Err((code, why)) => return refused(code, &why),
            };
            let armed = !config.read_only;
            let text = match output {
                PlanForm::Text => card::text(&plan, armed),
                PlanForm::Markdown => card::markdown(&plan),
                PlanForm::Json => format!("{}\n", escaped_json(&card::json(&plan, armed).to_string())),
            };
            say(escaped(&text).as_bytes())
        }),
        RunbookCommand::Run { wish, consent, detach, output } => {
            on(global, async |config| start::run(global, config, (&wish, &consent), (detach, output)).await)
        }
        RunbookCommand::Attach { run, output } => {
            on(global, async |config| follow::attach(config, run.as_deref(), output).await)
        }
        RunbookCommand::Resume { run, retry, skip, revert, reason, consent, output } => {
            let choice = [(retry, Word::Retry), (skip, Word::Skip), (revert, Word::Revert)];
            let choice = choice.into_iter().find(|(chosen, _)| *chosen).map(|(_, word)| word);
            on(global, async |config| start::resume(global, config, (&run, choice, reason), &consent, output).await)
        }
        RunbookCommand::Abort { run, now } => {
            let word = if now { Word::StopNow } else { Word::StopAfter };
            on(global, async |config| follow::tell(config, &run, word, None).await)
        }
        RunbookCommand::Answer { run, word, step } => {
            let word = if word == "yes" { Word::Proceed } else { Word::Decline };
            on(global, async |config| follow::tell(config, &run, word, Some(step)).await)
        }
        RunbookCommand::Log { run, output } => {
            on(global, async |config| log::log(config, run.as_deref(), output).await)
        }
    }
}

/// Loads the configuration, then does it.
fn on(global: &Global, then: impl AsyncFnOnce(&Config) -> color_eyre::Result<u8>) -> color_eyre::Result<u8> {
    with_config(global, BAD_CONFIG, |config, _| {
        let runtime = super::run::runtime()?;
        let code = runtime.block_on(then(&config));
        runtime.shutdown_background();
        code
    })
}

#[expect(clippy::unnecessary_wraps, reason = "it ends what else can fail")]
fn refused(code: u8, why: &str) -> color_eyre::Result<u8> {
    say_error(&escaped(why.trim_end()));
    Ok(code)
}

/// The runner: the hands. It lets go of the terminal before it reads anything.
///
/// # Errors
/// When no thread can be had.
pub fn runner(global: &Global) -> color_eyre::Result<u8> {
    // Already the leader of a session where it is started by hand, which is as good.
    rustix::process::setsid().ok();
    let config = match super::load(global) {
        Ok(config) => config,
        Err(report) => {
            reply(&Reply::Refused { code: BAD_CONFIG, why: report });
            return Ok(BAD_CONFIG);
        }
    };
    if let StateDir::Directory(dir) = &config.state {
        crate::runtime::log::start(Some(dir.as_path()));
    }
    let runtime = super::run::runtime()?;
    let code =
        runtime.block_on(hands::runner::run(&config, std::io::stdin().lock(), crate::runtime::clock::now, reply));
    runtime.shutdown_background();
    Ok(code)
}

/// Says it to who has started this, then closes that pipe.
fn reply(reply: &Reply) {
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    say(&line).ok();
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        rustix::stdio::dup2_stdout(&null).ok();
        rustix::stdio::dup2_stderr(&null).ok();
    }
}

/// Every runbook there is.
pub fn catalogue() -> Catalogue {
    Catalogue::read(&paths::runbook_dirs(&Surroundings::of_process()))
}

fn list(catalogue: &Catalogue, form: Form) -> String {
    if form == Form::Json {
        let one = |r: &Runbook| {
            let parameters: Vec<_> = r
                .parameters
                .iter()
                .map(|p| json!({"name": p.name, "kind": p.kind.word(), "title": p.title, "default": p.default}))
                .collect();
            json!({
                "id": r.id, "title": r.title, "summary": r.summary, "risk": r.risk, "built_in": r.built_in,
                "treats": r.treats, "parameters": parameters, "steps": r.steps.len(),
            })
        };
        let broken: Vec<_> =
            catalogue.broken.iter().map(|b| json!({"path": b.path.display().to_string(), "why": b.why})).collect();
        let runbooks: Vec<_> = catalogue.runbooks.iter().map(one).collect();
        return format!("{}\n", json!({"schema_version": 1, "runbooks": runbooks, "broken": broken}));
    }
    let mut out = String::new();
    for runbook in &catalogue.runbooks {
        let own = if runbook.built_in { "" } else { " (own)" };
        let parameters: Vec<_> = runbook.parameters.iter().map(|p| format!(" {}=…", p.name)).collect();
        let _written = writeln!(out, "{}{}{own}", runbook.id, parameters.concat());
        let _written = writeln!(out, "  {}", runbook.summary);
        let treats =
            if runbook.treats.is_empty() { String::new() } else { format!(" · {}", runbook.treats.join(", ")) };
        let _written = writeln!(out, "  {}{treats}\n", runbook.risk.word());
    }
    for broken in &catalogue.broken {
        let _written = writeln!(out, "can't be used:\n{}\n", broken.why.trim_end());
    }
    out
}

fn show(name: &str) -> color_eyre::Result<u8> {
    let dirs = paths::runbook_dirs(&Surroundings::of_process());
    if let Some(text) = Catalogue::source(&dirs, name) {
        return say(text.as_bytes());
    }
    say_error(&unknown(&catalogue(), name));
    Ok(USAGE)
}

fn unknown(catalogue: &Catalogue, name: &str) -> String {
    let known: Vec<_> = catalogue.runbooks.iter().map(|r| r.id.as_str()).collect();
    format!("there is no runbook `{name}`; there are {}", known.join(", "))
}

/// The parameters of a wish.
///
/// # Errors
/// A sentence, where one is no `NAME=VALUE`.
pub fn parameters(wish: &Wish) -> Result<BTreeMap<String, String>, String> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    wish.parameters.iter().map(pair).collect()
}

/// The site a wish is about: the one it names, or the only one.
///
/// # Errors
/// A sentence, where it is unknown or not told.
pub fn site<'c>(config: &'c Config, name: Option<&str>) -> Result<Option<&'c SiteConfig>, String> {
    let known = || config.sites.iter().map(|site| site.id.0.as_str()).collect::<Vec<_>>().join(", ");
    match (name, config.sites.as_slice()) {
        (Some(name), sites) => match sites.iter().find(|site| site.id.0 == name) {
            Some(site) => Ok(Some(site)),
            None => Err(format!("there is no site `{name}`; there are {}", known())),
        },
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only)),
        (None, _) => Err(format!("which site? --site one of {}", known())),
    }
}

/// The plan of a wish.
///
/// # Errors
/// The exit code and a sentence.
pub async fn make(config: &Config, wish: &Wish, made: Timestamp) -> Result<Plan, (u8, String)> {
    let given = parameters(wish).map_err(|why| (USAGE, why))?;
    draw_up(config, (&wish.name, wish.site.as_deref()), &given, made).await.map_err(|error| {
        let code = match &error {
            NoPlan::Missing(..) | NoPlan::Wrong(..) | NoPlan::Unknown(..) | NoPlan::Unheard(_) => USAGE,
            NoPlan::Impossible(_) => IMPOSSIBLE,
        };
        (code, error.to_string())
    })
}

/// The plan of a runbook on a site with these parameters, and how long such runs took.
///
/// # Errors
/// Why there is none.
pub async fn draw_up(
    config: &Config,
    (name, on): (&str, Option<&str>),
    given: &BTreeMap<String, String>,
    made: Timestamp,
) -> Result<Plan, NoPlan> {
    let catalogue = catalogue();
    let runbook = catalogue.get(name).ok_or_else(|| NoPlan::Unheard(unknown(&catalogue, name)))?;
    let named = if runbook.host && on.is_none() && config.sites.len() > 1 {
        None
    } else {
        site(config, on).map_err(NoPlan::Unheard)?
    };
    let mut plan = plan(runbook, given, Ground { config, site: named, made }).await?;
    if let StateDir::Directory(state) = &config.state {
        plan.past_ms = crate::backends::journal::past_ms(state, &plan.runbook, plan.site.as_deref()).await;
    }
    Ok(plan)
}
