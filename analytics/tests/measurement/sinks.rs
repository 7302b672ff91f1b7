//! A server over tables in the shape that Cloudflare's sinks give them, written by the sink meanwhile.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use iceberg::spec::{NestedField, PrimitiveType, Schema, Transform, Type};
use serde_json::{json, Value};
use weir_analytics::lake::append::decode_rows;
use weir_analytics::lake::catalog_store::CatalogStore;
use weir_analytics::lake::maintain::Upkeep;
use weir_analytics::lake::tables::{stream_definition, stream_table};
use weir_analytics::lake::{catalog_server, Lake, TableDefinition};
use weir_analytics::server::Server;
use weir_domain::telemetry::{self, StreamSchema};

use crate::common::{config, read};
use crate::harness::{demo_events, demo_order, sale, Served, NOON};
use crate::world::interaction;

/// First a required column of the ingest's time, by whose day the table is partitioned; no time has a zone.
fn of_sink(stream: &StreamSchema) -> TableDefinition {
    let own = stream_definition(stream).unwrap();
    let zoneless = Type::Primitive(PrimitiveType::Timestamp);
    let ingested = NestedField::required(1_000, "__ingest_ts", zoneless.clone());
    let fields = own.schema.as_struct().fields().iter().map(|field| {
        let mut field = field.as_ref().clone();
        if *field.field_type == Type::Primitive(PrimitiveType::Timestamptz) {
            *field.field_type = zoneless.clone();
        }
        Arc::new(field)
    });
    let fields = [Arc::new(ingested)].into_iter().chain(fields);
    TableDefinition {
        schema: Schema::builder().with_fields(fields).build().unwrap(),
        partition: vec![("__ingest_ts_day".to_owned(), "__ingest_ts".to_owned(), Transform::Day)],
        ..own
    }
}

/// Makes the streams' tables as their sinks would, before any row.
async fn make_tables(warehouse: &Path) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/iceberg", listener.local_addr().unwrap());
    let store = Arc::new(CatalogStore::open(warehouse).unwrap());
    let router = axum::Router::new().nest("/iceberg", catalog_server::routes(store, None));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let lake = Lake::new(&uri, None).await.unwrap();
    for stream in telemetry::all() {
        lake.ensure_table(&of_sink(&stream)).await.unwrap();
    }
    serving.abort();
}

/// Appends as the sink does, an hour later.
async fn sink(served: &Served, stream: &StreamSchema, events: &[Value]) {
    let lake = &served.server.app().lake;
    let table = stream_table(stream).unwrap();
    let lines: Vec<_> = events
        .iter()
        .map(|event| {
            stream.validate(event).expect("a valid event");
            let mut row = event.clone();
            row["__ingest_ts"] = json!("2026-03-31T02:30:00Z");
            row.to_string()
        })
        .collect();
    let schema = lake.arrow_schema(&table).await.unwrap();
    let batches = decode_rows(schema, lines.join("\n").as_bytes()).unwrap();
    let name = uuid::Uuid::new_v4().to_string();
    lake.append(&table, &batches, &name, HashMap::new()).await.unwrap();
}

/// What is told of sales and products, without what names the tables' own snapshots.
async fn told(served: &Served) -> [Value; 2] {
    let mut told = [served.get("/v1/sales").await, served.get("/v1/performance").await];
    let rows = told[1]["performance"].as_array_mut().expect("rows");
    for row in rows {
        for own in ["source_snapshot_id", "refresh_id"] {
            row.as_object_mut().unwrap().remove(own);
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_sinks_made_tell_the_same_and_keep_their_shape() {
    let warehouse = tempfile::tempdir().unwrap();
    make_tables(warehouse.path()).await;
    let served = Served {
        server: Server::start(config(warehouse.path())).await.unwrap(),
        client: reqwest::Client::new(),
        warehouse,
    };
    let own = Served::start().await;
    let (commerce, publication) = (telemetry::commerce(), telemetry::publication());
    // On the 30th in UTC and on the 31st in Tokyo.
    let rounds = [
        (
            demo_events(),
            vec![interaction("view", "3", 1, "2026-03-30T15:30:00.000Z")],
        ),
        (
            vec![demo_order("c", 1, &[sale("1", "2026-03-22", 5)])],
            vec![interaction("click", "1", 2, "2026-03-29T15:30:00.000Z")],
        ),
    ];
    for (number, (events, interactions)) in rounds.iter().enumerate() {
        sink(&served, &commerce, events).await;
        sink(&served, &publication, interactions).await;
        own.ingest(events).await;
        own.ingest_interactions(interactions).await;
        let mode = ["full", "incremental"][number];
        assert_eq!(served.refresh(NOON).await["mode"], mode);
        own.refresh(NOON).await;
        let all = told(&served).await;
        assert_eq!(all, told(&own).await, "{mode}");
        assert!(
            all[1].to_string().contains(r#""last_engagement_on":"2026-03-31""#),
            "{}",
            all[1]
        );
    }

    // What weir appends itself has the sink's shape too, and upkeep keeps it.
    served.post("/v1/flush", &json!({})).await;
    let lake = &served.server.app().lake;
    let upkeep = Upkeep {
        min_files: 2,
        ..Upkeep::default()
    };
    for stream in telemetry::all() {
        let table = stream_table(&stream).unwrap();
        lake.maintain(&table, upkeep).await.unwrap();
        let metadata = lake.load(&table).await.unwrap();
        let metadata = metadata.metadata();
        assert_eq!(metadata.schemas_iter().count(), 1, "{table}");
        assert_eq!(metadata.partition_specs_iter().count(), 1, "{table}");
    }
    for reader in ["pyiceberg", "duckdb"] {
        let steps = read(reader, served.server.url(), "sync.telemetry").await;
        assert_eq!(steps.len(), 8, "{reader}");
        assert!(
            steps.iter().all(|step| step["__ingest_ts"].is_string()),
            "{reader}: {steps:?}"
        );
    }
    let asked = json!({ "sql": "select event_type, occurred_at from publication.telemetry order by 2" });
    let rows = served.post("/v1/lake/sql", &asked).await["rows"].clone();
    assert_eq!(rows[1], json!(["view", "2026-03-30 15:30:00+00"]));
}
