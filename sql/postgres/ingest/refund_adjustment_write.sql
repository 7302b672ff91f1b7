-- Arrays are parallel and sorted by key, so that concurrent writers take locks in one order.
insert into commerce.refund_adjustment as old (
    shop_id, order_id, refund_id, adjustment_id, kind, amount_minor, presentment_amount_minor, tax_minor,
    presentment_tax_minor
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::text[]),
    unnest($6::bigint[]), unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::bigint[])
