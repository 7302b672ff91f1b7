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
pub struct Outcome {
    /// From the first request to the last answer.
    pub wall: Duration,
    latencies: Vec<Duration>,
}

impl Outcome {
    /// Requests a second.
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.wall.as_secs_f64()
    }

    /// Several outcomes as one.
    pub fn merged<'a>(outcomes: impl Iterator<Item = &'a Self>) -> Self {
        let (mut wall, mut latencies) = (Duration::ZERO, vec![]);
        for outcome in outcomes {
            wall += outcome.wall;
            latencies.extend_from_slice(&outcome.latencies);
        }
        latencies.sort_unstable();
        Self { wall, latencies }
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
    /// At the first answer that is not 200.
    pub async fn send(&self, count: usize, connections: usize) -> Result<Outcome> {
        let next = AtomicUsize::new(0);
        let began = Instant::now();
        let latencies = try_join_all((0..connections).map(|_| self.connection(&next, count))).await?;
        Ok(Outcome {
            wall: began.elapsed(),
            latencies: latencies.concat(),
        })
    }

    async fn connection(&self, next: &AtomicUsize, count: usize) -> Result<Vec<Duration>> {
        let mut stream = BufReader::new(TcpStream::connect(&self.address).await?);
        stream.get_ref().set_nodelay(true)?;
        let mut latencies = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(latencies);
            }
            let began = Instant::now();
            stream
                .get_mut()
                .write_all(&self.requests[index % self.requests.len()])
                .await?;
            answer(&mut stream).await?;
            self.taken.fetch_add(1, Ordering::Relaxed);
            latencies.push(began.elapsed());
        }
    }
}

/// Reads one whole answer, which must be 200 and say its length.
async fn answer(stream: &mut BufReader<TcpStream>) -> Result<()> {
    let (mut status, mut length) = (String::new(), None);
    stream.read_line(&mut status).await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(failed("the Worker closed the connection"));
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
