//! `weir maintain`.

use serde_json::json;

use super::client::{cell, Client};
use crate::Result;

/// Arguments of `weir maintain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    /// Hours for which old snapshots stay readable, also those of measurement.performance; a day without it, and of these as
    /// long as the server keeps them (`weir serve --as-of-days`).
    #[arg(long)]
    keep_hours: Option<u64>,
}

/// Has the server merge small files and expire old snapshots, and prints what it did per table.
///
/// # Errors
/// As the server's answer.
pub async fn run(args: Args) -> Result<()> {
    let answer = args
        .client
        .post("/v1/maintain", &json!({ "keep_hours": args.keep_hours }))
        .await?;
    let columns = ["files_merged", "files_written", "snapshots_expired", "files_deleted"];
    let rows = answer["tables"].as_object().into_iter().flatten().map(|(table, done)| {
        let mut row = vec![table.clone()];
        row.extend(columns.iter().map(|column| cell(&done[column])));
        row
    });
    let header = ["table", "merged", "written", "snapshots expired", "files deleted"];
    args.client.show(&answer, &header, rows.collect());
    Ok(())
}
