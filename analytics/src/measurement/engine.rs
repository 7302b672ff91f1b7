//! Query, compute, classify: the measurement's SQL in an in-memory DuckDB over relations of the lake.
//!
//! In scope: everything between reading relations and handing out rows. Not in scope: where the relations come from and
//! where the rows go ([`super::refresh`]). Everything here blocks; callers use a blocking thread.

use std::panic::resume_unwind;
use std::path::Path;
use std::thread;

use arrow_array::{Array, RecordBatch};
use arrow_ord::sort::{lexsort_to_indices, LexicographicalComparator, SortColumn};
use arrow_select::concat::{concat, concat_batches};
use arrow_select::take::take_record_batch;
use duckdb::{params, Connection};
use jiff::civil::Date;

use super::inputs::{Computed, Inputs, Outcome, Ready, SalesFrom};
use super::parameters::{
    governing, insert_shop_days, insert_specifications, pass_over_unknown_zones, unusable, with_newest_sales,
};
use super::steps::{Progress, Step};
use super::{daily_sales, identity, local_date, oracle, sql};
use crate::failpoint;
use crate::lake::duckdb::literal;
use crate::{Error, Result};

/// Memory DuckDB may use before it spills to its temporary folder: the container has 4 GB, the rest is Arrow and HTTP.
const MEMORY_LIMIT_GIB: u32 = 1;

/// Optimizers by which DuckDB 1.5.5 answers some queries wrongly, without an error (the issues are those of duckdb/duckdb):
/// `common_subplan` takes subplans for the same that are not (24624, 25819), `top_n_window_elimination` loses rows of the
/// first so many of each group (24363, 23588), `window_self_join` takes partitions for the same that are not (24780), and
/// `join_filter_pushdown` holds back rows before a join (22075; in later versions 25702). None of them gains anything here: the
/// files to be read are chosen by their bounds.
const WRONG_OPTIMIZERS: &str = "common_subplan,join_filter_pushdown,top_n_window_elimination,window_self_join";

/// What every connection has to be told. Times of the lake are instants; a day is told by a zone that is named.
const SESSION: &str = "set TimeZone = 'UTC'";

/// What decides how a query is answered.
pub(super) fn settings() -> String {
    format!("set disabled_optimizers = '{WRONG_OPTIMIZERS}'; {SESSION}")
}

/// Opens an in-memory DuckDB that spills into `spill_folder`.
///
/// # Errors
/// If DuckDB cannot start.
pub fn open(spill_folder: &Path) -> Result<Connection> {
    let connection = Connection::open_in_memory()?;
    // Offline and repeatable: no extension is fetched; json, parquet and icu are inside the library.
    connection.execute_batch(&format!(
        "set autoinstall_known_extensions = false; {}; set memory_limit = '{MEMORY_LIMIT_GIB}GiB'; set temp_directory = {}",
        settings(),
        literal(&spill_folder.display().to_string())
    ))?;
    Ok(connection)
}

/// Another connection to the same database.
///
/// # Errors
/// If a fatal error has made the database unusable.
pub fn another(connection: &Connection) -> duckdb::Result<Connection> {
    let another = connection.try_clone()?;
    another.execute_batch(SESSION)?;
    Ok(another)
}

/// Names a relation of the lake.
///
/// # Errors
/// If DuckDB cannot read it.
pub fn view(connection: &Connection, name: &str, relation: &str) -> Result<()> {
    Ok(connection.execute_batch(&format!("create or replace view {name} as select * from {relation}"))?)
}

/// As [`view`], for the connection alone: its database is shared, see [`crate::lake::duckdb::DuckDb::reader`].
///
/// # Errors
/// As [`view`].
pub fn temporary_view(connection: &Connection, name: &str, relation: &str) -> Result<()> {
    Ok(connection.execute_batch(&format!(
        "create or replace temporary view {name} as select * from {relation}"
    ))?)
}

/// Runs the whole computation and checks every label against the domain's reference. `progress` stands in its first step
/// and is told of the next ones. `ready` gets the rows to be written as early as that may be: those of performance before they are
/// checked, and those of changed days of sales before products are looked at.
///
/// # Errors
/// [`crate::Error::DuckDb`] from the SQL, [`crate::Error::Invalid`] for an unknown time zone,
/// [`crate::Error::Internal`] if SQL and reference disagree, or if the sales of the last refresh are not those of its
/// telemetry.
pub fn compute(
    connection: &Connection,
    inputs: &Inputs,
    progress: &Progress,
    ready: &mut dyn FnMut(Ready),
) -> Result<Outcome> {
    prepare(connection, inputs)?;
    let warnings = pass_over_unknown_zones(connection)?;
    let mut shops = insert_shop_days(connection, &inputs.as_of)?;
    if let Some(reason) = inputs
        .before
        .as_ref()
        .and_then(|before| unusable(&before.shops, &shops))
    {
        return Ok(Outcome::NeedsFull(reason));
    }
    let specifications = governing(&inputs.specifications, &shops, &inputs.as_of)?;
    insert_specifications(connection, &specifications)?;
    let performance_refresh_id = identity::performance_refresh_id(inputs, &specifications, &shops);
    let snapshot = inputs.commerce_snapshot.map_or("null".to_owned(), |id| id.to_string());
    connection.execute_batch(&format!(
        "set variable performance_refresh_id = '{performance_refresh_id}'; set variable source_snapshot_id = {snapshot}"
    ))?;
    let event_count = count(connection, "commerce_new")?;
    progress.read(event_count);
    let sales = thread::scope(|scope| {
        // Nothing of sales needs what the last refresh left of products, before it is known which days have changed.
        let known = inputs.before.as_ref().map(|_| another(connection)).transpose()?;
        let products = known.map(|known| scope.spawn(move || known.execute_batch(sql::PRODUCT_BEFORE)));
        let sales = daily_sales::compute(connection, inputs, progress);
        if let Some(products) = products {
            products.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        }
        sales
    })?;
    if let Some(reason) = sales {
        return Ok(Outcome::NeedsFull(reason));
    }
    daily_sales::needed_days(connection, &inputs.sales)?;
    let sales_rows = daily_sales::row_count(connection, &inputs.sales)?;
    let (changed_days, changed_rows) = match inputs.sales {
        SalesFrom::Telemetry(None) => (None, sales_rows),
        SalesFrom::Written(_) => (Some(Vec::new()), 0),
        _ => {
            let (days, rows) = daily_sales::changed_days(connection)?;
            (Some(days), rows)
        }
    };
    let sales = Ready::Sales {
        connection: another(connection)?,
        changed_days: changed_days.clone(),
        count: changed_rows,
    };
    let sales = match inputs.sales {
        SalesFrom::Changes(_) => {
            ready(sales);
            None
        }
        _ => Some(sales),
    };
    products(connection, inputs)?;
    failpoint::reached("refresh_after_compute");
    progress.begin(Step::Classify);
    connection.execute_batch(sql::CLASSIFICATION)?;
    connection.execute_batch(sql::PERFORMANCE_DAY)?;
    let performance = connection
        .prepare("select * from performance_checked")?
        .stream_arrow([])?
        .collect();
    let performance = in_order(performance)?;
    let mut days: Vec<Date> = shops.iter().map(|shop| shop.computed_on).collect();
    days.sort_unstable();
    days.dedup();
    ready(Ready::Performance {
        refresh_id: performance_refresh_id.clone(),
        days: days.clone(),
        rows: performance.clone(),
    });
    let product_count = oracle::check(&performance, &specifications)?;
    progress.read(product_count);
    with_newest_sales(connection, &mut shops)?;
    let order_count = match inputs.sales {
        SalesFrom::Changes(_) => Some(count(connection, "touched_order")?),
        _ => None,
    };
    Ok(Outcome::Done(Box::new(Computed {
        performance_refresh_id,
        sales,
        changed_days,
        performance,
        days,
        shops,
        event_count,
        order_count,
        sales_rows,
        product_count,
        warnings,
    })))
}

/// The relations by their names in the SQL, and what the last refresh left.
fn prepare(connection: &Connection, inputs: &Inputs) -> Result<()> {
    view(connection, "commerce_new", &inputs.commerce_new)?;
    view(connection, "publication_telemetry", &inputs.publication)?;
    view(connection, "performance_before", &inputs.performance)?;
    local_date::define(connection)?;
    connection.execute_batch(sql::BEFORE)?;
    if let Some(before) = &inputs.before {
        for shop in &before.shops {
            connection.execute(
                "insert into shop_before values (?, ?, make_timestamptz(?::bigint), ?::date, ?, ?::date)",
                params![
                    shop.shop_domain,
                    shop.told_at.map(|_| &shop.shop_time_zone),
                    shop.told_at,
                    shop.computed_on.to_string(),
                    shop.currency,
                    shop.newest_sale_on.map(|day| day.to_string())
                ],
            )?;
        }
        view(connection, "performance_known", &before.products)?;
    }
    connection.execute_batch(sql::TELEMETRY)?;
    connection.execute_batch(sql::PARAMETERS)?;
    Ok(())
}

/// Products and their windows. What only some of them need of the history is opened when there are such.
fn products(connection: &Connection, inputs: &Inputs) -> Result<()> {
    connection.execute_batch(sql::PRODUCT_TOLD)?;
    let before = inputs.before.as_ref();
    let untold = count(connection, "untold_product")?;
    let lines = match before {
        _ if untold == 0 => "commerce_new where false".to_owned(),
        Some(before) if count(connection, "untold_product where is_newcomer")? > 0 => format!(
            "commerce_new union all by name select * from {}",
            before.commerce.relation(&before.commerce.paths())
        ),
        _ => "commerce_new".to_owned(),
    };
    view(connection, "line_event", &lines)?;
    connection.execute_batch(sql::PRODUCT)?;
    connection.execute_batch(sql::PRODUCT_MEASURED)?;
    daily_sales::read_needed(connection, &inputs.sales)?;
    let history = match before {
        None => "publication_telemetry where false".to_owned(),
        Some(before) => {
            let newcomers = strings(
                connection,
                "select distinct product_id from newcomer order by product_id",
            )?;
            before
                .publication
                .relation(&before.publication.paths_with_any(&newcomers))
        }
    };
    view(connection, "engagement_history", &history)?;
    connection.execute_batch(sql::WINDOWS)?;
    Ok(())
}

/// The ledger of one shop's orders as `order_ledger`, from rows of `commerce.telemetry` with `event_row`.
///
/// # Errors
/// If DuckDB cannot read them.
pub fn order_ledger_of(connection: &Connection, telemetry: &str, shop_domain: &str) -> Result<()> {
    let shop = literal(shop_domain);
    daily_sales::order_ledger(connection, &format!("{telemetry} where shop_domain = {shop}"))
}

/// What rows of performance are sorted by.
const PERFORMANCE_ORDER: [&str; 3] = ["computed_on", "shop_domain", "product_id"];

/// Rows of performance in their order. `DuckDB` would copy all of their columns twice to sort them; and where one refresh builds on
/// another, they come in the order in which that one has written them.
fn in_order(rows: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    if rows.is_empty() {
        return Ok(rows);
    }
    let column = |name: &str| -> Result<SortColumn> {
        let parts: Option<Vec<&dyn Array>> = rows
            .iter()
            .map(|batch| Some(batch.column_by_name(name)?.as_ref()))
            .collect();
        let parts = parts.ok_or_else(|| Error::Internal(format!("the computation has no column {name}")))?;
        Ok(SortColumn {
            values: concat(&parts)?,
            options: None,
        })
    };
    let columns = PERFORMANCE_ORDER.map(column).into_iter().collect::<Result<Vec<_>>>()?;
    let order = LexicographicalComparator::try_new(&columns)?;
    if (1..columns[0].values.len()).all(|row| order.compare(row - 1, row).is_le()) {
        return Ok(rows);
    }
    let all = concat_batches(rows[0].schema_ref(), &rows)?;
    Ok(vec![take_record_batch(&all, &lexsort_to_indices(&columns, None)?)?])
}

/// A query's rows.
pub(super) fn batches(connection: &Connection, query: &str) -> Result<Vec<RecordBatch>> {
    Ok(connection.prepare(query)?.query_arrow([])?.collect())
}

/// Rows of a table, or of what a `from` clause names.
pub(super) fn count(connection: &Connection, table: &str) -> Result<u64> {
    Ok(connection.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0))?)
}

/// The rows of a query of one column of texts.
pub(super) fn strings(connection: &Connection, query: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(query)?;
    let texts = statement.query_map([], |row| row.get(0))?;
    Ok(texts.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_performance_come_in_their_order_however_they_were_computed() {
        let connection = open(&std::env::temp_dir()).unwrap();
        let told = |rows: &str| -> Vec<String> {
            let query = format!("select * from (values {rows}) as rows(computed_on, shop_domain, product_id, value)");
            let rows = in_order(batches(&connection, &query).unwrap()).unwrap();
            let text = |batch: &RecordBatch, column: usize, row| {
                arrow_cast::display::array_value_to_string(batch.column(column), row).unwrap()
            };
            rows.iter()
                .flat_map(|batch| {
                    (0..batch.num_rows()).map(move |row| [0, 1, 2, 3].map(|at| text(batch, at, row)).concat())
                })
                .collect()
        };
        let sorted = ["1a21", "1a32", "1b13", "2a14"];
        assert_eq!(
            told("(1, 'a', '2', 1), (1, 'a', '3', 2), (1, 'b', '1', 3), (2, 'a', '1', 4)"),
            sorted
        );
        assert_eq!(
            told("(2, 'a', '1', 4), (1, 'b', '1', 3), (1, 'a', '3', 2), (1, 'a', '2', 1)"),
            sorted
        );
        let none = batches(&connection, "select 1 as computed_on where false").unwrap();
        assert_eq!(
            in_order(none).unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(),
            0
        );
    }

    #[test]
    fn no_optimizer_answers_wrongly() {
        let connection = open(&std::env::temp_dir()).unwrap();
        connection
            .execute_batch(
                "create table flag as select false as flag;
                 create table word as select 'a' as word;
                 create view paired as select not flag and substring(word from -4294967296) <> word as holds
                 from flag left join word on true;
                 create table item as select * from (values (null, ''), (2, '')) as items(id, tag);
                 create table told as select * from (values (1, 20), (1, 10)) as told(k, s);
                 create table known as select 1 as k, 'x' as p",
            )
            .unwrap();
        for (issue, query, rows) in [
            (24624, "select * from paired where not holds union all select * from paired where holds is null", 1),
            (
                24363,
                "select * from (select c, row_number() over (partition by c order by null) as n from (values (3), (3)) as t(c)) \
                 where n <= 7",
                2,
            ),
            (
                23588,
                "select p from (select p, s from known join told using (k)) qualify row_number() over (order by s desc) <= 2",
                2,
            ),
            (
                24780,
                "select * from (select bit_and(id) over (partition by id, tag) as own, bit_or(id) over (partition by tag, tag) as whole \
                 from item) where whole = 2",
                2,
            ),
        ] {
            let counted = count(&connection, &format!("({query})")).unwrap();
            assert_eq!(counted, rows, "duckdb/duckdb issue {issue}: {query}");
        }
        let off = "select current_setting('disabled_optimizers')";
        let off: String = connection.query_row(off, [], |row| row.get(0)).unwrap();
        assert!(off.contains("join_filter_pushdown"), "{off}");
    }
}
