//! A stream's SQL: `insert into <stream>_sink select ... from <stream>`, one row in, at most one row out.
//!
//! Planned by DataFusion, on which Cloudflare's engine is built, so that what plans here plans there. Only a projection
//! and a filter of immutable functions pass: rows are transformed once when they come and once more when a journal is read
//! again after a crash, and both must give the same.
//!
//! - [`statement`]: what the text may be.  - [`catalog`]: what it may name.  - [`place`]: where an error is in it.

mod catalog;
mod place;
mod statement;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion_common::{DFSchema, DataFusionError};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::Expr;
use datafusion_optimizer::analyzer::Analyzer;
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_physical_expr::{create_physical_expr, PhysicalExpr};
use datafusion_sql::planner::{ParserOptions, SqlToRel};

use crate::{Error, Result};
use catalog::Catalog;
use place::{first_line, line_naming, line_of};
use statement::{immutable, row_level, select_of};

/// The SQL of each stream as it is checked in, by the stream's name.
const CHECKED_IN: [(&str, &str); 3] = [
    ("commerce_v1", include_str!("../../../../sql/pipelines/commerce_v1.sql")),
    (
        "publication_v1",
        include_str!("../../../../sql/pipelines/publication_v1.sql"),
    ),
    ("sync_v1", include_str!("../../../../sql/pipelines/sync_v1.sql")),
];

/// A planned transform.
#[derive(Debug)]
pub struct Transform {
    filter: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<(String, Arc<dyn PhysicalExpr>)>,
}

/// Text of a stream's transform and the name errors call it by: from `folder` if one is given, else as checked in.
///
/// # Errors
/// [`Error::Invalid`] if there is none or it cannot be read.
pub fn text_of(stream: &str, folder: Option<&Path>) -> Result<(String, String)> {
    if let Some(folder) = folder {
        let path = folder.join(format!("{stream}.sql"));
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| Error::Invalid(format!("{name}: {error}")))?;
        return Ok((name, text));
    }
    CHECKED_IN
        .iter()
        .find(|(name, _)| *name == stream)
        .map(|(name, text)| (format!("sql/pipelines/{name}.sql"), (*text).to_owned()))
        .ok_or_else(|| {
            Error::Invalid(format!(
                "{stream} has no SQL: sql/pipelines/{stream}.sql is missing or not built in"
            ))
        })
}

impl Transform {
    /// Plans the SQL in `text`, which must read `stream` (rows of `input`) and give the columns of `output`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with file, line and reason.
    pub fn plan(file: &str, text: &str, stream: &str, input: &SchemaRef, output: &SchemaRef) -> Result<Self> {
        let at = |line: u64, reason: &str| Error::Invalid(format!("{file}:{line}: {reason}"));
        let (query, line) = select_of(text, stream).map_err(|(line, reason)| at(line, &reason))?;
        let failed = |error: DataFusionError| at(line_of(&error).unwrap_or(line), &first_line(&error));
        let catalog = Catalog::new(stream, input.clone());
        let options = ParserOptions {
            collect_spans: true,
            map_string_types_to_utf8view: false,
            ..ParserOptions::default()
        };
        let plan = SqlToRel::new_with_options(&catalog, options)
            .sql_statement_to_plan(query)
            .map_err(failed)?;
        let plan = Analyzer::new()
            .execute_and_check(plan, &catalog.options, |_, _| {})
            .map_err(failed)?;
        let (projection, filter) = row_level(&plan).map_err(|reason| at(line, &reason))?;
        for expr in projection.iter().chain(filter) {
            immutable(expr).map_err(|reason| at(line_naming(text, &reason.0).unwrap_or(line), &reason.1))?;
        }
        let rows = Arc::new(DFSchema::try_from_qualified_schema(stream, input).map_err(failed)?);
        let props = ExecutionProps::new();
        // Some functions, such as coalesce, exist only until they are simplified.
        let simplifier = ExprSimplifier::new(SimplifyContext::default().with_schema(rows.clone()));
        let physical = |expr: &Expr| {
            let expr = simplifier.simplify(expr.clone()).map_err(failed)?;
            create_physical_expr(&expr, &rows, &props).map_err(failed)
        };
        let transform = Self {
            filter: filter.map(physical).transpose()?,
            columns: projection
                .iter()
                .map(|expr| Ok((expr.qualified_name().1, physical(expr)?)))
                .collect::<Result<Vec<_>>>()?,
        };
        transform
            .fits(input, output)
            .map_err(|(column, reason)| at(line_naming(text, &column).unwrap_or(line), &reason))?;
        Ok(transform)
    }

    /// Every column is one of the table's, and every required one is there.
    fn fits(&self, input: &Schema, output: &Schema) -> std::result::Result<(), (String, String)> {
        for (name, expr) in &self.columns {
            let Ok(column) = output.field_with_name(name) else {
                return Err((name.clone(), format!("the table has no column {name}")));
            };
            let found = expr
                .data_type(input)
                .map_err(|error| (name.clone(), error.to_string()))?;
            let fits = found == *column.data_type() || castable(&found, column.data_type());
            if !fits {
                let reason = format!("{name} is {found}, and the table's column is {}", column.data_type());
                return Err((name.clone(), reason));
            }
        }
        let lacking = output
            .fields()
            .iter()
            .find(|field| !field.is_nullable() && !self.columns.iter().any(|(name, _)| name == field.name()));
        match lacking {
            Some(field) => Err((
                String::new(),
                format!("the table requires {}, which is not selected", field.name()),
            )),
            None => Ok(()),
        }
    }

    /// The rows that come out for the rows that go in.
    ///
    /// # Errors
    /// If an expression fails on a value, for example a cast of text that is no number.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let failed = |error: DataFusionError| Error::Invalid(format!("the stream's SQL: {}", first_line(&error)));
        let kept;
        let batch = match &self.filter {
            None => batch,
            Some(filter) => {
                let verdicts = filter
                    .evaluate(batch)
                    .and_then(|value| value.into_array(batch.num_rows()))
                    .map_err(failed)?;
                let Some(verdicts) = verdicts.as_any().downcast_ref::<BooleanArray>() else {
                    return Err(Error::Internal("a filter that is no boolean".into()));
                };
                kept = arrow_select::filter::filter_record_batch(batch, verdicts)?;
                &kept
            }
        };
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (name, expr) in &self.columns {
            let array = expr
                .evaluate(batch)
                .and_then(|value| value.into_array(batch.num_rows()))
                .map_err(failed)?;
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        }
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::new(Schema::new(fields)),
            arrays,
            &options,
        )?)
    }
}

/// Only widening: a narrower type would fail on some rows, and only when they come.
fn castable(from: &DataType, to: &DataType) -> bool {
    use DataType::{Float64, Int16, Int32, Int64, Int8, Null, Timestamp, UInt16, UInt32, UInt8, Utf8, Utf8View};
    matches!(
        (from, to),
        (Null, _)
            | (Int8 | Int16 | UInt8 | UInt16, Int32)
            | (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Int64 | Float64)
            | (Utf8View, Utf8)
            | (Timestamp(_, _), Timestamp(_, _))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array, StringArray};

    fn input() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("n", DataType::Int64, true),
        ]))
    }

    fn plan(text: &str) -> Result<Transform> {
        Transform::plan("x.sql", text, "s", &input(), &input())
    }

    fn refusal(text: &str) -> String {
        plan(text).unwrap_err().to_string()
    }

    #[test]
    fn rows_are_filtered_and_columns_computed() {
        let transform =
            plan("-- why\ninsert into s_sink\nselect lower(id) as id, coalesce(n, 0) + 1 as n from s where id <> 'X'")
                .unwrap();
        let batch = RecordBatch::try_new(
            input(),
            vec![
                Arc::new(StringArray::from(vec!["A", "X", "B"])) as ArrayRef,
                Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), Some(1), None])),
            ],
        )
        .unwrap();
        let rows = transform.apply(&batch).unwrap();
        assert_eq!(rows.column(0).as_ref(), &StringArray::from(vec!["a", "b"]));
        assert_eq!(
            rows.column(1).as_primitive::<Int64Type>().values(),
            &[9_007_199_254_740_994, 1]
        );
    }

    #[test]
    fn what_does_not_plan_says_where_and_why() {
        for (text, line, reason) in [
            ("insert into s_sink\nselect id,\n  nn from s", 3, "nn"),
            ("insert into s_sink\nselect id,\n  (n from s", 3, "Expected"),
            ("insert into s_sink\nselect id,\n  nope(n) as n from s", 3, "nope"),
            ("insert into s_sink\nselect id from t", 2, "no stream t"),
            ("insert into other select id from s", 1, "inserts into other"),
            ("select id from s", 1, "expected one statement"),
            ("insert into s_sink\nselect id,\n  n as x from s", 3, "no column x"),
            ("insert into s_sink select n from s", 1, "the table requires id"),
            ("insert into s_sink\nselect id, id as n from s", 2, "n is Utf8"),
        ] {
            let error = refusal(text);
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.starts_with(&format!("x.sql:{line}: ")), "{text}: {error}");
        }
    }

    #[test]
    fn only_what_depends_on_the_row_alone_is_allowed() {
        for (text, line, reason) in [
            (
                "insert into s_sink select id,\n cast(to_unixtime(now()) as bigint) as n from s",
                2,
                "now is not allowed",
            ),
            (
                "insert into s_sink select uuid() as id from s",
                1,
                "uuid is not allowed",
            ),
            (
                "insert into s_sink select distinct id from s",
                1,
                "Distinct is not allowed",
            ),
            ("insert into s_sink select id from s limit 3", 1, "Limit is not allowed"),
            (
                "insert into s_sink select id from s order by n",
                1,
                "Sort is not allowed",
            ),
            (
                "insert into s_sink select a.id from s a join s b on a.id = b.id",
                1,
                "not allowed",
            ),
        ] {
            let error = refusal(text);
            assert!(
                error.contains(reason) && error.starts_with(&format!("x.sql:{line}: ")),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn the_checked_in_transforms_plan() {
        for stream in weir_domain::telemetry::all() {
            let definition = crate::lake::tables::stream_definition(&stream).unwrap();
            let schema = Arc::new(iceberg::arrow::schema_to_arrow_schema(&definition.schema).unwrap());
            let (file, text) = text_of(stream.name, None).unwrap();
            let transform = Transform::plan(&file, &text, stream.name, &schema, &schema).unwrap();
            assert_eq!(
                transform.columns.len(),
                stream.fields.len(),
                "{file} leaves a column out"
            );
        }
    }
}
