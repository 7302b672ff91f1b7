//! PostgreSQL's sales ledger beside the lake's: the days and the orders on which they do not agree.
//!
//! The lake's side are the newest revisions of each order in `commerce.telemetry`, the same that sales are computed from.
//! PostgreSQL's side is what `weir.reconcile` answers; it is handed in, for the server never connects to PostgreSQL.

use std::collections::BTreeMap;

use duckdb::{params, Connection};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use weir_domain::telemetry;

use super::{engine, reads};
use crate::lake::tables::stream_table;
use crate::lake::Lake;
use crate::{Error, Result};

const READ_DAYS: &str = include_str!("../../../sql/duckdb/read_reconcile_days.sql");
const READ_ORDERS: &str = include_str!("../../../sql/duckdb/read_reconcile_orders.sql");

/// A day's ledger. Amounts are minor units of the shop's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayFigures {
    /// Day in the shop's time zone.
    pub day: Date,
    /// Rows of the ledger.
    pub rows: i64,
    /// Orders with at least one row.
    pub orders: i64,
    /// Units sold.
    pub units_sold: i64,
    /// Units that came back.
    pub units_returned: i64,
    /// Quantity times original price.
    pub gross_sales: i64,
    /// Discounts.
    pub discounts: i64,
    /// Reversals.
    pub returns: i64,
    /// Gross less discounts less returns.
    pub net_sales: i64,
    /// MD5 of the rows as text; sql/postgres/reconcile.sql defines it.
    pub digest: String,
}

/// An order's rows on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFigures {
    /// Day in the shop's time zone.
    pub day: Date,
    /// Shopify's order id.
    pub order_id: String,
    /// Rows of the ledger.
    pub rows: i64,
    /// Minor units.
    pub net_sales: i64,
    /// MD5 of those rows, as that of a day.
    pub digest: String,
}

/// What PostgreSQL says: the answer of `weir.reconcile`, and the days it was asked for.
#[derive(Debug, Clone, Deserialize)]
pub struct Told {
    /// The shop's myshopify.com domain.
    pub shop_domain: String,
    /// First day compared.
    pub from: Date,
    /// Last day, included.
    pub to: Date,
    /// The days that have a ledger.
    pub days: Vec<DayFigures>,
    /// Its orders on the days that differ, once those are known.
    pub orders: Option<Vec<OrderFigures>>,
}

/// The side that has nothing where the other has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// PostgreSQL's ledger.
    Postgresql,
    /// The lake's telemetry.
    Lake,
}

/// One day or order on which the two do not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference<T> {
    /// Who lacks it; none if both have it and it differs.
    pub missing_in: Option<Side>,
    /// What PostgreSQL has.
    pub postgresql: Option<T>,
    /// What the lake has.
    pub lake: Option<T>,
}

/// The comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The shop's myshopify.com domain.
    pub shop_domain: String,
    /// First day compared.
    pub from: Date,
    /// Last day, included.
    pub to: Date,
    /// Whether every day is the same on both sides.
    pub equal: bool,
    /// Days that either side has.
    pub day_count: usize,
    /// The days that differ.
    pub days: Vec<Difference<DayFigures>>,
    /// The orders that differ on those days; none if PostgreSQL's orders were not told.
    pub orders: Option<Vec<Difference<OrderFigures>>>,
}

/// Compares PostgreSQL's days with the lake's.
///
/// # Errors
/// [`Error::Invalid`] if what was told contradicts itself; else from the lake or DuckDB.
pub async fn reconcile(lake: &Lake, told: Told) -> Result<Answer> {
    check(&told)?;
    let table = stream_table(&telemetry::commerce())?;
    let telemetry = lake.state(&table).await?;
    let files = telemetry.files(telemetry.current_snapshot(), "order_id").await?;
    let relation = files.numbered(&files.paths());
    let duckdb = lake.duckdb();
    tokio::task::spawn_blocking(move || {
        let spill = duckdb.spill("reconcile");
        let connection = duckdb.open(&spill)?;
        engine::order_ledger_of(&connection, &relation, &told.shop_domain)?;
        compare(&connection, told)
    })
    .await?
}

fn check(told: &Told) -> Result<()> {
    if told.to < told.from {
        return Err(Error::Invalid(format!(
            "to: {} lies before from, {}",
            told.to, told.from
        )));
    }
    let of_days = told.days.iter().map(|figures| ("days", figures.day));
    let of_orders = told.orders.iter().flatten().map(|figures| ("orders", figures.day));
    match of_days
        .chain(of_orders)
        .find(|(_, day)| !(told.from..=told.to).contains(day))
    {
        Some((field, day)) => Err(Error::Invalid(format!(
            "{field}: {day} is not within from {} and to {}",
            told.from, told.to
        ))),
        None => Ok(()),
    }
}

fn compare(connection: &Connection, told: Told) -> Result<Answer> {
    let (from, to) = (told.from.to_string(), told.to.to_string());
    let held: Vec<DayFigures> = reads::json_rows(connection, READ_DAYS, params![from, to])?;
    let key = |figures: &DayFigures| figures.day;
    let (told_days, held_days) = (by_key("days", told.days, key)?, by_key("days", held, key)?);
    let day_count = told_days
        .keys()
        .chain(held_days.keys())
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    let days = differences(told_days, held_days);
    let orders = match told.orders {
        None => None,
        Some(orders) => {
            let differing: Vec<Date> = days
                .iter()
                .filter_map(Difference::either)
                .map(|figures| figures.day)
                .collect();
            let names: Vec<_> = differing.iter().map(Date::to_string).collect();
            let held: Vec<OrderFigures> = reads::json_rows(connection, READ_ORDERS, params![names.join(",")])?;
            let told = orders
                .into_iter()
                .filter(|figures| differing.contains(&figures.day))
                .collect();
            let key = |figures: &OrderFigures| (figures.day, figures.order_id.clone());
            Some(differences(by_key("orders", told, key)?, by_key("orders", held, key)?))
        }
    };
    Ok(Answer {
        shop_domain: told.shop_domain,
        from: told.from,
        to: told.to,
        equal: days.is_empty(),
        day_count,
        days,
        orders,
    })
}

fn by_key<T, K: Ord + std::fmt::Debug>(field: &str, figures: Vec<T>, key: impl Fn(&T) -> K) -> Result<BTreeMap<K, T>> {
    let mut all = BTreeMap::new();
    for one in figures {
        if let Some(twice) = all.insert(key(&one), one) {
            return Err(Error::Invalid(format!("{field}: {:?} is told twice", key(&twice))));
        }
    }
    Ok(all)
}

impl<T> Difference<T> {
    fn either(&self) -> Option<&T> {
        self.postgresql.as_ref().or(self.lake.as_ref())
    }
}

/// What is not the same on both sides, in the order of the keys.
fn differences<K: Ord, T: PartialEq>(told: BTreeMap<K, T>, mut held: BTreeMap<K, T>) -> Vec<Difference<T>> {
    let mut found = BTreeMap::new();
    for (key, told) in told {
        let held = held.remove(&key);
        if held.as_ref() != Some(&told) {
            let missing_in = held.is_none().then_some(Side::Lake);
            let postgresql = Some(told);
            found.insert(
                key,
                Difference {
                    missing_in,
                    postgresql,
                    lake: held,
                },
            );
        }
    }
    for (key, held) in held {
        let (missing_in, lake) = (Some(Side::Postgresql), Some(held));
        found.insert(
            key,
            Difference {
                missing_in,
                postgresql: None,
                lake,
            },
        );
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(order_id: &str, digest: &str) -> OrderFigures {
        OrderFigures {
            day: "2026-03-01".parse().unwrap(),
            order_id: order_id.to_owned(),
            rows: 1,
            net_sales: 5,
            digest: digest.to_owned(),
        }
    }

    fn keyed(orders: Vec<OrderFigures>) -> BTreeMap<String, OrderFigures> {
        by_key("orders", orders, |one| one.order_id.clone()).unwrap()
    }

    #[test]
    fn each_side_is_told_what_it_lacks_and_what_it_has_otherwise() {
        let told = keyed(vec![order("1", "a"), order("2", "a"), order("3", "a")]);
        let held = keyed(vec![order("1", "a"), order("2", "b"), order("4", "a")]);
        let found = differences(told, held);
        let said: Vec<_> = found
            .iter()
            .map(|one| (one.either().unwrap().order_id.as_str(), one.missing_in))
            .collect();
        assert_eq!(
            said,
            [("2", None), ("3", Some(Side::Lake)), ("4", Some(Side::Postgresql))]
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let twice = by_key("orders", vec![order("1", "a"), order("1", "b")], |one| {
            one.order_id.clone()
        });
        assert!(twice.unwrap_err().to_string().contains("told twice"));
        let told = |from: &str, to: &str| Told {
            shop_domain: "a.myshopify.com".to_owned(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            days: Vec::new(),
            orders: Some(vec![order("1", "a")]),
        };
        assert!(check(&told("2026-03-01", "2026-03-01")).is_ok());
        let outside = check(&told("2026-03-02", "2026-03-03")).unwrap_err().to_string();
        assert!(outside.contains("orders: 2026-03-01 is not within"), "{outside}");
        let turned = check(&told("2026-03-02", "2026-03-01")).unwrap_err().to_string();
        assert!(turned.contains("lies before from"), "{turned}");
    }
}
