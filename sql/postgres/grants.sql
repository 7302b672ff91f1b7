-- Runs after every migration; repeatable. What the Workers call runs with its owner's rights (security definer, search_path
-- pinned), so weir_edge executes the API and has no right on a table: the secret of the tombstones and the salts of the
-- customers never leave by its login.
grant usage on schema weir to weir_edge, weir_admin, weir_reader;
grant execute on function weir.ingest(json), weir.ingest(text), weir.objective_snapshot(), weir.objective_changes(bigint),
    weir.ingest_bulk(text, text, json), weir.ingest_bulk(text, text, text), weir.bulk_events(text, json),
    weir.bulk_events(text, text), weir.reconcile(text, date, date), weir.order_event(bigint[]), weir.version(),
    weir.record_interactions(json), weir.publication_catalogue(text), weir.known_ids(text, json),
    weir.registration(text),
    weir.redact_customer(json), weir.redact_shop(json)
to weir_edge;
revoke all on schema commerce, configuration, privacy, publication from weir_edge;

-- By name: a schema may have been there before weir, with tables of an application. Earlier versions gave weir_edge and weir_reader
-- more.
do $$
declare
    tables constant text := '
        commerce.agreement_reading, commerce.agreement_sale, commerce.bulk_line, commerce.bulk_operation, commerce.customer,
        commerce.fulfillment, commerce.fulfillment_line_item, commerce.order_edit_line, commerce.order_header,
        commerce.order_line_item, commerce.order_return, commerce.payment, commerce.product, commerce.product_variant,
        commerce.refund, commerce.refund_adjustment, commerce.refund_line_item, commerce.sales_agreement, commerce.sales_ledger,
        commerce.shop, commerce.tombstone, commerce.webhook_delivery, commerce.order_enriched, configuration.macrodata_artifact,
        configuration.objective_change, configuration.schema_migration, privacy.data_request, privacy.redacted_order,
        privacy.redaction, privacy.salt, privacy.secret, publication.catalogue, publication.item, publication.link,
        publication.program, publication.publication_telemetry, publication.publisher
    ';
begin
    execute 'revoke all on ' || tables || ' from weir_edge, weir_reader';
    execute 'grant select, insert, update, delete on ' || tables || ' to weir_admin';
end
$$;

grant execute on function weir.version(), weir.reconcile(text, date, date), weir.registration(text) to weir_reader;
grant usage on schema commerce, configuration, publication to weir_reader;
-- What names no person, and no payload.
grant select on commerce.order_enriched, commerce.shop, commerce.product, commerce.product_variant, commerce.sales_ledger,
    configuration.macrodata_artifact, configuration.objective_change, configuration.schema_migration,
    publication.publisher, publication.item, publication.program
to weir_reader;

grant execute on all functions in schema weir to weir_admin;
grant usage on schema commerce, configuration, privacy, publication to weir_admin;
