-- Raw bodies are most of what is written. lz4 compresses them with a fifth of pglz's CPU and about as small; where the
-- server was built without it, pglz stays.
do $$
begin
    alter table commerce.order_header alter column raw set compression lz4;
    alter table commerce.product alter column raw set compression lz4;
exception when feature_not_supported then
    raise notice 'this server has no lz4: raw bodies are compressed with pglz';
end
$$;
