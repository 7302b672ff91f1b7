-- The rule of domain::customer::Customer::merged: a deletion stays and keeps nothing else, else the newest version by
-- (updated_at, is_whole, triggered_at) holds, and the last of equal ones. Arrays are parallel and sorted by key, so that
-- concurrent writers take locks in one order.
insert into commerce.customer as old (
    shop_id, customer_id, created_at, updated_at, is_whole, triggered_at, state, is_email_verified, is_tax_exempt,
    email_consent, sms_consent, currency, deleted_at
)
select
    new.shop_id, new.customer_id, new.created_at::timestamptz, new.updated_at::timestamptz, new.is_whole,
    new.triggered_at::timestamptz, new.state, new.is_email_verified, new.is_tax_exempt, new.email_consent,
    new.sms_consent, new.currency, new.deleted_at::timestamptz
from unnest(
    $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::text[], $8::boolean[],
    $9::boolean[], $10::text[], $11::text[], $12::text[], $13::text[]
) as new (
    shop_id, customer_id, created_at, updated_at, is_whole, triggered_at, state, is_email_verified, is_tax_exempt,
    email_consent, sms_consent, currency, deleted_at
)
on conflict (shop_id, customer_id) do update set
    created_at = excluded.created_at, updated_at = excluded.updated_at, is_whole = excluded.is_whole, triggered_at =
    excluded.triggered_at, state = excluded.state, is_email_verified = excluded.is_email_verified, is_tax_exempt =
    excluded.is_tax_exempt, email_consent = excluded.email_consent, sms_consent = excluded.sms_consent, currency =
    excluded.currency, deleted_at = excluded.deleted_at
where case
    when old.deleted_at is not null then coalesce(excluded.deleted_at < old.deleted_at, false)
    when excluded.deleted_at is not null then true
    else (coalesce(excluded.updated_at, '-infinity'), excluded.is_whole, excluded.triggered_at)
            >= (coalesce(old.updated_at, '-infinity'), old.is_whole, old.triggered_at)
        and (
            old.created_at, old.updated_at, old.is_whole, old.triggered_at, old.state, old.is_email_verified,
            old.is_tax_exempt, old.email_consent, old.sms_consent, old.currency, old.deleted_at
        ) is distinct from (
            excluded.created_at, excluded.updated_at, excluded.is_whole, excluded.triggered_at, excluded.state,
            excluded.is_email_verified, excluded.is_tax_exempt, excluded.email_consent, excluded.sms_consent,
            excluded.currency, excluded.deleted_at
        )
end
