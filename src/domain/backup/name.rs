//! The date in a backup's name: a hint for which files are worth a look, never an age.

use super::header::Civil;

/// The last date in `name` that could be one: `2026-11-21`, `20261121`, with or without a time after it.
pub fn date(name: &str) -> Option<Civil> {
    let digits: Vec<(usize, usize)> = runs(name);
    let number = |(from, to): (usize, usize)| name.get(from..to).and_then(|d| d.parse::<i64>().ok());
    let mut found = None;
    for (at, run) in digits.iter().enumerate() {
        let rest = digits.get(at + 1..).unwrap_or_default();
        match (run.1 - run.0, rest) {
            // 20261121 or 20261121024737, maybe with 024737 or 0247 after it.
            (8 | 12 | 14, _) => {
                let text = name.get(run.0..run.1).unwrap_or_default();
                let tail = match text.get(8..).unwrap_or_default() {
                    "" => rest.first().filter(|next| next.0 - run.1 <= 2).and_then(|n| name.get(n.0..n.1)),
                    own => Some(own),
                };
                let part = |from: usize, to: usize| text.get(from..to).and_then(|d| d.parse::<i64>().ok());
                if let (Some(y), Some(m), Some(d)) = (part(0, 4), part(4, 6), part(6, 8)) {
                    found = Civil::new((y, m, d), time(tail)).or_else(|| Civil::new((y, m, d), (0, 0, 0))).or(found);
                }
            }
            // 2026-11-21, maybe with 02-47-37 or 0247 after it.
            (4, [month, day, after @ ..]) if month.1 - month.0 <= 2 && day.1 - day.0 <= 2 => {
                let near = month.0 - run.1 == 1 && day.0 - month.1 == 1;
                let (Some(year), Some(month), Some(date)) = (number(*run), number(*month), number(*day)) else {
                    continue;
                };
                let clock: Vec<i64> = after
                    .iter()
                    .take(3)
                    .filter(|r| r.1 - r.0 == 2 && r.0 - day.1 <= 9)
                    .filter_map(|r| number(*r))
                    .collect();
                let hms = match clock.as_slice() {
                    [hour, minute, second] => (*hour, *minute, *second),
                    [hour, minute] => (*hour, *minute, 0),
                    _ => time(after.first().filter(|n| n.0 - day.1 <= 2).and_then(|n| name.get(n.0..n.1))),
                };
                if near {
                    found = Civil::new((year, month, date), hms)
                        .or_else(|| Civil::new((year, month, date), (0, 0, 0)))
                        .or(found);
                }
            }
            _ => {}
        }
    }
    found
}

/// `024737`, `0247`.
fn time(text: Option<&str>) -> (i64, i64, i64) {
    let Some(text) = text.filter(|t| matches!(t.len(), 4 | 6)) else { return (0, 0, 0) };
    let part = |from: usize, to: usize| text.get(from..to).and_then(|d| d.parse::<i64>().ok()).unwrap_or(0);
    (part(0, 2), part(2, 4), part(4, 6))
}

/// Runs of digits.
fn runs(name: &str) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = Vec::new();
    for (at, byte) in name.bytes().enumerate() {
        if !byte.is_ascii_digit() {
            continue;
        }
        match out.last_mut() {
            Some(last) if last.1 == at => last.1 = at + 1,
            Some(_) | None => out.push((at, at + 1)),
        }
    }
    out
}

/// Whether `name` fits a pattern of `*` (any characters) and `?` (one).
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some(want), Some(is)) if *want == '?' || want == is => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star.filter(|(_, from)| *from < name.len()) else { return false };
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_in_names() {
        let at = |h, m, s| Civil::new((2026, 11, 21), (h, m, s));
        for (name, expected) in [
            ("pretix-20261121-024737.dump", at(2, 47, 37)),
            ("pretix_2026-11-21_02-47-37.sql.gz", at(2, 47, 37)),
            ("pretix_2026-11-21T02:47.sql.gz", at(2, 47, 0)),
            ("20261121024737.tar", at(2, 47, 37)),
            ("pretix-2026-11-21.dump", at(0, 0, 0)),
            ("v15-db_20261121_0247.dump", at(2, 47, 0)),
            ("pretix.dump", None),
            ("pretix-99999999.dump", None),
            ("pretix.sql.1.gz", None),
        ] {
            assert_eq!(date(name), expected, "{name}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*.dump", "a.dump", true),
            ("*.dump", "a.dump.gz", false),
            ("pretix-*.sql*", "pretix-1.sql.gz", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**", "", true),
            ("*a*b", "xaxxab", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn no_name_is_too_strange(name in "\\PC{0,40}", pattern in "[a*?]{0,12}") {
            date(&name);
            fits(&pattern, &name);
            prop_assert!(fits("*", &name));
            prop_assert!(fits(&name.replace(['*', '?'], "?"), &name));
        }
    }
}
