//! Query, compute, classify: the measurement's SQL in an in-memory DuckDB over relations of the lake.
//!
//! In scope: everything between reading relations and handing out Arrow batches. Not in scope: where the relations come
//! from and where the batches go ([`super::refresh`]). Everything here blocks; callers use a blocking thread.

use std::collections::HashMap;
use std::path::Path;

use arrow_array::RecordBatch;
use duckdb::{params, Connection};
use jiff::civil::Date;
use jiff::Timestamp;
use uuid::Uuid;
use weir_domain::objective::{in_force, ObjectiveSpecification};

use super::base::ShopBefore;
use super::oracle;
use super::steps::{Progress, Step};
use crate::failpoint;
use crate::{Error, Result};

macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("../../../sql/duckdb/", $name, ".sql"))
    };
}

const BEFORE: &str = sql!("05_before");
const TELEMETRY: &str = sql!("10_telemetry");
const PARAMETERS: &str = sql!("15_parameters");
const TOUCHED: &str = sql!("18_touched");
const LEDGER: &str = sql!("20_order_ledger");
const SALES_OF_ORDERS: &str = sql!("30_sales");
const SALES_WHOLE: &str = sql!("31_sales_whole");
const SALES_CHANGED: &str = sql!("32_sales_changed");
const SALES_NAMED: &str = sql!("35_sales_named");
const SALES_SINCE: &str = sql!("36_sales_since");
/// What follows once sales are known, in order, with the step of the refresh that each file belongs to.
const FILES: [(Step, &str); 4] = [
    (Step::Compute, sql!("40_product")),
    (Step::Compute, sql!("50_windows")),
    (Step::Classify, sql!("60_classification")),
    (Step::Classify, sql!("70_performance_day")),
];

/// Memory DuckDB may use before it spills to its temporary folder: the container has 4 GB, the rest is Arrow and HTTP.
const MEMORY_LIMIT_GIB: u32 = 1;

/// The DuckDB this crate is pinned to; its hash functions name days of sales.
const DUCKDB_VERSION: &str = "1.5.5";

/// What a refresh computes from. Relations are SQL that DuckDB can select from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Rows of `commerce.telemetry`.
    pub commerce: String,
    /// Those that `shops_before` does not know of yet.
    pub commerce_new: String,
    /// Rows of `publication.telemetry`: at least those of the windows, and those new since `products_before`.
    pub publication: String,
    /// All of its rows, for products that `products_before` does not know. None if `publication` has them already.
    pub publication_history: Option<String>,
    /// Rows of `measurement.performance` on the days computed, before this refresh.
    pub performance: String,
    /// Where sales come from.
    pub sales: SalesFrom,
    /// The shops of the refresh this one builds on; none in a full one.
    pub shops_before: Vec<ShopBefore>,
    /// Its rows of `measurement.performance`.
    pub products_before: Option<String>,
    /// Snapshot of `commerce.telemetry`.
    pub commerce_snapshot: Option<i64>,
    /// Snapshot of `publication.telemetry`.
    pub publication_snapshot: Option<i64>,
    /// All revisions of all specifications.
    pub specifications: Vec<ObjectiveSpecification>,
    /// The moment of the refresh; only the shops' dates at it matter.
    pub now: Timestamp,
}

/// Where the sales of a refresh come from.
#[derive(Debug, Clone)]
pub enum SalesFrom {
    /// All of telemetry; to be written are all days, or the ones named.
    Telemetry(Option<Since>),
    /// The sales of the last refresh, and what the orders touched since change in them.
    Changes {
        /// Rows of `commerce.telemetry` that the last refresh read.
        commerce_before: String,
        /// Rows of `measurement.sales` that it wrote.
        sales_before: String,
    },
    /// `measurement.sales` itself: a refresh of the same telemetry has written it and then broken off.
    Written(String),
}

/// The days from one on, and earlier ones whose content differs from what the table holds.
#[derive(Debug, Clone)]
pub struct Since {
    /// The first day.
    pub day: Date,
    /// Rows of `measurement.sales`.
    pub held: String,
}

/// What a refresh writes.
#[derive(Debug)]
pub struct Computed {
    /// Identity of the content of the days of `measurement.performance`.
    pub performance_refresh_id: String,
    /// Rows of `measurement.sales` by day: all, or all of `changed_days`.
    pub sales: Vec<RecordBatch>,
    /// The days of `measurement.sales` that `sales` replaces; none if it replaces everything.
    pub changed_days: Option<Vec<Date>>,
    /// The days of `measurement.performance` that are replaced.
    pub performance: Vec<RecordBatch>,
    /// Those days.
    pub days: Vec<Date>,
    /// The shops, for the next refresh to build on.
    pub shops: Vec<ShopBefore>,
    /// Rows of commerce telemetry that were new, repeated deliveries included.
    pub event_count: u64,
    /// Orders of which something new was told; none if all were read.
    pub order_count: Option<u64>,
    /// Rows that sales now have.
    pub sales_rows: u64,
    /// Products classified.
    pub product_count: u64,
}

/// How a computation ended.
#[derive(Debug)]
pub enum Outcome {
    /// With rows to write.
    Done(Box<Computed>),
    /// What the last refresh left is of no use, for this reason: everything has to be computed anew.
    NeedsFull(String),
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
/// disagree, or if the sales of the last refresh are not those of its telemetry.
pub fn compute(connection: &Connection, inputs: &Inputs, progress: &Progress) -> Result<Outcome> {
    prepare(connection, inputs)?;
    let shops = insert_shop_days(connection, inputs.now)?;
    if let Some(reason) = unusable(&inputs.shops_before, &shops) {
        return Ok(Outcome::NeedsFull(reason));
    }
    let specifications = governing(&inputs.specifications, &shops, inputs.now);
    insert_specifications(connection, &specifications)?;
    let performance_refresh_id = performance_refresh_id(inputs, &specifications, &shops);
    let snapshot = inputs.commerce_snapshot.map_or("null".to_owned(), |id| id.to_string());
    connection.execute_batch(&format!(
        "set variable performance_refresh_id = '{performance_refresh_id}'; set variable source_snapshot_id = {snapshot}"
    ))?;
    let event_count = count(connection, "commerce_new")?;
    progress.read(event_count);
    sales(connection, &inputs.sales, progress)?;
    let mut running = Step::Compute;
    for (step, sql) in FILES {
        if step != running {
            failpoint::reached("refresh_after_compute");
            progress.begin(step);
            running = step;
        }
        connection.execute_batch(sql)?;
    }
    let product_count = count(connection, "performance")?;
    progress.read(product_count);
    oracle::check(connection, &specifications)?;
    let mut days: Vec<Date> = shops.iter().map(|shop| shop.computed_on).collect();
    days.sort_unstable();
    days.dedup();
    let is_changes = matches!(inputs.sales, SalesFrom::Changes { .. });
    Ok(Outcome::Done(Box::new(Computed {
        performance_refresh_id,
        sales: match inputs.sales {
            SalesFrom::Written(_) => Vec::new(),
            SalesFrom::Telemetry(Some(_)) => batches(
                connection,
                "select * from sales_written where day in (select day from changed_day)",
            )?,
            _ => batches(connection, "select * from sales_written")?,
        },
        changed_days: match inputs.sales {
            SalesFrom::Telemetry(None) => None,
            SalesFrom::Written(_) => Some(Vec::new()),
            _ => Some(dates(connection, "changed_day")?),
        },
        performance: batches(
            connection,
            "select * from performance_day order by computed_on, shop_domain, product_id",
        )?,
        days,
        shops,
        event_count,
        order_count: is_changes.then(|| count(connection, "touched_order")).transpose()?,
        sales_rows: count(connection, "sales")?,
        product_count,
    })))
}

/// The relations by their names in the SQL, and what the last refresh left.
fn prepare(connection: &Connection, inputs: &Inputs) -> Result<()> {
    view(connection, "commerce_telemetry", &inputs.commerce)?;
    view(connection, "commerce_new", &inputs.commerce_new)?;
    view(connection, "publication_telemetry", &inputs.publication)?;
    let nothing = "publication_telemetry where false";
    let history = inputs.publication_history.as_deref().unwrap_or(nothing);
    view(connection, "publication_history", history)?;
    view(connection, "performance_before", &inputs.performance)?;
    connection.execute_batch(BEFORE)?;
    for shop in &inputs.shops_before {
        connection.execute(
            "insert into shop_before values (?, ?, make_timestamptz(?::bigint), ?::date)",
            params![
                shop.shop_domain,
                shop.told_at.map(|_| &shop.shop_time_zone),
                shop.told_at,
                shop.computed_on.to_string()
            ],
        )?;
    }
    if let Some(relation) = &inputs.products_before {
        connection.execute_batch(&format!(
            "insert into product_before select shop_domain, product_id, last_engagement_on from {relation} as known \
             semi join shop_before using (shop_domain, computed_on)"
        ))?;
    }
    connection.execute_batch(TELEMETRY)?;
    connection.execute_batch(PARAMETERS)?;
    Ok(())
}

/// Sales as `sales`, and what of them is to be written as `sales_written`.
fn sales(connection: &Connection, from: &SalesFrom, progress: &Progress) -> Result<()> {
    let ledger_of = |events: &str| {
        connection.execute_batch(&format!(
            "create or replace view ledger_event as from {events}; {LEDGER}"
        ))
    };
    match from {
        SalesFrom::Telemetry(since) => {
            ledger_of("commerce_telemetry")?;
            progress.begin(Step::Compute);
            connection.execute_batch(SALES_OF_ORDERS)?;
            connection.execute_batch(SALES_WHOLE)?;
            connection.execute_batch(SALES_NAMED)?;
            connection.execute_batch("create or replace view sales as from sales_written")?;
            if let Some(since) = since {
                view(connection, "sales_held", &since.held)?;
                connection.execute_batch(&format!(
                    "set variable since_day = '{}'::date; {SALES_SINCE}",
                    since.day
                ))?;
            }
        }
        SalesFrom::Changes {
            commerce_before,
            sales_before,
        } => {
            view(connection, "commerce_before", commerce_before)?;
            view(connection, "sales_before", sales_before)?;
            connection.execute_batch(TOUCHED)?;
            for (events, rows) in [("touched_before", "gone_and_kept"), ("touched_after", "come_and_kept")] {
                ledger_of(events)?;
                connection.execute_batch(SALES_OF_ORDERS)?;
                connection.execute_batch(&format!("create or replace table {rows} as from sales_of_orders"))?;
            }
            progress.begin(Step::Compute);
            connection.execute_batch(SALES_CHANGED)?;
            if count(connection, "changed_times where fewest < 0")? > 0 {
                return Err(Error::Internal(
                    "measurement.sales does not hold what its telemetry says; run `weir refresh --full`".into(),
                ));
            }
            connection.execute_batch(SALES_NAMED)?;
            connection.execute_batch(
                "create or replace view sales as \
                 select * from sales_before where day not in (select day from changed_day) \
                 union all by name select * from sales_written",
            )?;
        }
        SalesFrom::Written(relation) => {
            view(connection, "sales", relation)?;
            progress.begin(Step::Compute);
        }
    }
    Ok(())
}

/// Engagement is counted anew over 30 days; what the last refresh knew of the days before must reach up to them.
const MAX_DAYS_SINCE: i32 = 29;

/// Why these shops cannot build on what was left of them, if they cannot.
fn unusable(before: &[ShopBefore], now: &[ShopBefore]) -> Option<String> {
    let known: HashMap<_, _> = before.iter().map(|shop| (&shop.shop_domain, shop)).collect();
    now.iter().find_map(|shop| {
        let old = known.get(&shop.shop_domain)?;
        if old.shop_time_zone != shop.shop_time_zone {
            return Some(format!("the time zone of {} has changed", shop.shop_domain));
        }
        let days = old
            .computed_on
            .until(shop.computed_on)
            .map_or(i32::MAX, |span| span.get_days());
        (!(0..=MAX_DAYS_SINCE).contains(&days)).then(|| {
            format!(
                "the last refresh computed {} for {}, which is not within the {MAX_DAYS_SINCE} days before {}",
                old.computed_on, shop.shop_domain, shop.computed_on
            )
        })
    })
}

/// The days in a table, in their order.
fn dates(connection: &Connection, table: &str) -> Result<Vec<Date>> {
    let texts: Vec<String> = connection
        .prepare(&format!("select day::varchar from {table} order by day"))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    texts
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|error: jiff::Error| Error::Internal(error.to_string()))
        })
        .collect()
}

/// Each shop with its own date at `now`.
fn insert_shop_days(connection: &Connection, now: Timestamp) -> Result<Vec<ShopBefore>> {
    let zones: Vec<(String, String, Option<i64>)> = connection
        .prepare("select shop_domain, shop_time_zone, epoch_us(told_at) from shop order by shop_domain")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut shops = Vec::with_capacity(zones.len());
    for (shop_domain, shop_time_zone, told_at) in zones {
        let local = now
            .in_tz(&shop_time_zone)
            .map_err(|error| Error::Invalid(format!("{shop_domain}: time zone {shop_time_zone:?}: {error}")))?;
        let computed_on = local.date();
        connection.execute(
            "insert into shop_day values (?, ?::date)",
            params![shop_domain, computed_on.to_string()],
        )?;
        shops.push(ShopBefore {
            shop_domain,
            shop_time_zone,
            told_at,
            computed_on,
        });
    }
    Ok(shops)
}

/// The specifications in force, with [`ObjectiveSpecification::unset`] for every shop that has none of its own: a shop
/// without a specification must not fall out of the result.
fn governing(all: &[ObjectiveSpecification], shops: &[ShopBefore], now: Timestamp) -> Vec<ObjectiveSpecification> {
    let mut current: Vec<_> = in_force(all, now).into_iter().cloned().collect();
    for ShopBefore { shop_domain: shop, .. } in shops {
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
    let mut insert = connection.prepare(
        "insert into objective_spec values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, string_split(?, ','))",
    )?;
    for (number, spec) in (1_i32..).zip(specifications) {
        let weights = spec.engagement_weights.unwrap_or_default();
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
            weights.views,
            weights.clicks,
            weights.conversions,
            weights.impressions,
            order.join(",")
        ])?;
    }
    Ok(())
}

/// Namespace of refresh ids: UUIDv5 of the DNS name `refresh.weir`.
fn namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"refresh.weir")
}

/// Identity of what computes: the SQL and the DuckDB that runs it. Rows that another one wrote are not built upon.
#[must_use]
pub fn computation_id() -> String {
    let mut text = format!(
        "{}{BEFORE}{TELEMETRY}{PARAMETERS}{TOUCHED}{LEDGER}",
        env!("CARGO_PKG_VERSION")
    );
    for sql in [SALES_OF_ORDERS, SALES_WHOLE, SALES_CHANGED, SALES_NAMED, SALES_SINCE] {
        text.push_str(sql);
    }
    for (_, sql) in FILES {
        text.push_str(sql);
    }
    text.push_str(DUCKDB_VERSION);
    Uuid::new_v5(&namespace(), text.as_bytes()).to_string()
}

/// Identity of `measurement.sales` as computed from a snapshot of `commerce.telemetry`, in whichever way.
#[must_use]
pub fn sales_refresh_id(commerce_snapshot: Option<i64>) -> String {
    let name = format!("measurement.sales\u{1f}{commerce_snapshot:?}\u{1f}{}", computation_id());
    Uuid::new_v5(&namespace(), name.as_bytes()).to_string()
}

/// UUIDv5 over everything that decides the days of `measurement.performance`: the snapshots, what computes, the
/// specifications, the days. The same inputs therefore give the same rows to the byte, and a repeated refresh finds its
/// commit already there.
fn performance_refresh_id(inputs: &Inputs, specs: &[ObjectiveSpecification], shops: &[ShopBefore]) -> String {
    let mut name = format!(
        "measurement.performance\u{1f}{:?}\u{1f}{:?}\u{1f}{}",
        inputs.commerce_snapshot,
        inputs.publication_snapshot,
        computation_id()
    );
    for spec in specs {
        name.push_str(&format!("\u{1f}{spec:?}"));
    }
    for shop in shops {
        name.push_str(&format!("\u{1f}{} {}", shop.shop_domain, shop.computed_on));
    }
    Uuid::new_v5(&namespace(), name.as_bytes()).to_string()
}

/// A query's rows.
fn batches(connection: &Connection, query: &str) -> Result<Vec<RecordBatch>> {
    Ok(connection.prepare(query)?.query_arrow([])?.collect())
}

/// Rows of a table, or of what a `from` clause names.
fn count(connection: &Connection, table: &str) -> Result<u64> {
    Ok(connection.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0))?)
}
