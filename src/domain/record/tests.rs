use super::said::{said, span_ms};
use super::*;
use crate::domain::id::SiteId;

const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

fn rose() -> Who {
    Who { user: "rose".to_owned(), ..Who::default() }
}

fn about() -> About {
    About { finding: "shop/disk-full//var".to_owned(), title: "/var is full".to_owned() }
}

fn typed(line: &str) -> Option<What> {
    said(line, &rose(), None, Some(&about()), T0).map(|entry| entry.what)
}

#[test]
fn what_is_typed_means_what_it_says() {
    let note = |text: &str| Some(What::Note { text: text.to_owned() });
    assert_eq!(typed("freed 3 GB: now waiting"), note("freed 3 GB: now waiting"));
    assert_eq!(typed("TODO: alert at 80 %"), Some(What::Todo { text: "alert at 80 %".to_owned() }));
    assert_eq!(typed("todo alert"), Some(What::Todo { text: "alert".to_owned() }));
    assert_eq!(typed("TODO:"), None, "nothing is to be done");
    assert_eq!(typed(" \u{7}"), None);
    assert_eq!(typed("DONE 12"), Some(What::Done { todo: 12, text: String::new() }));
    assert_eq!(typed("done with it"), note("done with it"), "only a number is done");
    let sev = |severity, text: &str| Some(What::Severity { severity, suspected: false, text: text.to_owned() });
    assert_eq!(typed("SEV-2 shop is down"), sev(Some(2), "shop is down"));
    assert_eq!(typed("sev1"), sev(Some(1), ""));
    assert_eq!(typed("SEV-9 of them"), note("SEV-9 of them"), "there is no ninth");
    assert_eq!(typed("several things"), note("several things"));
    assert_eq!(typed("resolved: disk freed"), sev(None, "disk freed"));
}

#[test]
fn a_secret_in_a_sentence_goes_and_a_sentence_about_secrets_stays() {
    let note = |line: &str| typed(line).and_then(|what| if let What::Note { text } = what { Some(text) } else { None });
    for line in ["the password is hunter2", "new token is now: hunter2, try it", "password=hunter2", "pin was hunter2!"]
    {
        let kept = note(line).unwrap_or_default();
        assert!(kept.contains("[redacted]") && !kept.contains("hunter2"), "{kept}");
    }
    for line in ["the token is invalid", "the key is in the safe", "password was changed", "it is 3 o'clock"] {
        assert_eq!(note(line).as_deref(), Some(line));
    }
}

#[test]
fn an_acknowledgement_holds_for_an_hour_or_as_it_says() {
    let ack = |text: &str, ms| {
        let About { finding, title } = about();
        Some(What::Acknowledged { finding, title, text: text.to_owned(), until: T0.plus_millis(ms) })
    };
    assert_eq!(typed("ACK known, freeing"), ack("known, freeing", 3_600_000));
    assert_eq!(typed("ack 20m: freeing"), ack("freeing", 1_200_000));
    assert_eq!(typed("ack 900d"), ack("", 7 * 86_400_000), "at most a week");
    let without = said("ACK it", &rose(), None, None, T0).map(|e| e.what);
    assert_eq!(without, Some(What::Note { text: "ACK it".to_owned() }), "without a finding it is a note");
    assert_eq!((span_ms("90s"), span_ms("9é"), span_ms(""), span_ms("-1m")), (Some(90_000), None, None, None));
}

#[test]
fn an_acknowledgement_says_what_was_wrong_and_not_its_name_inside() {
    let text = |line: &str| said(line, &rose(), None, Some(&about()), T0).map(|entry| entry.text());
    assert_eq!(text("ACK").as_deref(), Some("acknowledged: /var is full"));
    assert_eq!(text("ACK 20m: freeing").as_deref(), Some("acknowledged: /var is full (freeing)"));
    let old = r#"{"at":5,"scope":null,"level":"note","by":"midwatch","what":{"kind":"acknowledged","finding":"shop/x/","text":"","until":9}}"#;
    let read: Option<Entry> = serde_json::from_str(old).ok();
    assert_eq!(read.map(|e| e.text()).as_deref(), Some("acknowledged: shop/x/"), "an older midwatch's");
}

#[test]
fn nothing_that_could_move_a_cursor_or_grow_without_end_is_kept() {
    let case = Case {
        id: "shop/x/".to_owned(),
        rule: "x".to_owned(),
        title: "a\u{1b}[2Jb".to_owned(),
        evidence: "e".repeat(10_000),
        details: vec!["d".repeat(10_000); 100],
        level: Level::Critical,
        since: T0,
        since_seen: true,
        since_from: String::new(),
        source: SourceKind::Health,
        under: None,
    };
    let scope = Some(Scope::Site(SiteId("sh\u{7}op".to_owned())));
    let entry = Entry { id: 1, at: T0, scope, level: Level::Critical, by: By::Midwatch, what: What::Opened(case) };
    let text = serde_json::to_string(&entry.clean()).unwrap_or_default();
    assert!(text.len() < 4_000, "{}", text.len());
    assert!(!text.contains("\\u001b") && !text.contains("\\u0007"), "{text}");
}

#[test]
fn an_entry_survives_the_file_and_an_older_one_is_read() {
    let entry = said("TODO: x", &rose(), None, None, T0);
    let text = serde_json::to_string(&entry).unwrap_or_default();
    assert_eq!(serde_json::from_str::<Option<Entry>>(&text).ok().flatten(), entry);
    let old = r#"{"at":5,"scope":{"site":"shop"},"level":"note","by":"midwatch","what":{"kind":"closed","id":"a","title":"b","since":1}}"#;
    let read: Option<Entry> = serde_json::from_str(old).ok();
    assert_eq!(read.map(|e| e.text()), Some("gone: b (after 0 s)".to_owned()));
}
