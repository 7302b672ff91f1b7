-- The first entry of the shop that refers to one that is not there; the same that the foreign keys say at the end, in words.
select entry from (
    select format('programs.%s.publisher_id', part.program_id) as entry
    from publication.program as part
    left join publication.publisher as whole on whole.shop_id = part.shop_id and whole.publisher_id = part.publisher_id
    where part.shop_id = $1 and part.publisher_id is not null and whole.shop_id is null
    union all
    select format('items.%s.publisher_id', part.item_id)
    from publication.item as part
    left join publication.publisher as whole on whole.shop_id = part.shop_id and whole.publisher_id = part.publisher_id
    where part.shop_id = $1 and whole.shop_id is null
    union all
    select format('links.%s.%s', part.code, case
        when part.publisher_id is not null and publisher.shop_id is null then 'publisher_id'
        when part.item_id is not null and item.shop_id is null then 'item_id'
        else 'program_id'
    end)
    from publication.link as part
    left join publication.publisher as publisher
        on publisher.shop_id = part.shop_id and publisher.publisher_id = part.publisher_id
    left join publication.item as item on item.shop_id = part.shop_id and item.item_id = part.item_id
    left join publication.program as program
        on program.shop_id = part.shop_id and program.program_id = part.program_id
    where part.shop_id = $1 and (
        part.publisher_id is not null and publisher.shop_id is null
        or part.item_id is not null and item.shop_id is null
        or part.program_id is not null and program.shop_id is null
    )
) as dangling
order by entry collate "C" limit 1
