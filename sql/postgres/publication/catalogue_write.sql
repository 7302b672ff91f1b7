-- $1 shop, $2 the change as {"publishers": {id: entry or null}, "items", "programs", "links"}. A null entry goes, the others are
-- put; an entry that is the same already is not counted, so publishing again what is published changes nothing.
with publisher as (
    select key as id, value as entry from json_each($2::json -> 'publishers')
), program as (
    select key as id, value as entry from json_each($2::json -> 'programs')
), item as (
    select key as id, value as entry from json_each($2::json -> 'items')
), link as (
    select key as id, value as entry from json_each($2::json -> 'links')
), publisher_gone as (
    delete from publication.publisher as old using publisher as new
    where old.shop_id = $1 and old.publisher_id = new.id and json_typeof(new.entry) = 'null' returning 1
), publisher_put as (
    insert into publication.publisher as old (shop_id, publisher_id, name)
    select $1, id, entry ->> 'name' from publisher where json_typeof(entry) = 'object'
    on conflict (shop_id, publisher_id) do update set name = excluded.name
    where old.name <> excluded.name returning 1
), program_gone as (
    delete from publication.program as old using program as new
    where old.shop_id = $1 and old.program_id = new.id and json_typeof(new.entry) = 'null' returning 1
), program_put as (
    insert into publication.program as old (shop_id, program_id, name, publisher_id)
    select $1, id, entry ->> 'name', entry ->> 'publisher_id' from program where json_typeof(entry) = 'object'
    on conflict (shop_id, program_id) do update set name = excluded.name, publisher_id = excluded.publisher_id
    where (old.name, old.publisher_id) is distinct from (excluded.name, excluded.publisher_id) returning 1
), item_gone as (
    delete from publication.item as old using item as new
    where old.shop_id = $1 and old.item_id = new.id and json_typeof(new.entry) = 'null' returning 1
), item_put as (
    insert into publication.item as old (shop_id, item_id, publisher_id, title, url, kind)
    select $1, id, entry ->> 'publisher_id', entry ->> 'title', entry ->> 'url', entry ->> 'kind'
    from item where json_typeof(entry) = 'object'
    on conflict (shop_id, item_id) do update set
        publisher_id = excluded.publisher_id, title = excluded.title, url = excluded.url, kind = excluded.kind
    where (old.publisher_id, old.title, old.url, old.kind)
        is distinct from (excluded.publisher_id, excluded.title, excluded.url, excluded.kind) returning 1
), link_gone as (
    delete from publication.link as old using link as new
    where old.shop_id = $1 and old.code = new.id and json_typeof(new.entry) = 'null' returning 1
), link_put as (
    insert into publication.link as old (shop_id, code, url, publisher_id, item_id, program_id, placement, product_id)
    select $1, id, entry ->> 'url', entry ->> 'publisher_id', entry ->> 'item_id', entry ->> 'program_id',
        entry ->> 'placement', (entry ->> 'product_id')::bigint
    from link where json_typeof(entry) = 'object'
    on conflict (shop_id, code) do update set
        url = excluded.url, publisher_id = excluded.publisher_id, item_id = excluded.item_id,
        program_id = excluded.program_id, placement = excluded.placement, product_id = excluded.product_id
    where (old.url, old.publisher_id, old.item_id, old.program_id, old.placement, old.product_id)
        is distinct from (excluded.url, excluded.publisher_id, excluded.item_id, excluded.program_id, excluded.placement,
            excluded.product_id)
    returning 1
)
select (select count(*) from publisher_gone) + (select count(*) from publisher_put)
    + (select count(*) from program_gone) + (select count(*) from program_put)
    + (select count(*) from item_gone) + (select count(*) from item_put)
    + (select count(*) from link_gone) + (select count(*) from link_put)
