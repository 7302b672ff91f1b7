//! Events as the streams carry them, and the engine over them without a lake.

use std::io::Write;
use std::path::Path;

use serde_json::{json, Value};
use weir_analytics::measurement::as_of::AsOf;
use weir_analytics::measurement::engine;
use weir_analytics::measurement::inputs::{Inputs, Outcome, SalesFrom};
use weir_analytics::measurement::reads::json_rows;
use weir_analytics::measurement::steps::Progress;
use weir_domain::objective::ObjectiveSpecification;
use weir_domain::telemetry::{self, FieldType, StreamSchema};

pub const SHOP: &str = "demo.myshopify.com";
pub const ZONE: &str = "Asia/Tokyo";

/// What one computation wrote, as JSON rows.
#[derive(Debug, PartialEq)]
pub struct Written {
    pub sales: Vec<Value>,
    pub performance: Vec<Value>,
    pub refresh_id: String,
}

impl Written {
    /// The performance row of a product.
    pub fn product(&self, id: &str) -> &Value {
        self.performance.iter().find(|row| row["product_id"] == id).expect(id)
    }

    pub fn label(&self, id: &str) -> &str {
        self.product(id)["nominal_classification"].as_str().unwrap()
    }
}

/// One entry of an order's sales ledger: `(product, day, kind, units sold, units returned, gross, returns)`.
pub type Entry<'a> = (&'a str, &'a str, &'a str, i64, i64, i64, i64);

fn envelope(shop: &str, zone: &str, event_type: &str, entity: &str, discriminator: &str, occurred_at: &str) -> Value {
    json!({
        "event_id": telemetry::event_id(shop, event_type, entity, discriminator),
        "event_type": event_type, "schema_version": 1, "occurred_at": occurred_at, "received_at": occurred_at,
        "event_date": &occurred_at[..10], "event_hour": 0, "source": "webhook", "shop_domain": shop,
        "shop_time_zone": zone
    })
}

fn with(mut event: Value, own: Value) -> Value {
    event.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    event
}

/// An order with its complete ledger at `revision`.
pub fn order(shop: &str, zone: &str, id: &str, revision: i64, occurred_at: &str, ledger: &[Entry]) -> Value {
    let sales: Vec<_> = ledger
        .iter()
        .map(|(product, day, kind, sold, returned, gross, returns)| {
            json!({
                "product_id": product, "day": day, "kind": kind, "units_sold": sold, "units_returned": returned,
                "gross_sales": gross, "discounts": 0, "returns": returns, "net_sales": gross - returns
            })
        })
        .collect();
    let lines: Vec<_> = ledger
        .iter()
        .filter(|entry| entry.2 == "sale" && entry.0 != "unknown")
        .map(|entry| json!({ "line_item_id": entry.0, "product_id": entry.0, "is_active": null }))
        .collect();
    with(
        envelope(shop, zone, "order_updated", id, &revision.to_string(), occurred_at),
        json!({ "order_id": id, "order_revision": revision, "currency": "JPY", "sales": sales, "lines": lines }),
    )
}

/// A product's state.
pub fn product(shop: &str, zone: &str, id: &str, updated_at: &str, own: Value) -> Value {
    let event = envelope(shop, zone, "product_changed", id, updated_at, updated_at);
    with(
        with(event, json!({ "product_id": id, "product_updated_at": updated_at })),
        own,
    )
}

pub fn objective(own: Value) -> Value {
    with(
        json!({
            "objective_spec_id": "default", "shop_domain": SHOP, "revision": 1, "measure": "net_units",
            "valid_from": "2020-01-01T00:00:00Z"
        }),
        own,
    )
}

/// A visitor's interaction with a published product; `number` tells several of one kind apart.
pub fn interaction(kind: &str, product: &str, number: u32, occurred_at: &str) -> Value {
    let event = envelope(SHOP, ZONE, kind, product, &number.to_string(), occurred_at);
    let mut event = with(event, json!({ "product_id": product, "is_bot": false }));
    event.as_object_mut().unwrap().remove("shop_time_zone");
    event
}

/// Runs the engine over `events`.
pub fn compute(events: &[Value], objectives: &[Value], now: &str) -> Written {
    compute_with(events, &[], objectives, now)
}

/// Runs the engine over commerce events and visitors' interactions.
pub fn compute_with(events: &[Value], interactions: &[Value], objectives: &[Value], now: &str) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let commerce = relation(folder.path(), &telemetry::commerce(), events);
    let inputs = Inputs {
        commerce_new: commerce,
        sales: SalesFrom::Telemetry(None),
        before: None,
        publication: relation(folder.path(), &telemetry::publication(), interactions),
        performance: "(select null::varchar as shop_domain, null::varchar as product_id, null::date as computed_on \
                      where false)"
            .to_owned(),
        commerce_snapshot: Some(1),
        publication_snapshot: None,
        specifications: objectives
            .iter()
            .map(|json| ObjectiveSpecification::from_json(json).unwrap())
            .collect(),
        as_of: AsOf::moment(now.parse().unwrap()),
    };
    let connection = engine::open(folder.path()).unwrap();
    let Outcome::Done(computed) = engine::compute(&connection, &inputs, &Progress::default(), &mut |_| ()).unwrap()
    else {
        panic!("there is nothing it could need instead");
    };
    let rows = |table: &str, order: &str| {
        let query = format!("select to_json(t) from (from {table} order by {order}) as t");
        json_rows(&connection, &query, []).unwrap()
    };
    Written {
        sales: rows("sales_written", "day, shop_domain, product_id, currency"),
        performance: rows("performance_day", "computed_on, shop_domain, product_id"),
        refresh_id: computed.performance_refresh_id,
    }
}

/// Rows of a stream as DuckDB reads them, after the check that every row passes at the ingest.
fn relation(folder: &Path, stream: &StreamSchema, events: &[Value]) -> String {
    let path = folder.join(stream.name);
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    for event in events {
        stream.validate(event).expect("a valid event");
        writeln!(file, "{event}").unwrap();
    }
    file.flush().unwrap();
    format!(
        "(select *, row_number() over () as event_row \
         from read_json('{}', format = 'newline_delimited', columns = {{{}}}))",
        path.display(),
        columns(stream)
    )
}

fn columns(stream: &StreamSchema) -> String {
    let columns: Vec<_> = stream
        .fields
        .iter()
        .map(|field| format!("{}: '{}'", field.name, duckdb_type(&field.field_type)))
        .collect();
    columns.join(", ")
}

fn duckdb_type(field_type: &FieldType) -> String {
    match field_type {
        FieldType::String | FieldType::Date | FieldType::Json => "varchar".to_owned(),
        FieldType::Int32 => "integer".to_owned(),
        FieldType::Int64 => "bigint".to_owned(),
        FieldType::Float64 => "double".to_owned(),
        FieldType::Bool => "boolean".to_owned(),
        FieldType::Timestamp => "timestamptz".to_owned(),
        FieldType::List(items) => format!("{}[]", duckdb_type(items)),
        FieldType::Struct(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|field| format!("{} {}", field.name, duckdb_type(&field.field_type)))
                .collect();
            format!("struct({})", fields.join(", "))
        }
    }
}
