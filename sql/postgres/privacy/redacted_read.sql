-- Which of the customers ($1, $2) were forgotten, and which were merged into whom; customer 0 stands for the whole shop. A shop
-- that registers anew after its redaction is a new shop. Of somebody forgotten the merged ones are forgotten too. And which
-- of the orders ($3, $4) were redacted; only then the order's id is not null, and the customer's is.
select asked.shop_id, asked.customer_id, null::bigint as merged_into, null::bigint as order_id
from unnest($1::bigint[], $2::bigint[]) as asked (shop_id, customer_id)
join privacy.redaction as redaction
    on redaction.shop_id = asked.shop_id and redaction.subject = 'customer' and asked.customer_id <> 0
    and redaction.subject_digest = privacy.subject_digest(asked.shop_id, asked.customer_id)
union all
select shop.shop_id, 0, null, null
from unnest($1::bigint[], $2::bigint[]) as asked (shop_id, customer_id)
join commerce.shop as shop on shop.shop_id = asked.shop_id and asked.customer_id = 0
join privacy.redaction as redaction
    on redaction.shop_id = shop.shop_id and redaction.subject = 'shop' and redaction.redacted_at >= shop.updated_at
union all
select known.shop_id, known.customer_id, known.merged_into, null
from unnest($1::bigint[], $2::bigint[]) as asked (shop_id, customer_id)
join commerce.customer as known on known.shop_id = asked.shop_id and known.customer_id = asked.customer_id
where known.merged_into is not null
union all
select redacted.shop_id, null, null, redacted.order_id
from unnest($3::bigint[], $4::bigint[]) as asked (shop_id, order_id)
join privacy.redacted_order as redacted on redacted.shop_id = asked.shop_id and redacted.order_id = asked.order_id
