-- A specification of a shop that is none governs nothing, and nobody would be told: a misspelt domain is refused where it is written.
create or replace function configuration.objective_prepare() returns trigger language plpgsql set search_path = '' as $$
begin
    if new.revision is null then
        select coalesce(max(known.revision), 0) + 1 into new.revision
        from configuration.macrodata_artifact as known where known.artifact_id = new.artifact_id;
    end if;
    -- Looked up when it runs: the table does not depend on the extension.
    new.body := weir.prepare_objective(new.artifact_id, new.revision, new.body);
    new.kind := 'objective_specification';
    new.shop_domain := new.body ->> 'shop_domain';
    if not exists (select from commerce.shop as shop where shop.shop_domain = new.shop_domain) then
        raise exception 'the objective specification is refused' using errcode = 'invalid_parameter_value',
            detail = 'shop_domain: no shop of this domain is registered',
            hint = 'Register it with weir.register_shop(json), or write its domain as it is there: in lower case.';
    end if;
    new.product_type := new.body ->> 'product_type';
    new.valid_from := (new.body ->> 'valid_from')::timestamptz;
    new.ended_at := null;
    return new;
end
$$;
