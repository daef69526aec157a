//! The times access logs write.

use crate::domain::time::Timestamp;

/// Days from 1970-01-01 to a date of the Gregorian calendar (Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// A date and time that exist, `offset_s` seconds ahead of UTC.
fn moment(date: (i64, i64, i64), clock: &str, offset_s: i64) -> Option<Timestamp> {
    let (year, month, day) = date;
    let (whole, fraction) = clock.split_once(['.', ',']).map_or((clock, None), |(whole, f)| (whole, Some(f)));
    let mut parts = whole.splitn(3, ':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let millis = match fraction {
        None => 0,
        Some(f) => number(f.get(..3.min(f.len()))?)? * [1, 100, 10, 1].get(f.len().min(3)).copied()?,
    };
    let real = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let secs = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_s;
    real.then(|| Timestamp::from_millis(secs * 1000 + millis))
}

fn month(name: &str) -> Option<i64> {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES.iter().position(|known| *known == name).and_then(|at| i64::try_from(at + 1).ok())
}

/// `+0200`, `+02:00`, `Z`: seconds ahead of UTC.
fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let digits = text.get(1..)?.replace(':', "");
    let (hours, minutes) = (number(digits.get(..2)?)?, number(digits.get(2..4)?)?);
    (digits.len() == 4 && hours <= 18 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// `21/Nov/2026:08:36:44 +0000` of nginx and gunicorn, with or without brackets; and `21/Nov/2026:08:36:44.123` of
/// haproxy, which is in the host's own time: `local_offset_s` ahead of UTC.
pub(super) fn common(text: &str, local_offset_s: i64) -> Option<Timestamp> {
    let text = text.trim_start_matches('[').trim_end_matches(']');
    let (moment_text, zone) = text.split_once(' ').map_or((text, None), |(m, zone)| (m, Some(zone)));
    let (date, clock) = moment_text.split_once(':')?;
    let mut parts = date.splitn(3, '/');
    let (day, name, year) = (number(parts.next()?)?, parts.next()?, number(parts.next()?)?);
    let offset_s = zone.map_or(Some(local_offset_s), offset)?;
    moment((year, month(name)?, day), clock, offset_s)
}

/// `2026-11-21T08:36:44+00:00`, `2026-11-21T08:36:44.5Z`.
pub(super) fn iso8601(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.trim().split_once(['T', ' '])?;
    let mut parts = date.splitn(3, '-').map(number);
    let date = (parts.next()??, parts.next()??, parts.next()??);
    let zone = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = (rest.get(..zone)?, rest.get(zone..)?);
    moment(date, clock, offset(zone)?)
}

/// Seconds since 1970, with a fraction: nginx' `$msec`, Caddy's `ts`.
#[expect(clippy::cast_possible_truncation, reason = "within the bounds checked")]
pub(super) fn unix(secs: f64) -> Option<Timestamp> {
    (secs.is_finite() && (0.0..2.5e11).contains(&secs)).then(|| Timestamp::from_millis((secs * 1000.0) as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{common, iso8601, unix};

    fn millis(at: Option<crate::domain::time::Timestamp>) -> Option<i64> {
        at.map(crate::domain::time::Timestamp::as_millis)
    }

    #[test]
    fn the_same_moment_however_it_is_written() {
        let moment = Some(1_795_250_204_000);
        assert_eq!(millis(common("21/Nov/2026:08:36:44 +0000", 0)), moment);
        assert_eq!(millis(common("[21/Nov/2026:10:36:44 +0200]", 0)), moment);
        assert_eq!(millis(common("21/Nov/2026:03:06:44 -0530", 7)), moment);
        assert_eq!(millis(common("21/Nov/2026:09:36:44.000", 3600)), moment);
        assert_eq!(millis(iso8601("2026-11-21T08:36:44+00:00")), moment);
        assert_eq!(millis(iso8601("2026-11-21T08:36:44.5Z")), Some(1_795_250_204_500));
        assert_eq!(millis(unix(1_795_250_204.0)), moment);
        assert_eq!(millis(common("29/Feb/2028:00:00:00 +0000", 0)), Some(1_835_395_200_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "-",
            "21/Nov/2026",
            "21/Nov/2026:25:00:00 +0000",
            "x/Nov/2026:08:36:44 +0000",
            "21/Foo/2026:08:36:44 +0000",
        ] {
            assert_eq!(common(text, 0), None, "{text}");
        }
        assert_eq!(iso8601("2026-11-21"), None);
        assert_eq!(unix(f64::NAN), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,40}", date in "[0-9/]{0,12}(Nov)?[0-9/:+ .]{0,24}") {
            for text in [&text, &date] {
                let _: (Option<_>, Option<_>) = (common(text, 0), iso8601(text));
            }
        }
    }
}
