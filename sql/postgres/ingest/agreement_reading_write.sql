-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.agreement_reading as old (shop_id, order_id, updated_at)
select new.shop_id, new.order_id, new.updated_at::timestamptz
from unnest($1::bigint[], $2::bigint[], $3::text[]) as new (shop_id, order_id, updated_at)
on conflict (shop_id, order_id) do update set updated_at = excluded.updated_at
where old.updated_at < excluded.updated_at
