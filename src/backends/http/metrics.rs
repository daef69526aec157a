//! The metrics page: asked for with a password, so only over a connection that is trusted; aggregated while it streams in,
//! in small pieces between which others run.

use std::fmt;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::Limits;
use super::client::{self, Line};
use super::endpoint::without_credentials;
use super::trouble::{Trouble, explain};
use super::words;
use crate::config::{AppKind, MetricsConfig};
use crate::domain::counters::{self, Counters, Flow, PageReader};
use crate::domain::text::plain;

/// Most bytes parsed in one go: well under a millisecond.
const PIECE: usize = 64 * 1024;

/// Bytes kept of the beginning, to say what a page is that holds no metrics.
const BEGINNING: usize = 2 * 1024;

/// Where the page is, and how to be let in.
pub(super) struct Page {
    url: Url,
    shown: Url,
    login: Option<(String, SecretString)>,
    app: AppKind,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("url", &self.shown.as_str()).finish_non_exhaustive()
    }
}

impl Page {
    /// # Errors
    /// A sentence, where its URL can't be asked.
    pub(super) fn new(config: &MetricsConfig, app: AppKind) -> Result<Self, String> {
        let shown = without_credentials(&config.url)?;
        // A login in the URL counts where there is no other.
        let url = if config.login.is_some() { shown.clone() } else { config.url.clone() };
        Ok(Self { url, shown, login: config.login.clone(), app })
    }

    /// Whether it is spoken to by TLS.
    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    fn get(&self, client: &Client) -> RequestBuilder {
        let request = client.get(self.url.clone());
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password.expose_secret())),
            None => request,
        }
    }

    /// Reads it once.
    ///
    /// # Errors
    /// A sentence that says why there are no counters; never with the password.
    pub(super) async fn read(&self, line: &Line, limits: &Limits) -> Result<Counters, String> {
        drop(line.verdict.take());
        let answer = timeout(limits.hang, self.get(&line.client).send())
            .await
            .map_err(|_elapsed| format!("metrics gave no answer within {}", words::seconds(limits.hang)))?;
        let response = answer.map_err(|error| self.unanswered(error, line, limits))?;
        if response.status() == StatusCode::OK {
            self.counters(response, limits).await
        } else {
            Err(self.refused(response, limits).await)
        }
    }

    fn unanswered(&self, error: reqwest::Error, line: &Line, limits: &Limits) -> String {
        match line.verdict.take().and_then(|(certificate, _)| certificate.distrust) {
            Some(why) => format!(
                "metrics were not asked for: the certificate of {} isn't trusted ({why}), and a password goes to nobody unknown",
                plain(self.shown.authority(), 80)
            ),
            None => format!("metrics: {}", words::unanswered(&Trouble::of(error), &self.shown, limits.connect)),
        }
    }

    /// Why another status than 200 came.
    async fn refused(&self, mut response: Response, limits: &Limits) -> String {
        let status = response.status();
        let code = status.as_u16();
        let headers = response.headers();
        if status.is_redirection() {
            let target = header(headers, LOCATION).and_then(|target| words::destination(&self.shown, &target));
            let to = target.map_or_else(String::new, |to| format!(", redirects to {}", plain(to.as_str(), 120)));
            return format!("metrics answered {code}{to}: set the metrics url to where the page is");
        }
        let kind = header(headers, CONTENT_TYPE).unwrap_or_default();
        let body = client::beginning(&mut response, limits.body).await;
        let said = words::said(&kind, &body).map_or_else(String::new, |said| format!(" ({said})"));
        match (code, self.app) {
            (401, AppKind::Pretix) => {
                "metrics answered 401: switched off or wrong password; see [metrics] in pretix.cfg".to_owned()
            }
            (401 | 403, _) if self.login.is_none() => {
                format!("metrics answered {code}{said}: they want a user and a password, and none is configured")
            }
            (401 | 403, _) => format!("metrics answered {code}{said}: wrong user or password"),
            (404, AppKind::Pretix) => {
                format!(
                    "metrics answered 404: no page at {}; pretix's is /metrics, without a slash after it",
                    self.path()
                )
            }
            (404, _) => format!("metrics answered 404: no page at {}", self.path()),
            (500, AppKind::Pretix) => {
                "metrics answered 500: pretix answers so exactly when its database or Redis is gone".to_owned()
            }
            _ => format!("metrics answered {code}{said}"),
        }
    }

    fn path(&self) -> String {
        plain(self.shown.path(), 80)
    }

    /// Aggregates the page while it streams in.
    async fn counters(&self, mut response: Response, limits: &Limits) -> Result<Counters, String> {
        let deadline = Instant::now() + limits.page;
        let kind = header(response.headers(), CONTENT_TYPE).unwrap_or_default();
        let mut reader = PageReader::new(counters::Limits::default());
        let mut beginning = Vec::new();
        let mut bytes: usize = 0;
        'page: loop {
            let chunk = timeout_at(deadline, response.chunk()).await.map_err(|_elapsed| {
                let limit = words::seconds(limits.page);
                format!("the metrics page didn't end within {limit}; {} had come", words::size(bytes))
            })?;
            let chunk = chunk.map_err(|error| {
                let why = explain(&error.without_url());
                format!("the metrics page broke off after {}: {why}", words::size(bytes))
            })?;
            let Some(chunk) = chunk else { break };
            beginning.extend(chunk.iter().take(BEGINNING.saturating_sub(beginning.len())));
            for piece in chunk.chunks(PIECE) {
                bytes = bytes.saturating_add(piece.len());
                if reader.feed(piece) == Flow::Enough {
                    break 'page;
                }
                tokio::task::yield_now().await;
            }
        }
        let counters = reader.finish();
        if counters.page.samples > 0 { Ok(counters) } else { Err(no_metrics(&kind, &beginning, bytes)) }
    }
}

/// What a page is that holds not one sample.
fn no_metrics(kind: &str, beginning: &[u8], bytes: usize) -> String {
    let hint = "check the metrics url";
    if bytes == 0 {
        return "the metrics page is empty".to_owned();
    }
    if words::is_page(kind, beginning) {
        let said = words::said(kind, beginning).map_or_else(String::new, |said| format!(" ({said})"));
        return format!("that is a web page{said}, not metrics: {hint}");
    }
    format!("that is no metrics page (not one line of its {} could be read): {hint}", words::size(bytes))
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
}
