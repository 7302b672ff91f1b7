-- gen_random_uuid is PostgreSQL's own strong generator; two of them are 244 random bits.
insert into privacy.salt (shop_id, customer_id, salt)
select unnest($1::bigint[]), unnest($2::bigint[]), gen_random_uuid()::text || gen_random_uuid()::text
on conflict (shop_id, customer_id) do nothing
