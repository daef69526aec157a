//! The site's HTTP side: healthcheck, metrics page, signs of life.
//!
//! One question is under way at a time ([`WebProbe`] is asked through `&mut`), each on a connection of its own, no redirect
//! is followed, nothing is repeated. Whatever a server does, memory and time are bounded ([`Limits`]) and what comes back is
//! one plain sentence without any password in it.

mod certificate;
mod client;
mod clock;
mod disk;
mod endpoint;
mod health;
mod metrics;
mod tls;
mod trouble;
mod words;

use std::time::Duration;

pub use tls::Trust;

use crate::config::SiteConfig;
use crate::domain::counters::Counters;
use crate::domain::health::HealthCheck;
use crate::domain::reading::Seen;
use crate::ports::Web;
use client::{Line, Manner};
use disk::DiskCertificates;
use endpoint::Endpoint;
use metrics::Page;
use tls::Strictness;

/// How long a TCP connection may take to count as a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection stands, TLS included; 5 s.
    pub connect: Duration,
    /// Until an answer begins; 35 s: gunicorn gives up at 30, and a request given up earlier keeps its worker busy while the
    /// next one takes another (FIELD T-10).
    pub hang: Duration,
    /// A connection closed without an answer sooner than this was refused by something, later by the server's own time
    /// limit; 1 s.
    pub abrupt: Duration,
    /// For the body of a healthcheck, once its status is known; 2 s.
    pub body: Duration,
    /// For a metrics page, once its status is known; 20 s.
    pub page: Duration,
}

impl Limits {
    /// The usual ones, waiting up to `hang` for an answer to begin.
    pub const fn with_hang(hang: Duration) -> Self {
        Self {
            connect: Duration::from_secs(5),
            hang,
            abrupt: Duration::from_secs(1),
            body: Duration::from_secs(2),
            page: Duration::from_secs(20),
        }
    }
}

/// Asks one site over HTTP.
#[derive(Debug)]
pub struct WebProbe {
    public: Endpoint,
    direct: Option<Endpoint>,
    limits: Limits,
    trust: Trust,
    health_line: Option<Line>,
    metrics: Result<Page, String>,
    metrics_line: Option<Line>,
    on_disk: DiskCertificates,
}

impl WebProbe {
    /// For `site`, trusting whom this host trusts. Nothing is asked, read or loaded yet.
    ///
    /// # Errors
    /// A sentence, where one of the site's addresses can't be asked.
    pub fn new(site: &SiteConfig, limits: Limits) -> Result<Self, String> {
        let direct = site.direct.as_ref().map(|at| Endpoint::direct(at, &site.url, &site.health_path)).transpose()?;
        let metrics = site.metrics.as_ref().map_err(Clone::clone).and_then(|config| Page::new(config, site.app));
        Ok(Self {
            public: Endpoint::public(&site.url, &site.health_path)?,
            direct,
            limits,
            trust: Trust::Host,
            health_line: None,
            metrics,
            metrics_line: None,
            on_disk: DiskCertificates::of(site),
        })
    }

    /// The same, trusting `trust` instead.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    async fn check(&mut self, endpoint: &Endpoint) -> HealthCheck {
        let https = self.public.is_https() || self.direct.as_ref().is_some_and(Endpoint::is_https);
        let manner = Manner { strictness: Strictness::Record, unpacks: false, https };
        let kept = self.health_line.take();
        let line = match self.line(kept, manner).await {
            Ok(line) => line,
            Err(why) => return health::impossible(endpoint, why),
        };
        let (mut check, served) = health::ask(&line, endpoint, &self.limits).await;
        if let (Some(certificate), Some(served)) = (&mut check.tls, served.filter(|_| !endpoint.is_direct())) {
            certificate.on_disk = self.on_disk.beside(&served).await;
        }
        // Distrust may get mended on this host too: what it trusts is then read again.
        let trusted = check.tls.as_ref().is_none_or(|certificate| certificate.distrust.is_none());
        self.health_line = trusted.then_some(line);
        check
    }

    /// Reads `page`; the line is kept only if that went well, so that a mended trust is noticed.
    async fn read(&self, page: &Page, kept: Option<Line>) -> Result<(Counters, Line), String> {
        let manner = Manner { strictness: Strictness::Refuse, unpacks: true, https: page.is_https() };
        let line = self.line(kept, manner).await?;
        let counters = page.read(&line, &self.limits).await?;
        Ok((counters, line))
    }

    async fn line(&self, kept: Option<Line>, manner: Manner) -> Result<Line, String> {
        match kept {
            Some(line) => Ok(line),
            None => Line::open(&self.trust, manner, &self.limits).await,
        }
    }
}

impl Web for WebProbe {
    async fn health(&mut self) -> HealthCheck {
        let endpoint = self.public.clone();
        self.check(&endpoint).await
    }

    async fn direct(&mut self) -> Option<HealthCheck> {
        let endpoint = self.direct.clone()?;
        Some(self.check(&endpoint).await)
    }

    async fn metrics(&mut self) -> Seen<Counters> {
        match &self.metrics {
            Err(why) => Seen::Unseen(why.clone()),
            Ok(page) => {
                let kept = self.metrics_line.take();
                match self.read(page, kept).await {
                    Ok((counters, line)) => {
                        self.metrics_line = Some(line);
                        Seen::Value(counters)
                    }
                    Err(why) => Seen::Failed(why),
                }
            }
        }
    }

    async fn connects(&mut self) -> bool {
        self.direct.as_ref().unwrap_or(&self.public).connects(SIGN_OF_LIFE).await
    }
}
