select shop_id from commerce.shop where shop_domain = $1
