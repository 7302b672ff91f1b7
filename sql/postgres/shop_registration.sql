-- Of the shop with the domain $1: since when it is registered, with which time zone and currency, and whether it was forgotten
-- since; nulls and false where it is not registered. Where an earlier version registered it anew, registered_at is of before the redaction, whose own moment stands for it.
select json_build_object(
    'registered_at', to_char(max(greatest(shop.registered_at, redaction.redacted_at)) at time zone 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'iana_time_zone', max(shop.iana_time_zone), 'currency', max(shop.currency),
    'is_forgotten', coalesce(bool_or(redaction.redacted_at >= shop.updated_at), false))::text
from commerce.shop as shop
left join privacy.redaction as redaction
    on redaction.shop_id = shop.shop_id and redaction.subject = 'shop' and redaction.subject_digest = ''
where shop.shop_domain = $1
