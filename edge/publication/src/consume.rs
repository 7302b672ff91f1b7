//! A batch from the queue: domain-level events to PostgreSQL and what they cause to COMMERCE_TELEMETRY; rows that the
//! stream did not take when they came, to the stream.
//!
//! A message is acknowledged only when all of its consequences are confirmed, or when it is durably in the quarantine.
//! Repeating is safe: `weir.record_interactions` knows an event again and returns what it has caused.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use weir_edge_shared::call::CallTransport;
use weir_edge_shared::decision::Decision;
use weir_edge_shared::ingest::{IngestError, Verdict};
use weir_edge_shared::sql::Argument;
use weir_edge_shared::stream::{EventViolation, StreamSender};
use weir_edge_shared::versions::{Rows, StreamVersions};

/// Verdict on one interaction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InteractionVerdict {
    /// The event.
    pub event_id: Option<String>,
    /// `accepted`, `duplicate` or `rejected`.
    pub verdict: Verdict,
    /// Reason class of a rejection.
    #[serde(default)]
    pub reason: Option<String>,
    /// What and where.
    #[serde(default)]
    pub detail: Option<String>,
}

/// What `weir.record_interactions` answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Recorded {
    /// One per interaction, in the order given.
    pub interactions: Vec<InteractionVerdict>,
    /// Commerce events of the orders whose attribution changed.
    pub events: Vec<Value>,
}

impl Recorded {
    /// Reads the answer to a call with `count` interactions.
    ///
    /// # Errors
    /// [`IngestError`] without SQLSTATE when the answer is not what the contract says.
    pub fn parse(text: &str, count: usize) -> Result<Self, IngestError> {
        let recorded: Self =
            serde_json::from_str(text).map_err(|error| IngestError::unreadable("weir.record_interactions", &error))?;
        if recorded.interactions.len() != count {
            let got = recorded.interactions.len();
            return Err(IngestError::connection(format!(
                "{got} verdicts for {count} interactions"
            )));
        }
        Ok(recorded)
    }
}

/// Why a batch as a whole has no decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// The call failed, or its answer is none.
    Call(IngestError),
    /// Something that the batch causes would be dropped by the stream.
    Invalid(EventViolation),
}

impl From<IngestError> for Failure {
    fn from(error: IngestError) -> Self {
        Self::Call(error)
    }
}

/// Records `events` and decides each, in the order given. `commerce` is where the events go that they cause.
pub async fn record(
    events: &[&Value],
    transport: &impl CallTransport,
    commerce: &StreamVersions<impl StreamSender>,
) -> Vec<Decision> {
    let outcome = process(events, transport, commerce).await;
    let may_be_of_one = match &outcome {
        Ok(_) => false,
        Err(Failure::Call(error)) => error.may_be_of_one(),
        Err(Failure::Invalid(_)) => true,
    };
    // One poisonous event fails the whole batch. Alone, it is found; its neighbours are not held up.
    if !may_be_of_one || events.len() <= 1 {
        return settle(outcome, events.len());
    }
    // Until PostgreSQL or the stream does not answer any more: a hundred waits would outlast the invocation. The others are retried.
    let mut decisions = Vec::with_capacity(events.len());
    for event in events {
        let outcome = process(&[event], transport, commerce).await;
        let is_over = match &outcome {
            // Of an answer as it should be only the stream's failure is to be retried.
            Ok(decisions) => matches!(decisions[..], [Decision::Retry { .. }]),
            Err(Failure::Call(error)) => error.sqlstate.is_none(),
            Err(Failure::Invalid(_)) => false,
        };
        decisions.extend(settle(outcome, 1));
        if let (true, Some(last)) = (is_over, decisions.last().cloned()) {
            decisions.resize(events.len(), last);
            break;
        }
    }
    decisions
}

fn settle(outcome: Result<Vec<Decision>, Failure>, count: usize) -> Vec<Decision> {
    let decision = match outcome {
        Ok(decisions) => return decisions,
        Err(Failure::Call(error)) if error.is_about_the_data() => {
            Decision::quarantine("database_refused", error.to_string())
        }
        Err(Failure::Call(error)) => Decision::Retry {
            cause: error.to_string(),
        },
        Err(Failure::Invalid(violation)) => Decision::quarantine(violation.reason, violation.detail),
    };
    vec![decision; count]
}

async fn process(
    events: &[&Value],
    transport: &impl CallTransport,
    commerce: &StreamVersions<impl StreamSender>,
) -> Result<Vec<Decision>, Failure> {
    let argument = serde_json::to_string(events).map_err(|error| IngestError::connection(error.to_string()))?;
    let answer = transport
        .call("weir.record_interactions", &[Argument::Json(&argument)])
        .await?;
    let recorded = Recorded::parse(&answer, events.len())?;
    let (rows, valid) = checked(&recorded.events, commerce);
    // The answer does not say which interaction causes what: only of a single one is it known.
    if events.len() > 1 {
        valid.clone()?;
    }
    let sent = commerce.send(&rows).await;
    let decide = |verdict: &InteractionVerdict| {
        if verdict.verdict == Verdict::Rejected {
            let reason = verdict.reason.as_deref().unwrap_or("rejected");
            return Ok(Decision::quarantine(reason, verdict.detail.clone().unwrap_or_default()));
        }
        match &sent {
            Ok(()) => valid.clone().map(|()| Decision::Acknowledge),
            Err(error) => Ok(Decision::Retry {
                cause: error.to_string(),
            }),
        }
    };
    recorded.interactions.iter().map(decide).collect()
}

/// The rows to send, each event once, and the first that the stream would drop.
fn checked(events: &[Value], commerce: &StreamVersions<impl StreamSender>) -> (Rows, Result<(), Failure>) {
    let (mut rows, mut seen, mut valid) = (commerce.rows(), HashSet::new(), Ok(()));
    for event in events {
        let event_id = event.get("event_id").and_then(Value::as_str).unwrap_or_default();
        if seen.insert(event_id) {
            let added = commerce.add(&mut rows, event).map_err(|violation| {
                let detail = format!("event {event_id}: {}", violation.detail);
                Failure::Invalid(EventViolation { detail, ..violation })
            });
            valid = valid.and(added);
        }
    }
    (rows, valid)
}

/// Sends `rows` to the stream and decides the message they came in: one row that a version of the stream would drop, and the
/// message is kept when the others are sent.
pub async fn resend(rows: &[Value], streams: &StreamVersions<impl StreamSender>) -> Decision {
    let (mut ready, mut refused) = (streams.rows(), Ok(()));
    for row in rows {
        refused = refused.and(streams.add(&mut ready, row));
    }
    match (streams.send(&ready).await, refused) {
        (Err(error), _) => Decision::Retry {
            cause: error.to_string(),
        },
        (Ok(()), Err(violation)) => Decision::quarantine(violation.reason, violation.detail),
        (Ok(()), Ok(())) => Decision::Acknowledge,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;
    use weir_edge_shared::stream::StreamError;

    use super::*;

    type Answer = Box<dyn Fn(usize, &str) -> Result<String, IngestError>>;

    struct Database {
        answer: Answer,
        statements: RefCell<Vec<String>>,
    }

    impl CallTransport for Database {
        async fn call(&self, function: &str, arguments: &[Argument<'_>]) -> Result<String, IngestError> {
            let statement = weir_edge_shared::sql::call_statement(function, arguments).unwrap();
            self.statements.borrow_mut().push(statement.clone());
            (self.answer)(self.statements.borrow().len(), &statement)
        }
    }

    #[derive(Default)]
    struct Stream {
        down: bool,
        got: RefCell<Vec<String>>,
    }

    impl StreamSender for &Stream {
        async fn send(&self, batch: &str) -> Result<(), StreamError> {
            if self.down {
                return Err(StreamError("down".into()));
            }
            self.got.borrow_mut().push(batch.to_owned());
            Ok(())
        }
    }

    /// The first version of `family`.
    fn only<'a>(family: &str, stream: &'a Stream) -> StreamVersions<&'a Stream> {
        StreamVersions::bound(family, |one| one.stream.ends_with("_v1").then_some(stream)).unwrap()
    }

    fn order_updated() -> Value {
        json!({
            "event_id": "e-1", "event_type": "order_updated", "schema_version": 1,
            "occurred_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:01.000Z",
            "event_date": "2026-11-24", "event_hour": 10, "source": "interaction", "shop_domain": "demo.myshopify.com",
            "order_id": "7", "publisher_id": "p-1",
        })
    }

    fn run(answer: Answer, stream: &Stream, count: usize) -> (Vec<Decision>, Vec<String>) {
        let events: Vec<Value> = (0..count)
            .map(|number| json!({"event_id": format!("i-{number}")}))
            .collect();
        let database = Database {
            answer,
            statements: RefCell::default(),
        };
        let events: Vec<&Value> = events.iter().collect();
        let decisions = pollster::block_on(record(&events, &database, &only("commerce", stream)));
        (decisions, database.statements.into_inner())
    }

    fn answer(verdicts: &[&str], events: &[Value]) -> String {
        let interactions: Vec<Value> = verdicts
            .iter()
            .map(|verdict| json!({"event_id": "i", "verdict": verdict, "reason": "unknown_shop", "detail": "d"}))
            .collect();
        json!({"interactions": interactions, "events": events}).to_string()
    }

    #[test]
    fn a_batch_is_one_call_and_what_it_causes_is_sent_once() {
        let stream = Stream::default();
        let text = answer(
            &["accepted", "duplicate", "rejected"],
            &[order_updated(), order_updated()],
        );
        let (decisions, statements) = run(Box::new(move |_, _| Ok(text.clone())), &stream, 3);
        assert_eq!(decisions[..2], [Decision::Acknowledge, Decision::Acknowledge]);
        assert_eq!(decisions[2], Decision::quarantine("unknown_shop", "d"));
        assert_eq!(
            statements,
            [
                r#"select weir.record_interactions('[{"event_id":"i-0"},{"event_id":"i-1"},{"event_id":"i-2"}]'::json)::text"#
            ]
        );
        let sent: Vec<Value> = serde_json::from_str(&stream.got.borrow()[0]).unwrap();
        assert_eq!(sent, [order_updated()]);
    }

    #[test]
    fn nothing_is_acknowledged_while_the_stream_is_down() {
        let stream = Stream {
            down: true,
            ..Stream::default()
        };
        let text = answer(&["accepted", "rejected"], &[order_updated()]);
        let (decisions, _) = run(Box::new(move |_, _| Ok(text.clone())), &stream, 2);
        assert!(matches!(decisions[0], Decision::Retry { .. }));
        assert!(
            matches!(decisions[1], Decision::Quarantine { .. }),
            "it has nothing to send"
        );
    }

    #[test]
    fn a_poisonous_event_is_found_alone() {
        let poison = |_: usize, statement: &str| {
            if statement.contains("i-1") {
                return Err(IngestError {
                    sqlstate: Some("22P05".into()),
                    message: "NUL".into(),
                });
            }
            Ok(answer(&["accepted"], &[]))
        };
        let (decisions, statements) = run(Box::new(poison), &Stream::default(), 3);
        assert_eq!(statements.len(), 4);
        assert_eq!(decisions[0], Decision::Acknowledge);
        assert!(matches!(&decisions[1], Decision::Quarantine { reason, .. } if reason == "database_refused"));
        assert_eq!(decisions[2], Decision::Acknowledge);
    }

    #[test]
    fn one_by_one_ends_where_postgresql_or_the_stream_does_not_answer() {
        let poison = IngestError {
            sqlstate: Some("22P05".into()),
            message: "NUL".into(),
        };
        for silent in [true, false] {
            let poison = poison.clone();
            let stream = Stream {
                down: !silent,
                ..Stream::default()
            };
            let answer = move |call: usize, _: &str| match call {
                1 => Err(poison.clone()),
                2 => Ok(answer(&["accepted"], &[])),
                _ if silent => Err(IngestError::connection("no answer within 60000 ms")),
                _ => Ok(answer(&["accepted"], &[order_updated()])),
            };
            let (decisions, statements) = run(Box::new(answer), &stream, 5);
            assert_eq!(
                statements.len(),
                3,
                "the batch, one that is taken, and one that is waited for"
            );
            assert_eq!((&decisions[0], decisions.len()), (&Decision::Acknowledge, 5));
            assert!(
                decisions[1..]
                    .iter()
                    .all(|decision| matches!(decision, Decision::Retry { .. })),
                "{decisions:?}"
            );
        }
    }

    #[test]
    fn what_causes_an_event_that_the_stream_would_drop_is_found_alone_and_kept() {
        let stream = Stream::default();
        let cause = |_: usize, statement: &str| {
            let count = statement.matches("event_id").count();
            let mut invalid = order_updated();
            invalid["event_id"] = json!("e-2");
            invalid["event_hour"] = json!("ten");
            let caused: &[Value] = if statement.contains("i-1") {
                &[invalid, order_updated()]
            } else {
                &[]
            };
            Ok(answer(&vec!["accepted"; count], caused))
        };
        let (decisions, statements) = run(Box::new(cause), &stream, 3);
        assert_eq!(statements.len(), 4);
        assert_eq!(
            (&decisions[0], &decisions[2]),
            (&Decision::Acknowledge, &Decision::Acknowledge)
        );
        let Decision::Quarantine { reason, detail } = &decisions[1] else {
            panic!("{:?}", decisions[1])
        };
        assert_eq!(reason, "type_mismatch");
        assert!(
            detail.starts_with("event e-2: ") && detail.contains("event_hour"),
            "{detail}"
        );
        let sent: Vec<Value> = serde_json::from_str(&stream.got.borrow()[0]).unwrap();
        assert_eq!(
            sent,
            [order_updated()],
            "the valid one it causes is sent before it is kept"
        );
    }

    #[test]
    fn an_answer_that_is_none_is_retried() {
        for text in ["", "{}", &answer(&["accepted"], &[])] {
            let text = text.to_owned();
            let (decisions, _) = run(Box::new(move |_, _| Ok(text.clone())), &Stream::default(), 2);
            assert!(
                decisions
                    .iter()
                    .all(|decision| matches!(decision, Decision::Retry { .. })),
                "{decisions:?}"
            );
        }
    }

    #[test]
    fn deferred_rows_are_sent_or_stay() {
        let mut row = order_updated();
        for name in ["order_id", "publisher_id"] {
            row.as_object_mut().unwrap().remove(name);
        }
        let decide = |row: &Value, down| {
            let stream = Stream {
                down,
                ..Stream::default()
            };
            pollster::block_on(resend(std::slice::from_ref(row), &only("publication", &stream)))
        };
        assert_eq!(decide(&row, false), Decision::Acknowledge);
        assert!(matches!(decide(&row, true), Decision::Retry { .. }));
        row["colour"] = json!("red");
        assert!(matches!(decide(&row, false), Decision::Quarantine { .. }));
    }
}
