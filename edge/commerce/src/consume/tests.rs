//! Every way a batch can fail, with fakes for PostgreSQL and the stream.

use std::cell::RefCell;

use pollster::block_on;
use serde_json::json;
use weir_edge_shared::stream::StreamError;

use super::*;

struct FakeIngest<F: Fn(&[Delivery]) -> Result<Value, IngestError>> {
    answer: F,
    calls: RefCell<Vec<usize>>,
    /// Only takes a JSON list.
    is_old: bool,
}

/// What `batch_text` has written.
fn read_unquoted(text: &str) -> Vec<Delivery> {
    let lines: Vec<&str> = text.splitn(3, '\n').collect();
    let sizes: Value = serde_json::from_str(lines[0]).unwrap();
    let mut deliveries: Vec<Value> = serde_json::from_str(lines[1]).unwrap();
    let mut bodies = lines[2];
    for (delivery, size) in deliveries.iter_mut().zip(sizes["body_bytes"].as_array().unwrap()) {
        let (body, rest) = bodies.split_at(size.as_u64().unwrap() as usize);
        (delivery["body"], bodies) = (body.into(), rest);
    }
    assert_eq!(bodies, "");
    serde_json::from_value(deliveries.into()).unwrap()
}

impl<F: Fn(&[Delivery]) -> Result<Value, IngestError>> IngestTransport for FakeIngest<F> {
    async fn ingest(&self, deliveries: &str) -> Result<String, IngestError> {
        let deliveries: Vec<Delivery> = match deliveries.starts_with('{') {
            true if self.is_old => {
                return Err(IngestError {
                    sqlstate: Some(NO_DELIVERIES.into()),
                    message: "the deliveries are not a JSON list".into(),
                })
            }
            true => read_unquoted(deliveries),
            false => serde_json::from_str(deliveries).unwrap(),
        };
        self.calls.borrow_mut().push(deliveries.len());
        (self.answer)(&deliveries).map(|answer| answer.to_string())
    }
}

#[derive(Default)]
struct FakeStream {
    down: bool,
    sent: RefCell<Vec<Value>>,
}

impl StreamSender for &FakeStream {
    async fn send(&self, batch: &str) -> Result<(), StreamError> {
        if self.down {
            return Err(StreamError("down".into()));
        }
        self.sent
            .borrow_mut()
            .extend(serde_json::from_str::<Vec<Value>>(batch).unwrap());
        Ok(())
    }
}

fn delivery(webhook_id: &str) -> Delivery {
    crate::message::delivery(webhook_id, "orders/create", "{}")
}

fn event(id: &str) -> Value {
    json!({
        "event_id": id, "event_type": "order_created", "schema_version": 1,
        "occurred_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:01.000Z",
        "event_date": "2026-11-24", "event_hour": 10, "source": "webhook", "shop_domain": "demo.myshopify.com",
    })
}

/// Accepts everything with one event each; ids that start with "bad" are rejected.
fn accept(deliveries: &[Delivery]) -> Result<Value, IngestError> {
    let verdict = |delivery: &Delivery| match delivery.webhook_id.starts_with("bad") {
        true => json!({"verdict": "rejected", "reason": "missing_field", "detail": "id", "event_ids": []}),
        false => json!({"verdict": "accepted", "event_ids": [format!("event-{}", delivery.webhook_id)]}),
    };
    let good = deliveries
        .iter()
        .filter(|delivery| !delivery.webhook_id.starts_with("bad"));
    Ok(json!({
        "deliveries": deliveries.iter().map(verdict).collect::<Vec<_>>(),
        "events": good.map(|delivery| event(&format!("event-{}", delivery.webhook_id))).collect::<Vec<_>>(),
    }))
}

fn run(
    ids: &[&str],
    stream: &FakeStream,
    answer: impl Fn(&[Delivery]) -> Result<Value, IngestError>,
) -> (Vec<Decision>, Vec<usize>) {
    run_on(
        &ids.iter().map(|id| delivery(id)).collect::<Vec<_>>(),
        stream,
        answer,
        false,
    )
}

fn run_on(
    deliveries: &[Delivery],
    stream: &FakeStream,
    answer: impl Fn(&[Delivery]) -> Result<Value, IngestError>,
    is_old: bool,
) -> (Vec<Decision>, Vec<usize>) {
    let transport = FakeIngest {
        answer,
        calls: RefCell::default(),
        is_old,
    };
    let streams = StreamVersions::bound("commerce", |one| (one.stream == "commerce_v1").then_some(stream)).unwrap();
    let decisions = block_on(consume(deliveries, &transport, &streams));
    (decisions, transport.calls.into_inner())
}

fn retries(decisions: &[Decision]) -> bool {
    decisions
        .iter()
        .all(|decision| matches!(decision, Decision::Retry { .. }))
}

#[test]
fn one_call_for_the_batch_then_the_events_then_the_acknowledgement() {
    let stream = FakeStream::default();
    let (decisions, calls) = run(&["a", "b"], &stream, accept);
    assert_eq!(decisions, [Decision::Acknowledge, Decision::Acknowledge]);
    assert_eq!(calls, [2]);
    assert_eq!(*stream.sent.borrow(), [event("event-a"), event("event-b")]);
}

#[test]
fn an_extension_that_knows_only_quoted_bodies_gets_them_quoted() {
    for (is_old, body) in [(true, "{\"a\":\n\"é\"}"), (false, "{\0}"), (true, "{\0}")] {
        let mut deliveries = [delivery("a"), delivery("b")];
        deliveries[0].body = body.into();
        let sent = deliveries.clone();
        let answer = move |given: &[Delivery]| {
            assert_eq!(given, sent);
            accept(given)
        };
        let (decisions, calls) = run_on(&deliveries, &FakeStream::default(), answer, is_old);
        assert_eq!(decisions, [Decision::Acknowledge, Decision::Acknowledge]);
        assert_eq!(calls, [2]);
    }
}

#[test]
fn postgres_fails_and_all_is_retried_and_nothing_sent() {
    let stream = FakeStream::default();
    let (decisions, calls) = run(&["a", "b"], &stream, |_| Err(IngestError::connection("refused")));
    assert!(retries(&decisions) && decisions.len() == 2);
    assert_eq!(calls, [2]);
    assert!(stream.sent.borrow().is_empty());
}

#[test]
fn the_stream_fails_and_all_is_retried() {
    let stream = FakeStream {
        down: true,
        ..FakeStream::default()
    };
    let (decisions, _) = run(&["a", "b"], &stream, accept);
    assert!(retries(&decisions) && decisions.len() == 2);
}

#[test]
fn only_the_rejected_delivery_is_quarantined() {
    let stream = FakeStream::default();
    let (decisions, _) = run(&["a", "bad", "c"], &stream, accept);
    assert_eq!(
        decisions,
        [
            Decision::Acknowledge,
            Decision::quarantine("missing_field", "id"),
            Decision::Acknowledge
        ]
    );
    assert_eq!(stream.sent.borrow().len(), 2);
}

#[test]
fn a_topic_that_the_extension_does_not_read_yet_is_kept() {
    let ignored = |reason: Value| {
        let verdict = json!({"verdict": "ignored", "reason": reason, "event_ids": []});
        let answer = move |_: &[Delivery]| Ok(json!({"deliveries": [verdict], "events": []}));
        run(&["a"], &FakeStream::default(), answer).0.remove(0)
    };
    assert!(
        matches!(ignored(json!("unsupported_topic")), Decision::Quarantine { reason, .. } if reason == "unsupported_topic")
    );
    assert_eq!(ignored(Value::Null), Decision::Acknowledge);
}

#[test]
fn a_rejected_delivery_does_not_wait_for_the_stream() {
    let stream = FakeStream {
        down: true,
        ..FakeStream::default()
    };
    let (decisions, _) = run(&["a", "bad"], &stream, accept);
    assert!(retries(&decisions[..1]));
    assert_eq!(decisions[1], Decision::quarantine("missing_field", "id"));
}

#[test]
fn an_invalid_event_quarantines_its_delivery_and_is_not_sent() {
    let stream = FakeStream::default();
    let (decisions, _) = run(&["a", "b"], &stream, |deliveries| {
        let mut answer = accept(deliveries)?;
        answer["events"][1]["event_hour"] = json!("ten");
        Ok(answer)
    });
    assert_eq!(decisions[0], Decision::Acknowledge);
    let Decision::Quarantine { reason, detail } = &decisions[1] else {
        panic!("{:?}", decisions[1])
    };
    assert_eq!(reason, "type_mismatch");
    assert!(detail.contains("event-b") && detail.contains("event_hour"), "{detail}");
    assert_eq!(*stream.sent.borrow(), [event("event-a")]);
}

#[test]
fn a_data_error_of_the_whole_statement_is_pinned_on_its_delivery() {
    let stream = FakeStream::default();
    let (decisions, calls) = run(&["a", "poison", "c"], &stream, |deliveries| {
        match deliveries.iter().any(|delivery| delivery.webhook_id == "poison") {
            true => Err(IngestError {
                sqlstate: Some("22P05".into()),
                message: "untranslatable".into(),
            }),
            false => accept(deliveries),
        }
    });
    assert_eq!(calls, [3, 1, 1, 1]);
    assert_eq!(
        (&decisions[0], &decisions[2]),
        (&Decision::Acknowledge, &Decision::Acknowledge)
    );
    assert!(matches!(&decisions[1], Decision::Quarantine { reason, .. } if reason == "database_refused"));
}

#[test]
fn once_postgres_or_the_stream_is_silent_nobody_else_of_the_batch_is_asked_about() {
    let poisoned = |deliveries: &[Delivery]| {
        (deliveries.len() > 1).then(|| IngestError {
            sqlstate: Some("22P05".into()),
            message: String::new(),
        })
    };
    let silent = |deliveries: &[Delivery]| match deliveries[0].webhook_id.as_str() {
        "b" => Err(IngestError::connection("no answer")),
        _ => poisoned(deliveries).map_or_else(|| accept(deliveries), Err),
    };
    let (decisions, calls) = run(&["a", "b", "c", "d"], &FakeStream::default(), silent);
    assert_eq!(calls, [4, 1, 1]);
    assert_eq!(decisions[0], Decision::Acknowledge);
    assert!(retries(&decisions[1..]) && decisions.len() == 4);

    let stream = FakeStream {
        down: true,
        ..FakeStream::default()
    };
    let down = |deliveries: &[Delivery]| poisoned(deliveries).map_or_else(|| accept(deliveries), Err);
    let (decisions, calls) = run(&["bad", "b", "c"], &stream, down);
    assert_eq!(calls, [3, 1, 1]);
    assert_eq!(decisions[0], Decision::quarantine("missing_field", "id"));
    assert!(retries(&decisions[1..]) && decisions.len() == 3);
}

#[test]
fn an_error_of_the_server_is_not_blamed_on_the_deliveries() {
    for (code, attempts) in [
        ("57P01", &[2][..]),
        ("42883", &[2]),
        ("53300", &[2]),
        ("XX000", &[2, 1, 1]),
    ] {
        let failure = IngestError {
            sqlstate: Some(code.into()),
            message: String::new(),
        };
        let (decisions, calls) = run(&["a", "b"], &FakeStream::default(), |_| Err(failure.clone()));
        assert!(retries(&decisions), "{code}");
        assert_eq!(calls, attempts, "{code}");
    }
}

#[test]
fn a_duplicates_events_are_sent_again_once() {
    let stream = FakeStream::default();
    let (decisions, _) = run(&["a", "a"], &stream, |deliveries| {
        let mut answer = accept(deliveries)?;
        answer["deliveries"][1]["verdict"] = json!("duplicate");
        Ok(answer)
    });
    assert_eq!(decisions, [Decision::Acknowledge, Decision::Acknowledge]);
    assert_eq!(*stream.sent.borrow(), [event("event-a")]);
}

#[test]
fn an_answer_off_the_contract_acknowledges_nothing() {
    let stream = FakeStream::default();
    let too_few = |_: &[Delivery]| Ok(json!({"deliveries": [], "events": []}));
    assert!(retries(&run(&["a"], &stream, too_few).0));
    let event_missing = |deliveries: &[Delivery]| {
        let mut answer = accept(deliveries)?;
        answer["events"] = json!([]);
        Ok(answer)
    };
    assert!(retries(&run(&["a"], &stream, event_missing).0));
    let unclaimed = |deliveries: &[Delivery]| {
        let mut answer = accept(deliveries)?;
        answer["events"]
            .as_array_mut()
            .unwrap()
            .push(json!({"event_id": "stray"}));
        Ok(answer)
    };
    assert!(retries(&run(&["a"], &stream, unclaimed).0));
}
