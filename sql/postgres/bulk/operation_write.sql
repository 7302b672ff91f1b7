-- Makes an operation known. One whose lines are read again, as a replay does, is of today: weir.purge_deliveries between two of
-- its chunks would leave half of its orders.
insert into commerce.bulk_operation as old (shop_id, operation_id, kind, started_at, received_at)
values ($1, $2, $3, $4::timestamptz, $5::timestamptz)
on conflict (shop_id, operation_id) do update set received_at = greatest(old.received_at, excluded.received_at)
