#![expect(clippy::float_cmp, reason = "counts are whole numbers and exact")]

use super::*;
use crate::domain::traffic::Queue;

fn read(page: &str) -> Counters {
    read_within(Limits::default(), page.as_bytes())
}

fn read_within(limits: Limits, page: &[u8]) -> Counters {
    let mut reader = PageReader::new(limits);
    let _flow = reader.feed(page);
    reader.finish()
}

fn route(code: u16, rest: &str) -> String {
    format!(
        "pretix_view_duration_seconds_{}\n",
        rest.replace('@', &format!(r#"status_code="{code}",method="GET",url_name="u""#))
    )
}

#[test]
fn label_sets_that_lack_different_buckets_are_merged() {
    // 200: 3 up to 0.1 s, 1 up to 1 s; 500: 2 above 1 s. Scattered; absent below the fastest.
    let page = [
        route(500, r#"bucket{@,le="+Inf"} 2.0"#),
        route(200, r#"bucket{@,le="1.0"} 4.0"#),
        route(200, "count{@} 4.0"),
        route(200, r#"bucket{@,le="0.1"} 3.0"#),
        route(500, "count{@} 2.0"),
        route(200, "sum{@} 1.5"),
        route(200, r#"bucket{@,le="+Inf"} 4.0"#),
        route(500, r#"bucket{@,le="2.5"} 1.0"#),
        route(500, "sum{@} 6.0"),
    ];
    let counters = read(&page.concat());
    assert_eq!(counters.route_bounds_s, [0.1, 1.0, 2.5]);
    let [route] = &counters.routes[..] else { panic!("{counters:?}") };
    assert_eq!(route.classes, [0.0, 4.0, 0.0, 0.0, 2.0]);
    // the 200s have no 2.5 bucket: all four are below it all the same
    assert_eq!(route.latency.at_most, [3.0, 4.0, 5.0]);
    assert_eq!((route.latency.count, route.latency.sum_s), (6.0, 7.5));
}

#[test]
fn codes_of_one_class_are_added_and_methods_kept_apart() {
    let page = r#"pretix_view_duration_seconds_count{status_code="404",method="GET",url_name="u"} 2
pretix_view_duration_seconds_count{status_code="400",method="GET",url_name="u"} 3
pretix_view_duration_seconds_count{status_code="404",method="POST",url_name="u"} 5"#;
    let counters = read(page);
    let seen: Vec<_> = counters.routes.iter().map(|r| (r.method.as_str(), r.classes[3])).collect();
    assert_eq!(seen, [("GET", 5.0), ("POST", 5.0)]);
}

#[test]
fn the_alias_is_not_counted_twice_and_serves_where_the_count_is_missing() {
    let alias = r#"pretix_view_requests_total{status_code="200",method="GET",url_name="u"} 7
"#;
    let both = alias.to_owned() + &route(200, "count{@} 7");
    assert_eq!(read(&both).routes[0].classes[1], 7.0);
    assert_eq!(read(alias).routes[0].classes[1], 7.0);
    assert_eq!(read(&both).page.bad_lines, 0);
}

#[test]
fn both_spellings_of_the_view_metric_are_understood() {
    let plural = route(200, r#"bucket{@,le="0.5"} 7"#).replace("duration_", "durations_")
        + &route(200, "count{@} 7").replace("duration_", "durations_");
    let counters = read(&plural);
    assert_eq!((counters.routes[0].classes[1], counters.routes[0].latency.at_most[0]), (7.0, 7.0));
}

#[test]
fn django_prometheus_gives_latency_without_codes_and_codes_without_latency() {
    let page = r#"# TYPE django_http_requests_latency_seconds_by_view_method histogram
django_http_requests_latency_seconds_by_view_method_bucket{le="0.5",method="GET",view="v"} 8.0
django_http_requests_latency_seconds_by_view_method_bucket{le="+Inf",method="GET",view="v"} 9.0
django_http_requests_latency_seconds_by_view_method_count{method="GET",view="v"} 9.0
django_http_requests_latency_seconds_by_view_method_sum{method="GET",view="v"} 4.5
django_http_responses_total_by_status_view_method_total{method="GET",status="200",view="v"} 7.0
django_http_responses_total_by_status_view_method_total{method="GET",status="500",view="v"} 2.0
"#;
    let counters = read(page);
    assert_eq!(counters.routes[0].classes, [0.0, 7.0, 0.0, 0.0, 2.0]);
    assert_eq!((counters.routes[0].latency.count, counters.routes[0].latency.sum_s), (9.0, 4.5));
}

#[test]
fn tasks_keep_expected_errors_apart() {
    let page = r#"pretix_task_runs_total{task_name="t",status="success"} 5
pretix_task_runs_total{task_name="t",status="error"} 2
pretix_task_runs_total{task_name="t",status="expected-error"} 3
pretix_task_duration_seconds_count{task_name="t"} 5
pretix_task_duration_seconds_sum{task_name="t"} 1.5
pretix_task_duration_seconds_bucket{task_name="t",le="0.5"} 4
pretix_task_runs_total{task_name="t",status="vanished"} 3
"#;
    let counters = read(page);
    assert_eq!(counters.tasks[0].outcomes, [5.0, 2.0, 3.0]);
    assert_eq!((counters.tasks[0].latency.count, &counters.tasks[0].latency.at_most[..]), (5.0, &[4.0][..]));
    assert_eq!(counters.page.first_bad.as_deref(), Some("Line 7: the status is unknown."));
}

#[test]
fn absurd_ages_and_models_never_analysed_are_unknown() {
    let page = r#"pretix_celery_tasks_queued_count{queue="a"} 300
pretix_celery_tasks_queued_age_seconds{queue="a"} 1795231740.6640418
pretix_celery_tasks_queued_count{queue="b"} 1
pretix_celery_tasks_queued_age_seconds{queue="b"} 12.5
pretix_celery_tasks_queued_count{queue="c"} 0
pretix_celery_tasks_queued_age_seconds{queue="c"} NaN
pretix_celery_tasks_queued_age_seconds{queue="ageless"} -3
pretix_model_instances{model="auth.group"} -1
pretix_model_instances{model="auth.user"} 3
"#;
    let counters = read(page);
    let queue = |name: &str, waiting, oldest_s| Queue { name: name.to_owned(), waiting, oldest_s };
    assert_eq!(counters.queues, [queue("a", 300, None), queue("b", 1, Some(12.5)), queue("c", 0, None)]);
    assert_eq!(counters.models, [("auth.user".to_owned(), 3.0)]);
    assert_eq!((counters.page.samples, counters.page.bad_lines), (9, 0));
}

#[test]
fn the_last_of_two_equal_series_counts_and_is_reported() {
    let counters = read(&(route(200, "count{@} 7") + &route(200, "count{@} 9")));
    assert_eq!(counters.routes[0].classes[1], 9.0);
    assert_eq!(counters.page.bad_lines, 1);
    let told = "Line 2: it repeats an earlier series, and the later value counts.";
    assert_eq!(counters.page.first_bad.as_deref(), Some(told));
}

#[test]
fn counters_that_are_no_counts_are_bad_and_ignored() {
    for value in ["NaN", "-1", "+Inf", "-Inf"] {
        let counters = read(&route(200, &format!("count{{@}} {value}")));
        assert_eq!((counters.routes.len(), counters.page.bad_lines), (0, 1), "{value}");
    }
    for bucket in ["bucket{@} 1", r#"bucket{@,le="x"} 1"#, r#"bucket{@,le="NaN"} 1"#, r#"bucket{@,le="-1"} 1"#] {
        assert_eq!(read(&route(200, bucket)).page.bad_lines, 1, "{bucket}");
    }
    for code in [0, 99, 600] {
        assert_eq!(read(&route(code, "count{@} 1")).page.bad_lines, 1, "{code}");
    }
    assert_eq!(read("pretix_model_instances 3").page.bad_lines, 1);
}

#[test]
fn one_broken_line_in_the_middle_costs_one_line() {
    let page = route(200, "count{@} 7") + "pretix_view_dur\u{0}\u{1}\n" + &route(500, "count{@} 1");
    let counters = read(&page);
    assert_eq!(counters.routes[0].classes, [0.0, 7.0, 0.0, 0.0, 1.0]);
    assert_eq!((counters.page.samples, counters.page.bad_lines), (2, 1));
    assert!(counters.is_partial());
}

#[test]
fn metrics_midwatch_does_not_know_are_counted_and_forgotten() {
    let counters = read("go_goroutines 7\npretix_logins_successful 5\n");
    assert_eq!((counters.page.samples, counters.page.bad_lines), (2, 0));
    assert_eq!(counters.routes, []);
}

#[test]
fn reading_stops_at_the_byte_limit() {
    let limits = Limits { bytes: 100, ..Limits::default() };
    let mut reader = PageReader::new(limits);
    assert_eq!(reader.feed(&[b'#'; 100]), Flow::More);
    assert_eq!(reader.feed(b"a 1\n"), Flow::Enough);
    assert_eq!(reader.feed(b"a 1\n"), Flow::Enough);
    let page = reader.finish().page;
    assert_eq!((page.bytes, page.samples, page.bad_lines), (100, 0, 0));
    assert_eq!(page.cut.as_deref(), Some("The page is longer than 100 bytes; the rest was not read."));
    assert_eq!(read_within(limits, &[b'#'; 100]).page.cut, None);
}

#[test]
fn a_line_without_end_is_one_bad_line_and_is_not_kept() {
    let limits = Limits { line_bytes: 16, ..Limits::default() };
    let page = format!("a 1\nb{{c=\"{}\"}} 1\nd 2", "x".repeat(4000));
    let mut reader = PageReader::new(limits);
    for chunk in page.as_bytes().chunks(7) {
        assert_eq!(reader.feed(chunk), Flow::More);
        assert!(reader.carry.capacity() <= 64);
    }
    let counters = reader.finish();
    assert_eq!((counters.page.samples, counters.page.bad_lines), (2, 1));
    assert_eq!(counters.page.first_bad.as_deref(), Some("Line 2: it is longer than 16 bytes."));
    assert_eq!(counters, read_within(limits, page.as_bytes()));
}

#[test]
fn beyond_the_limits_names_are_counted_once_each() {
    let limits = Limits { routes: 2, label_sets: 3, tasks: 1, queues: 1, models: 1, bounds: 1, ..Limits::default() };
    let mut page = Vec::new();
    for route in ["a", "b", "c", "d"] {
        for kind in ["count", "sum"] {
            let labels = format!(r#"status_code="200",method="GET",url_name="{route}""#);
            page.push(format!("pretix_view_duration_seconds_{kind}{{{labels}}} 1"));
        }
    }
    for code in [500, 502, 503] {
        page.push(route(code, "count{@} 1").trim_end().replace("\"u\"", "\"a\""));
    }
    for name in ["x", "y"] {
        page.push(format!("pretix_task_duration_seconds_count{{task_name=\"{name}\"}} 1"));
        page.push(format!("pretix_task_duration_seconds_sum{{task_name=\"{name}\"}} 1"));
        page.push(format!("pretix_celery_tasks_queued_count{{queue=\"{name}q\"}} 1"));
        page.push(format!("pretix_model_instances{{model=\"{name}m\"}} 1"));
    }
    let counters = read_within(limits, page.join("\n").as_bytes());
    assert_eq!(
        (counters.routes.len(), counters.tasks.len(), counters.queues.len(), counters.models.len()),
        (2, 1, 1, 1)
    );
    // routes c and d, codes 502 and 503 of a, task y, queue yq, model ym
    assert_eq!(counters.left_out, 7);
    assert_eq!(counters.page.bad_lines, 0);
    assert!(counters.is_partial());
}

#[test]
fn names_are_made_safe_and_short() {
    let long = "n".repeat(5000);
    let page = format!(
        "pretix_task_runs_total{{task_name=\"\u{1b}[2J{long}\",status=\"error\"}} 1\npretix_task_runs_total{{task_name=\"a  b\\n\",status=\"error\"}} 2\n"
    );
    let counters = read(&page);
    assert_eq!(counters.tasks[1].name, "a b".to_owned());
    assert!(counters.tasks[0].name.starts_with("[2Jnn") && counters.tasks[0].name.chars().count() == 201);
}

#[test]
fn a_page_that_is_no_metrics_page_says_so() {
    let counters = read("<!DOCTYPE html>\n<html>\n</html>\n");
    assert_eq!((counters.page.samples, counters.page.bad_lines), (0, 3));
    assert_eq!(counters.page.first_bad.as_deref(), Some("Line 1: it does not begin with a metric's name."));
}

#[test]
fn counters_survive_the_state_directory() {
    let counters = read(&(route(200, r#"bucket{@,le="0.1"} 3"#) + &route(200, "count{@} 4")));
    let json = serde_json::to_string(&counters).unwrap();
    assert_eq!(serde_json::from_str::<Counters>(&json).unwrap(), counters);
}
