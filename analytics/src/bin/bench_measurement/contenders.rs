//! Plain SQL in DuckDB, what the contenders in other languages read, and the comparison of everybody's results with weir's.

use std::path::Path;
use std::time::Instant;

use serde_json::{json, Value};
use weir_analytics::lake::tables::stream_table;
use weir_analytics::lake::Lake;
use weir_analytics::measurement::{base, engine, tables};
use weir_domain::telemetry;

use super::events::published;
use super::{server, tell, today};

const PLAIN: &str = include_str!("plain.sql");

/// What the objective says, by the names that every contender knows.
async fn thresholds(lake: &Lake) -> Value {
    let spec = published(lake).await;
    json!({
        "today": today().to_string(), "threshold_7d": spec.threshold_7d, "threshold_14d": spec.threshold_14d,
        "threshold_30d": spec.threshold_30d, "banana_count": spec.banana_count,
        "stale_after_days": spec.stale_after_days
    })
}

pub async fn plain(warehouse: &str, folder: &str) {
    let server = server(warehouse).await;
    let lake = &server.app().lake;
    let table = stream_table(&telemetry::commerce()).expect("a table");
    let mut sql = PLAIN
        .replace("{telemetry}", &lake.duckdb_relation(&table, None).await.expect("files"))
        .replace("{folder}", folder);
    for (name, value) in thresholds(lake).await.as_object().expect("names") {
        sql = sql.replace(&format!("{{{name}}}"), value.to_string().trim_matches('"'));
    }
    tokio::task::spawn_blocking(move || {
        let connection = engine::open(&std::env::temp_dir().join("weir-bench-plain")).expect("DuckDB");
        let started = Instant::now();
        connection.execute_batch(&sql).expect("valid SQL");
        tell("duckdb, plain SQL", started, Value::Null);
    })
    .await
    .expect("no panic");
    server.stop().await.expect("an end");
}

/// Columns that the contenders need; `sales` as JSON, which PostgreSQL reads.
const CSV: &str = "event_type, shop_domain, order_id, order_revision, currency, \
    strftime(order_processed_at, '%Y-%m-%dT%H:%M:%S.%fZ') as order_processed_at, is_test, sales::json as sales, product_id, \
    product_is_active, strftime(product_published_at, '%Y-%m-%dT%H:%M:%S.%fZ') as product_published_at, \
    strftime(product_updated_at, '%Y-%m-%dT%H:%M:%S.%fZ') as product_updated_at";

pub async fn inputs(warehouse: &str, folder: &str, is_csv: bool) {
    let server = server(warehouse).await;
    let lake = &server.app().lake;
    let table = stream_table(&telemetry::commerce()).expect("a table");
    let mut told = thresholds(lake).await;
    told["files"] = json!(lake.data_files(&table, None).await.expect("files"));
    std::fs::write(Path::new(folder).join("inputs.json"), told.to_string()).expect("a file");
    if is_csv {
        let relation = lake.duckdb_relation(&table, None).await.expect("files");
        let copy =
            format!("copy (select {CSV} from {relation} as t) to '{folder}/events.csv' (format csv, header false)");
        tokio::task::spawn_blocking(move || {
            let connection = engine::open(&std::env::temp_dir().join("weir-bench-csv")).expect("DuckDB");
            connection.execute_batch(&copy).expect("a file");
        })
        .await
        .expect("no panic");
    }
    server.stop().await.expect("an end");
}

const SALES: &str = "shop_domain, product_id, day::date as day, currency, units_sold::bigint as units_sold, \
    units_returned::bigint as units_returned, gross_sales::bigint as gross_sales, discounts::bigint as discounts, \
    returns::bigint as returns, net_sales::bigint as net_sales, order_count::bigint as order_count, \
    first_event_at::timestamptz as first_event_at, last_event_at::timestamptz as last_event_at";
const PERFORMANCE: &str = "shop_domain, product_id, launched_on::date as launched_on, \
    sales_first_7_days::bigint as sales_first_7_days, sales_first_14_days::bigint as sales_first_14_days, \
    sales_last_7_days::bigint as sales_last_7_days, sales_last_14_days::bigint as sales_last_14_days, \
    sales_last_30_days::bigint as sales_last_30_days, net_sales_last_30_days::bigint as net_sales_last_30_days, \
    rank::bigint as rank, nominal_classification";

pub async fn compare(warehouse: &str, folder: &str, name: &str) {
    let server = server(warehouse).await;
    let lake = &server.app().lake;
    let snapshot = base::sales_snapshot(lake).await.expect("a refresh");
    let sales = lake.duckdb_relation(&tables::sales(), snapshot).await.expect("files");
    let performance = lake.duckdb_relation(&tables::performance(), None).await.expect("files");
    let performance = format!("{performance} as own where computed_on = '{}'", today());
    let started = Instant::now();
    let pairs = [("sales", SALES, sales), ("performance", PERFORMANCE, performance)].map(|(what, columns, own)| {
        let file = Path::new(folder).join(format!("{name}.{what}.parquet"));
        let theirs = match file.exists() {
            true => format!("read_parquet('{}')", file.display()),
            // Everything as text, cast by the columns: a reader that guesses would take ids for numbers.
            false => format!(
                "read_csv('{}', all_varchar = true)",
                file.with_extension("csv").display()
            ),
        };
        (
            what,
            format!("select {columns} from {own}"),
            format!("select {columns} from {theirs}"),
        )
    });
    let rows = tokio::task::spawn_blocking(move || {
        let connection = engine::open(&std::env::temp_dir().join("weir-bench-compare")).expect("DuckDB");
        let number = |sql: String| -> i64 { connection.query_row(&sql, [], |row| row.get(0)).expect("a number") };
        pairs.map(|(what, own, theirs)| {
            for (left, right) in [(&own, &theirs), (&theirs, &own)] {
                let lost = number(format!("select count(*) from (({left}) except all ({right}))"));
                assert_eq!(
                    lost, 0,
                    "{what}: rows of one that the other does not have, in ({left}) against ({right})"
                );
            }
            number(format!("select count(*) from ({own})"))
        })
    })
    .await
    .expect("equal results");
    tell(
        &format!("{name} says what weir says"),
        started,
        json!({ "sales": rows[0], "performance": rows[1] }),
    );
    server.stop().await.expect("an end");
}
