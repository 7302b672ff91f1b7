//! A proxy in front of a catalog or an object storage that fails as it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{to_bytes, Body};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status and never forwarded.
    Refuse(u16),
    /// It is answered so, with `Retry-After: 1`.
    RefuseFor1s(u16),
    /// It is forwarded, and the answer is replaced by 502: the client cannot know that it took effect.
    LoseAnswer,
    /// It is forwarded after so many milliseconds.
    Delay(u64),
    /// It is forwarded when the test says so.
    Hold,
}

type Rule = Box<dyn FnMut(&Method, &str) -> Option<Fault> + Send>;

#[derive(Clone)]
struct Inner {
    target: String,
    http: reqwest::Client,
    rule: Arc<Mutex<Rule>>,
    /// A request is held; it may go on.
    held: Arc<[tokio::sync::Notify; 2]>,
    faults: Arc<Mutex<Vec<Fault>>>,
}

/// Ends with the test.
pub struct Proxy {
    pub url: String,
    inner: Inner,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Proxy {
    /// In front of `target`; `rule` sees method and path of every request.
    pub async fn start(target: &str, rule: impl FnMut(&Method, &str) -> Option<Fault> + Send + 'static) -> Self {
        let inner = Inner {
            target: target.to_owned(),
            http: reqwest::Client::new(),
            rule: Arc::new(Mutex::new(Box::new(rule))),
            held: Arc::default(),
            faults: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(forward).with_state(inner.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, inner, serving }
    }

    /// Another rule from now on.
    pub fn rule(&self, rule: impl FnMut(&Method, &str) -> Option<Fault> + Send + 'static) {
        *self.inner.rule.lock().unwrap() = Box::new(rule);
    }

    /// Waits for a request that is held.
    pub async fn held(&self) {
        self.inner.held[0].notified().await;
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.inner.held[1].notify_one();
    }

    /// Faults that have happened.
    pub fn faults(&self) -> Vec<Fault> {
        self.inner.faults.lock().unwrap().clone()
    }
}

async fn forward(State(proxy): State<Inner>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let fault = (proxy.rule.lock().unwrap())(&parts.method, &path);
    proxy.faults.lock().unwrap().extend(fault);
    match fault {
        Some(Fault::Refuse(status)) => return StatusCode::from_u16(status).unwrap().into_response(),
        Some(Fault::RefuseFor1s(status)) => {
            return (StatusCode::from_u16(status).unwrap(), [("retry-after", "1")]).into_response()
        }
        Some(Fault::Delay(millis)) => tokio::time::sleep(Duration::from_millis(millis)).await,
        Some(Fault::Hold) => {
            proxy.held[0].notify_one();
            proxy.held[1].notified().await;
        }
        Some(Fault::LoseAnswer) | None => {}
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("content-length");
    let sent = proxy
        .http
        .request(parts.method, format!("{}{path}", proxy.target))
        .headers(headers)
        .body(body)
        .send()
        .await;
    let Ok(answer) = sent else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if fault == Some(Fault::LoseAnswer) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "transfer-encoding" {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}
