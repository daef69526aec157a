//! What supervisord says of its programs: its XML-RPC answer to `supervisor.getAllProcessInfo`.

use std::collections::BTreeMap;

use super::systemd::signal;
use crate::domain::service::{Service, State};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// More programs are not read.
const MOST: usize = 1000;

/// One program: names and values as supervisord gives them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Program(BTreeMap<String, String>);

/// Every program of an answer.
///
/// # Errors
/// What supervisord says instead, or that it isn't understood.
pub(super) fn parse(body: &str) -> Result<Vec<Program>, String> {
    if let Some((_, fault)) = body.split_once("<fault>") {
        let said = members(fault);
        let said = said.get("faultString").map_or("a fault", String::as_str);
        return Err(format!("supervisord refuses to answer: {}", plain(said, 120)));
    }
    if !body.contains("<methodResponse>") {
        return Err("what listens there is no supervisord".to_owned());
    }
    let structs = body.split("<struct>").skip(1).take(MOST);
    Ok(structs.map(|part| Program(members(part.split("</struct>").next().unwrap_or_default()))).collect())
}

fn members(text: &str) -> BTreeMap<String, String> {
    let pair = |member: &str| {
        let name = between(member, "<name>", "</name>")?;
        let value = between(member, "<value>", "</value>")?;
        // Its type's tag around it; without one it is text.
        let inner = value.trim();
        let typed = inner.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let inner = typed.map_or(inner, |(tag, rest)| {
            if tag.ends_with('/') { "" } else { rest.rsplit_once("</").map_or("", |(text, _)| text) }
        });
        Some((name.to_owned(), unescape(inner)))
    };
    text.split("<member>").skip(1).filter_map(pair).collect()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inner, _)| inner)
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

impl Program {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.get(name).parse().ok()
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.number(name).filter(|secs| *secs > 0).map(|secs| Timestamp::from_millis(secs.saturating_mul(1000)))
    }

    /// Whether it is meant by `group:name`, by its name alone where that is its group's too, or by its group.
    pub(super) fn is(&self, wanted: &str) -> bool {
        let (group, name) = (self.get("group"), self.get("name"));
        wanted.split_once(':').map_or(name == wanted || group == wanted, |(g, n)| g == group && (n == name || n == "*"))
    }

    /// Its main process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.number("pid").and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)
    }

    /// supervisord's states (<http://supervisord.org/subprocess.html#process-states>).
    fn state(&self) -> State {
        match (self.get("statename"), self.exit()) {
            ("RUNNING", _) => State::Running,
            ("STARTING", _) => State::Starting,
            ("STOPPING", _) => State::Stopping,
            // It ended before it counted as started, and is tried again.
            ("BACKOFF", _) => State::Restarting,
            // Tried `startretries` times.
            ("FATAL", _) => State::GaveUp,
            ("EXITED", Some(_)) => State::Failed,
            ("EXITED" | "STOPPED", _) => State::Stopped,
            _ => State::Unknown,
        }
    }

    fn exit(&self) -> Option<String> {
        match self.number("exitstatus").unwrap_or(0) {
            0 => None,
            // supervisord says so of one that a signal ended.
            -1 => Some("killed by a signal".to_owned()),
            n if n < 0 => Some(format!("killed by {}", signal(n.unsigned_abs()))),
            n => Some(format!("exit status {n}")),
        }
    }
}

/// Lays what supervisord says of a program over a service; of several in one group the worst counts.
pub(super) fn service(programs: &[&Program], service: &mut Service) {
    let Some(worst) = programs.iter().max_by_key(|p| p.state()) else {
        service.state = State::Missing;
        "supervisord knows no such program".clone_into(&mut service.said);
        return;
    };
    service.state = worst.state();
    let named = programs.len() > 1;
    let name = if named { format!(" ({} of {})", worst.get("name"), programs.len()) } else { String::new() };
    service.said = plain(&format!("{}{name}", worst.get("statename")), 60);
    let error = Some(plain(worst.get("spawnerr"), 120)).filter(|error| !error.is_empty());
    service.exit = match service.state {
        State::Running | State::Starting | State::Stopping | State::Stopped => None,
        State::Waiting
        | State::Unhealthy
        | State::Restarting
        | State::Frozen
        | State::Failed
        | State::GaveUp
        | State::Missing
        | State::Unknown => error.or_else(|| worst.exit()),
    };
    service.since = if service.state == State::Running {
        worst.time("start")
    } else {
        worst.time("stop").or_else(|| worst.time("start"))
    };
    service.pid = worst.pid();
    service.started = worst.time("start").filter(|_| service.pid.is_some());
    service.facts = ["description", "stdout_logfile", "stderr_logfile"]
        .into_iter()
        .map(|name| (name.replace('_', " "), plain(worst.get(name), 200)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{parse, service};
    use crate::domain::service::{Manager, Role, Service, State};

    const ANSWER: &str = "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><array><data>\n\
        <value><struct>\n<member>\n<name>name</name>\n<value><string>web</string></value>\n</member>\n<member>\n\
        <name>group</name>\n<value><string>shop</string></value>\n</member>\n<member>\n<name>start</name>\n\
        <value><int>1795231773</int></value>\n</member>\n<member>\n<name>statename</name>\n<value><string>RUNNING</string>\
        </value>\n</member>\n<member>\n<name>pid</name>\n<value><int>314</int></value>\n</member>\n<member>\n\
        <name>spawnerr</name>\n<value><string></string></value>\n</member>\n<member>\n<name>exitstatus</name>\n\
        <value><int>0</int></value></member></struct></value>\n<value><struct>\n<member>\n<name>name</name>\n\
        <value><string>worker</string></value>\n</member>\n<member>\n<name>group</name>\n<value><string>shop</string>\
        </value>\n</member>\n<member>\n<name>statename</name>\n<value><string>FATAL</string></value>\n</member>\n<member>\n\
        <name>spawnerr</name>\n<value><string>Exited too quickly (process log may have details) &lt;3&gt;</string></value>\n\
        </member>\n<member>\n<name>pid</name>\n<value><int>0</int></value>\n</member>\n<member>\n<name>stop</name>\n\
        <value><int>1795231780</int></value>\n</member>\n</struct></value>\n</data></array></value>\n</param>\n</params>\n\
        </methodResponse>\n";

    fn read(wanted: &str) -> Service {
        let programs = parse(ANSWER).unwrap();
        let mut out = Service::new("x", Role::Other, Manager::Supervisor, wanted);
        service(&programs.iter().filter(|p| p.is(wanted)).collect::<Vec<_>>(), &mut out);
        out
    }

    #[test]
    fn programs_are_read() {
        let web = read("shop:web");
        assert_eq!((web.state, web.pid, web.exit), (State::Running, Some(314), None));
        assert_eq!(web.started.unwrap().as_secs(), 1_795_231_773);
        let worker = read("worker");
        assert_eq!((worker.state, worker.pid), (State::GaveUp, None));
        assert_eq!(worker.exit.as_deref(), Some("Exited too quickly (process log may have details) <3>"));
        assert_eq!(worker.since.unwrap().as_secs(), 1_795_231_780);
        assert_eq!(read("beat").state, State::Missing);
        assert_eq!(read("shop:*").state, State::GaveUp, "the worst of a group");
    }

    #[test]
    fn a_refusal_is_told() {
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value>\
            </member><member><name>faultString</name><value><string>UNKNOWN_METHOD</string></value></member></struct>\
            </value></fault></methodResponse>";
        assert_eq!(parse(fault), Err("supervisord refuses to answer: UNKNOWN_METHOD".to_owned()));
        assert!(parse("<html>").is_err());
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(text in "(<(/?(struct|member|name|value|int)|fault)>|[a-z0-9&;]{0,5}){0,40}") {
            parse(&["<methodResponse>", &text].concat()).ok();
        }
    }
}
