//! `weir performance`.

use serde_json::Value;

use super::client::{cell, measured, Client, ComputedDay};
use crate::say::note;
use crate::Result;

/// Arguments of `weir performance`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    of: ComputedDay,
    /// Only so many products.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// After the first so many.
    #[arg(long, value_name = "N")]
    offset: Option<usize>,
    /// The answer as it was given at this moment (RFC 3339): pages with the same one are of one state.
    #[arg(long)]
    as_of: Option<String>,
}

/// Prints products with label and reason, best rank first.
///
/// # Errors
/// If the server is not reachable or refuses.
pub async fn run(args: Args) -> Result<()> {
    let number = |given: Option<usize>| given.map(|number| number.to_string());
    let (limit, offset) = (number(args.limit), number(args.offset));
    let parameters = [
        ("shop", args.of.shop.as_deref()),
        ("day", args.of.day.as_deref()),
        ("limit", limit.as_deref()),
        ("offset", offset.as_deref()),
        ("as_of", args.as_of.as_deref()),
    ];
    let answer = args.client.get("/v1/performance", &parameters).await?;
    let rows = answer["performance"]
        .as_array()
        .into_iter()
        .flatten()
        .map(line)
        .collect::<Vec<_>>();
    if rows.is_empty() && args.offset.is_none() && args.limit != Some(0) {
        match &args.of.shop {
            Some(shop) => note!("no product of {shop} is known yet"),
            None => note!("no refresh has seen a product yet; weir refresh runs one"),
        }
    }
    let header = ["shop", "product", "title", "label", "rank", "last 30 days", "reason"];
    args.client.show(&answer, &header, rows);
    Ok(())
}

fn line(row: &Value) -> Vec<String> {
    vec![
        cell(&row["shop_domain"]),
        cell(&row["product_id"]),
        cell(&row["product_title"]),
        cell(&row["nominal_classification"]),
        cell(&row["rank"]),
        measured(row, "sales_last_30_days"),
        cell(&row["reason"]),
    ]
}
