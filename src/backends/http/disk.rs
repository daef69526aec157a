//! The certificate in the file it is loaded from, beside the one that is served (FIELD INC-32: renewed, not reloaded).

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::super::errand::{Answer, Errand};
use super::super::nginx;
use crate::backends::plain;
use crate::config::SiteConfig;
use crate::domain::health::OnDisk;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Files and configurations are read anew this often.
const EVERY: Duration = Duration::from_secs(30);
/// How long a check waits for them.
const PATIENCE: Duration = Duration::from_millis(300);
/// Bytes of a certificate's file.
const MOST: u64 = 256 * 1024;
/// Files of one site.
const FILES: usize = 16;
/// haproxy's configuration.
const HAPROXY: &str = "/etc/haproxy/haproxy.cfg";

/// A file that a proxy loads a certificate for this site from.
#[derive(Debug, Clone)]
struct Loaded {
    path: PathBuf,
    by: &'static str,
    leaf: Result<CertificateDer<'static>, String>,
}

/// The certificate files of one site.
#[derive(Debug)]
pub(super) struct DiskCertificates {
    named: Option<PathBuf>,
    host: String,
    port: Option<u16>,
    backend: Option<String>,
    errand: Errand<Vec<Loaded>>,
    read: Option<Instant>,
    files: Vec<Loaded>,
}

impl DiskCertificates {
    pub(super) fn of(site: &SiteConfig) -> Self {
        let backend =
            site.direct.as_ref().and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
        Self {
            named: site.certificate_file.clone(),
            host: site.url.host_str().unwrap_or_default().to_ascii_lowercase(),
            port: site.url.port_or_known_default(),
            backend,
            errand: Errand::default(),
            read: None,
            files: Vec::new(),
        }
    }

    /// The file that should be what is served and isn't: a newer certificate in it, or one that can't be read. `None` where
    /// one of the files is what is served, or nothing is known of any.
    pub(super) async fn beside(&mut self, served: &CertificateDer<'_>) -> Option<OnDisk> {
        if self.read.is_none_or(|read| read.elapsed() >= EVERY) && !self.errand.is_under_way() {
            let (named, host, backend, port) = (self.named.clone(), self.host.clone(), self.backend.clone(), self.port);
            if self.errand.begin(move || read_all(named.as_deref(), &host, port, backend.as_deref())).is_ok() {
                self.read = Some(Instant::now());
            }
        }
        if self.errand.is_under_way()
            && let Answer::Came(files) = self.errand.answer(Instant::now() + PATIENCE).await
        {
            self.files = files;
        }
        judge(&self.files, served)
    }
}

fn judge(files: &[Loaded], served: &CertificateDer<'_>) -> Option<OnDisk> {
    if files.iter().any(|file| file.leaf.as_ref().is_ok_and(|leaf| leaf == served)) {
        return None;
    }
    let (_, shown) = x509_parser::parse_x509_certificate(served).ok()?;
    let told = |file: &Loaded, newer_until| OnDisk {
        path: plain(&file.path.display().to_string(), 200),
        by: file.by.to_owned(),
        newer_until,
    };
    let newer = files.iter().find_map(|file| {
        let (_, held) = x509_parser::parse_x509_certificate(file.leaf.as_ref().ok()?).ok()?;
        let until = held.validity().not_after.timestamp();
        // Of the same names, and made later: a renewal, and not what another server of this host uses.
        let renewed = held.validity().not_before.timestamp() >= shown.validity().not_before.timestamp()
            && until > shown.validity().not_after.timestamp()
            && (held.subject() == shown.subject() || super::certificate::share_a_name(&held, &shown));
        renewed.then(|| told(file, Ok(Some(Timestamp::from_millis(until.saturating_mul(1000))))))
    });
    newer.or_else(|| {
        let hidden = files.iter().find(|file| file.leaf.is_err())?;
        Some(told(hidden, Err(hidden.leaf.as_ref().err()?.clone())))
    })
}

fn read_all(named: Option<&Path>, host: &str, port: Option<u16>, backend: Option<&str>) -> Vec<Loaded> {
    let mut paths: Vec<(PathBuf, &'static str)> = Vec::new();
    if let Some(path) = named {
        paths.push((path.to_owned(), "midwatch.toml"));
    } else {
        let all = nginx::configurations();
        let servers: Vec<_> = all.iter().filter_map(|path| nginx::servers(path).ok()).flatten().collect();
        let ours = nginx::of_site(&servers, host, port, backend);
        paths.extend(ours.iter().flat_map(|server| server.certificates.clone()).map(|path| (path, "nginx")));
        paths.extend(of_haproxy().into_iter().map(|path| (path, "haproxy")));
    }
    paths.sort();
    paths.dedup();
    paths.into_iter().take(FILES).map(|(path, by)| Loaded { leaf: leaf(&path), path, by }).collect()
}

/// The files after `crt` of its `bind` lines; of a directory, the files in it.
fn of_haproxy() -> Vec<PathBuf> {
    let mut text = String::new();
    if plain::open(Path::new(HAPROXY)).and_then(|file| file.take(MOST).read_to_string(&mut text)).is_err() {
        return Vec::new();
    }
    let named = text.lines().filter(|line| line.trim_start().starts_with("bind ")).flat_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words
            .windows(2)
            .filter(|pair| pair.first() == Some(&"crt"))
            .filter_map(|pair| pair.get(1).map(PathBuf::from))
            .collect::<Vec<_>>()
    });
    named
        .flat_map(|path| match std::fs::read_dir(&path) {
            Ok(dir) => dir
                .filter_map(|e| Some(e.ok()?.path()))
                .filter(|p| p.extension().is_some_and(|e| e == "pem"))
                .take(FILES)
                .collect(),
            Err(_) => vec![path],
        })
        .collect()
}

/// The first certificate of a PEM file.
fn leaf(path: &Path) -> Result<CertificateDer<'static>, String> {
    let mut bytes = Vec::new();
    plain::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes)).map_err(|error| {
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            "it may not be read by this user; run as root to see whether a renewed one was loaded".to_owned()
        } else {
            error.to_string()
        }
    })?;
    CertificateDer::from_pem_slice(&bytes).map_err(|error| plain(&format!("it holds no certificate: {error}"), 120))
}
