//! Parts that are fine only where something was there to look at: a certificate, a clock to compare with.

use crate::app::model::{Model, Site};
use crate::domain::health::HealthCheck;

/// What a part must have seen before it is fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The certificate of every site with https.
    Certificate,
    /// What a time service says of this host's clock, or the time of any server.
    Clock,
    /// The time of any server.
    OtherClocks,
}

impl Proof {
    /// What a rule must have seen, if it says nothing without that.
    pub(super) fn of_rule(id: &str) -> Option<Self> {
        match id {
            "certificate" | "certificate-not-loaded" => Some(Self::Certificate),
            "clock-wrong" => Some(Self::OtherClocks),
            "clock-unsynchronised" => Some(Self::Clock),
            _ => None,
        }
    }

    /// Why there is nothing to judge by, in a sentence; `None`: there is.
    pub(super) fn lacks(self, model: &Model, only: Option<&str>) -> Option<String> {
        let sites = || model.sites.iter().filter(|site| only.is_none_or(|only| only == site.id.0));
        match self {
            Self::Certificate => {
                let mut https = sites().filter(|site| site.url.starts_with("https://")).peekable();
                if https.peek().is_none() {
                    return Some("not applicable: no site with https".to_owned());
                }
                https.find_map(uncertified)
            }
            Self::Clock | Self::OtherClocks => {
                let clock = (self == Self::Clock).then(|| service(model, only)).flatten();
                if clock.as_ref().is_some_and(Result::is_ok) || sites().any(tells_time) {
                    return None;
                }
                let why = clock.and_then(Result::err).map(|by| format!("{by}; ")).unwrap_or_default();
                Some(format!("nothing to compare the clock with: {why}no server has told its time"))
            }
        }
    }
}

fn uncertified(site: &Site) -> Option<String> {
    let check: Option<&HealthCheck> = site.health.value();
    match check {
        Some(check) if check.tls.is_some() => None,
        Some(check) => Some(format!("{}: no certificate was seen: {}", site.id, check.detail)),
        None => Some(format!("{}: no answer yet", site.id)),
    }
}

/// Whether a time service tells of the clock of a host; else why not. `None`: no host was looked at so far.
fn service(model: &Model, only: Option<&str>) -> Option<Result<(), String>> {
    let hosts = model.hosts.iter().filter(|host| only.is_none_or(|only| only == host.id.0));
    let clocks = hosts.filter_map(|host| Some(&host.reading.value()?.depth.as_ref()?.clock));
    let told = clocks.map(|clock| match (clock.synchronised, clock.offset_ms) {
        (None, None) => Err(clock.by.clone()),
        (Some(_), _) | (None, Some(_)) => Ok(()),
    });
    told.reduce(Result::or)
}

/// Whether any server of a site has told its time.
fn tells_time(site: &Site) -> bool {
    let web = site.health.fresh().and_then(|check| check.clock_offset_ms);
    let redis = site.redis.fresh().and_then(|redis| redis.server.clock_ahead_ms);
    let database = site.database.fresh().and_then(|database| database.clock_offset_ms);
    web.or(redis).or(database).is_some()
}
