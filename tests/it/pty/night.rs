//! A night on the practice site, key by key: what was sold and uploaded goes away with a restore, comes back when that is
//! undone, a backup is proven, and another version takes over and goes again.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::{TAB, code};
use crate::demo::{page, shown};
use crate::support::LOCKS;
use crate::support::pty::{Home, Session};
use crate::support::servers::eventually;

/// Orders that are sold after the backup.
const SOLD: u64 = 60;
/// Orders there are at the beginning.
const BEGUN: u64 = 240;
/// The headline that is put over the one that was saved.
const CHANGED: &str = "Nobody knows these tickets";
const SAVED: &str = "Practice Tickets";

/// The practice site's directory, below a home.
fn site(home: &Home) -> PathBuf {
    eventually("the site's directory", || {
        let mut all = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path());
        all.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("midwatch-practice-")))
    })
}

fn url(site: &Path) -> String {
    let port =
        eventually("its port", || std::fs::read_to_string(site.join("port")).ok().filter(|port| !port.is_empty()));
    format!("http://127.0.0.1:{port}")
}

/// Types what the card asks for, as it is shown there, and waits until the run is done.
fn confirmed(session: &mut Session, shows: &str) {
    session.wait_for_text(", then Enter, to run it:");
    let card = session.text();
    assert!(card.contains(shows), "{shows} is not on\n{card}");
    let word = card.split("type ").nth(1).and_then(|rest| rest.split(", then").next()).unwrap().to_owned();
    session.keys(&word);
    session.keys("\r");
    session.wait_for_text("✔ done");
    // Back to the list of runs.
    session.keys("\x1b");
    session.wait_for_text("catalogue");
}

/// From the Backups screen to the plan of a runbook, so many rows below the first that is offered.
fn from_backups(session: &mut Session, rows: usize) {
    session.keys("8");
    session.wait_for_text("places and jobs");
    session.keys("R");
    session.wait_for_text("What is done with");
    session.keys(&"j".repeat(rows));
    session.keys("\r");
}

/// Undoes it with the runbook of the catalogue that has these words, and what is held by it.
fn undone(session: &mut Session, words: &str) {
    from_catalogue(session, words, "Which of what is held", "Put ");
}

/// Runs the runbook of the catalogue that has these words, with the first of what it asks for.
fn from_catalogue(session: &mut Session, words: &str, asks: &str, shows: &str) {
    session.keys("9");
    session.wait_for_text("catalogue");
    session.keys(&format!("/{words}\r"));
    session.wait_for_text(&format!("filter: {words}"));
    session.keys("\r");
    session.wait_for_text(asks);
    session.keys("\r");
    confirmed(session, shows);
    // The filter goes, where it is still there. What follows an Esc at once would be taken for a key with Alt.
    if session.text().contains("filter: ") {
        session.keys("\x1b");
        session.wait_for("no filter", |session| !session.text().contains("filter: "));
    }
}

fn sold(url: &str) {
    for _ in 0..SOLD {
        page(url, "POST", "/events/1/order/").unwrap();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn the_practice_site_is_restored_undone_proven_and_upgraded_by_keys_alone_as_root() {
    let _turn = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let home = Home::new();
    let program = env!("CARGO_BIN_EXE_midwatch");
    let mut session = home.run(&[program, "demo"], &[("TMPDIR", home.path().as_os_str())], 80, 24);
    session.wait_for_text(TAB);
    let site = site(&home);
    let url = url(&site);
    let banner = site.join("data/media/banner.txt");
    sold(&url);
    std::fs::write(&banner, CHANGED).unwrap();
    let (headline, before) = shown(&url).unwrap();
    assert!(headline == CHANGED && before >= BEGUN + SOLD, "{headline} {before}");

    // The database alone; visitors buy meanwhile, but not so much.
    from_backups(&mut session, 1);
    confirmed(&mut session, "Restore the database of practice");
    let (headline, orders) = shown(&url).unwrap();
    assert!(headline == CHANGED && (BEGUN..before).contains(&orders), "{headline} {orders}");
    undone(&mut session, "displaced then");
    let (_, orders) = shown(&url).unwrap();
    assert!(orders >= before, "{orders} of {before}");

    // Both.
    from_backups(&mut session, 0);
    session.wait_for_text("Which directory");
    session.keys("\r");
    confirmed(&mut session, "Restore practice from");
    let (headline, orders) = shown(&url).unwrap();
    assert!(headline == SAVED && (BEGUN..before).contains(&orders), "{headline} {orders}");
    undone(&mut session, "swap-back-point");
    let (headline, orders) = shown(&url).unwrap();
    assert!(headline == CHANGED && orders >= before, "{headline} {orders} of {before}");

    // A drill.
    from_backups(&mut session, 3);
    confirmed(&mut session, "Restore ");
    session.keys("8");
    session.wait_for_text("places and jobs");
    session.keys("r");
    session.wait_for_text("✔ restored");

    // Another version, which migrates; and back, with the database that the older one knows.
    let first = || page(&url, "GET", "/").unwrap_or_default();
    assert!(first().contains("Practice Tickets 2026.1"), "{}", first());
    from_catalogue(&mut session, "what belongs", "Which version", "Upgrade practice to 2026.2");
    assert!(first().contains("seats given out") && first().contains("Practice Tickets 2026.2"), "{}", first());
    let (_, sold) = shown(&url).unwrap();
    assert!(sold >= before, "{sold} of {before}");
    let asks = "A backup from before the upgrade";
    from_catalogue(&mut session, "undo-upgrade-and-restore", asks, "Put practice back to before");
    assert!(first().contains("Practice Tickets 2026.1") && !first().contains("seats"), "{}", first());
    let (_, orders) = shown(&url).unwrap();
    assert!((BEGUN..sold).contains(&orders), "{orders} of {sold}");

    session.keys("Q");
    assert_eq!(code(session.ended()), 0);
    assert!(session.given_back() && !site.exists());
}
