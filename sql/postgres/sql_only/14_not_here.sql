-- What only the extension does yet: the functions are there, with its names and rights, and say so when they are called.

create function weir_sql.refuse_missing(name text) returns void language plpgsql as $$
begin
    raise exception '% is not part of the SQL-only install', name using errcode = 'feature_not_supported',
        detail = 'Bulk operations, interactions and the publication catalogue need the extension.',
        hint = 'Use a PostgreSQL that takes the extension weir; tables and their data are the same.';
end
$$;

create or replace function weir.ingest_bulk(shop text, lines text, run json) returns json language plpgsql strict volatile parallel unsafe as $$
begin
    perform weir_sql.refuse_missing('weir.ingest_bulk');
end
$$;

create or replace function weir.ingest_bulk(shop text, lines text, run text) returns text language plpgsql strict volatile parallel unsafe as $$
begin
    perform weir_sql.refuse_missing('weir.ingest_bulk');
end
$$;

create or replace function weir.bulk_events(shop text, run json) returns json language plpgsql strict volatile parallel unsafe as $$
begin
    perform weir_sql.refuse_missing('weir.bulk_events');
end
$$;

create or replace function weir.bulk_events(shop text, run text) returns text language plpgsql strict volatile parallel unsafe as $$
begin
    perform weir_sql.refuse_missing('weir.bulk_events');
end
$$;

create or replace function weir.record_interactions(interactions json) returns json language plpgsql strict volatile parallel unsafe as $$
begin
    perform weir_sql.refuse_missing('weir.record_interactions');
end
$$;

create or replace function weir.publish_catalogue(catalogue json) returns json language plpgsql strict volatile parallel unsafe as $$
begin
    perform weir_sql.refuse_missing('weir.publish_catalogue');
end
$$;

create or replace function weir.publication_catalogue(shop_domain text) returns json language plpgsql strict volatile parallel unsafe as $$
begin
    perform weir_sql.refuse_missing('weir.publication_catalogue');
end
$$;
