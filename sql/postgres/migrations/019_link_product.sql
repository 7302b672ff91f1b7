-- A click on a link counts for the product that it leads to. The redirect knows the code alone, so the catalogue says which.
alter table publication.link add column product_id bigint;
comment on column publication.link.product_id is 'Product it leads to, null where it leads to none or to several [IAO: identifier]';
