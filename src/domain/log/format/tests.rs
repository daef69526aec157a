use proptest::prelude::*;

use super::{Parsed, Severity, When, parse};

fn told(line: &str) -> (bool, Option<Severity>, String) {
    let Parsed { when, level, text, .. } = parse(line);
    (when != When::Unsaid, level, text.into_owned())
}

#[test]
fn lines_of_the_programs_of_such_a_stack() {
    use Severity::{Critical, Debug, Error, Info, Warning};
    for (line, level, text) in [
        (
            "ERROR 2026-11-21 03:28:44,123 django.request log Internal Server Error: /x/",
            Error,
            "django.request log Internal Server Error: /x/",
        ),
        (
            "[2026-11-21 03:19:28 +0000] [21015] [CRITICAL] WORKER TIMEOUT (pid:21020)",
            Critical,
            "WORKER TIMEOUT (pid:21020)",
        ),
        (
            "[2026-11-21 03:47:09,421: ERROR/MainProcess] consumer: Cannot connect to redis://x: Error 111",
            Error,
            "consumer: Cannot connect to redis://x: Error 111",
        ),
        (
            "2026-11-21 03:28:44.123 UTC [1234] pretix@pretix ERROR:  relation \"a\" does not exist at character 15",
            Error,
            "relation \"a\" does not exist at character 15",
        ),
        ("2026-11-21 03:28:44.123 CET [1234] PANIC:  could not write", Critical, "could not write"),
        ("2026-11-21 07:54:01.847 UTC [26502] LOG:  ready", Info, "ready"),
        (
            "2026/11/21 03:28:44 [error] 123#123: *7 connect() failed (111: Connection refused) while connecting",
            Error,
            "connect() failed (111: Connection refused) while connecting",
        ),
        ("327:C 21 Nov 2026 08:39:10.058 # Can't save in background: fork", Warning, "Can't save in background: fork"),
        ("327:M 21 Nov 2026 08:39:10.058 * DB saved on disk", Info, "DB saved on disk"),
        ("2026-11-21 03:28:44,123 - shop - WARNING - slow", Warning, "slow"),
        ("2026-11-21T03:28:44Z DEBUG shop: hello", Debug, "shop: hello"),
        (
            "[ALERT]    (9) : backend 'x' has no server available!",
            Critical,
            "(9) : backend 'x' has no server available!",
        ),
        (r#"{"level":"error","msg":"bad","time":"2026-11-21T03:28:44Z","logger":"shop"}"#, Error, "shop: bad"),
        (r#"{"level":50,"msg":"bad","time":1795231724709}"#, Error, "bad"),
    ] {
        let (dated, got, said) = told(line);
        assert_eq!((got, said.as_str()), (Some(level), text), "{line}");
        assert_eq!(dated, !line.starts_with("[ALERT]"), "{line}");
    }
}

#[test]
fn what_says_no_level_has_none() {
    for line in [
        "Nov 21 03:28:44 web1 pretix[12]: hello",
        "just words, no error here",
        "2026-11-21 03:28:44 there was no error found",
        r#"127.0.0.1 - - [21/Nov/2026:03:34:56 +0000] "GET / HTTP/1.1" 500 0"#,
        r#"{"a":1}"#,
        "",
    ] {
        assert_eq!(told(line).1, None, "{line}");
    }
}

#[test]
fn syslog_keeps_who_speaks() {
    assert_eq!(
        told("Nov 21 03:28:44 web1 postfix/smtp[12]: warning: host gone"),
        (true, Some(Severity::Warning), "postfix/smtp[12]: warning: host gone".to_owned())
    );
}

#[test]
fn parts_of_a_postgres_message_are_told() {
    let parsed = parse("2026-11-21 03:28:44.123 UTC [1234] pretix@pretix STATEMENT:  select 1");
    assert!(parsed.part);
    assert_eq!(parsed.text, "STATEMENT:  select 1");
}

#[test]
fn a_traceback_within_json_comes_below() {
    let parsed =
        parse(r#"{"level":"error","event":"x","exception":"Traceback (most recent call last):\nValueError: y"}"#);
    assert_eq!(parsed.more.as_deref(), Some("Traceback (most recent call last):\nValueError: y"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let line = String::from_utf8_lossy(&bytes);
        drop(parse(&line));
    }

    #[test]
    fn nothing_that_looks_like_a_line_makes_it_panic(
        head in "[\\[{]?(ERROR |12:M )?[0-9]{0,4}[-/]?[0-9]{0,2}[-/ ]?(Nov )?[0-9]{0,2}[T :]?[0-9:.,]{0,16}[ Z+-]?[A-Z0-9:\\]|]{0,9}",
        tail in "\\PC{0,60}",
    ) {
        let line = format!("{head}{tail}");
        drop(parse(&line));
    }
}
