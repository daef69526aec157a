//! What the operator can ask for: the one registry that keys, palette, help, footer, configuration and the README's
//! key table are made from.

use serde::{Deserialize, Serialize};

use super::model::Screen;

/// Something the operator can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Show a screen.
    Show(Screen),
    /// The next screen.
    NextScreen,
    /// The previous screen.
    PreviousScreen,
    /// The next site.
    NextSite,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// Half a page up.
    HalfPageUp,
    /// Half a page down.
    HalfPageDown,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// Open what is selected.
    Open,
    /// The plan of what mends the finding, or of the selected runbook; what can be done with the selected backup; the
    /// answer to a run's question.
    Runbook,
    /// One level back.
    Back,
    /// One level back; where there is none, leave.
    Close,
    /// Sort by the next column.
    SortNext,
    /// Sort by the previous column.
    SortPrevious,
    /// Sort the other way round.
    SortReverse,
    /// Filter rows.
    Filter,
    /// The next error in the logs.
    NextError,
    /// The previous error in the logs.
    PreviousError,
    /// The next match of the filter, or the next line like this one.
    NextMatch,
    /// The previous one.
    PreviousMatch,
    /// Leave out less bad lines of the logs, or none.
    LogLevel,
    /// Equal messages together, or every line.
    LogGroups,
    /// Show the text of logs further right.
    TextRight,
    /// Show the text of logs further left.
    TextLeft,
    /// Stop or resume refreshing the screen.
    Pause,
    /// Look at every source now.
    PollNow,
    /// Show more time in the strips.
    ZoomOut,
    /// Show less time in the strips.
    ZoomIn,
    /// Switch between UTC first and local time first.
    Clock,
    /// The next theme.
    NextTheme,
    /// Write a note into the incident record.
    Note,
    /// Acknowledge the selected finding in the incident record.
    Acknowledge,
    /// Show the incident record.
    Timeline,
    /// Set the incident's severity, 1 to 5.
    Severity(u8),
    /// Say that the incident is over.
    Resolved,
    /// Copy what is selected.
    Copy,
    /// Copy the whole screen as text.
    CopyScreen,
    /// Help.
    Help,
    /// The command palette.
    Palette,
    /// Draw everything anew.
    Redraw,
    /// Give the terminal back until continued.
    Suspend,
    /// Leave.
    Quit,
}

/// Where keys mean what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// On a screen.
    Screen,
    /// In the help overlay.
    Help,
    /// In the palette, where characters are typed.
    Palette,
    /// In the filter line, where characters are typed.
    Filter,
    /// In a note, where characters are typed.
    Note,
    /// In the incident record.
    Timeline,
}

/// What the registry says of one action.
#[derive(Debug, Clone, Copy)]
pub struct ActionSpec {
    /// The action.
    pub action: Action,
    /// Its name in `[keys]` and in the palette.
    pub name: &'static str,
    /// A word or two for the footer.
    pub title: &'static str,
    /// One sentence for help and README.
    pub help: &'static str,
    /// Its default keys, as [`super::key::Chord`] writes them.
    pub keys: &'static [&'static str],
    /// Shown in the footer, the lower the further left; `None`: only in help.
    pub footer: Option<u8>,
}

const fn spec(
    action: Action,
    name: &'static str,
    title: &'static str,
    help: &'static str,
    keys: &'static [&'static str],
    footer: Option<u8>,
) -> ActionSpec {
    ActionSpec { action, name, title, help, keys, footer }
}

/// Every action, in the order of help and palette.
pub const ACTIONS: &[ActionSpec] = &[
    spec(Action::Show(Screen::Now), "now", "Now", "What is wrong, since when.", &["1"], None),
    spec(
        Action::Show(Screen::Requests),
        "requests",
        "Requests",
        "Requests by route: rate, errors, latency.",
        &["2"],
        None,
    ),
    spec(Action::Show(Screen::Tasks), "tasks", "Tasks", "Queues, workers and background tasks.", &["3"], None),
    spec(Action::Show(Screen::Host), "host", "Host", "CPU, memory, disks, network, processes.", &["4"], None),
    spec(
        Action::Show(Screen::Data),
        "data",
        "Data",
        "Database and Redis: sessions, locks, memory, key space.",
        &["5"],
        None,
    ),
    spec(
        Action::Show(Screen::Services),
        "services",
        "Services",
        "What runs, since when, and what does not.",
        &["6"],
        None,
    ),
    spec(Action::Show(Screen::Logs), "logs", "Logs", "All logs merged, equal errors grouped.", &["7"], None),
    spec(
        Action::Show(Screen::Backups),
        "backups",
        "Backups",
        "Every backup: age, size, and what it is worth.",
        &["8"],
        None,
    ),
    spec(
        Action::Show(Screen::Runbooks),
        "runbooks",
        "Runbooks",
        "What is being done, what was done, and what can be.",
        &["9"],
        None,
    ),
    spec(Action::NextScreen, "next-screen", "next", "The next screen.", &["Tab"], None),
    spec(Action::PreviousScreen, "previous-screen", "previous", "The previous screen.", &["Shift-Tab"], None),
    spec(Action::NextSite, "next-site", "site", "The next site, where several are watched.", &["S"], Some(5)),
    spec(Action::Up, "up", "up", "One row up.", &["k", "Up"], None),
    spec(Action::Down, "down", "down", "One row down.", &["j", "Down"], None),
    spec(Action::HalfPageUp, "half-page-up", "half page up", "Half a page up.", &["Ctrl-U"], None),
    spec(Action::HalfPageDown, "half-page-down", "half page down", "Half a page down.", &["Ctrl-D"], None),
    spec(Action::PageUp, "page-up", "page up", "A page up.", &["PgUp"], None),
    spec(Action::PageDown, "page-down", "page down", "A page down.", &["PgDn"], None),
    spec(Action::First, "first", "first", "The first row.", &["g", "Home"], None),
    spec(Action::Last, "last", "last", "The last row.", &["G", "End"], None),
    spec(Action::Open, "open", "open", "Open what is selected.", &["Enter", "l", "Right"], Some(0)),
    spec(
        Action::Runbook,
        "runbook",
        "runbook",
        "The plan of what mends the finding, or of the selected runbook; what can be done with the selected backup; the answer to a run's question.",
        &["R"],
        Some(0),
    ),
    spec(Action::Back, "back", "back", "One level back; clears the filter.", &["Esc", "h", "Left"], None),
    spec(Action::Close, "close", "close", "One level back; on Now with nothing open, leaves midwatch.", &["q"], None),
    spec(Action::SortNext, "sort", "sort", "Sort by the next column.", &["s"], Some(2)),
    spec(Action::SortPrevious, "sort-previous", "sort back", "Sort by the previous column.", &["<"], None),
    spec(Action::SortReverse, "reverse", "reverse", "Sort the other way round.", &[">"], None),
    spec(Action::Filter, "filter", "filter", "Show only rows with these words.", &["/"], Some(1)),
    spec(Action::NextError, "next-error", "next error", "The next error in the logs.", &["e"], None),
    spec(Action::PreviousError, "previous-error", "error before", "The previous error in the logs.", &["E"], None),
    spec(
        Action::NextMatch,
        "next-match",
        "next match",
        "In the logs: the next line with the filter's words, or like this one.",
        &["n"],
        None,
    ),
    spec(Action::PreviousMatch, "previous-match", "match before", "In the logs: the previous such line.", &["N"], None),
    spec(
        Action::LogLevel,
        "log-level",
        "level",
        "In the logs: from info, from warning, errors alone, or all.",
        &["L"],
        None,
    ),
    spec(
        Action::LogGroups,
        "log-groups",
        "groups",
        "In the logs: equal messages together, or every line.",
        &["v"],
        None,
    ),
    spec(Action::TextRight, "text-right", "right", "In the logs: further right in long lines.", &["."], None),
    spec(Action::TextLeft, "text-left", "left", "In the logs: further left.", &[","], None),
    spec(Action::Pause, "pause", "pause", "Hold the screen still; looking goes on.", &["Space"], Some(7)),
    spec(
        Action::PollNow,
        "poll",
        "poll now",
        "Look at every source now, as far as that does no harm.",
        &["Ctrl-R", "r"],
        None,
    ),
    spec(Action::ZoomOut, "zoom-out", "more time", "Show more time in the strips.", &["-"], None),
    spec(Action::ZoomIn, "zoom-in", "less time", "Show less time in the strips.", &["+", "="], None),
    spec(Action::Clock, "clock", "clock", "UTC or local time first.", &["U"], None),
    spec(Action::NextTheme, "theme", "theme", "The next theme.", &["T"], None),
    spec(
        Action::Note,
        "note",
        "note",
        "Write a note into the incident record (`TODO: …` is listed apart); `N` too, but in the logs.",
        &["a"],
        None,
    ),
    spec(
        Action::Acknowledge,
        "acknowledge",
        "acknowledge",
        "Acknowledge the selected finding, for an hour or as typed.",
        &["A"],
        None,
    ),
    spec(
        Action::Timeline,
        "timeline",
        "record",
        "The incident record: what happened when, and who said what.",
        &["t"],
        None,
    ),
    spec(
        Action::Severity(1),
        "sev-1",
        "SEV-1",
        "Set the severity: all of it is down, the public must be told.",
        &[],
        None,
    ),
    spec(Action::Severity(2), "sev-2", "SEV-2", "Set the severity: many people can't use it.", &[], None),
    spec(Action::Severity(3), "sev-3", "SEV-3", "Set the severity: something is broken, or will be soon.", &[], None),
    spec(Action::Severity(4), "sev-4", "SEV-4", "Set the severity: a nuisance.", &[], None),
    spec(Action::Severity(5), "sev-5", "SEV-5", "Set the severity: nobody but us notices.", &[], None),
    spec(Action::Resolved, "resolved", "resolved", "Say that the incident is over.", &[], None),
    spec(Action::Copy, "copy", "copy", "Copy what is selected (OSC 52: works over SSH).", &["y"], Some(6)),
    spec(Action::CopyScreen, "copy-screen", "copy screen", "Copy the screen as plain text.", &["Y"], None),
    spec(Action::Help, "help", "help", "This help.", &["?", "F1"], Some(4)),
    spec(Action::Palette, "palette", "command", "Find an action by its name.", &[":", "Ctrl-P"], Some(3)),
    spec(Action::Redraw, "redraw", "redraw", "Draw everything anew.", &["Ctrl-L"], None),
    spec(Action::Suspend, "suspend", "suspend", "Back to the shell until `fg`.", &["Ctrl-Z"], None),
    spec(Action::Quit, "quit", "quit", "Leave midwatch.", &["Q", "Ctrl-C"], Some(8)),
];

impl Action {
    /// What the registry says of it.
    pub fn spec(self) -> Option<&'static ActionSpec> {
        ACTIONS.iter().find(|spec| spec.action == self)
    }
}
