//! The file's raw shape and its checks. Every mistake is found, each with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{Does, GIVEN, Holds, Kind, OWN, Parameter, Risk, Runbook, Step};
use crate::domain::service::Role;
use crate::runbook::plan::OnFailure;
use crate::runbook::template;

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes of the file it is in.
    pub span: Range<usize>,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// How long a step may take where it doesn't say: ten minutes.
const TIMEOUT_MS: u64 = 600_000;
/// No step may take longer than a day.
const MOST_MS: u64 = 86_400_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: Spanned<String>,
    summary: String,
    risk: Risk,
    #[serde(default)]
    host: bool,
    #[serde(default)]
    treats: Vec<String>,
    #[serde(default)]
    costs: Vec<Spanned<String>>,
    #[serde(default)]
    way_back: Option<Spanned<String>>,
    #[serde(default)]
    parameters: Vec<Spanned<ParameterFile>>,
    steps: Spanned<Vec<Spanned<StepFile>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterFile {
    name: Spanned<String>,
    kind: Spanned<String>,
    title: String,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    choices: Vec<String>,
    default: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepFile {
    name: Spanned<String>,
    run: Option<Spanned<Vec<Spanned<String>>>>,
    probe: Option<HoldsFile>,
    wait: Option<HoldsFile>,
    ask: Option<Spanned<String>>,
    note: Option<Spanned<String>>,
    restart: Option<Spanned<String>>,
    start: Option<Spanned<String>>,
    reset: Option<Spanned<String>>,
    stop: Option<Spanned<String>>,
    cancel: Option<Spanned<String>>,
    terminate: Option<Spanned<String>>,
    own: Option<Spanned<String>>,
    #[serde(default)]
    with: BTreeMap<String, Spanned<String>>,
    user: Option<String>,
    save: Option<Spanned<String>>,
    #[serde(default)]
    exits: Vec<Spanned<i32>>,
    #[serde(default)]
    leaves: bool,
    #[serde(default)]
    repeatable: bool,
    verify: Option<HoldsFile>,
    unless: Option<HoldsFile>,
    revert: Option<Spanned<Vec<Spanned<String>>>>,
    timeout: Option<Spanned<String>>,
    estimate: Option<Spanned<String>>,
    max_attempts: Option<Spanned<u32>>,
    #[serde(default)]
    on_failure: OnFailure,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum HoldsFile {
    Runs(Spanned<String>),
    Stopped(Spanned<String>),
    Healthy,
    WorkerListens,
    SessionGone(Spanned<String>),
    Freed(Spanned<String>),
    Succeeds(Vec<Spanned<String>>),
}

/// Reads a runbook; `id` is the name of its file without `.toml`.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn parse(id: &str, text: &str, built_in: bool) -> Result<Runbook, Vec<Mistake>> {
    let file: File = toml::from_str(text).map_err(|error| {
        vec![Mistake { span: error.span().unwrap_or(0..0), what: error.message().replace('\n', " ") }]
    })?;
    let mut check = Check { mistakes: Vec::new(), names: GIVEN.iter().map(|name| (*name).to_owned()).collect() };
    let parameters = file.parameters.into_iter().filter_map(|written| check.parameter(written)).collect();
    let title = check.text(file.title);
    let costs = file.costs.into_iter().map(|cost| check.text(cost)).collect();
    let way_back = file.way_back.map(|way| check.text(way));
    if way_back.is_none() && file.risk >= Risk::Reversible {
        check.mistake(0..0, "way_back is missing: say how what it does is undone, or that it can't be");
    }
    let span = file.steps.span();
    let mut seen = BTreeSet::new();
    let mut steps = Vec::new();
    for step in file.steps.into_inner() {
        let name = step.get_ref().name.clone();
        if !seen.insert(name.get_ref().clone()) {
            check.mistake(name.span(), format!("two steps are called `{}`", name.get_ref()));
        }
        steps.extend(check.step(step, file.risk));
    }
    if steps.is_empty() {
        check.mistake(span, "a runbook needs at least one step");
    }
    let mut mistakes = check.mistakes;
    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        return Err(mistakes);
    }
    Ok(Runbook {
        id: id.to_owned(),
        title,
        summary: file.summary,
        risk: file.risk,
        host: file.host,
        treats: file.treats,
        costs,
        way_back: way_back.unwrap_or_else(|| "nothing is changed".to_owned()),
        parameters,
        steps,
        built_in,
    })
}

struct Check {
    mistakes: Vec<Mistake>,
    names: BTreeSet<String>,
}

impl Check {
    fn mistake(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.mistakes.push(Mistake { span, what: what.into() });
    }

    fn text(&mut self, written: Spanned<String>) -> String {
        let span = written.span();
        let text = written.into_inner();
        match template::names(&text) {
            Err(error) => self.mistake(span, error.to_string()),
            Ok(names) => {
                let unknown: Vec<_> = names.into_iter().filter(|name| !self.names.contains(*name)).collect();
                for name in unknown {
                    let known: Vec<_> = self.names.iter().map(String::as_str).collect();
                    let what = format!("nothing is called `{name}`: there are {}", known.join(", "));
                    self.mistakes.push(Mistake { span: span.clone(), what });
                }
            }
        }
        text
    }

    fn words(&mut self, written: Vec<Spanned<String>>, span: Range<usize>) -> Vec<String> {
        let first = written.first().map(|word| word.get_ref().trim().to_owned());
        if first.as_deref().is_none_or(str::is_empty) {
            self.mistake(span, "names no program: write [\"program\", \"argument\", …]");
        } else if let Some(word) = written.first()
            && word.get_ref().contains(char::is_whitespace)
        {
            let what =
                "the program's name has blanks in it: every argument is a text of its own, no shell takes it apart";
            self.mistake(word.span(), what);
        }
        written.into_iter().map(|word| self.text(word)).collect()
    }

    fn parameter(&mut self, written: Spanned<ParameterFile>) -> Option<Parameter> {
        let ParameterFile { name, kind, title, roles, choices, default } = written.into_inner();
        let word = name.get_ref().clone();
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if word.is_empty() || !word.chars().all(good) {
            self.mistake(name.span(), "a name has lower-case letters, digits and `_` only");
        }
        let kind_span = kind.span();
        let kind = match kind.get_ref().as_str() {
            "service" => Kind::Service(roles),
            "session" => Kind::Session,
            "deleted_log" => Kind::DeletedLog,
            "backup" => Kind::Backup,
            "held_database" => Kind::HeldDatabase,
            "directory" => Kind::Directory,
            "backup_place" => Kind::BackupPlace,
            "held" => Kind::Held,
            "parked" => Kind::Parked,
            "database" => Kind::Database,
            "version" => Kind::Version,
            "choice" if choices.is_empty() => {
                self.mistake(kind_span, "a choice needs choices = [\"…\", …]");
                return None;
            }
            "choice" => Kind::Choice(choices),
            "text" => Kind::Text,
            other => {
                let known = "service, session, deleted_log, backup, held_database, held, parked, directory, backup_place, \
                             database, version, choice, text";
                self.mistake(kind_span, format!("there is no kind `{other}`: there are {known}"));
                return None;
            }
        };
        if let (Kind::Choice(choices), Some(default)) = (&kind, &default)
            && !choices.contains(default.get_ref())
        {
            self.mistake(default.span(), format!("the default is none of the choices {}", choices.join(", ")));
        }
        if !self.names.insert(word.clone()) {
            self.mistake(name.span(), format!("`{word}` is taken"));
        }
        self.names.extend(kind.parts().iter().map(|part| format!("{word}.{part}")));
        Some(Parameter { name: word, title, kind, default: default.map(Spanned::into_inner) })
    }

    fn holds(&mut self, written: HoldsFile) -> Holds {
        match written {
            HoldsFile::Runs(service) => Holds::Runs(self.text(service)),
            HoldsFile::Stopped(service) => Holds::Stopped(self.text(service)),
            HoldsFile::Healthy => Holds::Healthy,
            HoldsFile::WorkerListens => Holds::WorkerListens,
            HoldsFile::SessionGone(session) => Holds::SessionGone(self.text(session)),
            HoldsFile::Freed(log) => Holds::Freed(self.text(log)),
            HoldsFile::Succeeds(words) => Holds::Succeeds(self.words(words, 0..0)),
        }
    }

    fn duration(&mut self, written: Option<Spanned<String>>) -> Option<u64> {
        let written = written?;
        let parsed: Option<jiff::SignedDuration> = written.get_ref().parse().ok();
        let ms = parsed.and_then(|span| u64::try_from(span.as_millis()).ok()).filter(|ms| (1..=MOST_MS).contains(ms));
        if ms.is_none() {
            self.mistake(written.span(), "is no duration up to a day: write it like \"30s\", \"5m\", \"1h 30m\"");
        }
        ms
    }

    /// Something of midwatch's own, with what it is given.
    fn own(&mut self, name: Option<Spanned<String>>, with: BTreeMap<String, Spanned<String>>) -> Option<Does> {
        let Some(name) = name else {
            for (key, value) in with {
                self.mistake(value.span(), format!("`{key}` is given to nothing: `with` goes with `own`"));
            }
            return None;
        };
        let Some((_, takes)) = OWN.iter().find(|(known, _)| known == name.get_ref()) else {
            let known = OWN.map(|(known, _)| known).join(", ");
            self.mistake(name.span(), format!("midwatch has nothing called `{}`: it has {known}", name.get_ref()));
            return None;
        };
        for missing in takes.iter().filter(|takes| !with.contains_key(**takes)) {
            self.mistake(
                name.span(),
                format!("`{}` has to be given `{missing}`: with = {{ {missing} = … }}", name.get_ref()),
            );
        }
        let mut given = BTreeMap::new();
        for (key, value) in with {
            if !takes.contains(&key.as_str()) {
                self.mistake(
                    value.span(),
                    format!("`{}` takes no `{key}`: it takes {}", name.get_ref(), takes.join(", ")),
                );
            }
            given.insert(key, self.text(value));
        }
        Some(Does::Own(name.into_inner(), given))
    }

    fn step(&mut self, written: Spanned<StepFile>, risk: Risk) -> Option<Step> {
        let span = written.get_ref().name.span();
        let step = written.into_inner();
        let named = [&step.restart, &step.start, &step.reset, &step.stop, &step.cancel, &step.terminate, &step.own];
        let acts = step.run.is_some() || named.iter().any(|act| act.is_some());
        if acts && risk == Risk::Observe && step.run.is_none() {
            self.mistake(span.clone(), "it acts, and the runbook's risk is `observe`");
        }
        let mut does = Vec::new();
        if let Some(run) = step.run {
            let span = run.span();
            does.push(Does::Run(self.words(run.into_inner(), span)));
        }
        does.extend(step.probe.map(|holds| Does::Probe(self.holds(holds))));
        does.extend(step.wait.map(|holds| Does::Wait(self.holds(holds))));
        for (written, make) in [
            (step.ask, Does::Ask as fn(String) -> Does),
            (step.note, Does::Note),
            (step.restart, Does::Restart),
            (step.start, Does::Start),
            (step.reset, Does::Reset),
            (step.stop, Does::Stop),
            (step.cancel, Does::Cancel),
            (step.terminate, Does::Terminate),
        ] {
            does.extend(written.map(|text| make(self.text(text))));
        }
        does.extend(self.own(step.own, step.with));
        if does.len() != 1 {
            let known = "run, probe, wait, ask, note, restart, start, stop, reset, cancel, terminate, own";
            self.mistake(span, format!("a step does exactly one of {known}; this one does {}", does.len()));
            return None;
        }
        let attempts = step.max_attempts.map_or(1, |written| {
            if !(1..=10).contains(written.get_ref()) {
                self.mistake(written.span(), "max_attempts is from 1 to 10");
            }
            written.into_inner()
        });
        for exit in &step.exits {
            if !(0..=255).contains(exit.get_ref()) {
                self.mistake(exit.span(), "an exit code is from 0 to 255");
            }
        }
        Some(Step {
            name: self.text(step.name),
            does: does.pop()?,
            user: step.user,
            save: step.save.map(|save| self.text(save)),
            exits: step.exits.into_iter().map(Spanned::into_inner).collect(),
            leaves: step.leaves,
            repeatable: step.repeatable,
            verify: step.verify.map(|holds| self.holds(holds)),
            unless: step.unless.map(|holds| self.holds(holds)),
            revert: step.revert.map(|run| {
                let span = run.span();
                self.words(run.into_inner(), span)
            }),
            timeout_ms: self.duration(step.timeout).unwrap_or(TIMEOUT_MS),
            max_attempts: attempts,
            on_failure: step.on_failure,
            estimate_ms: self.duration(step.estimate),
        })
    }
}
