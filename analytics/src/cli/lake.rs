//! `weir lake`: what lies in the lake, and its upkeep.

use clap::Subcommand;
use serde_json::{json, Value};

use super::client::{cell, Client};
use super::maintain::Kept;
use crate::say::{note, say};
use crate::{Error, Result};

/// Arguments of `weir lake`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the tables: rows, files, snapshots.
    Tables {
        #[command(flatten)]
        client: Client,
    },
    /// Lists the snapshots of a table, newest first.
    Snapshots {
        /// Table as namespace.table.
        table: String,
        #[command(flatten)]
        client: Client,
    },
    /// Merges small files and many manifests.
    Compact {
        /// Table as namespace.table; every table of weir if absent.
        table: Option<String>,
        /// So many small files in a partition make merging worth the while.
        #[arg(long)]
        min_files: Option<usize>,
        #[command(flatten)]
        client: Client,
    },
    /// Expires old snapshots and deletes the files that only they needed.
    Expire {
        /// Table as namespace.table; every table of weir if absent.
        table: Option<String>,
        #[command(flatten)]
        kept: Kept,
        #[command(flatten)]
        client: Client,
    },
    /// Lists files that belong to no snapshot: a crash between writing and committing leaves them.
    Orphans {
        /// Table as namespace.table; every table of weir if absent.
        table: Option<String>,
        /// Hours since the file was written, at least 1.
        #[arg(long, default_value_t = 72, value_name = "HOURS")]
        older_than: u64,
        /// Delete them; without it they are only listed.
        #[arg(long)]
        delete: bool,
        #[command(flatten)]
        client: Client,
    },
    /// Lists, shows, replays and drops the rows that `/v1/streams/...` refused.
    Quarantine {
        #[command(subcommand)]
        action: Quarantine,
    },
    /// Runs one select over the tables, for example `select count(*) from commerce.telemetry`.
    Sql {
        /// The select.
        sql: String,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Debug, Subcommand)]
enum Quarantine {
    /// Lists the records with the reason, oldest first, without the rows.
    List {
        /// Only of this stream.
        #[arg(long)]
        stream: Option<String>,
        /// So many at most.
        #[arg(long)]
        limit: Option<usize>,
        #[command(flatten)]
        client: Client,
    },
    /// Prints one record: the row that was sent, with reason and detail.
    Show {
        /// Id, as `list` prints it.
        id: String,
        #[command(flatten)]
        client: Client,
    },
    /// Judges rows anew; each that is right now goes into its table and leaves the quarantine.
    Replay(Chosen),
    /// Deletes records.
    Drop(Chosen),
}

/// Which records.
#[derive(Debug, clap::Args)]
struct Chosen {
    /// Ids, as `list` prints them; or all of --stream.
    #[arg(conflicts_with = "stream")]
    ids: Vec<String>,
    /// All of this stream.
    #[arg(long)]
    stream: Option<String>,
    #[command(flatten)]
    client: Client,
}

impl Chosen {
    fn body(&self) -> Result<Value> {
        match &self.stream {
            Some(stream) => Ok(json!({ "stream": stream })),
            None if self.ids.is_empty() => Err(Error::CommandLine(
                "which records? give ids, as `weir lake quarantine list` prints them, or --stream for all of one"
                    .into(),
            )),
            None => Ok(json!({ "ids": self.ids })),
        }
    }
}

/// Runs one of them against the server.
///
/// # Errors
/// As the server's answer.
pub async fn run(args: Args) -> Result<()> {
    match args.action {
        Action::Tables { client } => {
            let answer = client.get("/v1/lake/tables", &[]).await?;
            let columns = ["table", "records", "data_files", "bytes", "snapshots", "committed_at"];
            list(&client, &answer, "tables", &columns)
        }
        Action::Snapshots { table, client } => {
            let answer = client.get("/v1/lake/snapshots", &[("table", Some(&table))]).await?;
            let columns = [
                "snapshot",
                "committed_at",
                "operation",
                "added_records",
                "deleted_records",
                "total_records",
                "commit_id",
            ];
            list(&client, &answer, "snapshots", &columns)
        }
        Action::Compact {
            table,
            min_files,
            client,
        } => {
            let body = json!({ "table": table, "min_files": min_files });
            let columns = ["files_merged", "files_written", "manifests_merged"];
            per_table(&client, "/v1/lake/compact", body, &columns).await
        }
        Action::Expire { table, kept, client } => {
            let body = json!({ "table": table, "keep_hours": kept.keep_hours, "keep_last": kept.keep_last });
            let columns = ["snapshots_expired", "files_deleted"];
            per_table(&client, "/v1/lake/expire", body, &columns).await?;
            kept.tell();
            Ok(())
        }
        Action::Orphans {
            table,
            older_than,
            delete,
            client,
        } => {
            orphans(
                &client,
                json!({ "table": table, "older_than_hours": older_than, "delete": delete }),
            )
            .await
        }
        Action::Quarantine { action } => quarantine(action).await,
        Action::Sql { sql, client } => query(&client, &sql).await,
    }
}

async fn quarantine(action: Quarantine) -> Result<()> {
    match action {
        Quarantine::List { stream, limit, client } => {
            let limit = limit.map(|limit| limit.to_string());
            let parameters = [("stream", stream.as_deref()), ("limit", limit.as_deref())];
            let answer = client.get("/v1/quarantine", &parameters).await?;
            let columns = ["id", "received_at", "stream", "event_id", "reason", "field", "detail"];
            list(&client, &answer, "records", &columns)?;
            if answer["is_cut_off"] == true {
                note!("there are more records: --limit, --stream");
            }
            Ok(())
        }
        Quarantine::Show { id, client } => {
            let id: uuid::Uuid = id
                .parse()
                .map_err(|_| Error::CommandLine(format!("{id:?} is no id of `weir lake quarantine list`")))?;
            let record = client.get(&format!("/v1/quarantine/{id}"), &[]).await?;
            say!("{record:#}");
            Ok(())
        }
        Quarantine::Replay(chosen) => {
            let answer = chosen.client.post("/v1/quarantine/replay", &chosen.body()?).await?;
            let counts = ["accepted", "rejected"];
            let row = counts.iter().map(|count| cell(&answer[count])).collect();
            chosen.client.show(&answer, &counts, vec![row]);
            for refusal in answer["refusals"].as_array().into_iter().flatten() {
                let parts = ["reason", "field", "detail"].map(|part| cell(&refusal[part]));
                note!("{}: {}", cell(&refusal["id"]), parts.join(" "));
            }
            if let Some(reason) = answer["stopped_by"].as_str() {
                return Err(Error::Invalid(format!("the others stay in the quarantine: {reason}")));
            }
            if answer["rejected"] == 0 {
                return Ok(());
            }
            Err(Error::Invalid(
                "rows that were refused again stay in the quarantine".into(),
            ))
        }
        Quarantine::Drop(chosen) => {
            let answer = chosen.client.post("/v1/quarantine/drop", &chosen.body()?).await?;
            chosen
                .client
                .show(&answer, &["dropped"], vec![vec![cell(&answer["dropped"])]]);
            Ok(())
        }
    }
}

fn list(client: &Client, answer: &Value, key: &str, columns: &[&str]) -> Result<()> {
    let Some(items) = answer[key].as_array() else {
        return Err(Error::Internal(format!("the server's answer has no {key}")));
    };
    let row = |item: &Value| columns.iter().map(|column| cell(&item[column])).collect();
    client.show(answer, columns, items.iter().map(row).collect());
    Ok(())
}

async fn per_table(client: &Client, path: &str, body: Value, columns: &[&str]) -> Result<()> {
    let answer = client.post(path, &body).await?;
    let rows = answer["tables"].as_object().into_iter().flatten().map(|(table, done)| {
        let mut row = vec![table.clone()];
        row.extend(columns.iter().map(|column| cell(&done[column])));
        row
    });
    let header: Vec<_> = ["table"].iter().chain(columns).copied().collect();
    client.show(&answer, &header, rows.collect());
    Ok(())
}

async fn orphans(client: &Client, body: Value) -> Result<()> {
    let answer = client.post("/v1/lake/orphans", &body).await?;
    let mut rows = Vec::new();
    for (table, files) in answer["tables"].as_object().into_iter().flatten() {
        for file in files.as_array().into_iter().flatten() {
            rows.push(vec![table.clone(), cell(&file["bytes"]), cell(&file["file"])]);
        }
    }
    let found = rows.len();
    client.show(&answer, &["table", "bytes", "file"], rows);
    if found > 0 && answer["deleted"] == false {
        note!("{found} files, none deleted; --delete removes them");
    }
    Ok(())
}

async fn query(client: &Client, sql: &str) -> Result<()> {
    let answer = client.post("/v1/lake/sql", &json!({ "sql": sql })).await?;
    let columns: Vec<_> = answer["columns"].as_array().into_iter().flatten().map(cell).collect();
    let rows = answer["rows"].as_array().into_iter().flatten();
    let rows = rows.map(|row| row.as_array().into_iter().flatten().map(cell).collect());
    client.show(
        &answer,
        &columns.iter().map(String::as_str).collect::<Vec<_>>(),
        rows.collect(),
    );
    if answer["is_cut_off"] == true {
        note!("there are more rows; add a limit or aggregate");
    }
    Ok(())
}
