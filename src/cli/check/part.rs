//! The parts that can be checked: rules, sources, and areas of everyday words.

use super::proof::Proof;
use crate::app::model::Model;
use crate::cli::rules::nearest;
use crate::domain::id::SourceKind;
use crate::triage::Finding;
use crate::triage::rule::{Rule, rule, rules};

/// An area: everyday words for several rules of a few sources.
struct Area {
    name: &'static str,
    what: &'static str,
    sources: &'static [SourceKind],
    /// A finding belongs if its rule has one of these words; with none, every finding of the sources does.
    words: &'static [&'static str],
    /// Readings belong whose names begin so; with none, all do.
    rows: &'static [&'static str],
    /// What must have been seen before it is fine.
    proof: Option<Proof>,
}

const AREAS: &[Area] = &[
    Area {
        name: "web",
        what: "what visitors meet: healthcheck, own port, certificate",
        sources: &[SourceKind::Health, SourceKind::Direct],
        words: &[],
        rows: &[],
        proof: None,
    },
    Area {
        name: "tls",
        what: "the TLS certificate of the public URL",
        sources: &[SourceKind::Health],
        words: &["certificate"],
        rows: &["certificate"],
        proof: Some(Proof::Certificate),
    },
    Area {
        name: "requests",
        what: "requests and their errors, from metrics or access logs",
        sources: &[SourceKind::Traffic, SourceKind::Access],
        words: &[],
        rows: &[],
        proof: None,
    },
    Area {
        name: "queues",
        what: "tasks that wait, and who works on them",
        sources: &[SourceKind::Redis],
        words: &["queue", "worker", "task", "beat"],
        rows: &["queue", "tasks", "consumers"],
        proof: None,
    },
    Area {
        name: "disk",
        what: "file systems and inodes",
        sources: &[SourceKind::Host],
        words: &["disk", "inodes", "mount", "read-only-filesystem"],
        rows: &["disk", "inodes"],
        proof: None,
    },
    Area {
        name: "memory",
        what: "memory, swap, the OOM killer",
        sources: &[SourceKind::Host],
        words: &["memory", "swap", "oom"],
        rows: &["memory", "swap", "pressure_memory"],
        proof: None,
    },
    Area {
        name: "cpu",
        what: "CPU, load and pressure",
        sources: &[SourceKind::Host],
        words: &["cpu", "load", "pressure", "steal"],
        rows: &["cpu", "load", "pressure_cpu", "pressure_io"],
        proof: None,
    },
    Area {
        name: "clock",
        what: "the clock and its synchronisation",
        sources: &[SourceKind::Host],
        words: &["clock", "ntp"],
        rows: &["clock"],
        proof: Some(Proof::Clock),
    },
    Area {
        name: "cron",
        what: "cron jobs and timers",
        sources: &[SourceKind::Schedule],
        words: &[],
        rows: &[],
        proof: None,
    },
];

/// One part that can be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    sources: Vec<SourceKind>,
    words: Vec<String>,
    rows: Vec<String>,
    /// Only findings of exactly this rule.
    rule: Option<String>,
    proof: Option<Proof>,
}

impl Part {
    /// The part with this name.
    ///
    /// # Errors
    /// What to say when there is none: the nearest names there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let wanted = name.to_lowercase();
        let of = |sources: &[SourceKind], words: &[&str], rows: &[&str], rule: Option<&str>, proof| Self {
            name: wanted.clone(),
            sources: sources.to_vec(),
            words: words.iter().map(|w| (*w).to_owned()).collect(),
            rows: rows.iter().map(|w| (*w).to_owned()).collect(),
            rule: rule.map(ToOwned::to_owned),
            proof,
        };
        if let Some(Rule { id, reads, .. }) = rule(&wanted) {
            return Ok(of(reads, &[], &[], Some(id), Proof::of_rule(id)));
        }
        if let Some(area) = AREAS.iter().find(|area| area.name == wanted) {
            return Ok(of(area.sources, area.words, area.rows, None, area.proof));
        }
        if let Some(kind) = SourceKind::ALL.into_iter().find(|kind| kind.name() == wanted) {
            return Ok(of(&[kind], &[], &[], None, None));
        }
        Err(unknown(&wanted))
    }

    /// Whether it is about this source.
    pub fn reads(&self, kind: SourceKind) -> bool {
        self.sources.contains(&kind)
    }

    /// Why there is nothing to judge it by, in a sentence, so that nothing being wrong does not mean that it is fine.
    pub fn lacks(&self, model: &Model, only: Option<&str>) -> Option<String> {
        self.proof?.lacks(model, only)
    }

    /// Whether a finding belongs to it.
    pub fn holds(&self, finding: &Finding) -> bool {
        if let Some(rule) = &self.rule {
            return finding.rule == *rule;
        }
        // A finding may come from several sources: the catalogue says which.
        let read = |kind: &SourceKind| self.sources.contains(kind);
        // The clock is the host's, and what others make of it comes from their servers.
        if self.proof == Some(Proof::Clock) {
            return self.words.iter().any(|word| finding.rule.contains(word.as_str()));
        }
        let ours = read(&finding.source) || rule(&finding.rule).is_some_and(|rule| rule.reads.iter().any(read));
        if self.words.is_empty() {
            return read(&finding.source);
        }
        ours && self.words.iter().any(|word| finding.rule.contains(word.as_str()))
    }

    /// Whether a reading belongs to it.
    pub fn shows(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|begin| row.starts_with(begin.as_str()))
    }
}

/// Every name there is, with what it means: areas, sources, rules.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let areas = AREAS.iter().map(|area| (area.name, area.what));
    let sources = SourceKind::ALL.into_iter().map(|kind| (kind.name(), "everything this source shows"));
    areas.chain(sources).chain(rules().map(|rule| (rule.id, rule.meaning)))
}

fn unknown(name: &str) -> String {
    let near = nearest(name, names().map(|(known, _)| known));
    if near.is_empty() {
        return format!("nothing is called `{name}`; `midwatch check list` says what can be checked");
    }
    format!("nothing is called `{name}`; did you mean {}? `midwatch check list` has them all", near.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_source_and_area_can_be_checked_and_has_a_name_of_its_own() {
        let mut all: Vec<&str> = names().map(|(name, _)| name).collect();
        for name in &all {
            assert!(Part::named(name).is_ok_and(|part| !part.sources.is_empty()), "{name}");
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "two parts have one name");
    }

    #[test]
    fn what_is_misspelt_is_told_the_nearest() {
        let told = Part::named("databse").err().unwrap_or_default();
        assert!(told.contains("did you mean `database`"), "{told}");
        let told = Part::named("xyzzy").err().unwrap_or_default();
        assert!(told.ends_with("`midwatch check list` says what can be checked"), "{told}");
    }
}
