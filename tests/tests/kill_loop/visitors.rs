//! Visitors who go on while parts are killed: what was accepted of them is in PostgreSQL and the lake as well.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use weir_tests::publication::{PublicationWorker, ITEM, PUBLISHER};
use weir_tests::shop::Shop;
use weir_tests::stack::Stack;
use weir_tests::{failed, Result};

use crate::{until, SETTLE};

/// Between two batches: a load, not the most that the Worker takes.
const PAUSE: Duration = Duration::from_millis(20);

/// Their Worker, which nobody kills: miniflare's queue would die with it.
pub struct Visitors {
    worker: PublicationWorker,
    shop: &'static str,
    sent: usize,
    /// Ids of accepted events.
    accepted: BTreeSet<String>,
    /// Those of them that PostgreSQL is to know.
    conversions: BTreeSet<String>,
}

impl Visitors {
    /// Starts the Worker over the parts of `stack`, the gate before the lake included.
    pub fn start(stack: &Stack, shop: &Shop) -> Result<Self> {
        let lake = stack.gate.as_ref().map_or(&stack.lake.url, |gate| &gate.url);
        Ok(Self {
            worker: PublicationWorker::start(&stack.database.edge_url, lake, &[shop.domain])?,
            shop: shop.domain,
            sent: 0,
            accepted: BTreeSet::new(),
            conversions: BTreeSet::new(),
        })
    }

    /// Sends clicks and conversions until `is_over`, each until it is accepted.
    ///
    /// # Errors
    /// When one is rejected, or never accepted.
    pub async fn visit(&mut self, is_over: &AtomicBool) -> Result<()> {
        while !is_over.load(Ordering::Relaxed) {
            self.sent += 1;
            let event = |kind: &str, more: Value| {
                let mut event = json!({"event_type": kind, "event_key": format!("{kind}-{}", self.sent),
                    "shop_domain": self.shop, "item_id": ITEM, "publisher_id": PUBLISHER});
                event
                    .as_object_mut()
                    .into_iter()
                    .for_each(|fields| fields.extend(more.as_object().cloned().unwrap_or_default()));
                event
            };
            let events = [
                event("click", json!({})),
                event("conversion", json!({"order_id": self.sent.to_string()})),
            ];
            let deadline = Instant::now() + SETTLE;
            while !self.send(&events).await? {
                if Instant::now() > deadline {
                    return Err(failed(format!(
                        "interactions are refused for good:\n{}",
                        self.worker.log()
                    )));
                }
                tokio::time::sleep(PAUSE).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Whether all `events`, of which the second is a conversion, are accepted.
    async fn send(&mut self, events: &[Value; 2]) -> Result<bool> {
        let (status, answer) = self.worker.send(events, false).await?;
        let verdict = |index: usize| answer["verdicts"][index]["verdict"].as_str().unwrap_or_default();
        match (status, verdict(0), verdict(1)) {
            (202, "accepted", "accepted") => {
                let id = |index: usize| {
                    answer["verdicts"][index]["event_id"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned()
                };
                self.accepted.extend([id(0), id(1)]);
                self.conversions.insert(id(1));
                Ok(true)
            }
            (503, ..) => Ok(false),
            _ => Err(failed(format!("{status} {answer}"))),
        }
    }

    /// Waits until everything accepted has arrived, and nothing else has: PostgreSQL has each conversion, the lake each event.
    ///
    /// # Errors
    /// When something is missing for good, or there is more.
    pub async fn assert_all_are_there(&self, stack: &Stack) -> Result<()> {
        println!("{} interactions were accepted meanwhile", self.accepted.len());
        assert!(
            self.accepted.len() > 20 && self.accepted.len() == 2 * self.sent,
            "{} events",
            self.accepted.len()
        );
        until("each conversion in PostgreSQL", async || {
            let sql = "select event_id from publication.publication_telemetry";
            let rows = stack.admin.query(sql, &[]).await?;
            let known: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(known.len(), rows.len());
            assert!(known.is_subset(&self.conversions), "conversions of nobody");
            Ok(known == self.conversions)
        })
        .await?;
        until("each interaction in the lake", async || {
            stack.lake.flush().await?;
            let rows = stack.lake.read_back("duckdb", "publication.telemetry").await?;
            let ids = rows
                .iter()
                .filter_map(|row| row["event_id"].as_str().map(str::to_owned));
            let known: BTreeSet<String> = ids.collect();
            assert!(known.is_subset(&self.accepted), "interactions of nobody");
            Ok(known == self.accepted)
        })
        .await
    }
}
