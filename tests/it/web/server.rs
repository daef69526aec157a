//! Servers that do exactly what a test says, connection by connection.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server on a free port; it ends with the test's runtime.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Reads the head of each request, then does `answer`.
    pub(super) async fn start<F, Fut>(answer: F) -> Self
    where
        F: Fn(TcpStream, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&asked);
        let answer = Arc::new(answer);
        drop(tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, heads) = (Arc::clone(&answer), Arc::clone(&heads));
                drop(tokio::spawn(async move {
                    let head = head(&mut stream).await;
                    if !head.is_empty() {
                        heads.lock().unwrap().push(head.clone());
                    }
                    answer(stream, head).await;
                }));
            }
        }));
        Self { address, asked }
    }

    /// Answers every request with these bytes and closes.
    pub(super) async fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new(bytes.into());
        Self::start(move |mut stream, _| {
            let bytes = Arc::clone(&bytes);
            async move {
                let _gone = stream.write_all(&bytes).await;
            }
        })
        .await
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests so far, in lower case.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|head| head.to_ascii_lowercase()).collect()
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|read| read == 1) {
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).unwrap()
}

/// An answer with a body of known length.
pub(super) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// `bytes`, packed.
pub(super) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}
