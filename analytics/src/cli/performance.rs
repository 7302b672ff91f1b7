//! `weir performance`.

use serde_json::Value;

use super::client::{cell, measured, Client};
use crate::Result;

/// Arguments of `weir performance`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    /// Only this shop (myshopify.com domain).
    #[arg(long)]
    shop: Option<String>,
    /// As computed on this day, yyyy-mm-dd; the newest by default.
    #[arg(long)]
    day: Option<String>,
}

/// Prints every product with its label and the reason, best rank first.
///
/// # Errors
/// If the server is not reachable or refuses.
pub async fn run(args: Args) -> Result<()> {
    let parameters = [("shop", args.shop.as_deref()), ("day", args.day.as_deref())];
    let answer = args.client.get("/v1/performance", &parameters).await?;
    let rows = answer["performance"]
        .as_array()
        .into_iter()
        .flatten()
        .map(line)
        .collect();
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
