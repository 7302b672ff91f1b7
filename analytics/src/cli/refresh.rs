//! `weir refresh`.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{json, Value};

use super::client::{cell, Client};
use crate::say::note;
use crate::{Error, Result};

/// Arguments of `weir refresh`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    /// Compute as of this moment (RFC 3339) of the past instead of now; only the shops' dates at it matter. The next
    /// refresh computes that day once more, as of its end.
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
/// [`Error::CommandLine`] for a moment to come; if the server is not reachable or refuses.
pub async fn run(args: Args) -> Result<()> {
    if let Some(Ok(moment)) = args.now.as_deref().map(str::parse) {
        if let Some(warning) = about_moment(moment, Timestamp::now())? {
            note!("{warning}");
        }
    }
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
        "ended_on",
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

/// Clocks differ, and a moment of this machine may lie ahead of another's.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// What is to be said of a moment that a refresh is asked for: what it writes of that day, no later one takes away.
fn about_moment(moment: Timestamp, now: Timestamp) -> Result<Option<String>> {
    if moment.duration_since(now) > CLOCKS_DIFFER {
        return Err(Error::CommandLine(format!(
            "--now {moment} is yet to come; what is said of a day stays, so it is not said before"
        )));
    }
    let day = |moment: Timestamp| moment.to_zoned(TimeZone::UTC).date();
    Ok((day(moment) < day(now)).then(|| {
        format!(
            "--now lies in the past: the labels of {} are written anew by what is known today (of the shops' own dates \
             then, which may be a day before or after)",
            day(moment)
        )
    }))
}

fn tell(progress: &Value) {
    let pass = match progress["pass"].as_str() {
        Some("ended_days") => "days that are over, ",
        _ => "",
    };
    match progress["rows"].as_u64() {
        None => note!("{pass}{} ...", cell(&progress["step"])),
        Some(rows) => note!("{pass}{}: {rows} rows", cell(&progress["step"])),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_to_come_is_refused_and_the_day_of_a_past_one_is_named() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let about = |moment: &str| about_moment(moment.parse().unwrap(), now);
        for today in ["2026-11-30T00:00:00Z", "2026-11-30T12:04:00Z"] {
            assert_eq!(about(today).unwrap(), None);
        }
        assert!(matches!(about("2026-12-02T00:00:00Z"), Err(Error::CommandLine(_))));
        let warning = about("2019-01-01T00:00:00Z").unwrap().unwrap();
        assert!(warning.contains("the labels of 2019-01-01"), "{warning}");
    }
}
