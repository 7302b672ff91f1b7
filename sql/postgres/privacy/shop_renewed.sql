-- The certificate of shop $1, with the moment at which it registered anew, if it was forgotten, has registered anew since, and a
-- request of the moment $2 is of before: what that asks for is done, and what is there belongs to the new registration. Else no
-- row. Where an earlier version registered it anew, registered_at is of before the redaction, whose own moment stands for it.
-- A request of before the first registration was refused and kept, and may be replayed whenever: of then nothing was ever here. It
-- gets a certificate that says so. At the edge what came after the request stays then (kept_since): it was refused until the
-- registration, and what lies there is the only copy.
with unknown as (
    insert into privacy.redaction (shop_id, subject, subject_digest, redacted_at, certificate)
    select shop.shop_id, 'shop', '', $2::timestamptz, json_build_object(
        'certificate_id', gen_random_uuid(),
        'shop_id', shop.shop_id::text,
        'subject', 'shop',
        'redacted_at', to_char($2::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'removed', json_build_object()
    )
    from commerce.shop as shop
    where shop.shop_id = $1 and shop.registered_at > $2::timestamptz
    on conflict (shop_id, subject, subject_digest) do nothing
    returning redacted_at, certificate
), known as (
    select unknown.redacted_at, unknown.certificate::jsonb as certificate from unknown
    union all
    select redaction.redacted_at, redaction.certificate::jsonb from privacy.redaction as redaction
    where redaction.shop_id = $1 and redaction.subject = 'shop' and redaction.subject_digest = ''
)
select (
    one.certificate
    || jsonb_build_object('registered_anew_at', to_char(one.renewed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    || case when one.certificate -> 'removed' = '{}' then jsonb_build_object('kept_since',
        to_char($2::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) else '{}' end
)::text
from (
    select known.certificate, greatest(shop.registered_at, known.redacted_at) as renewed_at
    from known join commerce.shop as shop on shop.shop_id = $1 and shop.updated_at > known.redacted_at
) as one
where one.renewed_at > $2::timestamptz
