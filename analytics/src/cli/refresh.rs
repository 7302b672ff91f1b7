//! `weir refresh`.

use serde_json::json;

use super::client::{cell, Client};
use crate::Result;

/// Arguments of `weir refresh`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    /// Compute as of this moment (RFC 3339) instead of now; only the shops' dates at it matter.
    #[arg(long)]
    now: Option<String>,
}

/// Recomputes sales and performance, and prints what was written.
///
/// # Errors
/// If the server is not reachable or refuses.
pub async fn run(args: Args) -> Result<()> {
    let body = args.now.map_or_else(|| json!({}), |now| json!({ "now": now }));
    let answer = args.client.post("/v1/refresh", &body).await?;
    let names = [
        "refresh_id",
        "computed_on",
        "event_count",
        "sales_rows",
        "performance_rows",
        "committed_tables",
    ];
    let rows = names
        .iter()
        .map(|name| vec![(*name).to_owned(), cell(&answer[*name])])
        .collect();
    args.client.show(&answer, &["refresh", ""], rows);
    Ok(())
}
