-- The shops that had the domains and have others now, as ingest/shops_read.sql has those that have them. A domain that several had is
-- nobody's, and so is one that somebody has.
select min(shop.shop_id), asked.shop_domain, min(shop.iana_time_zone), min(shop.currency), 0::bigint, false
from unnest($1::text[]) as asked (shop_domain)
join commerce.shop as shop on asked.shop_domain = any (shop.former_domains)
where not exists (select from commerce.shop as holder where holder.shop_domain = asked.shop_domain)
group by asked.shop_domain having count(*) = 1
