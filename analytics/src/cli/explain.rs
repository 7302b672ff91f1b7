//! `weir explain`.

use serde_json::Value;

use super::client::{cell, Client, OneProduct};
use crate::say::say;
use crate::Result;

/// Arguments of `weir explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    of: OneProduct,
    /// As computed on this day, yyyy-mm-dd; the newest by default.
    #[arg(long)]
    day: Option<String>,
    /// The answer as it was given at this moment (RFC 3339), whatever has been learnt since.
    #[arg(long)]
    as_of: Option<String>,
}

/// Prints why a product has its label: each rule, its values and how far they are from turning.
///
/// # Errors
/// If the server is not reachable, refuses, or does not know the product.
pub async fn run(args: Args) -> Result<()> {
    let parameters = [
        ("product", Some(args.of.product.as_str())),
        ("shop", args.of.shop.as_deref()),
        ("day", args.day.as_deref()),
        ("as_of", args.as_of.as_deref()),
    ];
    let answer = args.client.get("/v1/explain", &parameters).await?;
    if !args.client.json {
        say!(
            "{} {} is {} on {} by revision {} of objective {}",
            cell(&answer["product_id"]),
            cell(&answer["product_title"]),
            cell(&answer["nominal_classification"]),
            cell(&answer["computed_on"]),
            cell(&answer["objective_spec_revision"]),
            cell(&answer["objective_spec_id"]),
        );
        say!("{}\n", cell(&answer["reason"]));
    }
    let header = ["rule", "held", "fact", "value", "needed", "to flip", "reason"];
    args.client.show(&answer, &header, rows(&answer));
    Ok(())
}

/// One line per condition; the rule and its reason stand on the first.
fn rows(answer: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for rule in answer["rules"].as_array().into_iter().flatten() {
        for (index, condition) in rule["conditions"].as_array().into_iter().flatten().enumerate() {
            let once = |text: String| if index == 0 { text } else { String::new() };
            let held = if rule["held"] == true { "yes" } else { "no" };
            rows.push(vec![
                once(cell(&rule["rule"])),
                once(held.to_owned()),
                cell(&condition["fact"]),
                cell(&condition["value"]),
                cell(&condition["threshold"]),
                cell(&condition["margin_to_flip"]),
                once(cell(&rule["reason"])),
            ]);
        }
    }
    rows
}
