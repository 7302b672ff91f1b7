-- gen_random_uuid is PostgreSQL's own strong generator; two of them are 244 random bits.
insert into privacy.salt (shop_id, customer_id, salt)
select shop_id, customer_id, gen_random_uuid()::text || gen_random_uuid()::text
from unnest($1::bigint[], $2::bigint[]) as asked (shop_id, customer_id)
on conflict (shop_id, customer_id) do nothing
