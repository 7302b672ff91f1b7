//! Daily sales: from all of telemetry, or by what has changed since the last refresh.

use arrow_array::cast::AsArray;
use duckdb::Connection;
use jiff::civil::Date;

use super::engine::{batches, count, strings, view};
use super::inputs::{Before, Inputs, SalesFrom};
use super::parameters::parse_day;
use super::sql;
use super::steps::{Progress, Step};
use crate::lake::duckdb::literal;
use crate::lake::ranges::Files;
use crate::{Error, Result};

/// Ledger entries that are added up at once. Their lists of times cannot spill to disk: with 50,000 products and half a
/// year of days, 1 GiB is not enough for 14 million entries.
const ENTRIES_AT_ONCE: u64 = 4_000_000;

/// Computes what is to be written as `sales_written`. Or why everything has to be computed anew.
pub(super) fn compute(connection: &Connection, inputs: &Inputs, progress: &Progress) -> Result<Option<String>> {
    match (&inputs.sales, &inputs.before) {
        (SalesFrom::Telemetry(since), _) => {
            order_ledger(connection, "commerce_new")?;
            progress.begin(Step::Compute);
            whole(connection, ENTRIES_AT_ONCE)?;
            connection.execute_batch(sql::SALES_NAMED)?;
            if let Some(since) = since {
                view(connection, "sales_held", &since.held)?;
                let day = format!("set variable since_day = '{}'::date", since.day);
                connection.execute_batch(&day)?;
                connection.execute_batch(sql::SALES_SINCE)?;
            }
        }
        (SalesFrom::Changes(files), Some(before)) => {
            connection.execute_batch(sql::TOLD_ORDER)?;
            connection.execute_batch(sql::TOUCHED_ORDERS)?;
            let orders = count(connection, "touched_order")?;
            if orders > ENTRIES_AT_ONCE {
                return Ok(Some(format!(
                    "{orders} orders have changed since the last refresh, of which not more than {ENTRIES_AT_ONCE} are taken out \
                     and added at once"
                )));
            }
            insert_files(connection, files)?;
            changes(connection, files, before, progress)?;
        }
        (SalesFrom::Changes(_), None) => {
            return Err(Error::Internal("changes of sales without a refresh before".to_owned()));
        }
        (SalesFrom::Written(files), _) => {
            insert_files(connection, files)?;
            progress.begin(Step::Compute);
        }
    }
    Ok(None)
}

/// Finds out which days of sales products need, of `product_before` too, and makes them `sales`.
pub(super) fn needed_days(connection: &Connection, from: &SalesFrom) -> Result<()> {
    connection.execute_batch(match from {
        SalesFrom::Written(_) => sql::SALES_TAKEN,
        SalesFrom::Telemetry(_) | SalesFrom::Changes(_) => sql::NEEDED_DAYS,
    })?;
    read_needed(connection, from)
}

/// Brings the view `sales` to what `needed_day` names now.
pub(super) fn read_needed(connection: &Connection, from: &SalesFrom) -> Result<()> {
    let kept = |files: &Files| -> Result<String> {
        let paths = strings(
            connection,
            "select path from sales_file where day is null or day in (select day from needed_day) \
             and day not in (select day from changed_day)",
        )?;
        Ok(format!(
            "{} as kept where day not in (select day from changed_day)",
            files.relation(&paths)
        ))
    };
    match from {
        SalesFrom::Telemetry(_) => view(connection, "sales", "sales_row"),
        SalesFrom::Written(files) => view(connection, "sales", &kept(files)?),
        SalesFrom::Changes(files) => view(
            connection,
            "sales",
            &format!("{} union all by name select * from sales_row", kept(files)?),
        ),
    }
}

/// Rows that `measurement.sales` will have.
pub(super) fn row_count(connection: &Connection, from: &SalesFrom) -> Result<u64> {
    let of_files = "select coalesce(sum(row_count), 0)::bigint from sales_file \
                    where coalesce(day not in (select day from changed_day), true)";
    let kept: u64 = connection.query_row(of_files, [], |row| row.get(0))?;
    match from {
        SalesFrom::Written(_) => Ok(kept),
        _ => Ok(kept + count(connection, "sales_row")?),
    }
}

/// The days to be replaced, in their order, and the rows they will have.
pub(super) fn changed_days(connection: &Connection) -> Result<(Vec<Date>, u64)> {
    let days = strings(connection, "select day::varchar from changed_day order by day")?;
    let rows = "select coalesce(sum(row_count), 0)::bigint from sales_day semi join changed_day using (day)";
    Ok((
        days.iter().map(|day| parse_day(day)).collect::<Result<_>>()?,
        connection.query_row(rows, [], |row| row.get(0))?,
    ))
}

/// The ledger of the orders of a relation with `event_row`.
pub(super) fn order_ledger(connection: &Connection, events: &str) -> Result<()> {
    view(connection, "ledger_event", events)?;
    connection.execute_batch(sql::TOLD_ORDER)?;
    connection.execute_batch(sql::NEWEST_EVENT)?;
    connection.execute_batch(sql::LEDGER_ENTRIES)?;
    Ok(connection.execute_batch(sql::ORDER_LEDGER)?)
}

/// The sales of all orders as `sales_row`: at once, or some days after the other if they have more ledger entries than are
/// to be added up at once. A day is never split.
fn whole(connection: &Connection, at_once: u64) -> Result<()> {
    // An order of no entry is rare, and one of several days costs a slice more at worst.
    if count(connection, "newest_event")? <= at_once {
        return add_up(connection, "order_ledger");
    }
    connection.execute_batch("create or replace table ledger_held as from order_ledger")?;
    let days = connection
        .prepare("select day::varchar, count(*) from ledger_held group by day order by day")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, u64)>, _>>()?;
    add_up(connection, "ledger_held where false")?;
    for (first, last) in slices(&days, at_once) {
        let entries = format!("ledger_held where day between '{first}'::date and '{last}'::date");
        view(connection, "ledger_entry", &entries)?;
        connection.execute_batch("insert into sales_row from sales_of_entries")?;
    }
    Ok(connection.execute_batch("drop table ledger_held")?)
}

/// The sums of a relation of ledger entries, as the table `sales_row`.
fn add_up(connection: &Connection, entries: &str) -> Result<()> {
    view(connection, "ledger_entry", entries)?;
    connection.execute_batch(sql::SALES_OF_ENTRIES)?;
    Ok(connection.execute_batch("create or replace table sales_row as from sales_of_entries")?)
}

/// The first and the last day of runs of days with at most so many entries, or of one day.
fn slices(days: &[(String, u64)], at_once: u64) -> Vec<(&str, &str)> {
    let mut slices: Vec<(&str, &str)> = Vec::new();
    let mut entries = 0;
    for (day, count) in days {
        entries += count;
        match slices.last_mut() {
            Some((_, last)) if entries <= at_once => *last = day,
            _ => {
                slices.push((day, day));
                entries = *count;
            }
        }
    }
    slices
}

fn changes(connection: &Connection, sales: &Files, before: &Before, progress: &Progress) -> Result<()> {
    let touched = batches(connection, "select order_id from touched_order")?;
    let mut orders: Vec<&str> = touched
        .iter()
        .flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten())
        .collect();
    orders.sort_unstable();
    // An order is told of for weeks, so that the bounds of many files span it: what decides is read of all of them, its
    // ledger only of those that hold an event that counted.
    let spanning = before.commerce.paths_with_any(&orders);
    view(connection, "commerce_before", &before.commerce.numbered(&spanning))?;
    connection.execute_batch(sql::SUPERSEDED)?;
    let row_before = opened(connection, &spanning, &before.commerce)?;
    for (row, table) in [("row_now", "event_now"), (row_before.as_str(), "event_before")] {
        connection.execute_batch(&format!(
            "create or replace table {table} as select {row} as event_row from superseded where {row} is not null"
        ))?;
    }
    connection.execute_batch(sql::LEDGER_ENTRIES)?;
    connection.execute_batch(sql::MOVED_ENTRIES)?;
    progress.begin(Step::Compute);
    connection.execute_batch(sql::CHANGED_DAYS)?;
    let files = strings(
        connection,
        "select path from sales_file where day is null or day in (select day from changed_day) order by path",
    )?;
    view(connection, "sales_before", &sales.relation(&files))?;
    connection.execute_batch(sql::SALES_CHANGED)?;
    if count(connection, "changed_times where fewest < 0")? > 0 {
        return Err(Error::Internal(
            "measurement.sales does not hold what its telemetry says; run `weir refresh --full`".into(),
        ));
    }
    Ok(connection.execute_batch(sql::SALES_NAMED)?)
}

/// Opens as `commerce_opened` those files of `paths` that hold an event of `row_before`. What that number is among them, in
/// SQL.
fn opened(connection: &Connection, paths: &[String], files: &Files) -> Result<String> {
    let numbers = connection
        .prepare(&format!(
            "select distinct {} as number from superseded where row_before is not null order by number",
            Files::file_of_row("row_before")
        ))?
        .query_map([], |row| row.get::<_, usize>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let of = |number: &usize| {
        let path = paths.get(*number).cloned();
        path.ok_or_else(|| Error::Internal(format!("DuckDB told of file {number} of {}", paths.len())))
    };
    let opened = numbers.iter().map(of).collect::<Result<Vec<_>>>()?;
    view(connection, "commerce_opened", &files.numbered(&opened))?;
    let numbers: Vec<_> = numbers.iter().map(usize::to_string).collect();
    Ok(Files::renumbered("row_before", &numbers.join(", ")))
}

/// The files of sales as `sales_file`. One whose day is not told is read whatever is needed.
fn insert_files(connection: &Connection, files: &Files) -> Result<()> {
    let rows = files.ranges.iter().map(|file| {
        let day = match (&file.least, &file.most) {
            (Some(least), Some(most)) if least == most => literal(least),
            _ => "null".to_owned(),
        };
        format!("({}, {day}, {})", literal(&file.path), file.rows)
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    Ok(connection.execute_batch(&format!("insert into sales_file values {}", rows.join(", ")))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_some_days_after_the_other_are_those_of_all_at_once() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "create table newest_event as select n as event_row from range(3000) as orders(n);
                 create table order_ledger as
                 select 'shop ' || n % 2 as shop_domain, n::varchar as order_id, if(n % 7 = 0, 'EUR', 'JPY') as currency,
                     make_timestamptz((hash(n) & 1099511627775)::bigint) as placed_at, (hash(n, 1) % 20)::varchar as product_id,
                     '2026-11-01'::date + (hash(n, 2) % 9)::integer as day, if(n % 5 = 0, 'return', 'sale') as kind,
                     n % 3 as units_sold, n % 2 as units_returned, n as gross_sales, n % 11 as discounts, n % 13 as returns,
                     n - n % 11 - n % 13 as net_sales
                 from range(3000) as orders(n)",
            )
            .unwrap();
        let told = |at_once: u64| -> Vec<String> {
            whole(&connection, at_once).unwrap();
            strings(
                &connection,
                "select sales_row::varchar as told from sales_row order by told",
            )
            .unwrap()
        };
        let all = told(3000);
        assert!(all.len() > 500, "{}", all.len());
        for at_once in [0, 1, 400, 1000, 2999] {
            assert_eq!(told(at_once), all, "{at_once} at once");
        }
    }

    #[test]
    fn a_slice_is_as_many_days_as_fit_and_at_least_one() {
        let days = [("a", 3), ("b", 3), ("c", 9), ("d", 1), ("e", 1)].map(|(day, count)| (day.to_owned(), count));
        assert_eq!(slices(&days, 6), [("a", "b"), ("c", "c"), ("d", "e")]);
        assert_eq!(slices(&days, 100), [("a", "e")]);
        assert_eq!(slices(&[], 100), []);
    }
}
