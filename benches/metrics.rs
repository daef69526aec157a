//! The metrics parser on a page of 120,000 series, against prometheus-parse in the same run, and the whole way from
//! bytes to counters.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use midwatch::domain::counters::{Limits, PageReader};
use midwatch::domain::exposition::samples;
use prometheus_parse::Scrape;

/// Label sets of the page; each has 15 finite buckets, `+Inf`, sum, count and the alias of the count.
const LABEL_SETS: usize = 120_000 / 19;

const BOUNDS: [&str; 16] = [
    "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0",
    "30.0", "+Inf",
];

/// A page as pretix writes it: scattered, without comments.
fn page() -> String {
    let mut lines = Vec::new();
    let sets =
        ["200", "302", "404", "500"].iter().cycle().zip(["GET", "POST", "PUT", "PATCH", "DELETE"].iter().cycle());
    for (set, (code, method)) in sets.enumerate().take(LABEL_SETS) {
        let route = set / 20;
        let labels =
            format!(r#"status_code="{code}",method="{method}",url_name="control:event.orders.section{route}""#);
        for (index, le) in BOUNDS.iter().enumerate() {
            lines.push(format!("pretix_view_duration_seconds_bucket{{{labels},le=\"{le}\"}} {}.0", set * index + set));
        }
        lines.push(format!("pretix_view_duration_seconds_sum{{{labels}}} {set}.123456789"));
        lines.push(format!("pretix_view_duration_seconds_count{{{labels}}} {}.0", set * 16));
        lines.push(format!("pretix_view_requests_total{{{labels}}} {}.0", set * 16));
    }
    // a stride without a common divisor visits every line once
    let count = lines.len();
    let scattered: Vec<_> = lines.iter().cycle().step_by(7919).take(count).map(String::as_str).collect();
    scattered.join("\n")
}

fn metrics(c: &mut Criterion) {
    let page = page();
    let mut group = c.benchmark_group("page of 120,000 series");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("midwatch: samples", |b| {
        b.iter(|| samples(black_box(page.as_bytes())).flatten().count());
    });
    group.bench_function("midwatch: samples, every label looked at", |b| {
        b.iter(|| {
            let samples = samples(black_box(page.as_bytes())).flatten();
            samples.map(|s| s.labels.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()).sum::<usize>()
        });
    });
    group.bench_function("midwatch: counters from 16 KiB chunks", |b| {
        b.iter(|| {
            let mut reader = PageReader::new(Limits::default());
            for chunk in black_box(page.as_bytes()).chunks(16 << 10) {
                let _flow = reader.feed(chunk);
            }
            reader.finish()
        });
    });
    group.bench_function("prometheus-parse", |b| {
        b.iter(|| Scrape::parse(black_box(&page).lines().map(|line| Ok(line.to_owned()))).map(|s| s.samples.len()));
    });
    group.finish();
}

criterion_group!(benches, metrics);
criterion_main!(benches);
