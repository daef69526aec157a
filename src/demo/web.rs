//! The practice site's web process.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sqlx::sqlite::SqliteConnection;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};

use super::metrics::Requests;
use super::pages::Page;
use super::releases::Release;
use super::{Fault, Ground, METRICS_USER, database};

/// Requests served at once, as gunicorn's two workers would; more wait.
const WORKERS: usize = 2;

struct App {
    ground: Ground,
    release: Release,
    authorization: String,
    port: u16,
    workers: Semaphore,
    databases: [Mutex<SqliteConnection>; WORKERS],
    requests: Mutex<Requests>,
}

/// Serves until the process ends.
///
/// # Errors
/// When the port, the database or the release can't be had.
pub async fn serve(ground: Ground) -> color_eyre::Result<()> {
    let (port, release) = (ground.port()?, Release::here()?);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let password = std::fs::read_to_string(ground.password_file())?;
    let path = ground.database();
    let app = Arc::new(App {
        authorization: basic(METRICS_USER, password.trim()),
        port,
        workers: Semaphore::new(WORKERS),
        databases: [Mutex::new(database::open(&path).await?), Mutex::new(database::open(&path).await?)],
        requests: Mutex::default(),
        ground,
        release,
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&app), request));
            // A visitor who hangs up is no error of ours.
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

/// The value of a basic authorization header.
pub fn basic(user: &str, password: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("Basic ");
    for chunk in format!("{user}:{password}").as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |acc, b| acc << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = ALPHABET.get((bits >> (18 - 6 * i)) as usize & 63).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let begun = Instant::now();
    let page = Page::of(request.method().as_str(), request.uri().path());
    let _worker = app.workers.acquire().await;
    let fault = app.ground.fault();
    if fault == Some(Fault::Slow) {
        tokio::time::sleep(Duration::from_millis(2_300)).await;
    }
    let (status, body) = if known_host(&app, &request) {
        match respond(&app, page, &request, fault).await {
            Ok(answer) => answer,
            Err(error) => (500, format!("<h1>Internal Server Error</h1><p>{error}</p>\n")),
        }
    } else {
        (400, "<h1>Unknown host</h1>\n".to_owned())
    };
    if let Some(url_name) = page.url_name() {
        let seconds = begun.elapsed().as_secs_f64();
        app.requests.lock().await.observe(url_name, request.method().as_str(), status, seconds);
    }
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind =
        if page == Page::Metrics && status == 200 { "text/plain; version=0.0.4" } else { "text/html; charset=utf-8" };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    if status == 401 {
        headers.insert(WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static("Basic realm=\"metrics\""));
    }
    if let (301, Ok(to)) = (status, format!("{}/", request.uri().path()).parse()) {
        headers.insert(LOCATION, to);
    }
    Ok(response)
}

/// As pretix: the configured host and localhost, nothing else.
fn known_host(app: &App, request: &Request<Incoming>) -> bool {
    let host = request.headers().get(HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    host == format!("127.0.0.1:{}", app.port) || host.starts_with("localhost")
}

async fn respond(
    app: &App,
    page: Page,
    request: &Request<Incoming>,
    fault: Option<Fault>,
) -> sqlx::Result<(u16, String)> {
    if fault == Some(Fault::Errors) && page.url_name().is_some() && now_s().fract() < 0.35 {
        return Ok((500, "<h1>Internal Server Error</h1>\n".to_owned()));
    }
    let free = app.databases.iter().find_map(|db| db.try_lock().ok());
    let [first, ..] = &app.databases;
    let mut db = match free {
        Some(db) => db,
        None => first.lock().await,
    };
    match page {
        Page::Missing => Ok((404, "<h1>Not Found</h1>\n".to_owned())),
        Page::NoSlash => Ok((301, String::new())),
        Page::Login => Ok((200, "<h1>Sign in</h1>\n".to_owned())),
        Page::Health => database::count_orders(&mut db).await.map(|_| (200, String::new())),
        Page::Metrics => {
            if request.headers().get(AUTHORIZATION).and_then(|h| h.to_str().ok()) != Some(app.authorization.as_str()) {
                return Ok((401, String::new()));
            }
            let worker = database::counters(&mut db).await?;
            let queues = database::queues(&mut db, now_s()).await?;
            let orders = database::count_orders(&mut db).await?;
            Ok((200, app.requests.lock().await.page(&worker, &queues, orders)))
        }
        Page::Index | Page::Event | Page::OrderPage => {
            let figures = database::figures(&mut db, &app.release.figures).await?;
            let banner = std::fs::read_to_string(app.ground.banner()).unwrap_or_default();
            Ok((200, app.release.page(banner.trim(), &figures)))
        }
        Page::Order => {
            database::place_order(&mut db, &app.release.order, 1, now_s()).await?;
            Ok((302, String::new()))
        }
    }
}

/// Seconds since 1970.
pub fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs_f64()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::basic;

    #[test]
    fn the_rfcs_own_example_of_basic_authentication() {
        assert_eq!(basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("a", "b"), "Basic YTpi");
        assert_eq!(basic("a", "bc"), "Basic YTpiYw==");
    }
}
