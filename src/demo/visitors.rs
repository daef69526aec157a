//! The practice site's visitors: real requests, about three a second.

use std::time::Duration;

use super::Ground;

/// Method and path, in turn; most look, some buy, some are lost.
const ROUND: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/events/1/"),
    ("GET", "/events/1/"),
    ("POST", "/events/1/order/"),
    ("GET", "/events/2/"),
    ("GET", "/orders/ABCDE/"),
    ("GET", "/login/"),
    ("GET", "/events/1/"),
    ("GET", "/nothing/here/"),
    ("GET", "/events/2/"),
];

/// Visits until the process ends.
///
/// # Errors
/// When no HTTP client can be made.
pub async fn visit(ground: Ground) -> color_eyre::Result<()> {
    let port = ground.port()?;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([])
        .timeout(Duration::from_mins(1))
        .build()?;
    for n in 0_u64.. {
        let at = usize::try_from(n).unwrap_or(0) % ROUND.len();
        let Some((method, path)) = ROUND.get(at) else { continue };
        let url = format!("http://127.0.0.1:{port}{path}");
        let request = if *method == "POST" { client.post(url) } else { client.get(url) };
        // Visitors of a broken site come back: whatever happens, the next one follows.
        if let Ok(answer) = request.send().await {
            answer.bytes().await.ok();
        }
        // A little uneven, so that strips and sparklines have something to show.
        tokio::time::sleep(Duration::from_millis(180 + (n * 7919 % 11) * 30)).await;
    }
    Ok(())
}
