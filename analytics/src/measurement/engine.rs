//! Query, compute, classify: the measurement's SQL in an in-memory DuckDB over relations of the lake.
//!
//! In scope: everything between reading relations and handing out Arrow batches. Not in scope: where the relations come
//! from and where the batches go ([`super::refresh`]). Everything here blocks; callers use a blocking thread.

use std::path::Path;

use arrow_array::RecordBatch;
use duckdb::{params, Connection};
use jiff::civil::Date;
use jiff::Timestamp;
use uuid::Uuid;
use weir_domain::objective::{in_force, ObjectiveSpecification};

use super::oracle;
use super::steps::{Progress, Step};
use crate::{Error, Result};

const TELEMETRY: &str = include_str!("../../../sql/duckdb/10_telemetry.sql");
const PARAMETERS: &str = include_str!("../../../sql/duckdb/15_parameters.sql");
/// What runs once the parameters are known, in order, with the step of the refresh that each file belongs to.
const FILES: [(Step, &str); 6] = [
    (Step::Query, include_str!("../../../sql/duckdb/20_order_ledger.sql")),
    (Step::Compute, include_str!("../../../sql/duckdb/30_sales.sql")),
    (Step::Compute, include_str!("../../../sql/duckdb/40_product.sql")),
    (Step::Compute, include_str!("../../../sql/duckdb/50_windows.sql")),
    (
        Step::Classify,
        include_str!("../../../sql/duckdb/60_classification.sql"),
    ),
    (
        Step::Classify,
        include_str!("../../../sql/duckdb/70_performance_day.sql"),
    ),
];

/// Memory DuckDB may use before it spills to its temporary folder: the container has 4 GB, the rest is Arrow and HTTP.
const MEMORY_LIMIT_GIB: u32 = 1;

/// What a refresh computes from. Relations are SQL that DuckDB can select from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Rows of `commerce.telemetry`.
    pub commerce: String,
    /// Rows of `publication.telemetry`.
    pub publication: String,
    /// Rows of `measurement.performance` before this refresh.
    pub performance: String,
    /// Snapshot of `commerce.telemetry`.
    pub commerce_snapshot: Option<i64>,
    /// Snapshot of `publication.telemetry`.
    pub publication_snapshot: Option<i64>,
    /// All revisions of all specifications.
    pub specifications: Vec<ObjectiveSpecification>,
    /// The moment of the refresh; only the shops' dates at it matter.
    pub now: Timestamp,
}

/// What a refresh writes.
#[derive(Debug)]
pub struct Computed {
    /// Identity of the content of `measurement.sales`.
    pub sales_refresh_id: String,
    /// Identity of the content of the days of `measurement.performance`.
    pub performance_refresh_id: String,
    /// All of `measurement.sales`.
    pub sales: Vec<RecordBatch>,
    /// The days of `measurement.performance` that are replaced.
    pub performance: Vec<RecordBatch>,
    /// Those days.
    pub days: Vec<Date>,
    /// Rows of commerce telemetry read, repeated deliveries included.
    pub event_count: u64,
    /// Products classified.
    pub product_count: u64,
}

/// Opens an in-memory DuckDB that spills into `spill_folder`.
///
/// # Errors
/// If DuckDB cannot start.
pub fn open(spill_folder: &Path) -> Result<Connection> {
    let connection = Connection::open_in_memory()?;
    // Offline and repeatable: no extension is fetched; json, parquet and icu are inside the library.
    connection.execute_batch(&format!(
        "set autoinstall_known_extensions = false; set TimeZone = 'UTC'; set memory_limit = '{MEMORY_LIMIT_GIB}GiB'; \
         set temp_directory = '{}'",
        spill_folder.display().to_string().replace('\'', "''")
    ))?;
    Ok(connection)
}

/// Names a relation of the lake.
///
/// # Errors
/// If DuckDB cannot read it.
pub fn view(connection: &Connection, name: &str, relation: &str) -> Result<()> {
    Ok(connection.execute_batch(&format!("create or replace view {name} as select * from {relation}"))?)
}

/// Runs the whole computation and checks every label against the domain's reference. `progress` stands in its first step
/// and is told of the next ones.
///
/// # Errors
/// [`Error::DuckDb`] from the SQL, [`Error::Invalid`] for an unknown time zone, [`Error::Internal`] if SQL and reference
/// disagree.
pub fn compute(connection: &Connection, inputs: &Inputs, progress: &Progress) -> Result<Computed> {
    view(connection, "commerce_telemetry", &inputs.commerce)?;
    view(connection, "publication_telemetry", &inputs.publication)?;
    view(connection, "performance_before", &inputs.performance)?;
    connection.execute_batch(TELEMETRY)?;
    connection.execute_batch(PARAMETERS)?;
    let shop_days = insert_shop_days(connection, inputs.now)?;
    let specifications = governing(&inputs.specifications, &shop_days, inputs.now);
    insert_specifications(connection, &specifications)?;
    let sales_refresh_id = refresh_id("measurement.sales", inputs, &[], &[]);
    let performance_refresh_id = refresh_id("measurement.performance", inputs, &specifications, &shop_days);
    let snapshot = inputs.commerce_snapshot.map_or("null".to_owned(), |id| id.to_string());
    connection.execute_batch(&format!(
        "set variable sales_refresh_id = '{sales_refresh_id}'; \
         set variable performance_refresh_id = '{performance_refresh_id}'; \
         set variable source_snapshot_id = {snapshot}"
    ))?;
    let mut running = Step::Query;
    for (step, sql) in FILES {
        if step != running {
            progress.begin(step);
            running = step;
        }
        connection.execute_batch(sql)?;
    }
    oracle::check(connection, &specifications)?;
    let mut days: Vec<Date> = shop_days.into_iter().map(|(_, day)| day).collect();
    days.sort_unstable();
    days.dedup();
    Ok(Computed {
        sales_refresh_id,
        performance_refresh_id,
        sales: batches(
            connection,
            "select * from sales order by shop_domain, product_id, day, currency",
        )?,
        performance: batches(
            connection,
            "select * from performance_day order by computed_on, shop_domain, product_id",
        )?,
        days,
        event_count: count(connection, "commerce_telemetry")?,
        product_count: count(connection, "performance")?,
    })
}

/// Each shop with its own date at `now`.
fn insert_shop_days(connection: &Connection, now: Timestamp) -> Result<Vec<(String, Date)>> {
    let zones: Vec<(String, String)> = connection
        .prepare("select shop_domain, shop_time_zone from shop order by shop_domain")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut days = Vec::with_capacity(zones.len());
    for (shop, zone) in zones {
        let local = now
            .in_tz(&zone)
            .map_err(|error| Error::Invalid(format!("{shop}: time zone {zone:?}: {error}")))?;
        connection.execute(
            "insert into shop_day values (?, ?::date)",
            params![shop, local.date().to_string()],
        )?;
        days.push((shop, local.date()));
    }
    Ok(days)
}

/// The specifications in force, with [`ObjectiveSpecification::unset`] for every shop that has none of its own: a shop
/// without a specification must not fall out of the result.
fn governing(all: &[ObjectiveSpecification], shops: &[(String, Date)], now: Timestamp) -> Vec<ObjectiveSpecification> {
    let mut current: Vec<_> = in_force(all, now).into_iter().cloned().collect();
    for (shop, _) in shops {
        let has_own = current
            .iter()
            .any(|spec| spec.shop_domain == *shop && spec.product_type.is_none());
        if !has_own {
            current.push(ObjectiveSpecification::unset(shop));
        }
    }
    current
}

fn insert_specifications(connection: &Connection, specifications: &[ObjectiveSpecification]) -> Result<()> {
    let mut insert = connection
        .prepare("insert into objective_spec values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, string_split(?, ','))")?;
    for (number, spec) in (1_i32..).zip(specifications) {
        let order: Vec<_> = spec.order().iter().map(|label| label.name()).collect();
        insert.execute(params![
            number,
            spec.objective_spec_id,
            spec.shop_domain,
            spec.product_type,
            spec.revision,
            spec.measure.name(),
            spec.threshold_7d,
            spec.threshold_14d,
            spec.threshold_30d,
            spec.banana_count,
            spec.stale_after_days,
            spec.banana_pool.name(),
            order.join(",")
        ])?;
    }
    Ok(())
}

/// Namespace of refresh ids: UUIDv5 of the DNS name `refresh.weir`.
fn namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"refresh.weir")
}

/// UUIDv5 over everything that decides a table's content: the snapshots, the SQL itself, the specifications, the days.
/// The same inputs therefore give the same rows to the byte, and a repeated refresh finds its commit already there.
fn refresh_id(table: &str, inputs: &Inputs, specs: &[ObjectiveSpecification], days: &[(String, Date)]) -> String {
    let mut name = format!("{table}\u{1f}{:?}\u{1f}{TELEMETRY}", inputs.commerce_snapshot);
    for (_, sql) in FILES {
        name.push_str(sql);
    }
    if !days.is_empty() {
        name.push_str(&format!("\u{1f}{:?}", inputs.publication_snapshot));
    }
    for spec in specs {
        name.push_str(&format!("\u{1f}{spec:?}"));
    }
    for (shop, day) in days {
        name.push_str(&format!("\u{1f}{shop} {day}"));
    }
    Uuid::new_v5(&namespace(), name.as_bytes()).to_string()
}

fn batches(connection: &Connection, query: &str) -> Result<Vec<RecordBatch>> {
    Ok(connection.prepare(query)?.query_arrow([])?.collect())
}

fn count(connection: &Connection, table: &str) -> Result<u64> {
    Ok(connection.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0))?)
}
