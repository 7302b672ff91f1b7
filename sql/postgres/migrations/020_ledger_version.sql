-- A newer version of weir may make another ledger of the same facts. A ledger that an earlier one wrote is read instead of
-- reckoned, and written anew when its order is written next, or by a backfill. Null: written before versions were counted, or
-- no ledger was written yet.
alter table commerce.order_header add column ledger_version smallint;
comment on column commerce.order_header.ledger_version is 'Version of the rules by which commerce.sales_ledger was written, null if older than 1 [IAO: version number]';
