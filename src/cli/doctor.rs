//! `midwatch doctor`: what was found, what was not, why, and what would open it, before the night comes.

mod acts;
mod seen;

use serde::Serialize;
use termprofile::TermProfile;

use super::screens;
use crate::app::model::Model;
use crate::config::{Config, Contained, Found, SiteConfig, StateDir, without_login};
use crate::domain::text;
use crate::runtime::sandbox::Sandbox;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mark {
    /// It works.
    Ok,
    /// A part of it is seen.
    Part,
    /// It isn't there, and need not be.
    No,
    /// It should work and doesn't.
    Broken,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    /// What it is about: a site's name, or `midwatch`.
    about: String,
    /// What was looked for.
    what: String,
    /// How it stands.
    mark: Mark,
    /// What was found, or why not and what to do.
    says: String,
}

/// The report, and 0 if all is well, 1 if something is broken, 3 if there is nothing to watch. `model`: what one look of
/// this process brought.
pub async fn doctor(config: &Config, model: &Model, sandbox: &Sandbox, json: bool) -> (String, u8) {
    let mut lines = own(config, sandbox);
    for trace in &config.trail {
        let (mark, says) = match &trace.outcome {
            Found::Yes(says) => (Mark::Ok, says),
            Found::No(says) => (Mark::No, says),
            Found::Broken(says) => (Mark::Broken, says),
        };
        lines.push(Line { about: "discovery".to_owned(), what: trace.what.clone(), mark, says: says.clone() });
    }
    for site in &config.sites {
        lines.extend(about(site));
    }
    let matrix = seen::matrix(model);
    lines.extend(seen::lines(model));
    lines.extend(acts::lines(config).await);
    let code = match (config.sites.is_empty(), lines.iter().any(|l| l.mark == Mark::Broken)) {
        (true, _) => 3,
        (false, true) => 1,
        (false, false) => 0,
    };
    let text = if json {
        let report = serde_json::json!({ "schema_version": 1, "exit_code": code, "lines": lines, "sees": matrix });
        format!("{report}\n")
    } else {
        plain(&lines) + &seen::table(&matrix)
    };
    (text, code)
}

fn plain(lines: &[Line]) -> String {
    let mut out = String::new();
    let mut about = "";
    for line in lines {
        if line.about != about {
            out.push_str(&[if about.is_empty() { "" } else { "\n" }, &line.about, "\n"].concat());
            about = &line.about;
        }
        let mark = match line.mark {
            Mark::Ok => "ok     ",
            Mark::Part => "part   ",
            Mark::No => "no     ",
            Mark::Broken => "BROKEN ",
        };
        let what = format!("{:<14} ", line.what);
        out.push_str(&["  ", mark, &what, &line.says, "\n"].concat());
    }
    out
}

fn line(about: &str, what: &str, mark: Mark, says: impl Into<String>) -> Line {
    Line { about: about.to_owned(), what: what.to_owned(), mark, says: says.into() }
}

fn own(config: &Config, sandbox: &Sandbox) -> Vec<Line> {
    let mut lines = vec![line("midwatch", "version", Mark::Ok, env!("CARGO_PKG_VERSION"))];
    lines.push(match &config.state {
        StateDir::Directory(dir) => line("midwatch", "state", Mark::Ok, dir.display().to_string()),
        StateDir::Memory(why) => line("midwatch", "state", Mark::Broken, why.clone()),
    });
    let (mark, says) = match sandbox {
        Sandbox::Off => (
            Mark::No,
            "off; with --read-only the kernel keeps midwatch from writing (try it: midwatch --read-only doctor)"
                .to_owned(),
        ),
        Sandbox::Full => (Mark::Ok, sandbox.to_string()),
        Sandbox::Partial(_) | Sandbox::None(_) => (Mark::Broken, sandbox.to_string()),
    };
    lines.push(line("midwatch", "sandbox", mark, says));
    if *sandbox != Sandbox::Off {
        let says = "under the sandbox the open files, programs and environment of other processes are unseen; applications were looked for before it";
        lines.push(line("midwatch", "blinded", Mark::No, says));
    }
    let root = rustix::process::geteuid().is_root();
    lines.push(if root {
        line("midwatch", "user", Mark::Ok, "root: everything can be seen")
    } else {
        let says = "not root: configurations and processes of other users may be unseen; try `sudo midwatch doctor`";
        line("midwatch", "user", Mark::No, says)
    });
    lines.extend([locale(config), terminal(config)]);
    lines.push(line("midwatch", "host", Mark::Ok, config.host.0.clone()));
    lines
}

fn locale(config: &Config) -> Line {
    match (config.look.ascii, screens::utf8()) {
        (true, _) => line("midwatch", "locale", Mark::No, "the screens are drawn in ASCII, as was asked for"),
        (false, true) => line("midwatch", "locale", Mark::Ok, "UTF-8"),
        (false, false) => {
            let says = "not UTF-8: the screens are drawn in ASCII; set LANG=C.UTF-8 if the terminal can do more";
            line("midwatch", "locale", Mark::No, says)
        }
    }
}

fn terminal(config: &Config) -> Line {
    let (mark, says) = match screens::profile(config.look.color) {
        TermProfile::NoTty => (Mark::No, "the output is no terminal: nothing can be said of its colours"),
        TermProfile::NoColor => (Mark::No, "no colours (NO_COLOR, TERM=dumb or the configuration)"),
        TermProfile::Ansi16 => {
            (Mark::Ok, "16 colours; over SSH more can't be seen: try color = \"256\" or \"truecolor\"")
        }
        TermProfile::Ansi256 => (Mark::Ok, "256 colours"),
        TermProfile::TrueColor => (Mark::Ok, "all colours"),
    };
    line("midwatch", "terminal", mark, says)
}

/// How a server is reached whose port is not published.
fn contained(container: Option<&Contained>) -> String {
    container
        .map(|c| format!(", by the container's address (service {c}), which changes when it is made anew: Docker is asked for it at each connection"))
        .unwrap_or_default()
}

fn about(site: &SiteConfig) -> Vec<Line> {
    let id = site.id.0.as_str();
    let version = site.version.as_ref().map(|v| format!(", version {}", text::plain(v, 40))).unwrap_or_default();
    let url = format!("{} ({}{version})", without_login(&site.url), site.title);
    let mut out = vec![line(id, "url", Mark::Ok, url)];
    out.push(match &site.direct {
        Some(direct) => line(id, "own port", Mark::Ok, without_login(direct).to_string()),
        None => line(id, "own port", Mark::No, "the same as the URL, or not known; set direct = \"http://127.0.0.1:PORT\" to tell a proxy's fault from the application's"),
    });
    out.push(match &site.metrics {
        Ok(metrics) => line(
            id,
            "metrics",
            Mark::Ok,
            format!(
                "{} {}",
                without_login(&metrics.url),
                if metrics.login.is_some() { "with a login" } else { "without a login" }
            ),
        ),
        Err(why) => line(id, "metrics", Mark::No, why.clone()),
    });
    out.push(match &site.database {
        Ok(db) => {
            let place = if db.host.is_empty() { String::new() } else { format!(" on {}", text::plain(&db.host, 80)) };
            let contained = contained(db.container.as_ref());
            let name = text::plain(&db.name, 120);
            line(id, "database", Mark::Ok, format!("{} {name}{place}{contained}", db.engine.name()))
        }
        Err(why) => line(id, "database", Mark::No, why.clone()),
    });
    out.push(match &site.redis {
        Ok(redis) => line(id, "redis", Mark::Ok, format!("configured{}", contained(redis.container.as_ref()))),
        Err(why) => line(id, "redis", Mark::No, why.clone()),
    });
    out.push(match &site.broker {
        Ok(broker) => line(id, "broker", Mark::Ok, {
            let contained = contained(broker.container.as_ref());
            format!("Redis, queues {}{contained}", broker.queues.join(", "))
        }),
        Err(why) => line(id, "broker", Mark::No, why.clone()),
    });
    out
}
