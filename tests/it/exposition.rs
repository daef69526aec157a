//! The metrics parser and counters on pages of a real pretix, and their laws on arbitrary input.

#![expect(clippy::float_cmp, reason = "counts are whole numbers and exact")]

use std::collections::BTreeMap;

use midwatch::domain::counters::{Counters, Flow, Limits, PageReader, TrafficWindow};
use midwatch::domain::exposition::{sample, samples};
use midwatch::domain::traffic::{Quantile, Route, Traffic, Window};
use proptest::prelude::*;

const PAGE: &str = include_str!("../fixtures/metrics.txt");
const LATER: &str = include_str!("../fixtures/metrics-15s-later.txt");
const BACKLOG: &str = include_str!("../fixtures/metrics-backlog.txt");
/// Requests sent between [`PAGE`] and [`LATER`], by status code. Those that match no URL of pretix (404) and those to
/// URLs it does not time are not among its metrics.
const SENT: &str = include_str!("../fixtures/metrics-15s-later.sent.txt");

fn read(page: &[u8], chunk: usize) -> Counters {
    let mut reader = PageReader::new(Limits::default());
    for chunk in page.chunks(chunk) {
        assert_eq!(reader.feed(chunk), Flow::More);
    }
    reader.finish()
}

fn fifteen_seconds() -> Traffic {
    let mut window = TrafficWindow::new();
    let _first = window.push(read(PAGE.as_bytes(), 4096), 1000.0);
    window.push(read(LATER.as_bytes(), 4096), 1015.0)
}

fn route<'a>(traffic: &'a Traffic, url_name: &str, method: &str) -> Option<&'a Route> {
    traffic.routes.iter().find(|r| r.url_name == url_name && r.method == method)
}

#[test]
fn every_line_of_a_real_page_is_understood() {
    let counters = read(PAGE.as_bytes(), PAGE.len());
    assert_eq!((counters.page.samples, counters.page.bad_lines, &counters.page.cut), (483, 0, &None));
    assert_eq!(counters.page.bytes, 46_653);
    assert_eq!((counters.routes.len(), counters.tasks.len(), counters.queues.len()), (13, 3, 5));
    assert_eq!(counters.route_bounds_s.first(), Some(&0.005));
    assert_eq!(counters.route_bounds_s.last(), Some(&30.0));
    assert!(counters.models.iter().any(|(model, rows)| model == "pretixbase.order" && *rows == 340.0));
    assert!(counters.models.iter().all(|(model, _)| model != "auth.group"));
}

#[test]
fn what_was_sent_is_what_the_counters_grew_by() {
    let sent: BTreeMap<u16, f64> = SENT
        .lines()
        .map(|line| {
            let (code, count) = line.split_once(' ').unwrap();
            (code.parse().unwrap(), count.parse().unwrap())
        })
        .collect();
    let traffic = fifteen_seconds();
    assert_eq!((traffic.window, traffic.reset), (Window::Seconds(15.0), false));
    let class = |class| traffic.routes.iter().map(|r| r.in_window(class)).sum::<f64>();
    assert_eq!(class(3), sent[&302]);
    assert_eq!(class(5), sent[&500]);
    // 8 of the 200s went to /healthcheck/, 18 of the 404s to URLs without a view: pretix does not time these
    assert_eq!(class(2), sent[&200] - 8.0 + sent[&201]);
    assert_eq!(class(4), sent[&400] + sent[&401] + sent[&404] - 18.0);
    assert!((traffic.request_rate().unwrap() - 251.0 / 15.0).abs() < 1e-9);
}

#[test]
fn a_real_route_has_the_numbers_its_series_have() {
    let traffic = fifteen_seconds();
    let index = route(&traffic, "presale:event.index", "GET").unwrap();
    // 200: 231 to 324, 400: 17 to 26, 404: 19 to 28, 500: 22 to 30
    assert_eq!((index.in_window(2), index.in_window(4), index.in_window(5)), (93.0, 18.0, 8.0));
    assert_eq!((index.classes[1].total, index.classes[3].total, index.classes[4].total), (324.0, 54.0, 30.0));
    assert_eq!(index.latency.buckets.iter().map(|bucket| bucket.count).sum::<f64>(), 119.0);
    let Quantile::Seconds(p95) = index.latency.p95 else { panic!("{:?}", index.latency) };
    assert!((0.025..0.25).contains(&p95), "{p95}");
    assert_eq!(traffic.routes[0].url_name, "presale:event.index", "the busiest comes first");
}

#[test]
fn a_real_backlog_has_no_age() {
    let counters = read(BACKLOG.as_bytes(), 1000);
    let checkout = counters.queues.iter().find(|queue| queue.name == "checkout").unwrap();
    assert_eq!((checkout.waiting, checkout.oldest_s), (300, None));
    let mail = counters.queues.iter().find(|queue| queue.name == "mail").unwrap();
    assert_eq!((mail.waiting, mail.oldest_s), (0, Some(0.0)));
}

#[test]
fn a_flush_between_real_pages_is_a_reset() {
    let mut window = TrafficWindow::new();
    let _first = window.push(read(LATER.as_bytes(), 4096), 0.0);
    let traffic = window.push(read(PAGE.as_bytes(), 4096), 15.0);
    assert!(traffic.reset);
    assert!(traffic.routes.iter().all(|route| route.rate.is_some_and(|rate| rate >= 0.0)));
}

#[test]
fn every_real_sample_prints_back_equal() {
    for read in samples(PAGE.as_bytes()) {
        let read = read.unwrap();
        let printed = read.to_string();
        assert_eq!(sample(printed.as_bytes()), Ok(Some(read)));
    }
}

/// Lines with all parts of the grammar, mended and broken.
fn line() -> impl Strategy<Value = String> {
    let blank = "[ \t]{0,2}";
    let name = prop_oneof!["[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", "\"([^\"\\\\\n]|\\\\.){0,6}\"", "\\PC{0,3}"];
    let value = "\"([^\"\\\\\n]|\\\\.){0,8}\"?";
    let label = (name.clone(), blank, value).prop_map(|(name, blank, value)| format!("{name}{blank}={value}"));
    let labels = prop::collection::vec(label, 0..4).prop_map(|labels| labels.join(","));
    let number = prop_oneof![
        any::<f64>().prop_map(|number| format!("{number}")),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        Just("+Inf".to_owned()),
        Just("-Inf".to_owned()),
        Just("NaN".to_owned()),
        "[-+]?[0-9]{0,3}\\.?[0-9]{0,3}([eE][-+]?[0-9]{1,3})?",
    ];
    let tail = prop_oneof![
        4 => Just(String::new()),
        2 => "[0-9]{1,13}(\\.[0-9]{1,3})?",
        1 => Just("# {trace_id=\"x\"} 0.5 17".to_owned()),
        1 => "\\PC{0,4}",
    ];
    (blank, name, blank, prop::option::weighted(0.7, labels), blank, number, tail, prop::bool::ANY).prop_map(
        |(indent, name, gap, labels, blank, number, tail, crlf)| {
            let block = labels.map_or(String::new(), |labels| format!("{{{labels}}}"));
            let (name, block) = match name.strip_prefix('"') {
                Some(_) => (String::new(), block.replacen('{', &format!("{{{name},"), 1)),
                None => (name, block),
            };
            format!("{indent}{name}{gap}{block}{blank} {number} {tail}{}", if crlf { "\r" } else { "" })
        },
    )
}

/// Whatever is accepted prints back equal.
fn prints_back(line: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(Some(read)) = sample(line) {
        let printed = read.to_string();
        prop_assert!(!printed.contains('\n'));
        prop_assert_eq!(sample(printed.as_bytes()), Ok(Some(read)), "{}", printed);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_the_parser_panic(page in prop::collection::vec(any::<u8>(), 0..200)) {
        let lines = page.split(|byte| *byte == b'\n').count();
        prop_assert!(samples(&page).count() <= lines);
        prints_back(&page)?;
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        prints_back(text.as_bytes())?;
    }

    #[test]
    fn what_is_accepted_prints_back_equal(line in line()) {
        prints_back(line.as_bytes())?;
    }

    #[test]
    fn text_in_quotes_comes_out_as_it_went_in(value in any::<String>(), name in "\\PC{1,10}") {
        let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let line = format!("{{\"{}\",v=\"{}\"}} 1", escape(&name), escape(&value));
        let read = sample(line.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(&*read.name, &name);
        prop_assert_eq!(read.labels.get("v").unwrap(), value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_a_page_is_cut_into_chunks_it_says_the_same(
        cuts in prop::collection::vec(0usize..46_653, 0..40),
        damage in prop::collection::vec((0usize..46_653, any::<u8>()), 0..6),
        bytes in prop_oneof![Just(64 << 20), 0usize..60_000],
        line_bytes in prop_oneof![Just(1 << 20), 60usize..140],
    ) {
        let mut page = PAGE.as_bytes().to_vec();
        for (at, byte) in damage {
            page[at] = byte;
        }
        let limits = Limits { bytes, line_bytes, ..Limits::default() };
        let mut whole = PageReader::new(limits);
        let whole_flow = whole.feed(&page);
        let mut cuts = cuts;
        cuts.extend([0, page.len()]);
        cuts.sort_unstable();
        let mut cut = PageReader::new(limits);
        let mut flow = Flow::More;
        for pair in cuts.windows(2) {
            flow = cut.feed(&page[pair[0]..pair[1]]);
        }
        prop_assert_eq!(flow, whole_flow);
        prop_assert_eq!(cut.finish(), whole.finish());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)
    ) {
        let mut reader = PageReader::new(Limits { line_bytes: 32, bytes: 500, ..Limits::default() });
        for chunk in &chunks {
            let _flow = reader.feed(chunk);
        }
        prop_assert!(reader.finish().page.bytes <= 500);
    }
}
