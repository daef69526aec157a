//! Where a question goes: a URL without credentials, and the name the application must be asked for.

use std::time::Duration;

use reqwest::header::{HOST, HeaderValue};
use reqwest::{Client, RequestBuilder};
use tokio::net::TcpStream;
use url::{Host, Url};

/// One address of the site's healthcheck.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    url: Url,
    host: Option<HeaderValue>,
    forwarded_https: bool,
}

impl Endpoint {
    /// The healthcheck on the public URL.
    ///
    /// # Errors
    /// A sentence, where `site` isn't an http or https URL with a host.
    pub(super) fn public(site: &Url, path: &str) -> Result<Self, String> {
        Ok(Self { url: address(site, path)?, host: None, forwarded_https: false })
    }

    /// The healthcheck on the application's own port, asked for by its public name (FIELD T-10: any other is a 400) and
    /// told, as a proxy would, that the visitor came by https, or Django would redirect to it.
    ///
    /// # Errors
    /// A sentence, where `direct` or `site` isn't an http or https URL with a host.
    pub(super) fn direct(direct: &Url, site: &Url, path: &str) -> Result<Self, String> {
        let url = address(direct, path)?;
        let name = authority(site);
        let host =
            HeaderValue::from_str(&name).map_err(|error| format!("{name} can't be sent as a host name: {error}"))?;
        Ok(Self { url, host: Some(host), forwarded_https: site.scheme() == "https" })
    }

    /// The URL asked, without credentials.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// Whether it is spoken to by TLS.
    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether this is the application's own port.
    pub(super) const fn is_direct(&self) -> bool {
        self.host.is_some()
    }

    /// Host and port, as shown in sentences.
    pub(super) fn place(&self) -> String {
        authority(&self.url)
    }

    /// The name the application is asked for.
    pub(super) fn asked_for(&self) -> String {
        self.host.as_ref().and_then(|name| name.to_str().ok()).map_or_else(|| self.place(), ToOwned::to_owned)
    }

    /// The request.
    pub(super) fn get(&self, client: &Client) -> RequestBuilder {
        let mut request = client.get(self.url.clone());
        if let Some(host) = &self.host {
            request = request.header(HOST, host.clone());
        }
        if self.forwarded_https {
            request = request.header("x-forwarded-proto", "https");
        }
        request
    }

    /// Whether a TCP connection can be had within `limit`. Nothing is sent.
    pub(super) async fn connects(&self, limit: Duration) -> bool {
        let port = self.url.port_or_known_default().unwrap_or(80);
        let attempt = async {
            match self.url.host() {
                Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
                Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
                Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
                None => Err(std::io::ErrorKind::InvalidInput.into()),
            }
        };
        matches!(tokio::time::timeout(limit, attempt).await, Ok(Ok(_)))
    }
}

/// `site` without credentials.
///
/// # Errors
/// A sentence, where it isn't an http or https URL with a host.
pub(super) fn without_credentials(site: &Url) -> Result<Url, String> {
    let mut url = site.clone();
    let bare = url.set_username("").and_then(|()| url.set_password(None));
    if bare.is_err() || !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!(
            "a site needs an http or https URL with a host name, not one that starts with {}:",
            url.scheme()
        ));
    }
    url.set_fragment(None);
    Ok(url)
}

/// `path` (with its query, if any) below `site`.
fn address(site: &Url, path: &str) -> Result<Url, String> {
    let mut url = without_credentials(site)?;
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let below = format!("{}/{}", url.path().trim_end_matches('/'), path.trim_start_matches('/'));
    url.set_path(&below);
    url.set_query(query);
    Ok(url)
}

/// Host, and port where it isn't the scheme's own.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_path_stays_on_the_site() {
        let at = |site: &str, path: &str| Endpoint::public(&url(site), path).unwrap().url.to_string();
        assert_eq!(at("https://tickets.example.org", "/healthcheck/"), "https://tickets.example.org/healthcheck/");
        assert_eq!(
            at("https://tickets.example.org/shop/", "healthcheck/"),
            "https://tickets.example.org/shop/healthcheck/"
        );
        assert_eq!(at("https://tickets.example.org", "//evil.example/x"), "https://tickets.example.org/evil.example/x");
        assert_eq!(at("https://tickets.example.org", "/up?full=1"), "https://tickets.example.org/up?full=1");
    }

    #[test]
    fn credentials_stay_behind() {
        let endpoint = Endpoint::public(&url("https://eve:hunter2@tickets.example.org"), "/").unwrap();
        assert!(!format!("{endpoint:?} {}", endpoint.url()).contains("hunter2"));
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        assert!(
            Endpoint::public(&url("ftp://eve:hunter2@tickets.example.org"), "/")
                .is_err_and(|why| !why.contains("hunter2"))
        );
        assert!(Endpoint::public(&url("data:text/plain,hunter2"), "/").is_err_and(|why| !why.contains("hunter2")));
    }

    #[test]
    fn the_own_port_is_asked_for_the_public_name() {
        let own = Endpoint::direct(&url("http://127.0.0.1:8345"), &url("https://tickets.example.org"), "/").unwrap();
        assert_eq!((own.place(), own.asked_for()), ("127.0.0.1:8345".to_owned(), "tickets.example.org".to_owned()));
        assert!(own.forwarded_https && !own.is_https() && own.is_direct());
        let odd = Endpoint::direct(&url("http://[::1]:8345"), &url("http://tickets.example.org:8080"), "/").unwrap();
        assert_eq!((odd.place(), odd.asked_for()), ("[::1]:8345".to_owned(), "tickets.example.org:8080".to_owned()));
    }
}
