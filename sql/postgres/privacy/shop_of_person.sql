-- The shop whose customer a request that names the domain $1 is about: the one that has it, else the only one that had it; null where
-- there is none. Not for a whole shop, which is forgotten under the domain that it has.
select coalesce(
    (select shop.shop_id from commerce.shop as shop where shop.shop_domain = $1),
    (select min(former.shop_id) from commerce.shop as former where $1 = any (former.former_domains) having count(*) = 1)
)
