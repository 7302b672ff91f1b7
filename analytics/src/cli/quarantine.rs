//! `weir quarantine`: what the commerce or the publication Worker could not take, and handing it over again.

use clap::Subcommand;
use serde_json::{json, Value};

use super::client::{cell, Client};
use super::worker::Worker;
use crate::say::say;
use crate::{Error, Result};

/// Arguments of `weir quarantine`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// URL of the commerce or the publication Worker.
    #[arg(
        long,
        env = "WEIR_WORKER_URL",
        global = true,
        default_value = "http://127.0.0.1:8787"
    )]
    url: String,
    /// The Worker's secret WEIR_INTERNAL_TOKEN.
    #[arg(
        long,
        env = "WEIR_INTERNAL_TOKEN",
        hide_env_values = true,
        global = true,
        default_value = ""
    )]
    token: String,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists every delivery or interaction in the quarantine with the reason.
    List,
    /// Prints one record: what was sent, with reason and detail.
    Show {
        /// Key, as `list` prints it.
        key: String,
    },
    /// Hands records over again; each leaves the quarantine once the queue has it.
    Replay {
        /// Keys, as `list` prints them.
        #[arg(required = true)]
        keys: Vec<String>,
    },
}

/// Lists, shows or replays.
///
/// # Errors
/// [`Error::CommandLine`] for a key that is none; [`Error::NotFound`] when no Worker answers; [`Error::Remote`] with what it
/// said otherwise. A replay stops at the first error, and says which key that was.
pub async fn run(args: Args) -> Result<()> {
    let worker = Worker {
        client: Client {
            url: args.url,
            token: args.token,
            json: args.json,
        },
        name: "commerce or publication",
        url_variable: "WEIR_WORKER_URL",
    };
    match args.action {
        Action::List => list(&worker).await,
        Action::Show { key } => {
            let record = worker.get(&path(&key)?, &[]).await?;
            say!("{record:#}");
            Ok(())
        }
        Action::Replay { keys } => replay(&worker, &keys).await,
    }
}

async fn list(worker: &Worker) -> Result<()> {
    let records = worker.quarantined(&[]).await?;
    let columns = ["key", "reason", "topic", "quarantined_at", "bytes"];
    let row = |record: &Value| columns.iter().map(|column| cell(&record[column])).collect();
    let rows = records.iter().map(row).collect();
    worker.client.show(&Value::from(records), &columns, rows);
    Ok(())
}

async fn replay(worker: &Worker, keys: &[String]) -> Result<()> {
    let paths = keys.iter().map(|key| path(key)).collect::<Result<Vec<_>>>()?;
    let mut answers = Vec::with_capacity(keys.len());
    for (key, path) in keys.iter().zip(paths) {
        let answer = worker.post(&format!("{path}/replay"), &json!({})).await;
        let answer = answer.map_err(|error| match error {
            Error::Remote { status, message } => Error::Remote {
                status,
                message: format!("{key}: {message}"),
            },
            other => other,
        })?;
        answers.push(answer);
    }
    let rows = answers
        .iter()
        .map(|answer| vec![cell(&answer["key"]), cell(&answer["status"])]);
    let rows = rows.collect();
    worker.client.show(&Value::from(answers), &["key", "status"], rows);
    Ok(())
}

/// The route of `key`, which is a path itself.
fn path(key: &str) -> Result<String> {
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || "._-/".contains(letter);
    if key.starts_with("quarantine/") && key.ends_with(".json") && key.chars().all(harmless) {
        return Ok(format!("/internal/{key}"));
    }
    Err(Error::CommandLine(format!(
        "{key:?} is not a key of the quarantine; `weir quarantine list` prints them"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_becomes_a_path() {
        let key = "quarantine/2026-11-24/demo.myshopify.com/w-1.replay-1.json";
        assert_eq!(path(key).unwrap(), format!("/internal/{key}"));
        for other in [
            "",
            "w-1",
            "bodies/a.json",
            "quarantine/a.json?x=.json",
            "quarantine/a b.json",
        ] {
            assert!(path(other).is_err(), "{other}");
        }
    }
}
