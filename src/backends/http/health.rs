//! The healthcheck: one question, five possible states (FIELD T-10), one sentence.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::Limits;
use super::client::{self, Line};
use super::clock;
use super::endpoint::Endpoint;
use super::tls::Served;
use super::trouble::Trouble;
use super::words;
use crate::domain::health::{Certificate, HealthCheck, HealthState};
use crate::domain::text::plain;

/// How long a second connection may take that tells a silent TLS server from an absent one.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Asks once and waits for the answer as long as `limits` allow.
pub(super) async fn ask(line: &Line, endpoint: &Endpoint, limits: &Limits) -> (HealthCheck, Option<Served>) {
    drop(line.verdict.take());
    let asked = Instant::now();
    let answer = tokio::time::timeout(limits.hang, endpoint.get(&line.client).send()).await;
    let waited = asked.elapsed();
    let (tls, served) = line.verdict.take().unzip();
    let mut offset_ms = None;
    let (status, (state, mut detail)) = match answer {
        Err(_) => (None, silent(limits.hang)),
        Ok(Err(error)) => (None, unanswered(Trouble::of(error), waited, endpoint, limits).await),
        Ok(Ok(response)) => {
            let status = response.status();
            offset_ms = clock::offset_ms(response.headers(), SystemTime::now());
            (Some(status.as_u16()), answered(status, response, endpoint, limits).await)
        }
    };
    if let Some(why) = tls.as_ref().and_then(|certificate: &Certificate| certificate.distrust.as_deref()) {
        detail = format!("{detail}; its certificate isn't trusted: {why}");
    }
    let check = HealthCheck {
        state,
        status,
        latency_ms: waited.as_secs_f64() * 1000.0,
        detail,
        url: endpoint.url().to_string(),
        tls,
        clock_offset_ms: offset_ms,
    };
    (check, served)
}

/// What is said when the question can't be put at all.
pub(super) fn impossible(endpoint: &Endpoint, why: String) -> HealthCheck {
    HealthCheck {
        state: HealthState::Unreachable,
        status: None,
        latency_ms: 0.0,
        detail: why,
        url: endpoint.url().to_string(),
        tls: None,
        clock_offset_ms: None,
    }
}

fn silent(limit: Duration) -> (HealthState, String) {
    (HealthState::Hanging, format!("connected, but no answer within {}", words::seconds(limit)))
}

/// No answer could be read: whether nobody is there, nobody answers, or somebody else does.
async fn unanswered(trouble: Trouble, waited: Duration, endpoint: &Endpoint, limits: &Limits) -> (HealthState, String) {
    let place = endpoint.place();
    // A server that is stopped, not gone, still has its connections taken by the kernel.
    if trouble == Trouble::NoConnection && endpoint.is_https() && endpoint.connects(SECOND_LOOK).await {
        let limit = words::seconds(limits.connect);
        return (HealthState::Hanging, format!("{place} takes connections, but doesn't speak TLS within {limit}"));
    }
    if trouble == Trouble::Closed && waited >= limits.abrupt {
        let waited = words::seconds(waited);
        let detail =
            format!("{place} closed the connection without an answer after {waited}: its own time limit, it hangs");
        return (HealthState::Hanging, detail);
    }
    let state = match &trouble {
        Trouble::NotTls | Trouble::NotHttp | Trouble::HeadTooLarge => HealthState::Misdirected,
        Trouble::Name(_)
        | Trouble::Refused
        | Trouble::NoRoute
        | Trouble::Reset
        | Trouble::NoConnection
        | Trouble::Handshake(_)
        | Trouble::Closed
        | Trouble::Other(_) => HealthState::Unreachable,
    };
    (state, words::unanswered(&trouble, endpoint.url(), limits.connect))
}

/// An answer came: what its status means, with the server's own words.
async fn answered(
    status: StatusCode,
    mut response: Response,
    endpoint: &Endpoint,
    limits: &Limits,
) -> (HealthState, String) {
    let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let kind =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let body = client::beginning(&mut response, limits.body).await;
    judge(status, target.as_deref(), words::said(&kind, &body).as_deref(), endpoint)
}

/// What a status means.
fn judge(status: StatusCode, target: Option<&str>, said: Option<&str>, endpoint: &Endpoint) -> (HealthState, String) {
    let code = status.as_u16();
    let mut detail = format!("answered {code}");
    if let Some(said) = said.filter(|_| !status.is_success() && !status.is_redirection()) {
        detail = format!("{detail}: {said}");
    }
    if status.is_success() {
        return (HealthState::Ok, detail);
    }
    if status.is_server_error() {
        let hint = if matches!(code, 502..=504) {
            "; a proxy says so, the application behind it doesn't answer it"
        } else {
            ""
        };
        return (HealthState::ServerError, format!("{detail}{hint}"));
    }
    let hint = match code {
        300..=399 => return (HealthState::Misdirected, redirected(&detail, target, endpoint)),
        400 if said.is_some_and(|said| said.to_ascii_lowercase().contains("https port")) => {
            format!("set {} to https://{}", setting(endpoint), endpoint.place())
        }
        400 | 421 => format!(
            "the host name {} may be unknown there: set url to the name the application is configured with",
            plain(&endpoint.asked_for(), 80)
        ),
        401 => "something in front asks for a password; the healthcheck must be open to this host".to_owned(),
        403 => "something in front forbids it; the healthcheck must be open to this host".to_owned(),
        404 => "there is no healthcheck at this path: check url and health_path".to_owned(),
        405 => "this path takes no GET: check health_path".to_owned(),
        429 => "a rate limit in front of the site; exempt this host or ask less often".to_owned(),
        _ => "something answers, but not this application's healthcheck: check url and health_path".to_owned(),
    };
    (HealthState::Misdirected, format!("{detail}; {hint}"))
}

/// A redirect, which is never followed: where to, and what to set instead.
fn redirected(detail: &str, target: Option<&str>, endpoint: &Endpoint) -> String {
    let asked = endpoint.url();
    let Some(target) = target.and_then(|target| words::destination(asked, target)) else {
        return format!("{detail} without saying where to; check url and health_path");
    };
    let to = plain(target.as_str(), 120);
    let hint = if target == without_query(asked) {
        "to itself: a loop".to_owned()
    } else if target.authority() == asked.authority() && target.scheme() == asked.scheme() {
        if target.path() == format!("{}/", asked.path()) {
            format!("a slash is missing: set health_path to {}", plain(target.path(), 80))
        } else {
            format!("set health_path to {} if that is the healthcheck", plain(target.path(), 80))
        }
    } else if endpoint.is_direct() {
        "the application's own port redirects: check that url is its public URL and that it trusts X-Forwarded-Proto"
            .to_owned()
    } else {
        format!("set url to {}", plain(&origin(&target), 80))
    };
    format!("{detail}, redirects to {to}: {hint}")
}

fn without_query(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}

fn origin(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.authority())
}

/// The setting that holds the endpoint's address.
fn setting(endpoint: &Endpoint) -> &'static str {
    if endpoint.is_direct() { "direct" } else { "url" }
}

#[cfg(test)]
mod tests;
