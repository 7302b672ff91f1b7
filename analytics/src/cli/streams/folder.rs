//! The versions of streams that lie in a folder: `<family>_v<N>.json` and `.sql`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use weir_domain::telemetry::{binding, family_and_version, stream_name};

use super::Target;
use crate::{Error, Result};

/// One version of one stream, as it lies in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) family: String,
    pub(super) number: u32,
    /// Names of its top-level fields.
    pub(super) columns: BTreeSet<String>,
}

impl Version {
    pub(super) fn name(&self) -> String {
        stream_name(&self.family, self.number)
    }

    /// A sink creates its table and never takes over one that exists: a table for each version.
    pub(super) fn table(&self) -> String {
        match self.number {
            1 => "telemetry".to_owned(),
            number => format!("telemetry_v{number}"),
        }
    }

    /// Name of the Workers' binding to it.
    pub(super) fn binding(&self) -> String {
        binding(&self.family, self.number)
    }
}

/// The newest version of each family, or the one asked for.
pub(super) fn chosen<'a>(target: &Target, versions: &'a [Version]) -> Result<Vec<&'a Version>> {
    if let Some(name) = &target.stream {
        let found = versions.iter().find(|version| version.name() == *name);
        return found
            .map(|version| vec![version])
            .ok_or_else(|| Error::Invalid(format!("there is no {name}.json in {}", target.pipelines.display())));
    }
    let newest: BTreeMap<_, _> = versions.iter().map(|version| (&version.family, version)).collect();
    Ok(newest.into_values().collect())
}

/// The versions before `version`, oldest first.
pub(super) fn older<'a>(versions: &'a [Version], version: &Version) -> Vec<&'a Version> {
    let is_older = |other: &&Version| other.family == version.family && other.number < version.number;
    versions.iter().filter(is_older).collect()
}

/// Every version in the folder, by family and number.
pub(super) fn versions(folder: &Path) -> Result<Vec<Version>> {
    let unreadable = |error: std::io::Error| Error::Invalid(format!("{}: {error}", folder.display()));
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            versions.extend(version(&path)?);
        }
    }
    if versions.is_empty() {
        return Err(Error::Invalid(format!("{} holds no stream schema", folder.display())));
    }
    versions.sort_by(|left, right| (&left.family, left.number).cmp(&(&right.family, right.number)));
    Ok(versions)
}

/// The version whose schema is `path`; none if the name is not that of a version.
fn version(path: &Path) -> Result<Option<Version>> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let Some((family, number)) = family_and_version(&stem) else {
        return Ok(None);
    };
    if !path.with_extension("sql").is_file() {
        return Err(Error::Invalid(format!("{} has no .sql beside it", path.display())));
    }
    let schema: Value = serde_json::from_slice(&std::fs::read(path)?)
        .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?;
    let fields = schema["fields"].as_array().into_iter().flatten();
    Ok(Some(Version {
        family: family.to_owned(),
        number,
        columns: fields
            .filter_map(|field| field["name"].as_str().map(str::to_owned))
            .collect(),
    }))
}
