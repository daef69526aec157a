//! What an upgrade of a Compose project's image does, and looks at.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Command;
use crate::domain::time::Timestamp;

/// A tag exchanged for another in a file of the project: every other byte stays, and it is done only to the very text
/// that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retag {
    /// The file.
    pub file: String,
    /// Where in its text the tag begins.
    pub at: Vec<usize>,
    /// What is there.
    pub from: String,
    /// What comes there.
    pub to: String,
    /// SHA-256 of the text before it, in hexadecimal.
    pub was: String,
    /// And after it.
    pub becomes: String,
    /// Where the text from before is kept; `None`: it is kept already.
    pub keep: Option<String>,
}

impl Retag {
    /// Of a file with this text; `None`: the tag is not at those places.
    pub fn of(file: &str, text: &str, at: Vec<usize>, (from, to): (&str, &str), keep: Option<String>) -> Option<Self> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let mut made = Self { file: file.to_owned(), at, from, to, was: digest(text), becomes: String::new(), keep };
        made.becomes = digest(&made.applied(text)?);
        Some(made)
    }

    /// The text with the tags exchanged; `None`: they are not at those places.
    pub fn applied(&self, text: &str) -> Option<String> {
        let mut out = String::with_capacity(text.len() + self.at.len() * self.to.len());
        let mut rest = 0;
        for at in &self.at {
            let end = at.checked_add(self.from.len())?;
            out.push_str(text.get(rest..*at)?);
            (text.get(*at..end)? == self.from).then(|| out.push_str(&self.to))?;
            rest = end;
        }
        out.push_str(text.get(rest..)?);
        Some(out)
    }

    /// The way back of it.
    #[must_use]
    pub fn back(&self) -> Self {
        let moved = |(n, at): (usize, &usize)| at + n * self.to.len() - n * self.from.len();
        Self {
            file: self.file.clone(),
            at: self.at.iter().enumerate().map(moved).collect(),
            from: self.to.clone(),
            to: self.from.clone(),
            was: self.becomes.clone(),
            becomes: self.was.clone(),
            keep: None,
        }
    }

    /// What is done, in a sentence.
    pub fn told(&self) -> String {
        let places = if self.at.len() == 1 { String::new() } else { format!(", in {} places", self.at.len()) };
        let kept = self.keep.as_ref().map(|keep| format!("; as it was it is kept as {keep}")).unwrap_or_default();
        format!("in {}: {} becomes {}{places}, and nothing else{kept}", self.file, self.from, self.to)
    }
}

/// SHA-256 of a text, in hexadecimal.
pub fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _written = write!(out, "{byte:02x}");
        out
    })
}

/// What is looked at on a Docker engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageProbe {
    /// The engine has an image of this name.
    Here {
        /// The engine's socket.
        socket: PathBuf,
        /// The image: `pretix/standalone:2026.8.0`.
        reference: String,
        /// Which one that must be, by how its id begins: `sha256:ab…`; `None`: whichever.
        id: Option<String>,
    },
    /// Every container of these services was made from what the engine has under this name, whether it runs or not.
    Made {
        /// The containers.
        of: Containers,
        /// The image.
        reference: String,
    },
    /// Every container of these services runs what the engine has under this name, is well as far as it says so itself,
    /// and was started since.
    Run {
        /// The containers.
        of: Containers,
        /// The image.
        reference: String,
        /// Since when; `None`: whenever.
        since: Option<Timestamp>,
    },
    /// No container of these services runs.
    Stopped(Containers),
    /// The program of this name, in a container of its own, has ended, or was never begun.
    Ended {
        /// The engine's socket.
        socket: PathBuf,
        /// The project.
        project: String,
        /// The container.
        name: String,
    },
    /// Compose reads the project's settings as it did (or as it would have with the other tag) when the plan was made.
    Reads {
        /// The project.
        project: String,
        /// Prints the sum of each service's settings, one a line; or all settings, where they are to be read `again`.
        list: Command,
        /// What prints the sums, given a file with the settings and the words for it.
        again: Option<Box<Command>>,
        /// Any of these is well: each the [`sum`] of what it printed.
        sums: Vec<String>,
    },
}

/// Containers of a Compose project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containers {
    /// The engine's socket.
    pub socket: PathBuf,
    /// The project.
    pub project: String,
    /// Its services.
    pub services: Vec<String>,
}

impl ImageProbe {
    /// What holds, in words.
    pub fn told(&self) -> String {
        match self {
            Self::Here { reference, id: None, .. } => format!("the engine has {reference}"),
            Self::Here { reference, id: Some(id), .. } => format!("the engine has {reference}, and it is {id}"),
            Self::Made { of, reference } => format!("{} are made from {reference}", of.services.join(", ")),
            Self::Run { of, reference, since } => {
                let since = if since.is_some() { ", started since this plan was made" } else { "" };
                format!("{} run {reference}{since}", of.services.join(", "))
            }
            Self::Stopped(of) => format!("no container of {} runs", of.services.join(", ")),
            Self::Ended { name, .. } => format!("{name} does not run"),
            Self::Reads { project, .. } => {
                format!("Compose reads the settings of {project} as when this plan was made")
            }
        }
    }
}

/// One sum of the sums of all services, as Compose prints them: a service's name and 64 hexadecimal digits on each line. What
/// else is printed, its warnings, does not count.
pub fn sum(said: &str) -> String {
    let is_sum = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut lines: Vec<String> = said
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .filter(|(service, hash)| !service.is_empty() && is_sum(hash.trim()))
        .map(|(service, hash)| format!("{service} {}\n", hash.trim()))
        .collect();
    lines.sort();
    digest(&lines.concat())
}

#[cfg(test)]
mod tests {
    use super::{Retag, sum};

    #[test]
    fn a_project_is_known_by_its_services_and_not_by_what_compose_warns_of() {
        let (web, worker) = ("a".repeat(64), "b".repeat(64));
        let one = sum(&format!("web {web}\nworker {worker}\n"));
        let warned = format!("The \"X\" variable is not set.\nworker {worker}\nweb {web}\n");
        assert_eq!(sum(&warned), one);
        assert_ne!(sum(&format!("web {worker}\nworker {web}\n")), one);
        assert_ne!(sum(&format!("web {web}\n")), one);
    }

    #[test]
    fn only_the_tag_is_exchanged_and_back_again() {
        let text = "web:\n  image: shop:1.9\nbeat:\n  image: shop:1.9 # as web\n";
        let at: Vec<usize> = text.match_indices("1.9").map(|(at, _)| at).collect();
        for to in ["1.10", "2", "1.8"] {
            let there = Retag::of("compose.yaml", text, at.clone(), ("1.9", to), None).unwrap();
            let new = there.applied(text).unwrap();
            assert_eq!(new, text.replace("1.9", to));
            let back = there.back();
            assert_eq!((back.applied(&new).as_deref(), &back.becomes), (Some(text), &there.was));
        }
        let moved = [at[0] + 1, at[1]].to_vec();
        assert!(Retag::of("compose.yaml", text, moved, ("1.9", "2"), None).is_none(), "it is not there");
        let twice = [at[0], at[0]].to_vec();
        assert!(Retag::of("compose.yaml", text, twice, ("1.9", "2"), None).is_none());
        assert!(Retag::of("compose.yaml", "ä", vec![1], ("", "2"), None).is_none(), "in the middle of a letter");
    }
}
