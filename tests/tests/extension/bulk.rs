//! Bulk lines: any sequence, any chunks, any repetition; refusals alone; deletions, shops and people stay what they are.

use jiff::Timestamp;
use serde_json::{json, Value};
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;
use weir_domain::telemetry::commerce;
use weir_tests::bulk_jsonl::{jsonl, split_mix, BulkLine, BulkShop, Sequence};
use weir_tests::shop::Shop;

use super::{content, delivery, ingest, ledger, order, refund, shop, types, until_waiting, verdicts, SHOP};

/// How a shop is read.
pub struct Bulk {
    /// Ids of the three operations count from here.
    pub first_operation: i64,
    /// When they were created at Shopify.
    pub started_at: Timestamp,
    /// Sequence of the lines and borders of the chunks.
    pub seed: u64,
}

const KINDS: [&str; 3] = ["orders_core", "orders_ledger", "products"];

pub fn run_of(operation: i64, kind: &str, started_at: &str) -> Value {
    json!({"operation_id": format!("gid://shopify/BulkOperation/{operation}"), "kind": kind, "source": "bulk_sync",
        "started_at": started_at, "received_at": "2026-12-01T00:10:00.000Z"})
}

pub async fn ingest_bulk(edge: &Client, shop: &str, lines: &str, run: &Value) -> Value {
    let sql = "select weir.ingest_bulk($1, $2, $3::text::json)::text";
    let row = edge.query_one(sql, &[&shop, &lines, &run.to_string()]).await.unwrap();
    let answer: Value = serde_json::from_str(row.get(0)).unwrap();
    let count = |name: &str| answer[name].as_u64().unwrap();
    assert_eq!(
        count("read"),
        count("upserted") + count("unchanged") + count("rejected"),
        "{answer}"
    );
    assert_eq!(count("rejected"), answer["rejections"].as_array().unwrap().len() as u64);
    answer
}

/// All pages; each is asked for twice and must answer alike.
pub async fn bulk_events(edge: &Client, shop: &str, operations: &[i64], limit: i64) -> Vec<Value> {
    let gids = operations.iter().map(|id| format!("gid://shopify/BulkOperation/{id}"));
    let mut run = json!({"operation_ids": gids.collect::<Vec<_>>(), "source": "bulk_sync",
        "received_at": "2026-12-01T00:20:00.000Z", "after": null, "limit": limit});
    let mut events: Vec<Value> = Vec::new();
    loop {
        let mut answers = Vec::new();
        for _ in 0..2 {
            let sql = "select weir.bulk_events($1, $2::text::json)::text";
            let row = edge.query_one(sql, &[&shop, &run.to_string()]).await.unwrap();
            answers.push(serde_json::from_str::<Value>(row.get(0)).unwrap());
        }
        assert_eq!(answers[0], answers[1]);
        let page = answers[0]["events"].as_array().unwrap();
        for event in page {
            assert_eq!(commerce().validate(event), Ok(()), "{event}");
            assert_eq!(event["source"], "bulk_sync");
        }
        events.extend(page.clone());
        if answers[0]["next"].is_null() {
            return events;
        }
        run["after"] = answers[0]["next"].clone();
    }
}

/// Whole lines in chunks of 1 to 60.
fn chunks(text: &str, seed: u64) -> Vec<String> {
    let (mut state, mut chunks, mut left) = (seed, vec![String::new()], 1);
    for line in text.lines() {
        if left == 0 {
            chunks.push(String::new());
            left = 1 + split_mix(&mut state) % 60;
        }
        left -= 1;
        chunks.last_mut().unwrap().push_str(&format!("{line}\n"));
    }
    chunks
}

fn files(shop: &BulkShop) -> [Vec<BulkLine>; 3] {
    let ever = Timestamp::MIN..Timestamp::MAX;
    [
        shop.orders_core(ever.clone()),
        shop.orders_ledger(ever.clone()),
        shop.products(ever),
    ]
}

/// Reads a shop: three operations in shuffled lines and odd chunks, the last chunk of each twice; then their events.
pub async fn run_bulk(edge: &Client, shop: &BulkShop, bulk: &Bulk) -> Vec<Value> {
    let mut operations = Vec::new();
    for (index, (kind, lines)) in KINDS.iter().zip(files(shop)).enumerate() {
        let operation = bulk.first_operation + index as i64;
        let run = run_of(operation, kind, &bulk.started_at.to_string());
        let mut chunks = chunks(&jsonl(lines, Sequence::Shuffled(bulk.seed)), bulk.seed);
        chunks.extend(chunks.last().cloned());
        for chunk in &chunks {
            let answer = ingest_bulk(edge, SHOP, chunk, &run).await;
            assert_eq!(answer["rejected"], 0, "{answer}");
        }
        operations.push(operation);
    }
    bulk_events(edge, SHOP, &operations, 37).await
}

/// A shop of which these were told.
pub fn told(bodies: &[(&str, String)]) -> BulkShop {
    let mut shop = BulkShop::default();
    for (topic, body) in bodies {
        shop.tell(
            topic,
            "2026-11-20T00:00:00Z".parse().unwrap(),
            &serde_json::from_str(body).unwrap(),
        );
    }
    shop
}

/// How it is read at a time.
pub fn at(text: &str) -> Bulk {
    Bulk {
        first_operation: 1,
        started_at: text.parse().unwrap(),
        seed: 3,
    }
}

/// The harness's shops, whose sales are added up without weir, read by bulk alone.
#[tokio::test]
async fn a_whole_shop_read_by_bulk_has_exactly_its_sales() {
    let now: Timestamp = "2026-11-24T09:00:00Z".parse().unwrap();
    for shop_of in [Shop::tokyo(), Shop::paris()] {
        let history = shop_of.history(now);
        let (database, edge) = shop().await;
        let admin = database.admin().await.unwrap();
        let registration = shop_of.registration().to_string();
        admin
            .execute("select weir.register_shop($1::text::json)", &[&registration])
            .await
            .unwrap();
        for (index, lines) in files(&BulkShop::of(&history.deliveries)).into_iter().enumerate() {
            let run = run_of(index as i64 + 1, KINDS[index], "2026-11-24T09:00:00Z");
            for chunk in chunks(&jsonl(lines, Sequence::Shuffled(index as u64)), 5) {
                assert_eq!(ingest_bulk(&edge, shop_of.domain, &chunk, &run).await["rejected"], 0);
            }
        }
        let events = bulk_events(&edge, shop_of.domain, &[1, 2, 3], 100).await;
        assert!(events.iter().any(|event| event["event_type"] == "order_completed"));
        let sql = "select product_id, day::text, sum(units_sold)::bigint, sum(units_returned)::bigint,
            sum(gross_sales_minor)::bigint, sum(discounts_minor)::bigint, sum(returns_minor)::bigint
            from commerce.sales_ledger group by 1, 2 order by 1, 2";
        let rows = admin.query(sql, &[]).await.unwrap();
        let found: Vec<(String, String, [i64; 5])> = rows
            .iter()
            .map(|row| (row.get(0), row.get(1), [2, 3, 4, 5, 6].map(|at| row.get(at))))
            .collect();
        let expected = history.sales.iter().map(|((product, day), sold)| {
            let sums = [
                sold.units_sold,
                sold.units_returned,
                sold.gross_sales,
                sold.discounts,
                sold.returns,
            ];
            (product.clone(), day.clone(), sums)
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_newer_refund_and_a_newer_body_go_on_top_of_the_agreements() {
    let (database, edge) = shop().await;
    let shop = told(&[("orders/create", order(7, 1, ""))]);
    run_bulk(&edge, &shop, &at("2026-11-01T16:31:00Z")).await;
    let row = |day: &str, kind: &str, sold, returned, net| (day.to_owned(), kind.to_owned(), sold, returned, net);
    let sale = row("2026-11-02", "sale", 2, 0, 2000);
    assert_eq!(ledger(&database, 7).await, std::slice::from_ref(&sale));
    // The refund alone, while the order is still as it was read.
    let answer = ingest(&edge, &[delivery("r", "refunds/create", &refund(7))]).await;
    assert_eq!(types(&answer), ["payment_refunded"]);
    let returned = row("2026-11-03", "return", 0, 1, -1000);
    assert_eq!(ledger(&database, 7).await, [sale.clone(), returned.clone()]);
    // Then a body with one more unit by an edit of the 4th (Tokyo), cancelled on the 5th: 3 sold, 1 back, 2 cancelled.
    let edit = r#"{"order_edit": {"id": 9, "order_id": 7, "committed_at": "2026-11-04T00:00:00Z",
        "line_items": {"additions": [{"id": 1, "delta": 1}], "removals": []}}}"#;
    let body = order(7, 1, r#""cancelled_at": "2026-11-05T00:00:00Z","#)
        .replace("2026-11-01T16:30:01Z", "2026-11-05T00:00:00Z")
        .replace(r#""quantity": 2"#, r#""quantity": 3"#);
    ingest(
        &edge,
        &[
            delivery("e", "orders/edited", edit),
            delivery("u", "orders/cancelled", &body),
        ],
    )
    .await;
    let expected = [
        sale,
        returned,
        row("2026-11-04", "edit", 1, 0, 1000),
        row("2026-11-05", "cancellation", 0, 2, -2000),
    ];
    assert_eq!(ledger(&database, 7).await, expected);
    // Once the agreements know all of it, they say the same.
    let mut shop = told(&[
        ("orders/create", order(7, 1, "")),
        ("orders/edited", edit.to_owned()),
        ("refunds/create", refund(7)),
    ]);
    shop.tell(
        "orders/cancelled",
        "2026-11-05T00:00:00Z".parse().unwrap(),
        &serde_json::from_str(&body).unwrap(),
    );
    run_bulk(
        &edge,
        &shop,
        &Bulk {
            first_operation: 11,
            ..at("2026-11-06T00:00:00Z")
        },
    )
    .await;
    let booked: i64 = database
        .admin()
        .await
        .unwrap()
        .query_one("select count(*) from commerce.sales_agreement", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(booked, 4);
    assert_eq!(ledger(&database, 7).await, expected);
}

#[tokio::test]
async fn an_older_reading_does_not_overwrite_and_a_vanished_line_goes() {
    let (database, edge) = shop().await;
    let new = order(7, 30, r#""financial_status": "paid","#);
    ingest(&edge, &[delivery("u", "orders/updated", &new)]).await;
    let two_lines = order(7, 1, r#""financial_status": "pending","#).replace(
        r#""line_items": ["#,
        r#""line_items": [{"id": 2, "product_id": 12, "quantity": 1, "price": "5.00"},"#,
    );
    let stale = told(&[("orders/create", two_lines.clone())]);
    run_bulk(&edge, &stale, &at("2026-11-01T16:30:10Z")).await;
    let sql = "select financial_status, (select count(*) from commerce.order_line_item) from commerce.order_header";
    let admin = database.admin().await.unwrap();
    let row = admin.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (Some("paid"), 1_i64));
    // A newer reading has two lines, the one after it only one.
    let newer = two_lines.replace("16:30:01Z", "16:30:40Z");
    run_bulk(
        &edge,
        &told(&[("orders/create", newer)]),
        &Bulk {
            first_operation: 11,
            ..at("2026-11-01T16:31:00Z")
        },
    )
    .await;
    let row = admin.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (Some("pending"), 2_i64));
    let newest = told(&[("orders/create", order(7, 50, ""))]);
    run_bulk(
        &edge,
        &newest,
        &Bulk {
            first_operation: 21,
            ..at("2026-11-01T16:32:00Z")
        },
    )
    .await;
    assert_eq!(admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(1), 1);
}

#[tokio::test]
async fn what_was_deleted_does_not_come_back() {
    let (database, edge) = shop().await;
    let product = r#"{"id": 11, "title": "Lamp", "status": "active", "updated_at": "2026-11-01T00:00:00Z"}"#;
    let deletions = [
        delivery("d", "orders/delete", r#"{"id": 7}"#),
        delivery("p", "products/delete", r#"{"id": 11}"#),
    ];
    ingest(&edge, &deletions).await;
    let shop = told(&[
        ("orders/create", order(7, 50, "")),
        ("products/create", product.to_owned()),
    ]);
    let events = run_bulk(&edge, &shop, &at("2026-11-02T00:00:00Z")).await;
    assert!(ledger(&database, 7).await.is_empty());
    for event in events {
        let deleted = [&event["is_deleted"], &event["product_is_deleted"]]
            .into_iter()
            .any(|flag| *flag == true);
        assert!(deleted, "{event}");
    }
}

#[tokio::test]
async fn a_bad_line_is_refused_alone_and_its_order_waits_for_it() {
    let (database, edge) = shop().await;
    let shop = told(&[
        ("orders/create", order(7, 1, "")),
        ("orders/create", order(8, 1, "").replace(r#"{"id": 1,"#, r#"{"id": 2,"#)),
    ]);
    let good = jsonl(files(&shop)[0].clone(), Sequence::Grouped);
    // The line item of order 8 has a quantity that is none; other lines cannot be read at all.
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    let broken = lines.iter_mut().rfind(|line| line.contains("LineItem\"")).unwrap();
    *broken = broken.replace(r#""quantity":2"#, r#""quantity":"two""#);
    lines.push(r#"{"id":"gid:\/\/shopify\/Order\/9","__typename":"Order","name":"a\u0000b"}"#.into());
    lines.push(String::new());
    lines.push(r#"{"id":"gid:\/\/shopify\/Order\/10""#.into());
    lines.push(r#"{"id":null,"__typename":"Order"}"#.into());
    lines.push(r#"{"__typename":"Order"}"#.into());
    lines.push(r#"{"id":"gid:\/\/shopify\/Product\/1","title":"x"}"#.into());
    let run = run_of(1, "orders_core", "2026-11-02T00:00:00Z");
    let answer = ingest_bulk(&edge, SHOP, &lines.join("\n"), &run).await;
    let found: Vec<(i64, &str, &str)> = answer["rejections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["line"].as_i64().unwrap(),
                one["id"].as_str().unwrap_or(""),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (4, "gid://shopify/LineItem/2", "type_mismatch"),
        (5, "gid://shopify/Order/9", "invalid_text"),
        (7, "", "parse_failure"),
        (8, "", "null_value"),
        (9, "", "missing_field"),
        (10, "gid://shopify/Product/1", "type_mismatch"),
    ];
    assert_eq!(found, expected, "{answer}");
    assert_eq!(answer["rejections"][0]["detail"], "quantity: expected a 64-bit integer");
    assert_eq!((&answer["read"], &answer["roots"]), (&json!(9), &json!(2)));
    let events = bulk_events(&edge, SHOP, &[1], 10).await;
    assert!(
        !events.is_empty() && events.iter().all(|event| event["order_id"] == "7"),
        "{events:?}"
    );
    // The same operation read again, whole.
    let again = ingest_bulk(&edge, SHOP, &good, &run).await;
    assert_eq!(again["upserted"], 1);
    bulk_events(&edge, SHOP, &[1], 10).await;
    assert_eq!(ledger(&database, 8).await.len(), 1);
}

async fn ledger_is_empty(database: &weir_tests::postgres::Database) -> bool {
    let admin = database.admin().await.unwrap();
    let sql = "select not exists (select from commerce.sales_ledger)";
    admin.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn counters_tell_new_lines_from_repeated_ones_and_a_killed_run_is_repeated() {
    let (database, edge) = shop().await;
    let now: Timestamp = "2026-11-24T09:00:00Z".parse().unwrap();
    let shop = BulkShop::of(&Shop::tokyo().history(now).deliveries);
    let lines = files(&shop)[1].clone();
    let text = jsonl(lines.clone(), Sequence::Shuffled(1));
    let run = run_of(2, "orders_ledger", "2026-11-24T09:00:00Z");
    // A run that dies in a transaction leaves nothing, one that dies between chunks leaves whole lines.
    edge.batch_execute("begin").await.unwrap();
    ingest_bulk(&edge, SHOP, &text, &run).await;
    edge.batch_execute("rollback").await.unwrap();
    let half: String = text
        .lines()
        .take(lines.len() / 2)
        .map(|line| format!("{line}\n"))
        .collect();
    let first = ingest_bulk(&edge, SHOP, &half, &run).await;
    assert_eq!(
        (&first["read"], &first["upserted"]),
        (&json!(lines.len() / 2), &json!(lines.len() / 2))
    );
    let all = ingest_bulk(&edge, SHOP, &text, &run).await;
    assert_eq!(all["unchanged"], json!(lines.len() / 2));
    let doubled = ingest_bulk(&edge, SHOP, &(half.clone() + &half), &run).await;
    assert_eq!(
        (&doubled["upserted"], &doubled["unchanged"]),
        (&json!(0), &json!(lines.len() / 2 * 2))
    );
    let core = jsonl(files(&shop)[0].clone(), Sequence::Grouped);
    ingest_bulk(&edge, SHOP, &core, &run_of(1, "orders_core", "2026-11-24T09:00:00Z")).await;
    let ids = |events: Vec<Value>| events.iter().map(|event| event["event_id"].clone()).collect::<Vec<_>>();
    edge.batch_execute("begin").await.unwrap();
    let lost = ids(bulk_events(&edge, SHOP, &[1, 2], 50).await);
    edge.batch_execute("rollback").await.unwrap();
    assert!(ledger_is_empty(&database).await);
    let found = ids(bulk_events(&edge, SHOP, &[1, 2], 50).await);
    assert_eq!(lost, found);
    // Again in pages of another size and with the operations in another sequence.
    let before = content(&database).await;
    assert_eq!(ids(bulk_events(&edge, SHOP, &[2, 1], 7).await), found);
    assert_eq!(content(&database).await, before);
}

/// A line whose id looks like an order's and which names a parent: its sales are its parent's, once.
#[tokio::test]
async fn what_names_a_parent_is_no_order_of_its_own() {
    let (database, edge) = shop().await;
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let money = |amount: &str| {
        let one = json!({"amount": amount, "currencyCode": "USD"});
        json!({"shopMoney": one, "presentmentMoney": one})
    };
    let lines = [
        json!({"__typename": "Order", "id": "gid://shopify/Order/7", "updatedAt": "2026-11-01T16:30:01Z"}),
        json!({"__typename": "OrderAgreement", "id": "gid://shopify/Order/8", "happenedAt": "2026-11-01T16:30:00Z",
            "reason": "ORDER", "__parentId": "gid://shopify/Order/7"}),
        json!({"__typename": "ProductSale", "id": "gid://shopify/Sale/4", "actionType": "ORDER", "lineType": "PRODUCT",
            "quantity": 2, "totalAmount": money("20.00"), "totalDiscountAmountBeforeTaxes": money("0.00"),
            "totalTaxAmount": money("0.00"), "lineItem": {"id": "gid://shopify/LineItem/1"},
            "__parentId": "gid://shopify/Order/8"}),
    ];
    let chunk: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let run = run_of(1, "orders_ledger", "2026-12-01T00:00:00.000Z");
    assert_eq!(ingest_bulk(&edge, SHOP, &chunk, &run).await["upserted"], 3);
    let events = bulk_events(&edge, SHOP, &[1], 10).await;
    for event in &events {
        assert_eq!(
            (&event["order_id"], &event["sales"][0]["units_sold"]),
            (&json!("7"), &json!(2))
        );
    }
    assert_eq!(events.len(), 2);
    assert_eq!(ledger(&database, 7).await.len(), 1);
}

/// A product under an order's id would be read as that order, and a product known under its number be overwritten.
#[tokio::test]
async fn a_product_under_the_id_of_an_order_is_refused() {
    let (_, edge) = shop().await;
    let line = r#"{"__typename": "Product", "id": "gid://shopify/Order/1?a=b", "updatedAt": "2026-11-01T16:30:01Z"}"#;
    let run = run_of(1, "products", "2026-12-01T00:00:00.000Z");
    let answer = ingest_bulk(&edge, SHOP, line, &run).await;
    let refused = &answer["rejections"][0];
    assert_eq!(
        (&refused["reason"], &refused["id"]),
        (&json!("type_mismatch"), &json!("gid://shopify/Order/1"))
    );
    assert!(bulk_events(&edge, SHOP, &[1], 10).await.is_empty());
}

/// jsonb has no negative zero.
#[tokio::test]
async fn the_text_of_a_price_is_kept_as_it_was_sent() {
    let (database, edge) = shop().await;
    let run = run_of(1, "products", "2026-12-01T00:00:00.000Z");
    let prices = ["-0", "-0.00", "1e2", "1.50", "0"];
    for (id, price) in prices.iter().enumerate() {
        let line = format!(
            r#"{{"id": "gid://shopify/ProductVariant/{id}", "price": {price}, "__parentId": "gid://shopify/Product/5"}}"#
        );
        assert_eq!(ingest_bulk(&edge, SHOP, &line, &run).await["upserted"], 1);
    }
    let sql = "select content::jsonb -> 'variant' ->> 'price_text' from commerce.bulk_line order by node_id";
    let rows = database.admin().await.unwrap().query(sql, &[]).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(),
        prices
    );
}

/// The SQL-only install writes a kept body out from jsonb, with all digits of a number. That is more than is read of a body
/// that arrives, and PostgreSQL itself reads it.
#[tokio::test]
async fn a_kept_body_with_a_number_of_two_hundred_digits_is_stored_as_it_is() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let shop = told(&[("orders/create", order(7, 1, ""))]);
    let lines = jsonl(files(&shop)[0].clone(), Sequence::Grouped);
    let run = run_of(1, KINDS[0], "2026-11-24T09:00:00Z");
    ingest_bulk(&edge, SHOP, &lines, &run).await;
    let digits = format!("1{}", "0".repeat(200));
    let sql = "update commerce.bulk_line set raw = (raw::jsonb || '{\"ratio\": 1e200}')::json
        where resource = 'Order' returning raw::text like '%\"ratio\": ' || $1 || '%'";
    assert!(admin.query_one(sql, &[&digits]).await.unwrap().get::<_, bool>(0));
    assert!(!bulk_events(&edge, SHOP, &[1], 10).await.is_empty());
    let sql = "select header.raw = line.raw::jsonb and header.raw ->> 'ratio' = $1 from commerce.order_header as header
        join commerce.bulk_line as line on line.resource = 'Order' and line.node_id = header.order_id";
    assert!(admin.query_one(sql, &[&digits]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test]
async fn the_same_reading_by_another_operation_makes_no_new_revision() {
    let (_database, edge) = shop().await;
    let shop = told(&[("orders/create", order(7, 1, "")), ("refunds/create", refund(7))]);
    let first = run_bulk(&edge, &shop, &at("2026-11-04T00:00:00Z")).await;
    let second = run_bulk(
        &edge,
        &shop,
        &Bulk {
            first_operation: 11,
            ..at("2026-11-05T00:00:00Z")
        },
    )
    .await;
    assert_eq!(first, second);
}

#[tokio::test]
async fn two_shops_with_the_same_ids_stay_apart() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let other = json!({"shop_id": 2, "shop_domain": "other.myshopify.com", "iana_time_zone": "UTC", "currency": "USD"});
    admin
        .execute("select weir.register_shop($1::text::json)", &[&other.to_string()])
        .await
        .unwrap();
    let run = run_of(1, "orders_core", "2026-11-02T00:00:00Z");
    for (domain, price) in [(SHOP, "10.00"), ("other.myshopify.com", "11.00")] {
        let shop = told(&[("orders/create", order(7, 1, "").replace("10.00", price))]);
        ingest_bulk(&edge, domain, &jsonl(files(&shop)[0].clone(), Sequence::Grouped), &run).await;
    }
    for domain in [SHOP, "other.myshopify.com"] {
        let events = bulk_events(&edge, domain, &[1], 10).await;
        assert!(events.iter().all(|event| event["shop_domain"] == domain));
    }
    let sql = "select shop_id, day::text, net_sales_minor from commerce.sales_ledger order by 1";
    let rows = admin.query(sql, &[]).await.unwrap();
    let rows: Vec<(i64, String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(rows, [(1, "2026-11-02".into(), 2000), (2, "2026-11-01".into(), 2200)]);
    let stranger = ingest_bulk(&edge, "nobody.myshopify.com", "{}\n{}\n", &run).await;
    assert_eq!(
        (&stranger["rejected"], &stranger["rejections"][0]["reason"]),
        (&json!(2), &json!("unknown_shop"))
    );
}

#[tokio::test]
async fn who_was_forgotten_stays_forgotten() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let shop = told(&[("orders/create", order(7, 1, ""))]);
    let redact = |id: &str, orders: &str| {
        delivery(
            id,
            "customers/redact",
            &format!(r#"{{"customer": {{"id": 77}}, "orders_to_redact": {orders}}}"#),
        )
    };
    // Read but not yet put together when the customer is forgotten; and read again afterwards.
    let run = run_of(1, "orders_core", "2026-11-02T00:00:00Z");
    let text = jsonl(files(&shop)[0].clone(), Sequence::Grouped);
    ingest_bulk(&edge, SHOP, &text, &run).await;
    assert_eq!(verdicts(&ingest(&edge, &[redact("a", "[]")]).await), ["accepted"]);
    for _ in 0..2 {
        let events = bulk_events(&edge, SHOP, &[1], 10).await;
        assert!(!events.is_empty() && events.iter().all(|event| event.get("customer_key").is_none()));
        for table in ["order_header", "bulk_line"] {
            let sql = format!("select count(*) from commerce.{table} where customer_id is not null or raw is not null");
            assert_eq!(admin.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0), 0, "{table}");
        }
        ingest_bulk(&edge, SHOP, &text, &run).await;
    }
    assert_eq!(ledger(&database, 7).await.len(), 1);
    let forget = format!(r#"{{"shop_id": 1, "shop_domain": "{SHOP}"}}"#);
    ingest(&edge, &[delivery("s", "shop/redact", &forget)]).await;
    let late = ingest_bulk(&edge, SHOP, &text, &run).await;
    assert_eq!(late["rejections"][0]["reason"], "redacted");
    assert!(bulk_events(&edge, SHOP, &[1], 10).await.is_empty());
}

#[tokio::test]
async fn lines_are_removed_with_their_operation_and_the_orders_stay() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    run_bulk(
        &edge,
        &told(&[("orders/create", order(7, 1, ""))]),
        &at("2026-11-02T00:00:00Z"),
    )
    .await;
    let count = "select (select count(*) from commerce.bulk_line), (select count(*) from commerce.bulk_operation)";
    assert!(admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0) > 0);
    admin
        .batch_execute(
            "update commerce.bulk_operation set received_at = now() - interval '8 days';
        select weir.purge_deliveries(interval '7 days')",
        )
        .await
        .unwrap();
    let row = admin.query_one(count, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (0_i64, 0_i64));
    assert_eq!(ledger(&database, 7).await.len(), 1);
}

#[tokio::test]
async fn a_run_that_is_none_is_an_error_with_a_hint() {
    let (_database, edge) = shop().await;
    let good = run_of(1, "orders_core", "2026-11-02T00:00:00Z");
    for (field, value) in [
        ("operation_id", json!("1")),
        ("kind", json!("orders")),
        ("source", json!("webhook")),
        ("started_at", json!("yesterday")),
        ("received_at", json!(1)),
    ] {
        let mut run = good.clone();
        run[field] = value;
        let sql = "select weir.ingest_bulk($1, '', $2::text::json)";
        let error = edge.query_one(sql, &[&SHOP, &run.to_string()]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert!(
            error.code() == &SqlState::INVALID_PARAMETER_VALUE && error.hint().is_some(),
            "{field}: {error:?}"
        );
    }
    let run = json!({"operation_ids": ["gid://shopify/BulkOperation/1"], "source": "bulk_sync",
        "received_at": "2026-12-01T00:20:00.000Z", "after": "x", "limit": 1});
    let sql = "select weir.bulk_events($1, $2::text::json)";
    let error = edge.query_one(sql, &[&SHOP, &run.to_string()]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_pages_and_webhooks_at_once_do_not_deadlock() {
    const ORDERS: i64 = 30;
    let (database, _edge) = shop().await;
    let orders: Vec<_> = (0..ORDERS)
        .map(|id| {
            (
                "orders/create",
                order(100 + id, 1, "").replace("{\"id\": 1,", &format!("{{\"id\": {},", 700 + id)),
            )
        })
        .collect();
    let files = files(&told(&orders));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_u64 {
        let (client, files) = (database.edge().await.unwrap(), files.clone());
        writers.spawn(async move {
            for round in 0..3_u64 {
                for (index, lines) in files.iter().enumerate() {
                    let run = run_of(index as i64 + 1, KINDS[index], "2026-11-02T00:00:00Z");
                    for chunk in chunks(&jsonl(lines.clone(), Sequence::Shuffled(writer * 10 + round)), writer) {
                        ingest_bulk(&client, SHOP, &chunk, &run).await;
                    }
                }
                let run = json!({"operation_ids": ["gid://shopify/BulkOperation/2", "gid://shopify/BulkOperation/1"],
                    "source": "bulk_sync", "received_at": "2026-12-01T00:20:00.000Z", "limit": 40});
                let sql = "select weir.bulk_events($1, $2::text::json)::text";
                client.query_one(sql, &[&SHOP, &run.to_string()]).await.unwrap();
                let step = |step: i64| 100 + (step * 7 + writer as i64 * 11) % ORDERS;
                let batch = (0..ORDERS).map(|at| {
                    let body = order(step(at), 2, "").replace("{\"id\": 1,", &format!("{{\"id\": {},", 400 + step(at)));
                    delivery(&format!("{writer}-{round}-{at}"), "orders/updated", &body)
                });
                ingest(&client, &batch.collect::<Vec<_>>()).await;
            }
        });
    }
    while let Some(finished) = writers.join_next().await {
        finished.expect("a writer failed");
    }
    let admin = database.admin().await.unwrap();
    let sql =
        "select count(*), count(*) filter (where l.line_item_id = h.order_id + 400) from commerce.order_header as h
        join commerce.order_line_item as l using (shop_id, order_id)";
    let row = admin.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (ORDERS, ORDERS));
}

/// A page that is told piece by piece has the salt of a customer, while a webhook about a later order of theirs waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_told_by_bytes_locks_its_orders_before_anybodys_salt() {
    let (database, edge) = shop().await;
    let by = |id: i64| {
        let customer = if [10, 60].contains(&id) { 7 } else { 1000 + id };
        order(id, 1, "").replace(r#""id": 77"#, &format!(r#""id": {customer}"#))
    };
    let orders: Vec<_> = (1..=100).map(|id| ("orders/create", by(id))).collect();
    let run = run_of(1, "orders_core", "2026-11-02T00:00:00Z");
    let text = jsonl(files(&told(&orders))[0].clone(), Sequence::Grouped);
    ingest_bulk(&edge, SHOP, &text, &run).await;
    let holder = database.admin().await.unwrap();
    let hold = "begin; insert into commerce.order_header (shop_id, order_id) values (1, 59)";
    holder.batch_execute(hold).await.unwrap();

    let page = tokio::spawn(async move {
        let run = json!({"operation_ids": ["gid://shopify/BulkOperation/1"], "source": "bulk_sync",
            "received_at": "2026-12-01T00:20:00.000Z", "limit": 500, "bytes": 100_000_000});
        let sql = "select json_array_length(weir.bulk_events($1, $2::text::json) -> 'events')";
        let row = edge.query_one(sql, &[&SHOP, &run.to_string()]).await;
        row.map(|row| row.get::<_, i32>(0))
    });
    let admin = database.admin().await.unwrap();
    until_waiting(&admin, 1, || page.is_finished()).await;
    let other = database.edge().await.unwrap();
    let webhook = tokio::spawn(async move {
        let batch = Value::from(vec![delivery("a", "orders/updated", &by(60))]).to_string();
        let sql = "select weir.ingest($1::text::json)::text";
        other.query_one(sql, &[&batch]).await.map(|_| ())
    });
    until_waiting(&admin, 2, || webhook.is_finished()).await;
    holder.batch_execute("rollback").await.unwrap();
    webhook.await.unwrap().unwrap();
    assert!(page.await.unwrap().unwrap() >= 100);
}

/// Its pieces are in the sequence of its orders, a batch's salts in that of the customers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_told_by_bytes_makes_salts_in_the_sequence_of_everybody_else() {
    let (database, edge) = shop().await;
    let by = |id: i64, customer: i64| order(id, 1, "").replace(r#""id": 77"#, &format!(r#""id": {customer}"#));
    // The second piece has the customers that come first.
    let customer = |id: i64| if id > 50 { id - 49 } else { 1000 + id };
    let orders: Vec<_> = (1..=100).map(|id| ("orders/create", by(id, customer(id)))).collect();
    let run = run_of(1, "orders_core", "2026-11-02T00:00:00Z");
    let text = jsonl(files(&told(&orders))[0].clone(), Sequence::Grouped);
    ingest_bulk(&edge, SHOP, &text, &run).await;
    let holder = database.admin().await.unwrap();
    let hold = "begin; insert into privacy.salt (shop_id, customer_id, salt) values (1, 2, 'x')";
    holder.batch_execute(hold).await.unwrap();

    let page = tokio::spawn(async move {
        let run = json!({"operation_ids": ["gid://shopify/BulkOperation/1"], "source": "bulk_sync",
            "received_at": "2026-12-01T00:20:00.000Z", "limit": 500, "bytes": 100_000_000});
        let sql = "select json_array_length(weir.bulk_events($1, $2::text::json) -> 'events')";
        let row = edge.query_one(sql, &[&SHOP, &run.to_string()]).await;
        row.map(|row| row.get::<_, i32>(0))
    });
    let admin = database.admin().await.unwrap();
    until_waiting(&admin, 1, || page.is_finished()).await;
    // Other orders, of one customer of each piece.
    let other = database.edge().await.unwrap();
    let webhooks = tokio::spawn(async move {
        let batch = [(201, 3), (202, 1010)].map(|(id, who)| delivery(&id.to_string(), "orders/create", &by(id, who)));
        let sql = "select weir.ingest($1::text::json)::text";
        let batch = Value::from(batch.to_vec()).to_string();
        other.query_one(sql, &[&batch]).await.map(|_| ())
    });
    until_waiting(&admin, 2, || webhooks.is_finished()).await;
    holder.batch_execute("rollback").await.unwrap();
    webhooks.await.unwrap().unwrap();
    assert!(page.await.unwrap().unwrap() >= 100);
}

#[tokio::test]
async fn a_purge_between_two_chunks_of_a_replay_leaves_no_half_orders() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let run = run_of(1, "orders_core", "2026-11-02T00:00:00Z");
    let shop = told(&[("orders/create", order(7, 1, ""))]);
    let text = jsonl(files(&shop)[0].clone(), Sequence::Grouped);
    ingest_bulk(&edge, SHOP, &text, &run).await;
    let old = "update commerce.bulk_operation set received_at = now() - interval '8 days'";
    admin.batch_execute(old).await.unwrap();
    let (first, rest) = text.split_at(text.find('\n').unwrap() + 1);
    let now = "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
    let mut replay = run.clone();
    replay["source"] = "replay".into();
    replay["received_at"] = admin.query_one(now, &[]).await.unwrap().get::<_, String>(0).into();
    ingest_bulk(&edge, SHOP, first, &replay).await;
    let purge = "select weir.purge_deliveries(interval '7 days')";
    admin.batch_execute(purge).await.unwrap();
    ingest_bulk(&edge, SHOP, rest, &replay).await;
    bulk_events(&edge, SHOP, &[1], 10).await;
    let lines = "select count(*) from commerce.bulk_line";
    let kept: i64 = admin.query_one(lines, &[]).await.unwrap().get(0);
    assert_eq!(usize::try_from(kept).unwrap(), text.lines().count());
    assert_eq!(ledger(&database, 7).await.len(), 1);
}

#[tokio::test]
async fn a_page_ends_with_the_order_that_fills_its_bytes() {
    let (_database, edge) = shop().await;
    let orders = (1..=120).map(|id| ("orders/create", order(id, 1, "")));
    let product =
        json!({"id": 20, "created_at": "2026-10-01T00:00:00Z", "updated_at": "2026-10-01T00:00:00Z", "title": "Lamp",
        "variants": []})
        .to_string();
    let told = told(&orders.chain([("products/create", product)]).collect::<Vec<_>>());
    let all = run_bulk(&edge, &told, &at("2026-11-02T00:00:00Z")).await;
    let operations = [1, 2, 3].map(|id| format!("gid://shopify/BulkOperation/{id}"));
    let mut run = json!({"operation_ids": operations, "source": "bulk_sync",
        "received_at": "2026-12-01T00:20:00.000Z", "limit": 500});
    let page = async |run: &Value| {
        let sql = "select weir.bulk_events($1, $2::text::json)::text";
        let row = edge.query_one(sql, &[&SHOP, &run.to_string()]).await;
        row.map(|row| serde_json::from_str::<Value>(row.get(0)).unwrap())
    };
    for refused in [json!(0), json!(1_000_000_001), json!("1"), json!(1.5)] {
        run["bytes"] = refused;
        assert!(page(&run).await.is_err(), "{run}");
    }
    let length = |event: &Value| event.to_string().len();
    let least = all.iter().map(length).min().unwrap();
    for (bytes, most_pages) in [(1, 121), (20 * least, 121), (100_000_000, 1)] {
        let (mut events, mut pages) = (Vec::new(), 0);
        run["bytes"] = bytes.into();
        run["after"] = Value::Null;
        loop {
            let answer = page(&run).await.unwrap();
            let some = answer["events"].as_array().unwrap();
            let before_last = |event: &&Value| {
                let last = some.last().unwrap();
                (&event["order_id"], &event["product_id"]) != (&last["order_id"], &last["product_id"])
            };
            // As text they are longer by the blanks of the SQL-only install.
            let before: usize = some.iter().filter(before_last).map(length).sum();
            assert!(before < bytes, "{before} of {bytes}");
            pages += usize::from(!some.is_empty());
            events.extend(some.clone());
            run["after"] = answer["next"].clone();
            if run["after"].is_null() {
                break;
            }
        }
        assert!(
            pages <= most_pages && (most_pages == 1) == (pages == 1),
            "{pages} pages of {bytes}"
        );
        assert_eq!(events.len(), all.len());
        assert!(events == all, "{bytes}");
    }
}
