//! Running the commands of a plan: what exists is left alone, what is missing is created after a confirmation.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::process::Command;

use serde_json::Value;

use super::{commands, folder, Target};
use crate::say::say;
use crate::{Error, Result};

/// How wrangler lists what [`commands::Call::creates`].
const LISTS: [&[&str]; 3] = [
    &["streams", "list", "--json"],
    &["sinks", "list", "--json"],
    &["list", "--json"],
];

const KINDS: [&str; 3] = ["streams", "sinks", "pipelines"];
/// developers.cloudflare.com/pipelines/platform/limits.
const ALLOWED_OF_EACH: usize = 20;

/// Creates what is missing, with `token` for the sinks; asks first unless `yes`.
///
/// # Errors
/// [`Error::Invalid`] if it is not confirmed or wrangler fails.
pub(super) fn apply(target: &Target, token: &str, yes: bool) -> Result<()> {
    let versions = folder::versions(&target.pipelines)?;
    let chosen = folder::chosen(target, &versions)?;
    let present = LISTS
        .iter()
        .map(|words| existing(target, words))
        .collect::<Result<Vec<_>>>()?;
    let mut missing = Vec::new();
    for version in &chosen {
        for call in commands::creating(target, version)? {
            let (kind, name) = &call.creates;
            if present[*kind].contains_key(name) {
                say!("exists: {}", call.shown());
            } else {
                missing.push(call);
            }
        }
    }
    for (kind, present) in present.iter().enumerate() {
        let total = present.len() + missing.iter().filter(|call| call.creates.0 == kind).count();
        if total > ALLOWED_OF_EACH {
            say!(
                "note: {total} {} would exist, and an account has {ALLOWED_OF_EACH} of each unless Cloudflare raised that",
                KINDS[kind]
            );
        }
    }
    if missing.is_empty() {
        say!("nothing to do");
    } else {
        create(&missing, token, yes)?;
    }
    let ids = existing(target, LISTS[0])?;
    for version in chosen {
        let name = target.named(&version.name());
        let id = ids.get(&name).map_or("", String::as_str);
        say!("env.{}: {} -> \"{id}\" ({name})", target.environment, version.binding());
    }
    Ok(())
}

fn create(missing: &[commands::Call], token: &str, yes: bool) -> Result<()> {
    for call in missing {
        say!("{}", call.shown());
    }
    if !yes {
        crate::say::text(&format!("Run these {} commands? Type yes: ", missing.len()));
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            return Err(Error::Invalid("not confirmed; nothing was created".into()));
        }
    }
    for call in missing {
        let status = Command::new("wrangler").args(call.arguments(token)).status()?;
        if !status.success() {
            return Err(Error::Invalid(format!(
                "wrangler failed ({status}) at: {}; what was created before it stays, run apply again to go on",
                call.shown()
            )));
        }
    }
    Ok(())
}

/// What an account has already: ids by name.
fn existing(target: &Target, words: &[&str]) -> Result<BTreeMap<String, String>> {
    let arguments: Vec<_> = target.product.words().iter().chain(words).copied().collect();
    let shown = format!("wrangler {}", arguments.join(" "));
    let output = Command::new("wrangler").args(&arguments).output().map_err(|error| {
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
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = list.as_array().into_iter().flatten();
    Ok(items.map(|item| (text(&item["name"]), text(&item["id"]))).collect())
}
