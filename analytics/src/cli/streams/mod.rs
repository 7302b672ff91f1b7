//! `weir streams`: streams, sinks and pipelines at Cloudflare, from the schemas and the SQL that are checked in.
//!
//! None of the three can be changed once created, so names carry a version. Creating is all this does: a new version is
//! created beside the old one, fed beside it, read together with it, and the old one is deleted by hand when nobody sends
//! to it any more.
//!
//! | what | where |
//! |---|---|
//! | versions in the folder | [`folder`] |
//! | wrangler's commands for one of them | [`commands`] |
//! | the SQL of a pipeline, with an environment's names | [`sql`] |
//! | what is printed beside: the steps by hand, the view | [`guide`] |
//! | what an account has, out of what wrangler prints | [`listed`] |
//! | running the commands | [`apply`] |

mod apply;
mod commands;
mod folder;
mod guide;
mod listed;
mod sql;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use crate::say::note;
use crate::Result;

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
        /// API token with R2 Data Catalog and R2 rights, which the sinks use. Wrangler takes it as an argument only: while a
        /// sink is being created, whoever may list this machine's processes can read it.
        #[arg(long, env = "WEIR_CATALOG_TOKEN", hide_env_values = true)]
        catalog_token: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Target {
    /// Environment of the Workers' wrangler.jsonc whose streams these are: dev, staging, production, or one that you have added
    /// there. It ends every name.
    #[arg(long, env = "WEIR_ENVIRONMENT", value_parser = environment)]
    environment: String,
    /// R2 bucket of this environment, with its Data Catalog enabled: a sink creates its table and takes over none.
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

impl Target {
    /// What `name` (a stream of the folder) is called in this environment; the Workers' wrangler.jsonc says the same.
    fn named(&self, name: &str) -> String {
        format!("{name}_{}", self.environment)
    }
}

/// Names at Cloudflare are words of letters, digits and underscores.
fn environment(text: &str) -> std::result::Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match !text.is_empty() && text.len() <= 32 && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("at most 32 of a-z, 0-9 and _, as in env.production of wrangler.jsonc".into()),
    }
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

/// Prints or runs.
///
/// # Errors
/// [`crate::Error::Invalid`] if the folder does not hold what it should, the confirmation is not given, or wrangler fails.
pub async fn run(args: Args) -> Result<()> {
    match args.action {
        Action::Plan { target } => {
            tell_unknown(&target.environment);
            crate::say::text(&plan(&target)?);
            Ok(())
        }
        Action::Apply {
            target,
            catalog_token,
            yes,
        } => {
            tell_unknown(&target.environment);
            tokio::task::spawn_blocking(move || apply::apply(&target, &catalog_token, yes)).await?
        }
    }
}

/// The environments that the Workers' wrangler.jsonc are checked in with.
const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "production"];

/// A name that is written wrongly would make streams that no Worker sends to.
fn tell_unknown(environment: &str) {
    if !ENVIRONMENTS.contains(&environment) {
        note!(
            "{environment:?} is none of {}: its Workers need env.{environment} in edge/*/wrangler.jsonc",
            ENVIRONMENTS.join(", ")
        );
    }
}

fn plan(target: &Target) -> Result<String> {
    let mut text = String::new();
    let versions = folder::versions(&target.pipelines)?;
    for version in folder::chosen(target, &versions)? {
        text.push_str(&format!("# {} ({})\n", version.name(), target.environment));
        for command in commands::creating(target, version)? {
            text.push_str(&command.shown());
            text.push('\n');
        }
        text.push_str(&guide::guide(target, version, &folder::older(&versions, version)));
    }
    Ok(text)
}
