//! The events of a run, page by page from PostgreSQL to the stream.

use serde::Deserialize;
use serde_json::{json, Value};
use weir_edge_shared::discreet::place;
use weir_edge_shared::stream::StreamSender;
use weir_edge_shared::versions::StreamVersions;

use crate::step::StepError;

/// Orders and products asked for at once.
pub const PAGE_ROOTS: u32 = 500;

/// Bytes of events after which a page ends with the order that it is at. Text, parsed events and rows for the stream exist at once
/// in 128 MB, some five times as much as the page; an order of 500 lines, as large as they come, has 2 MB of events.
pub const PAGE_BYTES: u32 = 4_000_000;

/// A page of `weir.bulk_events`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Page {
    /// The events, each with the id that a webhook of the same fact has.
    pub events: Vec<Value>,
    /// Where the next page begins; null after the last.
    #[serde(default)]
    pub next: Option<Value>,
}

/// What became of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sent {
    /// Events that each bound version of the stream confirmed.
    pub streamed: i64,
    /// Events that the stream would have dropped, with the reason; they belong in the quarantine.
    pub invalid: Vec<Value>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// When it is not what the contract says.
    pub fn read(text: &str) -> Result<Self, StepError> {
        serde_json::from_str(text)
            .map_err(|error| StepError::passing("unreadable_answer", format!("weir.bulk_events: {}", place(&error))))
    }

    /// Checks the events and sends those that are valid.
    ///
    /// # Errors
    /// When the stream did not confirm a batch; then nothing of the page counts as sent, and sending it again is safe.
    pub async fn send(&self, streams: &StreamVersions<impl StreamSender>) -> Result<Sent, StepError> {
        let (mut rows, mut invalid) = (streams.rows(), Vec::new());
        for event in &self.events {
            if let Err(violation) = streams.add(&mut rows, event) {
                invalid.push(json!({"reason": violation.reason, "detail": violation.detail, "event": event}));
            }
        }
        let sent = streams.send(&rows).await;
        sent.map_err(|error| StepError::passing("stream", error.to_string()))?;
        Ok(Sent {
            streamed: i64::try_from(self.events.len() - invalid.len()).unwrap_or(i64::MAX),
            invalid,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use weir_edge_shared::stream::StreamError;

    use super::*;

    #[derive(Default)]
    struct Recorder {
        down: bool,
        rows: RefCell<usize>,
    }

    impl StreamSender for &Recorder {
        async fn send(&self, batch: &str) -> Result<(), StreamError> {
            if self.down {
                return Err(StreamError("503".into()));
            }
            *self.rows.borrow_mut() += serde_json::from_str::<Vec<Value>>(batch).unwrap().len();
            Ok(())
        }
    }

    fn only(recorder: &Recorder) -> StreamVersions<&Recorder> {
        StreamVersions::bound("commerce", |one| (one.stream == "commerce_v1").then_some(recorder)).unwrap()
    }

    fn page() -> Page {
        let event = json!({
            "event_id": "0b0c7b0e-0000-5000-8000-000000000000", "event_type": "order_created", "schema_version": 1,
            "occurred_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:01.000Z",
            "event_date": "2026-11-24", "event_hour": 10, "source": "bulk_sync", "shop_domain": "demo.myshopify.com",
        });
        let mut broken = event.clone();
        broken["event_type"] = 5.into();
        Page::read(&json!({"events": [event, broken], "next": "c"}).to_string()).unwrap()
    }

    #[test]
    fn what_the_stream_would_drop_is_kept_and_the_rest_is_sent() {
        let recorder = Recorder::default();
        let sent = pollster::block_on(page().send(&only(&recorder))).unwrap();
        assert_eq!((sent.streamed, sent.invalid.len(), *recorder.rows.borrow()), (1, 1, 1));
        assert_eq!(sent.invalid[0]["reason"], "type_mismatch");
    }

    #[test]
    fn a_batch_that_is_not_confirmed_is_not_sent() {
        let recorder = Recorder {
            down: true,
            ..Recorder::default()
        };
        let error = pollster::block_on(page().send(&only(&recorder))).unwrap_err();
        assert!(error.retry_after_millis.is_some());
    }
}
