-- No row: the shop is known with another currency, in which amounts of it are stored: prices, or what came of orders. What was before is null for a new shop. clock_timestamp(): a registration
-- may have waited for a redaction. A shop that was forgotten is made known here anew.
with known as (select iana_time_zone, shop_domain, currency from commerce.shop where shop_id = $1)
insert into commerce.shop as old (shop_id, shop_domain, name, iana_time_zone, currency)
values ($1, $2, $3, $4, $5)
on conflict (shop_id) do update set
    shop_domain = excluded.shop_domain, name = coalesce(excluded.name, old.name),
    iana_time_zone = excluded.iana_time_zone, currency = excluded.currency, updated_at = clock_timestamp(),
    registered_at = case
        when exists (
            select from privacy.redaction as redaction
            where redaction.shop_id = old.shop_id and redaction.subject = 'shop' and redaction.redacted_at >= old.updated_at
        ) then clock_timestamp() else old.registered_at
    end
where old.currency = excluded.currency or not (
    exists (select from commerce.order_header as header where header.shop_id = old.shop_id)
    or exists (
        select from commerce.product_variant as variant
        where variant.shop_id = old.shop_id and (variant.price_minor is not null or variant.price_text is not null)
    )
)
returning json_build_object('shop_id', shop_id, 'shop_domain', shop_domain, 'iana_time_zone', iana_time_zone,
    'currency', currency, 'name', name, 'previous_time_zone', (select known.iana_time_zone from known),
    'previous_shop_domain', (select known.shop_domain from known),
    'previous_currency', (select known.currency from known))::text
