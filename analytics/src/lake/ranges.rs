//! Data files with what their manifests say of one column, so that a reader opens only those it needs.

use futures::{stream, StreamExt};
use iceberg::spec::{Datum, ManifestContentType, PrimitiveLiteral, PrimitiveType};
use iceberg::table::Table;
use jiff::civil::date;
use jiff::ToSpan;

use super::scan::{local, row_level_deletes, Columns};
use super::state::State;
use crate::{Error, Result};

/// A data file and the bounds of one column in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRange {
    /// As DuckDB opens it.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// No value of the column is less, as text; none if the manifest does not tell.
    pub least: Option<String>,
    /// No value is greater.
    pub most: Option<String>,
}

/// The data files of one snapshot of a table.
#[derive(Debug, Clone)]
pub struct Files {
    /// By path.
    pub ranges: Vec<FileRange>,
    columns: Columns,
}

/// Manifests that are read at the same time.
const MANIFESTS_AT_ONCE: usize = 8;

/// The lower bits of `event_row` are the number of the row in its file, those above the index of the file.
const ROW_BITS: u32 = 40;

impl Files {
    /// SQL text DuckDB can select from: the rows of these files of the table, with all of its columns.
    #[must_use]
    pub fn relation(&self, paths: &[String]) -> String {
        self.columns.relation(paths)
    }

    /// SQL for the index, among the files of [`Self::numbered`], of the one that holds a row. `row` is SQL for the row's
    /// `event_row`.
    #[must_use]
    pub fn file_of_row(row: &str) -> String {
        format!("({row} >> {ROW_BITS})")
    }

    /// SQL for the `event_row` that a row has if only some of the files are numbered. `files`: their indexes among all, as
    /// SQL, in their order.
    #[must_use]
    pub fn renumbered(row: &str, files: &str) -> String {
        let file = Self::file_of_row(row);
        let number = (1_u64 << ROW_BITS) - 1;
        format!("(((list_position([{files}]::bigint[], {file}) - 1)::bigint << {ROW_BITS}) | ({row} & {number}))")
    }

    /// As [`Self::relation`], with a column `event_row` that no two rows of these files share.
    #[must_use]
    pub fn numbered(&self, paths: &[String]) -> String {
        self.columns.select(
            paths,
            "*, null::bigint as event_row",
            &format!("*, (file_index::bigint << {ROW_BITS}) | file_row_number as event_row"),
        )
    }

    /// Every file.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.ranges.iter().map(|range| range.path.clone()).collect()
    }

    /// The files in which the column may have one of these values, which are sorted.
    #[must_use]
    pub fn paths_with_any<T: AsRef<str>>(&self, values: &[T]) -> Vec<String> {
        let may_have_any = |range: &&FileRange| match (&range.least, &range.most) {
            (Some(least), Some(most)) => {
                let next = values.partition_point(|value| value.as_ref() < least.as_str());
                values.get(next).is_some_and(|value| value.as_ref() <= most.as_str())
            }
            _ => !values.is_empty(),
        };
        let ranges = self.ranges.iter().filter(may_have_any);
        ranges.map(|range| range.path.clone()).collect()
    }
}

impl State {
    /// The live data files of a snapshot (none if no snapshot is named), with the bounds of a column of texts or dates.
    ///
    /// # Errors
    /// If the snapshot or the column is unknown, or another writer left row-level deletes.
    pub async fn files(&self, snapshot: Option<i64>, column: &str) -> Result<Files> {
        files_of(self.table(), snapshot, column).await
    }
}

async fn files_of(table: &Table, snapshot: Option<i64>, column: &str) -> Result<Files> {
    let metadata = table.metadata();
    let mut files = Files {
        ranges: Vec::new(),
        columns: Columns::of(table)?,
    };
    let Some(snapshot) = snapshot else { return Ok(files) };
    let field_id = metadata
        .current_schema()
        .field_id_by_name(column)
        .ok_or_else(|| Error::Internal(format!("{}: no column {column}", table.identifier())))?;
    let snapshot = metadata
        .snapshot_by_id(snapshot)
        .ok_or_else(|| Error::NotFound(format!("{}: no snapshot {snapshot}", table.identifier())))?;
    let list = table.manifest_list_reader(snapshot).load().await?;
    let mut live = Vec::new();
    for manifest in list.entries() {
        if !manifest.has_added_files() && !manifest.has_existing_files() {
            continue;
        }
        if manifest.content == ManifestContentType::Deletes {
            return Err(row_level_deletes(table.identifier()));
        }
        live.push(manifest.clone());
    }
    // Each append leaves a manifest, and to read one is computing more than waiting: its schema is parsed again.
    let mut loading = stream::iter(live)
        .map(|manifest| {
            let file_io = table.file_io().clone();
            tokio::spawn(async move { manifest.load_manifest(&file_io).await })
        })
        .buffered(MANIFESTS_AT_ONCE);
    while let Some(manifest) = loading.next().await {
        let entries = manifest??.into_parts().0;
        for entry in entries.iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            files.ranges.push(FileRange {
                path: local(file.file_path().to_owned()),
                rows: file.record_count(),
                least: file.lower_bounds().get(&field_id).and_then(text),
                most: file.upper_bounds().get(&field_id).and_then(text),
            });
        }
    }
    files.ranges.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// A bound as text; none for other types than texts and dates.
fn text(bound: &Datum) -> Option<String> {
    match (bound.data_type(), bound.literal()) {
        (PrimitiveType::String, PrimitiveLiteral::String(text)) => Some(text.clone()),
        (PrimitiveType::Date, PrimitiveLiteral::Int(days)) => date(1970, 1, 1)
            .checked_add(days.days())
            .ok()
            .map(|day| day.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_texts_that_sort_as_the_column_does() {
        assert_eq!(text(&Datum::date(20_000)).as_deref(), Some("2024-10-04"));
        assert_eq!(text(&Datum::date(-1)).as_deref(), Some("1969-12-31"));
        assert_eq!(text(&Datum::string("o'1")).as_deref(), Some("o'1"));
        assert_eq!(text(&Datum::long(7)), None);
    }

    #[test]
    fn a_file_is_left_out_only_if_none_of_the_values_can_be_in_it() {
        let range = |path: &str, bounds: Option<(&str, &str)>| FileRange {
            path: path.to_owned(),
            rows: 1,
            least: bounds.map(|(least, _)| least.to_owned()),
            most: bounds.map(|(_, most)| most.to_owned()),
        };
        let files = Files {
            ranges: vec![
                range("unknown", None),
                range("a", Some(("10", "19"))),
                range("b", Some(("20", "20"))),
            ],
            columns: Columns {
                empty: String::new(),
                is_evolved: false,
                instants: Vec::new(),
            },
        };
        let with = |values: &[&str]| files.paths_with_any(values);
        assert_eq!(with(&[]), [""; 0]);
        assert_eq!(with(&["09", "21"]), ["unknown"]);
        assert_eq!(with(&["19", "195"]), ["unknown", "a"]);
        assert_eq!(with(&["00", "15", "20", "99"]), ["unknown", "a", "b"]);
    }

    #[test]
    fn rows_of_several_files_are_numbered_apart_also_where_columns_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let duckdb = duckdb::Connection::open_in_memory().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, rows) in [("a.parquet", 3), ("b.parquet", 2)] {
            let copy = format!(
                "copy (select range as n from range({rows})) to '{}' (format parquet)",
                path(name)
            );
            duckdb.execute_batch(&copy).unwrap();
        }
        let mut files = Files {
            ranges: Vec::new(),
            columns: Columns {
                empty: "(select null::bigint as n, null::varchar as later where false)".to_owned(),
                is_evolved: true,
                instants: Vec::new(),
            },
        };
        let told = |relation: &str, columns: &str| -> (i64, i64) {
            let query = format!("select count(*), count(distinct event_row) + count({columns}) from {relation} as t");
            duckdb
                .query_row(&query, [], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
        };
        let paths = [path("a.parquet"), path("b.parquet")];
        assert_eq!(told(&files.numbered(&paths), "later"), (5, 5));
        assert_eq!(told(&files.numbered(&[]), "later"), (0, 0));
        files.columns.is_evolved = false;
        assert_eq!(told(&files.numbered(&paths), "n"), (5, 10));
        // Of the file that holds a row its number tells the place in the list.
        for paths in [[&paths[0], &paths[1]], [&paths[1], &paths[0]]].map(|pair| pair.map(String::clone)) {
            let query = format!(
                "select count(*), max({}) from {} as t where n = 2",
                Files::file_of_row("event_row"),
                files.numbered(&paths)
            );
            let found: (i64, usize) = duckdb
                .query_row(&query, [], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
            assert_eq!(found.0, 1);
            assert!(paths[found.1].ends_with("a.parquet"));
        }
        // And in a list of some of them it has the number that this list gives it.
        for file in [0, 1] {
            let query = format!(
                "select count(*) from {} as t join {} as u on u.event_row = {} where t.n = u.n",
                files.numbered(&paths),
                files.numbered(&paths[file..=file]),
                Files::renumbered("t.event_row", &file.to_string()),
            );
            let found: u64 = duckdb.query_row(&query, [], |row| row.get(0)).unwrap();
            assert_eq!(found, [3, 2][file]);
        }
    }
}
