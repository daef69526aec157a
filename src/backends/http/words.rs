//! Sentences about what a server did, and what it said itself.

use std::time::Duration;

use url::Url;

use super::trouble::Trouble;
use crate::domain::text::plain;

/// Longest quotation.
const QUOTE: usize = 100;

/// `35 s`, `1.5 s`, `50 ms`.
pub(super) fn seconds(span: Duration) -> String {
    let millis = span.as_millis();
    if millis < 1000 {
        format!("{millis} ms")
    } else if millis >= 10_000 || millis.is_multiple_of(1000) {
        format!("{} s", span.as_secs())
    } else {
        format!("{:.1} s", span.as_secs_f64())
    }
}

/// `812 bytes`, `34 KiB`, `64 MiB`.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

/// Why no answer could be read from `url`, and what to look at.
pub(super) fn unanswered(trouble: &Trouble, url: &Url, limit: Duration) -> String {
    let host = plain(url.host_str().unwrap_or_default(), 80);
    let place = plain(url.authority(), 80);
    let limit = seconds(limit);
    match trouble {
        Trouble::Name(why) => format!("the name {host} has no address ({why}): check DNS"),
        Trouble::Refused => format!("{place} refuses connections: nothing listens there"),
        Trouble::NoRoute => format!("no route to {place}: check the network"),
        Trouble::Reset => format!("{place} reset the connection before it stood"),
        Trouble::NoConnection => {
            format!("no connection to {place} within {limit}: host down, firewall, or its queue of connections is full")
        }
        Trouble::NotTls => format!("{place} doesn't speak TLS: check scheme (http or https) and port"),
        Trouble::Handshake(why) => format!("TLS with {place} failed: {why}"),
        Trouble::Closed => format!("{place} closed the connection without an answer"),
        Trouble::NotHttp => format!("what {place} answers isn't HTTP: check scheme and port"),
        Trouble::HeadTooLarge => format!("{place} answers with a header too large to be read"),
        Trouble::Other(why) => format!("asking {place} failed: {why}"),
    }
}

/// Where a redirect from `asked` leads: neither credentials nor a query (often a token) belong on a screen.
pub(super) fn destination(asked: &Url, target: &str) -> Option<Url> {
    let mut target = asked.join(target).ok()?;
    target.set_username("").and_then(|()| target.set_password(None)).ok()?;
    target.set_query(None);
    target.set_fragment(None);
    Some(target)
}

/// The server's own words: the title of a page, or the first line of a text. `None` where it said nothing legible.
pub(super) fn said(kind: &str, body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    if text.chars().filter(|c| matches!(*c, '\0' | char::REPLACEMENT_CHARACTER)).count() > 2 {
        return None;
    }
    let words = if is_page(kind, body) {
        between(&text, "<title", "</title").or_else(|| between(&text, "<h1", "</h1"))?.to_owned()
    } else {
        text.lines().find(|line| !line.trim().is_empty())?.to_owned()
    };
    let words = plain(&unescaped(&words), QUOTE);
    (!words.is_empty()).then_some(words)
}

/// Whether this is a web page.
pub(super) fn is_page(kind: &str, body: &[u8]) -> bool {
    kind.to_ascii_lowercase().contains("html") || body.trim_ascii_start().starts_with(b"<")
}

/// The text inside the first element that `open` begins and `close` ends.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let lower = text.to_ascii_lowercase();
    let tag = lower.find(open)?;
    let start = tag + lower.get(tag..)?.find('>')? + 1;
    let end = start + lower.get(start..)?.find(close)?;
    text.get(start..end)
}

/// The five entities that matter in a title.
fn unescaped(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    named.into_iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_quoted_by_its_title_or_its_first_line() {
        let gunicorn = b"<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head></html>";
        assert_eq!(said("text/html", gunicorn).as_deref(), Some("Internal Server Error"));
        assert_eq!(said("", b"\n <HTML><H1 class=x>It&#x27;s\ngone</H1>").as_deref(), Some("It's gone"));
        assert_eq!(said("text/plain", b"\n\nno upstream\x1b[2J\nmore").as_deref(), Some("no upstream[2J"));
        assert_eq!(said("text/html", b"<p>nothing to quote</p>"), None);
        assert_eq!(said("text/plain", b"\x1f\x8b\x08\x00\x00\x00\x00"), None);
        assert_eq!(said("", b""), None);
    }

    #[test]
    fn spans_are_short() {
        let told = |millis| seconds(Duration::from_millis(millis));
        assert_eq!(
            (told(50), told(1500), told(35_000), told(31_234)),
            ("50 ms".into(), "1.5 s".into(), "35 s".into(), "31 s".into())
        );
    }
}
