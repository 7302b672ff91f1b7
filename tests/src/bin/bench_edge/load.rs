//! The sender: whole requests prepared beforehand, a few kept-alive connections, one request at a time on each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use weir_tests::shop::Delivery;
use weir_tests::workerd::SECRETS;
use weir_tests::{failed, Result};

/// Signed deliveries for one Worker.
pub struct Load {
    address: String,
    requests: Vec<Vec<u8>>,
    taken: AtomicUsize,
}

/// What became of a number of requests, all of which were answered 200.
#[derive(Default)]
pub struct Outcome {
    /// From the first request to the last answer.
    wall: Duration,
    latencies: Vec<Duration>,
    /// Requests that were sent again, since their connection had been closed when they came.
    repeated: usize,
}

impl Outcome {
    /// Requests a second.
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.wall.as_secs_f64()
    }

    /// Several outcomes as one.
    pub fn merged<'a>(outcomes: impl Iterator<Item = &'a Self>) -> Self {
        let mut merged = Self::default();
        for outcome in outcomes {
            merged.wall += outcome.wall;
            merged.latencies.extend_from_slice(&outcome.latencies);
            merged.repeated += outcome.repeated;
        }
        merged.latencies.sort_unstable();
        merged
    }

    /// What to say of requests that were sent again; empty when there are none.
    pub fn repetitions(&self) -> String {
        match self.repeated {
            0 => String::new(),
            count => format!(" ({count} sent again over another connection)"),
        }
    }

    /// Latency in milliseconds that `percent` of the requests of a merged outcome did not exceed.
    pub fn percentile(&self, percent: usize) -> f64 {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len() - 1);
        self.latencies[index].as_secs_f64() * 1e3
    }
}

impl Load {
    /// Prepares `deliveries` for the Worker at `url`.
    pub fn new(url: &str, deliveries: &[Delivery]) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let request = |delivery: &Delivery| {
            let head = format!(
                "POST /webhooks/shopify HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 X-Shopify-Topic: {}\r\nX-Shopify-Shop-Domain: {}\r\nX-Shopify-Webhook-Id: {}\r\nX-Shopify-Triggered-At: {}\r\n\
                 X-Shopify-API-Version: 2026-10\r\nX-Shopify-Hmac-Sha256: {}\r\n\r\n",
                delivery.body.len(),
                delivery.topic,
                delivery.shop_domain,
                delivery.webhook_id,
                delivery.triggered_at,
                delivery.signature(SECRETS[0])
            );
            [head.as_bytes(), &delivery.body].concat()
        };
        let requests = deliveries.iter().map(request).collect();
        let taken = AtomicUsize::new(0);
        Self {
            address,
            requests,
            taken,
        }
    }

    /// How many requests have been answered 200 so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Sends `count` requests, the prepared ones in turn, over `connections`.
    ///
    /// # Errors
    /// At the first answer that is not 200, and when a connection breaks during one.
    pub async fn send(&self, count: usize, connections: usize) -> Result<Outcome> {
        let next = AtomicUsize::new(0);
        let began = Instant::now();
        let parts = try_join_all((0..connections).map(|_| self.connection(&next, count))).await?;
        let mut outcome = Outcome::merged(parts.iter());
        outcome.wall = began.elapsed();
        Ok(outcome)
    }

    async fn connection(&self, next: &AtomicUsize, count: usize) -> Result<Outcome> {
        let mut connection = Connection::open(&self.address).await?;
        let mut outcome = Outcome::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(outcome);
            }
            let request = &self.requests[index % self.requests.len()];
            let began = Instant::now();
            while !connection.answered(request).await? {
                eprintln!("{connection}; the request is sent again");
                outcome.repeated += 1;
                connection = Connection::open(&self.address).await?;
            }
            self.taken.fetch_add(1, Ordering::Relaxed);
            outcome.latencies.push(began.elapsed());
        }
    }
}

/// A connection that is kept alive from request to request.
struct Connection {
    stream: BufReader<TcpStream>,
    answers: usize,
    last_answer: Instant,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            answers: 0,
            last_answer: Instant::now(),
        })
    }

    /// Sends `request` and reads its answer, which must be 200. False when the server had closed the connection between
    /// two requests, as it may at any time (RFC 9112, 9.5): it has not read this one. workerd does so after 5 s without a
    /// request; also when it did not get to run for 5 s and the request lies there, which then is so of all connections.
    ///
    /// # Errors
    /// At another answer, and when the connection breaks during one or before the first.
    async fn answered(&mut self, request: &[u8]) -> Result<bool> {
        let sent = self.stream.get_mut().write_all(request).await;
        let begun = match sent {
            Ok(()) => self.stream.fill_buf().await.map(|bytes| !bytes.is_empty()),
            Err(error) => Err(error),
        };
        match begun {
            Ok(true) => answer(&mut self.stream).await?,
            Ok(false) if self.answers > 0 => return Ok(false),
            Err(error) if self.answers > 0 && is_closed(&error) => return Ok(false),
            Ok(false) => return Err(failed("the Worker closed the connection without any answer")),
            Err(error) => return Err(error.into()),
        }
        self.answers += 1;
        self.last_answer = Instant::now();
        Ok(true)
    }
}

impl std::fmt::Display for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "the Worker closed a connection after {} answers, {:?} after the last",
            self.answers,
            self.last_answer.elapsed()
        )
    }
}

fn is_closed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

/// Reads one whole answer, which must be 200 and say its length.
async fn answer(stream: &mut BufReader<TcpStream>) -> Result<()> {
    let (mut status, mut length) = (String::new(), None);
    stream.read_line(&mut status).await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(failed(format!(
                "the Worker closed the connection within an answer: {status}"
            )));
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse()?);
        }
    }
    let mut body = vec![0; length.ok_or_else(|| failed(format!("an answer without length: {status}")))?];
    stream.read_exact(&mut body).await?;
    if status.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(failed(format!(
        "{} {}",
        status.trim_end(),
        String::from_utf8_lossy(&body)
    )))
}
