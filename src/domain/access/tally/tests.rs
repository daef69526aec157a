use std::borrow::Cow;

use proptest::prelude::*;

use super::super::entry::Entry;
use super::super::{Layout, Part, Since};
use super::{NOWHERE, OTHER, ROUTES, Tally};
use crate::domain::time::Timestamp;
use crate::domain::traffic::{Quantile, Window};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(1_795_250_200_000).plus_secs(secs)
}

fn entry(secs: i64, path: &str, status: u16) -> Entry<'_> {
    Entry {
        at: at(secs),
        method: Cow::Borrowed("GET"),
        path: Cow::Borrowed(path),
        status,
        took_s: Some(0.2),
        host: None,
    }
}

fn tally() -> Tally {
    Tally::new(Layout::Pretix, vec!["/healthcheck/".to_owned()])
}

#[test]
fn a_minute_is_counted_by_route() {
    let mut tally = tally();
    for secs in 0..60 {
        tally.note(&entry(secs, "/org/ev/", if secs % 4 == 0 { 500 } else { 200 }));
        tally.note(&entry(secs, "/healthcheck/", 200));
    }
    tally.note(&entry(-100, "/control/login", 200));
    let traffic = tally.traffic(at(60).plus_millis(-1), None);
    let [shop, login] = traffic.routes.as_slice() else { panic!("{:?}", traffic.routes) };
    assert_eq!(
        (shop.url_name.as_str(), shop.all_in_window(), shop.in_window(5)),
        ("/{organizer}/{event}/", 60.0, 15.0)
    );
    assert!(shop.rate.is_some_and(|rate| (rate - 1.0).abs() < 0.01), "{:?}", shop.rate);
    assert!(matches!(shop.latency.p95, Quantile::Seconds(s) if (0.1..=0.25).contains(&s)), "{:?}", shop.latency);
    assert_eq!((login.all_in_window(), login.total()), (0.0, 1.0));
    assert_eq!(traffic.error_share(), Some(0.25));
    assert!(matches!(traffic.window, Window::Seconds(s) if (s - 60.0).abs() < 0.01));
    assert_eq!(tally.last_request(), Some(at(59)));
}

#[test]
fn what_is_older_than_the_window_no_longer_counts() {
    let mut tally = tally();
    for secs in 0..30 {
        tally.note(&entry(secs, "/org/ev/", 502));
    }
    let all = Part { bad: 30, all: 30, last_bad: Some(at(29)) };
    assert_eq!(tally.gateway(at(30)), all);
    assert_eq!(tally.traffic(at(100), None).error_share(), None);
    assert_eq!(tally.gateway(at(100)), all);
    assert_eq!(tally.gateway(at(400)), Part::default());
}

#[test]
fn the_beginning_of_errors_is_found_in_the_past() {
    let mut tally = tally();
    for secs in 0..3_000 {
        tally.note(&entry(secs, "/org/ev/", if secs >= 2_000 && secs % 2 == 0 { 500 } else { 200 }));
    }
    assert_eq!(tally.errors_since(at(3_000)), Some(Since { at: at(2_000), seen: true }));
    assert_eq!(tally.gateway_since(at(3_000)), None);
    let past = tally.past(at(3_000));
    assert_eq!((past.requests.len(), past.errors.len()), (300, 300));
    assert!((past.errors[250].value - 0.5).abs() < 0.01 && past.errors[100].value == 0.0);
    // Two minutes without an error end it.
    for secs in 3_000..3_200 {
        tally.note(&entry(secs, "/org/ev/", 200));
    }
    assert_eq!(tally.errors_since(at(3_200)), None);
}

#[test]
fn errors_from_the_first_line_on_began_earlier() {
    let mut tally = tally();
    for secs in 0..100 {
        tally.note(&entry(secs, "/org/ev/", 504));
    }
    assert_eq!(tally.gateway_since(at(100)), Some(Since { at: at(0), seen: false }));
}

#[test]
fn missing_static_files_are_told_from_scanners() {
    let mut tally = tally();
    for n in 0..50 {
        tally.note(&entry(n, &format!("/static/app.{n}.css"), 404));
        tally.note(&entry(n, &format!("/wp-{n}/x.php"), 404));
    }
    assert_eq!(tally.statics(at(50)), Part { bad: 50, all: 50, last_bad: Some(at(49)) });
    let names: Vec<String> = tally.traffic(at(50), None).routes.into_iter().map(|r| r.url_name).collect();
    assert_eq!(names, [NOWHERE, "/static/*"]);
}

#[test]
fn routes_are_bounded() {
    let mut tally = Tally::new(Layout::Plain, Vec::new());
    let word = |n: u32| {
        format!(
            "/p{}{}/",
            char::from(b'a' + u8::try_from(n % 26).unwrap()),
            "x".repeat(usize::try_from(n / 26).unwrap() % 12)
        )
    };
    for n in 0..312 {
        tally.note(&entry(1, &format!("{}q{}", word(n), "y".repeat(usize::try_from(n / 100).unwrap())), 200));
    }
    let traffic = tally.traffic(at(2), None);
    assert!(traffic.routes.len() <= ROUTES + 1, "{}", traffic.routes.len());
    assert!(traffic.left_out > 0 && traffic.routes.iter().any(|r| r.url_name == OTHER));
    let all: f64 = traffic.routes.iter().map(crate::domain::traffic::Route::all_in_window).sum();
    assert!((all - 312.0).abs() < 1e-9);
}

proptest! {
    #[test]
    fn lines_of_any_time_are_survived(secs in proptest::collection::vec(-40_000_i64..40_000, 0..60), now in -40_000_i64..40_000) {
        let mut tally = tally();
        for secs in secs {
            tally.note(&entry(secs, "/a/b/", 200));
        }
        let past = tally.past(at(now));
        prop_assert!(past.requests.len() <= crate::domain::history::POINTS);
        prop_assert!(past.requests.windows(2).all(|pair| pair[0].step < pair[1].step));
        tally.traffic(at(now), None);
        tally.errors_since(at(now));
    }
}
