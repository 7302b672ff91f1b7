//! What a stream's SQL may name.

use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DataFusionError, TableReference};
use datafusion_expr::logical_plan::builder::LogicalTableSource;
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{AggregateUDF, ScalarUDF, TableSource, WindowUDF};

/// What DataFusion may know: one table and the scalar functions.
pub(super) struct Catalog {
    stream: String,
    source: Arc<dyn TableSource>,
    functions: Vec<Arc<ScalarUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    pub(super) options: ConfigOptions,
}

impl Catalog {
    pub(super) fn new(stream: &str, input: SchemaRef) -> Self {
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
