//! Refreshes that meet: of two servers over one catalog, and of one whose caller has gone.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use weir_analytics::lake::{CatalogConfig, Lake};
use weir_analytics::measurement::refresh::{run, How, Outcome, Request};
use weir_analytics::measurement::steps::Progress;
use weir_analytics::measurement::tables;
use weir_analytics::server::{Config, Server};

use crate::common::proxy::{Fault, Proxy};
use crate::common::{config, flush, send, TOKEN};
use crate::harness::{demo_events, demo_order, sale, Served, NOON};
use crate::world::{product, SHOP, ZONE};

/// Holds the first commit of a table.
fn first_commit(table: &'static str) -> impl FnMut(&Method, &str) -> Option<Fault> + Send + 'static {
    let mut is_held = false;
    move |method, path| {
        let is_first = !is_held && method == Method::POST && path.ends_with(table);
        is_held |= is_first;
        is_first.then_some(Fault::Hold)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_another_server_has_overtaken_begins_anew() {
    for table in ["/tables/sales", "/tables/performance"] {
        let served = Served::start().await;
        served.ingest(&demo_events()).await;
        served.refresh(NOON).await;
        let proxy = Proxy::start(served.server.url(), first_commit(table)).await;

        served
            .ingest(&[demo_order("c", 1, &[sale("1", "2026-03-22", 5)])])
            .await;
        let refresh = through(&proxy).await;
        proxy.held().await;
        served
            .ingest(&[demo_order("d", 1, &[sale("1", "2026-03-23", 7)])])
            .await;
        served.refresh(NOON).await;
        proxy.release();
        let outcome = refresh.await.unwrap().unwrap();
        assert_eq!(outcome.mode, "incremental", "{outcome:?}");

        served
            .ingest(&[demo_order("e", 1, &[sale("3", "2026-03-24", 1)])])
            .await;
        assert_eq!(served.refresh(NOON).await["mode"], "incremental", "{table}");
        let added = [served.text("/v1/sales").await, served.text("/v1/performance").await];
        served.post("/v1/refresh", &json!({ "now": NOON, "full": true })).await;
        let anew = [served.text("/v1/sales").await, served.text("/v1/performance").await];
        assert_eq!(added[0], anew[0], "{table}");
        assert!(anew[0].contains("2026-03-23"), "{table}: {}", anew[0]);
    }
}

/// Holds the request of this number to a table.
fn nth(number: usize, of: Method, table: &'static str) -> impl FnMut(&Method, &str) -> Option<Fault> + Send + 'static {
    let mut seen = 0;
    move |method, path| {
        seen += usize::from(*method == of && path.ends_with(table));
        (seen == number && *method == of && path.ends_with(table)).then_some(Fault::Hold)
    }
}

/// A refresh by a server of its own, whose requests go through a proxy.
async fn through(proxy: &Proxy) -> JoinHandle<weir_analytics::Result<Outcome>> {
    let lake = Lake::new(&format!("{}/iceberg", proxy.url), None).await.unwrap();
    let request = Request {
        now: NOON.parse().unwrap(),
        how: How::Incremental,
    };
    tokio::spawn(async move { run(&lake, request, &Arc::new(Progress::default())).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_changes_no_day_does_not_take_anothers_sales_for_those_it_read() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    // The first reads a product and no order. When it has read it looks at sales once more, to hold them.
    let named = json!({ "product_title": "One" });
    served
        .ingest(&[product(SHOP, ZONE, "1", "2026-03-02T00:00:00.000Z", named)])
        .await;
    let first_proxy = Proxy::start(served.server.url(), nth(2, Method::GET, "/tables/sales")).await;
    let first = through(&first_proxy).await;
    first_proxy.held().await;
    // The other reads an order too, and has committed its sales when the first goes on.
    served
        .ingest(&[demo_order("c", 1, &[sale("1", "2026-03-22", 5)])])
        .await;
    let other_proxy = Proxy::start(served.server.url(), nth(1, Method::POST, "/tables/performance")).await;
    let other = through(&other_proxy).await;
    other_proxy.held().await;
    first_proxy.release();
    first.await.unwrap().unwrap();
    // Should the other begin anew, it is with telemetry of which no sales are written yet.
    served
        .ingest(&[demo_order("d", 1, &[sale("3", "2026-03-24", 1)])])
        .await;
    other_proxy.release();
    other.await.unwrap().unwrap();
    assert_eq!(served.refresh(NOON).await["mode"], "incremental");
    let added = [served.text("/v1/sales").await, served.text("/v1/performance").await];
    served.post("/v1/refresh", &json!({ "now": NOON, "full": true })).await;
    let anew = [served.text("/v1/sales").await, served.text("/v1/performance").await];
    assert_eq!(added, anew);
    assert!(anew[0].contains("2026-03-22"), "{}", anew[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_caller_has_gone_ends_as_if_it_had_not() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let catalog = Server::start(config(folders[0].path())).await.unwrap();
    let proxy = Proxy::start(catalog.url(), first_commit("/tables/sales")).await;
    let settings = Config {
        catalog: Some(CatalogConfig::embedded(&format!("{}/iceberg", proxy.url), None)),
        ..config(folders[1].path())
    };
    let server = Server::start(settings).await.unwrap();
    send(server.url(), &demo_events()).await;
    flush(server.url()).await;
    let request = reqwest::Client::new().post(format!("{}/v1/refresh", server.url()));
    let request = request.bearer_auth(TOKEN).body(json!({ "now": NOON }).to_string());
    let caller = tokio::spawn(request.send());
    proxy.held().await;
    caller.abort();
    assert!(caller.await.is_err());
    proxy.release();
    // Its turn ends when it has ended.
    let ended = async {
        let lake = &server.app().lake;
        while lake.current_snapshot(&tables::performance()).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
    let spilled = folders[1].path().join("spill");
    let _turn = server.app().refresh.lock().await;
    assert_eq!(std::fs::read_dir(spilled).unwrap().count(), 0);
}
