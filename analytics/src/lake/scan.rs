//! Reading: which files a snapshot consists of, as DuckDB selects from them.

use futures::TryStreamExt;
use iceberg::expr::Reference;
use iceberg::scan::TableScanBuilder;
use iceberg::spec::{Datum, PrimitiveType, Schema, Type};
use iceberg::table::Table;
use iceberg::TableIdent;
use jiff::Timestamp;

use super::duckdb::{literals, quoted};
use super::state::State;
use super::{sinks, write, Lake};
use crate::{Error, Result};

impl Lake {
    /// Paths of the live data files of a snapshot (the current one by default), sorted; none if the table has no
    /// snapshot.
    ///
    /// # Errors
    /// If the snapshot is unknown, or another writer left row-level deletes: the files alone would show deleted rows.
    pub async fn data_files(&self, table: &TableIdent, snapshot: Option<i64>) -> Result<Vec<String>> {
        let table = self.load(table).await?;
        planned(&table, snapshot, table.scan()).await
    }

    /// The snapshot that was the table's current one at `moment`; none if there was none yet, or if it has expired since.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn snapshot_as_of(&self, table: &TableIdent, moment: Timestamp) -> Result<Option<i64>> {
        let table = self.load(table).await?;
        let metadata = table.metadata();
        // Expiry clears the log up to the last expired snapshot, so that an entry found was current until the next.
        let entry = metadata
            .history()
            .iter()
            .rfind(|entry| entry.timestamp_ms <= moment.as_millisecond());
        Ok(entry
            .map(|entry| entry.snapshot_id)
            .filter(|id| metadata.snapshot_by_id(*id).is_some()))
    }

    /// As [`State::relation`], now.
    ///
    /// # Errors
    /// As [`Self::data_files`].
    pub async fn duckdb_relation(&self, table: &TableIdent, snapshot: Option<i64>) -> Result<String> {
        self.state(table).await?.relation(snapshot).await
    }

    /// As [`State::relation_from`], now.
    ///
    /// # Errors
    /// As [`Self::data_files`].
    pub async fn duckdb_relation_from(
        &self,
        table: &TableIdent,
        snapshot: Option<i64>,
        column: &str,
        least: Datum,
    ) -> Result<String> {
        self.state(table).await?.relation_from(snapshot, column, least).await
    }

    /// As [`State::relation_of`], now.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn relation_of(&self, table: &TableIdent, files: &[String]) -> Result<String> {
        self.state(table).await?.relation_of(files)
    }
}

impl State {
    /// SQL text DuckDB can select from: the rows of a snapshot (the current one by default), with the table's columns
    /// even if it has no rows. Use it as `select ... from <relation> as t`.
    ///
    /// # Errors
    /// As [`Lake::data_files`].
    pub async fn relation(&self, snapshot: Option<i64>) -> Result<String> {
        let files = planned(self.table(), snapshot, self.table().scan()).await?;
        self.relation_of(&files)
    }

    /// As [`Self::relation`], but only of files that may hold rows with `column` at or above `least`, which the
    /// manifests tell; rows below it may be among them.
    ///
    /// # Errors
    /// As [`Lake::data_files`].
    pub async fn relation_from(&self, snapshot: Option<i64>, column: &str, least: Datum) -> Result<String> {
        self.relation_of(&self.files_from(snapshot, column, least).await?)
    }

    /// The files of [`Self::relation_from`].
    ///
    /// # Errors
    /// As [`Lake::data_files`].
    pub async fn files_from(&self, snapshot: Option<i64>, column: &str, least: Datum) -> Result<Vec<String>> {
        if self.current_snapshot().is_none() {
            return Ok(Vec::new());
        }
        let filter = Reference::new(column).greater_than_or_equal_to(least);
        planned(self.table(), snapshot, self.table().scan().with_filter(filter)).await
    }

    /// SQL text DuckDB can select from: the rows of these files, with the table's columns.
    ///
    /// # Errors
    /// If a column's type is none of DuckDB's.
    pub fn relation_of(&self, files: &[String]) -> Result<String> {
        Ok(Columns::of(self.table())?.relation(files))
    }
}

/// The columns of a table, which its files may lack.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// A relation with the table's columns and no row.
    pub(super) empty: String,
    /// Whether the table ever had other columns.
    pub(super) is_evolved: bool,
    /// Times without a zone that are UTC: read as the instants they are.
    pub(super) instants: Vec<String>,
}

impl Columns {
    pub(super) fn of(table: &Table) -> Result<Self> {
        let metadata = table.metadata();
        Ok(Self {
            empty: empty_relation(metadata.current_schema())?,
            is_evolved: metadata.schemas_iter().count() > 1,
            instants: sinks::zoneless_instants(table.identifier(), metadata.current_schema()),
        })
    }

    /// SQL text DuckDB can select from: the rows of files, with all columns.
    pub(super) fn relation(&self, files: &[String]) -> String {
        self.select(files, "*", "*")
    }

    /// As [`Self::relation`]; `of_none` and `of_files` are what is selected of no row and of the files' rows.
    pub(super) fn select(&self, files: &[String], of_none: &str, of_files: &str) -> String {
        let stored = self.stored(files, of_none, of_files);
        if self.instants.is_empty() {
            return stored;
        }
        // The session's zone is UTC.
        let instants = self.instants.iter().map(|name| {
            let name = quoted(name);
            format!("{name}::timestamptz as {name}")
        });
        let instants: Vec<_> = instants.collect();
        format!("(select * replace ({}) from {stored} as stored)", instants.join(", "))
    }

    fn stored(&self, files: &[String], of_none: &str, of_files: &str) -> String {
        let none = format!("select {of_none} from {} as columns_only", self.empty);
        if files.is_empty() {
            return format!("({none})");
        }
        let rows = format!("select {of_files} from {} as held", duckdb_relation(files));
        match self.is_evolved {
            // Files older than a column lack it; if all are, only the table knows of it.
            true => format!("({none} union all by name {rows})"),
            false => format!("({rows})"),
        }
    }
}

/// `read_parquet` of files. Partition folders are not columns: their values would shadow the files' own.
#[must_use]
pub fn duckdb_relation(files: &[String]) -> String {
    format!(
        "read_parquet([{}], union_by_name = true, hive_partitioning = false)",
        literals(files)
    )
}

/// What another writer may leave in a table and the files alone do not show.
pub(super) fn row_level_deletes(place: impl std::fmt::Display) -> Error {
    Error::Invalid(format!(
        "{place} has row-level deletes, which another writer left: `weir lake compact` applies them"
    ))
}

fn empty_relation(schema: &Schema) -> Result<String> {
    let columns = schema
        .as_struct()
        .fields()
        .iter()
        .map(|field| {
            Ok(format!(
                "null::{} as {}",
                duckdb_type(&field.field_type)?,
                quoted(&field.name)
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(format!("(select {} where false)", columns.join(", ")))
}

fn duckdb_type(iceberg: &Type) -> Result<String> {
    Ok(match iceberg {
        Type::Primitive(primitive) => match primitive {
            PrimitiveType::Boolean => "boolean".into(),
            PrimitiveType::Int => "integer".into(),
            PrimitiveType::Long => "bigint".into(),
            PrimitiveType::Float => "float".into(),
            PrimitiveType::Double => "double".into(),
            PrimitiveType::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
            PrimitiveType::Date => "date".into(),
            PrimitiveType::Time => "time".into(),
            PrimitiveType::Timestamp => "timestamp".into(),
            PrimitiveType::Timestamptz => "timestamptz".into(),
            PrimitiveType::String => "varchar".into(),
            PrimitiveType::Uuid => "uuid".into(),
            PrimitiveType::Binary | PrimitiveType::Fixed(_) => "blob".into(),
            other => return Err(Error::Invalid(format!("no DuckDB type for {other}"))),
        },
        Type::List(list) => format!("{}[]", duckdb_type(&list.element_field.field_type)?),
        Type::Struct(record) => {
            let fields = record
                .fields()
                .iter()
                .map(|field| Ok(format!("{} {}", quoted(&field.name), duckdb_type(&field.field_type)?)))
                .collect::<Result<Vec<_>>>()?;
            format!("struct({})", fields.join(", "))
        }
        Type::Map(map) => format!(
            "map({}, {})",
            duckdb_type(&map.key_field.field_type)?,
            duckdb_type(&map.value_field.field_type)?
        ),
    })
}

/// Paths of the data files that `scan` plans over a snapshot (the current one by default), sorted.
pub(super) async fn planned(table: &Table, snapshot: Option<i64>, scan: TableScanBuilder<'_>) -> Result<Vec<String>> {
    let scan = match snapshot {
        Some(snapshot) => scan.snapshot_id(snapshot),
        None => scan,
    };
    let mut tasks = scan.build()?.plan_files().await?;
    let mut files = Vec::new();
    while let Some(task) = tasks.try_next().await? {
        if !task.deletes.is_empty() {
            let table_of = table.identifier();
            let past = snapshot.filter(|snapshot| table.metadata().current_snapshot_id() != Some(*snapshot));
            return Err(match past {
                None => row_level_deletes(format_args!("{table_of}: {}", task.data_file_path)),
                Some(past) => Error::Invalid(format!(
                    "{table_of}: snapshot {past} has row-level deletes, which another writer left: \
                     what it says cannot be told any more, but what was said before and after it can"
                )),
            });
        }
        files.push(local(task.data_file_path));
    }
    files.sort_unstable();
    Ok(files)
}

/// A location as DuckDB opens it: a path where it is a local file.
pub(super) fn local(location: String) -> String {
    match write::local_path(&location) {
        Some(path) => path.to_string_lossy().into_owned(),
        None => location,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted() {
        assert_eq!(
            duckdb_relation(&["/a/o'b.parquet".to_owned(), "/c.parquet".to_owned()]),
            "read_parquet(['/a/o''b.parquet', '/c.parquet'], union_by_name = true, hive_partitioning = false)"
        );
    }

    #[test]
    fn an_empty_table_still_has_its_columns_and_duckdb_agrees() {
        let definition = crate::lake::tables::stream_definition(&weir_domain::telemetry::commerce()).unwrap();
        let relation = empty_relation(&definition.schema).unwrap();
        let duckdb = duckdb::Connection::open_in_memory().unwrap();
        let rows: i64 = duckdb
            .query_row(
                &format!("select count(*) + count(occurred_at) from {relation} as t, unnest(t.sales) as s(sale)"),
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(rows, 0);
    }
}
