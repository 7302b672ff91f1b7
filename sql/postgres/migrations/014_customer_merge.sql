-- Two customers at Shopify may turn out to be one person: the one that is gone points to the one that was kept.
alter table commerce.customer add column merged_into bigint;
comment on column commerce.customer.merged_into is 'Customer into whom this one was merged at Shopify, never one that was merged itself [IAO: identifier]';
create index customer_merged_into on commerce.customer (shop_id, merged_into) where merged_into is not null;
