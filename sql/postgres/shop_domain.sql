-- The domain under which the shop $1 is registered.
select shop_domain from commerce.shop where shop_id = $1
