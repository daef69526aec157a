#![expect(clippy::float_cmp, reason = "counts are whole numbers and exact")]

use proptest::prelude::*;

use super::*;
use crate::domain::traffic::{Page, Quantile};

/// A route `u` with so many 2xx, 5xx and durations at most 0.1 s, at most 1 s, and in all.
fn page(ok: f64, failed: f64, at_most: [f64; 2]) -> Counters {
    Counters { routes: vec![counter("u", ok, failed, at_most)], route_bounds_s: vec![0.1, 1.0], ..Counters::default() }
}

fn counter(url_name: &str, ok: f64, failed: f64, at_most: [f64; 2]) -> RouteCounter {
    RouteCounter {
        url_name: url_name.to_owned(),
        method: "GET".to_owned(),
        classes: [0.0, ok, 0.0, 0.0, failed],
        latency: Histogram { at_most: at_most.to_vec(), count: ok + failed, sum_s: ok + failed },
    }
}

fn partial(mut page: Counters) -> Counters {
    page.page = Page { bad_lines: 1, ..Page::default() };
    page
}

#[test]
fn the_first_page_counts_since_the_start_and_has_no_rates() {
    let traffic = TrafficWindow::new().push(page(8.0, 2.0, [10.0, 10.0]), 1000.0);
    assert_eq!(traffic.window, Window::SinceStart);
    let route = &traffic.routes[0];
    assert_eq!(route.classes[1], Count { total: 8.0, in_window: 8.0 });
    assert_eq!((route.rate, traffic.request_rate(), route.spark.len()), (None, None, 0));
    assert_eq!(route.latency.p50, Quantile::Seconds(0.05));
    assert_eq!((route.error_share(), traffic.error_share()), (Some(0.2), None));
}

#[test]
fn the_second_page_gives_rates_over_the_time_between() {
    let mut window = TrafficWindow::new();
    let _first = window.push(page(100.0, 0.0, [100.0, 100.0]), 0.0);
    let traffic = window.push(page(130.0, 10.0, [100.0, 140.0]), 20.0);
    assert_eq!(traffic.window, Window::Seconds(20.0));
    assert_eq!((traffic.request_rate(), traffic.error_rate()), (Some(2.0), Some(0.5)));
    let route = &traffic.routes[0];
    assert_eq!(route.classes[1], Count { total: 130.0, in_window: 30.0 });
    assert_eq!(route.latency.p50, Quantile::Seconds(0.55));
    assert_eq!(route.spark, [2.0]);
    assert!(!traffic.reset);
}

#[test]
fn a_seeded_window_has_rates_at_once() {
    let mut window = TrafficWindow::seeded(page(100.0, 0.0, [0.0, 0.0]), -30.0);
    assert_eq!(window.push(page(160.0, 0.0, [0.0, 0.0]), 0.0).request_rate(), Some(2.0));
}

#[test]
fn the_window_is_the_last_minute() {
    let mut window = TrafficWindow::new();
    let mut traffic = Traffic::default();
    for look in 0..10 {
        let requests = if look < 4 { 1000.0 * f64::from(look) } else { 4000.0 + f64::from(look) };
        traffic = window.push(page(requests, 0.0, [0.0, 0.0]), 15.0 * f64::from(look));
    }
    assert_eq!(traffic.window, Window::Seconds(60.0));
    assert_eq!(traffic.request_rate(), Some(4.0 / 60.0));
    assert_eq!(traffic.routes[0].spark.len(), 9);
}

#[test]
fn two_pages_stay_however_far_apart() {
    let mut window = TrafficWindow::new();
    for at_s in [0.0, 15.0, 7215.0] {
        let traffic = window.push(page(at_s, 0.0, [0.0, 0.0]), at_s);
        assert_ne!(traffic.window, Window::Seconds(7215.0));
    }
    assert_eq!(window.push(page(7230.0, 0.0, [0.0, 0.0]), 7230.0).window, Window::Seconds(15.0));
}

#[test]
fn frequent_pages_do_not_pile_up() {
    let mut window = TrafficWindow::new();
    for look in 0..500 {
        let traffic = window.push(page(f64::from(look), 0.0, [0.0, 0.0]), f64::from(look) / 10.0);
        assert!(traffic.routes[0].spark.len() <= SPARK);
    }
    assert_eq!(window.pages.len(), PAGES);
}

#[test]
fn a_counter_that_fell_began_anew() {
    let mut window = TrafficWindow::new();
    let _first = window.push(page(1000.0, 50.0, [1000.0, 1050.0]), 0.0);
    let traffic = window.push(page(30.0, 0.0, [15.0, 30.0]), 10.0);
    assert!(traffic.reset);
    assert_eq!((traffic.request_rate(), traffic.error_rate()), (Some(3.0), Some(0.0)));
    assert_eq!(traffic.routes[0].latency.p50, Quantile::Seconds(0.1));
    let traffic = window.push(page(60.0, 0.0, [15.0, 60.0]), 20.0);
    assert!(traffic.reset, "still within the window");
    assert_eq!(traffic.request_rate(), Some(3.0));
}

#[test]
fn a_route_that_vanishes_keeps_its_total_until_it_leaves_the_window() {
    let mut window = TrafficWindow::new();
    let _first = window.push(page(7.0, 0.0, [0.0, 0.0]), 0.0);
    let gone = Counters::default();
    let traffic = window.push(gone.clone(), 30.0);
    assert!(traffic.reset);
    let route = &traffic.routes[0];
    assert_eq!((route.total(), route.rate, &route.spark[..]), (7.0, Some(0.0), &[0.0][..]));
    assert_eq!(route.latency.p50, Quantile::Unknown);
    let _still = window.push(gone.clone(), 60.0);
    assert_eq!(window.push(gone, 90.0).routes, []);
}

#[test]
fn after_a_flush_a_route_counts_from_zero_even_if_it_overtakes_its_past() {
    let mut window = TrafficWindow::new();
    for (at_s, page) in [(0.0, page(3.0, 0.0, [0.0, 0.0])), (10.0, Counters::default())] {
        let _traffic = window.push(page, at_s);
    }
    assert_eq!(window.push(page(5.0, 0.0, [0.0, 0.0]), 20.0).routes[0].all_in_window(), 5.0);
}

#[test]
fn a_new_route_began_at_zero() {
    let mut window = TrafficWindow::new();
    let _first = window.push(Counters::default(), 0.0);
    assert_eq!(window.push(page(20.0, 0.0, [20.0, 20.0]), 10.0).request_rate(), Some(2.0));
}

#[test]
fn a_page_with_holes_makes_no_bursts_and_no_resets() {
    let (before, hole, after) =
        (page(1000.0, 9.0, [9.0, 9.0]), partial(Counters::default()), page(1030.0, 9.0, [9.0, 9.0]));
    let mut window = TrafficWindow::new();
    let _first = window.push(before.clone(), 0.0);
    assert!(!window.push(hole, 10.0).reset);
    let traffic = window.push(after, 20.0);
    assert_eq!((traffic.reset, traffic.routes[0].all_in_window()), (false, 0.0));
    let mut window = TrafficWindow::seeded(before, 0.0);
    let traffic = window.push(partial(page(400.0, 10.0, [9.0, 9.0])), 10.0);
    assert_eq!((traffic.reset, traffic.routes[0].all_in_window()), (false, 1.0));
}

#[test]
fn nothing_observed_within_the_window_leaves_quantiles_unknown() {
    let mut window = TrafficWindow::new();
    let _first = window.push(page(7.0, 0.0, [7.0, 7.0]), 0.0);
    let route = window.push(page(7.0, 0.0, [7.0, 7.0]), 15.0).routes.remove(0);
    assert_eq!((route.latency.p99, route.latency.mean_s, route.rate), (Quantile::Unknown, None, Some(0.0)));
    assert_eq!(route.error_share(), None);
}

#[test]
fn a_bound_that_first_shows_on_a_later_page_had_nothing_before() {
    let mut window = TrafficWindow::new();
    let _first = window.push(page(10.0, 0.0, [0.0, 10.0]), 0.0);
    let mut later = page(14.0, 0.0, [4.0, 4.0]);
    later.route_bounds_s = vec![0.005, 0.1, 1.0];
    later.routes[0].latency.at_most = vec![4.0, 4.0, 14.0];
    let traffic = window.push(later, 10.0);
    let counts: Vec<_> = traffic.routes[0].latency.buckets.iter().map(|b| b.count).collect();
    assert_eq!(counts, [4.0, 0.0, 0.0, 0.0]);
}

#[test]
fn bounds_that_never_stay_the_same_do_not_pile_up() {
    let mut window = TrafficWindow::new();
    for look in 0..400 {
        let mut page = page(1.0, 0.0, [1.0, 1.0]);
        page.route_bounds_s = vec![f64::from(look), f64::from(look) + 0.5];
        let _traffic = window.push(page, f64::from(look));
        assert!(window.pages.iter().all(|(_, page)| page.route_bounds_s.len() <= BOUNDS));
    }
}

#[test]
fn a_clock_that_goes_back_drops_the_pages_from_the_future() {
    let mut window = TrafficWindow::new();
    for at_s in [100.0, 110.0, f64::NAN] {
        let _traffic = window.push(page(1.0, 0.0, [1.0, 1.0]), at_s);
    }
    assert_eq!(window.push(page(1.0, 0.0, [1.0, 1.0]), 105.0).window, Window::Seconds(5.0));
    assert_eq!(window.push(page(1.0, 0.0, [1.0, 1.0]), 100.0).window, Window::SinceStart);
}

#[test]
fn the_busiest_come_first() {
    let of = |a: f64, b: f64, c: f64| Counters {
        routes: vec![
            counter("a", a, 0.0, [0.0, 0.0]),
            counter("b", b, 0.0, [0.0, 0.0]),
            counter("c", c, 0.0, [0.0, 0.0]),
        ],
        ..Counters::default()
    };
    let mut window = TrafficWindow::new();
    let names = |traffic: &Traffic| traffic.routes.iter().map(|r| r.url_name.clone()).collect::<String>();
    assert_eq!(names(&window.push(of(5.0, 1.0, 9.0), 0.0)), "cab");
    assert_eq!(names(&window.push(of(5.0, 3.0, 9.0), 10.0)), "bca");
}

#[test]
fn tasks_are_counted_by_outcome() {
    let page = |outcomes: [f64; 3]| Counters {
        tasks: vec![TaskCounter { name: "t".to_owned(), outcomes, latency: Histogram::default() }],
        ..Counters::default()
    };
    let mut window = TrafficWindow::new();
    let _first = window.push(page([5.0, 1.0, 0.0]), 0.0);
    let traffic = window.push(page([8.0, 2.0, 6.0]), 10.0);
    let task = &traffic.tasks[0];
    assert_eq!((task.success.in_window, task.error.in_window, task.expected_error.in_window), (3.0, 1.0, 6.0));
    assert_eq!((traffic.task_rate(), traffic.task_error_share()), (Some(1.0), Some(0.1)));
}

/// Seconds a quantile stands for, and whether it is above every bound.
fn height(quantile: Quantile) -> (f64, bool) {
    match quantile {
        Quantile::Unknown => (0.0, false),
        Quantile::Seconds(seconds) => (seconds, false),
        Quantile::Above(bound) => (bound, true),
    }
}

fn any_page() -> impl Strategy<Value = Counters> {
    let route = (0u8..4, prop::array::uniform5(0u16..50), prop::collection::vec(0u16..50, 0..4), any::<bool>());
    let routes =
        prop::collection::btree_map(route.prop_map(|r| (r.0, (r.1, r.2))).prop_map(|(k, v)| (k, v)), Just(()), 0..4);
    (routes, any::<bool>()).prop_map(|(routes, bad)| {
        let mut page = Counters { route_bounds_s: vec![0.1, 0.5, 1.0], ..Counters::default() };
        for ((name, (classes, steps)), ()) in routes {
            let mut sum = 0.0;
            let mut at_most: Vec<f64> = steps
                .iter()
                .map(|step| {
                    sum += f64::from(*step);
                    sum
                })
                .collect();
            at_most.resize(3, sum);
            let count = sum + f64::from(classes[0]);
            page.routes.push(RouteCounter {
                url_name: name.to_string(),
                method: "GET".to_owned(),
                classes: classes.map(f64::from),
                latency: Histogram { at_most, count, sum_s: count },
            });
        }
        page.routes.dedup_by(|a, b| a.url_name == b.url_name);
        if bad { partial(page) } else { page }
    })
}

proptest! {
    #[test]
    fn nothing_is_ever_negative_and_quantiles_ascend_within_the_bounds(
        pages in prop::collection::vec((any_page(), 0.0f64..40.0), 1..12)
    ) {
        let mut window = TrafficWindow::new();
        let mut now_s = 0.0;
        for (page, step_s) in pages {
            now_s += step_s;
            let traffic = window.push(page, now_s);
            for route in &traffic.routes {
                prop_assert!(route.rate.is_none_or(|rate| rate >= 0.0 && rate.is_finite()));
                prop_assert!(route.spark.iter().all(|rate| *rate >= 0.0 && rate.is_finite()));
                prop_assert!(route.classes.iter().all(|class| class.in_window >= 0.0));
                prop_assert!(route.latency.buckets.iter().all(|bucket| bucket.count >= 0.0));
                let heights = [route.latency.p50, route.latency.p95, route.latency.p99].map(height);
                prop_assert!(heights.is_sorted_by(|a, b| (a.1, a.0) <= (b.1, b.0)), "{:?}", heights);
                prop_assert!(heights.iter().all(|(seconds, _)| (0.0..=1.0).contains(seconds)));
            }
        }
    }
}
