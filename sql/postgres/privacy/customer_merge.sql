-- Customer $2 of shop $1 was merged into $3 at $4. Runs under the shop's exclusive lock of privacy. The one who is gone keeps
-- nothing but the pointer; what named them names the one who was kept. Pointers lead to an end at once, in whatever sequence
-- merges of merged customers are told; a circle, which Shopify cannot make, is not closed.
with kept as (
    select coalesce(
        (select known.merged_into from commerce.customer as known where known.shop_id = $1 and known.customer_id = $3), $3
    )::bigint as customer_id
), gone as (
    insert into commerce.customer as old (
        shop_id, customer_id, is_whole, triggered_at, is_email_verified, is_tax_exempt, deleted_at, merged_into
    )
    select $1, $2, true, $4::timestamptz, false, false, $4::timestamptz, kept.customer_id
    from kept where kept.customer_id <> $2
    on conflict (shop_id, customer_id) do update set
        created_at = null, updated_at = null, is_whole = true, state = null, is_email_verified = false,
        is_tax_exempt = false, email_consent = null, sms_consent = null, currency = null,
        triggered_at = least(old.deleted_at, excluded.deleted_at), deleted_at = least(old.deleted_at, excluded.deleted_at),
        merged_into = excluded.merged_into
    returning merged_into
), pointer as (
    update commerce.customer as old set merged_into = gone.merged_into
    from gone where old.shop_id = $1 and old.merged_into = $2
), line as (
    update commerce.bulk_line as old set customer_id = gone.merged_into
    from gone where old.shop_id = $1 and old.customer_id = $2
)
update commerce.order_header as old set customer_id = gone.merged_into
from gone where old.shop_id = $1 and old.customer_id = $2
