//! Versions in their order, and which jumps an application allows.

use std::cmp::Ordering;

/// A version as pip orders it, as far as applications have such.
#[derive(Debug, Clone)]
pub(super) struct Version {
    release: Vec<u64>,
    /// What follows the numbers: `rc1`, `dev0`; nothing for a release, which comes after them.
    rest: String,
}

impl Version {
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('v');
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let release: Vec<u64> =
            numbers.trim_end_matches('.').split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        Some(Self { release, rest: rest.to_owned() })
    }

    fn at(&self, place: usize) -> u64 {
        self.release.get(place).copied().unwrap_or(0)
    }

    /// The release it belongs to as it is counted: year and number.
    fn feature(&self) -> (u64, u64) {
        (self.at(0), self.at(1))
    }

    fn late(&self) -> bool {
        self.rest.starts_with("post") || self.rest.starts_with('+')
    }

    /// Whether it is no release: `rc1`, `dev0`.
    pub(super) fn early(&self) -> bool {
        !self.rest.is_empty() && !self.late()
    }
}

/// `2026.8` and `2026.8.0` are the same.
impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let longest = self.release.len().max(other.release.len());
        let numbers = (0..longest).map(|n| self.at(n).cmp(&other.at(n))).find(|order| order.is_ne());
        numbers
            .unwrap_or(Ordering::Equal)
            .then_with(|| ranks(&self.rest).cmp(&ranks(&other.rest)))
            .then_with(|| self.rest.cmp(&other.rest))
    }
}

/// What follows the numbers, so that it can be compared: each word's place, and the number behind it; then the end's.
fn ranks(rest: &str) -> Vec<(u8, u64)> {
    const END: u8 = 4;
    let mut out = Vec::new();
    let mut left = rest;
    while let Some(at) = left.find(|c: char| c.is_ascii_alphabetic() || c == '+') {
        left = left.get(at..).unwrap_or_default();
        let letters = left.find(|c: char| !c.is_ascii_alphabetic() && c != '+').unwrap_or(left.len());
        let (word, after) = left.split_at(letters);
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (number, after) = after.split_at(digits);
        let rank = match word {
            "dev" => 0,
            "a" | "alpha" => 1,
            "b" | "beta" => 2,
            "post" => END + 1,
            word if word.starts_with('+') => END + 1,
            _ => 3,
        };
        out.push((rank, number.parse().unwrap_or(0)));
        left = after;
    }
    out.push((END, 0));
    out
}

/// Whether one may go from the one to the other at once. `offered`: all versions there are, where that is known.
///
/// # Errors
/// Why not, and where to go first.
pub(super) fn jump(name: &str, from: &Version, to: &Version, offered: Option<&[Version]>) -> Result<(), String> {
    match name {
        "pretix" => pretix(from, to),
        "pretalx" => pretalx(from, to, offered),
        _ => Ok(()),
    }
}

/// pretix: no major version is skipped. They were 1 to 4, then years from 2023 on.
fn pretix(from: &Version, to: &Version) -> Result<(), String> {
    let nth = |major: u64| if major >= 2023 { major - 2018 } else { major };
    let (old, new) = (from.at(0), to.at(0));
    if nth(new) <= nth(old) + 1 {
        return Ok(());
    }
    let next = if old < 4 { old + 1 } else { old.max(2022) + 1 };
    Err(format!(
        "pretix' major versions are not skipped: from {old} it goes to the last release of {next} first, not to {new}"
    ))
}

/// pretalx: no feature release is skipped (2024.3, 2025.1, 2025.2).
fn pretalx(from: &Version, to: &Version, offered: Option<&[Version]>) -> Result<(), String> {
    let ((year, number), new) = (from.feature(), to.feature());
    if new == (year, number) || new == (year, number + 1) {
        return Ok(());
    }
    let Some(offered) = offered else {
        return Err(format!(
            "pretalx' releases are not skipped, and which lie between {year}.{number} and {}.{} can't be told, for no index \
             can be asked",
            new.0, new.1
        ));
    };
    let between = offered.iter().filter(|version| !version.early()).map(Version::feature);
    match between.filter(|feature| *feature > (year, number) && *feature < new).min() {
        None => Ok(()),
        Some((y, n)) => {
            Err(format!("pretalx' releases are not skipped: it goes to {y}.{n} first, not to {}.{}", new.0, new.1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, jump};

    fn v(text: &str) -> Version {
        Version::of(text).unwrap()
    }

    #[test]
    fn versions_have_an_order() {
        let mut all = ["2026.8.0", "2026.8.0rc1", "2026.10.0", "2026.8", "2026.8.0.post1", "4.20.1"].map(v);
        all.sort();
        assert_eq!(all, ["4.20.1", "2026.8.0rc1", "2026.8.0", "2026.8", "2026.8.0.post1", "2026.10.0"].map(v));
        let order =
            ["1.0.dev9", "1.0.dev10", "1.0a1.dev2", "1.0a1", "1.0b1", "1.0rc2", "1.0rc10", "1.0", "1.0.post1.dev0"];
        let mut sorted = order.map(v);
        sorted.reverse();
        sorted.sort();
        assert_eq!(sorted, order.map(v));
        assert!(v("2026.8") == v("2026.8.0") && v("2026.8.0") != v("2026.8.0rc1"));
        assert_eq!((Version::of("main"), Version::of("")), (None, None));
    }

    #[test]
    fn no_major_version_of_pretix_is_skipped() {
        for (from, to) in
            [("2026.7.0", "2026.8.0"), ("2025.10.1", "2026.8.0"), ("4.20.0", "2023.10.0"), ("3.18.0", "4.0.0")]
        {
            assert_eq!(jump("pretix", &v(from), &v(to), None), Ok(()), "{from} to {to}");
        }
        let refused = |from: &str, to: &str| jump("pretix", &v(from), &v(to), None).unwrap_err();
        assert!(refused("2024.1.0", "2026.8.0").contains("last release of 2025 first"));
        assert!(refused("4.20.0", "2024.1.0").contains("last release of 2023 first"));
        assert!(refused("2.8.0", "4.0.0").contains("last release of 3 first"));
    }

    #[test]
    fn no_release_of_pretalx_is_skipped() {
        let offered = ["2024.2.1", "2024.3.0", "2024.3.1", "2025.1.0", "2025.2.0rc1", "2025.2.2"].map(v);
        let can = |from: &str, to: &str| jump("pretalx", &v(from), &v(to), Some(&offered));
        assert_eq!((can("2025.1.0", "2025.2.2"), can("2024.3.0", "2025.1.0")), (Ok(()), Ok(())));
        assert!(can("2024.3.1", "2025.2.2").unwrap_err().contains("2025.1 first"));
        assert!(can("2024.2.1", "2025.1.0").unwrap_err().contains("2024.3 first"));
        let blind = |from: &str, to: &str| jump("pretalx", &v(from), &v(to), None);
        assert_eq!(blind("2025.1.0", "2025.2.2"), Ok(()));
        assert!(blind("2024.3.1", "2025.1.0").unwrap_err().contains("can't be told"));
    }
}
