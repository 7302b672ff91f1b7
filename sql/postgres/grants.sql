-- Runs after every migration; repeatable. Functions of weir run with the rights of their caller (no security definer), so
-- weir_edge holds exactly the table rights that weir.ingest needs: it reads the objectives, it truncates and defines nothing.
grant usage on schema weir to weir_edge, weir_admin, weir_reader;
grant execute on function weir.ingest(json), weir.ingest(text), weir.objective_snapshot(), weir.objective_changes(bigint),
    weir.ingest_bulk(text, text, json), weir.ingest_bulk(text, text, text), weir.bulk_events(text, json),
    weir.bulk_events(text, text), weir.reconcile(text, date, date), weir.order_event(bigint[]), weir.version(),
    weir.record_interactions(json), weir.publication_catalogue(text), weir.known_ids(text, json)
to weir_edge;
grant usage on schema commerce, configuration, privacy to weir_edge;
grant select on configuration.macrodata_artifact, configuration.objective_change to weir_edge;
grant select on all tables in schema commerce to weir_edge;
grant insert, update on
    commerce.order_header, commerce.product, commerce.refund, commerce.payment, commerce.fulfillment,
    commerce.order_edit_line, commerce.order_return, commerce.agreement_reading, commerce.bulk_line, commerce.tombstone,
    commerce.customer
to weir_edge;
grant insert, delete on
    commerce.order_line_item, commerce.product_variant, commerce.refund_line_item, commerce.refund_adjustment,
    commerce.sales_ledger, commerce.fulfillment_line_item
to weir_edge;
grant insert on
    commerce.webhook_delivery, commerce.sales_agreement, commerce.agreement_sale, commerce.bulk_operation
to weir_edge;
grant select, insert on privacy.salt to weir_edge;
grant usage on schema publication to weir_edge;
grant select on all tables in schema publication to weir_edge;
grant insert on publication.publication_telemetry to weir_edge;
grant update (event_keys) on publication.publication_telemetry to weir_edge;
-- Forgetting runs with its owner's rights: the Workers may ask for it, and cannot delete anything themselves.
grant execute on function weir.redact_customer(json), weir.redact_shop(json) to weir_edge;
grant select on privacy.redaction, privacy.redacted_order, privacy.secret to weir_edge;
grant insert on privacy.data_request to weir_edge;
grant select (shop_id, request_id) on privacy.data_request to weir_edge;

grant execute on function weir.version(), weir.reconcile(text, date, date) to weir_reader;
grant usage on schema commerce, configuration, publication to weir_reader;
-- What names no person, and no payload. Earlier versions gave all tables.
revoke select on all tables in schema commerce, publication from weir_reader;
grant select on commerce.order_enriched, commerce.shop, commerce.product, commerce.product_variant, commerce.sales_ledger,
    publication.publisher, publication.item, publication.program
to weir_reader;
grant select on all tables in schema configuration to weir_reader;

grant execute on all functions in schema weir to weir_admin;
grant usage on schema commerce, configuration, privacy, publication to weir_admin;
grant select, insert, update, delete on all tables in schema commerce, configuration, privacy, publication to weir_admin;
