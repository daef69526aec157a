//! A stand-in application: its healthcheck really asks the database and Redis it stands on, as pretix' does, one request
//! at a time. What breaks below it breaks it.
#![cfg(test)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sqlx::{Connection, Executor};

/// What the application stands on.
#[derive(Debug, Clone, Default)]
pub(crate) struct StandsOn {
    /// A PostgreSQL with a table `thing`.
    pub(crate) postgres: Option<String>,
    /// A Redis.
    pub(crate) redis: Option<String>,
}

impl StandsOn {
    async fn postgres(&self) -> bool {
        let Some(url) = &self.postgres else { return true };
        let Ok(mut session) = sqlx::PgConnection::connect(url).await else { return false };
        session.execute("SELECT count(*) FROM thing").await.is_ok()
    }

    fn redis(&self) -> bool {
        let Some(url) = &self.redis else { return true };
        let written = || {
            let mut connection = redis::Client::open(url.as_str())?.get_connection()?;
            redis::cmd("SET").arg("health").arg("1").query::<()>(&mut connection)
        };
        written().is_ok()
    }
}

/// Serves it; gives the port. It ends with the process.
pub(crate) fn serve(on: StandsOn) -> u16 {
    let (listener, port) = listener();
    drop(std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &on);
        }
    }));
    port
}

/// The same over TLS, with a certificate that has expired.
pub(crate) fn serve_expired(on: StandsOn) -> u16 {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate().unwrap();
    let chain = vec![params.self_signed(&key).unwrap().der().clone()];
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let config = Arc::new(config);
    let (listener, port) = listener();
    drop(std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            answer(&mut tls, &on);
            tls.conn.send_close_notify();
            tls.flush().ok();
        }
    }));
    port
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn answer(mut stream: impl Read + Write, on: &StandsOn) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    if head.is_empty() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let good = runtime.block_on(on.postgres()) && on.redis();
    let status = if good { "200 OK" } else { "500 Internal Server Error" };
    let said = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(said.as_bytes()).and_then(|()| stream.flush()).ok();
}
