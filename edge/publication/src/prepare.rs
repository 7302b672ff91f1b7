//! From what was sent to rows of the stream, with one verdict per event.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use weir_domain::interaction::catalogue::Catalogue;
use weir_domain::interaction::given::{Given, Refusal};
use weir_domain::interaction::record::Request;
use weir_domain::interaction::Kind;
use weir_domain::telemetry::StreamSchema;
use weir_edge_shared::counters::Counters;
use weir_edge_shared::stream::check;

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Position in the batch, from 0.
    pub index: usize,
    /// Its id, when it could be read.
    pub event_id: Option<String>,
    /// `accepted`, `duplicate` (the same event earlier in the batch), `rejected`, or `retry`.
    pub verdict: &'static str,
    /// Reason class of a rejection.
    pub reason: Option<&'static str>,
    /// What and where.
    pub detail: Option<String>,
}

/// An event ready to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Position of its verdict.
    pub index: usize,
    /// The kind.
    pub kind: Kind,
    /// The event.
    pub event: Value,
    /// The event as JSON text, valid under the stream's schema.
    pub text: String,
}

/// A batch ready to be published.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    /// One per event, in the order given.
    pub verdicts: Vec<Verdict>,
    /// The events that were accepted.
    pub rows: Vec<Row>,
    /// What to count, refusals included.
    pub counters: Counters,
}

/// What is known around a batch.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The request.
    pub request: Request<'a>,
    /// The known shops, lower case.
    pub shops: &'a [String],
    /// Catalogue of each shop of the batch; without those that nobody could read.
    pub catalogues: &'a HashMap<String, std::rc::Rc<Catalogue>>,
    /// Schema of the stream.
    pub schema: &'a StreamSchema,
}

/// Reason class of an event whose id another one of the batch has, which says something else.
const KEY_TWICE: &str = "event_key_used_twice";

/// Decides each of `events` and makes the rows of those accepted.
#[must_use]
pub fn prepare(events: Vec<Result<Given, Refusal>>, around: &Surroundings<'_>) -> Prepared {
    let mut prepared = Prepared::default();
    let mut seen: HashMap<String, Given> = HashMap::new();
    for (index, event) in events.into_iter().enumerate() {
        let mut verdict = Verdict {
            index,
            event_id: None,
            verdict: "accepted",
            reason: None,
            detail: None,
        };
        match event.and_then(|given| admit(given, around)) {
            Ok(given) => {
                let event_id = given.event_id();
                verdict.event_id = Some(event_id.clone());
                match seen.get(&event_id) {
                    None => {
                        take(given.clone(), &event_id, &mut verdict, around, &mut prepared);
                        // What was refused is nowhere: the same once more is refused like it, and no duplicate of anything.
                        if verdict.verdict != "rejected" {
                            seen.insert(event_id, given);
                        }
                    }
                    Some(first) if first.says_the_same_as(&given) => verdict.verdict = "duplicate",
                    Some(_) => {
                        let counted = [given.kind.as_str(), "rejected", KEY_TWICE];
                        prepared.counters.count(&given.shop_domain, &counted, &[]);
                        let detail = "event_key: another event of this batch has it; each has a key of its own";
                        reject(&mut verdict, KEY_TWICE, detail.into());
                    }
                }
            }
            Err(refusal) => {
                prepared
                    .counters
                    .count("refused", &["", "rejected", refusal.reason], &[]);
                reject(&mut verdict, refusal.reason, refusal.detail);
            }
        }
        prepared.verdicts.push(verdict);
    }
    prepared
}

fn admit(given: Given, around: &Surroundings<'_>) -> Result<Given, Refusal> {
    if !around.shops.contains(&given.shop_domain) {
        return Err(Refusal::new(
            "unknown_shop",
            "shop_domain",
            "this shop is not registered here",
        ));
    }
    if given.kind.needs_token() && !around.request.is_trusted {
        return Err(Refusal::new(
            "unauthorised",
            "event_type",
            "this kind is taken with the bearer token only",
        ));
    }
    Ok(given)
}

fn take(mut given: Given, event_id: &str, verdict: &mut Verdict, around: &Surroundings<'_>, prepared: &mut Prepared) {
    let catalogue = around.catalogues.get(&given.shop_domain);
    if catalogue.is_none() && given.kind == Kind::Attribution && names_what_the_catalogue_knows(&given) {
        verdict.verdict = "retry";
        verdict.detail = Some("the catalogue, which says whose this is, is not there".into());
        return;
    }
    let is_known = catalogue.is_some_and(|catalogue| catalogue.enrich(&mut given));
    if given.kind == Kind::Attribution && given.publisher_id.is_none() && given.program_id.is_none() {
        prepared.counters.count(
            &given.shop_domain,
            &[given.kind.as_str(), "rejected", "missing_field"],
            &[],
        );
        return reject(
            verdict,
            "missing_field",
            "publisher_id: an attribution names a publisher or a program".into(),
        );
    }
    let event = given.record(event_id, &around.request);
    match check(around.schema, &event) {
        Ok(text) => {
            count(&event, is_known, &given, &mut prepared.counters);
            prepared.rows.push(Row {
                index: verdict.index,
                kind: given.kind,
                event,
                text,
            });
        }
        // The row is ours, so this is our fault; the sender is told, and the counter tells us.
        Err(violation) => {
            prepared.counters.count(
                &given.shop_domain,
                &[given.kind.as_str(), "rejected", violation.reason],
                &[],
            );
            reject(verdict, violation.reason, violation.detail);
        }
    }
}

/// Whether the catalogue may say another publisher than the sender. To whom an order is due is not guessed while it is out:
/// once recorded, the event is known by its id and stays as it is.
fn names_what_the_catalogue_knows(given: &Given) -> bool {
    given.link_code.is_some() || given.item_id.is_some() || given.program_id.is_some()
}

fn reject(verdict: &mut Verdict, reason: &'static str, detail: String) {
    verdict.verdict = "rejected";
    verdict.reason = Some(reason);
    verdict.detail = Some(detail);
}

/// Blobs: event_type, verdict, reason, publisher, item, program, placement, country, device class, known or unknown to the
/// catalogue. Doubles: count, seconds of engagement.
fn count(event: &Value, is_known: bool, given: &Given, counters: &mut Counters) {
    let of = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let blobs = [
        given.kind.as_str(),
        "accepted",
        "",
        of("publisher_id"),
        of("item_id"),
        of("program_id"),
        of("placement"),
        of("country"),
        of("device_class"),
        if is_known { "known" } else { "unknown" },
    ];
    counters.count(&given.shop_domain, &blobs, &[given.engaged_seconds.unwrap_or_default()]);
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::query::TEXT_FIELDS;

    const SHOP: &str = "demo.myshopify.com";

    fn prepared(events: &Value, is_trusted: bool) -> Prepared {
        let catalogue: Catalogue = serde_json::from_value(json!({"items": {"i-1": {"publisher_id": "p-1"}}})).unwrap();
        prepared_with(events, is_trusted, Some(catalogue))
    }

    fn prepared_with(events: &Value, is_trusted: bool, catalogue: Option<Catalogue>) -> Prepared {
        let catalogue = catalogue.map(|catalogue| (SHOP.to_owned(), Rc::new(catalogue)));
        let events = crate::batch::read(events.to_string().as_bytes(), None).unwrap();
        prepare(
            events,
            &Surroundings {
                request: Request {
                    received_at_millis: 1_795_521_600_000,
                    ip: "203.0.113.7",
                    user_agent: "Mozilla/5.0 (Windows NT 10.0)",
                    country: Some("JP"),
                    do_not_track: false,
                    visitor_secret: b"secret",
                    is_trusted,
                },
                shops: &[SHOP.into()],
                catalogues: &catalogue.into_iter().collect(),
                schema: &weir_domain::telemetry::publication(),
            },
        )
    }

    fn event(kind: &str, key: &str) -> Value {
        json!({"event_type": kind, "event_key": key, "shop_domain": SHOP, "item_id": "i-1", "order_id": "7"})
    }

    #[test]
    fn each_event_has_its_verdict_and_neighbours_are_not_held_up() {
        let mut foreign = event("click", "c");
        foreign["shop_domain"] = json!("other.myshopify.com");
        let batch = json!([
            event("click", "a"),
            event("buy", "b"),
            foreign,
            event("click", "a"),
            event("view", "d")
        ]);
        let prepared = prepared(&batch, false);
        let verdicts: Vec<_> = prepared
            .verdicts
            .iter()
            .map(|verdict| (verdict.verdict, verdict.reason))
            .collect();
        assert_eq!(
            verdicts,
            [
                ("accepted", None),
                ("rejected", Some("unsupported_kind")),
                ("rejected", Some("unknown_shop")),
                ("duplicate", None),
                ("accepted", None),
            ]
        );
        assert_eq!(prepared.rows.iter().map(|row| row.index).collect::<Vec<_>>(), [0, 4]);
        assert_eq!(prepared.rows[0].event["publisher_id"], "p-1");
        assert_eq!(
            prepared.verdicts[0].event_id.as_deref(),
            prepared.rows[0].event["event_id"].as_str()
        );
    }

    #[test]
    fn two_facts_under_one_key_are_told_apart_from_one_fact_twice() {
        let bought = |product: &str| {
            let mut event = event("conversion", "a");
            event["product_id"] = json!(product);
            event
        };
        let mut later = bought("1");
        later["occurred_at"] = json!(1_795_521_600_000_i64);
        later["publisher_id"] = json!("claimed");
        let credit = |publisher: &str| {
            let mut event = event("attribution", "a");
            event["publisher_id"] = json!(publisher);
            event
        };
        let batch = json!([bought("1"), bought("2"), later, credit("p-1"), credit("p-2")]);
        let prepared = prepared(&batch, true);
        let verdicts: Vec<_> = prepared.verdicts.iter().map(|one| (one.verdict, one.reason)).collect();
        let (first, twice) = (("accepted", None), ("rejected", Some(KEY_TWICE)));
        assert_eq!(verdicts, [first, twice, ("duplicate", None), first, twice]);
        assert!(prepared.verdicts[1]
            .detail
            .as_deref()
            .unwrap()
            .starts_with("event_key: "));
    }

    #[test]
    fn what_was_refused_is_refused_again_and_no_duplicate() {
        let mut to_nobody = event("attribution", "a");
        to_nobody["item_id"] = json!("unknown");
        let batch = json!([
            to_nobody,
            to_nobody,
            event("attribution", "a"),
            event("attribution", "a")
        ]);
        let prepared = prepared(&batch, true);
        let verdicts: Vec<_> = prepared.verdicts.iter().map(|one| (one.verdict, one.reason)).collect();
        let refused = ("rejected", Some("missing_field"));
        assert_eq!(verdicts, [refused, refused, ("accepted", None), ("duplicate", None)]);
        let points = prepared.counters.points();
        let counted = points.iter().find(|point| point.blobs[1] == "rejected").unwrap();
        assert_eq!((counted.blobs[2].as_str(), counted.doubles[0]), ("missing_field", 2.0));
    }

    #[test]
    fn only_who_holds_the_token_attributes_an_order() {
        let batch = json!([event("attribution", "a"), event("conversion", "b")]);
        let public = prepared(&batch, false);
        assert_eq!(public.verdicts[0].reason, Some("unauthorised"));
        assert_eq!(
            public.rows.iter().map(|row| row.kind).collect::<Vec<_>>(),
            [Kind::Conversion]
        );
        assert_eq!(prepared(&batch, true).rows.len(), 2);
        let mut to_nobody = event("attribution", "a");
        to_nobody["item_id"] = json!("unknown");
        assert_eq!(
            prepared(&json!([to_nobody]), true).verdicts[0].reason,
            Some("missing_field")
        );
    }

    #[test]
    fn while_nobody_can_read_the_catalogue_only_what_it_could_decide_comes_again() {
        let of_publisher = |mut event: Value| {
            event["publisher_id"] = json!("p-9");
            event
        };
        let mut by_link = event("attribution", "a");
        by_link["item_id"] = Value::Null;
        by_link["link_code"] = json!("spring");
        let mut by_publisher = of_publisher(event("attribution", "b"));
        by_publisher["item_id"] = Value::Null;
        let batch = json!([
            by_link,
            event("attribution", "c"),
            of_publisher(event("attribution", "d")),
            by_publisher,
            event("conversion", "e"),
        ]);
        let verdicts = |catalogue| {
            let prepared = prepared_with(&batch, true, catalogue);
            let said = prepared.verdicts.iter().map(|one| one.verdict).collect::<Vec<_>>();
            (said, prepared.rows.len())
        };
        assert_eq!(
            verdicts(None),
            (vec!["retry", "retry", "retry", "accepted", "accepted"], 2)
        );
        // One that is read and does not know them decides.
        let (said, _) = verdicts(Some(Catalogue::default()));
        assert_eq!(said, ["rejected", "rejected", "accepted", "accepted", "accepted"]);
    }

    #[test]
    fn refusals_are_counted_without_what_was_sent() {
        let prepared = prepared(&json!([event("buy", "secret-key"), event("click", "a")]), false);
        let points = prepared.counters.points();
        assert_eq!(points.len(), 2);
        assert_eq!(points[0].blobs[..2], ["click", "accepted"]);
        assert_eq!(points[1].blobs, ["", "rejected", "unsupported_kind"]);
    }

    const HOSTILE: &[&str] = &[
        "\0",
        "https://[::1",
        "http://a@b/?q=%zz",
        "gid://shopify/Order/99999999999999999999",
        "9007199254740993",
        "9999-12-31T23:59:59.999999999Z",
        "-009999-01-01T00:00:00Z",
    ];

    /// A field of an event.
    fn any_field() -> impl Strategy<Value = &'static str> {
        let others = ["occurred_at", "engaged_seconds"];
        prop::sample::select([&TEXT_FIELDS[..], &others[..]].concat())
    }

    /// JSON of every type, with what breaks parsers among it.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            prop::sample::select(HOSTILE).prop_map(Value::from),
            "é{200}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..3).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn of_any_batch_each_event_is_a_valid_row_or_has_a_reason(
            batch in prop::collection::vec(
                (
                    prop::sample::select(&Kind::ALL[..]),
                    prop::collection::vec((any_field(), any_value()), 0..3),
                ),
                1..5,
            ),
            is_trusted in any::<bool>(),
        ) {
            let events: Vec<Value> = batch
                .into_iter()
                .enumerate()
                .map(|(index, (kind, fields))| {
                    let mut event = event(kind.as_str(), &index.to_string());
                    event["engaged_seconds"] = json!(3);
                    for (name, value) in fields {
                        event[name] = value;
                    }
                    event
                })
                .collect();
            let prepared = prepared(&json!(events), is_trusted);
            prop_assert_eq!(prepared.verdicts.len(), events.len());
            for verdict in &prepared.verdicts {
                let has_row = prepared.rows.iter().any(|row| row.index == verdict.index);
                prop_assert_eq!(has_row, verdict.verdict == "accepted");
                prop_assert_eq!(verdict.reason.is_some(), verdict.verdict == "rejected");
            }
            for row in &prepared.rows {
                prop_assert!(check(&weir_domain::telemetry::publication(), &row.event).is_ok());
            }
        }

        #[test]
        fn bytes_that_are_no_batch_are_refused_with_a_reason(
            body in prop::collection::vec(any::<u8>(), 0..300),
            content_type in prop::option::of(any::<String>()),
        ) {
            // Less than one in millions of such bodies is an array.
            let refusal = crate::batch::read(&body, content_type.as_deref()).unwrap_err();
            prop_assert!((400..500).contains(&refusal.status) && !refusal.reason.is_empty());
        }
    }
}
