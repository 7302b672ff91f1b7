select salt.shop_id, salt.customer_id, salt.salt
from unnest($1::bigint[], $2::bigint[]) as asked (shop_id, customer_id)
join privacy.salt as salt on salt.shop_id = asked.shop_id and salt.customer_id = asked.customer_id
