//! Rows of the measurement for the HTTP API, straight from the lake's files.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use duckdb::{params, Connection, Params};
use iceberg::spec::Datum;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_domain::objective::ObjectiveSpecification;
use weir_domain::sales::UNKNOWN_PRODUCT;

use super::explain::{barring, explain, governing, Competitor, Competitors, Explanation};
use super::what_if::no_specification;
use super::{base, engine, objective_store, tables};
use crate::lake::Lake;
use crate::{Error, Result};

const READ_SALES: &str = include_str!("../../../sql/duckdb/read_sales.sql");
const READ_KNOWN: &str = include_str!("../../../sql/duckdb/read_known.sql");
const READ_PERFORMANCE: &str = include_str!("../../../sql/duckdb/read_performance.sql");
const READ_FACTS: &str = include_str!("../../../sql/duckdb/read_facts.sql");
const READ_PRODUCT: &str = include_str!("../../../sql/duckdb/read_product.sql");
const READ_COMPETITORS: &str = include_str!("../../../sql/duckdb/read_competitors.sql");
const READ_HISTORY: &str = include_str!("../../../sql/duckdb/read_history.sql");
const READ_WINDOWS: &str = include_str!("../../../sql/duckdb/read_windows.sql");

/// Which rows of `measurement.sales`; absent fields do not restrict.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalesFilter {
    /// The shop's myshopify.com domain.
    pub shop: Option<String>,
    /// First day, yyyy-mm-dd in the shop's time zone.
    pub from: Option<String>,
    /// Last day, included.
    pub to: Option<String>,
    /// Product id.
    pub product: Option<String>,
}

/// What the API tells of a product's performance; every other column passes through in `others`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PerformanceRow {
    /// The shop's myshopify.com domain.
    pub shop_domain: String,
    /// Shopify's product id as text.
    pub product_id: String,
    /// Title, if known.
    pub product_title: Option<String>,
    /// Day of computation, yyyy-mm-dd.
    pub computed_on: String,
    /// The label.
    pub nominal_classification: String,
    /// Every rule that holds.
    pub matched_rules: Vec<String>,
    /// What the sales columns count.
    pub measure: String,
    /// ISO 4217 code of money, if the shop sold anything.
    pub currency: Option<String>,
    /// Whether the product is active, if known.
    pub is_active: Option<bool>,
    /// Latest of last sale, last engagement and launch, yyyy-mm-dd; a launch to come is none.
    pub last_activity_on: Option<String>,
    /// Measure over the first 7 days.
    pub sales_first_7_days: i64,
    /// Measure over the first 14 days.
    pub sales_first_14_days: i64,
    /// Measure over the last 30 days.
    pub sales_last_30_days: i64,
    /// Net sales of the last 30 days, minor units.
    pub net_sales_last_30_days: i64,
    /// What products are ranked by.
    pub aggregate_measurement_value: i64,
    /// Place among the products of the same specification.
    pub rank: i64,
    /// Specification that governed.
    pub objective_spec_id: String,
    /// Its revision.
    pub objective_spec_revision: i64,
    /// The remaining columns.
    #[serde(flatten)]
    pub others: serde_json::Map<String, Value>,
}

/// An answer is held in memory, beside the rows that wait in the journal.
pub const MAX_SALES: usize = 100_000;

/// Rows of `measurement.sales` by shop, day, product, [`MAX_SALES`] at most.
///
/// # Errors
/// [`Error::Invalid`] for days that are none, or if there are more rows; [`Error::NotFound`] if no refresh knows the shop or the
/// product; else from the lake or DuckDB.
pub async fn sales(lake: &Lake, filter: SalesFilter) -> Result<Vec<Value>> {
    sales_at_most(lake, filter, MAX_SALES).await
}

/// As [`sales`], with another bound.
///
/// # Errors
/// As [`sales`].
pub async fn sales_at_most(lake: &Lake, filter: SalesFilter, most: usize) -> Result<Vec<Value>> {
    let SalesFilter {
        shop,
        from,
        to,
        product,
    } = filter;
    let (from, to) = days_of(from, to)?;
    let product = product.map(product_id);
    let relation = sales_relation(lake).await?;
    let duckdb = lake.duckdb();
    let asked = (shop.clone(), product.clone());
    let rows = tokio::task::spawn_blocking(move || {
        let connection = duckdb.reader()?;
        engine::temporary_view(&connection, "measurement_sales", &relation)?;
        let rows: Vec<Value> = json_rows(&connection, READ_SALES, params![shop, from, to, product, most + 1])?;
        if rows.len() > most {
            return Err(Error::Invalid(format!(
                "more than {most} rows of sales: ask for some of them with shop, from, to or product, or for sums with `weir lake sql`"
            )));
        }
        Ok(rows)
    })
    .await??;
    if rows.is_empty() {
        check_known(lake, asked.0, asked.1).await?;
    }
    Ok(rows)
}

/// Whoever asks for what no refresh has seen has most likely written it wrongly: "none" would look like an answer.
async fn check_known(lake: &Lake, shop: Option<String>, product: Option<String>) -> Result<()> {
    // What is sold under no product is a row of sales and no product.
    let product = product.filter(|product| product != UNKNOWN_PRODUCT);
    if shop.is_none() && product.is_none() {
        return Ok(());
    }
    let seen = base::Seen::read(lake, None).await?;
    let is_seen = |shop: &String| seen.shops.iter().any(|one| one.shop_domain == *shop);
    if product.is_none() && shop.as_ref().is_some_and(is_seen) {
        return Ok(());
    }
    let asked = match (&shop, &product) {
        (Some(shop), Some(product)) => format!("product {product} of {shop}"),
        (shop, product) => shop.as_ref().or(product.as_ref()).cloned().unwrap_or_default(),
    };
    // A refresh has a row of each product that it has seen, sold or not.
    let relation = lake.duckdb_relation(&tables::performance(), seen.snapshot).await?;
    let duckdb = lake.duckdb();
    let is_known: bool = tokio::task::spawn_blocking(move || {
        let connection = duckdb.reader()?;
        engine::temporary_view(&connection, "measurement_performance", &relation)?;
        Ok::<_, Error>(connection.query_row(READ_KNOWN, params![shop, product], |row| row.get(0))?)
    })
    .await??;
    if is_known {
        return Ok(());
    }
    Err(Error::NotFound(format!(
        "no refresh has seen {asked}; run one, or check the shop (myshopify.com domain, in small letters) and the id"
    )))
}

/// The sales that belong to the performance readers see; no row before the first complete refresh.
async fn sales_relation(lake: &Lake) -> Result<String> {
    match base::sales_snapshot(lake).await? {
        Some(snapshot) => lake.duckdb_relation(&tables::sales(), Some(snapshot)).await,
        None => lake.relation_of(&tables::sales(), &[]).await,
    }
}

/// Which rows of `measurement.performance`; absent fields do not restrict.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerformanceFilter {
    /// The shop's myshopify.com domain.
    pub shop: Option<String>,
    /// Day of computation, yyyy-mm-dd; each shop's newest if absent.
    pub day: Option<String>,
    /// So many rows, [`MAX_PERFORMANCE`] at most.
    pub limit: Option<usize>,
    /// After so many.
    pub offset: Option<usize>,
    /// RFC 3339: as it was told then.
    pub as_of: Option<String>,
}

/// As [`MAX_SALES`]. A row has five times the columns and a reason, and takes some 10 KB while it is told.
pub const MAX_PERFORMANCE: usize = 10_000;

/// Rows of `measurement.performance` by shop, best rank first, each with the reason of its label; [`MAX_PERFORMANCE`] at most.
///
/// # Errors
/// [`Error::Invalid`] for a day or a moment that is none, or if there are more and no `limit`; [`Error::NotFound`] if a shop or a
/// day is asked for that no refresh knows, or of a moment nothing is kept; else from the lake or DuckDB.
pub async fn performance_told(lake: &Lake, filter: PerformanceFilter) -> Result<Vec<Value>> {
    performance_told_at_most(lake, filter, MAX_PERFORMANCE).await
}

/// As [`performance_told`], with another bound.
///
/// # Errors
/// As [`performance_told`].
pub async fn performance_told_at_most(lake: &Lake, filter: PerformanceFilter, most: usize) -> Result<Vec<Value>> {
    let day = day_of("day", filter.day)?;
    if filter.limit.is_some_and(|limit| limit > most) {
        return Err(Error::Invalid(format!("limit: {most} at most")));
    }
    let snapshot = match filter.as_of {
        Some(text) => Some(performance_snapshot(lake, instant("as_of", &text)?).await?),
        None => None,
    };
    let (shop, offset) = (filter.shop, filter.offset.unwrap_or(0));
    let performance = Performance::read(lake, snapshot, day.as_deref()).await?;
    // A page after the last is empty; what is asked for from its beginning is not, if there is any of it. A shop may have sold
    // what is no product, and nothing else.
    let may_be_empty = match (&shop, &day) {
        (_, Some(_)) => false,
        (Some(shop), None) => performance.shops.contains(shop),
        (None, None) => true,
    } || offset > 0
        || filter.limit == Some(0);
    // After the rows, which name only what is published; also those of the past, for a revision never changes.
    let specifications = objective_store::load(lake).await?;
    let duckdb = lake.duckdb();
    tokio::task::spawn_blocking(move || {
        let connection = duckdb.reader()?;
        performance.name(&connection)?;
        let page = params![shop, day, filter.limit.unwrap_or(most + 1), offset];
        let rows: Vec<PerformanceRow> = json_rows(&connection, READ_PERFORMANCE, page)?;
        if rows.len() > most {
            return Err(Error::Invalid(format!(
                "more than {most} products: ask for some of them with shop, or with limit and offset"
            )));
        }
        if rows.is_empty() && !may_be_empty {
            return Err(no_performance());
        }
        told(&connection, &rows, &specifications)
    })
    .await?
}

/// The rows with their reasons. Who competes for places is asked of the table: not all of them need be among the rows.
fn told(
    connection: &Connection,
    rows: &[PerformanceRow],
    specifications: &[ObjectiveSpecification],
) -> Result<Vec<Value>> {
    let mut governed: HashMap<_, (ObjectiveSpecification, Competitors)> = HashMap::new();
    let mut told = Vec::with_capacity(rows.len());
    for row in rows {
        let of_row = (
            &row.shop_domain,
            &row.computed_on,
            &row.objective_spec_id,
            row.objective_spec_revision,
        );
        let (spec, competitors) = match governed.entry(of_row) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let spec = governing(row, specifications).ok_or_else(|| no_specification(row))?;
                let competitors = competitors(connection, row, &spec)?;
                entry.insert((spec, competitors))
            }
        };
        let mut json = serde_json::to_value(row)?;
        json["reason"] = explain(row, competitors, spec).reason.into();
        told.push(json);
    }
    Ok(told)
}

/// The snapshot of `measurement.performance` that readers saw at `moment`.
///
/// # Errors
/// [`Error::NotFound`] if nothing had been written by then, or it is no longer kept; else from the lake.
pub async fn performance_snapshot(lake: &Lake, moment: Timestamp) -> Result<i64> {
    let snapshot = lake.snapshot_as_of(&tables::performance(), moment).await?;
    snapshot.ok_or_else(|| {
        Error::NotFound(format!(
            "nothing is kept of what was said at {moment}: no refresh had written by then, or its snapshot has expired \
             (`weir serve --as-of-days` says how long they are kept)"
        ))
    })
}

/// As [`MAX_SALES`]. A row of [`facts`] takes some 3 KB until it is classified, its windows in three measures among them.
pub const MAX_FACTS: usize = 200_000;

/// What the labels of one day (each shop's newest by default) depend on, best rank first; [`MAX_FACTS`] products at most. Of
/// `others` the rows have the interactions of the last 30 days.
///
/// # Errors
/// [`Error::Invalid`] for a day that is none, or if there are more; [`Error::NotFound`] if there are none; else from the lake or
/// DuckDB.
pub async fn facts(lake: &Lake, shop: Option<String>, day: Option<String>) -> Result<Vec<PerformanceRow>> {
    facts_at_most(lake, shop, day, MAX_FACTS).await
}

/// As [`facts`], with another bound.
///
/// # Errors
/// As [`facts`].
pub async fn facts_at_most(
    lake: &Lake,
    shop: Option<String>,
    day: Option<String>,
    most: usize,
) -> Result<Vec<PerformanceRow>> {
    let day = day_of("day", day)?;
    let performance = Performance::read(lake, None, day.as_deref()).await?;
    let duckdb = lake.duckdb();
    let of = match &shop {
        Some(_) => "of that shop, which are more than can be compared at once",
        None => "in all: ask about one shop (shop)",
    };
    let rows: Vec<PerformanceRow> = tokio::task::spawn_blocking(move || {
        let connection = duckdb.reader()?;
        performance.name(&connection)?;
        json_rows(&connection, READ_FACTS, params![shop, day, most + 1])
    })
    .await??;
    match rows.len() {
        0 => Err(no_performance()),
        count if count > most => Err(Error::Invalid(format!("more than {most} products {of}"))),
        _ => Ok(rows),
    }
}

fn no_performance() -> Error {
    Error::NotFound("no performance of that shop and day; run a refresh, or check the shop and the day".into())
}

/// Which product is to be explained.
#[derive(Debug, Clone)]
pub struct ProductFilter {
    /// The shop's myshopify.com domain; any if absent.
    pub shop: Option<String>,
    /// Day of computation, yyyy-mm-dd; the newest if absent.
    pub day: Option<String>,
    /// Shopify's product id.
    pub product: String,
    /// Snapshot of `measurement.performance`; the current one if absent.
    pub snapshot: Option<i64>,
}

/// Why a product has its label. Reads the product's row and, of its competitors, only what the places are given by.
///
/// # Errors
/// [`Error::Invalid`] for a day that is none, or if several shops have the product and none is named;
/// [`Error::NotFound`] if there is no such row; else from the lake or DuckDB.
pub async fn explanation(lake: &Lake, mut filter: ProductFilter) -> Result<Explanation> {
    filter.day = day_of("day", filter.day)?;
    filter.product = product_id(filter.product);
    let performance = Performance::read(lake, filter.snapshot, filter.day.as_deref()).await?;
    // As above.
    let specifications = objective_store::load(lake).await?;
    let duckdb = lake.duckdb();
    tokio::task::spawn_blocking(move || {
        let connection = duckdb.reader()?;
        performance.name(&connection)?;
        let found = json_rows(
            &connection,
            READ_PRODUCT,
            params![filter.shop, filter.day, filter.product],
        )?;
        let row: PerformanceRow = match <[PerformanceRow; 1]>::try_from(found) {
            Ok([row]) => row,
            Err(rows) if rows.is_empty() => {
                return Err(Error::NotFound(format!(
                    "no performance of product {} on that day; run a refresh, or check the shop and the id",
                    filter.product
                )))
            }
            Err(_) => return Err(several_shops()),
        };
        let spec = governing(&row, &specifications).ok_or_else(|| no_specification(&row))?;
        let competitors = competitors(&connection, &row, &spec)?;
        Ok(explain(&row, &competitors, &spec))
    })
    .await?
}

fn competitors(connection: &Connection, row: &PerformanceRow, spec: &ObjectiveSpecification) -> Result<Competitors> {
    let barring: Vec<_> = barring(spec).iter().map(|label| label.name()).collect();
    let mut statement = connection.prepare(READ_COMPETITORS)?;
    let of_the_day = params![
        row.shop_domain,
        row.computed_on,
        row.objective_spec_id,
        barring.join(",")
    ];
    let rows = statement.query_map(of_the_day, |row| {
        Ok(Competitor {
            product_id: row.get(0)?,
            rank: row.get(1)?,
            aggregate_measurement_value: row.get(2)?,
            net_sales_last_30_days: row.get(3)?,
        })
    })?;
    Ok(Competitors::ranked(rows.collect::<Result<_, _>>()?))
}

/// `measurement.performance` of a day, or of each shop's newest: other days may be among the rows, but their files are not all
/// opened.
struct Performance {
    relation: String,
    newest_days: String,
    /// Those that the refresh knew, whatever it had to say of them.
    shops: HashSet<String>,
}

impl Performance {
    /// Of a snapshot, of the current one if none is named.
    async fn read(lake: &Lake, snapshot: Option<i64>, day: Option<&str>) -> Result<Self> {
        let table = tables::performance();
        let seen = base::Seen::read(lake, snapshot).await?;
        let first = match day {
            Some(day) => day.parse().ok(),
            None => seen.first_day(),
        };
        let relation = match first {
            Some(first) => {
                let least = Datum::date(super::write::days_since_1970(first)?);
                lake.duckdb_relation_from(&table, seen.snapshot, "computed_on", least)
                    .await?
            }
            None => lake.duckdb_relation(&table, seen.snapshot).await?,
        };
        Ok(Self {
            relation,
            newest_days: seen.newest_days(),
            shops: seen.shops.into_iter().map(|shop| shop.shop_domain).collect(),
        })
    }

    /// By the names that the SQL has for them.
    fn name(&self, connection: &Connection) -> Result<()> {
        engine::temporary_view(connection, "measurement_performance", &self.relation)?;
        engine::temporary_view(connection, "newest_day", &self.newest_days)
    }
}

/// Which days of a product; absent fields do not restrict.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryFilter {
    /// Product id.
    pub product: String,
    /// The shop's myshopify.com domain.
    pub shop: Option<String>,
    /// First day of computation, yyyy-mm-dd.
    pub from: Option<String>,
    /// Last day, included.
    pub to: Option<String>,
}

/// What was said of a product on each day of computation, by day.
///
/// # Errors
/// [`Error::Invalid`] for a day that is none, or if several shops have the product and none is named;
/// [`Error::NotFound`] if nothing was said of it; else from the lake or DuckDB.
pub async fn history(lake: &Lake, filter: HistoryFilter) -> Result<Vec<Value>> {
    let HistoryFilter {
        product,
        shop,
        from,
        to,
    } = filter;
    let (from, to) = days_of(from, to)?;
    let product = product_id(product);
    let relation = lake.duckdb_relation(&tables::performance(), None).await?;
    let asked = product.clone();
    let duckdb = lake.duckdb();
    let rows: Vec<Value> = tokio::task::spawn_blocking(move || {
        let connection = duckdb.reader()?;
        engine::temporary_view(&connection, "measurement_performance", &relation)?;
        json_rows(&connection, READ_HISTORY, params![shop, asked, from, to])
    })
    .await??;
    let Some(first) = rows.first() else {
        return Err(Error::NotFound(format!(
            "no performance of product {product} on those days; run a refresh, or check the shop and the id"
        )));
    };
    if rows.iter().any(|row| row["shop_domain"] != first["shop_domain"]) {
        return Err(several_shops());
    }
    Ok(rows)
}

/// A product id that does not tell which shop's product is meant.
pub(super) fn several_shops() -> Error {
    Error::Invalid("shop: several shops have this product id; name one".into())
}

/// A product's windows in one measure, as `measurement.sales` tells them now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Windows {
    /// The shop's myshopify.com domain.
    pub shop_domain: String,
    /// Shopify's product id as text.
    pub product_id: String,
    /// `net_units`, `net_sales` or `gross_sales`.
    pub measure: String,
    /// Measure over the first 7 days.
    pub sales_first_7_days: i64,
    /// Measure over the first 14 days.
    pub sales_first_14_days: i64,
    /// Measure over the last 30 days.
    pub sales_last_30_days: i64,
}

/// The windows of the products of one day (each shop's newest by default) in all three measures.
///
/// # Errors
/// [`Error::Invalid`] for a day that is none; else from the lake or DuckDB.
pub async fn windows(lake: &Lake, shop: Option<String>, day: Option<String>) -> Result<Vec<Windows>> {
    let day = day_of("day", day)?;
    let performance = Performance::read(lake, None, day.as_deref()).await?;
    let sales = sales_relation(lake).await?;
    let duckdb = lake.duckdb();
    tokio::task::spawn_blocking(move || {
        let connection = duckdb.reader()?;
        performance.name(&connection)?;
        engine::temporary_view(&connection, "measurement_sales", &sales)?;
        json_rows(&connection, READ_WINDOWS, params![shop, day])
    })
    .await?
}

/// Runs a query of one JSON text column.
///
/// # Errors
/// From DuckDB, or if a text is not the JSON of a `T`.
pub fn json_rows<T: DeserializeOwned>(connection: &Connection, query: &str, params: impl Params) -> Result<Vec<T>> {
    let mut statement = connection.prepare(query)?;
    let texts = statement.query_map(params, |row| row.get::<_, String>(0))?;
    texts.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
}

/// Reads an RFC 3339 instant, and names the field it came from if it is none.
pub(super) fn instant(field: &str, text: &str) -> Result<Timestamp> {
    text.parse()
        .map_err(|_| Error::Invalid(format!("{field}: {text:?} is not an RFC 3339 instant")))
}

/// Shopify's number of a product, of which its global id is taken too.
pub(super) fn product_id(product: String) -> String {
    match product.strip_prefix("gid://shopify/Product/") {
        Some(id) => id.to_owned(),
        None => product,
    }
}

/// First and last day as [`day_of`], the last one not before the first.
fn days_of(from: Option<String>, to: Option<String>) -> Result<(Option<String>, Option<String>)> {
    match (day_of("from", from)?, day_of("to", to)?) {
        // As text they are in order, for their years have four digits.
        (Some(from), Some(to)) if to < from => Err(Error::Invalid(format!("to: {to} lies before from, {from}"))),
        days => Ok(days),
    }
}

/// A day as `DuckDB` reads it: what is accepted of a caller (`20260301`) is more than it takes.
fn day_of(name: &str, day: Option<String>) -> Result<Option<String>> {
    let Some(day) = day else { return Ok(None) };
    match day.parse::<jiff::civil::Date>() {
        Ok(day) if day.year() > 0 => Ok(Some(day.to_string())),
        _ => Err(Error::Invalid(format!("{name}: must be a day, yyyy-mm-dd"))),
    }
}
