//! `weir sync`, `weir backfill`, `weir replay`: the sync Worker's workflows, started and looked at.

use clap::Subcommand;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::Timestamp;
use serde_json::{json, Value};

use super::client::{cell, Client};
use super::worker::Worker;
use crate::say::{note, say};
use crate::{Error, Result};

/// Where the sync Worker is, and how its answers are shown.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// URL of the sync Worker.
    #[arg(
        long = "url",
        env = "WEIR_SYNC_URL",
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
}

/// Arguments of `weir sync`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    worker: Place,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Starts today's synchronisation of a shop; one that runs or ran today is found and its state printed.
    Start {
        /// Shop domain.
        #[arg(long)]
        shop: String,
        /// Start another one, if today's failed.
        #[arg(long)]
        again: bool,
    },
    /// Looks for orders and products that are gone at Shopify and no webhook told of; today's run is found again.
    Deletions {
        /// Shop domain.
        #[arg(long)]
        shop: String,
        /// How many deletions of orders, and how many of products, are believed.
        #[arg(long, default_value_t = 1000)]
        most: u64,
        /// Look once more, if today's run failed.
        #[arg(long)]
        again: bool,
    },
    /// Ends a run, and what it has asked Shopify for; its command with --again goes on.
    Stop {
        /// Shop domain, or `*` for a run that is every shop's.
        #[arg(long)]
        shop: String,
        /// The run's `instance_id`, as `weir sync status` prints it.
        run: String,
    },
    /// Prints the newest runs of a shop, why they failed, and the newest steps.
    Status {
        /// Shop domain.
        #[arg(long)]
        shop: String,
    },
    /// Prints the keys of lines and events that were not taken; `weir replay` sends one again.
    Quarantine {
        /// Shop domain.
        #[arg(long)]
        shop: String,
    },
    /// Prints how far a shop has been read, and the last moves.
    Watermark {
        /// Shop domain.
        #[arg(long)]
        shop: String,
    },
}

/// Arguments of `weir backfill`.
#[derive(Debug, clap::Args)]
pub struct Backfill {
    #[command(flatten)]
    worker: Place,
    /// Shop domain.
    #[arg(long)]
    shop: String,
    /// First day, yyyy-mm-dd; the backfill goes on from there month by month.
    #[arg(long)]
    from: String,
    /// Where it ends: a day, yyyy-mm-dd, which is not read any more, or `now`. Without it, where the daily synchronisation
    /// begins.
    #[arg(long)]
    until: Option<String>,
    /// Go on where the last backfill with these days failed; read everything anew where it is complete.
    #[arg(long)]
    again: bool,
}

/// Arguments of `weir replay`.
#[derive(Debug, clap::Args)]
pub struct Replay {
    #[command(flatten)]
    worker: Place,
    /// Shop domain.
    #[arg(long)]
    shop: String,
    /// `archive/SHOP/DATE/` for what was downloaded on a day, or the key of one object under `quarantine/`.
    prefix: String,
}

/// Starts a synchronisation or shows how it is.
///
/// # Errors
/// [`Error::NotFound`] when no Worker answers; [`Error::Remote`] with what it said otherwise.
pub async fn run(args: Args) -> Result<()> {
    let worker = reached(args.worker);
    match args.action {
        Action::Start { shop, again } => {
            let body = json!({"shop": shop, "again": again});
            start(&worker, "daily_shopify_bulk_sync", &body).await
        }
        Action::Deletions { shop, most, again } => {
            let body = json!({"shop": shop, "most": most, "again": again});
            start(&worker, "deletion_reconcile", &body).await
        }
        Action::Stop { shop, run } => stop(&worker, &shop, &run).await,
        Action::Status { shop } => status(&worker, &shop).await,
        Action::Quarantine { shop } => quarantine(&worker, &shop).await,
        Action::Watermark { shop } => watermark(&worker, &shop).await,
    }
}

/// Starts a backfill.
///
/// # Errors
/// As [`run`]; [`Error::CommandLine`] when a day is none, or there is nothing to read from it on.
pub async fn backfill(args: Backfill) -> Result<()> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    check_window(&args.from, args.until.as_deref(), today)?;
    let from = instant(&args.from)?;
    let mut body = json!({"shop": args.shop, "from": from, "again": args.again});
    match args.until.as_deref() {
        None => {}
        Some("now") => body["until"] = "now".into(),
        Some(day) => body["until"] = instant(day)?.into(),
    }
    start(&reached(args.worker), "full_backfill", &body).await
}

/// Starts a replay.
///
/// # Errors
/// As [`run`]; [`Error::CommandLine`] for what is not the shop's.
pub async fn replay(args: Replay) -> Result<()> {
    check_key(&args.shop, &args.prefix)?;
    let body = json!({"shop": args.shop, "prefix": args.prefix});
    start(&reached(args.worker), "replay", &body).await
}

fn reached(place: Place) -> Worker {
    Worker {
        client: Client {
            url: place.url,
            token: place.token,
            json: place.json,
        },
        name: "sync",
        url_variable: "WEIR_SYNC_URL",
    }
}

/// The first instant of a day of UTC.
fn instant(text: &str) -> Result<String> {
    Ok(format!("{}T00:00:00.000Z", day(text)?))
}

fn day(text: &str) -> Result<Date> {
    text.parse()
        .map_err(|_| Error::CommandLine(format!("{text:?} is not a day; write yyyy-mm-dd")))
}

/// The year in which those who made Shopify opened their own shop; nothing is older, and each month before would be a query.
const FIRST_YEAR: i16 = 2004;

/// A backfill of days on which nothing can be would be started, complete, and have read nothing. `today` is of
/// UTC, as all of these days.
fn check_window(from: &str, until: Option<&str>, today: Date) -> Result<()> {
    let wrong = |what: String| Err(Error::CommandLine(what));
    let first = day(from)?;
    if first.year() < FIRST_YEAR {
        return wrong(format!("--from {first}: there was no Shopify before {FIRST_YEAR}"));
    }
    if first > today {
        return wrong(format!("--from {first} is yet to come"));
    }
    match until {
        None | Some("now") => Ok(()),
        Some(text) if day(text)? <= first => wrong(format!("--until {text} is not after --from {first}")),
        Some(_) => Ok(()),
    }
}

/// The sync Worker refuses it too; a command line that is wrong ends before anything is asked.
fn check_key(shop: &str, key: &str) -> Result<()> {
    let of_shop = |room: &str| key.strip_prefix(room)?.strip_prefix(shop)?.strip_prefix('/');
    match (of_shop("archive/"), of_shop("quarantine/")) {
        (Some(_), _) => Ok(()),
        (_, Some(rest)) if rest.ends_with(".json") => Ok(()),
        _ => Err(Error::CommandLine(format!(
            "{key:?} is not of {shop}: write archive/{shop}/DATE/, or a key that `weir sync quarantine` prints"
        ))),
    }
}

async fn start(worker: &Worker, workflow: &str, body: &Value) -> Result<()> {
    let answer = worker.post(&format!("/internal/workflows/{workflow}"), body).await?;
    let columns = ["instance_id", "status"];
    let row = columns.iter().map(|column| cell(&answer[column])).collect();
    worker.client.show(&answer, &columns, vec![row]);
    found(&answer)
}

/// What is to be said of a run that was found instead of started.
///
/// # Errors
/// [`Error::Invalid`] when it failed.
fn found(answer: &Value) -> Result<()> {
    let id = cell(&answer["instance_id"]);
    match answer["status"].as_str() {
        Some(status @ ("errored" | "terminated")) => Err(Error::Invalid(format!(
            "{id} is {status}: {}; the same command with --again goes on",
            cell(&answer["error"])
        ))),
        Some("complete") => {
            note!("{id} has been done; nothing was started");
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn stop(worker: &Worker, shop: &str, run: &str) -> Result<()> {
    let body = json!({"shop": shop, "instance_id": run});
    let answer = worker.post("/internal/stop", &body).await?;
    let columns = ["instance_id", "status", "cancelled"];
    let row = columns.iter().map(|column| cell(&answer[column])).collect();
    worker.client.show(&answer, &columns, vec![row]);
    Ok(())
}

async fn state(worker: &Worker, shop: &str) -> Result<Value> {
    worker.get("/internal/status", &[("shop", Some(shop))]).await
}

fn rows(list: &Value, columns: &[&str]) -> Vec<Vec<String>> {
    let row = |one: &Value| columns.iter().map(|column| cell(&one[column])).collect();
    list.as_array().into_iter().flatten().map(row).collect()
}

async fn status(worker: &Worker, shop: &str) -> Result<()> {
    let state = state(worker, shop).await?;
    let runs = ["workflow", "instance_id", "status", "noted_at", "step", "error"];
    worker.client.show(&state, &runs, rows(&state["instances"], &runs));
    if !worker.client.json {
        say!();
        let steps = ["noted_at", "instance_id", "step", "attempt", "status", "facts"];
        worker.client.show(&state, &steps, rows(&state["progress"], &steps));
    }
    Ok(())
}

async fn quarantine(worker: &Worker, shop: &str) -> Result<()> {
    let records = Value::from(worker.quarantined(&[("shop", Some(shop))]).await?);
    let columns = ["key", "quarantined_at", "bytes"];
    worker.client.show(&records, &columns, rows(&records, &columns));
    Ok(())
}

async fn watermark(worker: &Worker, shop: &str) -> Result<()> {
    let state = state(worker, shop).await?;
    let watermarks = state["watermarks"].as_array().into_iter().flatten();
    let reached = watermarks.map(|one| vec![cell(&one["key"]), cell(&one["value_json"]["ts"])]);
    worker.client.show(&state, &["key", "reached"], reached.collect());
    if !worker.client.json {
        say!();
        let moves = ["moved_at", "key", "from_ts", "to_ts", "instance_id"];
        worker.client.show(&state, &moves, rows(&state["moves"], &moves));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_failed_is_no_success_of_the_command() {
        let answer = |status: &str| json!({"instance_id": "run-1", "status": status, "error": "missing_scope: s"});
        for fine in ["started", "running", "complete"] {
            assert!(found(&answer(fine)).is_ok(), "{fine}");
        }
        for failed in ["errored", "terminated"] {
            let error = found(&answer(failed)).unwrap_err().to_string();
            for part in ["run-1", failed, "missing_scope: s", "--again"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn a_day_becomes_its_first_instant_and_nothing_else_does() {
        assert_eq!(instant("2024-02-29").unwrap(), "2024-02-29T00:00:00.000Z");
        for wrong in ["2023-02-29", "last month", "", "2024-02-29T10:00:00Z; drop"] {
            assert!(instant(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_backfill_of_days_on_which_nothing_is_is_not_started() {
        let today: Date = "2026-11-30".parse().unwrap();
        for (from, until) in [
            ("2023-01-01", None),
            ("2004-01-01", Some("now")),
            ("2026-11-30", Some("2026-12-01")),
        ] {
            assert!(check_window(from, until, today).is_ok(), "{from} {until:?}");
        }
        for (from, until, said) in [
            ("2030-01-01", None, "is yet to come"),
            ("1800-01-01", None, "no Shopify before 2004"),
            ("2026-01-01", Some("2025-01-01"), "is not after --from"),
            ("2026-01-01", Some("2026-01-01"), "is not after --from"),
            ("2026-01-01", Some("soon"), "is not a day"),
        ] {
            let error = check_window(from, until, today).unwrap_err();
            assert!(
                matches!(&error, Error::CommandLine(text) if text.contains(said)),
                "{error}"
            );
        }
    }

    #[test]
    fn only_what_is_the_shops_is_replayed() {
        let shop = "demo.myshopify.com";
        for key in [
            "archive/demo.myshopify.com/2026-11-24/",
            "quarantine/demo.myshopify.com/run/1.json",
        ] {
            assert!(check_key(shop, key).is_ok(), "{key}");
        }
        for key in [
            "foo",
            "",
            "archive/other.myshopify.com/2026-11-24/",
            "archive/demo.myshopify.com.evil/2026-11-24/",
            "quarantine/demo.myshopify.com/run/",
        ] {
            assert!(check_key(shop, key).is_err(), "{key}");
        }
    }
}
