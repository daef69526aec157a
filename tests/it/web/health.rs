//! The five states, and servers that answer none of them properly.

use std::time::Duration;

use midwatch::backends::http::{Limits, WebProbe};
use midwatch::domain::health::{HealthCheck, HealthState};
use midwatch::ports::Web as _;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use url::Url;

use super::server::{Server, answer, gzipped};
use super::{PASSWORD, patient, probe, site};

const SHORT: Duration = Duration::from_millis(50);

async fn health(server: &Server) -> HealthCheck {
    health_within(server, patient()).await
}

async fn health_within(server: &Server, limits: Limits) -> HealthCheck {
    WebProbe::new(&site(&server.url()), limits).unwrap().health().await
}

#[tokio::test]
async fn an_answer_of_200_is_ok() {
    let server = Server::saying(answer("200 OK", "", "")).await;
    let check = health(&server).await;
    assert!(check.latency_ms > 0.0);
    let expected = HealthCheck {
        state: HealthState::Ok,
        status: Some(200),
        latency_ms: check.latency_ms,
        detail: "answered 200".to_owned(),
        url: format!("{}/healthcheck/", server.url()),
        tls: None,
        clock_offset_ms: check.clock_offset_ms,
    };
    assert_eq!(check, expected);
    let [head] = &server.asked()[..] else { panic!("{:?}", server.asked()) };
    assert!(head.starts_with("get /healthcheck/ http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: {}\r\n", server.address)), "{head}");
    assert!(head.contains(concat!("\r\nuser-agent: midwatch/", env!("CARGO_PKG_VERSION"), "\r\n")), "{head}");
    assert!(!head.contains("cookie") && !head.contains("authorization") && !head.contains("accept-encoding"), "{head}");
}

#[tokio::test]
async fn every_check_has_a_connection_of_its_own() {
    let server = Server::saying(answer("200 OK", "Set-Cookie: a=b\r\nConnection: keep-alive\r\n", "")).await;
    let mut probe = probe(&server.url());
    for _ in 0..3 {
        assert_eq!(probe.health().await.state, HealthState::Ok);
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|head| !head.contains("cookie")), "{asked:?}");
}

#[tokio::test]
async fn a_500_is_a_server_error_in_the_server_s_own_words() {
    let page = "<html><head><title>Internal Server Error</title></head></html>";
    let check =
        health(&Server::saying(answer("500 Internal Server Error", "Content-Type: text/html\r\n", page)).await).await;
    assert_eq!((check.state, check.status), (HealthState::ServerError, Some(500)));
    assert_eq!(check.detail, "answered 500: Internal Server Error");
}

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    // Bound but not listening: the port stays ours and refuses.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let mut probe = probe(&format!("http://{address}"));
    let check = probe.health().await;
    assert_eq!((check.state, check.status), (HealthState::Unreachable, None));
    assert_eq!(check.detail, format!("{address} refuses connections: nothing listens there"));
    assert!(!probe.connects().await);
}

#[tokio::test]
async fn a_name_without_address_is_unreachable() {
    // Too long for DNS, so no server is asked for it.
    let name = "a".repeat(64);
    let check = probe(&format!("http://{name}.invalid")).health().await;
    assert_eq!(check.state, HealthState::Unreachable);
    assert!(check.detail.starts_with(&format!("the name {name}.invalid has no address (")), "{}", check.detail);
}

#[tokio::test]
async fn a_silent_server_hangs() {
    let server = Server::start(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let check = health_within(&server, Limits { hang: SHORT, ..patient() }).await;
    assert_eq!((check.state, check.status), (HealthState::Hanging, None));
    assert_eq!(check.detail, "connected, but no answer within 50 ms");
    let mut probe = probe(&server.url());
    assert!(probe.connects().await, "it hangs, but it is there");
}

#[tokio::test]
async fn closing_late_is_hanging_and_closing_at_once_is_not() {
    let server = Server::start(|stream, _| async move { drop(stream) }).await;
    let check = health(&server).await;
    assert_eq!(check.state, HealthState::Unreachable);
    assert_eq!(check.detail, format!("{} closed the connection without an answer", server.address));
    let check = health_within(&server, Limits { abrupt: Duration::ZERO, ..patient() }).await;
    assert_eq!(check.state, HealthState::Hanging);
    assert!(check.detail.ends_with("its own time limit, it hangs"), "{}", check.detail);
}

#[tokio::test]
async fn a_reset_is_told_like_a_close() {
    let server = Server::start(|stream, _| async move {
        stream.set_zero_linger().unwrap();
        drop(stream);
    })
    .await;
    let check = health(&server).await;
    assert_eq!(check.state, HealthState::Unreachable);
    assert_eq!(check.detail, format!("{} closed the connection without an answer", server.address));
}

#[tokio::test]
async fn a_redirect_loop_is_one_request() {
    let server = Server::saying(answer("302 Found", "Location: /healthcheck/\r\n", "")).await;
    let check = health(&server).await;
    assert_eq!((check.state, check.status), (HealthState::Misdirected, Some(302)));
    assert!(check.detail.ends_with("to itself: a loop"), "{}", check.detail);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn the_application_s_own_port_is_asked_for_the_public_name() {
    let server = Server::start(|mut stream, head| async move {
        let known = head.to_ascii_lowercase().contains("\r\nhost: tickets.example.org\r\n");
        let page = "<title>Unknown host</title>";
        let said = if known { answer("200 OK", "", "") } else { answer("400 Bad Request", "", page) };
        stream.write_all(&said).await.unwrap();
    })
    .await;
    let check = health(&server).await;
    assert_eq!((check.state, check.status), (HealthState::Misdirected, Some(400)));
    assert!(check.detail.starts_with("answered 400: Unknown host; the host name 127.0.0.1:"), "{}", check.detail);

    let mut behind = site("https://tickets.example.org");
    behind.direct = Some(Url::parse(&server.url()).unwrap());
    let mut probe = WebProbe::new(&behind, patient()).unwrap();
    let check = probe.direct().await.unwrap();
    assert_eq!((check.state, check.url), (HealthState::Ok, format!("{}/healthcheck/", server.url())));
    assert!(server.asked().last().unwrap().contains("\r\nx-forwarded-proto: https\r\n"));
    assert!(probe.connects().await, "signs of life are looked for at the own port");
}

#[tokio::test]
async fn a_site_without_a_port_of_its_own_has_no_direct_check() {
    assert_eq!(probe("http://127.0.0.1:9").direct().await, None);
}

#[tokio::test]
async fn a_header_of_a_megabyte_is_refused() {
    let header = format!("X-Large: {}\r\n", "x".repeat(1 << 20));
    let server = Server::saying(answer("200 OK", &header, "")).await;
    let check = health(&server).await;
    assert_eq!((check.state, check.status), (HealthState::Misdirected, None));
    assert_eq!(check.detail, format!("{} answers with a header too large to be read", server.address));
}

#[tokio::test]
async fn something_else_on_the_port_is_misdirected() {
    for said in [&b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], b"\x00\x01\xff\xfe binary garbage", b"\x15\x03\x01\x00\x02\x02\x46"]
    {
        let server = Server::saying(said).await;
        let check = health(&server).await;
        assert_eq!((check.state, check.status), (HealthState::Misdirected, None));
        assert_eq!(check.detail, format!("what {} answers isn't HTTP: check scheme and port", server.address));
    }
}

/// A server that sends `status` and then a body until nobody reads it any more; how much it got rid of comes out.
async fn endless(status: &'static str) -> (Server, mpsc::UnboundedReceiver<usize>) {
    let (sender, sent) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream: TcpStream, _| {
        let sender = sender.clone();
        async move {
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n\r\nit goes on\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut count = 0;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {
                count += 4096;
            }
            sender.send(count).unwrap();
        }
    })
    .await;
    (server, sent)
}

#[tokio::test]
async fn a_body_that_never_ends_is_read_only_so_far() {
    let (server, mut sent) = endless("500 Oops").await;
    let check = health(&server).await;
    assert_eq!((check.state, check.detail.as_str()), (HealthState::ServerError, "answered 500: it goes on"));
    let sent = sent.recv().await.unwrap();
    assert!(sent < 64 << 20, "{sent} bytes fit into the buffers of the kernel");
}

#[tokio::test]
async fn a_body_that_stalls_is_waited_for_only_so_long() {
    let server = Server::start(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let check = health_within(&server, Limits { body: SHORT, ..patient() }).await;
    assert_eq!((check.state, check.status), (HealthState::Ok, Some(200)));
}

#[tokio::test]
async fn a_packed_body_is_not_unpacked() {
    let bomb = gzipped(&vec![b'x'; 32 << 20]);
    let server = Server::saying(answer("500 Oops", "Content-Encoding: gzip\r\n", bomb)).await;
    assert_eq!(health(&server).await.detail, "answered 500");
}

#[tokio::test]
async fn escape_sequences_of_the_server_stay_with_it() {
    let server = Server::saying(answer("500 Oops", "", "\x1b[31mred\x07 alert\x1b[2J")).await;
    assert_eq!(health(&server).await.detail, "answered 500: [31mred alert[2J");
}

#[tokio::test]
async fn a_password_in_the_url_is_neither_sent_nor_shown() {
    let server = Server::saying(answer("401 Unauthorized", "", "")).await;
    let mut probe = probe(&format!("http://eve:{PASSWORD}@{}", server.address));
    assert!(!format!("{probe:?}").contains(PASSWORD));
    let check = probe.health().await;
    assert!(!format!("{check:?} {probe:?}").contains(PASSWORD), "{check:?}");
    assert!(check.detail.contains("asks for a password"), "{}", check.detail);
    assert!(!server.asked()[0].contains("authorization"));
}
