//! A stream's SQL: `insert into <stream>_sink select ... from <stream>`, one row in, at most one row out.
//!
//! Planned by DataFusion, on which Cloudflare's engine is built, so that what plans here plans there. Only a projection
//! and a filter of immutable functions pass: rows are transformed once when they come and once more when a journal is read
//! again after a crash, and both must give the same.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, TableReference};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::logical_plan::builder::LogicalTableSource;
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{AggregateUDF, Expr, LogicalPlan, ScalarUDF, TableSource, Volatility, WindowUDF};
use datafusion_optimizer::analyzer::Analyzer;
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_physical_expr::{create_physical_expr, PhysicalExpr};
use datafusion_sql::planner::{ParserOptions, SqlToRel};
use datafusion_sql::sqlparser::ast::{Insert, SetExpr, Statement, TableObject};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use crate::{Error, Result};

/// The SQL of each stream as it is checked in, by the stream's name.
const CHECKED_IN: [(&str, &str); 3] = [
    ("commerce_v1", include_str!("../../../sql/pipelines/commerce_v1.sql")),
    (
        "publication_v1",
        include_str!("../../../sql/pipelines/publication_v1.sql"),
    ),
    ("sync_v1", include_str!("../../../sql/pipelines/sync_v1.sql")),
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
        .ok_or_else(|| Error::Invalid(format!("{stream} has no SQL; write sql/pipelines/{stream}.sql")))
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

/// The `select` of the one `insert`, and the line it begins on.
fn select_of(text: &str, stream: &str) -> std::result::Result<(Statement, u64), (u64, String)> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, text).map_err(|error| {
        let reason = error.to_string();
        (line_in(&reason).unwrap_or(1), reason)
    })?;
    let usage = format!("expected one statement: insert into {stream}_sink select ... from {stream}");
    let (
        Some(Statement::Insert(Insert {
            table,
            source: Some(query),
            insert_token,
            ..
        })),
        true,
    ) = (statements.pop(), statements.is_empty())
    else {
        return Err((1, usage));
    };
    let line = insert_token.0.span.start.line;
    match table {
        TableObject::TableName(name) if name.to_string() == format!("{stream}_sink") => {}
        other => return Err((line, format!("inserts into {other}; {usage}"))),
    }
    if !matches!(*query.body, SetExpr::Select(_)) {
        return Err((line, usage));
    }
    Ok((Statement::Query(query), line))
}

/// Projection and filter of a plan that has nothing else.
fn row_level(plan: &LogicalPlan) -> std::result::Result<(&[Expr], Option<&Expr>), String> {
    let LogicalPlan::Projection(projection) = plan else {
        return Err(format!(
            "not row-level: {} is not allowed in a stream's SQL",
            node(plan)
        ));
    };
    match projection.input.as_ref() {
        LogicalPlan::TableScan(_) => Ok((&projection.expr, None)),
        LogicalPlan::Filter(filter) if matches!(filter.input.as_ref(), LogicalPlan::TableScan(_)) => {
            Ok((&projection.expr, Some(&filter.predicate)))
        }
        LogicalPlan::Filter(filter) => Err(format!("not row-level: {} is not allowed", node(&filter.input))),
        other => Err(format!(
            "not row-level: {} is not allowed in a stream's SQL",
            node(other)
        )),
    }
}

fn node(plan: &LogicalPlan) -> String {
    plan.display()
        .to_string()
        .split(':')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Functions whose result depends on anything but their arguments are refused, with their name.
fn immutable(expr: &Expr) -> std::result::Result<(), (String, String)> {
    let mut found = None;
    // The closure does not fail, so neither does the walk.
    let _ = expr.apply(|part| {
        match part {
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                found = Some(call.func.name().to_owned());
                return Ok(TreeNodeRecursion::Stop);
            }
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
                found = Some("select".to_owned());
                return Ok(TreeNodeRecursion::Stop);
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    match found {
        Some(name) => {
            let reason = format!("{name} is not allowed: its value depends on more than the row");
            Err((name, reason))
        }
        None => Ok(()),
    }
}

fn first_line(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    text.lines().next().unwrap_or_default().to_owned()
}

fn line_of(error: &DataFusionError) -> Option<u64> {
    error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span.as_ref().map(|span| span.start.line))
        .or_else(|| line_in(&error.to_string()))
}

/// The number after `Line: ` in a parser's message.
fn line_in(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("Line: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn line_naming(text: &str, word: &str) -> Option<u64> {
    let is_word = |line: &str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|part| part == word)
    };
    let index = text
        .lines()
        .position(|line| !line.trim_start().starts_with("--") && is_word(line))?;
    u64::try_from(index).ok().map(|index| index + 1)
}

/// What DataFusion may know: one table and the scalar functions.
struct Catalog {
    stream: String,
    source: Arc<dyn TableSource>,
    functions: Vec<Arc<ScalarUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    options: ConfigOptions,
}

impl Catalog {
    fn new(stream: &str, input: SchemaRef) -> Self {
        Self {
            stream: stream.to_owned(),
            source: Arc::new(LogicalTableSource::new(input)),
            functions: datafusion_functions::all_default_functions(),
            planners: vec![
                Arc::new(datafusion_functions::core::planner::CoreFunctionPlanner::default()),
                Arc::new(datafusion_functions::datetime::planner::DatetimeFunctionPlanner),
                Arc::new(datafusion_functions::unicode::planner::UnicodeFunctionPlanner),
            ],
            options: ConfigOptions::default(),
        }
    }
}

impl ContextProvider for Catalog {
    fn get_table_source(&self, name: TableReference) -> datafusion_common::Result<Arc<dyn TableSource>> {
        if name.table() == self.stream && name.schema().is_none() {
            return Ok(self.source.clone());
        }
        Err(DataFusionError::Plan(format!(
            "there is no stream {name} here; the SQL of {} reads {} only",
            self.stream, self.stream
        )))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let is_called = |function: &&Arc<ScalarUDF>| {
            function.name() == name || function.aliases().iter().any(|alias| alias == name)
        };
        self.functions.iter().find(is_called).cloned()
    }

    fn get_aggregate_meta(&self, _: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions
            .iter()
            .map(|function| function.name().to_owned())
            .collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
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
