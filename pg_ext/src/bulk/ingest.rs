//! A chunk of lines, kept until what belongs together is there.

use std::collections::btree_map::Entry;
use std::collections::BTreeMap;

use pgrx::spi::{Spi, SpiClient};
use serde::{Deserialize, Serialize};
use weir_domain::shopify::bulk::{BulkKind, BulkLine, Gid, Part};
use weir_domain::shopify::BodyError;

use super::{operation_id, read_run, refuse, source, time};
use crate::privacy;
use crate::report;
use crate::store::{self, Operation, StoredLine};

/// Kind of the key under which a line is kept whose own id cannot be read, so that its parent is known to lack it.
const UNREADABLE: &str = "unreadable";

#[derive(Deserialize)]
struct Run {
    operation_id: String,
    kind: String,
    source: String,
    started_at: String,
    received_at: String,
}

/// The answer of `weir.ingest_bulk`: read = upserted + unchanged + rejected.
#[derive(Serialize, Default)]
struct Answer<'a> {
    read: usize,
    upserted: usize,
    unchanged: usize,
    rejected: usize,
    roots: usize,
    rejections: Vec<Rejection<'a>>,
}

#[derive(Serialize)]
struct Rejection<'a> {
    /// From 1, in this chunk.
    line: usize,
    id: Option<String>,
    reason: &'a str,
    detail: String,
}

/// Reads a chunk and returns what became of its lines as JSON text.
pub fn ingest(shop_domain: &str, lines: &str, run: &str) -> String {
    let run: Run = read_run(run);
    source(&run.source);
    let kind = BulkKind::from_name(&run.kind)
        .unwrap_or_else(|| refuse("kind is none of orders_core, orders_ledger, products."));
    let operation = Operation {
        operation_id: operation_id(&run.operation_id),
        kind: kind.as_str(),
        started_at: time(&run.started_at, "started_at"),
        received_at: time(&run.received_at, "received_at"),
    };
    let lines = lines.lines().enumerate().filter(|(_, text)| !text.trim().is_empty());
    let lines: Vec<(usize, &str)> = lines.map(|(index, text)| (index + 1, text)).collect();
    let answer = Spi::connect_mut(|client| {
        let Some(shop) = privacy::enter_shop(client, shop_domain) else {
            return refuse_all(&lines, "unknown_shop", "the shop is not registered");
        };
        if !store::read_redacted(client, &[(shop.shop_id, 0)].into()).is_empty() {
            return refuse_all(&lines, "redacted", "the shop was forgotten");
        }
        let mut chunk = Chunk::read(&lines, kind, operation.started_at);
        chunk.resolve(client, shop.shop_id);
        store::write_operation(client, shop.shop_id, &operation);
        let rows: Vec<StoredLine> = chunk.rows.into_values().collect();
        let new = store::write_lines(client, shop.shop_id, operation.operation_id, &rows);
        let mut answer = chunk.answer;
        answer.upserted = usize::try_from(new).unwrap_or_default();
        answer.unchanged = answer.read - answer.rejected - answer.upserted;
        answer
    });
    report::json_text(&answer, "weir.ingest_bulk")
}

fn refuse_all<'a>(lines: &[(usize, &str)], reason: &'a str, detail: &str) -> Answer<'a> {
    let rejections = lines.iter().map(|(line, _)| Rejection {
        line: *line,
        id: None,
        reason,
        detail: detail.to_owned(),
    });
    Answer {
        read: lines.len(),
        rejected: lines.len(),
        rejections: rejections.collect(),
        ..Answer::default()
    }
}

/// The lines of a call by the node they tell of: a node that comes twice is written once.
#[derive(Default)]
struct Chunk {
    rows: BTreeMap<(String, i64), StoredLine>,
    answer: Answer<'static>,
}

impl Chunk {
    fn read(lines: &[(usize, &str)], kind: BulkKind, read_at: i64) -> Self {
        let mut chunk = Self::default();
        for (number, text) in lines {
            chunk.answer.read += 1;
            match BulkLine::read(kind, text, read_at) {
                Ok(line) => chunk.keep(line),
                Err(error) => chunk.reject(*number, text, &error),
            }
        }
        chunk
    }

    fn keep(&mut self, line: BulkLine) {
        self.answer.roots += usize::from(line.parent.is_none());
        let Some(gid) = line.gid.filter(|_| line.part != Part::Nothing) else {
            return;
        };
        let content = serde_json::to_string(&line.part)
            .unwrap_or_else(|_| report::internal("a line cannot be kept", "commerce.bulk_line"));
        self.put(StoredLine {
            gid,
            parent: line.parent,
            content: Some(content),
            customer_id: line.customer_id,
            raw: line.raw,
        });
    }

    fn reject(&mut self, number: usize, text: &str, error: &BodyError) {
        let (gid, parent) = (BulkLine::gid_in(text), BulkLine::parent_in(text));
        self.answer.rejected += 1;
        self.answer.rejections.push(Rejection {
            line: number,
            id: gid
                .as_ref()
                .map(|gid| format!("gid://shopify/{}/{}", gid.resource, gid.id)),
            reason: error.reason.as_str(),
            detail: error.place(),
        });
        // Its order or product must not be taken for whole.
        let gid = gid.or_else(|| {
            parent.as_ref().map(|_| Gid {
                resource: UNREADABLE.to_owned(),
                id: digest(text),
            })
        });
        if let Some(gid) = gid {
            self.put(StoredLine {
                gid,
                parent,
                content: None,
                customer_id: None,
                raw: None,
            });
        }
    }

    /// The last telling of a node stays, and a readable one before a broken one.
    fn put(&mut self, line: StoredLine) {
        match self.rows.entry((line.gid.resource.clone(), line.gid.id)) {
            Entry::Vacant(entry) => _ = entry.insert(line),
            Entry::Occupied(mut entry) if line.content.is_some() => _ = entry.insert(line),
            Entry::Occupied(_) => {}
        }
    }

    /// Names those whom merged customers were merged into, and takes out customers who were forgotten.
    fn resolve(&mut self, client: &mut SpiClient<'_>, shop_id: i64) {
        let named = self.rows.values().filter_map(|row| Some((shop_id, row.customer_id?)));
        let orders = self.rows.keys().filter(|(resource, _)| resource == "Order");
        let orders = orders.map(|(_, id)| (shop_id, *id));
        let forgotten = store::read_forgotten(client, &named.collect(), &orders.collect());
        for ((resource, id), row) in &mut self.rows {
            let customer = row.customer_id.map(|id| (shop_id, id));
            let is_redacted = resource == "Order" && forgotten.orders.contains(&(shop_id, *id));
            if is_redacted || customer.is_some_and(|key| forgotten.customers.contains(&key)) {
                (row.customer_id, row.raw) = (None, None);
            } else if let Some(into) = customer.and_then(|key| forgotten.merged.get(&key)) {
                row.customer_id = Some(*into);
            }
        }
    }
}

/// FNV-1a of a text: tells unreadable lines apart.
fn digest(text: &str) -> i64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::from_le_bytes(hash.to_le_bytes())
}
