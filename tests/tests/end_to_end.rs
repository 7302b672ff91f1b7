//! The real path, once: signed webhook -> queue -> one `weir.ingest` -> stream -> Iceberg -> DuckDB -> measurement, read
//! back by readers that are not ours. One test binary, one stack per test; nothing is shared and nothing is left.

use serde_json::{json, Value};
use weir_tests::shop::{Delivery, History, Shop};
use weir_tests::stack::Stack;
use weir_tests::workerd::SECRETS;
use weir_tests::Result;

/// The moment at which the made-up shops live; a fixed one, so that every run is the same. It lies ahead of any clock, for
/// an objective specification holds from the moment it is published, and the day before it Paris changed to summer time.
const NOW: &str = "2031-03-31T12:00:00Z";

fn histories(shops: &[Shop]) -> Vec<History> {
    let now = NOW.parse().expect("a time");
    shops.iter().map(|shop| shop.history(now)).collect()
}

async fn refresh(stack: &Stack) -> Result<Value> {
    stack.lake.post("/v1/refresh", &json!({ "now": NOW })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_become_daily_sales_and_explained_labels() -> Result<()> {
    let shops = [Shop::tokyo(), Shop::paris()];
    let stack = Stack::start(&shops, |_| {}).await?;
    let histories = histories(&shops);
    let deliveries: Vec<Delivery> = histories
        .iter()
        .flat_map(|history| history.deliveries.clone())
        .collect();
    stack.deliver_all(&deliveries, |_| {}).await?;
    let events = stack.drained(&deliveries, 1).await?;
    assert!(
        events > deliveries.len() / 3,
        "{events} events of {} deliveries",
        deliveries.len()
    );
    refresh(&stack).await?;

    for (shop, history) in shops.iter().zip(&histories) {
        for reader in ["pyiceberg", "duckdb"] {
            assert_eq!(
                stack.measured(reader, shop).await?,
                history.sales,
                "{} by {reader}",
                shop.domain
            );
        }
    }
    assert_labels(&stack, &shops).await?;
    assert_same_after_repetition(&stack, &shops, &deliveries, events).await
}

/// The catalogue of [`Shop::products`] was made so that every label is earned for a known reason.
async fn assert_labels(stack: &Stack, shops: &[Shop]) -> Result<()> {
    let expected = [
        ("Rising Lamp", "top_riser"),
        ("Evergreen Mug", "winner"),
        ("Yellow Bag", "banana"),
        ("Old Poster", "archive_candidate"),
        ("Dusty Vase", "archive_candidate"),
        ("Plain Socks", "none"),
    ];
    let rows = stack.lake.read_back("pyiceberg", "measurement.performance").await?;
    for shop in shops {
        for (title, label) in expected {
            let product = shop
                .products()
                .into_iter()
                .find(|product| product.title == title)
                .expect("in the catalogue");
            let product_id = product.id.to_string();
            let row = rows
                .iter()
                .find(|row| row["shop_domain"] == shop.domain && row["product_id"] == product_id.as_str())
                .unwrap_or_else(|| panic!("{title} of {} is not measured", shop.domain));
            assert_eq!(
                row["nominal_classification"], label,
                "{title} of {}: {row}",
                shop.domain
            );
            let path = format!("/v1/explain?shop={}&product={}", shop.domain, product.id);
            let explained = stack.lake.get(&path).await?;
            assert!(explained.to_string().contains(label), "{title}: {explained}");
        }
    }
    Ok(())
}

/// Everything again, newest first: each delivery is a duplicate, no event is new, the measurement does not move.
async fn assert_same_after_repetition(
    stack: &Stack,
    shops: &[Shop],
    deliveries: &[Delivery],
    events: usize,
) -> Result<()> {
    let mut before = vec![];
    for shop in shops {
        before.push(stack.measured("duckdb", shop).await?);
    }
    let backwards: Vec<Delivery> = deliveries.iter().rev().cloned().collect();
    stack.deliver_all(&backwards, |_| {}).await?;
    assert_eq!(stack.drained(&backwards, 2).await?, events);
    refresh(stack).await?;
    for (shop, before) in shops.iter().zip(before) {
        assert_eq!(stack.measured("duckdb", shop).await?, before, "{}", shop.domain);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_in_reverse_order_give_the_same_sales() -> Result<()> {
    let shop = Shop::paris();
    let stack = Stack::start(std::slice::from_ref(&shop), |_| {}).await?;
    let history = histories(std::slice::from_ref(&shop)).remove(0);
    // One at a time per order would hide races, so they go out in parallel: only the overall order is turned round.
    let backwards: Vec<Delivery> = history.deliveries.iter().rev().cloned().collect();
    stack.deliver_all(&backwards, |_| {}).await?;
    stack.drained(&backwards, 1).await?;
    refresh(&stack).await?;
    assert_eq!(stack.measured("duckdb", &shop).await?, history.sales);
    Ok(())
}

fn variant(of: &Delivery, webhook_id: &str, body: &[u8]) -> Delivery {
    Delivery {
        webhook_id: webhook_id.to_owned(),
        body: body.to_vec(),
        ..of.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_a_clear_answer_and_loses_nothing() -> Result<()> {
    let shop = Shop::paris();
    let stack = Stack::start(std::slice::from_ref(&shop), |_| {}).await?;
    let deliveries = histories(std::slice::from_ref(&shop)).remove(0).deliveries;
    let order = deliveries
        .iter()
        .find(|delivery| delivery.topic == "orders/create")
        .expect("an order")
        .clone();

    let (status, answer) = stack
        .worker
        .deliver_signed(&order, &order.signature("not the secret"))
        .await?;
    assert_eq!(status, 401, "forged signature: {answer}");
    let (status, answer) = stack
        .worker
        .deliver_signed(&order, &order.signature(SECRETS[1]))
        .await?;
    assert_eq!(status, 200, "the old secret during rotation: {answer}");

    let mut wrong_topic = variant(&order, "wrong-topic", &order.body);
    wrong_topic.topic = "no/such_topic".into();
    let (status, answer) = stack.worker.deliver(&wrong_topic).await?;
    assert!(matches!(status, 415 | 422), "{status} {answer}");
    assert!(answer.contains("topic"), "{answer}");

    let mut stranger = variant(&order, "stranger", &order.body);
    stranger.shop_domain = "someone-else.myshopify.com".into();
    assert_eq!(stack.worker.deliver(&stranger).await?.0, 404);

    let oversized = variant(&order, "oversized", &vec![b' '; 11 << 20]);
    assert_eq!(stack.worker.deliver(&oversized).await?.0, 413);

    // The edge hands over what Shopify signed. What is not JSON, or holds a NUL that PostgreSQL cannot store, the extension refuses, alone.
    let broken = variant(&order, "broken-json", b"{\"id\": 1, ");
    assert_eq!(stack.worker.deliver(&broken).await?.0, 200);
    let text = String::from_utf8(order.body.clone())?.replace("\"name\":\"#1", "\"name\":\"\\u0000#1");
    let with_nul = variant(&order, "with-nul", text.as_bytes());
    let neighbour = deliveries
        .iter()
        .rev()
        .find(|delivery| delivery.topic == "orders/create")
        .expect("an order")
        .clone();
    assert_eq!(stack.worker.deliver(&with_nul).await?.0, 200);
    assert_eq!(stack.worker.deliver(&neighbour).await?.0, 200);
    assert_eq!(stack.worker.deliver(&order).await?.0, 200, "the same delivery again");

    stack.drained(&[order.clone(), neighbour], 1).await?;
    let quarantined = wait_for_quarantine(&stack, &["broken-json", "with-nul"]).await?;
    assert_eq!(quarantined.len(), 2, "{quarantined:?}");
    let orders: i64 = stack
        .admin
        .query_one("select count(*) from commerce.order_header", &[])
        .await?
        .get(0);
    assert_eq!(orders, 2, "the order and its neighbour, each once");
    Ok(())
}

async fn wait_for_quarantine(stack: &Stack, webhook_ids: &[&str]) -> Result<Vec<Value>> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let quarantined = stack.worker.quarantine().await?;
        let is_there = |id: &&str| quarantined.iter().any(|object| object.to_string().contains(*id));
        if webhook_ids.iter().all(is_there) {
            assert!(
                quarantined.iter().all(|object| object["reason"].is_string()),
                "{quarantined:?}"
            );
            return Ok(quarantined);
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{quarantined:?}; log: {}",
            stack.worker.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_event_survives_a_killed_lake() -> Result<()> {
    let shop = Shop::tokyo();
    let mut stack = Stack::start(std::slice::from_ref(&shop), |_| {}).await?;
    let deliveries = histories(std::slice::from_ref(&shop)).remove(0).deliveries;
    let batch: Vec<Value> = deliveries[..40].iter().map(Delivery::to_ingest).collect();
    let batch = Value::Array(batch).to_string();
    let row = stack
        .admin
        .query_one("select weir.ingest($1::text::json)::text", &[&batch])
        .await?;
    let events = serde_json::from_str::<Value>(row.get(0))?["events"].clone();
    let count = events.as_array().map_or(0, Vec::len);
    assert!(count >= 20, "{count} events");
    stack.lake.post("/v1/streams/commerce_v1", &events).await?;
    // Acknowledged, perhaps not yet in Iceberg: killed here, it must come back from the journal.
    stack.lake = stack.lake.crash_and_restart()?;
    stack.lake.flush().await?;
    stack.lake = stack.lake.crash_and_restart()?;
    stack.lake.flush().await?;
    let rows = stack.lake.read_back("pyiceberg", "commerce.telemetry").await?;
    assert_eq!(rows.len(), count, "every event once, none twice");
    Ok(())
}
