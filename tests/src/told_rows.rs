//! What PostgreSQL keeps of a shop, as far as it does not depend on who told it: webhooks, bulk operations, or both.

use tokio_postgres::Client;

use crate::Result;

/// The rows as text, sorted. `all`: also what only webhooks can tell.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn read(admin: &Client, all: bool) -> Result<Vec<String>> {
    let mut sql = "
        select 'order_header' || (to_jsonb(t) - '{revision,raw,triggered_at,DATED}'::text[])::text from commerce.order_header as t
        union all select 'order_line_item' || t::text from commerce.order_line_item as t
        union all select 'refund' || (to_jsonb(t) - '{observed_at,triggered_at,is_brief,raw}'::text[])::text from commerce.refund as t
        union all select 'payment' || (to_jsonb(t) - '{raw,triggered_at}'::text[])::text from commerce.payment as t
        union all select 'fulfillment' || (to_jsonb(t) - 'triggered_at')::text from commerce.fulfillment as t
        union all select 'order_return' || (to_jsonb(t) - '{raw,triggered_at}'::text[])::text from commerce.order_return as t
        union all select 'sales_ledger' || t::text from commerce.sales_ledger as t
        union all select 'product' || (to_jsonb(t) - '{raw,triggered_at}'::text[])::text from commerce.product as t
        union all select 'product_variant' || t::text from commerce.product_variant as t
        union all select 'tombstone' || t::text from commerce.tombstone as t"
        // A single reading cannot tell which body was the first.
        .replace(",DATED", if all { "" } else { ",first_updated_at,quantity_since,removed_since" });
    if all {
        for table in ["refund_line_item", "refund_adjustment", "order_edit_line"] {
            sql.push_str(&format!(
                " union all select '{table}' || t::text from commerce.{table} as t"
            ));
        }
    }
    let rows = admin.query(&sql, &[]).await?;
    let mut rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    rows.sort_unstable();
    Ok(rows)
}
