//! Certificates, good and bad, made on the spot.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use midwatch::backends::http::{Limits, Trust, WebProbe};
use midwatch::domain::health::{Certificate, HealthCheck, HealthState};
use midwatch::domain::time::Timestamp;
use midwatch::ports::Web as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::server::Server;
use super::{patient, site};

/// A server with this certificate; it says the same to everybody, and ends with the process.
fn serve(chain: Vec<CertificateDer<'static>>, key: &KeyPair, said: Vec<u8>) -> SocketAddr {
    serve_to(Arc::new(NoClientAuth), chain, key, said)
}

/// The same, to whom `guests` lets in.
fn serve_to(
    guests: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    said: Vec<u8>,
) -> SocketAddr {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(guests)
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && tls.read(&mut byte).is_ok_and(|read| read == 1) {
                head.push(byte[0]);
            }
            if !head.is_empty() {
                let _gone = tls.write_all(&said).and_then(|()| tls.flush());
                tls.conn.send_close_notify();
                let _gone = tls.flush();
            }
        }
    }));
    address
}

/// An authority and its certificate.
pub(super) fn authority(name: &str) -> (Issuer<'static, KeyPair>, CertificateDer<'static>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Test Trust");
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    (Issuer::new(params, key), certificate)
}

fn leaf(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "tickets");
    params.not_after = date_time_ymd(2099, 1, 2);
    params
}

/// A good certificate's server, and the authority behind it.
pub(super) fn good(said: Vec<u8>) -> (SocketAddr, CertificateDer<'static>) {
    let (issuer, root) = authority("Test Root");
    let key = KeyPair::generate().unwrap();
    let chain = vec![leaf(&["127.0.0.1"]).signed_by(&key, &issuer).unwrap().der().clone()];
    (serve(chain, &key, said), root)
}

pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

async fn health(address: SocketAddr, trust: Trust) -> HealthCheck {
    WebProbe::new(&site(&format!("https://{address}")), patient()).unwrap().trusting(trust).health().await
}

/// Checks a server with `params`, signed by an authority that is trusted, and gives back why it isn't.
async fn distrust(params: CertificateParams) -> String {
    let (issuer, root) = authority("Test Root");
    let key = KeyPair::generate().unwrap();
    let chain = vec![params.signed_by(&key, &issuer).unwrap().der().clone()];
    untrusted(serve(chain, &key, OK.to_vec()), Trust::Only(vec![root])).await
}

/// Distrust is told and doesn't change the state.
async fn untrusted(address: SocketAddr, trust: Trust) -> String {
    let check = health(address, trust).await;
    assert_eq!((check.state, check.status), (HealthState::Ok, Some(200)), "{check:?}");
    let why = check.tls.unwrap().distrust.unwrap();
    assert_eq!(check.detail, format!("answered 200; its certificate isn't trusted: {why}"));
    why
}

#[tokio::test]
async fn a_good_certificate_is_described() {
    let (address, root) = good(OK.to_vec());
    let check = health(address, Trust::Only(vec![root])).await;
    let expected = Certificate {
        not_after: Timestamp::from_millis(4_070_995_200_000),
        subject: "tickets".to_owned(),
        issuer: "Test Root (Test Trust)".to_owned(),
        distrust: None,
        on_disk: None,
    };
    assert_eq!((check.state, check.tls, check.detail.as_str()), (HealthState::Ok, Some(expected), "answered 200"));
}

#[tokio::test]
async fn the_certificate_is_seen_at_every_check() {
    let (address, root) = good(OK.to_vec());
    let site = site(&format!("https://{address}"));
    let mut probe = WebProbe::new(&site, patient()).unwrap().trusting(Trust::Only(vec![root]));
    for _ in 0..3 {
        assert!(probe.health().await.tls.is_some());
    }
}

#[tokio::test]
async fn an_expired_certificate_says_for_how_long() {
    let mut params = leaf(&["127.0.0.1"]);
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    let why = distrust(params).await;
    assert!(why.starts_with("it expired ") && why.ends_with(" days ago"), "{why}");
}

#[tokio::test]
async fn a_certificate_of_the_future_asks_for_the_clock() {
    let mut params = leaf(&["127.0.0.1"]);
    params.not_before = date_time_ymd(2098, 1, 1);
    let why = distrust(params).await;
    assert!(why.starts_with("it is not valid before ") && why.ends_with("(is this host's clock right?)"), "{why}");
}

#[tokio::test]
async fn another_name_is_named() {
    let why = distrust(leaf(&["shop.example.org", "127.0.0.2", "a.example", "b.example"])).await;
    assert_eq!(why, "it is made out to shop.example.org, 127.0.0.2 and 2 others, not to 127.0.0.1");
}

#[tokio::test]
async fn a_self_signed_certificate_is_called_so() {
    let key = KeyPair::generate().unwrap();
    let chain = vec![leaf(&["127.0.0.1"]).self_signed(&key).unwrap().der().clone()];
    let address = serve(chain, &key, OK.to_vec());
    let (_, other) = authority("Test Root");
    assert_eq!(untrusted(address, Trust::Only(vec![other])).await, "it is self-signed");
}

#[tokio::test]
async fn an_authority_s_own_certificate_is_no_server_s() {
    let mut params = leaf(&["127.0.0.1"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap().der().clone();
    let address = serve(vec![own.clone()], &key, OK.to_vec());
    let why = untrusted(address, Trust::Only(vec![own])).await;
    assert_eq!(why, "it is self-signed, and an authority's own certificate, not a server's");
}

#[tokio::test]
async fn an_unknown_issuer_suggests_the_missing_link() {
    let (issuer, _) = authority("Test Root");
    let (_, other) = authority("Other Root");
    let key = KeyPair::generate().unwrap();
    let chain = vec![leaf(&["127.0.0.1"]).signed_by(&key, &issuer).unwrap().der().clone()];
    let why = untrusted(serve(chain, &key, OK.to_vec()), Trust::Only(vec![other])).await;
    assert!(why.starts_with("its issuer Test Root (Test Trust) is unknown here (the server may leave out"), "{why}");
}

#[tokio::test]
async fn a_namesake_of_the_issuer_is_not_the_issuer() {
    let (issuer, _) = authority("Test Root");
    let (_, namesake) = authority("Test Root");
    let key = KeyPair::generate().unwrap();
    let chain = vec![leaf(&["127.0.0.1"]).signed_by(&key, &issuer).unwrap().der().clone()];
    let why = untrusted(serve(chain, &key, OK.to_vec()), Trust::Only(vec![namesake])).await;
    assert_eq!(why, "it isn't signed by the key this host knows for its issuer Test Root (Test Trust)");
}

#[tokio::test]
async fn a_host_that_trusts_nobody_says_so_and_still_speaks_http() {
    let nobody = || Trust::Only(Vec::new());
    let (address, _) = good(OK.to_vec());
    let why = untrusted(address, nobody()).await;
    assert!(why.contains("no certificate authority at all (install the package ca-certificates)"), "{why}");
    let plain = Server::saying(OK).await;
    let mut probe = WebProbe::new(&site(&plain.url()), patient()).unwrap().trusting(nobody());
    assert_eq!(probe.health().await.state, HealthState::Ok);
}

#[tokio::test]
async fn https_to_a_server_without_it_is_misdirected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut hello = [0; 64];
            let _read = stream.read(&mut hello);
            let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    }));
    let check = health(address, Trust::Only(Vec::new())).await;
    assert_eq!(check.state, HealthState::Misdirected, "{check:?}");
    assert!(check.detail.contains("doesn't speak TLS"), "{}", check.detail);
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_of_ours_says_so() {
    let (issuer, root) = authority("Test Root");
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let guests = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let key = KeyPair::generate().unwrap();
    let chain = vec![leaf(&["127.0.0.1"]).signed_by(&key, &issuer).unwrap().der().clone()];
    let address = serve_to(guests, chain, &key, OK.to_vec());
    let check = health(address, Trust::Only(vec![root])).await;
    assert_eq!((check.state, check.status), (HealthState::Unreachable, None), "{check:?}");
    assert_eq!(check.detail, format!("TLS with {address} failed: received fatal alert: CertificateRequired"));
    assert_eq!(check.tls.unwrap().distrust, None);
}

#[tokio::test]
async fn a_frozen_tls_server_hangs_and_an_absent_one_does_not() {
    // Connections are taken by the kernel, and nobody says anything.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { connect: std::time::Duration::from_millis(50), ..patient() };
    let mut probe =
        WebProbe::new(&site(&format!("https://{address}")), limits).unwrap().trusting(Trust::Only(Vec::new()));
    let check = probe.health().await;
    assert_eq!(check.state, HealthState::Hanging, "{check:?}");
    assert_eq!(check.detail, format!("{address} takes connections, but doesn't speak TLS within 50 ms"));
}
