//! Redis URLs as Django, redis-py and Celery write them. The URL holds the password and never leaves this module.

use std::borrow::Cow;
use std::path::PathBuf;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::backends::contained;
use crate::backends::place::Place;
use crate::config::Contained;
use crate::domain::text::plain;

/// Where a Redis database is and how to get in.
#[derive(Clone)]
pub(super) struct Address {
    connection: ConnectionInfo,
    container: Option<Contained>,
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.connection.redis_settings(), other.connection.redis_settings());
        self.connection.addr() == other.connection.addr()
            && ours.db() == theirs.db()
            && ours.username() == theirs.username()
            && ours.password() == theirs.password()
    }
}

impl Address {
    /// From a URL; `what` it is the URL of, for the sentence. Understands `redis`, `rediss`, `valkey`, `valkeys`,
    /// `unix`, `redis+unix` and Celery's `redis+socket` with `virtual_host`.
    pub(super) fn parse(url: &SecretString, what: &str) -> Result<Self, String> {
        let text = hosted(url.expose_secret());
        let mut url = Url::parse(&text).map_err(|error| format!("The URL of {what} can't be read: {error}."))?;
        let scheme = url.scheme().to_owned();
        let known = |wanted: &[&str]| wanted.contains(&scheme.as_str());
        let connection = if known(&["unix", "redis+unix", "valkey+unix", "socket", "redis+socket", "valkey+socket"]) {
            socket(&url)
        } else if known(&["redis", "rediss", "valkey", "valkeys"]) {
            normalise(&mut url);
            url.into_connection_info().map_err(|error| error.to_string())
        } else {
            Err(format!("midwatch can't look at {}: brokers", plain(&scheme, 30)))
        };
        let connection = connection.map_err(|why| format!("The URL of {what} can't be used: {}.", plain(&why, 120)))?;
        let settings = connection.redis_settings().clone().set_skip_set_lib_name();
        Ok(Self { connection: connection.set_redis_settings(settings), container: None })
    }

    /// The same, in this container.
    pub(super) fn within(self, container: Option<&Contained>) -> Self {
        Self { container: container.cloned(), ..self }
    }

    /// What to connect to, where it is now, password included.
    ///
    /// # Errors
    /// A sentence, where its container has no address.
    pub(super) async fn connection(&self) -> Result<ConnectionInfo, String> {
        let Some(container) = &self.container else { return Ok(self.connection.clone()) };
        let host = contained::address(container).await?;
        let found = match self.connection.addr().clone() {
            ConnectionAddr::Tcp(_, port) => ConnectionAddr::Tcp(host, port),
            ConnectionAddr::TcpTls { port, insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            ConnectionAddr::Unix(path) => ConnectionAddr::Unix(path),
            other => other,
        };
        Ok(self.connection.clone().set_addr(found))
    }

    /// The number of its database.
    pub(super) fn database(&self) -> i64 {
        self.connection.redis_settings().db()
    }

    /// The user it is entered as.
    pub(super) fn user(&self) -> &str {
        self.connection.redis_settings().username().unwrap_or("default")
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place {
        match self.connection.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                let container = self.container.as_ref().map(ToString::to_string);
                Place::Tcp(container.unwrap_or_else(|| host.clone()), *port)
            }
            ConnectionAddr::Unix(path) => Place::Socket(path.clone()),
            other => Place::Socket(PathBuf::from(other.to_string())),
        }
    }
}

/// `scheme://user:password@/path` with a host, which URLs with a user must have and sockets have not.
fn hosted(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    match rest.split_once('/') {
        Some((login, path)) if login.ends_with('@') => Cow::Owned([scheme, "://", login, "socket/", path].concat()),
        Some(_) | None => Cow::Borrowed(url),
    }
}

fn parameter(url: &Url, names: &[&str]) -> Option<String> {
    url.query_pairs().find(|(name, _)| names.contains(&name.as_ref())).map(|(_, value)| value.into_owned())
}

/// Query parameters of redis-py that this client's URLs lack: the path becomes the database; the rest are options of
/// the application's own connection.
fn normalise(url: &mut Url) {
    if let Some(database) = parameter(url, &["db"]) {
        url.set_path(&database);
    }
    url.set_query(None);
    url.set_fragment(None);
}

fn socket(url: &Url) -> Result<ConnectionInfo, String> {
    let decoded = |text: &str| {
        url::form_urlencoded::parse(["v=", &text.replace('+', "%2B")].concat().as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let path = decoded(url.path());
    let database = parameter(url, &["db", "virtual_host"]).unwrap_or_else(|| "0".to_owned());
    let database =
        database.trim_matches('/').parse::<i64>().map_err(|_bad| "its database is not a number".to_owned())?;
    let address = ConnectionAddr::Unix(PathBuf::from(path));
    let connection = address.into_connection_info().map_err(|error| error.to_string())?;
    let mut settings = connection.redis_settings().clone().set_db(database);
    let user = parameter(url, &["user", "username"]).or_else(|| Some(decoded(url.username())));
    if let Some(user) = user.filter(|user| !user.is_empty()) {
        settings = settings.set_username(user);
    }
    let password = parameter(url, &["password", "pass"]).or_else(|| url.password().map(decoded));
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    Ok(connection.set_redis_settings(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (String, i64, Option<String>, Option<String>) {
        let address = Address::parse(&SecretString::from(url), "it").unwrap();
        let settings = address.connection.redis_settings();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        (address.place().to_string(), settings.db(), owned(settings.username()), owned(settings.password()))
    }

    #[test]
    fn every_usual_form_is_understood() {
        assert_eq!(parsed("redis://127.0.0.1:56379/2"), ("127.0.0.1:56379".into(), 2, None, None));
        assert_eq!(parsed("redis://:s%3Acret@h/1"), ("h:6379".into(), 1, None, Some("s:cret".to_owned())));
        assert_eq!(
            parsed("rediss://u:p@h:1/0?ssl_cert_reqs=none"),
            ("h:1".into(), 0, Some("u".to_owned()), Some("p".to_owned()))
        );
        assert_eq!(parsed("redis://h?db=3&health_check_interval=9"), ("h:6379".into(), 3, None, None));
        assert_eq!(parsed("redis://[::1]:7/"), ("[::1]:7".into(), 0, None, None));
        assert_eq!(parsed("unix:///run/r.sock?db=4"), ("/run/r.sock".into(), 4, None, None));
        assert_eq!(parsed("unix://:p+w@/run/r.sock?db=4"), ("/run/r.sock".into(), 4, None, Some("p+w".to_owned())));
        assert_eq!(
            parsed("redis+socket:///run/r%20s.sock?virtual_host=5&password=x"),
            ("/run/r s.sock".into(), 5, None, Some("x".to_owned()))
        );
        assert_eq!(parsed("redis+unix:///run/r.sock"), ("/run/r.sock".into(), 0, None, None));
    }

    #[test]
    fn what_cannot_be_used_is_told_without_the_password() {
        for url in ["amqp://u:hunter2@h", "redis://:hunter2@h/x", "hunter2", "unix://:hunter2@/s?db=x"] {
            let why = Address::parse(&SecretString::from(url), "the Celery broker").err().unwrap();
            assert!(why.starts_with("The URL of the Celery broker can't be "), "{why}");
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
