insert into commerce.bulk_operation (shop_id, operation_id, kind, started_at, received_at)
values ($1, $2, $3, $4::timestamptz, $5::timestamptz)
on conflict (shop_id, operation_id) do nothing
