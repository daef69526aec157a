//! Which metrics mean what, and what their labels are called.

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Requests of a route, by status code where the series have one.
    Route(Figure),
    /// Runs of a task; the total is by outcome.
    Task(Figure),
    /// Tasks waiting in a queue.
    QueueWaiting,
    /// Age of a queue's oldest task.
    QueueAge,
    /// Rows of a model.
    ModelRows,
}

/// Which figure of a route or task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    /// From a counter of its own, or an alias of [`Figure::Count`].
    Total,
    /// Observations that took at most `le` seconds.
    Bucket,
    /// Seconds all observations took.
    Sum,
    /// All observations of the histogram.
    Count,
}

/// Labels that tell series of one metric apart; empty where it has none of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    /// Route, task, queue or model.
    pub(super) subject: &'static str,
    /// The request's method.
    pub(super) method: &'static str,
    /// The answer's status code or the task's outcome.
    pub(super) status: &'static str,
}

const fn names(subject: &'static str, method: &'static str, status: &'static str) -> Names {
    Names { subject, method, status }
}

const PRETIX_VIEW: Names = names("url_name", "method", "status_code");
const PRETIX_TASK: Names = names("task_name", "", "status");
const PRETIX_QUEUE: Names = names("queue", "", "");
const PRETIX_MODEL: Names = names("model", "", "");
const DJANGO_VIEW: Names = names("view", "method", "status");

/// pretix as its code exports it, pretix as its documentation spells it (FIELD T-01), and django-prometheus.
const DIALECTS: [(&str, Meaning, Names); 18] = [
    ("pretix_view_duration_seconds_bucket", Meaning::Route(Figure::Bucket), PRETIX_VIEW),
    ("pretix_view_duration_seconds_sum", Meaning::Route(Figure::Sum), PRETIX_VIEW),
    ("pretix_view_duration_seconds_count", Meaning::Route(Figure::Count), PRETIX_VIEW),
    ("pretix_view_durations_seconds_bucket", Meaning::Route(Figure::Bucket), PRETIX_VIEW),
    ("pretix_view_durations_seconds_sum", Meaning::Route(Figure::Sum), PRETIX_VIEW),
    ("pretix_view_durations_seconds_count", Meaning::Route(Figure::Count), PRETIX_VIEW),
    ("pretix_view_requests_total", Meaning::Route(Figure::Total), PRETIX_VIEW),
    ("pretix_task_runs_total", Meaning::Task(Figure::Total), PRETIX_TASK),
    ("pretix_task_duration_seconds_bucket", Meaning::Task(Figure::Bucket), PRETIX_TASK),
    ("pretix_task_duration_seconds_sum", Meaning::Task(Figure::Sum), PRETIX_TASK),
    ("pretix_task_duration_seconds_count", Meaning::Task(Figure::Count), PRETIX_TASK),
    ("pretix_celery_tasks_queued_count", Meaning::QueueWaiting, PRETIX_QUEUE),
    ("pretix_celery_tasks_queued_age_seconds", Meaning::QueueAge, PRETIX_QUEUE),
    ("pretix_model_instances", Meaning::ModelRows, PRETIX_MODEL),
    ("django_http_requests_latency_seconds_by_view_method_bucket", Meaning::Route(Figure::Bucket), DJANGO_VIEW),
    ("django_http_requests_latency_seconds_by_view_method_sum", Meaning::Route(Figure::Sum), DJANGO_VIEW),
    ("django_http_requests_latency_seconds_by_view_method_count", Meaning::Route(Figure::Count), DJANGO_VIEW),
    ("django_http_responses_total_by_status_view_method_total", Meaning::Route(Figure::Total), DJANGO_VIEW),
];

/// What the metric of this name counts and what its labels are called; `None` if midwatch has no use for it.
pub(super) fn look_up(metric: &str) -> Option<(Meaning, Names)> {
    DIALECTS.iter().find(|(name, ..)| *name == metric).map(|(_, meaning, names)| (*meaning, *names))
}
