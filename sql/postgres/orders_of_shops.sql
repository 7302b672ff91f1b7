-- Which shops have these orders; an order id is unique at Shopify, the key begins with the shop all the same.
select header.shop_id, header.order_id, shop.shop_domain
from commerce.shop as shop
join commerce.order_header as header on header.shop_id = shop.shop_id and header.order_id = any ($1::bigint[])
order by 1, 2
