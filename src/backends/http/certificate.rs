//! Certificates in plain words: whose it is, until when, and why it isn't trusted.

use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::x509::X509Name;

use crate::domain::health::Certificate;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Longest name shown.
const NAME: usize = 80;

/// What the certificate says of itself, with the verdict on it; `None` where it can't be read.
pub(super) fn describe(leaf: &CertificateDer<'_>, distrust: Option<String>) -> Option<Certificate> {
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let not_after = parsed.validity().not_after.timestamp();
    let subject = common_name(parsed.subject()).or_else(|| names(&parsed).into_iter().next());
    Some(Certificate {
        not_after: Timestamp::from_millis(not_after.saturating_mul(1000)),
        subject: subject.unwrap_or_else(|| "nobody named".to_owned()),
        issuer: issuer(&parsed),
        distrust,
        on_disk: None,
    })
}

/// Why this host doesn't trust it: the end of a sentence that begins "the certificate isn't trusted:".
pub(super) fn distrust(
    leaf: &CertificateDer<'_>,
    asked: &ServerName<'_>,
    now: UnixTime,
    error: &rustls::Error,
) -> String {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) else {
        return "it can't be read".to_owned();
    };
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    reason(&parsed, asked, now, error)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open-ended; the rarer faults speak for themselves")]
fn reason(parsed: &X509Certificate<'_>, asked: &ServerName<'_>, now: i64, error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(error) = error else {
        return plain(&error.to_string(), 160);
    };
    let validity = parsed.validity();
    let self_signed = parsed.subject().as_raw() == parsed.issuer().as_raw();
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let end = validity.not_after.timestamp();
            // The leaf may be good and one above it in the chain expired.
            if end < now { format!("it expired {}", ago(now - end)) } else { "one of its chain expired".to_owned() }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let wait = validity.not_before.timestamp().saturating_sub(now);
            format!("it is not valid before {} from now (is this host's clock right?)", span(wait))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("it is made out to {}, not to {}", listed(&names(parsed)), plain(&asked.to_str(), NAME))
        }
        CertificateError::UnknownIssuer if self_signed => "it is self-signed".to_owned(),
        CertificateError::UnknownIssuer => format!(
            "its issuer {} is unknown here (the server may leave out an intermediate certificate, or its authority isn't \
             installed on this host)",
            issuer(parsed)
        ),
        CertificateError::BadSignature => {
            format!("it isn't signed by the key this host knows for its issuer {}", issuer(parsed))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it isn't meant for servers (extended key usage)".to_owned()
        }
        // rustls wraps webpki's error, which has no name of its own here.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            let signed = if self_signed { "self-signed, and " } else { "" };
            format!("it is {signed}an authority's own certificate, not a server's")
        }
        other => format!("checking it says: {}", plain(&other.to_string(), 120)),
    }
}

/// Who issued it: `R11 (Let's Encrypt)`.
fn issuer(parsed: &X509Certificate<'_>) -> String {
    let name = parsed.issuer();
    let organisation = name.iter_organization().find_map(|part| part.as_str().ok()).map(|text| plain(text, NAME));
    match (common_name(name), organisation) {
        (Some(common), Some(organisation)) if common != organisation => format!("{common} ({organisation})"),
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => "nobody named".to_owned(),
    }
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name()
        .find_map(|part| part.as_str().ok())
        .map(|text| plain(text, NAME))
        .filter(|text| !text.is_empty())
}

/// Whether both are made out to one and the same name.
pub(super) fn share_a_name(one: &X509Certificate<'_>, other: &X509Certificate<'_>) -> bool {
    let theirs = names(other);
    names(one).iter().any(|name| theirs.contains(name))
}

/// The alternative names: host names and addresses.
fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = parsed.subject_alternative_name() else {
        return Vec::new();
    };
    let shown = |name: &GeneralName<'_>| {
        if let GeneralName::DNSName(name) = name {
            Some(plain(name, NAME))
        } else if let GeneralName::IPAddress(bytes) = name {
            let four = <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from);
            four.or_else(|| <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from)).map(|address| address.to_string())
        } else {
            None
        }
    };
    extension.value.general_names.iter().filter_map(shown).collect()
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no host name (it has no alternative names)".to_owned(),
        [one, two, rest @ ..] if rest.len() > 1 => format!("{one}, {two} and {} others", rest.len()),
        few => few.join(", "),
    }
}

fn ago(secs: i64) -> String {
    format!("{} ago", span(secs))
}

/// `3 days`, `5 hours`, `12 minutes`.
fn span(secs: i64) -> String {
    let (count, unit) = match secs {
        172_800.. => (secs / 86_400, "day"),
        7_200.. => (secs / 3_600, "hour"),
        _ => (secs.max(0) / 60, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_the_unit_a_person_would_use() {
        assert_eq!(
            (span(90).as_str(), span(7_300).as_str(), span(86_400 * 40).as_str()),
            ("1 minute", "2 hours", "40 days")
        );
    }

    #[test]
    fn many_names_are_counted() {
        let names = |count: usize| (1..=count).map(|n| format!("n{n}")).collect::<Vec<_>>();
        assert_eq!(listed(&names(1)), "n1");
        assert_eq!(listed(&names(3)), "n1, n2, n3");
        assert_eq!(listed(&names(9)), "n1, n2 and 7 others");
    }
}
