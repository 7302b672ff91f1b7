-- $1 shop, $2 what was removed, by table; $3 how much that is. A repetition that finds nothing keeps the certificate,
-- save one of shop_renewed.sql, which names no table.
insert into privacy.redaction as old (shop_id, subject, subject_digest, certificate)
values ($1, 'shop', '', json_build_object(
    'certificate_id', gen_random_uuid(),
    'shop_id', $1::text,
    'subject', 'shop',
    'redacted_at', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'removed', $2::json
))
on conflict (shop_id, subject, subject_digest) do update set
    certificate = case
        when $3 > 0 or (old.certificate::jsonb -> 'removed') = '{}' then excluded.certificate else old.certificate
    end,
    redacted_at = excluded.redacted_at
returning certificate::text
