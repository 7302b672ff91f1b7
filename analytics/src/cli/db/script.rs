//! The SQL-only install as it lies in `sql/postgres/sql_only`, with the files of `sql/postgres` that it names filled in.
//!
//! `install.psql` is the one list of what belongs to it and in which order; psql runs it too. Of psql's language it uses
//! `\set NAME` with the output of `cat FILE`, `:'NAME'` for that text as a literal, and `\ir FILE`.

use std::collections::BTreeMap;

use include_dir::{include_dir, Dir};

use crate::{Error, Result};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sql/postgres");
const LIST: &str = "sql_only/install.psql";

/// Name and text of each part, in the order in which they run.
///
/// # Errors
/// When a file or a name is missing: the binary was built from an incomplete checkout.
pub fn parts() -> Result<Vec<(String, String)>> {
    let list = file(LIST)?;
    let mut texts = BTreeMap::from([("version", version()?)]);
    for (name, command) in list
        .lines()
        .filter_map(|line| line.strip_prefix("\\set ")?.split_once(" `"))
    {
        let path = command.trim_end_matches('`').strip_prefix("cat sql/postgres/");
        if let Some(path) = path {
            // As psql takes the output of a command.
            let text = file(path)?;
            texts.insert(name, text.strip_suffix('\n').unwrap_or(text));
        }
    }
    let parts = list.lines().filter_map(|line| line.strip_prefix("\\ir "));
    parts
        .map(|name| {
            Ok((
                name.to_owned(),
                filled(name, file(&format!("sql_only/{name}"))?, &texts)?,
            ))
        })
        .collect()
}

/// Both installs are one API: its version is the extension's.
fn version() -> Result<&'static str> {
    let mut lines = include_str!("../../../../pg_ext/Cargo.toml").lines();
    let version = lines.find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.ok_or_else(|| Error::Invalid("pg_ext/Cargo.toml has no version".to_owned()))
}

fn file(path: &str) -> Result<&'static str> {
    let text = FILES.get_file(path).and_then(include_dir::File::contents_utf8);
    text.ok_or_else(|| Error::Invalid(format!("sql/postgres/{path} is not in this binary")))
}

/// `text` with every `:'name'` replaced by the named text as a literal.
fn filled(part: &str, text: &str, texts: &BTreeMap<&str, &str>) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // Comments speak of the notation.
        if line.starts_with("--") {
            filled.push_str(line);
            continue;
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once(":'") {
            let Some((name, after)) = after.split_once('\'') else {
                break;
            };
            let value = texts.get(name).ok_or_else(|| {
                Error::Invalid(format!(
                    "sql/postgres/sql_only/{part} names {name}, which {LIST} does not set"
                ))
            })?;
            filled.push_str(before);
            filled.push('\'');
            filled.push_str(&value.replace('\'', "''"));
            filled.push('\'');
            rest = after;
        }
        filled.push_str(rest);
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_and_every_migration_is_filled_in() {
        let parts = parts().unwrap();
        let files = FILES.get_dir("sql_only").unwrap().files();
        let sql = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "sql"));
        assert_eq!(parts.len(), sql.count());
        let migrate = &parts.iter().find(|(name, _)| name.contains("migrate")).unwrap().1;
        for migration in FILES.get_dir("migrations").unwrap().files() {
            let text = migration.contents_utf8().unwrap().trim_end().replace('\'', "''");
            assert!(migrate.contains(&text), "{} is missing", migration.path().display());
        }
    }

    #[test]
    fn quotes_are_doubled_and_an_unknown_name_is_an_error() {
        let texts = BTreeMap::from([("a", "it's")]);
        assert_eq!(
            filled("x", "select :'a', 'b';\n", &texts).unwrap(),
            "select 'it''s', 'b';\n"
        );
        let error = filled("x", "select :'b';", &texts).unwrap_err().to_string();
        assert!(error.contains("names b"), "{error}");
    }
}
