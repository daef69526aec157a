use proptest::prelude::*;

use super::{Format, Template};

/// `status method path seconds host`.
fn read(format: &Format, line: &str) -> Option<String> {
    let entry = format.parse(line, 0)?;
    let took = entry.took_s.map_or("-".to_owned(), |s| format!("{s:.4}"));
    Some(format!("{} {} {} {took} {}", entry.status, entry.method, entry.path, entry.host.as_deref().unwrap_or("-")))
}

fn recognised(line: &str) -> Option<String> {
    read(&Format::Recognised, line)
}

const AT: &str = "[21/Nov/2026:08:36:44 +0000]";

#[test]
fn the_usual_formats_are_recognised() {
    for (line, expected) in [
        // nginx combined; main with a forwarded address
        (format!(r#"10.0.0.1 - - {AT} "GET /a?b=1 HTTP/1.1" 200 12 "-" "curl/7.88.1""#), "200 GET /a?b=1 - -"),
        (format!(r#"10.0.0.1 - bob {AT} "POST /a HTTP/2.0" 502 0 "-" "x \x22 y" "10.1.2.3""#), "502 POST /a - -"),
        // with times, in the ways people add them
        (format!(r#"10.0.0.1 - - {AT} "GET /a HTTP/1.1" 200 12 "-" "curl/7.88.1" 0.123 0.120"#), "200 GET /a 0.1230 -"),
        (format!(r#"10.0.0.1 - - {AT} "GET /a HTTP/1.1" 200 12 "-" "x" rt=0.5 uct="0.000" urt="0.4""#), "200 GET /a 0.5000 -"),
        (format!(r#"10.0.0.1 - - {AT} "GET /a HTTP/1.1" 504 12 "-" "x" "60.001""#), "504 GET /a 60.0010 -"),
        // vhost_combined
        (format!(r#"shop.example:443 10.0.0.1 - - {AT} "GET / HTTP/1.1" 301 0 "-" "x""#), "301 GET / - -"),
        // gunicorn: default, and with %(L)s; a whole number could be anything
        (format!(r#"127.0.0.1 - - {AT} "GET /healthcheck/ HTTP/1.0" 500 145 "-" "-""#), "500 GET /healthcheck/ - -"),
        (format!(r#"127.0.0.1 - - {AT} "GET / HTTP/1.0" 200 145 "-" "-" 0.012345"#), "200 GET / 0.0123 -"),
        (format!(r#"127.0.0.1 - - {AT} "GET / HTTP/1.0" 200 145 "-" "-" 12345"#), "200 GET / - -"),
        // bytes of a port scan are a request all the same
        (format!(r#"10.0.0.1 - - {AT} "\x16\x03\x01" 400 150 "-" "-""#), "400   - -"),
        (format!(r#"10.0.0.1 - - {AT} "GET /"quoted" HTTP/1.1" 404 1 "-" "-""#), "404 GET /\"quoted\" - -"),
        (
            r#"Nov 21 08:36:44 lb haproxy[14389]: 10.0.1.2:33317 [21/Nov/2026:08:36:44.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1""#.to_owned(),
            "200 GET /index.html 0.1090 -",
        ),
        (
            r#"10.0.1.2:33317 [21/Nov/2026:08:36:44.655] fe~ app/<NOSRV> 0/-1/-1/-1/3 503 217 - - SC-- 1/1/0/0/0 0/0 "GET / HTTP/1.1""#.to_owned(),
            "503 GET / 0.0030 -",
        ),
        (
            r#"{"level":"info","ts":1795250204.52,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"10.0.0.1","proto":"HTTP/2.0","method":"GET","host":"tickets.example.org","uri":"/conf/?x=1","headers":{"User-Agent":["curl"]}},"bytes_read":0,"duration":0.0093,"size":10,"status":200}"#.to_owned(),
            "200 GET /conf/?x=1 0.0093 tickets.example.org",
        ),
        (
            r#"{"time_iso8601":"2026-11-21T08:36:44+00:00","request":"GET /x HTTP/1.1","status":"502","request_time":"0.004"}"#.to_owned(),
            "502 GET /x 0.0040 -",
        ),
    ] {
        assert_eq!(recognised(&line).as_deref(), Some(expected), "{line}");
        assert_eq!(Format::Recognised.parse(&line, 0).unwrap().at.as_secs(), 1_795_250_204, "{line}");
    }
}

#[test]
fn what_is_no_request_is_none() {
    for line in [
        "",
        "[2026-11-21 08:36:44 +0000] [1310] [INFO] Listening at: http://127.0.0.1:8345 (1310)",
        "2026/11/21 08:36:44 [error] 12#12: *1 connect() failed (111: Connection refused) while connecting to upstream",
        "Traceback (most recent call last):",
        r#"{"level":"info","ts":1795250204.5,"msg":"serving initial configuration"}"#,
        "{",
    ] {
        assert_eq!(recognised(line), None, "{line}");
    }
}

#[test]
fn nginx_own_format_is_followed() {
    let told = |format: &str| Format::Told(Template::nginx(format).unwrap());
    let main = told(r#"$host $remote_addr [$time_local] "$request" $status $request_time ${upstream_response_time}ms"#);
    let line = format!(r#"shop.example 10.0.0.1 {AT} "GET /a HTTP/1.1" 502 3.250 3.249, 0.001ms"#);
    assert_eq!(read(&main, &line).as_deref(), Some("502 GET /a 3.2500 shop.example"));
    let json = told(r#"{"t":"$time_iso8601","m":"$request_method","u":"$request_uri","s":$status,"d":$request_time}"#);
    let line = r#"{"t":"2026-11-21T08:36:44+00:00","m":"GET","u":"/b","s":200,"d":0.010}"#;
    assert_eq!(read(&json, line).as_deref(), Some("200 GET /b 0.0100 -"));
    // Lines of before the format was changed are recognised.
    let old = format!(r#"10.0.0.1 - - {AT} "GET /old HTTP/1.1" 200 12 "-" "x""#);
    assert_eq!(read(&main, &old).as_deref(), Some("200 GET /old - -"));
    assert_eq!(Template::nginx("$remote_addr $request"), None);
}

#[test]
fn gunicorns_own_format_is_followed() {
    let format = Template::gunicorn(r#"%({host}i)s %(h)s %(t)s "%(r)s" %(s)s %(b)s %(D)s"#).unwrap();
    assert!(format.names_host());
    let line = format!(r#"shop.example 127.0.0.1 {AT} "GET /a HTTP/1.1" 200 5 12500"#);
    assert_eq!(read(&Format::Told(format), &line).as_deref(), Some("200 GET /a 0.0125 shop.example"));
}

proptest! {
    #[test]
    fn any_line_is_survived(line in "\\PC{0,120}", tail in "\\PC{0,60}", format in "[$%()a-z{}\" ]{0,40}") {
        recognised(&line);
        recognised(&format!("1.1.1.1 - - {AT} \"{tail}"));
        recognised(&format!("haproxy[1]: x [21/Nov/2026:08:36:44.655] {tail}"));
        recognised(&format!("{{\"ts\":1795250204,\"status\":{tail}"));
        for template in [Template::nginx(&format!("$time_local $status {format}")), Template::gunicorn(&format!("%(t)s %(s)s {format}"))].into_iter().flatten() {
            read(&Format::Told(template), &line);
        }
    }
}
