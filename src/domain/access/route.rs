//! Paths grouped into routes: numbers, codes and names of organizers and events are masked, so that a shop with ten
//! thousand orders has twenty routes, and no secret of an order's link is shown.

use crate::domain::text::plain;

/// Whose paths these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// `/{organizer}/{event}/…`, `/control/…`, `/api/v1/…` (pretix).
    Pretix,
    /// `/{event}/…`, `/orga/…`, `/api/…` (pretalx).
    Pretalx,
    /// Anybody's.
    #[default]
    Plain,
}

/// Segments shown; what is below is `…`.
const DEPTH: usize = 6;
/// Characters of a route.
const LENGTH: usize = 80;

/// First segments of pretix that are no organizer (its `multidomain/maindomain_urlconf.py`).
const PRETIX: &[&str] = &[
    "_",
    "api",
    "control",
    "csp_report",
    "customer",
    "healthcheck",
    "jsi18n",
    "locale",
    "media",
    "metrics",
    "oauth",
    "redirect",
    "robots.txt",
    "favicon.ico",
    "schemas",
    "static",
    "user",
    "widget",
    ".well-known",
    "account",
    "bundles",
    "plugins",
];
/// Second segments of pretix that are no event.
const ORGANIZER: &[&str] = &["account", "events", "giftcard", "widget", "upload", "theme.css", "redirect"];
/// First segments of pretalx that are no event.
const PRETALX: &[&str] = &[
    "api",
    "orga",
    "healthcheck",
    "jsi18n",
    "locale",
    "media",
    "static",
    "redirect",
    "robots.txt",
    "favicon.ico",
    "403",
    "404",
    "500",
    "errors",
    "sw.js",
    ".well-known",
];

/// The route of a path with its query: `/{organizer}/{event}/order/{id}/{id}/`.
pub fn route(path: &str, layout: Layout) -> String {
    let path = path.split(['?', '#', ';']).next().unwrap_or_default();
    // An absolute URL as a proxy may be asked for.
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => path,
    };
    if path.is_empty() {
        return "(no request)".to_owned();
    }
    let slash = path.ends_with('/') && path.len() > 1;
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    if let Some(first @ ("static" | "media" | "assets")) = segments.first().copied() {
        return if segments.len() > 1 { format!("/{first}/*") } else { format!("/{first}") };
    }
    let mut out = String::new();
    for (at, segment) in segments.iter().enumerate() {
        out.push('/');
        if at == DEPTH {
            out.push('…');
            return plain(&out, LENGTH);
        }
        match named(&segments, at, layout) {
            Some(name) => out.push_str(name),
            None if is_variable(segment) || after_order(&segments, at) => out.push_str("{id}"),
            None => out.push_str(segment),
        }
    }
    if slash || out.is_empty() {
        out.push('/');
    }
    plain(&out, LENGTH)
}

/// What stands at this place by the application's own layout.
fn named(segments: &[&str], at: usize, layout: Layout) -> Option<&'static str> {
    let is = |place: usize, word: &str| segments.get(place) == Some(&word);
    let first = segments.first().copied().unwrap_or_default();
    let before = at.checked_sub(1).and_then(|b| segments.get(b)).copied();
    match layout {
        Layout::Plain => None,
        Layout::Pretix => match first {
            "api" => match before {
                Some("organizers") => Some("{organizer}"),
                Some("events") => Some("{event}"),
                Some(_) | None => None,
            },
            "control" => match at {
                2 if is(1, "event") || is(1, "organizer") => Some("{organizer}"),
                3 if is(1, "event") => Some("{event}"),
                _ => None,
            },
            _ if PRETIX.contains(&first) => None,
            _ => match at {
                0 => Some("{organizer}"),
                1 if !ORGANIZER.contains(segments.get(1)?) => Some("{event}"),
                _ => None,
            },
        },
        Layout::Pretalx => match first {
            "api" => (before == Some("events")).then_some("{event}"),
            "orga" => match before {
                Some("event") => Some("{event}"),
                Some("organiser" | "organizer") => Some("{organizer}"),
                Some(_) | None => None,
            },
            _ if PRETALX.contains(&first) => None,
            _ => match before {
                None => Some("{event}"),
                Some("talk" | "speaker" | "submission" | "submissions" | "invitation") if at >= 2 => Some("{id}"),
                Some(_) => None,
            },
        },
    }
}

/// `/order/CODE/SECRET/`: the secret may look like a word.
fn after_order(segments: &[&str], at: usize) -> bool {
    let is = |back: usize| {
        at.checked_sub(back).and_then(|b| segments.get(b)).is_some_and(|s| *s == "order" || *s == "ticket")
    };
    is(1) || is(2)
}

/// A number, a UUID, hexadecimal, a date, a code of capitals and digits, or a long word of no language.
fn is_variable(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let all = |good: fn(&u8) -> bool| bytes.iter().all(good);
    let has_digit = digits > 0;
    digits == bytes.len()
        || (has_digit && bytes.len() >= 6 && all(|b| b.is_ascii_hexdigit() || *b == b'-'))
        || (has_digit && bytes.len() >= 4 && all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
        || (bytes.len() >= 5 && all(u8::is_ascii_uppercase))
        || (bytes.len() >= 10 && digits * 4 >= bytes.len())
        || (bytes.len() >= 16 && all(u8::is_ascii_alphanumeric))
        || bytes.len() > 40
        || segment.contains('%')
        || segment.contains('@')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Layout, route};

    #[test]
    fn pretix_paths_become_its_routes() {
        for (path, expected) in [
            ("/", "/"),
            ("/testorg/", "/{organizer}/"),
            ("/testorg/conf/", "/{organizer}/{event}/"),
            ("/testorg/conf/cart/add?_=1", "/{organizer}/{event}/cart/add"),
            ("/testorg/conf/order/ABC3D/abcdefghijklmnop/", "/{organizer}/{event}/order/{id}/{id}/"),
            ("/testorg/account/login", "/{organizer}/account/login"),
            ("/control/login", "/control/login"),
            ("/control/event/testorg/conf/orders/ABCDE/", "/control/event/{organizer}/{event}/orders/{id}/"),
            ("/api/v1/organizers/o/events/e/orders/?page=2", "/api/v1/organizers/{organizer}/events/{event}/…"),
            ("/static/pretixbase/css/main.4711.css", "/static/*"),
            ("/metrics", "/metrics"),
        ] {
            assert_eq!(route(path, Layout::Pretix), expected, "{path}");
        }
    }

    #[test]
    fn pretalx_paths_become_its_routes() {
        for (path, expected) in [
            ("/democon/schedule/", "/{event}/schedule/"),
            ("/democon/talk/XYZABC/", "/{event}/talk/{id}/"),
            ("/orga/event/democon/submissions/", "/orga/event/{event}/submissions/"),
            ("/api/events/democon/talks/", "/api/events/{event}/talks/"),
            ("/healthcheck/", "/healthcheck/"),
        ] {
            assert_eq!(route(path, Layout::Pretalx), expected, "{path}");
        }
    }

    #[test]
    fn anything_else_keeps_its_words_and_loses_its_numbers() {
        for (path, expected) in [
            ("/blog/2026/11/a-post", "/blog/{id}/{id}/a-post"),
            ("/users/550e8400-e29b-41d4-a716-446655440000/edit", "/users/{id}/edit"),
            ("/x/deadbeef01", "/x/{id}"),
            ("http://other.example/a/7", "/a/{id}"),
            ("/a/b/c/d/e/f/g/h", "/a/b/c/d/e/f/…"),
            ("/reset/dGhpc2lzYXNlY3JldHRva2Vu", "/reset/{id}"),
            ("", "(no request)"),
        ] {
            assert_eq!(route(path, Layout::Plain), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_survived_and_short(path in "(/?\\PC{0,30}){0,12}") {
            for layout in [Layout::Pretix, Layout::Pretalx, Layout::Plain] {
                let route = route(&path, layout);
                prop_assert!(!route.is_empty() && route.chars().count() <= super::LENGTH + 1);
            }
        }
    }
}
