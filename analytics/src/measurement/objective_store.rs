//! Objective specifications in the lake: all revisions, so that a past answer can be explained with the thresholds of its
//! time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;
use weir_domain::objective::ObjectiveSpecification;

use super::{engine, reads, tables};
use crate::lake::{unless_overtaken, BuiltOn, Lake, Scope};
use crate::{Error, Result};

/// So often the specifications are read again because another server has published in between.
const MAX_ATTEMPTS: usize = 5;

/// So many of those that are refused are named.
const MOST_NAMED: usize = 20;

const READ: &str = include_str!("../../../sql/duckdb/read_objective.sql");

/// Every revision the lake holds.
///
/// # Errors
/// If the table cannot be read.
pub async fn load(lake: &Lake) -> Result<Vec<ObjectiveSpecification>> {
    at(lake, None).await
}

/// Every revision of a snapshot, of the current one if none is named.
async fn at(lake: &Lake, snapshot: Option<i64>) -> Result<Vec<ObjectiveSpecification>> {
    let relation = lake.duckdb_relation(&tables::objective_spec(), snapshot).await?;
    let duckdb = lake.duckdb();
    tokio::task::spawn_blocking(move || {
        let connection = duckdb.reader()?;
        engine::temporary_view(&connection, "configuration_objective_spec", &relation)?;
        reads::json_rows(&connection, READ, [])
    })
    .await?
}

/// Adds one specification, or a list of them, or tells that one has ended, and returns all that are then held. What is right
/// of a list is added whatever is wrong with the rest, which may be another shop's.
///
/// # Errors
/// [`Error::Invalid`] with each that is refused: with the field at fault, or because its revision is already held with other
/// content. A revision is immutable, because labels refer to it.
pub async fn publish(lake: &Lake, json: &Value) -> Result<Vec<ObjectiveSpecification>> {
    let given = match json {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let (mut right, mut refused) = (Vec::new(), Vec::new());
    for value in given {
        match ObjectiveSpecification::told(value) {
            Ok(specification) => right.push(specification),
            Err(error) => refused.push(format!(
                "{error} (of {} for {})",
                value["objective_spec_id"], value["shop_domain"]
            )),
        }
    }
    let (held, conflicts) = unless_overtaken(MAX_ATTEMPTS, || add(lake, &right)).await?;
    refused.extend(conflicts);
    match refused.len() {
        0 => Ok(held),
        count => {
            refused.truncate(MOST_NAMED);
            let more = match count - refused.len() {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            Err(Error::Invalid(format!("{}{more}", refused.join("; "))))
        }
    }
}

/// As [`publish`], unless another writer comes in between: what is then held, and the conflicts.
async fn add(lake: &Lake, given: &[ObjectiveSpecification]) -> Result<(Vec<ObjectiveSpecification>, Vec<String>)> {
    let held = lake.current_snapshot(&tables::objective_spec()).await?;
    let mut all = at(lake, held).await?;
    let mut conflicts = Vec::new();
    let mut is_changed = false;
    for new in given {
        let same_revision = |held: &&mut ObjectiveSpecification| {
            (&held.shop_domain, &held.objective_spec_id, held.revision)
                == (&new.shop_domain, &new.objective_spec_id, new.revision)
        };
        let Some(held) = all.iter_mut().find(same_revision) else {
            all.push(new.clone());
            is_changed = true;
            continue;
        };
        // An end is of the revision, whatever was published under its number: who ended it means that it governs no more. It
        // is final: who tells of the revision without it has told earlier.
        if held.ended_at.is_none() && new.ended_at.is_some() {
            held.ended_at = new.ended_at;
            is_changed = true;
        }
        if new.ended_at.is_none() && !is_same(held, new) {
            conflicts.push(format!(
                "revision: {} of {:?} for {} is already published with other content; publish a higher one",
                new.revision, new.objective_spec_id, new.shop_domain
            ));
        }
    }
    if is_changed {
        write(lake, &all, BuiltOn::Rows(held)).await?;
    }
    Ok((all, conflicts))
}

/// Whether they were published as the same.
fn is_same(held: &ObjectiveSpecification, new: &ObjectiveSpecification) -> bool {
    let ended_at = held.ended_at;
    *held
        == ObjectiveSpecification {
            ended_at,
            ..new.clone()
        }
}

/// Publishes what a file holds: one specification or a list.
///
/// # Errors
/// As [`publish`], and if the file cannot be read.
pub async fn publish_file(lake: &Lake, path: &Path) -> Result<()> {
    let json = serde_json::from_slice(&std::fs::read(path)?)?;
    publish(lake, &json).await.map(|_| ())
}

async fn write(lake: &Lake, all: &[ObjectiveSpecification], built_on: BuiltOn) -> Result<()> {
    let table = tables::objective_spec();
    let schema = lake.arrow_schema(&table).await?;
    let mut decoder = arrow_json::ReaderBuilder::new(Arc::clone(&schema)).build_decoder()?;
    decoder.serialize(all)?;
    let batches: Vec<_> = decoder.flush()?.into_iter().collect();
    let content = serde_json::to_vec(all)?;
    let commit_id = Uuid::new_v5(&Uuid::NAMESPACE_DNS, &content).to_string();
    let files = lake
        .prepare_overwrite(&table, &batches, Scope::WholeTable, commit_id)
        .await?;
    lake.complete(files, HashMap::new(), built_on).await?;
    Ok(())
}
