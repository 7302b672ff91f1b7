-- One publication of a shop's catalogue at a time.
insert into publication.catalogue as old (shop_id, revision) values ($1, 0)
on conflict (shop_id) do update set shop_id = excluded.shop_id where false
