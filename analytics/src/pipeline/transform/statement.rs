//! The one shape of statement that passes: `insert` of a `select` that is a projection and a filter of immutable functions.

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, LogicalPlan, Volatility};
use datafusion_sql::sqlparser::ast::{Insert, SetExpr, Statement, TableObject};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::place::line_in;

/// The `select` of the one `insert`, and the line it begins on.
pub(super) fn select_of(text: &str, stream: &str) -> std::result::Result<(Statement, u64), (u64, String)> {
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
pub(super) fn row_level(plan: &LogicalPlan) -> std::result::Result<(&[Expr], Option<&Expr>), String> {
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
pub(super) fn immutable(expr: &Expr) -> std::result::Result<(), (String, String)> {
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
