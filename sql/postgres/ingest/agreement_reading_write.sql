-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.agreement_reading as old (shop_id, order_id, updated_at)
select unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::timestamptz[])
on conflict (shop_id, order_id) do update set updated_at = excluded.updated_at
where old.updated_at < excluded.updated_at
