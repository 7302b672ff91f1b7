-- A shop's catalogue as the edge keeps it. Absent values are left out.
select json_build_object(
    'shop_domain', shop.shop_domain,
    'revision', coalesce((select revision from publication.catalogue as own where own.shop_id = shop.shop_id), 0),
    'publishers', coalesce((
        select json_object_agg(publisher_id, json_build_object('name', name) order by publisher_id collate "C")
        from publication.publisher as part where part.shop_id = shop.shop_id
    ), '{}'),
    'items', coalesce((
        select json_object_agg(item_id, json_strip_nulls(json_build_object(
            'publisher_id', publisher_id, 'title', title, 'url', url, 'kind', kind
        )) order by item_id collate "C")
        from publication.item as part where part.shop_id = shop.shop_id
    ), '{}'),
    'programs', coalesce((
        select json_object_agg(program_id, json_strip_nulls(json_build_object(
            'name', name, 'publisher_id', publisher_id
        )) order by program_id collate "C")
        from publication.program as part where part.shop_id = shop.shop_id
    ), '{}'),
    'links', coalesce((
        select json_object_agg(code, json_strip_nulls(json_build_object(
            'url', url, 'publisher_id', publisher_id, 'item_id', item_id, 'program_id', program_id,
            'placement', placement, 'product_id', product_id::text
        )) order by code collate "C")
        from publication.link as part where part.shop_id = shop.shop_id
    ), '{}')
)::text
from commerce.shop as shop
where shop.shop_domain = $1
