//! Interactions, attributions of orders, and the catalogue.

use serde_json::{json, Value};
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;
use weir_domain::telemetry::commerce;

use super::{content, delivery, ingest, order, shop, types, verdicts, SHOP};

/// An event of stream publication_v1.
pub fn interaction(event_id: &str, event_type: &str, second: u8, more: Value) -> Value {
    let at = format!("2026-11-20T10:00:{second:02}.000Z");
    let mut row = json!({"event_id": event_id, "event_type": event_type, "schema_version": 1, "occurred_at": at,
        "received_at": "2026-11-20T10:01:00.000Z", "event_date": "2026-11-20", "event_hour": 10,
        "source": "interaction", "shop_domain": SHOP, "session_key": "s1", "visitor_key": "v1"});
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

fn attribution(event_id: &str, second: u8, order_id: i64, publisher: &str) -> Value {
    let more = json!({"order_id": order_id.to_string(), "publisher_id": publisher, "program_id": "autumn"});
    interaction(event_id, "attribution", second, more)
}

async fn record(client: &Client, interactions: &[Value]) -> Value {
    record_text(client, &Value::from(interactions).to_string()).await
}

async fn record_text(client: &Client, text: &str) -> Value {
    let sql = "select weir.record_interactions($1::text::json)::text";
    let row = client.query_one(sql, &[&text]).await.unwrap();
    let answer: Value = serde_json::from_str(row.get(0)).unwrap();
    for event in answer["events"].as_array().unwrap() {
        assert_eq!(commerce().validate(event), Ok(()), "{event}");
    }
    answer
}

fn recorded(answer: &Value) -> Vec<&str> {
    let interactions = answer["interactions"].as_array().unwrap();
    interactions
        .iter()
        .map(|one| one["verdict"].as_str().unwrap())
        .collect()
}

/// The order's newest event without what tells of the sequence in which it came about.
async fn final_event(client: &Client, order_id: i64) -> Value {
    let sql = "select weir.order_event(array[$1::bigint])::text";
    let row = client.query_one(sql, &[&order_id]).await.unwrap();
    let mut events: Vec<Value> = serde_json::from_str(row.get(0)).unwrap();
    let mut event = events.pop().expect("an event of the order");
    for name in ["event_id", "order_revision", "received_at"] {
        event.as_object_mut().unwrap().remove(name);
    }
    event
}

#[tokio::test]
async fn an_attribution_reaches_the_order_and_the_lake() {
    let (database, edge) = shop().await;
    let created = ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    assert!(created["events"][0].get("publisher_id").is_none());
    let answer = record(&edge, &[attribution("e1", 5, 7, "daily-lamp")]).await;
    assert_eq!(
        (recorded(&answer), types(&answer)),
        (vec!["accepted"], vec!["order_updated"])
    );
    let event = &answer["events"][0];
    assert_eq!(
        (&event["publisher_id"], &event["program_id"]),
        (&json!("daily-lamp"), &json!("autumn"))
    );
    // The whole order and its ledger: whoever takes the newest revision loses nothing.
    assert_eq!(event["sales"], created["events"][0]["sales"]);
    assert_eq!(event["source"], "interaction");
    assert!(event["order_revision"].as_i64() > created["events"][0]["order_revision"].as_i64());

    // A repetition answers with the same event, also when others have come in between.
    let older = record(&edge, &[attribution("e0", 4, 7, "late-lamp")]).await;
    assert_eq!((recorded(&older), types(&older)), (vec!["accepted"], vec![]));
    let again = record(&edge, &[attribution("e1", 5, 7, "daily-lamp")]).await;
    assert_eq!(
        (recorded(&again), &again["events"]),
        (vec!["duplicate"], &answer["events"])
    );

    let sql = "select publisher_id, program_id from commerce.order_enriched where order_id = 7";
    let row = database.admin().await.unwrap().query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("daily-lamp", "autumn"));
    // Other facts of the order carry it from now on.
    let paid = ingest(
        &edge,
        &[delivery(
            "p",
            "orders/updated",
            &order(7, 9, r#""cancelled_at": "2026-11-21T00:00:00Z","#),
        )],
    )
    .await;
    assert_eq!(types(&paid), ["order_cancelled"]);
    assert_eq!(paid["events"][0]["publisher_id"], "daily-lamp");
}

#[tokio::test]
async fn attributions_and_deliveries_in_any_sequence_end_alike() {
    enum Step {
        Told(Value),
        Seen(Value),
    }
    let noted = r#""note_attributes": [{"name": "weir_publisher", "value": "noted"}],"#;
    let steps = [
        Step::Told(delivery("a", "orders/create", &order(7, 1, noted))),
        Step::Told(delivery("b", "orders/updated", &order(7, 2, ""))),
        Step::Seen(attribution("e1", 1, 7, "first")),
        // Same instant: the event id decides.
        Step::Seen(attribution("e2", 2, 7, "second")),
        Step::Seen(attribution("e3", 2, 7, "third")),
    ];
    let mut ends: Vec<(String, Value, Vec<String>)> = Vec::new();
    // Heap's walk through all 120 sequences.
    let mut sequence = [0, 1, 2, 3, 4];
    let mut counters = [0; 5];
    let mut sequences = vec![sequence];
    let mut index = 0;
    while index < sequence.len() {
        if counters[index] < index {
            sequence.swap(if index % 2 == 0 { 0 } else { counters[index] }, index);
            sequences.push(sequence);
            counters[index] += 1;
            index = 0;
        } else {
            counters[index] = 0;
            index += 1;
        }
    }
    assert_eq!(sequences.len(), 120);
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let clear = "delete from publication.publication_telemetry; delete from commerce.sales_ledger;
        delete from commerce.order_header; delete from commerce.webhook_delivery";
    let rows = "select (to_jsonb(t) - 'revision')::text from commerce.order_header as t";
    let telemetry =
        "select (to_jsonb(t) - 'event_keys' - 'recorded_at')::text from publication.publication_telemetry as t
        order by 1";
    for sequence in sequences {
        admin.batch_execute(clear).await.unwrap();
        // Each once, and the whole once more.
        for index in sequence.iter().chain(&sequence) {
            match &steps[*index] {
                Step::Told(delivery) => drop(ingest(&edge, std::slice::from_ref(delivery)).await),
                Step::Seen(interaction) => drop(record(&edge, std::slice::from_ref(interaction)).await),
            }
        }
        let row: String = admin.query_one(rows, &[]).await.unwrap().get(0);
        let recorded = admin.query(telemetry, &[]).await.unwrap();
        let recorded = recorded.iter().map(|row| row.get(0)).collect();
        ends.push((row, final_event(&edge, 7).await, recorded));
        assert_eq!(ends.last(), ends.first(), "{sequence:?}");
    }
    assert_eq!(ends[0].1["publisher_id"], "third");
    assert_eq!(ends[0].2.len(), 3);
}

#[tokio::test]
async fn an_attribution_waits_for_its_order_and_the_orders_own_note_gives_way() {
    let (_database, edge) = shop().await;
    let early = record(&edge, &[attribution("e1", 1, 7, "daily-lamp")]).await;
    assert_eq!((recorded(&early), types(&early)), (vec!["accepted"], vec![]));
    let noted = r#""note_attributes": [{"name": "weir_publisher", "value": "noted"}, {"name": "weir_program",
        "value": "spring"}],"#;
    let answer = ingest(
        &edge,
        &[
            delivery("a", "orders/create", &order(7, 1, noted)),
            delivery("b", "orders/create", &order(8, 1, noted)),
        ],
    )
    .await;
    let who = |index: usize| {
        (
            &answer["events"][index]["publisher_id"],
            &answer["events"][index]["program_id"],
        )
    };
    assert_eq!(types(&answer), ["order_created", "order_created"]);
    assert_eq!(who(0), (&json!("daily-lamp"), &json!("autumn")));
    assert_eq!(who(1), (&json!("noted"), &json!("spring")));
    // A note that changes is a change of attribution too.
    let changed = ingest(&edge, &[delivery("c", "orders/updated", &order(8, 2, ""))]).await;
    assert_eq!(types(&changed), ["order_updated"]);
    assert!(changed["events"][0].get("publisher_id").is_none());
}

#[tokio::test]
async fn a_bad_interaction_fails_alone_and_says_why() {
    let (database, edge) = shop().await;
    let mut no_order = attribution("e2", 1, 7, "p");
    no_order.as_object_mut().unwrap().remove("order_id");
    let mut strange = attribution("e5", 1, 7, "p");
    strange["shop_domain"] = "nobody.myshopify.com".into();
    let batch = [
        attribution("e1", 1, 7, "p"),
        no_order,
        attribution("e3", 1, 7, "reader@example.com"),
        interaction("e4", "click", 1, json!({})),
        strange,
        json!(7),
        interaction("e6", "referral", 1, json!({"item_id": "i1"})),
        interaction("e6", "referral", 1, json!({"item_id": "i1"})),
        interaction(
            "e7",
            "conversion",
            1,
            json!({"order_id": "9007199254740993", "product_id": "11"}),
        ),
    ];
    let answer = record(&edge, &batch).await;
    let found: Vec<_> = answer["interactions"].as_array().unwrap().iter().collect();
    let expected = [
        ("e1", "accepted", None),
        ("e2", "rejected", Some("missing_field")),
        ("e3", "rejected", Some("type_mismatch")),
        ("e4", "rejected", Some("type_mismatch")),
        ("e5", "rejected", Some("unknown_shop")),
        ("", "rejected", Some("parse_failure")),
        ("e6", "accepted", None),
        ("e6", "duplicate", None),
        ("e7", "accepted", None),
    ];
    for (one, (event_id, verdict, reason)) in found.iter().zip(expected) {
        assert_eq!(one["event_id"].as_str().unwrap_or_default(), event_id);
        assert_eq!(
            (one["verdict"].as_str(), one["reason"].as_str()),
            (Some(verdict), reason),
            "{one}"
        );
        assert_eq!(one["detail"].is_string(), reason.is_some(), "{one}");
    }
    assert_eq!(found.len(), expected.len());
    assert!(!answer.to_string().contains("example.com"));
    let nul = interaction("e8", "referral", 1, json!({"placement": "a\u{0}b"}));
    assert_eq!(record(&edge, &[nul]).await["interactions"][0]["reason"], "invalid_text");
    let admin = database.admin().await.unwrap();
    let ids = "select string_agg(event_id, ' ' order by event_id), max(order_id)::text from
        publication.publication_telemetry";
    let row = admin.query_one(ids, &[]).await.unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, &str>(1)),
        ("e1 e6 e7", "9007199254740993")
    );
    for (text, code) in [
        ("{}", SqlState::INVALID_PARAMETER_VALUE),
        ("[", SqlState::INVALID_TEXT_REPRESENTATION),
    ] {
        let sql = "select weir.record_interactions($1::text::json)";
        let error = edge.query_one(sql, &[&text]).await.unwrap_err();
        assert_eq!(error.code(), Some(&code));
    }
}

#[tokio::test]
async fn what_is_recorded_names_nobody_and_forgetting_severs_the_visitor() {
    let (database, edge) = shop().await;
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let page = json!({"order_id": "7", "url": "https://bea@a.example/lamp?email=bea@example.com",
        "referrer_host": "a.example"});
    let other = json!({"order_id": "8", "url": "https://a.example/lamp?email=bea@example.com#bea"});
    record(
        &edge,
        &[
            interaction("c7", "conversion", 1, page),
            interaction("c8", "conversion", 1, other),
            attribution("a7", 1, 7, "daily-lamp"),
        ],
    )
    .await;
    let admin = database.admin().await.unwrap();
    let rows = "select event_id, coalesce(url, ''), order_id, visitor_key, session_key, event_keys::text
        from publication.publication_telemetry order by 1";
    let urls: Vec<String> = admin
        .query(rows, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(1))
        .collect();
    assert_eq!(urls, ["", "", "https://a.example/lamp"]);
    let redact = json!({"customer": {"id": 77}, "orders_to_redact": []}).to_string();
    assert_eq!(
        verdicts(&ingest(&edge, &[delivery("r", "customers/redact", &redact)]).await),
        ["accepted"]
    );
    for row in admin.query(rows, &[]).await.unwrap() {
        let severed = row.get::<_, &str>(0) != "c8";
        let names = [2, 3, 4].map(|at| match at {
            2 => row.get::<_, Option<i64>>(2).map(|id| id.to_string()),
            at => row.get::<_, Option<String>>(at),
        });
        assert_eq!(names.iter().all(Option::is_none), severed, "{names:?}");
        assert!(!row.get::<_, &str>(5).contains('7'), "{}", row.get::<_, &str>(5));
    }
    // The publisher keeps the sale; a repetition brings nothing back.
    assert_eq!(final_event(&edge, 7).await["publisher_id"], "daily-lamp");
    let again = record(&edge, &[attribution("a7", 1, 7, "daily-lamp")]).await;
    assert_eq!((recorded(&again), types(&again)), (vec!["duplicate"], vec![]));

    ingest(&edge, &[delivery("s", "shop/redact", "{}")]).await;
    assert!(admin.query(rows, &[]).await.unwrap().is_empty());
    let late = record(&edge, &[attribution("a9", 1, 9, "daily-lamp")]).await;
    assert_eq!(
        (recorded(&late), &late["interactions"][0]["reason"]),
        (vec!["ignored"], &json!("redacted"))
    );
    assert!(admin.query(rows, &[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_interaction_on_two_connections_at_once_is_recorded_once() {
    let (database, first) = shop().await;
    let second = database.edge().await.unwrap();
    ingest(&first, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    for round in 0..20_u8 {
        let batch = [attribution(&format!("e{round:02}"), round, 7, &format!("p{round}"))];
        let (one, two) = tokio::join!(record(&first, &batch), record(&second, &batch));
        let mut found = [recorded(&one)[0], recorded(&two)[0]];
        found.sort_unstable();
        assert_eq!(found, ["accepted", "duplicate"]);
        assert_eq!(one["events"], two["events"]);
        assert_eq!(types(&one), ["order_updated"]);
    }
    assert!(content(&database).await.contains("p19"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_batches_of_both_kinds_never_deadlock() {
    let (database, _edge) = shop().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_i64 {
        let client = database.edge().await.unwrap();
        writers.spawn(async move {
            for round in 0..10_i64 {
                let orders: Vec<i64> = (1..=8).map(|step| (step * (2 * writer + 1)) % 17 + 1).collect();
                if writer % 2 == 0 {
                    let name = |id: &i64| format!("{writer}-{round}-{id}");
                    let batch = orders
                        .iter()
                        .map(|id| delivery(&name(id), "orders/updated", &order(*id, 1 + round as u8, "")));
                    ingest(&client, &batch.collect::<Vec<_>>()).await;
                } else {
                    let batch = orders
                        .iter()
                        .map(|id| attribution(&format!("{round}-{id}"), round as u8, *id, "p"));
                    record(&client, &batch.collect::<Vec<_>>()).await;
                }
            }
        });
    }
    while let Some(finished) = writers.join_next().await {
        finished.expect("a writer failed");
    }
}

#[tokio::test]
async fn a_catalogue_is_published_read_and_revised() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let publish = |change: Value| {
        let admin = &admin;
        async move {
            let sql = "select weir.publish_catalogue($1::text::json)::text";
            let row = admin.query_one(sql, &[&change.to_string()]).await?;
            Ok::<Value, tokio_postgres::Error>(serde_json::from_str(row.get(0)).unwrap())
        }
    };
    let read = || async {
        let sql = format!("select weir.publication_catalogue('{SHOP}')::text");
        serde_json::from_str::<Value>(edge.query_one(&sql, &[]).await.unwrap().get(0)).unwrap()
    };
    let empty = json!({"shop_domain": SHOP, "revision": 0, "publishers": {}, "items": {}, "programs": {}, "links": {}});
    assert_eq!(read().await, empty);
    let change = json!({"shop_domain": SHOP,
        "publishers": {"daily-lamp": {"name": "The Daily Lamp"}},
        "items": {"i1": {"publisher_id": "daily-lamp", "title": "Ten lamps", "url": "https://a.example/ten"}},
        "programs": {"autumn": {"name": "Autumn"}},
        "links": {"x7": {"url": "https://shop.example/lamp", "publisher_id": "daily-lamp", "item_id": "i1",
            "program_id": "autumn", "placement": "top", "product_id": "9007199254740993"}}});
    let mut expected = change.clone();
    expected["revision"] = 1.into();
    assert_eq!(publish(change.clone()).await.unwrap()["changed"], 4);
    assert_eq!(read().await, expected);
    // The same again changes nothing.
    assert_eq!(
        publish(change).await.unwrap(),
        json!({"shop_domain": SHOP, "revision": 1, "changed": 0})
    );
    for (bad, entry) in [
        (
            json!({"shop_domain": SHOP, "publishers": {"daily-lamp": null}}),
            "items.i1.publisher_id",
        ),
        (json!({"shop_domain": SHOP, "items": {"i1": null}}), "links.x7.item_id"),
        (
            json!({"shop_domain": SHOP, "programs": {"p": {"name": "P", "publisher_id": "nobody"}}}),
            "programs.p",
        ),
        (
            json!({"shop_domain": SHOP, "links": {"x": {"url": "javascript:alert(1)"}}}),
            "links.x.url",
        ),
        (
            json!({"shop_domain": SHOP, "links": {"x": {"url": "https://shop.example/a b"}}}),
            "links.x.url",
        ),
        (
            json!({"shop_domain": SHOP, "links": {"a/b": {"url": "https://shop.example/"}}}),
            "links: a code",
        ),
        (
            json!({"shop_domain": SHOP, "links": {"x": {"url": "https://shop.example/", "product_id": "12x"}}}),
            "links.x.product_id",
        ),
        (json!({"shop_domain": "nobody.myshopify.com"}), "No shop"),
    ] {
        let error = publish(bad).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
        assert!(error.detail().unwrap().contains(entry), "{error:?}");
    }
    assert_eq!(read().await, expected);
    let gone =
        json!({"shop_domain": SHOP, "links": {"x7": null}, "items": {"i1": null}, "publishers": {"daily-lamp": null}});
    assert_eq!(
        publish(gone).await.unwrap(),
        json!({"shop_domain": SHOP, "revision": 2, "changed": 3})
    );
    assert_eq!(read().await["programs"], expected["programs"]);
    for denied in [
        "select weir.publish_catalogue('{}'::json)",
        "insert into publication.publisher values (1, 'p', 'P')",
        "update publication.publication_telemetry set order_id = 1",
        "delete from publication.publication_telemetry",
    ] {
        let error = edge.batch_execute(denied).await.expect_err(denied);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{denied}");
    }
}
