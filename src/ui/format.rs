//! Numbers, ages and times as people read them: short, with their unit, the same everywhere.

use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;
use crate::domain::traffic::{Quantile, Window};

/// What stands for a number nobody knows.
pub const NONE: &str = "–";

/// A span: `42 s`, `6m40s`, `3h05m`, `2d03h`.
pub fn span(secs: u64) -> String {
    let (m, h, d) = (secs / 60, secs / 3600, secs / 86_400);
    match () {
        () if secs < 60 => format!("{secs} s"),
        () if h == 0 => format!("{m}m{:02}s", secs % 60),
        () if d == 0 => format!("{h}h{:02}m", m % 60),
        () => format!("{d}d{:02}h", h % 24),
    }
}

/// An age: `now`, `2 s ago`, `6m40s ago`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.secs_since(at) {
        0 => "now".to_owned(),
        secs => span(secs) + " ago",
    }
}

/// Bytes in powers of 1024: `0 B`, `512 MiB`, `4.9 GiB`.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// Bytes per second.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast to an integer saturates")]
pub fn byte_rate(per_s: f64) -> String {
    if per_s.is_finite() { bytes(per_s.max(0.0) as u64) + "/s" } else { NONE.to_owned() }
}

/// A count: `312`, `12.3k`, `4.1M`.
pub fn count(n: f64) -> String {
    if n.abs() < 9999.5 { rounded(n, 0) } else { scaled(n, 1000.0, &["", "k", "M", "G", "T", "P", "E"]) }
}

/// A rate per second: `0`, `0.03`, `0.4`, `12`, `1.2k`.
pub fn rate(per_s: f64) -> String {
    match per_s.abs() {
        0.0 => "0".to_owned(),
        r if r < 0.005 => "< 0.01".to_owned(),
        r if r < 0.095 => rounded(per_s, 2),
        r if r < 9.95 => rounded(per_s, 1),
        _ => count(per_s),
    }
}

/// A rate that may be unknown yet.
pub fn rate_or_none(per_s: Option<f64>) -> String {
    per_s.map_or_else(|| NONE.to_owned(), rate)
}

/// A share of 1: `0 %`, `0.4 %`, `42 %`, `100 %`. Only a true 0 and a true 1 show as such.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if !p.is_finite() => NONE.to_owned(),
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 0.1 => "< 0.1 %".to_owned(),
        p if p < 9.95 => rounded(p, 1) + " %",
        p if (99.5..100.0).contains(&p) => "> 99 %".to_owned(),
        p => rounded(p, 0) + " %",
    }
}

/// A share that may be unknown.
pub fn share_or_none(part: Option<f64>) -> String {
    part.map_or_else(|| NONE.to_owned(), share)
}

/// A duration in seconds as a latency: `0.4 ms`, `38 ms`, `1.20 s`, `35 s`, `6m40s`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast to an integer saturates")]
pub fn latency(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => NONE.to_owned(),
        s if s < 0.00095 => rounded(s.max(0.0) * 1000.0, 1) + " ms",
        s if s < 0.9995 => rounded(s * 1000.0, 0) + " ms",
        s if s < 9.995 => rounded(s, 2) + " s",
        s if s < 99.5 => rounded(s, 0) + " s",
        s => span(s as u64),
    }
}

/// Milliseconds as a latency.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn millis(millis: u64) -> String {
    latency(millis as f64 / 1000.0)
}

/// A quantile: `38 ms`, `> 10 s` above the highest bound, `–` where nothing was observed.
pub fn quantile(quantile: Quantile) -> String {
    match quantile {
        Quantile::Unknown => NONE.to_owned(),
        Quantile::Seconds(s) => latency(s),
        Quantile::Above(s) => ["> ", &latency(s)].concat(),
    }
}

/// Over what time numbers are taken: `last 60 s`, `since the counters began`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast to an integer saturates")]
pub fn window(window: Window) -> String {
    match window {
        Window::SinceStart => "since the counters began".to_owned(),
        Window::Seconds(s) if s < 119.5 => ["last ", &rounded(s, 0), " s"].concat(),
        Window::Seconds(s) => ["last ", &span(s.round() as u64)].concat(),
    }
}

/// The time of day: `03:04:12`.
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    moment(at, zone, "%H:%M:%S")
}

/// The time of day without seconds: `03:04`.
pub fn hour_minute(at: Timestamp, zone: &TimeZone) -> String {
    moment(at, zone, "%H:%M")
}

/// A time as seen from `now`: `02:57:31`, or with its date when that is half a day or more away.
pub fn when(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let near = now.secs_since(at).max(at.secs_since(now)) < 43_200;
    if near { clock(at, zone) } else { moment(at, zone, "%Y-%m-%d %H:%M") }
}

/// A number of things with the right word: `1 finding`, `3 findings`.
pub fn plural(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

fn moment(at: Timestamp, zone: &TimeZone, pattern: &str) -> String {
    let time = jiff::Timestamp::from_millisecond(at.as_millis());
    time.map_or_else(|_| "--:--:--".to_owned(), |t| t.to_zoned(zone.clone()).strftime(pattern).to_string())
}

fn rounded(n: f64, digits: usize) -> String {
    if n.is_finite() { format!("{n:.digits$}") } else { NONE.to_owned() }
}

fn scaled(n: f64, base: f64, units: &[&str]) -> String {
    if !n.is_finite() {
        return NONE.to_owned();
    }
    let mut n = n;
    let mut step = 0;
    while n.abs() >= base * 0.9995 && step + 1 < units.len() {
        n /= base;
        step += 1;
    }
    let digits = usize::from(step > 0 && n.abs() < 9.95);
    rounded(n, digits) + units.get(step).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([0, 59, 60, 400, 11_100, 183_600].map(span), ["0 s", "59 s", "1m00s", "6m40s", "3h05m", "2d03h"]);
        assert_eq!([0, 1023, 1024, 5_261_334_938].map(bytes), ["0 B", "1023 B", "1.0 KiB", "4.9 GiB"]);
        assert_eq!([0.0, 312.4, 12_345.0, 4.1e6].map(count), ["0", "312", "12k", "4.1M"]);
        assert_eq!([0.0, 0.03, 0.4, 12.3, 1234.0].map(rate), ["0", "0.03", "0.4", "12", "1234"]);
        assert_eq!(
            [0.0, 0.0004, 0.004, 0.42, 0.999, 1.0].map(share),
            ["0 %", "< 0.1 %", "0.4 %", "42 %", "> 99 %", "100 %"]
        );
        assert_eq!([0.0004, 0.038, 1.2, 35.0, 400.0].map(latency), ["0.4 ms", "38 ms", "1.20 s", "35 s", "6m40s"]);
        assert_eq!(quantile(Quantile::Above(10.0)), "> 10 s");
    }

    #[test]
    fn what_is_no_number_is_shown_as_none() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for n in odd {
            for text in [count(n), rate(n), share(n), latency(n), byte_rate(n)] {
                assert_eq!(text, NONE, "{n}");
            }
        }
    }

    #[test]
    fn times_far_away_carry_their_date() {
        let at = Timestamp::from_millis(1_795_316_652_000);
        assert_eq!(when(at, at, &TimeZone::UTC), "03:04:12");
        assert_eq!(when(at, at.plus_secs(90_000), &TimeZone::UTC), "2026-11-22 03:04");
        assert_eq!(clock(Timestamp::from_millis(i64::MAX), &TimeZone::UTC), "--:--:--");
    }
}
