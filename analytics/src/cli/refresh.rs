//! `weir refresh`.

use serde_json::{json, Value};

use super::client::{cell, Client};
use crate::say::note;
use crate::Result;

/// Arguments of `weir refresh`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    /// Compute as of this moment (RFC 3339) instead of now; only the shops' dates at it matter.
    #[arg(long)]
    now: Option<String>,
    /// Compute everything from telemetry and write all of it, instead of what changed since the last refresh.
    #[arg(long, conflicts_with = "since")]
    full: bool,
    /// Compute everything; write the sales from this day on (yyyy-mm-dd), and of earlier days those that differ.
    #[arg(long, value_name = "DAY")]
    since: Option<String>,
}

/// Recomputes sales and performance, tells of each step on standard error as it happens, and prints what was written.
///
/// # Errors
/// If the server is not reachable or refuses.
pub async fn run(args: Args) -> Result<()> {
    let mut body = json!({ "full": args.full });
    for (field, given) in [("now", args.now), ("since", args.since)] {
        if let Some(given) = given {
            body[field] = given.into();
        }
    }
    let answer = args.client.post_told("/v1/refresh", &body, tell).await?;
    let names = [
        "refresh_id",
        "mode",
        "reason",
        "computed_on",
        "event_count",
        "order_count",
        "changed_days",
        "sales_rows",
        "performance_rows",
        "committed_tables",
        "warnings",
    ];
    let rows = names
        .iter()
        .map(|name| vec![(*name).to_owned(), shown(name, &answer[*name])])
        .collect();
    args.client.show(&answer, &["refresh", ""], rows);
    Ok(())
}

fn tell(progress: &Value) {
    match progress["rows"].as_u64() {
        None => note!("{} ...", cell(&progress["step"])),
        Some(rows) => note!("{}: {rows} rows", cell(&progress["step"])),
    }
}

/// Of many days their number: the table is for people.
fn shown(name: &str, value: &Value) -> String {
    match (name, value.as_array()) {
        ("changed_days", Some(days)) if days.len() > 7 => format!("{} days", days.len()),
        ("changed_days", None) => "all".to_owned(),
        _ => cell(value),
    }
}
