//! Wrangler's commands that create a version.

use super::folder::Version;
use super::sql::in_environment;
use super::Target;
use crate::{Error, Result};

/// The token in printed commands; the shell that runs them fills it in.
const TOKEN_VARIABLE: &str = "$WEIR_CATALOG_TOKEN";

/// One call of wrangler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// What it creates, for `existing`: its place among streams, sinks, pipelines, and its name.
    pub(super) creates: (usize, String),
    words: Vec<String>,
}

impl Call {
    /// As a shell reads it. The token's variable stays one.
    pub(super) fn shown(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|word| quoted(word)).collect();
        format!("wrangler {}", words.join(" "))
    }

    /// What wrangler is given, with the token.
    pub(super) fn arguments(&self, token: &str) -> Vec<String> {
        let fill = |word: &String| match word.as_str() {
            TOKEN_VARIABLE => token.to_owned(),
            _ => word.clone(),
        };
        self.words.iter().map(fill).collect()
    }
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
    match word {
        TOKEN_VARIABLE => format!("\"{word}\""),
        word if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// What creates `version`: its stream, its sink, its pipeline, each of which needs those before.
pub(super) fn creating(target: &Target, version: &Version) -> Result<[Call; 3]> {
    let stream = target.named(&version.name());
    let sink = format!("{stream}_sink");
    let file = |ending: &str| target.pipelines.join(format!("{}.{ending}", version.name()));
    let sql_file = file("sql");
    let about_file = |detail: String| Error::Invalid(format!("{}: {detail}", sql_file.display()));
    let text = std::fs::read_to_string(&sql_file).map_err(|error| about_file(error.to_string()))?;
    let sql = in_environment(&text, &version.name(), &stream).map_err(about_file)?;
    let schema = file("json").display().to_string();
    let roll_interval = target.roll_interval.to_string();
    let table = version.table();
    let call = |kind, name: &str, words: &[&str]| Call {
        creates: (kind, name.to_owned()),
        words: target
            .product
            .words()
            .iter()
            .chain(words)
            .map(ToString::to_string)
            .collect(),
    };
    Ok([
        call(0, &stream, &["streams", "create", &stream, "--schema-file", &schema]),
        call(
            1,
            &sink,
            &[
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
                TOKEN_VARIABLE,
            ],
        ),
        call(2, &stream, &["create", &stream, "--sql", &sql]),
    ])
}
