//! `weir what-if`.

use serde_json::Value;

use super::client::{cell, Client, ComputedDay};
use crate::say::say;
use crate::Result;

/// Arguments of `weir what-if`. Thresholds are in the measure: units, or minor units of the currency; `none` switches a
/// rule off. What is not given stays as it is in the specification.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    of: ComputedDay,
    /// The specification that would have other values (`objective_spec_id`); the one for all product types by default, `unset`
    /// where a shop has none.
    #[arg(long, value_name = "ID")]
    objective: Option<String>,
    /// Least sales of the first 7 days of a `top_riser`.
    #[arg(long, allow_hyphen_values = true)]
    threshold_7d: Option<String>,
    /// Least sales of the first 14 days of a `top_riser`.
    #[arg(long, allow_hyphen_values = true)]
    threshold_14d: Option<String>,
    /// Least sales of the last 30 days of a `winner`.
    #[arg(long, allow_hyphen_values = true)]
    threshold_30d: Option<String>,
    /// Number of `banana` places.
    #[arg(long, allow_hyphen_values = true)]
    banana_count: Option<String>,
    /// Days without sale or engagement of an `archive_candidate`.
    #[arg(long, allow_hyphen_values = true)]
    stale_after_days: Option<String>,
    /// What thresholds are compared with: `net_units`, `net_sales` or `gross_sales`.
    #[arg(long)]
    measure: Option<String>,
}

/// Prints which products would get another label under other thresholds. Writes nothing.
///
/// # Errors
/// If the server is not reachable or refuses.
pub async fn run(args: Args) -> Result<()> {
    let parameters = [
        ("shop", args.of.shop.as_deref()),
        ("day", args.of.day.as_deref()),
        ("objective", args.objective.as_deref()),
        ("threshold_7d", args.threshold_7d.as_deref()),
        ("threshold_14d", args.threshold_14d.as_deref()),
        ("threshold_30d", args.threshold_30d.as_deref()),
        ("banana_count", args.banana_count.as_deref()),
        ("stale_after_days", args.stale_after_days.as_deref()),
        ("measure", args.measure.as_deref()),
    ];
    let answer = args.client.get("/v1/what-if", &parameters).await?;
    if !args.client.json {
        let changes = answer["changes"].as_array().map_or(0, Vec::len);
        say!("{changes} of {} products change class", answer["product_count"]);
        for spec in answer["altered"].as_array().into_iter().flatten() {
            say!(
                "  under revision {} of {} of {}, in {}",
                spec["revision"],
                cell(&spec["objective_spec_id"]),
                cell(&spec["shop_domain"]),
                cell(&spec["measured_in"])
            );
        }
        for (label, tally) in answer["labels"].as_object().into_iter().flatten() {
            say!(
                "  {label}: {} -> {} (+{} -{})",
                tally["before"],
                tally["after"],
                tally["gained"],
                tally["lost"]
            );
        }
        say!();
    }
    let columns = ["shop_domain", "product_id", "product_title", "before", "after"];
    let rows = answer["changes"].as_array().into_iter().flatten();
    let rows = rows.map(|change: &Value| columns.iter().map(|name| cell(&change[*name])).collect());
    args.client.show(
        &answer,
        &["shop", "product", "title", "before", "after"],
        rows.collect(),
    );
    Ok(())
}
