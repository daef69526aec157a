use std::fmt::Write as _;

use proptest::prelude::*;

use super::{Assembler, Entry, Zone};
use crate::domain::log::Severity;
use crate::domain::time::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_795_231_800_000);

fn all(text: &str) -> Vec<Entry> {
    let mut assembler = Assembler::new(Zone::East(0));
    let mut out: Vec<Entry> = text.split('\n').filter_map(|row| assembler.row(row, NOW, NOW, None)).collect();
    out.extend(assembler.flush());
    out
}

#[test]
fn a_traceback_belongs_to_its_first_row() {
    let entries = all(concat!(
        "ERROR 2026-11-21 03:28:44,123 django.request log Internal Server Error: /x/\n",
        "Traceback (most recent call last):\n",
        "  File \"/a.py\", line 1, in f\n",
        "    raise ValueError()\n",
        "ValueError: y\n",
        "\n",
        "During handling of the above exception, another exception occurred:\n",
        "\n",
        "Traceback (most recent call last):\n",
        "  File \"/a.py\", line 2, in f\n",
        "django.db.utils.OperationalError: FATAL:  no slots\n",
        "\n",
        "\n",
        "INFO 2026-11-21 03:28:45,123 x y fine\n",
    ));
    assert_eq!(entries.len(), 2, "{entries:#?}");
    assert_eq!(
        crate::domain::log::exception("", &entries[0].more),
        Some("django.db.utils.OperationalError: FATAL: no slots")
    );
    assert!(entries[0].more.contains("\n  File \"/a.py\", line 1, in f\n"));
    assert_eq!((entries[1].level, &*entries[1].text), (Severity::Info, "x y fine"));
}

#[test]
fn a_bare_traceback_without_any_time_is_one_error() {
    let entries =
        all("starting\nTraceback (most recent call last):\n  File \"/a.py\", line 1, in f\nValueError: y\nstopped");
    let levels: Vec<Severity> = entries.iter().map(|e| e.level).collect();
    assert!(entries.iter().all(|e| !e.dated && e.at == NOW));
    assert_eq!(entries.len(), 2, "{entries:#?} {levels:?}");
}

#[test]
fn what_is_below_is_bounded_and_keeps_its_end() {
    let mut text = "ERROR 2026-11-21 03:28:44,123 a b c\nTraceback (most recent call last):\n".to_owned();
    for n in 0..5_000 {
        writeln!(text, "  File \"/a.py\", line {n}, in f").unwrap();
    }
    text.push_str("RecursionError: too deep");
    let entries = all(&text);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].more.lines().count(), super::HEAD_ROWS + super::TAIL_ROWS + 1);
    assert!(entries[0].more.ends_with("\nRecursionError: too deep"));
    assert!(entries[0].more.contains("rows are left out"));
}

#[test]
fn parts_of_a_postgres_message_go_below_it() {
    let entries = all(concat!(
        "2026-11-21 03:28:44.123 UTC [12] p@p ERROR:  relation \"x\" does not exist at character 15\n",
        "2026-11-21 03:28:44.123 UTC [12] p@p STATEMENT:  select 1\n",
        "\tfrom x\n",
        "2026-11-21 03:28:45.123 UTC [12] p@p LOG:  fine\n",
    ));
    assert_eq!(entries.len(), 2);
    assert_eq!(&*entries[0].more, "STATEMENT: select 1\n from x");
}

#[test]
fn a_traceback_that_celery_logs_row_by_row_is_one_entry() {
    let rows = [
        "Traceback (most recent call last):",
        "  File \"/usr/lib/python3.11/shutil.py\", line 722, in rmtree",
        "FileNotFoundError: [Errno 2] No such file or directory: '/tmp/x'",
        "Restoring 1 unacknowledged message(s)",
    ];
    let text: Vec<String> =
        rows.iter().map(|r| format!("[2026-11-21 03:28:44,908: WARNING/MainProcess] {r}")).collect();
    let entries = all(&text.join("\n"));
    assert_eq!(entries.len(), 2, "{entries:#?}");
    let exception = crate::domain::log::exception(&entries[0].text, &entries[0].more);
    assert_eq!(exception, Some("FileNotFoundError: [Errno 2] No such file or directory: '/tmp/x'"));
}

#[test]
fn the_zone_is_learnt_from_the_time_of_writing() {
    let row = "WARNING 2026-11-21 08:36:45,422 django.request log Unauthorized: /";
    let written = Timestamp::from_millis(1_795_246_606_000);
    let mut assembler = Assembler::new(Zone::East(0));
    assert_eq!(assembler.calibrate(row, written), Some(true));
    assert!(matches!(assembler.zone, Zone::East(3_600)));
    assembler.row(row, written, written, None);
    let entry = assembler.flush().unwrap();
    assert_eq!((entry.at.as_millis(), entry.dated), (1_795_246_605_422, true));
    // A zone stands in the row itself, or the row is simply old: nothing is learnt.
    let mut assembler = Assembler::new(Zone::East(0));
    assert_eq!(assembler.calibrate("[2026-11-21 08:36:45 +0000] [1] [INFO] x", written), None);
    assert_eq!(assembler.calibrate("WARNING 2026-11-21 05:19:45,422 x y z", written), Some(false));
    assert!(matches!(assembler.zone, Zone::East(0)));
}

#[test]
fn a_time_in_the_future_is_that_of_reading_and_marked() {
    let entries = all("ERROR 2027-11-21 03:28:44,123 a b c");
    assert_eq!((entries[0].at, entries[0].dated), (NOW, false));
}

#[test]
fn nothing_a_terminal_obeys_gets_through() {
    let entries = all(
        "ERROR 2026-11-21 03:28:44,123 a \x1b[31mred\x1b[0m \x1b]0;title\x07b\x1b[2J\x07\u{202e}c\r\n  \x1b[1mx\x08",
    );
    assert_eq!((&*entries[0].text, &*entries[0].more), ("a red bc", "  x"));
}

proptest! {
    #[test]
    fn any_bytes_give_bounded_harmless_entries(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        for entry in all(&String::from_utf8_lossy(&bytes)) {
            let harmless = |text: &str| !text.chars().any(|c| c.is_control() && c != '\n');
            prop_assert!(harmless(&entry.text) && harmless(&entry.more));
            prop_assert!(!entry.text.contains('\n') && entry.at <= NOW);
        }
    }
}
