//! Times as logs write them: local ones without a zone, those of syslog without a year, and whole ones.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;

/// `2026-11-21 09:20:01` (any white space between date and time) in the zone of this machine.
pub(super) fn local(text: &str) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace();
    let text = [words.next()?, "T", words.next()?].concat();
    zoned(text.parse().ok()?)
}

fn zoned(civil: DateTime) -> Option<Timestamp> {
    let zoned = civil.to_zoned(TimeZone::system()).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

/// A line of syslog taken apart: its time, its tag without the number (`sudo`, `CRON`), what it says. Times with a zone
/// (`2026-11-21T09:20:02.123+00:00`) and without a year (`Nov 21 09:20:02`: the last such day before `now`).
pub(super) fn syslog(line: &str, now: Timestamp) -> Option<(Timestamp, &str, &str)> {
    let (at, rest) = if line.starts_with(|c: char| c.is_ascii_digit()) {
        let (stamp, rest) = line.split_once(' ')?;
        (Timestamp::from_millis(stamp.parse::<jiff::Timestamp>().ok()?.as_millisecond()), rest)
    } else {
        (yearless(line.get(..15)?, now)?, line.get(15..)?.trim_start())
    };
    let (_host, rest) = rest.split_once(' ')?;
    let (tag, said) = rest.split_once(": ")?;
    Some((at, tag.split('[').next().unwrap_or(tag), said))
}

/// `Nov 21 09:20:02`: in the year in which that is not in the future.
fn yearless(text: &str, now: Timestamp) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_ascii_whitespace();
    let name = words.next()?;
    let month = MONTHS.iter().position(|m| *m == name)? + 1;
    let (day, clock): (u8, &str) = (words.next()?.parse().ok()?, words.next()?);
    let here = jiff::Timestamp::from_millisecond(now.as_millis()).ok()?.to_zoned(TimeZone::system());
    let of = |year: i16| zoned(format!("{year:04}-{month:02}-{day:02}T{clock}").parse().ok()?);
    // A clock may be a little ahead of the one that wrote.
    of(here.year()).filter(|at| *at <= now.plus_secs(86_400)).or_else(|| of(here.year().checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{local, syslog};
    use crate::domain::time::Timestamp;

    fn at(text: &str) -> Timestamp {
        local(text).unwrap()
    }

    #[test]
    fn local_times_are_read_with_any_white_space() {
        assert_eq!(at("2026-11-21  09:20:01"), at("2026-11-21 09:20:01"));
        assert_eq!(at("2026-11-21 09:20:01").millis_since(at("2026-11-21 09:20:00")), 1000);
        assert_eq!(local("2026-11-21"), None);
        assert_eq!(local("2026-13-21 09:20:01"), None);
    }

    #[test]
    fn both_kinds_of_syslog_are_read() {
        let now = at("2026-01-02 03:04:05");
        let (t, tag, said) = syslog("Dec 31 23:59:58 web1 sudo[7]:  an : TTY=pts/0", now).unwrap();
        assert_eq!((t, tag, said), (at("2025-12-31 23:59:58"), "sudo", " an : TTY=pts/0"));
        let (t, _, _) = syslog("Jan  2 03:04:04 web1 CRON[7]: (root) CMD (x)", now).unwrap();
        assert_eq!(t, at("2026-01-02 03:04:04"));
        let (t, tag, said) = syslog("2026-01-02T03:04:05.500+00:00 web1 CRON[8]: (root) CMD (x)", now).unwrap();
        assert_eq!((t.as_millis(), tag, said), (1_767_323_045_500, "CRON", "(root) CMD (x)"));
        assert_eq!(syslog("", now), None);
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line in ".{0,60}") {
            syslog(&line, Timestamp::from_millis(1_795_230_000_000));
            local(&line);
        }
    }
}
