//! `weir streams`: streams, sinks and pipelines at Cloudflare, from the schemas and the SQL that are checked in.
//!
//! None of the three can be changed once created, so names carry a version. Creating is all this does: a new version is
//! created beside the old one, fed beside it, read together with it, and the old one is deleted by hand when nobody sends
//! to it any more.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use crate::{Error, Result};

/// Arguments of `weir streams`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Prints the wrangler commands that create what is missing, and what to do by hand for a new version.
    Plan {
        #[command(flatten)]
        target: Target,
    },
    /// Runs these commands, after a confirmation. What exists already is left as it is.
    Apply {
        #[command(flatten)]
        target: Target,
        /// API token with R2 Data Catalog and R2 rights, which the sinks use.
        #[arg(long, env = "WEIR_CATALOG_TOKEN", hide_env_values = true)]
        catalog_token: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Target {
    /// R2 bucket with its Data Catalog enabled.
    #[arg(long, env = "WEIR_R2_BUCKET")]
    bucket: String,
    /// Folder of <name>_v<N>.json and .sql.
    #[arg(long, default_value = "sql/pipelines")]
    pipelines: PathBuf,
    /// Only this stream, for example commerce_v2.
    #[arg(long)]
    stream: Option<String>,
    /// Seconds after which the sink rolls a file.
    #[arg(long, default_value_t = 60)]
    roll_interval: u32,
    /// Under which name wrangler knows the product: `wrangler pipelines` or, since October 2026, `wrangler basin pipelines`.
    #[arg(long, value_enum, default_value_t = Product::Pipelines)]
    product: Product,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Product {
    Pipelines,
    Basin,
}

impl Product {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Pipelines => &["pipelines"],
            Self::Basin => &["basin", "pipelines"],
        }
    }
}

/// One version of one stream, as it lies in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    family: String,
    number: u32,
    columns: BTreeSet<String>,
}

impl Version {
    fn name(&self) -> String {
        format!("{}_v{}", self.family, self.number)
    }

    /// A sink creates its table and never takes over one that exists: a table for each version.
    fn table(&self) -> String {
        match self.number {
            1 => "telemetry".to_owned(),
            number => format!("telemetry_v{number}"),
        }
    }
}

/// Prints or runs.
///
/// # Errors
/// [`Error::Invalid`] if the folder does not hold what it should, the confirmation is not given, or wrangler fails.
pub async fn run(args: Args) -> Result<()> {
    match args.action {
        Action::Plan { target } => {
            print!("{}", plan(&target)?);
            Ok(())
        }
        Action::Apply {
            target,
            catalog_token,
            yes,
        } => tokio::task::spawn_blocking(move || apply(&target, &catalog_token, yes)).await?,
    }
}

/// The token in printed commands; the shell that runs them fills it in.
const TOKEN_VARIABLE: &str = "$WEIR_CATALOG_TOKEN";

fn plan(target: &Target) -> Result<String> {
    let mut text = String::new();
    let versions = versions(&target.pipelines)?;
    for version in chosen(target, &versions)? {
        text.push_str(&format!("# {}\n", version.name()));
        for command in commands(target, version, TOKEN_VARIABLE) {
            text.push_str(&shell(&command));
            text.push('\n');
        }
        let older: Vec<_> = versions
            .iter()
            .filter(|other| other.family == version.family && other.number < version.number)
            .collect();
        if let Some(previous) = older.last() {
            text.push_str(&by_hand(version, previous, &older));
        }
        text.push_str(&format!(
            "# View without repetitions (DuckDB, attached as lake)\n{}\n\n",
            view(version, &older)
        ));
    }
    Ok(text)
}

fn by_hand(version: &Version, previous: &Version, older: &[&Version]) -> String {
    let binding = format!("{}_TELEMETRY", version.family.to_uppercase());
    format!(
        "# From {old} to {new}, by hand:\n\
         # 1. Dual send: in wrangler.jsonc keep {binding} on {old} and bind {binding}_V{number} to {new}; deploy.\n\
         # 2. Read both by the view below, {count} tables; events have one event_id in both and count once.\n\
         # 3. Cut over: once every sender has {new} and the last commit of {old} is older than the longest retry (4 days),\n\
         #    bind {binding} to {new} alone and deploy. {old} and its table stay as history.\n",
        old = previous.name(),
        new = version.name(),
        number = version.number,
        count = older.len() + 1,
    )
}

/// One row per event over every version of a family, from the newest version that has it.
fn view(version: &Version, older: &[&Version]) -> String {
    let mut all: Vec<&Version> = older.to_vec();
    all.push(version);
    let selects: Vec<_> = all
        .iter()
        .map(|one| {
            format!(
                "select *, {} as stream_version from lake.{}.{}",
                one.number,
                one.family,
                one.table()
            )
        })
        .collect();
    let columns: BTreeSet<_> = all
        .iter()
        .flat_map(|one| &one.columns)
        .filter(|name| *name != "event_id")
        .collect();
    let picked: Vec<_> = columns
        .iter()
        // Struct around the value: arg_max skips nulls, and a newer null must not be filled from an older row.
        .map(|name| format!("arg_max({{'v': {name}}}, (stream_version, received_at)).v as {name}"))
        .collect();
    format!(
        "create or replace view {}_telemetry as\nselect event_id, {}\nfrom (\n  {}\n)\ngroup by event_id;",
        version.family,
        picked.join(",\n  "),
        selects.join("\n  union all by name\n  ")
    )
}

/// What creates a version, in the order in which each needs the one before.
fn commands(target: &Target, version: &Version, token: &str) -> Vec<Vec<String>> {
    let (name, sink) = (version.name(), format!("{}_sink", version.name()));
    let file = |ending: &str| target.pipelines.join(format!("{name}.{ending}")).display().to_string();
    let roll_interval = target.roll_interval.to_string();
    let table = version.table();
    let command = |words: &[&str]| {
        let all = ["wrangler"].iter().chain(target.product.words()).chain(words);
        all.map(ToString::to_string).collect::<Vec<_>>()
    };
    vec![
        command(&["streams", "create", &name, "--schema-file", &file("json")]),
        command(&[
            "sinks",
            "create",
            &sink,
            "--type",
            "r2-data-catalog",
            "--bucket",
            &target.bucket,
            "--namespace",
            &version.family,
            "--table",
            &table,
            "--compression",
            "zstd",
            "--roll-interval",
            &roll_interval,
            "--catalog-token",
            token,
        ]),
        command(&["create", &name, "--sql-file", &file("sql")]),
    ]
}

fn apply(target: &Target, token: &str, yes: bool) -> Result<()> {
    let versions = versions(&target.pipelines)?;
    let present = [
        existing(target, &["streams", "list", "--json"])?,
        existing(target, &["sinks", "list", "--json"])?,
        existing(target, &["list", "--json"])?,
    ];
    let mut missing = Vec::new();
    for version in chosen(target, &versions)? {
        let names = [version.name(), format!("{}_sink", version.name()), version.name()];
        let shown = commands(target, version, TOKEN_VARIABLE);
        let run = commands(target, version, token);
        for (index, name) in names.iter().enumerate() {
            if present[index].contains(name) {
                println!("exists: {}", shell(&shown[index]));
            } else {
                missing.push((shown[index].clone(), run[index].clone()));
            }
        }
    }
    if missing.is_empty() {
        println!("nothing to do");
        return Ok(());
    }
    for (shown, _) in &missing {
        println!("{}", shell(shown));
    }
    if !yes {
        print!("Run these {} commands? Type yes: ", missing.len());
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            return Err(Error::Invalid("not confirmed; nothing was created".into()));
        }
    }
    for (shown, run) in &missing {
        let status = wrangler(&run[1..]).status()?;
        if !status.success() {
            return Err(Error::Invalid(format!(
                "wrangler failed ({status}) at: {}; what was created before it stays, run apply again to go on",
                shell(shown)
            )));
        }
    }
    Ok(())
}

fn wrangler(arguments: &[String]) -> Command {
    let mut command = Command::new("wrangler");
    command.args(arguments);
    command
}

/// Names of what an account has already.
fn existing(target: &Target, words: &[&str]) -> Result<BTreeSet<String>> {
    let arguments: Vec<_> = target
        .product
        .words()
        .iter()
        .chain(words)
        .map(ToString::to_string)
        .collect();
    let shown = format!("wrangler {}", arguments.join(" "));
    let output = wrangler(&arguments).output().map_err(|error| {
        Error::Invalid(format!(
            "{shown}: {error}; install it with `npm install --global wrangler`"
        ))
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Invalid(format!("{shown}: {said}")));
    }
    let list: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::Invalid(format!("{shown} did not print JSON: {error}")))?;
    let names = list.as_array().into_iter().flatten();
    Ok(names
        .filter_map(|item| item["name"].as_str().map(str::to_owned))
        .collect())
}

/// The newest version of each family, or the one asked for.
fn chosen<'a>(target: &Target, versions: &'a [Version]) -> Result<Vec<&'a Version>> {
    if let Some(name) = &target.stream {
        let found = versions.iter().find(|version| version.name() == *name);
        return found
            .map(|version| vec![version])
            .ok_or_else(|| Error::Invalid(format!("there is no {name}.json in {}", target.pipelines.display())));
    }
    let newest: BTreeMap<_, _> = versions.iter().map(|version| (&version.family, version)).collect();
    Ok(newest.into_values().collect())
}

/// Every version in the folder, by family and number.
fn versions(folder: &Path) -> Result<Vec<Version>> {
    let unreadable = |error: std::io::Error| Error::Invalid(format!("{}: {error}", folder.display()));
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some((family, number)) = stem.rsplit_once("_v") else {
            continue;
        };
        let Ok(number) = number.parse() else { continue };
        if !path.with_extension("sql").is_file() {
            return Err(Error::Invalid(format!("{} has no .sql beside it", path.display())));
        }
        let schema: Value = serde_json::from_slice(&std::fs::read(&path)?)
            .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?;
        let fields = schema["fields"].as_array().into_iter().flatten();
        versions.push(Version {
            family: family.to_owned(),
            number,
            columns: fields
                .filter_map(|field| field["name"].as_str().map(str::to_owned))
                .collect(),
        });
    }
    if versions.is_empty() {
        return Err(Error::Invalid(format!("{} holds no stream schema", folder.display())));
    }
    versions.sort_by(|left, right| (&left.family, left.number).cmp(&(&right.family, right.number)));
    Ok(versions)
}

/// A command as a shell reads it. The token's variable stays one.
fn shell(command: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
    let words: Vec<_> = command
        .iter()
        .map(|word| match word.as_str() {
            TOKEN_VARIABLE => format!("\"{word}\""),
            word if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
            word => format!("'{}'", word.replace('\'', r"'\''")),
        })
        .collect();
    words.join(" ")
}
