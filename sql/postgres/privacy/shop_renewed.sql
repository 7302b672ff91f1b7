-- The certificate of shop $1, with the moment at which it registered anew, if it was forgotten, has registered anew since, and a
-- request of the moment $2 is of before: what that asks for is done, and what is there belongs to the new registration. Else no
-- row. Where an earlier version registered it anew, registered_at is of before the redaction, whose own moment stands for it.
select (one.certificate::jsonb || jsonb_build_object(
    'registered_anew_at', to_char(one.renewed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))::text
from (
    select redaction.certificate, greatest(shop.registered_at, redaction.redacted_at) as renewed_at
    from privacy.redaction as redaction
    join commerce.shop as shop on shop.shop_id = redaction.shop_id and shop.updated_at > redaction.redacted_at
    where redaction.shop_id = $1 and redaction.subject = 'shop' and redaction.subject_digest = ''
) as one
where one.renewed_at > $2::timestamptz
