//! The site's HTTP side against servers that behave, misbehave and lie, all on 127.0.0.1.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't set its scene has to fail")]

mod health;
mod metrics;
mod server;
mod tls;

use std::time::Duration;

use midwatch::backends::http::{Limits, WebProbe};
use midwatch::config::{AppKind, MetricsConfig, SiteConfig};
use midwatch::domain::id::SiteId;
use secrecy::SecretString;
use url::Url;

/// A password that must never be seen.
const PASSWORD: &str = "correct-horse-battery";

/// Limits no test runs into by accident.
fn patient() -> Limits {
    let minute = Duration::from_mins(1);
    Limits { connect: minute, hang: minute, abrupt: minute, body: minute, page: minute }
}

/// A site with its healthcheck below `url`, its metrics there too, and nothing else.
fn site(url: &str) -> SiteConfig {
    let url = Url::parse(url).unwrap();
    let metrics = MetricsConfig {
        url: url.join("/metrics").unwrap(),
        login: Some(("metrics".to_owned(), SecretString::from(PASSWORD))),
    };
    SiteConfig { metrics: Ok(metrics), ..SiteConfig::bare(SiteId("test".to_owned()), AppKind::Pretix, url) }
}

fn probe(url: &str) -> WebProbe {
    WebProbe::new(&site(url), patient()).unwrap()
}
