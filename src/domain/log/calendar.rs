//! Dates and times as logs write them. A time without a zone is left to the caller, who knows the zone.

use crate::domain::time::Timestamp;

/// A date and time as written, with the distance to UTC where it is written too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The year; `None`: not written (syslog).
    pub year: Option<i64>,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 60.
    pub second: i64,
    /// 0 to 999.
    pub milli: i64,
    /// Seconds east of UTC, where that is written.
    pub offset: Option<i64>,
}

impl Stamp {
    /// The time taken for UTC, whatever zone is written; a missing year is the one that comes nearest to `near`.
    pub fn as_utc(&self, near: Timestamp) -> Timestamp {
        let at = |year: i64| {
            let days = days_from_civil(year, self.month, self.day);
            let secs = ((days * 24 + self.hour) * 60 + self.minute) * 60 + self.second;
            Timestamp::from_millis(secs * 1000 + self.milli)
        };
        if let Some(year) = self.year {
            at(year)
        } else {
            let this = civil_year(near);
            let distance = |t: &Timestamp| near.as_millis().abs_diff(t.as_millis());
            [this - 1, this, this + 1].map(at).into_iter().min_by_key(distance).unwrap_or(near)
        }
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar (after Howard Hinnant, `chrono`-compatible low-level date
/// algorithms).
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// The year of a point in time, in UTC.
const fn civil_year(at: Timestamp) -> i64 {
    let days = at.as_secs().div_euclid(86_400);
    let mut year = 1970 + days.div_euclid(366);
    while days_from_civil(year + 1, 1, 1) <= days {
        year += 1;
    }
    year
}

/// Reads from the front of a text.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    /// From the beginning of `text`.
    pub const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// What has not been read yet.
    pub const fn rest(self) -> &'a str {
        self.rest
    }

    /// Exactly `digits` digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (head, rest) = self.rest.split_at_checked(digits)?;
        let all = !head.is_empty() && head.bytes().all(|b| b.is_ascii_digit());
        let value = head.parse().ok().filter(|_| all)?;
        self.rest = rest;
        Some(value)
    }

    /// One of these characters.
    fn any(&mut self, of: &[char]) -> Option<char> {
        let first = self.rest.chars().next().filter(|c| of.contains(c))?;
        self.rest = self.rest.get(first.len_utf8()..)?;
        Some(first)
    }

    /// Blanks, at least one.
    fn blanks(&mut self) -> Option<()> {
        let rest = self.rest.trim_start_matches(' ');
        let moved = rest.len() < self.rest.len();
        self.rest = rest;
        moved.then_some(())
    }

    /// A month's English abbreviation.
    fn month(&mut self) -> Option<i64> {
        const NAMES: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let (head, rest) = self.rest.split_at_checked(3)?;
        let at = NAMES.find(head).filter(|at| at % 3 == 0)?;
        self.rest = rest;
        i64::try_from(at / 3 + 1).ok()
    }

    /// `HH:MM:SS` with an optional fraction after `.` or `,`.
    fn clock(&mut self) -> Option<(i64, i64, i64, i64)> {
        let hour = self.number(2).filter(|h| *h < 24)?;
        self.any(&[':'])?;
        let minute = self.number(2).filter(|m| *m < 60)?;
        self.any(&[':'])?;
        let second = self.number(2).filter(|s| *s <= 60)?;
        let mut milli = 0;
        let fraction = self.rest.strip_prefix(['.', ',']).filter(|f| f.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(fraction) = fraction {
            let mut scale = 100;
            for digit in fraction.bytes().take_while(u8::is_ascii_digit) {
                milli += i64::from(digit - b'0') * scale;
                scale /= 10;
            }
            self.rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        Some((hour, minute, second, milli))
    }

    /// `Z`, `UTC`, `GMT`, `+01:00`, `+0100`, with a blank before it or none. Other abbreviations say nothing certain
    /// (`IST` is three zones): they are passed over, and the time is taken for local.
    fn zone(&mut self) -> Option<i64> {
        let text = self.rest.strip_prefix(' ').unwrap_or(self.rest);
        if let Some(rest) = ["UTC", "GMT", "Z"].iter().find_map(|name| text.strip_prefix(name)) {
            if rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                return None;
            }
            self.rest = rest;
            return Some(0);
        }
        let mut scan = Self { rest: text };
        if let Some(sign) = scan.any(&['+', '-']) {
            let hours = scan.number(2).filter(|h| *h <= 15)?;
            scan.any(&[':']);
            let minutes = scan.number(2).filter(|m| *m < 60)?;
            *self = scan;
            let secs = hours * 3600 + minutes * 60;
            return Some(if sign == '-' { -secs } else { secs });
        }
        let name = text.bytes().take_while(u8::is_ascii_uppercase).count();
        // CET, EDT, AEST: three or four capitals that are no level.
        let word = text.get(..name).filter(|w| (3..=4).contains(&w.len()))?;
        let last = text.get(name..).is_some_and(|rest| rest.starts_with([' ', ']']));
        if last && word.ends_with('T') && super::Severity::from_word(word).is_none() {
            self.rest = text.get(name..)?;
        }
        None
    }

    /// `2026-11-21 03:28:44,123 +0000`, `2026-11-21T03:28:44.123456Z`, `2026/11/21 03:28:44`.
    pub fn iso(&mut self) -> Option<Stamp> {
        let mut scan = *self;
        let year = scan.number(4)?;
        let dash = scan.any(&['-', '/'])?;
        let month = scan.number(2)?;
        scan.any(&[dash])?;
        let day = scan.number(2)?;
        scan.any(&['T', ' ', 't'])?;
        let stamp = scan.timed(Some(year), month, day)?;
        *self = scan;
        Some(stamp)
    }

    /// `21 Nov 2026 03:28:44.123`, as Redis writes.
    pub fn redis(&mut self) -> Option<Stamp> {
        let mut scan = *self;
        let day = scan.number(2)?;
        scan.any(&[' '])?;
        let month = scan.month()?;
        scan.any(&[' '])?;
        let year = scan.number(4)?;
        scan.any(&[' '])?;
        let stamp = scan.timed(Some(year), month, day)?;
        *self = scan;
        Some(stamp)
    }

    /// `21/Nov/2026:03:28:44 +0000`, as access logs write.
    pub fn common(&mut self) -> Option<Stamp> {
        let mut scan = *self;
        let day = scan.number(2)?;
        scan.any(&['/'])?;
        let month = scan.month()?;
        scan.any(&['/'])?;
        let year = scan.number(4)?;
        scan.any(&[':'])?;
        let stamp = scan.timed(Some(year), month, day)?;
        *self = scan;
        Some(stamp)
    }

    /// `Nov 21 03:28:44`, as syslog writes: no year.
    pub fn syslog(&mut self) -> Option<Stamp> {
        let mut scan = *self;
        let month = scan.month()?;
        scan.blanks()?;
        let day = scan.number(2).or_else(|| scan.number(1))?;
        scan.any(&[' '])?;
        let (hour, minute, second, milli) = scan.clock()?;
        *self = scan;
        checked(Stamp { year: None, month, day, hour, minute, second, milli, offset: None })
    }

    fn timed(&mut self, year: Option<i64>, month: i64, day: i64) -> Option<Stamp> {
        let (hour, minute, second, milli) = self.clock()?;
        let offset = self.zone();
        checked(Stamp { year, month, day, hour, minute, second, milli, offset })
    }
}

fn checked(stamp: Stamp) -> Option<Stamp> {
    let known = stamp.year.is_none_or(|year| (1970..=9_999).contains(&year));
    (known && (1..=12).contains(&stamp.month) && (1..=31).contains(&stamp.day)).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::{Scan, Stamp};
    use crate::domain::time::Timestamp;

    const NEAR: Timestamp = Timestamp::from_millis(1_795_231_724_000);

    fn utc(stamp: Option<Stamp>) -> Option<i64> {
        stamp.map(|s| s.as_utc(NEAR).as_millis())
    }

    #[test]
    fn the_ways_logs_write_a_time() {
        let millis = 1_795_231_724_709;
        for text in [
            "2026-11-21 03:28:44,709 x",
            "2026-11-21T03:28:44.709852Z x",
            "2026-11-21T03:28:44.709+00:00 x",
            "2026/11/21 03:28:44.709 +0000 x",
            "2026-11-21 03:28:44.709 UTC [1234] x",
            "2026-11-21 03:28:44.709 CET [1234] x",
        ] {
            assert_eq!(utc(Scan::new(text).iso()), Some(millis), "{text}");
        }
        assert_eq!(utc(Scan::new("21 Nov 2026 03:28:44.709 * x").redis()), Some(millis));
        assert_eq!(utc(Scan::new("21/Nov/2026:03:28:44 +0000] x").common()), Some(millis - 709));
        assert_eq!(utc(Scan::new("Nov 21 03:28:44 host x").syslog()), Some(millis - 709));
        assert_eq!(utc(Scan::new("Nov  1 03:28:44 host x").syslog()), Some(millis - 709 - 20 * 86_400_000));
    }

    #[test]
    fn what_is_left_begins_after_the_time() {
        let mut scan = Scan::new("2026-11-21 03:28:44.709 CET [1234] LOG:  x");
        assert!(scan.iso().is_some_and(|s| s.offset.is_none()));
        assert_eq!(scan.rest(), " [1234] LOG:  x");
        let mut scan = Scan::new("2026-11-21 03:28:44 WARN x");
        assert!(scan.iso().is_some());
        assert_eq!(scan.rest(), " WARN x");
    }

    #[test]
    fn an_offset_is_kept() {
        assert_eq!(Scan::new("2026-11-21 03:28:44 +0530").iso().and_then(|s| s.offset), Some(19_800));
        assert_eq!(Scan::new("2026-11-21 03:28:44-08:00").iso().and_then(|s| s.offset), Some(-28_800));
    }

    #[test]
    fn a_missing_year_is_the_nearest() {
        // Seen on the 2nd of January 2027.
        let near = Timestamp::from_millis(1_798_848_000_000);
        let at = Scan::new("Dec 31 23:59:59 host x").syslog().map(|s| s.as_utc(near).as_millis());
        assert_eq!(at, Some(1_798_761_599_000));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "2026-13-01 00:00:00", "2026-11-21", "2026-11-21 25:00:00", "x", "0000-00-00 00:00:00"] {
            assert_eq!(Scan::new(text).iso(), None, "{text}");
        }
    }
}
