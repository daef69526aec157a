//! A socket that answers as Docker did when it was recorded: a list of five containers, and each of them.
#![cfg(test)]

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

const LIST: &str = include_str!("../../fixtures/compose/containers-json.json");
const BACKEND: &str = include_str!("../../fixtures/compose/inspect-backend.json");
const WORKER: &str = include_str!("../../fixtures/compose/inspect-worker-no-healthcheck.json");

/// The daemon; ended with its guard.
pub(crate) struct Docker {
    state: Arc<Mutex<Recorded>>,
    task: JoinHandle<()>,
}

struct Recorded {
    listed: Vec<Value>,
    backend: Value,
    asked: Vec<String>,
}

impl Docker {
    /// Listens at `path`.
    pub(crate) fn serve(path: &Path) -> Self {
        let mut backend: Vec<Value> = serde_json::from_str(BACKEND).unwrap();
        let recorded =
            Recorded { listed: serde_json::from_str(LIST).unwrap(), backend: backend.remove(0), asked: Vec::new() };
        let state = Arc::new(Mutex::new(recorded));
        let listener = UnixListener::bind(path).unwrap();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let answer = service_fn(move |request: Request<Incoming>| {
                    let answer = shared.lock().unwrap().answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { state, task }
    }

    /// Changes what is said of the backend.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.lock().unwrap().backend);
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorded {
    fn answer(&mut self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let asked = format!("{} {}", request.method(), request.uri());
        self.asked.push(asked);
        let path = request.uri().path();
        let found = match path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json")) {
            Some(id) => self.listed.iter().find(|c| c["Id"] == id).map(|listed| self.inspected(listed)),
            None if path == "/containers/json" => Some(Value::Array(self.listed.clone())),
            None => None,
        };
        match found {
            Some(value) => Response::new(Full::from(value.to_string())),
            None => Response::builder().status(404).body(Full::from("{}")).unwrap(),
        }
    }

    /// The recorded inspection: of the backend as it is now, of the others the worker's, under their own names.
    fn inspected(&self, listed: &Value) -> Value {
        if listed["Id"] == self.backend["Id"] {
            return self.backend.clone();
        }
        let worker: Value = serde_json::from_str(WORKER).unwrap();
        let mut one = worker.as_array().map_or_else(|| worker.clone(), |all| all[0].clone());
        one["Id"] = listed["Id"].clone();
        one["Name"] = listed["Names"][0].clone();
        one["Config"]["Labels"] = listed["Labels"].clone();
        one["Config"]["Image"] = listed["Image"].clone();
        one["Path"] = json!("sh");
        one["Args"] = json!(["-c", listed["Command"]]);
        one
    }
}
