//! What the screens can't do themselves: reading the catalogue and the journals, making plans, starting runners, speaking to
//! runs. Each thing on a task of its own; what comes of it comes back as an event.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::journals::Journals;
use crate::app::event::Event;
use crate::app::runbooks::Book;
use crate::app::runbooks::desk::{Again, Choice, Errand, NoPlan, Wish};
use crate::backends::journal;
use crate::cli::runbook::{self, follow, start};
use crate::config::Config;
use crate::hands::order::{self, Reply};
use crate::planning::{self, Catalogue};
use crate::runbook::approval::Challenge;
use crate::runbook::plan::Plan;
use crate::runbook::run::Word;
use crate::runbook::spec::{Kind, Runbook};
use crate::runtime::clock;
use crate::watch::Work;

/// How often the journals are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Serves the screens until they are gone.
pub(super) async fn serve(config: Arc<Config>, flags: Arc<Vec<OsString>>, work: Work) {
    let Work { events, mut errands } = work;
    let read = tokio::task::spawn_blocking(runbook::catalogue).await.unwrap_or_default();
    events.send(catalogue(&read)).await.ok();
    let mut journals = Journals::of(&config.state);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            errand = errands.recv() => match errand {
                Some(Errand::Follow(run)) => {
                    journals.follow(run);
                    look.reset_immediately();
                }
                Some(errand) => {
                    tokio::spawn(carry_out(Arc::clone(&config), Arc::clone(&flags), events.clone(), errand));
                }
                None => return,
            },
            _ = look.tick() => for event in journals.look().await {
                if events.send(event).await.is_err() {
                    return;
                }
            },
        }
    }
}

fn catalogue(read: &Catalogue) -> Event {
    let services = |runbook: &Runbook| {
        let of_services = runbook.parameters.iter().filter(|p| matches!(p.kind, Kind::Service(_)));
        of_services.map(|p| p.name.clone()).collect()
    };
    let book = |runbook: &Runbook| Book {
        id: runbook.id.clone(),
        summary: runbook.summary.clone(),
        risk: runbook.risk,
        host: runbook.host,
        treats: runbook.treats.clone(),
        services: services(runbook),
        steps: runbook.steps.len(),
        built_in: runbook.built_in,
    };
    let broken = read.broken.iter().map(|broken| broken.why.trim_end().to_owned()).collect();
    Event::Runbooks(read.runbooks.iter().map(book).collect(), broken)
}

async fn carry_out(config: Arc<Config>, flags: Arc<Vec<OsString>>, events: mpsc::Sender<Event>, errand: Errand) {
    let event = match errand {
        Errand::Plan(wish) => Event::Planned(wish.number, plan(&config, &wish).await),
        Errand::Start { number, plan, challenge, typed, again } => {
            Event::Started(number, begin(&config, flags, *plan, (challenge, typed), again).await)
        }
        Errand::Tell { run, word, step } => Event::Spoken(tell(&config, &run, word, step).await),
        Errand::Follow(_) => return,
    };
    events.send(event).await.ok();
}

async fn plan(config: &Config, wish: &Wish) -> Result<Box<Plan>, NoPlan> {
    let choices = |choices: Vec<planning::Choice>| {
        choices.into_iter().map(|choice| Choice { value: choice.value, label: choice.label }).collect()
    };
    let drawn = runbook::draw_up(config, (&wish.book, wish.site.as_deref()), &wish.given, clock::now()).await;
    drawn.map(Box::new).map_err(|error| match error {
        planning::NoPlan::Missing(name, title, given) => {
            NoPlan::Parameter { says: format!("{title}?"), name, choices: choices(given) }
        }
        planning::NoPlan::Wrong(name, value, why, given) => {
            NoPlan::Parameter { says: format!("{name} = {value}: {why}"), name, choices: choices(given) }
        }
        other @ (planning::NoPlan::Unknown(..) | planning::NoPlan::Unheard(_) | planning::NoPlan::Impossible(_)) => {
            NoPlan::Impossible(other.to_string())
        }
    })
}

/// Hands an approved plan to a runner, as the command does.
async fn begin(
    config: &Config,
    flags: Arc<Vec<OsString>>,
    plan: Plan,
    (challenge, typed): (Challenge, String),
    again: Option<Again>,
) -> Result<String, String> {
    if config.read_only {
        return Err("refused: this midwatch only looks (read-only)".to_owned());
    }
    let answer = challenge.answer(&typed, start::nonce(), clock::now()).map_err(|why| format!("refused: {why}"))?;
    let (id, again) = match again {
        None => (start::id(&plan), None),
        Some(again) => {
            let why = still_stands(follow::state(&config.state)?, &plan, &again).await?;
            (again.run, Some(order::Again { seq: again.seq, choice: again.choice, why }))
        }
    };
    let order = start::order(id.clone(), plan, answer, again);
    let handed = tokio::task::spawn_blocking(move || start::hand_over(&flags, &order)).await;
    match handed.map_err(|error| error.to_string())?? {
        Reply::Begun => Ok(id),
        Reply::Refused { why, .. } => Err(why),
    }
}

/// Whether a run can be taken up, and stands where it was seen; why it is.
async fn still_stands(state: &Path, plan: &Plan, again: &Again) -> Result<String, String> {
    let view = journal::read(state, &again.run).await.map_err(|error| error.to_string())?;
    if view.owner != rustix::process::geteuid().as_raw() {
        return Err("the run is another user's".to_owned());
    }
    if follow::lives(&view) {
        return Err("the run goes on already".to_owned());
    }
    if view.record.plan != *plan || view.entries.last().map_or(0, |entry| entry.seq) != again.seq {
        return Err("the run has gone on since it was looked at: nothing was done".to_owned());
    }
    Ok(if view.ended().is_none() { "its runner was gone" } else { "resumed" }.to_owned())
}

/// Says a word to a run that goes on; an answer only to the question it was given to.
async fn tell(config: &Config, run: &str, word: Word, step: Option<usize>) -> Result<String, String> {
    let state = follow::state(&config.state)?;
    if config.read_only {
        return Err("refused: this midwatch only looks (read-only)".to_owned());
    }
    let view = journal::read(state, run).await.map_err(|error| error.to_string())?;
    if !follow::lives(&view) {
        return Err("nothing goes on there any more".to_owned());
    }
    if step.is_some() && view.progress().asking != step {
        return Err("nothing was said: the run does not ask that any more".to_owned());
    }
    follow::speak(config, state, &view, word).await?;
    Ok(match word {
        Word::Proceed => "said: yes".to_owned(),
        Word::Decline => "said: no".to_owned(),
        Word::StopAfter => "told to stop after this step".to_owned(),
        Word::StopNow => "told to stop now".to_owned(),
        Word::Retry | Word::Skip | Word::Revert => "said".to_owned(),
    })
}
