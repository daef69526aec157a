//! From a plan to a runner: shown, confirmed, handed over through a pipe.

use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::termios::{QueueSelector, tcflush};

use super::{follow, make, refused};
use crate::backends::journal;
use crate::backends::logind;
use crate::backends::process_id;
use crate::backends::store::who;
use crate::cli::args::{Consent, Form, Global, Wish};
use crate::cli::run::{USAGE, say};
use crate::config::{Config, StateDir};
use crate::discovery::Surroundings;
use crate::domain::text::{escaped, plain};
use crate::hands::order::{Again, Order, Reply};
use crate::hands::runner::{HELD, IMPOSSIBLE, READ_ONLY, UNCONFIRMED};
use crate::runbook::approval::{Answer, Armed, Challenge};
use crate::runbook::card;
use crate::runbook::plan::{Confirm, Plan};
use crate::runbook::run::{Outcome, Word};
use crate::runtime::clock;

/// Plans, asks, starts, follows.
pub(super) async fn run(
    global: &Global,
    config: &Config,
    (wish, consent): (&Wish, &Consent),
    (detach, output): (bool, Form),
) -> color_eyre::Result<u8> {
    let Some(armed) = Armed::unless(config.read_only) else {
        return refused(READ_ONLY, "refused: this midwatch only looks (read-only)");
    };
    let made = match consent.confirm.as_deref().map(Plan::made_of) {
        Some(None) => return refused(USAGE, "--confirm takes the token that `midwatch runbook plan` has printed"),
        Some(Some(made)) => made,
        None => clock::now(),
    };
    let plan = match make(config, wish, made).await {
        Ok(plan) => plan,
        Err((code, why)) => return refused(code, &why),
    };
    let challenge = Challenge::about(&plan, &armed);
    let typed = match consent.confirm.as_deref() {
        Some(token) if token == plan.token() => Ok(plan.confirm.text().to_owned()),
        Some(_) => {
            let why = format!(
                "refused: the token is for another plan, or the world has changed since. Now it would be:\n\n{}",
                card::text(&plan, false)
            );
            return refused(UNCONFIRMED, &why);
        }
        None => ask(&plan, &card::text(&plan, true), consent),
    };
    let typed = match typed {
        Ok(typed) => typed,
        Err(why) => return refused(UNCONFIRMED, &why),
    };
    let answer = match challenge.answer(&typed, nonce(), clock::now()) {
        Ok(answer) => answer,
        Err(why) => return refused(UNCONFIRMED, &format!("refused: {why}")),
    };
    let id = id(&plan);
    begin(global, config, order(id, plan, answer, None), (detach, output)).await
}

/// Takes a run up again.
pub(super) async fn resume(
    global: &Global,
    config: &Config,
    (run, choice, reason): (&str, Option<Word>, Option<String>),
    consent: &Consent,
    output: Form,
) -> color_eyre::Result<u8> {
    let Some(armed) = Armed::unless(config.read_only) else {
        return refused(READ_ONLY, "refused: this midwatch only looks (read-only)");
    };
    let StateDir::Directory(state) = &config.state else {
        return refused(IMPOSSIBLE, "there is no state directory, so there are no runs");
    };
    let view = match journal::read(state, run).await {
        Ok(view) => view,
        Err(error) => return refused(USAGE, &error.to_string()),
    };
    if view.owner != rustix::process::geteuid().as_raw() {
        let owner = who::name(view.owner);
        return refused(IMPOSSIBLE, &format!("the run is {owner}'s: only who acts as {owner} can take it up"));
    }
    let lives = view.beat.as_ref().is_some_and(|beat| process_id::lives(&beat.runner));
    if lives && view.ended().is_none() {
        return refused(HELD, &format!("the run goes on: midwatch runbook attach {}", view.record.id));
    }
    if let Some((outcome @ (Outcome::Done | Outcome::Reverted | Outcome::Refused), _)) = view.ended() {
        return refused(IMPOSSIBLE, &format!("the run is over: {}", outcome.word()));
    }
    let plan = view.record.plan.clone();
    let mut shown = follow::standing(&view);
    shown.push_str(&card::steps(&plan));
    let token = token(&view);
    let typed = match consent.confirm.as_deref() {
        Some(given) if given == token => Ok(plan.confirm.text().to_owned()),
        Some(_) => Err("refused: the token is for another moment of the run".to_owned()),
        None => ask(&plan, &shown, consent).map_err(|why| format!("{why}, or --confirm={token}")),
    };
    let typed = match typed {
        Ok(typed) => typed,
        Err(why) => return refused(UNCONFIRMED, &why),
    };
    let now = clock::now();
    let answer = match Challenge::again(&plan, now, &armed).answer(&typed, nonce(), now) {
        Ok(answer) => answer,
        Err(why) => return refused(UNCONFIRMED, &format!("refused: {why}")),
    };
    let why =
        reason.unwrap_or_else(|| if view.ended().is_none() { "its runner was gone" } else { "resumed" }.to_owned());
    let again = Some(Again { seq: view.entries.last().map_or(0, |entry| entry.seq), choice, why: plain(&why, 200) });
    begin(global, config, order(view.record.id, plan, answer, again), (false, output)).await
}

/// What confirms taking up a run as it stands now.
fn token(view: &crate::runbook::kept::RunView) -> String {
    let digest = view.record.plan.digest();
    format!("{}-{}", view.entries.len(), digest.get(..16).unwrap_or(&digest))
}

pub(in crate::cli) fn order(run: String, plan: Plan, answer: Answer, again: Option<Again>) -> Order {
    let env = Surroundings::of_process().env;
    Order { run, plan, answer, by: who::who(&env), again }
}

/// Asks on the terminal. Nothing that was typed or pasted before the question counts; Enter alone confirms nothing.
fn ask(plan: &Plan, shown: &str, consent: &Consent) -> Result<String, String> {
    if plan.confirm == Confirm::Nothing || (consent.yes && plan.confirm == Confirm::Yes) {
        return Ok(plan.confirm.text().to_owned());
    }
    if consent.yes {
        return Err(format!("refused: --yes confirms what can be undone; this {}", plan.risk.word()));
    }
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    if !stdin.is_terminal() || !stdout.is_terminal() {
        let plan = format!("midwatch runbook plan {}", plan.runbook);
        return Err(format!(
            "refused: not confirmed. There is no terminal to ask on: {plan} prints a token for --confirm"
        ));
    }
    let question = match &plan.confirm {
        Confirm::Nothing | Confirm::Yes => "y to run it, anything else not to: ".to_owned(),
        Confirm::Type(text) => format!("type {text} to run it, anything else not to: "),
    };
    say(escaped(shown).as_bytes()).map_err(|error| error.to_string())?;
    tcflush(&stdin, QueueSelector::IFlush).ok();
    write!(stdout.lock(), "\n{question}").and_then(|()| stdout.lock().flush()).map_err(|error| error.to_string())?;
    let mut line = String::new();
    stdin.lock().take(4096).read_line(&mut line).map_err(|error| error.to_string())?;
    let typed = line.strip_suffix('\n').unwrap_or(&line);
    if typed == plan.confirm.text() { Ok(typed.to_owned()) } else { Err("not confirmed: nothing was done".to_owned()) }
}

/// A number nobody has used, from the kernel.
pub(in crate::cli) fn nonce() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default().trim().to_owned()
}

/// A run's name: when, what, and a bit of chance.
pub(in crate::cli) fn id(plan: &Plan) -> String {
    let at = jiff::Timestamp::from_millisecond(clock::now().as_millis());
    let at = at.map_or_else(|_| String::new(), |at| at.strftime("%Y%m%d-%H%M%S").to_string());
    let chance = nonce();
    format!("{at}-{}-{}", plan.runbook.replace('_', "-"), chance.get(..4).unwrap_or("0000"))
}

/// Hands the order to a runner, and shows what it does.
async fn begin(
    global: &Global,
    config: &Config,
    order: Order,
    (detach, output): (bool, Form),
) -> color_eyre::Result<u8> {
    match hand_over(&flags(global), &order) {
        Ok(Reply::Begun) if detach => say(format!("{}\n", order.run).as_bytes()),
        Ok(Reply::Begun) => follow::attach(config, Some(&order.run), output).await,
        Ok(Reply::Refused { code, why }) => refused(code, &why),
        Err(why) => refused(IMPOSSIBLE, &why),
    }
}

/// The flags that lead a runner to the same configuration and state.
pub(in crate::cli) fn flags(global: &Global) -> Vec<OsString> {
    let told = [("--config", &global.config), ("--app-config", &global.app_config), ("--state-dir", &global.state_dir)];
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone()).into_os_string();
    told.into_iter()
        .filter_map(|(flag, path)| Some([OsString::from(flag), absolute(path.as_ref()?)]))
        .flatten()
        .collect()
}

/// Starts a runner and waits until it has said whether it begins. It goes on when this process ends.
///
/// # Errors
/// A sentence.
pub(in crate::cli) fn hand_over(flags: &[OsString], order: &Order) -> Result<Reply, String> {
    let outside = logind::outside(&order.run, &nonce()).map_err(|why| format!("nothing was begun: {why}"))?;
    let scoped = outside.is_some();
    let text = serde_json::to_vec(order).map_err(|error| error.to_string())?;
    let what = if scoped {
        "nothing was begun: a run would end with this login, and systemd-run can't be started"
    } else {
        "no runner could be started"
    };
    let failed = |error: std::io::Error| format!("{what}: {error}");
    let mut command = match outside {
        None => Command::new("/proc/self/exe"),
        Some(mut command) => {
            // Its own would be systemd-run's. It is this very program, also where its file was replaced meanwhile.
            command.arg(format!("/proc/{}/exe", std::process::id()));
            command
        }
    };
    let mut child = command
        .args(flags)
        .arg("runner")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(if scoped { Stdio::piped() } else { Stdio::null() })
        .spawn()
        .map_err(failed)?;
    let complaint = child.stderr.take().map(|pipe| std::thread::spawn(move || complaint(pipe)));
    if let Some(mut pipe) = child.stdin.take() {
        // A runner that has refused already reads nothing more: what it says counts.
        pipe.write_all(&text).ok();
    }
    let mut said = String::new();
    let read = child.stdout.take().map(|pipe| std::io::BufReader::new(pipe.take(64 * 1024)).read_line(&mut said));
    // Collected when it ends, as long as this process is there: a dead runner must not look like one that lives.
    let ended = std::thread::spawn(move || child.wait());
    if let Some(Err(error)) = read {
        return Err(failed(error));
    }
    if let Some(complaint) = complaint.filter(|_| said.is_empty())
        && ended.join().is_ok_and(|status| status.is_ok_and(|status| status.code() == Some(1)))
    {
        // So ends systemd-run; a runner that had begun anything would have said so, or been cut off.
        let why = complaint.join().unwrap_or_default();
        return Err(format!("nothing was begun: a run would end with this login, and systemd-run has failed: {why}"));
    }
    serde_json::from_str(&said)
        .map_err(|_unsaid| "the runner ended without a word: see the log in the state directory".to_owned())
}

/// What a program complains of, in one line; all of it is taken, so that it never waits.
fn complaint(mut pipe: impl Read) -> String {
    let mut text = Vec::new();
    pipe.by_ref().take(4096).read_to_end(&mut text).ok();
    std::io::copy(&mut pipe, &mut std::io::sink()).ok();
    plain(&String::from_utf8_lossy(&text), 300)
}
