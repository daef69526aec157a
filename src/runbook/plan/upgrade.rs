//! What only an upgrade does and looks at.

use serde::{Deserialize, Serialize};

use super::Command;
use super::image::{ImageProbe, Retag};
use super::releases::{ReleasesAct, ReleasesProbe};

/// What it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeAct {
    /// Runs programs one after the other, as one step: done again, it begins with the first.
    InOrder(Vec<Command>),
    /// Ends the service's process, whichever that is by then, and starts it anew.
    Renew {
        /// The service.
        service: String,
        /// What starts it; `None`: whoever keeps it does.
        start: Option<Command>,
    },
    /// Has the application migrate another database than the one in use, which has seen all of its migrations.
    MigrateOther {
        /// Which that is.
        database: String,
        /// Lists what it has seen there, one a line: `[X]  app.name`, and `[ ]  app.name` for what is missing.
        list: Command,
        /// Does it.
        migrate: Command,
        /// What is known to be missing, as `app.name`.
        missing: Vec<String>,
    },
    /// Runs a program, and once more where it fails: what a Compose that was cut off has left, the next one removes, and
    /// fails over it.
    Again(Command),
    /// Exchanges the tag of an image in a file of a Compose project.
    Retag(Retag),
    /// Something with releases that lie side by side.
    Releases(ReleasesAct),
}

/// What it looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeProbe {
    /// The application has no command of this name. Asked from itself.
    Lacks {
        /// Lists its commands, one a line.
        list: Command,
        /// The command.
        word: String,
    },
    /// The database has seen the same migrations as when the plan was made.
    SchemaIs {
        /// What it was.
        was: String,
        /// What is to be done where it is not, in a sentence.
        otherwise: String,
    },
    /// This version is installed, and every process of the application was started after it was.
    Running {
        /// The version.
        version: String,
    },
    /// Something of images and containers.
    Image(ImageProbe),
    /// Something about releases that lie side by side.
    Releases(ReleasesProbe),
}
