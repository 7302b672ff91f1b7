//! How many JSON events a second go through `POST /v1/streams/commerce_v1` of `weir serve` into committed Iceberg snapshots.
//!
//!     bench_lake FOLDER ingest [EVENTS]            as fast as it takes them
//!     bench_lake FOLDER steady [SECONDS [RATE]]    so many a second: how often a table gets a commit
//!
//! `ingest` writes the events it sends to FOLDER/events.jsonl, so that others can be fed the same. The server is the `weir`
//! beside this program, with its default settings. Bodies are ready before the clock starts; the sender costs what writing
//! to a socket costs, and its share of the processors is told. Prints a JSON object; asserts nothing about time. Run by
//! scripts/bench-lake.sh.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use weir_analytics::lake::Lake;
use weir_analytics::{Error, Result};

const TOKEN: &str = "bench";
/// As a Worker sends them: well under the 5 MB of a request.
const EVENTS_PER_REQUEST: usize = 2_000;
const CONNECTIONS: usize = 8;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| match arguments.get(at) {
        Some(text) => text.parse().map_err(|error| Error::Invalid(format!("{text}: {error}"))),
        None => Ok(default),
    };
    let folder = arguments.first().map(PathBuf::from).unwrap_or_default();
    match arguments.get(1).map(String::as_str) {
        Some("ingest") => ingest(&folder, number(2, 1_000_000)?),
        Some("steady") => steady(&folder, number(2, 90)?, number(3, 20_000)?),
        _ => Err(Error::Invalid(
            "usage: bench_lake FOLDER ingest [EVENTS] | steady [SECONDS [EVENTS_PER_SECOND]]".into(),
        )),
    }
}

fn ingest(folder: &Path, events: usize) -> Result<()> {
    let server = Server::start(&folder.join("ingest"))?;
    let mut requests = Vec::new();
    let mut bytes = 0;
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.join("events.jsonl"))?);
    for first in (0..events).step_by(EVENTS_PER_REQUEST) {
        let rows: Vec<_> = (first..events.min(first + EVENTS_PER_REQUEST)).map(event).collect();
        for row in &rows {
            serde_json::to_writer(&mut file, row)?;
            file.write_all(b"\n")?;
        }
        let body = serde_json::to_vec(&rows)?;
        bytes += body.len();
        requests.push(server.request("/v1/streams/commerce_v1", &body));
    }
    file.flush()?;
    let cpu = [Cpu::of(server.process.id())?, Cpu::of(std::process::id())?];
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = server.connect()?;
                    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                        while connection.send(request)? == 503 {
                            refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(50));
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(joined)
    })?;
    let acknowledged = began.elapsed();
    server.flush()?;
    let committed = began.elapsed();
    let [server_cpu, sender_cpu] = [Cpu::of(server.process.id())?, Cpu::of(std::process::id())?];
    let table = server.table()?;
    if table.records != events as u64 {
        let found = table.records;
        return Err(Error::Internal(format!("{found} of {events} events are in the table")));
    }
    let per_second = |elapsed: Duration| (events as f64 / elapsed.as_secs_f64()).round();
    println!(
        "{}",
        json!({
            "what": "weir: POST to committed Iceberg", "events": events, "bytes_per_event": bytes / events.max(1),
            "acknowledged_per_second": per_second(acknowledged), "committed_per_second": per_second(committed),
            "seconds": committed.as_secs_f64(), "commits": table.snapshots, "refused_requests": refused.into_inner(),
            "server_cpu_seconds": server_cpu.since(&cpu[0]), "sender_cpu_seconds": sender_cpu.since(&cpu[1]),
            "server_peak_mib": server.peak_mib()?, "table_bytes_per_event": table.bytes / events.max(1) as u64,
        })
    );
    server.stop()
}

fn steady(folder: &Path, seconds: usize, per_second: usize) -> Result<()> {
    let server = Server::start(&folder.join("steady"))?;
    let rows = (per_second / 10).clamp(1, EVENTS_PER_REQUEST);
    let requests = seconds * per_second / rows;
    let pause = Duration::from_secs_f64(rows as f64 / per_second as f64);
    let mut connection = server.connect()?;
    let began = Instant::now();
    for number in 0..requests {
        let body = serde_json::to_vec(&(number * rows..(number + 1) * rows).map(event).collect::<Vec<_>>())?;
        let due = pause * u32::try_from(number).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let status = connection.send(&server.request("/v1/streams/commerce_v1", &body))?;
        if status != 200 {
            return Err(Error::Internal(format!("the server answered {status}")));
        }
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let commits = server.table()?.snapshots;
    println!(
        "{}",
        json!({
            "what": "weir: commits at steady load", "events_per_second": per_second, "seconds": minutes * 60.0,
            "commits": commits, "commits_per_minute": (commits as f64 / minutes * 10.0).round() / 10.0,
            "server_peak_mib": server.peak_mib()?,
        })
    );
    server.stop()
}

fn joined(client: std::thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    client.join().map_err(|_| Error::Internal("a sender panicked".into()))?
}

/// `weir serve`; ended on drop.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(warehouse: &Path) -> Result<Self> {
        let weir = std::env::current_exe()?.with_file_name("weir");
        let mut process = Command::new(&weir)
            .args(["serve", "--listen", "127.0.0.1:0", "--token", TOKEN, "--warehouse"])
            .arg(warehouse)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::Invalid(format!("{}: {error}; build it beside this", weir.display())))?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let ready: Value = serde_json::from_str(&line)?;
        let address = ready["listening"].as_str().unwrap_or_default();
        let address = address.trim_start_matches("http://").to_owned();
        Ok(Self { process, address })
    }

    fn request(&self, path: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        Ok(Connection(stream))
    }

    fn flush(&self) -> Result<()> {
        match self.connect()?.send(&self.request("/v1/flush", &[]))? {
            200 => Ok(()),
            status => Err(Error::Internal(format!("the flush was answered {status}"))),
        }
    }

    fn table(&self) -> Result<weir_analytics::lake::inspect::TableSummary> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let lake = Lake::new(&format!("http://{}/iceberg", self.address), None).await?;
            let table = iceberg::TableIdent::from_strs(["commerce", "telemetry"])?;
            lake.summary(&table).await
        })
    }

    /// The most memory it has had resident so far.
    fn peak_mib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.unwrap_or_default() / 1024)
    }

    fn stop(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already if all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection that is kept alive.
struct Connection(TcpStream);

impl Connection {
    /// Sends a request that is ready; the status of its answer, whose body is only read past.
    fn send(&mut self, request: &[u8]) -> Result<u16> {
        let malformed = || Error::Internal("the server's answer is no HTTP".into());
        self.0.write_all(request)?;
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        let head = loop {
            let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            match self.0.read(&mut chunk)? {
                0 => return Err(malformed()),
                count => answer.extend_from_slice(&chunk[..count]),
            }
        };
        let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
        let length = text
            .split("content-length:")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let mut length: usize = length.and_then(|text| text.trim().parse().ok()).ok_or_else(malformed)?;
        length = length.saturating_sub(answer.len() - head);
        self.0.read_exact(&mut vec![0; length])?;
        text.split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(malformed)
    }
}

/// Processor time of a process.
struct Cpu {
    user: f64,
    system: f64,
}

impl Cpu {
    fn of(process: u32) -> Result<Self> {
        /// USER_HZ, the same on every Linux.
        const TICKS_PER_SECOND: f64 = 100.0;
        let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name before it may contain blanks.
        let fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let seconds = |at: usize| {
            let ticks = fields.split(' ').nth(at).and_then(|text| text.parse::<f64>().ok());
            ticks.unwrap_or_default() / TICKS_PER_SECOND
        };
        Ok(Self {
            user: seconds(11),
            system: seconds(12),
        })
    }

    fn since(&self, before: &Self) -> Value {
        let round = |seconds: f64| (seconds * 100.0).round() / 100.0;
        json!({ "user": round(self.user - before.user), "system": round(self.system - before.system) })
    }
}

/// A plain order event: header, one line, one ledger entry. Values follow from its number; ids look random, as real ones do.
fn event(number: usize) -> Value {
    let product = (number % 500).to_string();
    let total = 1_000 + (number % 9_000) as i64;
    let order = 5_000_000_000_000 + number * 32_768;
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = [
        mixed ^ (mixed >> 29),
        mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (mixed >> 31),
    ];
    json!({
        "event_id": uuid::Uuid::from_u64_pair(mixed[0], mixed[1]).to_string(),
        "event_type": "order_created", "schema_version": 1,
        "occurred_at": format!("2026-11-24T10:{:02}:{:02}.{:03}Z", number / 60 % 60, number % 60, number % 1000),
        "received_at": "2026-11-24T10:59:59.000Z", "event_date": "2026-11-24", "event_hour": 10, "source": "webhook",
        "shop_domain": "demo.myshopify.com", "shop_time_zone": "Asia/Tokyo", "order_id": order.to_string(),
        "order_revision": 1, "currency": "EUR", "currency_exponent": 2, "total_price": total,
        "lines": [{"line_item_id": (order + 1).to_string(), "product_id": product, "quantity": 1, "unit_price": total}],
        "sales": [{"product_id": product, "day": "2026-11-24", "kind": "sale", "units_sold": 1, "units_returned": 0,
            "gross_sales": total, "discounts": 0, "returns": 0, "net_sales": total}],
    })
}
