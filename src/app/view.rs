//! The rows of each screen, derived from the model: shared by what moves the selection and what draws it.

pub mod backups;
pub mod data;
pub mod finding;
pub mod logs;
pub mod runbooks;
pub mod services;

use std::cmp::Ordering;

use super::model::{Model, Screen};
use crate::domain::host::Process;
use crate::domain::traffic::{Quantile, Route, Task};
use crate::triage::Finding;

/// What Requests can be sorted by, in the order of [`super::table::Table::sort`].
pub const ROUTE_SORTS: &[&str] = &["rate", "errors", "p95", "total", "route"];
/// What Tasks can be sorted by.
pub const TASK_SORTS: &[&str] = &["rate", "errors", "p95", "total", "task"];
/// What processes can be sorted by.
pub const PROCESS_SORTS: &[&str] = &["cpu", "memory", "pid", "command"];

/// What the current screen can be sorted by; empty: it can't.
pub const fn sorts(screen: Screen) -> &'static [&'static str] {
    match screen {
        Screen::Now | Screen::Runbooks => &[],
        Screen::Logs => logs::SORTS,
        Screen::Data => data::SORTS,
        Screen::Services => services::SORTS,
        Screen::Backups => backups::SORTS,
        Screen::Requests => ROUTE_SORTS,
        Screen::Tasks => TASK_SORTS,
        Screen::Host => PROCESS_SORTS,
    }
}

/// Identity of a route's row.
pub fn route_id(route: &Route) -> String {
    [route.method.as_str(), " ", route.url_name.as_str()].concat()
}

/// Routes of the shown site, filtered and sorted. Besides words, the filter takes `2xx` … `5xx`: routes with such answers
/// within the window.
pub fn routes(model: &Model) -> Vec<&Route> {
    let Some(traffic) = model.site().and_then(|s| s.requests().1) else { return Vec::new() };
    let table = &model.requests;
    let accept = |r: &&Route| {
        let words = [" 1xx", " 2xx", " 3xx", " 4xx", " 5xx"];
        let classes: String =
            words.iter().zip(1..).filter(|(_, c)| r.in_window(*c) > 0.0).map(|(word, _)| *word).collect();
        table.accepts(&[&route_id(r), classes.as_str()].concat())
    };
    let mut rows: Vec<&Route> = traffic.routes.iter().filter(accept).collect();
    let by = |a: &&Route, b: &&Route| {
        let order = match table.sort {
            1 => down(a.in_window(5), b.in_window(5)).then(down(a.error_share(), b.error_share())),
            2 => down(order_of(a.latency.p95), order_of(b.latency.p95)),
            3 => down(a.total(), b.total()),
            4 => a.url_name.cmp(&b.url_name),
            _ => down(a.rate, b.rate).then(down(a.total(), b.total())),
        };
        order.then_with(|| route_id(a).cmp(&route_id(b)))
    };
    rows.sort_by(by);
    if table.reversed {
        rows.reverse();
    }
    rows
}

/// Tasks of the shown site, filtered and sorted.
pub fn tasks(model: &Model) -> Vec<&Task> {
    let Some(traffic) = model.site().and_then(|s| s.traffic.value()) else { return Vec::new() };
    let table = &model.tasks;
    let mut rows: Vec<&Task> = traffic.tasks.iter().filter(|t| table.accepts(&t.name)).collect();
    rows.sort_by(|a, b| {
        let order = match table.sort {
            1 => down(a.error.in_window, b.error.in_window).then(down(a.error_share(), b.error_share())),
            2 => down(order_of(a.latency.p95), order_of(b.latency.p95)),
            3 => down(a.total(), b.total()),
            4 => a.name.cmp(&b.name),
            _ => down(a.rate, b.rate).then(down(a.total(), b.total())),
        };
        order.then_with(|| a.name.cmp(&b.name))
    });
    if table.reversed {
        rows.reverse();
    }
    rows
}

/// Processes of the shown host, filtered and sorted.
pub fn processes(model: &Model) -> Vec<&Process> {
    let Some(host) = model.host().and_then(|h| h.reading.value()) else { return Vec::new() };
    let table = &model.processes;
    let accept = |p: &&Process| table.accepts(&[&p.pid.to_string(), " ", &p.user, " ", &p.command].concat());
    let mut rows: Vec<&Process> = host.processes.iter().filter(accept).collect();
    rows.sort_by(|a, b| {
        let order = match table.sort {
            1 => b.memory.cmp(&a.memory),
            2 => a.pid.cmp(&b.pid),
            3 => a.command.cmp(&b.command),
            _ => down(a.cpu, b.cpu).then(b.memory.cmp(&a.memory)),
        };
        order.then(a.pid.cmp(&b.pid))
    });
    if table.reversed {
        rows.reverse();
    }
    rows
}

/// Findings as a flattened tree: depth (0: a cause, 1: its symptom, …) and finding, in display order, filtered.
pub fn findings(model: &Model) -> Vec<(usize, &Finding)> {
    fn walk<'m>(out: &mut Vec<(usize, &'m Finding)>, depth: usize, finding: &'m Finding) {
        out.push((depth, finding));
        for symptom in &finding.symptoms {
            walk(out, depth + 1, symptom);
        }
    }
    let mut out = Vec::new();
    for finding in &model.findings {
        walk(&mut out, 0, finding);
    }
    out.retain(|(_, f)| model.now_table.accepts(&[&f.title, " ", &f.evidence, " ", &f.rule].concat()));
    out
}

/// Identities of the current screen's rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    match model.screen {
        Screen::Now => findings(model).into_iter().map(|(_, f)| f.id()).collect(),
        Screen::Requests => routes(model).into_iter().map(route_id).collect(),
        Screen::Tasks => tasks(model).into_iter().map(|t| t.name.clone()).collect(),
        Screen::Host => processes(model).into_iter().map(|p| p.pid.to_string()).collect(),
        Screen::Data => data::rows(model),
        Screen::Services => services::rows(model),
        Screen::Logs => logs::rows(model),
        Screen::Backups => backups::rows(model),
        Screen::Runbooks => runbooks::rows(model),
    }
}

/// A quantile as a number to sort by; unknown sorts last.
fn order_of(quantile: Quantile) -> f64 {
    match quantile {
        Quantile::Unknown => -1.0,
        Quantile::Seconds(s) => s,
        Quantile::Above(s) => s + 1e9,
    }
}

/// Descending; what is unknown comes last.
fn down<T: Into<Option<f64>>>(a: T, b: T) -> Ordering {
    let value = |v: Option<f64>| v.unwrap_or(f64::NEG_INFINITY);
    value(b.into()).total_cmp(&value(a.into()))
}
