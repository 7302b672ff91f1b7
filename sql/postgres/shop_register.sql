-- No row: the shop is known with another currency, in which amounts of it are stored: prices, or what came of orders, and it is not
-- said ($6) that it has another one now. Then orders keep theirs, which each names, and prices go: none says of which currency it
-- is, and the next body of a product tells them. What was before is null for a new shop. clock_timestamp(): a registration
-- may have waited for a redaction. A shop that was forgotten is made known here anew.
with known as (
    select iana_time_zone, shop_domain, currency from commerce.shop where shop_id = $1
), price as (
    update commerce.product_variant as variant set price_minor = null, price_text = null
    where variant.shop_id = $1 and $6 and (select known.currency from known) <> $5
        and (variant.price_minor is not null or variant.price_text is not null)
)
insert into commerce.shop as old (shop_id, shop_domain, name, iana_time_zone, currency)
values ($1, $2, $3, $4, $5)
on conflict (shop_id) do update set
    shop_domain = excluded.shop_domain,
    former_domains = case
        when old.shop_domain = excluded.shop_domain then old.former_domains
        else array_append(array_remove(old.former_domains, excluded.shop_domain), old.shop_domain)
    end,
    name = coalesce(excluded.name, old.name),
    iana_time_zone = excluded.iana_time_zone, currency = excluded.currency, updated_at = clock_timestamp(),
    registered_at = case
        when exists (
            select from privacy.redaction as redaction
            where redaction.shop_id = old.shop_id and redaction.subject = 'shop' and redaction.redacted_at >= old.updated_at
        ) then clock_timestamp() else old.registered_at
    end
-- A row of an order of which nothing with an amount has come yet, as an attribution leaves, holds none.
where $6 or old.currency = excluded.currency or not (
    exists (select from commerce.order_header as header where header.shop_id = old.shop_id and header.updated_at is not null)
    or exists (select from commerce.payment as payment where payment.shop_id = old.shop_id)
    or exists (select from commerce.refund as refund where refund.shop_id = old.shop_id)
    or exists (select from commerce.agreement_sale as sale where sale.shop_id = old.shop_id)
    or exists (
        select from commerce.product_variant as variant
        where variant.shop_id = old.shop_id and (variant.price_minor is not null or variant.price_text is not null)
    )
)
returning json_build_object('shop_id', shop_id, 'shop_domain', shop_domain, 'iana_time_zone', iana_time_zone,
    'currency', currency, 'name', name, 'previous_time_zone', (select known.iana_time_zone from known),
    'previous_shop_domain', (select known.shop_domain from known),
    'previous_currency', (select known.currency from known))::text
