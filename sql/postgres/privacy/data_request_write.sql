insert into privacy.data_request (shop_id, request_id, customer_id, received_at)
values ($1, $2, $3, $4::timestamptz) on conflict (shop_id, request_id) do nothing
