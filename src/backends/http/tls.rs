//! Trust: who vouches for a server, and a verifier that writes its verdict down.
//!
//! The healthcheck goes on after a bad verdict (it carries no secret, and a site that answers under an expired certificate
//! is not down); the metrics page, asked for with a password, doesn't.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certificate;
use crate::domain::health::Certificate;

/// Whom to trust.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The authorities this host trusts; read from its files when first needed.
    Host,
    /// These and nobody else; possibly nobody.
    Only(Vec<CertificateDer<'static>>),
}

impl Trust {
    /// The authorities' certificates.
    pub(super) async fn authorities(&self) -> RootCertStore {
        let certificates = match self {
            Self::Host => {
                tokio::task::spawn_blocking(|| rustls_native_certs::load_native_certs().certs).await.unwrap_or_default()
            }
            Self::Only(certificates) => certificates.clone(),
        };
        let mut store = RootCertStore::empty();
        // A host's bundle may hold some that can't be read: the others still count.
        store.add_parsable_certificates(certificates);
        store
    }
}

/// Whether a handshake goes on after a bad verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// It does; the verdict is only written down.
    Record,
    /// It doesn't.
    Refuse,
}

/// A certificate as it came over the wire.
pub(super) type Served = CertificateDer<'static>;

/// The certificate of the last handshake, with the verdict on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<(Certificate, Served)>>>);

impl Verdict {
    /// Takes it out.
    pub(super) fn take(&self) -> Option<(Certificate, Served)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, certificate: Option<(Certificate, Served)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = certificate;
    }
}

/// How TLS is spoken: every handshake whole (a resumed one shows no certificate), HTTP/1.1 only, the verdict written into
/// `verdict`.
///
/// # Errors
/// A sentence, where the cryptography can't be set up.
pub(super) fn config(
    authorities: RootCertStore,
    strictness: Strictness,
    verdict: Verdict,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider)).build().ok();
    let verifier = Verifier { inner, provider: Arc::clone(&provider), strictness, verdict };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[derive(Debug)]
struct Verifier {
    /// `None` where nobody is trusted.
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    strictness: Strictness,
    verdict: Verdict,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (distrust, outcome) = match &self.inner {
            None => {
                let why = "this host trusts no certificate authority at all (install the package ca-certificates)";
                (Some(why.to_owned()), Err(CertificateError::UnknownIssuer.into()))
            }
            Some(inner) => match inner.verify_server_cert(leaf, chain, name, ocsp, now) {
                Ok(verified) => (None, Ok(verified)),
                Err(error) => (Some(certificate::distrust(leaf, name, now, &error)), Err(error)),
            },
        };
        self.verdict.put(certificate::describe(leaf, distrust).map(|told| (told, leaf.clone().into_owned())));
        match self.strictness {
            Strictness::Record => Ok(ServerCertVerified::assertion()),
            Strictness::Refuse => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
