//! Bulk operations and their lines.

use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiClient;
use weir_domain::events::exact_time;
use weir_domain::shopify::bulk::Gid;

use super::columns::Columns;
use super::{cell, run, run_kept, run_script};

const OPERATION_WRITE: &str = include_str!("../../../sql/postgres/bulk/operation_write.sql");
const LINE_WRITE: &str = include_str!("../../../sql/postgres/bulk/line_write.sql");
const ROOTS_READ: &str = include_str!("../../../sql/postgres/bulk/roots_read.sql");
const NODES_READ: &str = include_str!("../../../sql/postgres/bulk/nodes_read.sql");
const PAGE_SALTS_MAKE: &str = include_str!("../../../sql/postgres/bulk/page_salts_make.sql");
const ANALYZE_GROWN: &str = include_str!("../../../sql/postgres/bulk/analyze_grown.sql");

/// A bulk operation; times in microseconds since 1970.
pub struct Operation {
    pub operation_id: i64,
    pub kind: &'static str,
    pub started_at: i64,
    pub received_at: i64,
}

/// A line as it is kept.
pub struct StoredLine {
    pub gid: Gid,
    pub parent: Option<Gid>,
    /// `None` for a line that could not be read.
    pub content: Option<String>,
    pub customer_id: Option<i64>,
    pub raw: Option<String>,
}

/// Analyses the tables of commerce that have more than ten times the pages they had when they last were.
pub fn analyze_grown(client: &mut SpiClient<'_>) {
    run_script(client, ANALYZE_GROWN);
}

/// Makes the salts of whoever the orders, which are locked, name as they are kept and as the operations have read them.
pub fn make_page_salts(client: &mut SpiClient<'_>, shop_id: i64, operations: &[i64], orders: &[i64]) {
    let arguments = [
        DatumWithOid::from(shop_id),
        DatumWithOid::from(orders.to_vec()),
        DatumWithOid::from(operations.to_vec()),
    ];
    run_kept(client, PAGE_SALTS_MAKE, &arguments);
}

/// Makes an operation known.
pub fn write_operation(client: &mut SpiClient<'_>, shop_id: i64, operation: &Operation) {
    let arguments = [
        DatumWithOid::from(shop_id),
        DatumWithOid::from(operation.operation_id),
        DatumWithOid::from(operation.kind),
        DatumWithOid::from(exact_time(operation.started_at)),
        DatumWithOid::from(exact_time(operation.received_at)),
    ];
    run(client, OPERATION_WRITE, &arguments);
}

/// Keeps lines, sorted by key; how many readable ones said something new.
pub fn write_lines(client: &mut SpiClient<'_>, shop_id: i64, operation_id: i64, lines: &[StoredLine]) -> i64 {
    let mut arguments = vec![DatumWithOid::from(shop_id), DatumWithOid::from(operation_id)];
    let columns = Columns::of(lines)
        .text(|row| Some(row.gid.resource.as_str()))
        .int(|row| Some(row.gid.id))
        .text(|row| row.parent.as_ref().map(|parent| parent.resource.as_str()))
        .int(|row| row.parent.as_ref().map(|parent| parent.id))
        .text(|row| row.content.as_deref())
        .int(|row| row.customer_id)
        .text(|row| row.raw.as_deref());
    arguments.extend(columns.build());
    run(client, LINE_WRITE, &arguments)
        .next()
        .map_or(0, |row| cell(&row, 1))
}

/// Numbers of the next roots that the operations have read.
pub fn read_roots(
    client: &mut SpiClient<'_>,
    shop_id: i64,
    operations: &[i64],
    resource: &str,
    after: i64,
    limit: usize,
) -> Vec<i64> {
    let arguments = [
        DatumWithOid::from(shop_id),
        DatumWithOid::from(operations.to_vec()),
        DatumWithOid::from(resource),
        DatumWithOid::from(after),
        DatumWithOid::from(i64::try_from(limit).unwrap_or(i64::MAX)),
    ];
    run(client, ROOTS_READ, &arguments).map(|row| cell(&row, 1)).collect()
}

/// The lines of roots and all below them with the operation of each, in the sequence of the operations.
pub fn read_nodes(
    client: &mut SpiClient<'_>,
    shop_id: i64,
    operations: &[i64],
    roots: &[(&str, i64)],
) -> Vec<(i64, StoredLine)> {
    let mut arguments = vec![DatumWithOid::from(shop_id), DatumWithOid::from(operations.to_vec())];
    let columns = Columns::of(roots).text(|root| Some(root.0)).int(|root| Some(root.1));
    arguments.extend(columns.build());
    let rows = run(client, NODES_READ, &arguments);
    rows.map(|row| {
        let optional = |ordinal: usize| row.get::<String>(ordinal).ok().flatten();
        let number = |ordinal: usize| row.get::<i64>(ordinal).ok().flatten();
        let parent = optional(4).zip(number(5)).map(|(resource, id)| Gid { resource, id });
        let line = StoredLine {
            gid: Gid {
                resource: cell(&row, 2),
                id: cell(&row, 3),
            },
            parent,
            content: optional(6),
            customer_id: number(7),
            raw: optional(8),
        };
        (cell(&row, 1), line)
    })
    .collect()
}
