select shop_id, shop_domain, iana_time_zone, currency, coalesce((
    -- When it was registered anew, in microseconds; 0 for one that never was forgotten. As in shop_registration.sql.
    select (extract(epoch from greatest(shop.registered_at, redaction.redacted_at)) * 1000000)::bigint
    from privacy.redaction as redaction
    where redaction.shop_id = shop.shop_id and redaction.subject = 'shop' and redaction.subject_digest = ''
), 0), true
from commerce.shop where shop_domain = any ($1::text[])
