//! The HTTP client, built when first needed: reading the host's authorities costs 2 to 9 ms, so plain http never does.

use std::time::Duration;

use reqwest::{Client, Response, redirect, retry};

use super::Limits;
use super::tls::{self, Strictness, Trust, Verdict};

/// Most bytes read of a body that isn't a metrics page.
const BEGINNING: usize = 64 * 1024;

/// How a client is to behave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// What happens after a bad verdict on a certificate.
    pub(super) strictness: Strictness,
    /// Whether it asks for compressed answers and unpacks them.
    pub(super) unpacks: bool,
    /// Whether any of its URLs is https.
    pub(super) https: bool,
}

/// A client with the verdict on the last certificate it was shown.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) client: Client,
    pub(super) verdict: Verdict,
}

impl Line {
    /// Builds one. It follows no redirect, keeps no cookie and no connection (a kept one hides faults of DNS and TLS),
    /// repeats nothing, and knows of no proxy.
    ///
    /// # Errors
    /// A sentence, where it can't be built.
    pub(super) async fn open(trust: &Trust, manner: Manner, limits: &Limits) -> Result<Self, String> {
        let authorities = if manner.https { trust.authorities().await } else { rustls::RootCertStore::empty() };
        let verdict = Verdict::default();
        // Given even for plain http: without it the client looks for the host's authorities, and fails where there are none.
        let tls = tls::config(authorities, manner.strictness, verdict.clone())?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("midwatch/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .http1_only()
            .gzip(manner.unpacks)
            .pool_max_idle_per_host(0)
            .connect_timeout(limits.connect)
            .build()
            .map_err(|error| format!("the HTTP client can't be set up: {}", super::trouble::explain(&error)))?;
        Ok(Self { client, verdict })
    }
}

/// The beginning of a body, as far as it comes within `limit`; at most 64 KiB. Only its words matter, the status has been
/// seen: whatever goes wrong here is no news.
pub(super) async fn beginning(response: &mut Response, limit: Duration) -> Vec<u8> {
    let mut read = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = BEGINNING.saturating_sub(read.len());
            read.extend(chunk.iter().take(room));
            if chunk.len() >= room {
                break;
            }
        }
    };
    let _elapsed = tokio::time::timeout(limit, reading).await;
    read
}
