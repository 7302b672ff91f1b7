select shop_id, shop_domain, iana_time_zone, currency from commerce.shop where shop_domain = any ($1::text[])
