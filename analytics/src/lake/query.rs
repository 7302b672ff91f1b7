//! `select` over the lake's tables, for people.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use duckdb::{Connection, InterruptHandle};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{oneshot, OwnedSemaphorePermit, Semaphore};

use super::duckdb::{literal, literals, quoted};
use super::scan::{planned, Columns};
use super::Lake;
use crate::{Error, Result};

/// More rows than this are cut off: the answer is held in memory.
pub const MAX_ROWS: usize = 10_000;

/// What a query gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Names of the columns, in order.
    pub columns: Vec<String>,
    /// Rows; each a list of values in the order of the columns.
    pub rows: Vec<Vec<Value>>,
    /// Whether there were more than [`MAX_ROWS`].
    pub is_cut_off: bool,
}

/// Queries run one after another: each has a DuckDB with memory of its own, and what `weir serve` takes has to have a bound.
#[derive(Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turns {
    async fn next(&self, patience: Duration) -> Result<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(patience, self.0.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| {
            Error::Busy(format!(
                "another select has not ended within {} s; one runs at a time, try again",
                patience.as_secs()
            ))
        })?;
        turn.map_err(|error| Error::Internal(error.to_string()))
    }
}

impl Lake {
    /// Runs one `select` in DuckDB, where every table of the lake is known as `namespace.table`, each at one
    /// snapshot. It can read nothing but the lake. It ends with whoever waits for it, and waits for the one before.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the text is no single `select`, or DuckDB refuses it, or it takes longer than `limit`;
    /// [`Error::Busy`] if the one before does.
    pub async fn query(&self, sql: &str, limit: Duration) -> Result<Answer> {
        let turn = self.queries.next(limit).await?;
        let mut relations = BTreeMap::new();
        let mut files = Vec::new();
        // As DuckDB compares names.
        let named = sql.to_lowercase();
        for ident in self.tables().await? {
            let name = (ident.namespace().to_url_string(), ident.name().to_owned());
            // Only what the text names: a table costs a read of its manifests.
            if !named.contains(&name.1.to_lowercase()) {
                continue;
            }
            // Planned once: what the view reads and what may be read are the files of one snapshot.
            let table = self.load(&ident).await?;
            let of_table = planned(&table, None, table.scan()).await?;
            relations.insert(name, Columns::of(&table)?.relation(&of_table));
            files.extend(of_table);
        }
        let (duckdb, sql) = (self.duckdb(), sql.to_owned());
        let (sender, watched) = oneshot::channel();
        let working = tokio::task::spawn_blocking(move || {
            // Kept until the memory is given back, which is later than nobody waits any more.
            let _turn = turn;
            // A folder of its own: DuckDB lets a confined connection read all of the folder it spills into.
            let spill = duckdb.spill("query");
            let connection = duckdb.open(&spill)?;
            let ended = Ended(Arc::default());
            let watch = Watch {
                query: connection.interrupt_handle(),
                is_over: ended.0.clone(),
            };
            // Nobody waits for it any more: dropped here, it ends what follows.
            let _ = sender.send(watch);
            let sql = only_select(&connection, &sql, !relations.is_empty())?;
            for ((namespace, table), relation) in relations {
                let (namespace, table) = (quoted(&namespace), quoted(&table));
                connection.execute_batch(&format!(
                    "create schema if not exists {namespace}; create view {namespace}.{table} as select * from {relation}"
                ))?;
            }
            confine(&connection, &files)?;
            run(&connection, &sql).map_err(|error| match error {
                Error::DuckDb(error) => Error::Invalid(error.to_string()),
                other => other,
            })
        });
        // None if the query was over before it began.
        let _watch = watched.await;
        tokio::time::timeout(limit, working).await.map_err(|_| {
            Error::Invalid(format!(
                "the select was ended after {} s; ask for less (`weir serve --sql-seconds` says how long one may take)",
                limit.as_secs()
            ))
        })??
    }
}

/// How often a query that is to end is told so.
const TOLD_EVERY: Duration = Duration::from_millis(20);

/// Whoever waits for a query. Dropped, it ends the query.
struct Watch {
    query: Arc<InterruptHandle>,
    is_over: Arc<AtomicBool>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.is_over.load(Ordering::Acquire) {
            return;
        }
        let (query, is_over) = (self.query.clone(), self.is_over.clone());
        // An interruption ends the statement that runs, and is forgotten where none does: again, until all is over.
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Acquire) {
                query.interrupt();
                std::thread::sleep(TOLD_EVERY);
            }
        });
    }
}

/// Set when dropped.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The select without the semicolon after it and what follows that. DuckDB serialises `select` statements only; its own parser
/// decides, not a search for words. To it `describe` and `show` are selects, but ones that can be described only as a subquery.
fn only_select(connection: &Connection, sql: &str, names_table: bool) -> Result<String> {
    let parse = |sql: &str| -> Result<String> {
        let text = format!("select json_serialize_sql({})::varchar", literal(sql));
        Ok(connection.query_row(&text, [], |row| row.get(0))?)
    };
    let whole = parse(sql)?;
    let parsed: Value = serde_json::from_str(&whole)?;
    if parsed["error"] != Value::Bool(false) || parsed["statements"].as_array().is_none_or(|all| all.len() != 1) {
        let reason = parsed["error_message"].as_str().unwrap_or("one statement is expected");
        return Err(Error::Invalid(format!("only a single select: {reason}")));
    }
    // The statement ends where what comes before is all of it; other semicolons stand in texts, names and comments.
    let mut ends = sql.match_indices(';').map(|(end, _)| &sql[..end]);
    let alone = ends.find_map(|start| match parse(start) {
        Ok(parsed) if parsed == whole => Some(Ok(start)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    let alone = alone.transpose()?.unwrap_or(sql);
    if parsed["statements"][0]["node"]["from_table"]["type"] != "SHOW_REF" {
        return Ok(alone.to_owned());
    }
    if !names_table {
        return Err(Error::Invalid(
            "of show and describe only `describe NAMESPACE.TABLE`; `weir lake tables` lists the tables".into(),
        ));
    }
    Ok(format!("select * from ({alone}\n)"))
}

/// From here on nothing but these files can be read, and that cannot be undone.
fn confine(connection: &Connection, files: &[String]) -> Result<()> {
    Ok(connection.execute_batch(&format!(
        "set allowed_paths = [{}]; set enable_external_access = false; set lock_configuration = true",
        literals(files)
    ))?)
}

fn run(connection: &Connection, sql: &str) -> Result<Answer> {
    // On lines of its own: the text may end in a comment.
    let mut described = connection.prepare(&format!("select column_name, column_type from (describe {sql}\n)"))?;
    let (columns, types): (Vec<String>, Vec<String>) = described
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<std::result::Result<_, _>>()?;
    // Values as JSON, so that lists and records come out whole; positions, for names may repeat.
    let names: Vec<_> = (0..columns.len()).map(|index| format!("c{index}")).collect();
    let values = names
        .iter()
        .zip(&types)
        .map(|(name, of_column)| match with_text_decimals(of_column) {
            _ if has_nameless(connection, of_column) => format!("to_json({name}::varchar)"),
            Some(exact) => format!("to_json({name}::{exact})"),
            None => format!("to_json({name})"),
        });
    let mut statement = connection.prepare(&format!(
        "select to_json([{}])::varchar from ({sql}\n) as t({}) limit {}",
        values.collect::<Vec<_>>().join(", "),
        names.join(", "),
        MAX_ROWS + 1
    ))?;
    let texts: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    let mut rows = texts
        .iter()
        .map(|text| row(text))
        .collect::<Result<Vec<Vec<Value>>>>()?;
    let is_cut_off = rows.len() > MAX_ROWS;
    rows.truncate(MAX_ROWS);
    Ok(Answer {
        columns,
        rows,
        is_cut_off,
    })
}

/// Whether a column's type has a record whose members have no names, as `row(1, 2)`: in JSON the last one would hide the others.
/// DuckDB describes such a type and cannot be told of one.
fn has_nameless(connection: &Connection, of_column: &str) -> bool {
    of_column.contains("STRUCT(") && connection.prepare(&format!("select null::{of_column}")).is_err()
}

/// A column's type with texts in the place of its decimals, which a reader of JSON would make floats of; none if it has no
/// decimals.
fn with_text_decimals(of_column: &str) -> Option<String> {
    let (mut exact, mut has_any) = (String::new(), false);
    let mut rest = of_column;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("DECIMAL(") {
            has_any = true;
            exact.push_str("VARCHAR");
            rest = rest.split_once(')')?.1;
            continue;
        }
        let length = match first {
            // Names and values of enums. A quotation mark in one is doubled, which makes two of it.
            '"' | '\'' => rest[1..].find(first)? + 2,
            other => other.len_utf8(),
        };
        exact.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    has_any.then_some(exact)
}

/// One row. What `DuckDB` writes that JSON has no words for, or that no JSON number holds, comes out as text.
fn row(text: &str) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&with_quoted_numbers(text))?)
}

/// The text with its `NaN`, `Infinity` and `-Infinity`, and whole numbers of more than 64 bits, as strings, wherever they stand but
/// inside of strings.
fn with_quoted_numbers(mut text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    while let Some(first) = text.chars().next() {
        let length = match first {
            '"' => string_length(text),
            '-' | '0'..='9' | 'N' | 'I' => text.find([',', ']', '}']).unwrap_or(text.len()),
            other => other.len_utf8(),
        };
        let (token, rest) = text.split_at(length);
        match is_no_number(token) {
            true => quoted.push_str(&format!("\"{token}\"")),
            false => quoted.push_str(token),
        }
        text = rest;
    }
    quoted
}

fn is_no_number(token: &str) -> bool {
    let digits = token.strip_prefix('-').unwrap_or(token);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match token {
        "NaN" | "Infinity" | "-Infinity" => true,
        _ => is_whole && token.parse::<i64>().is_err() && token.parse::<u64>().is_err(),
    }
}

/// Bytes of the JSON string at the beginning, with its quotation marks.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !is_escaped => return index + 1,
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_that_json_has_not_come_out_as_text_and_texts_stay() {
        let told = row(r#"[NaN,-Infinity,[Infinity,1.5],{"NaN":"a \"NaN, \\","b":"Infinity"}]"#).unwrap();
        let expected = json!(["NaN", "-Infinity", ["Infinity", 1.5], { "NaN": "a \"NaN, \\", "b": "Infinity" }]);
        assert_eq!(Value::from(told), expected);
        assert!(row("[NaNa]").is_err());
        let told = row("[18446744073709551615,18446744073709551616,-9223372036854775809,1e300,{\"a\":-5}]").unwrap();
        let expected = json!([
            18_446_744_073_709_551_615_u64,
            "18446744073709551616",
            "-9223372036854775809",
            1e300,
            { "a": -5 }
        ]);
        assert_eq!(Value::from(told), expected);
    }

    #[test]
    fn decimals_are_texts_wherever_they_stand() {
        assert_eq!(with_text_decimals("DECIMAL(38,2)").unwrap(), "VARCHAR");
        assert_eq!(
            with_text_decimals("STRUCT(a DECIMAL(4,1), b INTEGER)[]").unwrap(),
            "STRUCT(a VARCHAR, b INTEGER)[]"
        );
        assert_eq!(with_text_decimals("HUGEINT"), None);
        assert_eq!(with_text_decimals("ENUM('DECIMAL(1)', 'it''s DECIMAL(2)')"), None);
        assert_eq!(
            with_text_decimals("STRUCT(\"DECIMAL(1\" DECIMAL(4,1), b ENUM('DECIMAL(1)'))").unwrap(),
            "STRUCT(\"DECIMAL(1\" VARCHAR, b ENUM('DECIMAL(1)'))"
        );
    }
}
