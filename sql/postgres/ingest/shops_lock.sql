-- The shops, and the lock that a reference to one takes: nobody deletes them before the transaction ends.
select shop_id, shop_domain, iana_time_zone, currency from commerce.shop where shop_domain = any ($1::text[])
order by shop_id for key share
