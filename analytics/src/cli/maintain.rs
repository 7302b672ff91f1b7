//! `weir maintain`.

use std::num::NonZeroUsize;

use serde_json::json;

use super::client::{cell, Client};
use crate::lake::maintain::Upkeep;
use crate::say::note;
use crate::Result;

/// Arguments of `weir maintain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    kept: Kept,
}

/// Which snapshots stay.
#[derive(Debug, clap::Args)]
pub struct Kept {
    /// Hours for which old snapshots stay readable, also those of measurement.performance; a day without it, and of these as
    /// long as the server keeps them (`weir serve --as-of-days`). The newest ten stay all the same: see --keep-last.
    #[arg(long)]
    pub keep_hours: Option<u64>,
    /// So many of a table's newest snapshots stay however old they are, 10 without it. To have what was deleted gone from the
    /// files: --keep-hours 0 --keep-last 1.
    #[arg(long)]
    pub keep_last: Option<NonZeroUsize>,
}

impl Kept {
    /// Says what `--keep-hours` alone does not do.
    pub fn tell(&self) {
        if self.keep_hours.is_some() && self.keep_last.is_none() {
            note!(
                "the newest {} snapshots of each table stay, however old; --keep-last 1 leaves the current one alone",
                Upkeep::default().keep_last
            );
        }
    }
}

/// Has the server merge small files and expire old snapshots, and prints what it did per table.
///
/// # Errors
/// As the server's answer.
pub async fn run(args: Args) -> Result<()> {
    let answer = args
        .client
        .post(
            "/v1/maintain",
            &json!({ "keep_hours": args.kept.keep_hours, "keep_last": args.kept.keep_last }),
        )
        .await?;
    let columns = ["files_merged", "files_written", "snapshots_expired", "files_deleted"];
    let rows = answer["tables"].as_object().into_iter().flatten().map(|(table, done)| {
        let mut row = vec![table.clone()];
        row.extend(columns.iter().map(|column| cell(&done[column])));
        row
    });
    let header = ["table", "merged", "written", "snapshots expired", "files deleted"];
    args.client.show(&answer, &header, rows.collect());
    args.kept.tell();
    Ok(())
}
