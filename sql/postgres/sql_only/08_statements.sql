-- The statements that the extension runs, as functions: one statement a table, arrays parallel and sorted by key, so that
-- concurrent writers take locks in one order. The texts are the very files the extension is built from.

select weir_sql.define('order_header_lock', 'bigint[], bigint[]', 'table (shop_id bigint, id bigint)', :'order_header_lock');
select weir_sql.define('product_lock', 'bigint[], bigint[]', 'table (shop_id bigint, id bigint)', :'product_lock');
select weir_sql.define('orders_read', 'bigint[], bigint[]',
    'table (shop_id bigint, order_id bigint, state text, old_ledger text)',
    replace(:'orders_read', '$3::smallint', 'weir_sql.ledger_version()'));
select weir_sql.define('products_read', 'bigint[], bigint[]', 'table (shop_id bigint, product_id bigint, state text)',
    :'products_read');
select weir_sql.define('deliveries_read', 'bigint[], text[], text[]',
    'table (shop_id bigint, topic text, webhook_id text, event_keys text)', :'deliveries_read');
select weir_sql.define('salts_make', 'bigint[], bigint[]', 'void', :'salts_make');
select weir_sql.define('salts_read', 'bigint[], bigint[]', 'table (shop_id bigint, customer_id bigint, salt text)',
    :'salts_read');

-- The body is jsonb here already: as text it would be written out and parsed once more.
select weir_sql.define('order_header_write', 'bigint[], bigint[], text[], text[], text[], text[], text[], text[], text[],
    text[], text[], boolean[], boolean[], text[], text[], bigint[], bigint[], text[], bigint[], jsonb[], text[], text[], text[],
    text[], text[], text[], text[], jsonb[], jsonb[], jsonb[]', 'void', replace(replace(:'order_header_write', '$20::text[]', '$20::jsonb[]'), '$31::smallint',
    'weir_sql.ledger_version()'));
select weir_sql.define('order_line_item_clear', 'bigint[], bigint[]', 'void', :'order_line_item_clear');
select weir_sql.define('order_line_item_write', 'bigint[], bigint[], bigint[], bigint[], bigint[], text[], text[],
    boolean[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[],
    boolean[]', 'void', :'order_line_item_write');
select weir_sql.define('refund_write', 'bigint[], bigint[], bigint[], text[], text[], text[], text[], bigint[], text[],
    boolean[], text[], bigint[]', 'void', :'refund_write');
select weir_sql.define('refund_line_item_clear', 'bigint[], bigint[]', 'void', :'refund_line_item_clear');
select weir_sql.define('refund_line_item_write', 'bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], boolean[],
    bigint[], text[], bigint[], bigint[], bigint[], bigint[], boolean[]', 'void', :'refund_line_item_write');
select weir_sql.define('refund_adjustment_clear', 'bigint[], bigint[]', 'void', :'refund_adjustment_clear');
select weir_sql.define('refund_adjustment_write', 'bigint[], bigint[], bigint[], bigint[], text[], bigint[], bigint[],
    bigint[], bigint[]', 'void', :'refund_adjustment_write');
select weir_sql.define('payment_write', 'bigint[], bigint[], bigint[], bigint[], text[], text[], text[], bigint[], text[],
    boolean[], text[], text[], text[], text[]', 'void', :'payment_write');
select weir_sql.define('fulfillment_write', 'bigint[], bigint[], bigint[], text[], text[], text[], text[], text[], text[]',
    'void', :'fulfillment_write');
select weir_sql.define('order_edit_line_write', 'bigint[], bigint[], bigint[], bigint[], text[], bigint[], bigint[]',
    'void', :'order_edit_line_write');
select weir_sql.define('order_return_write', 'bigint[], bigint[], bigint[], text[], text[], text[], text[], text[]', 'void',
    :'order_return_write');
select weir_sql.define('sales_ledger_clear', 'bigint[], bigint[]', 'void', :'sales_ledger_clear');
select weir_sql.define('sales_ledger_write', 'bigint[], bigint[], text[], text[], text[], bigint[], bigint[], bigint[],
    bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]', 'void', :'sales_ledger_write');
select weir_sql.define('product_write', 'bigint[], bigint[], text[], text[], text[], text[], text[], text[], text[],
    text[], text[]', 'void', :'product_write');
select weir_sql.define('product_variant_clear', 'bigint[], bigint[]', 'void', :'product_variant_clear');
select weir_sql.define('product_variant_write', 'bigint[], bigint[], bigint[], text[], text[], bigint[], text[],
    text[], text[]', 'void', :'product_variant_write');
select weir_sql.define('fulfillment_line_item_clear', 'bigint[], bigint[]', 'void', :'fulfillment_line_item_clear');
select weir_sql.define('fulfillment_line_item_write', 'bigint[], bigint[], bigint[], bigint[], bigint[]', 'void',
    :'fulfillment_line_item_write');
select weir_sql.define('customer_write', 'bigint[], bigint[], text[], text[], boolean[], text[], text[], boolean[],
    boolean[], text[], text[], text[], text[]', 'void', :'customer_write');
select weir_sql.define('tombstone_write', 'bigint[], text[], bigint[], text[]', 'void', :'tombstone_write');
select weir_sql.define('webhook_delivery_write', 'bigint[], text[], text[], text[], text[]', 'void',
    :'webhook_delivery_write');

-- What an advisory lock returns is nothing, which plpgsql neither leaves unread nor takes into a variable.
select weir_sql.define('lock_shared', 'bigint', 'void',
    E'perform weir_sql.require_read_committed();\nperform * from (\n' || :'lock_shared' || E'\n) as locked');
select weir_sql.define('lock_exclusive', 'bigint', 'void',
    E'perform weir_sql.require_read_committed();\nperform * from (\n' || :'lock_exclusive' || E'\n) as locked');
select weir_sql.define('redacted_read', 'bigint[], bigint[], bigint[], bigint[]',
    'table (shop_id bigint, customer_id bigint, merged_into bigint, order_id bigint)', :'redacted_read');
select weir_sql.define('data_request_write', 'bigint, bigint, bigint, text', 'void', :'data_request_write');
select weir_sql.define('customer_merge', 'bigint, bigint, bigint, text', 'void', :'customer_merge');
select weir_sql.define('redact_customer', 'bigint, bigint, bigint[]', 'text', :'redact_customer');
select weir_sql.define('redact_shop', 'bigint, text, bigint', 'text', :'redact_shop');
select weir_sql.define('shop_renewed', 'bigint, text', 'text', :'shop_renewed');
select weir_sql.define('customer_data', 'bigint, bigint', 'table (data text, salts text, domains text)', :'customer_data');
select weir_sql.define('shop_of_person', 'text', 'bigint', :'shop_of_person');

select weir_sql.define('sales_agreement_write', 'bigint[], bigint[], bigint[], text[], text[], bigint[], bigint[]', 'void',
    :'sales_agreement_write');
select weir_sql.define('agreement_sale_write', 'bigint[], bigint[], bigint[], bigint[], text[], text[], bigint[], bigint[],
    bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]', 'void', :'agreement_sale_write');
select weir_sql.define('agreement_reading_write', 'bigint[], bigint[], text[]', 'void', :'agreement_reading_write');

select weir_sql.define('page_salts_make', 'bigint, bigint[], bigint[]', 'void', :'page_salts_make');
select weir_sql.define('bulk_operation_write', 'bigint, bigint, text, text, text', 'void', :'operation_write');
select weir_sql.define('bulk_line_write', 'bigint, bigint, text[], bigint[], text[], bigint[], text[], bigint[], text[]',
    'bigint', :'line_write');
select weir_sql.define('bulk_roots_read', 'bigint, bigint[], text, bigint, bigint', 'setof bigint', :'roots_read');
select weir_sql.define('bulk_nodes_read', 'bigint, bigint[], text[], bigint[]', 'table (operation_id bigint, resource text,
    node_id bigint, parent_resource text, parent_id bigint, content text, customer_id bigint, raw text)', :'nodes_read');

select weir_sql.define('interaction_write', 'bigint[], text[], text[], text[], text[], text[], text[], text[], text[],
    text[], bigint[], bigint[], text[], text[], text[], text[], text[], text[], boolean[], float8[]',
    'table (shop_id bigint, event_id text)', :'interaction_write');
select weir_sql.define('interactions_read', 'bigint[], text[]', 'table (shop_id bigint, event_id text, event_keys text)',
    :'interactions_read');
select weir_sql.define('interaction_events_write', 'bigint[], text[], text[]', 'void', :'interaction_events_write');
select weir_sql.define('catalogue_lock', 'bigint', 'void', :'catalogue_lock');
select weir_sql.define('catalogue_write', 'bigint, text', 'bigint', :'catalogue_write');
select weir_sql.define('catalogue_dangling', 'bigint', 'text', :'catalogue_dangling');
select weir_sql.define('catalogue_revise', 'bigint, bigint, text', 'text', :'catalogue_revise');
select weir_sql.define('catalogue_read', 'text', 'text', :'catalogue_read');

select weir_sql.define('shop_orders', 'bigint, bigint, bigint', 'table (id bigint)', :'shop_orders');
select weir_sql.define('shop_domain', 'bigint', 'text', :'shop_domain');
select weir_sql.define('shop_register', 'bigint, text, text, text, text, boolean', 'text', :'shop_register');
select weir_sql.define('objective_publish', 'text, text', 'text', :'objective_publish');
select weir_sql.define('objective_snapshot', '', 'text', :'objective_snapshot');
select weir_sql.define('objective_changes', 'bigint', 'text', :'objective_changes');
select weir_sql.define('orders_of_shops', 'bigint[]', 'table (shop_id bigint, order_id bigint, shop_domain text)',
    :'orders_of_shops');
select weir_sql.define('reconcile', 'bigint, date, date', 'text', :'reconcile');
select weir_sql.define('shop_registration', 'text', 'text', :'shop_registration');
select weir_sql.define('known_ids', 'bigint, text, text, text, bigint, bigint', 'table (id bigint)', :'known_ids');
select weir_sql.define('purge_deliveries', 'interval', 'bigint', :'purge_deliveries');
