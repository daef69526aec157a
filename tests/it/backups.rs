//! Backups, made by the real tools: what is whole is proven, and nothing that was cut is ever called whole.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

mod cli;
pub(crate) mod formats;
mod mariadb;
pub(crate) mod postgres;
mod repositories;
pub(crate) mod screen;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use midwatch::backends::backups::check::{Outcome, Verdict, check};
use midwatch::backends::backups::meter::Control;
use midwatch::backends::backups::program::Tools;
use midwatch::domain::backup::proof::Flaw;
use tempfile::TempDir;

/// Runs a program that must end well; what it wrote.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    stdout
}

/// Changes a file's time of change.
pub(crate) fn aged(path: &Path, hours: u64) {
    let at = SystemTime::now() - Duration::from_secs(hours * 3600 + 600);
    File::open(path).unwrap().set_modified(at).unwrap();
}

/// A directory for backups.
fn folder() -> TempDir {
    tempfile::Builder::new().prefix("midwatch-backups-").tempdir().unwrap()
}

fn verdict(path: &Path) -> Verdict {
    check(path, &Tools::find(), &Control::default())
}

/// What is whole.
fn whole(path: &Path) -> Verdict {
    let verdict = verdict(path);
    assert_eq!(verdict.outcome, Outcome::Whole, "{}", path.display());
    verdict
}

/// How what must not be whole is broken.
fn flaw(path: &Path) -> Flaw {
    let outcome = verdict(path).outcome;
    let Outcome::Broken(flaw, _) = outcome else { panic!("{} is {outcome:?}", path.display()) };
    flaw
}

/// Cuts a file at many lengths and sees that none of them is called whole. `kept`: so many of its last bytes carry
/// nothing, and may be missing.
fn cut_everywhere(path: &Path, kept: usize) {
    let bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let cut = path.with_file_name(["cut-", name].concat());
    let last = bytes.len() - kept;
    let near = (1..=40).filter_map(|n| last.checked_sub(n));
    let spread = (0..60).map(|n| n * last / 60);
    for length in near.chain(spread) {
        fs::write(&cut, bytes.get(..length).unwrap()).unwrap();
        let outcome = verdict(&cut).outcome;
        assert!(
            // Of a few bytes nobody can tell what they were; whole they are not.
            matches!(outcome, Outcome::Broken(..)) || (length < 512 && matches!(outcome, Outcome::Unproven(_))),
            "{name} cut at {length} of {} is {outcome:?}",
            bytes.len()
        );
    }
    fs::remove_file(cut).unwrap();
}

/// Numbers that are the same in every run.
pub(crate) fn numbers(mut seed: u64) -> impl Iterator<Item = usize> {
    std::iter::repeat_with(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap()
    })
}

/// Cuts a file at so many random lengths and sees that none of them is called whole.
fn cut_at_random(path: &Path, times: usize) {
    let bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let cut = path.with_file_name(["random-", name].concat());
    for length in numbers(20).map(|n| n % bytes.len()).take(times) {
        fs::write(&cut, bytes.get(..length).unwrap()).unwrap();
        let outcome = verdict(&cut).outcome;
        assert!(
            matches!(outcome, Outcome::Broken(..)) || (length < 512 && matches!(outcome, Outcome::Unproven(_))),
            "{name} cut at {length} of {} is {outcome:?}",
            bytes.len()
        );
    }
    fs::remove_file(cut).unwrap();
}

/// Changes one bit at each of these places; those where that is not found, with the bytes around.
fn missed(path: &Path, places: impl Iterator<Item = usize>) -> Vec<(usize, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let bad: PathBuf = path.with_file_name(["bad-", name].concat());
    let mut out = Vec::new();
    for at in places {
        let mut changed = bytes.clone();
        *changed.get_mut(at).unwrap() ^= 0x10;
        fs::write(&bad, &changed).unwrap();
        if !matches!(verdict(&bad).outcome, Outcome::Broken(..)) {
            out.push((at, bytes.get(at - 8..at + 8).unwrap().to_vec()));
        }
    }
    fs::remove_file(bad).unwrap();
    out
}
