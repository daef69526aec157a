//! The metrics page: read, refused, broken, hostile; and the password in none of it.

use std::time::Duration;

use midwatch::backends::http::{Limits, Trust, WebProbe};
use midwatch::domain::counters::Counters;
use midwatch::domain::reading::Seen;
use midwatch::ports::Web as _;
use tokio::io::AsyncWriteExt;
use url::Url;

use super::server::{Server, answer, gzipped};
use super::{PASSWORD, patient, probe, site, tls};

const SHORT: Duration = Duration::from_millis(50);

const PAGE: &str = "pretix_view_duration_seconds_count{status_code=\"200\",method=\"GET\",url_name=\"presale:event.index\"} 42.0\n\
    pretix_view_duration_seconds_sum{status_code=\"200\",method=\"GET\",url_name=\"presale:event.index\"} 2.5\n";

/// A line of 4 KiB that says nothing.
fn comment() -> String {
    format!("# {}\n", "x".repeat(4093))
}

async fn metrics(server: &Server) -> Seen<Counters> {
    probe(&server.url()).metrics().await
}

/// Why there are none; without the password.
async fn refused(server: &Server) -> String {
    why(probe(&server.url())).await
}

async fn why(mut probe: WebProbe) -> String {
    let seen = probe.metrics().await;
    let told = format!("{seen:?} {probe:?}");
    // `bWV0cmljcz…` is `metrics:` as basic authentication encodes it.
    assert!(!told.contains(PASSWORD) && !told.contains("bWV0cmljcz"), "{told}");
    match seen {
        Seen::Failed(why) => why,
        Seen::Value(_) | Seen::Unseen(_) | Seen::Asking => panic!("{seen:?}"),
    }
}

#[tokio::test]
async fn a_page_is_asked_for_with_user_and_password() {
    let server = Server::saying(answer("200 OK", "Content-Type: text/plain\r\n", PAGE)).await;
    let Seen::Value(counters) = metrics(&server).await else { panic!("no counters") };
    assert_eq!((counters.page.samples, counters.page.bytes), (2, PAGE.len() as u64));
    let [head] = &server.asked()[..] else { panic!("{:?}", server.asked()) };
    assert!(head.starts_with("get /metrics http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: basic "), "{head}");
    assert!(head.contains("\r\naccept-encoding: gzip\r\n"), "{head}");
}

#[tokio::test]
async fn a_packed_page_is_the_same_page() {
    let plain = metrics(&Server::saying(answer("200 OK", "", PAGE)).await).await;
    let packed = Server::saying(answer("200 OK", "Content-Encoding: gzip\r\n", gzipped(PAGE.as_bytes()))).await;
    assert_eq!(metrics(&packed).await, plain);
}

#[tokio::test]
async fn pieces_of_any_size_make_the_same_page() {
    let whole = metrics(&Server::saying(answer("200 OK", "", PAGE)).await).await;
    let server = Server::start(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        for piece in PAGE.as_bytes().chunks(7) {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
            stream.write_all(piece).await.unwrap();
            stream.write_all(b"\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    })
    .await;
    assert_eq!(metrics(&server).await, whole);
}

#[tokio::test]
async fn each_refusal_says_what_to_look_at() {
    let page = "<html><title>Forbidden</title><body>You are not authorized to view this page.</body></html>";
    let cases = [
        ("401 Unauthorized", "metrics answered 401: switched off or wrong password; see [metrics] in pretix.cfg"),
        ("403 Forbidden", "metrics answered 403 (Forbidden): wrong user or password"),
        ("404 Not Found", "metrics answered 404: no page at /metrics; pretix's is /metrics, without a slash after it"),
        ("500 Oops", "metrics answered 500: pretix answers so exactly when its database or Redis is gone"),
        ("502 Bad Gateway", "metrics answered 502 (Forbidden)"),
        ("204 No Content", "metrics answered 204"),
    ];
    for (status, expected) in cases {
        let body = if status.starts_with("204") { "" } else { page };
        let server = Server::saying(answer(status, "Content-Type: text/html\r\n", body)).await;
        assert_eq!(refused(&server).await, expected);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::saying(answer("301 Moved", "Location: /metrics/?key=secret\r\n", "")).await;
    let expected = format!(
        "metrics answered 301, redirects to {}/metrics/: set the metrics url to where the page is",
        server.url()
    );
    assert_eq!(refused(&server).await, expected);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_web_page_and_noise_are_not_metrics() {
    let html = "<!DOCTYPE html><html><title>Log in</title></html>";
    let server = Server::saying(answer("200 OK", "Content-Type: text/html; charset=utf-8\r\n", html)).await;
    assert_eq!(refused(&server).await, "that is a web page (Log in), not metrics: check the metrics url");
    let noise: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let server = Server::saying(answer("200 OK", "", noise)).await;
    assert_eq!(
        refused(&server).await,
        "that is no metrics page (not one line of its 4 KiB could be read): check the metrics url"
    );
    let server = Server::saying(answer("200 OK", "", "")).await;
    assert_eq!(refused(&server).await, "the metrics page is empty");
}

#[tokio::test]
async fn a_broken_line_keeps_the_rest() {
    let (first, second) = PAGE.split_once('\n').unwrap();
    let broken = format!("{first}\npretix_view_duration{{oops\n\u{fffd}\x01\n{second}\n");
    let server = Server::saying(answer("200 OK", "", broken)).await;
    let Seen::Value(counters) = metrics(&server).await else { panic!("no counters") };
    assert_eq!((counters.page.samples, counters.page.bad_lines), (2, 2));
    assert!(counters.page.first_bad.is_some_and(|why| why.starts_with("Line 2: ")));
}

#[tokio::test]
async fn a_page_that_breaks_off_is_no_page() {
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{PAGE}");
    let why = refused(&Server::saying(cut).await).await;
    assert!(why.starts_with(&format!("the metrics page broke off after {} bytes: ", PAGE.len())), "{why}");
}

#[tokio::test]
async fn a_page_that_stalls_is_given_up() {
    let server = Server::start(|mut stream, _| async move {
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{PAGE}").as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let probe = WebProbe::new(&site(&server.url()), Limits { page: SHORT, ..patient() }).unwrap();
    let why = why(probe).await;
    assert!(why.starts_with("the metrics page didn't end within 50 ms; "), "{why}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let server = Server::start(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let probe = WebProbe::new(&site(&server.url()), Limits { hang: SHORT, ..patient() }).unwrap();
    assert_eq!(why(probe).await, "metrics gave no answer within 50 ms");
}

#[tokio::test]
async fn an_untrusted_server_does_not_get_the_password() {
    let (address, _) = tls::good(answer("200 OK", "", PAGE));
    let untrusting = |trust| WebProbe::new(&site(&format!("https://{address}")), patient()).unwrap().trusting(trust);
    let (_, other) = tls::authority("Other Root");
    for trust in [Trust::Only(vec![other]), Trust::Only(Vec::new())] {
        let why = why(untrusting(trust)).await;
        assert!(
            why.starts_with(&format!("metrics were not asked for: the certificate of {address} isn't trusted (")),
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_trusted_server_does() {
    let (address, root) = tls::good(answer("200 OK", "", PAGE));
    let mut probe =
        WebProbe::new(&site(&format!("https://{address}")), patient()).unwrap().trusting(Trust::Only(vec![root]));
    assert!(matches!(probe.metrics().await, Seen::Value(_)));
}

#[tokio::test]
async fn a_login_in_the_url_is_used_and_not_shown() {
    let server = Server::saying(answer("500 Oops", "", "")).await;
    let mut site = site(&server.url());
    let metrics = site.metrics.as_mut().unwrap();
    metrics.login = None;
    metrics.url = Url::parse(&format!("http://metrics:{PASSWORD}@{}/metrics", server.address)).unwrap();
    why(WebProbe::new(&site, patient()).unwrap()).await;
    assert!(server.asked()[0].contains("\r\nauthorization: basic "));
}

#[tokio::test]
async fn without_a_metrics_page_nothing_is_asked() {
    let mut site = site("http://127.0.0.1:9");
    site.metrics = Err("metrics are switched off in pretix.cfg".to_owned());
    let seen = WebProbe::new(&site, patient()).unwrap().metrics().await;
    assert_eq!(seen, Seen::Unseen("metrics are switched off in pretix.cfg".to_owned()));
}

#[tokio::test]
async fn a_page_that_explodes_when_unpacked_is_cut() {
    let mut bomb = PAGE.as_bytes().to_vec();
    bomb.extend_from_slice(comment().repeat(20 << 10).as_bytes());
    let server = Server::saying(answer("200 OK", "Content-Encoding: gzip\r\n", gzipped(&bomb))).await;
    let Seen::Value(counters) = metrics(&server).await else { panic!("no counters") };
    assert!(counters.page.cut.is_some_and(|why| why.contains("64 MiB")));
    assert_eq!(counters.page.bytes, 64 << 20);
    let server = Server::saying(answer("200 OK", "Content-Encoding: gzip\r\n", gzipped(&vec![0; 80 << 20]))).await;
    assert_eq!(
        refused(&server).await,
        "that is no metrics page (not one line of its 64 MiB could be read): check the metrics url"
    );
}

#[tokio::test]
async fn a_page_that_never_ends_is_cut() {
    let server = Server::start(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut more = PAGE.to_owned();
        while stream.write_all(more.as_bytes()).await.is_ok() {
            more = comment();
        }
    })
    .await;
    let Seen::Value(counters) = metrics(&server).await else { panic!("no counters") };
    assert_eq!(counters.page.bytes, 64 << 20);
}

#[tokio::test]
async fn a_packed_page_that_is_broken_is_no_page() {
    let mut packed = gzipped(PAGE.as_bytes());
    packed.truncate(20);
    packed.extend_from_slice(&[0xff; 20]);
    let server = Server::saying(answer("200 OK", "Content-Encoding: gzip\r\n", packed)).await;
    let why = refused(&server).await;
    assert!(why.starts_with("the metrics page broke off after "), "{why}");
}
