//! `weir reconcile`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::civil::{date, Date};
use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::client::{cell, money, Client};
use super::db::connection::{connect, explain};
use super::db::NOT_INSTALLED;
use crate::say::{note, say};
use crate::{Error, Result};

const ORDERS: &str = include_str!("../../../sql/postgres/reconcile_orders.sql");
const CURRENCIES: &str = include_str!("../../../sql/postgres/reconcile_currencies.sql");

/// Arguments of `weir reconcile`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    /// The PostgreSQL database, as postgres://user:password@host:port/name?sslmode=require; the role weir_reader suffices.
    #[arg(long, env = "WEIR_DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Certificates (PEM) to trust besides the public ones, such as your provider's own authority.
    #[arg(long)]
    ca_file: Option<std::path::PathBuf>,
    /// The shop's myshopify.com domain.
    #[arg(long)]
    shop: String,
    /// First day in the shop's time zone, yyyy-mm-dd; the first there is by default.
    #[arg(long, value_name = "DAY", default_value_t = date(1970, 1, 1), hide_default_value = true)]
    from: Date,
    /// Last day, included; the last there is by default.
    #[arg(long, value_name = "DAY", default_value_t = date(9999, 12, 31), hide_default_value = true)]
    to: Date,
    /// Seconds within which what PostgreSQL has taken is in the lake. Cloudflare's sinks commit once a minute; for streams of
    /// `weir serve` a few do.
    #[arg(long, default_value_t = 120)]
    settle_seconds: u64,
}

/// Compares PostgreSQL's sales ledger with the lake's and prints the days and orders that differ.
///
/// The two are never read at one moment, and a shop goes on selling. So where days differ the lake is asked once more between
/// two readings of PostgreSQL: an order that was the same in both, and long enough before for the lake to have it, differs;
/// any other is on its way.
///
/// # Errors
/// If they differ; if PostgreSQL or the server is not reached or refuses.
pub async fn run(args: Args) -> Result<()> {
    let database = connect(&args.database_url, args.ca_file.as_deref())
        .await
        .map_err(option_named)?;
    let (from, to) = (args.from.to_string(), args.to.to_string());
    let days = "select weir.reconcile($1, $2::text::date, $3::text::date)::text";
    let told = async || -> Result<Value> {
        let mut body = ask(&database, days, &[&args.shop, &from, &to]).await?;
        (body["from"], body["to"]) = (from.as_str().into(), to.as_str().into());
        Ok(body)
    };
    let mut body = told().await?;
    let mut answer = args.client.post("/v1/reconcile", &body).await?;
    if answer["equal"] != true && is_forgotten(&database, &args.shop).await {
        if args.client.json {
            answer["is_forgotten"] = true.into();
            say!("{answer:#}");
        } else {
            say!(
                "PostgreSQL has forgotten {}; the lake still has {} days of it, of which nobody can tell any more whose they were",
                args.shop,
                answer["day_count"]
            );
        }
        return Ok(());
    }
    if answer["equal"] != true {
        let days: Vec<String> = listed(&answer, "days").iter().map(day_of).collect();
        let before = ask(&database, ORDERS, &[&args.shop, &days]).await?;
        note!(
            "they differ; asking again in {} s, some may be on its way",
            args.settle_seconds
        );
        tokio::time::sleep(Duration::from_secs(args.settle_seconds)).await;
        body = told().await?;
        body["orders"] = before;
        answer = args.client.post("/v1/reconcile", &body).await?;
        let after = ask(&database, ORDERS, &[&args.shop, &days]).await?;
        let moved = keep_settled(&mut answer, &days, &body["orders"], &after);
        if moved > 0 {
            note!("{moved} orders changed meanwhile and are left to the next comparison");
        }
    }
    if answer["equal"] == true {
        if args.client.json {
            say!("{answer:#}");
        } else {
            say!(
                "PostgreSQL and the lake agree on all {} days of {}",
                answer["day_count"],
                args.shop
            );
        }
        return Ok(());
    }
    let header = ["day", "order", "what", "postgresql", "lake"];
    let days: Vec<String> = listed(&answer, "days").iter().map(day_of).collect();
    let currencies = ask(&database, CURRENCIES, &[&args.shop, &days]).await?;
    args.client
        .show(&answer, &header, rows(&answer, &body["currency"], &currencies));
    Err(Error::Invalid(format!(
        "PostgreSQL and the lake differ on {} of {} days of {}",
        listed(&answer, "days").len(),
        answer["day_count"],
        args.shop
    )))
}

/// Whether PostgreSQL was told to forget the shop (`shop/redact`); what it has no more is no difference then. An older one does
/// not let this login ask.
async fn is_forgotten(database: &tokio_postgres::Client, shop: &str) -> bool {
    let registration = ask(database, "select weir.registration($1)::text", &[&shop]).await;
    registration.is_ok_and(|registration| registration["is_forgotten"] == true)
}

/// Leaves in the answer the orders of `days`, those that differed at first, of which PostgreSQL said the same before and after
/// the lake was asked, and the days that have such an order. Returns how many orders of `days` are left out.
fn keep_settled(answer: &mut Value, days: &[String], before: &Value, after: &Value) -> usize {
    let days: HashSet<&String> = days.iter().collect();
    let (before, after) = (digests(before), digests(after));
    let mut moved = 0;
    let settled: Vec<Value> = listed(answer, "orders")
        .iter()
        .filter(|order| days.contains(&day_of(order)))
        .filter(|order| {
            let key = (day_of(order), cell(&figure(order, "order_id")));
            let is_settled = before.get(&key) == after.get(&key);
            moved += usize::from(!is_settled);
            is_settled
        })
        .cloned()
        .collect();
    let differing: HashSet<String> = settled.iter().map(day_of).collect();
    let left = listed(answer, "days")
        .iter()
        .filter(|day| differing.contains(&day_of(day)));
    let left: Vec<Value> = left.cloned().collect();
    answer["equal"] = left.is_empty().into();
    answer["days"] = left.into();
    answer["orders"] = settled.into();
    moved
}

/// The digest of each order on each day.
fn digests(orders: &Value) -> HashMap<(String, String), &Value> {
    let orders = orders.as_array().into_iter().flatten();
    orders
        .map(|order| ((cell(&order["day"]), cell(&order["order_id"])), &order["digest"]))
        .collect()
}

/// The JSON that one select answers.
async fn ask(database: &tokio_postgres::Client, sql: &str, given: &[&(dyn ToSql + Sync)]) -> Result<Value> {
    let row = database.query_one(sql, given).await.map_err(|error| {
        if error.code() == Some(&SqlState::INVALID_SCHEMA_NAME) {
            return Error::Invalid(NOT_INSTALLED.to_owned());
        }
        explain(
            "PostgreSQL's ledger is not read",
            &error,
            "the login needs the role weir_reader",
        )
    })?;
    Ok(serde_json::from_str(row.get(0))?)
}

/// `weir db` calls --url what is --database-url here.
fn option_named(error: Error) -> Error {
    match error {
        Error::Invalid(text) => Error::Invalid(text.replace("--url", "--database-url")),
        Error::CommandLine(text) => Error::CommandLine(text.replace("--url", "--database-url")),
        other => other,
    }
}

fn listed<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}

/// The day of a difference, yyyy-mm-dd.
fn day_of(difference: &Value) -> String {
    cell(&figure(difference, "day"))
}

/// A figure of whichever side has it.
fn figure(difference: &Value, name: &str) -> Value {
    let sides = [&difference["postgresql"][name], &difference["lake"][name]];
    sides
        .into_iter()
        .find(|value| !value.is_null())
        .cloned()
        .unwrap_or_default()
}

/// Each day with the figures that differ, then its orders. Where all figures are the same, the digests tell that rows
/// differ which add up to the same. `currencies` are PostgreSQL's by day; a day that it has not is of the shop's `currency`.
fn rows(answer: &Value, currency: &Value, currencies: &Value) -> Vec<Vec<String>> {
    const OF_DAYS: [&str; 8] = [
        "rows",
        "orders",
        "units_sold",
        "units_returned",
        "gross_sales",
        "discounts",
        "returns",
        "net_sales",
    ];
    const OF_ORDERS: [&str; 2] = ["net_sales", "rows"];
    let mut rows = Vec::new();
    for day in listed(answer, "days") {
        let date = figure(day, "day");
        let of_date = match currencies[cell(&date)].as_array().map(Vec::as_slice) {
            None => currency,
            Some([one]) => one,
            Some(_) => &currencies[cell(&date)],
        };
        let line =
            |order: String, [what, postgresql, lake]: [String; 3]| vec![cell(&date), order, what, postgresql, lake];
        let of_day = differing(day, &OF_DAYS).into_iter();
        rows.extend(of_day.map(|name| line(String::new(), sides(day, name, of_date))));
        for order in listed(answer, "orders") {
            if figure(order, "day") == date {
                // One figure tells an order apart; the days tell all of them.
                let name = differing(order, &OF_ORDERS)[0];
                rows.push(line(cell(&figure(order, "order_id")), sides(order, name, of_date)));
            }
        }
    }
    rows
}

/// Which of `figures` differ; `digest` if none of them does.
fn differing<'a>(difference: &Value, figures: &[&'a str]) -> Vec<&'a str> {
    let [postgresql, lake] = [&difference["postgresql"], &difference["lake"]];
    let names: Vec<_> = figures
        .iter()
        .copied()
        .filter(|name| postgresql[name] != lake[name])
        .collect();
    if names.is_empty() {
        return vec!["digest"];
    }
    names
}

/// The name of a figure and what PostgreSQL and the lake say of it. Amounts of several currencies are none.
fn sides(difference: &Value, name: &str, currency: &Value) -> [String; 3] {
    const AMOUNTS: [&str; 4] = ["gross_sales", "discounts", "returns", "net_sales"];
    let text = |side: &str| match &difference[side] {
        Value::Null => "missing".to_owned(),
        Value::Object(_) if AMOUNTS.contains(&name) && currency.is_array() => format!("in {}", cell(currency)),
        has if AMOUNTS.contains(&name) => money(&has[name], currency),
        has => cell(&has[name]),
    };
    [name.to_owned(), text("postgresql"), text("lake")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_a_line_and_what_is_equal_is_none() {
        let order = json!({ "day": "2026-03-01", "order_id": "7", "rows": 1, "net_sales": 1250, "digest": "d" });
        let answer = json!({
            "days": [{
                "missing_in": null,
                "postgresql": { "day": "2026-03-01", "orders": 2, "net_sales": 2000 },
                "lake": { "day": "2026-03-01", "orders": 1, "net_sales": 750 },
            }],
            "orders": [{ "missing_in": "lake", "postgresql": order, "lake": null }],
        });
        let expected = [
            ["2026-03-01", "", "orders", "2", "1"],
            ["2026-03-01", "", "net_sales", "20.00", "7.50"],
            ["2026-03-01", "7", "net_sales", "12.50", "missing"],
        ];
        assert_eq!(rows(&answer, &json!("EUR"), &json!({})), expected);
    }

    #[test]
    fn only_what_stood_still_in_postgresql_differs() {
        let order = |day: &str, id: &str, digest: &str| json!({ "day": day, "order_id": id, "digest": digest });
        let differs = |told: Value, held: Value| json!({ "postgresql": told, "lake": held });
        let (first, second) = ("2026-03-01", "2026-03-02");
        let before = json!([
            order(first, "lost", "a"),
            order(first, "changed", "a"),
            order(second, "changed", "a")
        ]);
        let after = json!([
            order(first, "lost", "a"),
            order(first, "changed", "b"),
            order(second, "new", "a")
        ]);
        let differing = [first, second, "2026-03-03"].map(|day| differs(json!({ "day": day }), Value::Null));
        let mut answer = json!({
            "equal": false,
            "days": differing,
            "orders": [
                differs(order(first, "lost", "a"), Value::Null),
                differs(Value::Null, order(first, "stranger", "a")),
                differs(order(first, "changed", "a"), order(first, "changed", "b")),
                differs(order(second, "changed", "a"), Value::Null),
                differs(Value::Null, order(second, "new", "a")),
                // A day that was equal when both were asked first.
                differs(Value::Null, order("2026-03-03", "new", "a")),
            ],
        });
        let days = [first.to_owned(), second.to_owned()];
        assert_eq!(keep_settled(&mut answer, &days, &before, &after), 3);
        let left = |name: &str, figure_name: &str| -> Vec<Value> {
            listed(&answer, name)
                .iter()
                .map(|one| figure(one, figure_name))
                .collect()
        };
        assert_eq!(
            (left("days", "day"), &answer["equal"]),
            (vec![json!(first)], &json!(false))
        );
        assert_eq!(left("orders", "order_id"), ["lost", "stranger"]);
        assert_eq!(
            keep_settled(&mut answer, &days, &json!([order(first, "stranger", "a")]), &after),
            2
        );
        assert_eq!((&answer["equal"], listed(&answer, "days").len()), (&json!(true), 0));
    }

    #[test]
    fn an_amount_is_of_the_days_currency_and_of_several_there_is_none() {
        let figures = |net: i64| json!({ "day": "2026-03-01", "orders": 1, "net_sales": net });
        let answer = json!({ "days": [{ "postgresql": figures(2000), "lake": figures(750) }], "orders": [] });
        let told = |currencies: Value| rows(&answer, &json!("EUR"), &json!({ "2026-03-01": currencies }));
        assert_eq!(told(json!(["JPY"])), [["2026-03-01", "", "net_sales", "2000", "750"]]);
        assert_eq!(
            told(json!(["EUR", "USD"])),
            [["2026-03-01", "", "net_sales", "in EUR, USD", "in EUR, USD"]]
        );
    }

    #[test]
    fn rows_that_add_up_to_the_same_are_told_by_their_digests() {
        let figures = |digest: &str| json!({ "day": "2026-03-01", "order_id": "7", "rows": 1, "net_sales": 1250, "digest": digest });
        let difference = json!({ "missing_in": null, "postgresql": figures("a"), "lake": figures("b") });
        let answer = json!({ "days": [difference], "orders": [difference] });
        let expected = [
            ["2026-03-01", "", "digest", "a", "b"],
            ["2026-03-01", "7", "digest", "a", "b"],
        ];
        assert_eq!(rows(&answer, &json!("EUR"), &json!({})), expected);
    }

    #[test]
    fn the_database_option_has_its_own_name_here() {
        let said = || "check sslmode in --url".to_owned();
        for error in [Error::Invalid(said()), Error::CommandLine(said())] {
            assert_eq!(option_named(error).to_string(), "check sslmode in --database-url");
        }
    }
}
