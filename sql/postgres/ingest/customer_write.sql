-- The rule of domain::customer::Customer::merged: a deletion stays and keeps nothing else, else the newest version by
-- (is_whole, updated_at, triggered_at) holds, and the last of equal ones. Arrays are parallel and sorted by key, so that
-- concurrent writers take locks in one order.
insert into commerce.customer as old (
    shop_id, customer_id, created_at, updated_at, is_whole, triggered_at, state, is_email_verified, is_tax_exempt,
    email_consent, sms_consent, currency, deleted_at
)
select
    unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::timestamptz[]), unnest($4::timestamptz[]),
    unnest($5::boolean[]), unnest($6::timestamptz[]), unnest($7::text[]), unnest($8::boolean[]), unnest($9::boolean[]),
    unnest($10::text[]), unnest($11::text[]), unnest($12::text[]), unnest($13::timestamptz[])
on conflict (shop_id, customer_id) do update set
    created_at = excluded.created_at, updated_at = excluded.updated_at, is_whole = excluded.is_whole, triggered_at =
    excluded.triggered_at, state = excluded.state, is_email_verified = excluded.is_email_verified, is_tax_exempt =
    excluded.is_tax_exempt, email_consent = excluded.email_consent, sms_consent = excluded.sms_consent, currency =
    excluded.currency, deleted_at = excluded.deleted_at
where case
    when old.deleted_at is not null then coalesce(excluded.deleted_at < old.deleted_at, false)
    when excluded.deleted_at is not null then true
    else (excluded.is_whole, coalesce(excluded.updated_at, '-infinity'), excluded.triggered_at)
            >= (old.is_whole, coalesce(old.updated_at, '-infinity'), old.triggered_at)
        and (
            old.created_at, old.updated_at, old.is_whole, old.triggered_at, old.state, old.is_email_verified,
            old.is_tax_exempt, old.email_consent, old.sms_consent, old.currency, old.deleted_at
        ) is distinct from (
            excluded.created_at, excluded.updated_at, excluded.is_whole, excluded.triggered_at, excluded.state,
            excluded.is_email_verified, excluded.is_tax_exempt, excluded.email_consent, excluded.sms_consent,
            excluded.currency, excluded.deleted_at
        )
end
