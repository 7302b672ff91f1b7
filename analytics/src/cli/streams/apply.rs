//! Running the commands of a plan: what exists is left alone, what is missing is created after a confirmation.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::process::Command;

use super::{commands, folder, listed, Target};
use crate::say::say;
use crate::{Error, Result};

/// How wrangler lists what [`commands::Call::creates`].
const LISTS: [&[&str]; 3] = [&["streams", "list"], &["sinks", "list"], &["list"]];
/// Of a page, as wrangler asks by itself too.
const PAGE: usize = 20;

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
    let mut all = BTreeMap::new();
    for page in 1.. {
        let items = page_of(target, words, page)?;
        let (listed, before) = (items.len(), all.len());
        all.extend(items);
        // One that is full and tells nothing new is a list without pages.
        if listed < PAGE || all.len() == before {
            break;
        }
    }
    Ok(all)
}

fn page_of(target: &Target, words: &[&str], page: usize) -> Result<Vec<(String, String)>> {
    let (page, of_each) = (page.to_string(), PAGE.to_string());
    let mut arguments = [target.product.words(), words].concat();
    arguments.extend(["--page", &page, "--per-page", &of_each, "--json"]);
    let shown = format!("wrangler {}", arguments.join(" "));
    let output = Command::new("wrangler").args(&arguments).output().map_err(|error| {
        Error::Invalid(format!(
            "{shown}: {error}; install it with `npm install --global wrangler`"
        ))
    })?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        return Err(Error::Invalid(format!("{shown}: {}", said(&output.stderr))));
    }
    // What it printed is not repeated: nobody says that no secret is in it.
    listed::items(&said(&output.stdout)).ok_or_else(|| {
        Error::Invalid(format!(
            "{shown} printed no list of names and ids; use the wrangler that weir's package.json names"
        ))
    })
}
