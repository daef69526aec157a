//! Releases side by side, and the link that says which is in use.

use serde::{Deserialize, Serialize};

use super::Command;

/// What is done with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleasesAct {
    /// Has the link say another release, in one step.
    Point(Pointing),
    /// Runs a program with what a service finds in its environment. That is read when it is run, by the program's own
    /// user: nobody else is shown it.
    Alike {
        /// midwatch itself, by its whole path.
        midwatch: String,
        /// The service.
        service: String,
        /// The program.
        command: Command,
    },
}

/// A link that comes to say something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointing {
    /// midwatch itself, by its whole path.
    pub midwatch: String,
    /// The user it is done as: whose directory the link lies in.
    pub user: String,
    /// The link.
    pub current: String,
    /// What it shall say.
    pub to: String,
    /// What it says now.
    pub from: String,
}

impl Pointing {
    /// The program that does it.
    pub fn command(&self) -> Command {
        let words = [&self.midwatch, "point", "--", &self.current, &self.to, &self.from];
        Command { argv: words.map(str::to_owned).to_vec(), user: Some(self.user.clone()), ..Command::default() }
    }

    /// The way back.
    #[must_use]
    pub fn back(&self) -> Self {
        Self { to: self.from.clone(), from: self.to.clone(), ..self.clone() }
    }
}

/// Something about releases that holds or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleasesProbe {
    /// The link says this.
    Points {
        /// The link.
        current: String,
        /// What it says.
        to: String,
    },
    /// Every process of these services runs from this release, as this user.
    Run {
        /// The services.
        services: Vec<String>,
        /// The link.
        current: String,
        /// The release's directory, links followed.
        release: String,
        /// As whom they run; empty: whoever that is (plans from before that was looked at).
        #[serde(default, skip_serializing_if = "String::is_empty")]
        user: String,
    },
}

impl ReleasesProbe {
    /// What holds, in words.
    pub fn told(&self) -> String {
        match self {
            Self::Points { current, to } => format!("{current} points to {to}"),
            Self::Run { services, release, user, .. } => {
                format!("every process of {} runs from {release}, as {user}", services.join(", "))
            }
        }
    }
}
