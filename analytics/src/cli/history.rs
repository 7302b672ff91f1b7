//! `weir history`.

use serde_json::Value;

use super::client::{cell, measured, Client, OneProduct};
use crate::Result;

/// Arguments of `weir history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    of: OneProduct,
    /// From this day of computation on, yyyy-mm-dd.
    #[arg(long)]
    from: Option<String>,
    /// Up to and including this day.
    #[arg(long)]
    to: Option<String>,
}

/// Prints what was said of a product on each day of computation, and where its label turned.
///
/// # Errors
/// If the server is not reachable, refuses, or does not know the product.
pub async fn run(args: Args) -> Result<()> {
    let parameters = [
        ("product", Some(args.of.product.as_str())),
        ("shop", args.of.shop.as_deref()),
        ("from", args.from.as_deref()),
        ("to", args.to.as_deref()),
    ];
    let answer = args.client.get("/v1/history", &parameters).await?;
    let rows = answer["history"].as_array().into_iter().flatten().map(line).collect();
    let header = [
        "day",
        "label",
        "before",
        "rank",
        "first 7",
        "first 14",
        "last 7",
        "last 30",
        "objective",
        "revision",
    ];
    args.client.show(&answer, &header, rows);
    Ok(())
}

fn line(row: &Value) -> Vec<String> {
    let turned =
        !row["previous_classification"].is_null() && row["previous_classification"] != row["nominal_classification"];
    let mut cells = vec![
        cell(&row["computed_on"]),
        cell(&row["nominal_classification"]),
        if turned {
            cell(&row["previous_classification"])
        } else {
            String::new()
        },
        cell(&row["rank"]),
    ];
    let windows = [
        "sales_first_7_days",
        "sales_first_14_days",
        "sales_last_7_days",
        "sales_last_30_days",
    ];
    cells.extend(windows.iter().map(|name| measured(row, name)));
    cells.push(cell(&row["objective_spec_id"]));
    cells.push(cell(&row["objective_spec_revision"]));
    cells
}
