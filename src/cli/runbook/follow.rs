//! A run as it goes on, read from its journal: whoever runs it, wherever it was started.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::refused;
use crate::backends::journal::{self, Journal};
use crate::backends::process_id;
use crate::backends::store::who;
use crate::cli::args::Form;
use crate::cli::run::{USAGE, say};
use crate::config::{Config, StateDir};
use crate::discovery::Surroundings;
use crate::domain::text::{escaped, escaped_json, span};
use crate::hands::runner::IMPOSSIBLE;
use crate::runbook::kept::RunView;
use crate::runbook::plan::Plan;
use crate::runbook::run::{Entry, Next, Outcome, StepState, What, Word};
use crate::runtime::clock;

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Rows of output that are read at once.
const ROWS: u32 = 500;
/// The exit code of who stops watching.
const DETACHED: u8 = 130;
/// A runner that begins has not shown a sign of life yet: so long it may take, in milliseconds.
const FIRST_BEAT_MS: u64 = 10_000;

/// Where runs are kept.
///
/// # Errors
/// A sentence, where nowhere is.
pub(in crate::cli) fn state(state: &StateDir) -> Result<&Path, String> {
    match state {
        StateDir::Directory(dir) => Ok(dir),
        StateDir::Memory(why) => Err(format!("there is no state directory, so there are no runs: {why}")),
    }
}

/// Shows a run until it ends.
pub(super) async fn attach(config: &Config, run: Option<&str>, output: Form) -> color_eyre::Result<u8> {
    let state = match state(&config.state) {
        Ok(state) => state,
        Err(why) => return refused(IMPOSSIBLE, &why),
    };
    let id = match run {
        Some(run) => run.to_owned(),
        None => match journal::runs(state).await.runs.into_iter().find(lives) {
            Some(view) => view.record.id,
            None => return refused(USAGE, "no run goes on; `midwatch runbook log` lists those that were"),
        },
    };
    let mut shown = Shown { entries: 0, output: 0, form: output };
    loop {
        let view = match journal::read(state, &id).await {
            Ok(view) => view,
            Err(error) => return refused(USAGE, &error.to_string()),
        };
        shown.news(state, &view).await?;
        if let Some((outcome, _)) = view.ended() {
            return Ok(outcome.code());
        }
        if !lives(&view) {
            // It may have come to its end between the look at the journal and the look at the process.
            let again = journal::read(state, &id).await;
            if again.is_ok_and(|again| again.entries.len() > view.entries.len()) {
                continue;
            }
            let why = format!("its runner is gone: midwatch runbook resume {}", view.record.id);
            return refused(1, &format!("{}\n{why}", standing(&view).trim_end()));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => if let Some(code) = leave(config, state, &view).await? { return Ok(code) },
        }
    }
}

/// Whether a run's runner lives, or was begun so lately that it has not shown it yet.
pub(in crate::cli) fn lives(view: &RunView) -> bool {
    if view.ended().is_some() {
        return false;
    }
    match view.runner() {
        Some(runner) => process_id::lives(runner),
        None => clock::now().millis_since(view.record.began) < FIRST_BEAT_MS,
    }
}

/// Ctrl-C: what shall become of the run. `None`: go on watching.
async fn leave(config: &Config, state: &Path, view: &RunView) -> color_eyre::Result<Option<u8>> {
    let id = &view.record.id;
    if !std::io::stdin().is_terminal() {
        return Ok(Some(DETACHED));
    }
    let question = "\n  a  stop after this step\n  n  stop now: ends what it runs\n  l  leave it running (it goes on without \
                    this terminal)\nanything else: go on watching: ";
    say(question.as_bytes())?;
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = tokio::select! {
        line = line => line.ok().and_then(Result::ok).unwrap_or_default(),
        // Twice is no answer either: it leaves the run alone.
        _ = tokio::signal::ctrl_c() => "l".to_owned(),
    };
    let word = match line.trim() {
        "a" => Word::StopAfter,
        "n" => Word::StopNow,
        "l" => {
            say(format!("\nthe run goes on: midwatch runbook attach {id}\n").as_bytes())?;
            return Ok(Some(DETACHED));
        }
        _ => return Ok(None),
    };
    if let Err(why) = speak(config, state, view, word).await {
        say(format!("{why}\n").as_bytes())?;
    }
    Ok(None)
}

/// Says a word to a run that goes on; an answer only to the question of this step, from 1 on.
pub(super) async fn tell(config: &Config, run: &str, word: Word, step: Option<usize>) -> color_eyre::Result<u8> {
    if config.read_only {
        return refused(crate::hands::runner::READ_ONLY, "refused: this midwatch only looks (read-only)");
    }
    let state = match state(&config.state) {
        Ok(state) => state,
        Err(why) => return refused(IMPOSSIBLE, &why),
    };
    let view = match journal::read(state, run).await {
        Ok(view) => view,
        Err(error) => return refused(USAGE, &error.to_string()),
    };
    if !lives(&view) {
        return refused(IMPOSSIBLE, &format!("nothing goes on there: {}", standing(&view).trim_end()));
    }
    let asking = view.progress().asking.map(|step| step + 1);
    match (step, asking) {
        (Some(_), None) => return refused(IMPOSSIBLE, "the run asks nothing now"),
        (Some(step), Some(asking)) if step != asking => {
            return refused(IMPOSSIBLE, &format!("the run asks at step {asking} now, not at {step}: nothing was said"));
        }
        (Some(_) | None, _) => {}
    }
    match speak(config, state, &view, word).await {
        Ok(()) => say(format!("said to {}\n", view.record.id).as_bytes()),
        Err(why) => refused(IMPOSSIBLE, &why),
    }
}

/// Says a word to a run of this user.
///
/// # Errors
/// A sentence.
pub(in crate::cli) async fn speak(config: &Config, state: &Path, view: &RunView, word: Word) -> Result<(), String> {
    if config.read_only {
        return Err("refused: this midwatch only looks (read-only)".to_owned());
    }
    let uid = rustix::process::geteuid().as_raw();
    if view.owner != uid {
        let owner = who::name(view.owner);
        return Err(format!("the run is {owner}'s: only who acts as {owner} can say anything to it"));
    }
    let journal = Journal::open(state, uid).await.map_err(|error| error.to_string())?;
    let by = who::who(&Surroundings::of_process().env);
    journal.say(&view.record.id, &by, word, clock::now()).await.map(|_| ()).map_err(|error| error.to_string())
}

/// What has been shown of a run.
struct Shown {
    entries: usize,
    output: u64,
    form: Form,
}

impl Shown {
    /// Shows what has come since, in the order in which it happened.
    async fn news(&mut self, state: &Path, view: &RunView) -> color_eyre::Result<()> {
        let mut out = String::new();
        if self.entries == 0 && self.form == Form::Text {
            let by = view.record.by.whole();
            let _written = writeln!(out, "run {} · {} · {by}", view.record.id, view.record.plan.title);
        }
        let mut lines: Vec<(i64, u8, String)> = Vec::new();
        for entry in view.entries.iter().skip(self.entries) {
            let line = match self.form {
                Form::Json => Some(json!({"entry": entry}).to_string()),
                Form::Text => told(&view.record.plan, entry),
            };
            lines.extend(line.map(|line| (entry.at.as_millis(), 1, line)));
        }
        self.entries = view.entries.len();
        loop {
            let rows = journal::output_after(state, view.owner, &view.record.id, self.output, ROWS).await;
            let rows = rows.unwrap_or_default();
            for (seq, printed) in &rows {
                self.output = *seq;
                let line = match self.form {
                    Form::Json => json!({"output": printed}).to_string(),
                    Form::Text => format!("      {}", printed.text.replace('\n', "\n      ")),
                };
                lines.push((printed.at.as_millis(), 0, line));
            }
            if rows.len() < ROWS as usize {
                break;
            }
        }
        lines.sort_by_key(|(at, rank, _)| (*at, *rank));
        for (_, _, line) in lines {
            let _written = writeln!(out, "{line}");
        }
        let shown = if self.form == Form::Json { escaped_json(&out) } else { escaped(&out) };
        say(shown.as_bytes()).map(|_| ())
    }
}

/// An entry as a line; what says nothing new is left out.
pub(super) fn told(plan: &Plan, entry: &Entry) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(entry.at.as_millis());
    let at = at.map_or_else(|_| String::new(), |at| at.strftime("%H:%M:%S").to_string());
    let name = |step: &usize| {
        let of = plan.steps.len();
        format!("{}/{of} {}", step + 1, plan.steps.get(*step).map_or("?", |step| step.name.as_str()))
    };
    let said = match &entry.what {
        What::Began { by, why: None, .. } => format!("begun by {}", by.whole()),
        What::Began { by, why: Some(why), .. } => format!("taken up by {}: {why}", by.whole()),
        What::Intended { step, attempt: 1 } => name(step),
        What::Intended { step, attempt } => format!("{} · attempt {attempt}", name(step)),
        // What follows says it too, but for a step that is verified.
        What::Acted { step, how } if plan.steps.get(*step).is_some_and(|step| step.verify.is_some()) => {
            format!("  {how}")
        }
        What::Started { .. } | What::Acted { .. } => return None,
        What::Spared { step, how } => format!("{}: nothing to do: {how}", name(step)),
        What::Done { how, verified: true, .. } => format!("  ok: {how}"),
        What::Done { how, verified: false, .. } => format!("  {how}"),
        What::Failed { why, .. } => format!("  FAILED: {why}"),
        What::NotDone { step, how } => format!("{}: {how}", name(step)),
        What::Undoing { step } => format!("{}: is undone", name(step)),
        What::Reverted { step, how } => format!("{}: undone: {how}", name(step)),
        What::Asked { step, question } => {
            format!("  ASKS: {question}   (midwatch runbook answer RUN yes|no --step {})", step + 1)
        }
        What::Said { by, word } => format!("{} said: {}", by.whole(), word_of(*word)),
        What::Note(text) => format!("  {text}"),
        What::Ended { outcome, left } => format!("{}: {left}", outcome.word().to_uppercase()),
    };
    Some(format!("{at} {said}"))
}

const fn word_of(word: Word) -> &'static str {
    match word {
        Word::Proceed => "yes",
        Word::Decline => "no",
        Word::StopAfter => "stop after this step",
        Word::StopNow => "stop now",
        Word::Retry => "try it again",
        Word::Skip => "go on without it",
        Word::Revert => "undo it",
    }
}

/// Where a run stands, in a few lines.
pub(super) fn standing(view: &RunView) -> String {
    let progress = view.progress();
    let plan = &view.record.plan;
    let mut out = format!("run {} · {} · begun by {}\n", view.record.id, plan.title, view.record.by.whole());
    for (n, (step, state)) in plan.steps.iter().zip(&progress.steps).enumerate() {
        let lost = matches!(state, StepState::Begun(_)) && !lives(view);
        let word = if lost { "not known whether done" } else { state.word() };
        let why = if let StepState::Failed(_, why) = state { format!(": {why}") } else { String::new() };
        let _written = writeln!(out, "{:>3}. {:<40} {word}{why}", n + 1, step.name);
    }
    let took = view.took_ms().map(|ms| format!(" in {}", span(ms))).unwrap_or_default();
    let end = match (&progress.ended, progress.next(plan)) {
        (Some((outcome, left)), _) => format!("{}{took}: {left}", outcome.word()),
        (None, _) if lives(view) => "goes on".to_owned(),
        (None, Next::End(Outcome::Done)) => "its runner is gone; every step is done".to_owned(),
        (None, _) => "its runner is gone".to_owned(),
    };
    let _written = writeln!(out, "{end}");
    escaped(&out).into_owned()
}
