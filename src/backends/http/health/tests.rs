//! What each status means, and what it says to do.

use super::*;

fn endpoint() -> Endpoint {
    Endpoint::public(&Url::parse("http://tickets.example.org").unwrap(), "/healthcheck").unwrap()
}

fn own() -> Endpoint {
    let at = Url::parse("http://127.0.0.1:8345").unwrap();
    Endpoint::direct(&at, &Url::parse("https://tickets.example.org").unwrap(), "/healthcheck/").unwrap()
}

fn judged(code: u16, target: Option<&str>, said: Option<&str>) -> (HealthState, String) {
    judge(StatusCode::from_u16(code).unwrap(), target, said, &endpoint())
}

#[test]
fn every_status_has_a_state() {
    let state = |code| judged(code, None, None).0;
    assert_eq!((state(200), state(204), state(299)), (HealthState::Ok, HealthState::Ok, HealthState::Ok));
    assert_eq!(
        (state(500), state(503), state(599)),
        (HealthState::ServerError, HealthState::ServerError, HealthState::ServerError)
    );
    for code in (300..500).chain([101, 199, 600, 999]) {
        assert_eq!(state(code), HealthState::Misdirected, "{code}");
    }
}

#[test]
fn the_server_s_own_words_are_quoted() {
    assert_eq!(judged(200, None, Some("OK")).1, "answered 200");
    assert_eq!(judged(500, None, Some("Internal Server Error")).1, "answered 500: Internal Server Error");
    assert!(judged(502, None, Some("502 Bad Gateway")).1.contains("502 Bad Gateway; a proxy says so"));
}

#[test]
fn a_wrong_host_name_is_named() {
    let (_, detail) = judged(400, None, Some("Unknown host"));
    assert_eq!(
        detail,
        "answered 400: Unknown host; the host name tickets.example.org may be unknown there: set url to the name the \
         application is configured with"
    );
    let (_, detail) = judged(400, None, Some("400 The plain HTTP request was sent to HTTPS port"));
    assert!(detail.ends_with("set url to https://tickets.example.org"), "{detail}");
}

#[test]
fn a_redirect_says_what_to_set() {
    let to = |target| judged(301, Some(target), Some("Moved")).1;
    assert_eq!(
        to("/healthcheck/"),
        "answered 301, redirects to http://tickets.example.org/healthcheck/: a slash is missing: set health_path to /healthcheck/"
    );
    assert!(to("https://tickets.example.org/healthcheck").ends_with("set url to https://tickets.example.org"));
    assert!(to("//shop.example.org:8443/").ends_with("set url to http://shop.example.org:8443"));
    assert!(to("/healthcheck").ends_with("to itself: a loop"));
    assert!(to("/healthcheck?again=1").ends_with("to itself: a loop"));
    assert!(to("/login").contains("set health_path to /login if that is the healthcheck"));
    assert!(to("http://[").contains("without saying where to"));
    assert!(judged(302, None, None).1.contains("without saying where to"));
}

#[test]
fn a_redirect_keeps_secrets_and_escapes_to_itself() {
    let (_, detail) = judged(302, Some("https://eve:hunter2@sso.example.org/\u{1b}[2J?ticket=hunter2#hunter2"), None);
    assert!(!detail.contains("hunter2") && !detail.contains('\u{1b}'), "{detail}");
    assert!(detail.contains("set url to https://sso.example.org"), "{detail}");
}

#[test]
fn on_the_own_port_the_setting_is_not_the_public_url() {
    let (_, detail) =
        judge(StatusCode::MOVED_PERMANENTLY, Some("https://tickets.example.org/healthcheck/"), None, &own());
    assert!(detail.contains("X-Forwarded-Proto"), "{detail}");
    let (_, detail) = judge(StatusCode::BAD_REQUEST, None, Some("Unknown host"), &own());
    assert!(detail.contains("the host name tickets.example.org may be unknown"), "{detail}");
}
