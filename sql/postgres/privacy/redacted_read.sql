-- Which of the customers ($1, $2) were forgotten, and which were merged into whom; customer 0 stands for the whole shop. A shop
-- that registers anew after its redaction is a new shop. Of somebody forgotten the merged ones are forgotten too. And which
-- of the orders ($3, $4) were redacted; only then the order's id is not null, and the customer's is.
-- Each is looked up by its key, whatever the tables hold; a digest is computed where somebody of the shop was forgotten.
select told.shop_id, told.customer_id, case when not told.is_redacted then told.merged_into end as merged_into,
    null::bigint as order_id
from (
    select asked.shop_id, asked.customer_id, coalesce(case
        when (
            select true from privacy.redaction as anybody where anybody.shop_id = asked.shop_id limit 1
        ) is null then false
        when asked.customer_id = 0 then (
            select redaction.redacted_at >= (
                select shop.updated_at from commerce.shop as shop where shop.shop_id = redaction.shop_id
            )
            from privacy.redaction as redaction
            where redaction.shop_id = asked.shop_id and redaction.subject = 'shop' and redaction.subject_digest = ''
        )
        else (
            select true from privacy.redaction as redaction
            where redaction.shop_id = asked.shop_id and redaction.subject = 'customer'
                and redaction.subject_digest = privacy.subject_digest(asked.shop_id, asked.customer_id)
        )
    end, false) as is_redacted, (
        select known.merged_into from commerce.customer as known
        where known.shop_id = asked.shop_id and known.customer_id = asked.customer_id
    ) as merged_into
    from unnest($1::bigint[], $2::bigint[]) as asked (shop_id, customer_id)
    offset 0 -- else PostgreSQL would write the look-ups out for each of their uses
) as told
where told.is_redacted or told.merged_into is not null
union all
select asked.shop_id, null, null, asked.order_id
from unnest($3::bigint[], $4::bigint[]) as asked (shop_id, order_id)
where (
    select true from privacy.redacted_order as redacted
    where redacted.shop_id = asked.shop_id and redacted.order_id = asked.order_id
)
