-- What a line is, it is for good, but not every body says it: Shopify names a product no longer once that is deleted, and bulk
-- operations do not say that a line is a tip. Lines keep it from any body; of those that the newest body does not have, an
-- order keeps it apart, for they may come back. jsonb and not a table, for hardly any order has such a line.
alter table commerce.order_line_item add column is_tip boolean not null default false;
comment on column commerce.order_line_item.is_tip is 'A tip, which is no sale; bulk operations do not tell it [IAO: data item]';
comment on column commerce.order_line_item.product_id is 'Shopify''s product id; kept when the product is deleted and bodies no longer name it [IAO: identifier]';
comment on column commerce.order_line_item.variant_id is 'Shopify''s variant id; likewise [IAO: identifier]';
alter table commerce.refund_line_item add column is_tip boolean not null default false;
comment on column commerce.refund_line_item.is_tip is 'The line was a tip [IAO: data item]';
alter table commerce.order_header add column absent_lines jsonb;
comment on column commerce.order_header.absent_lines is 'Product, variant and whether it is a tip, of lines that the newest body does not have; null where there are none [IAO: data item]';
alter table commerce.refund add column return_id bigint;
comment on column commerce.refund.return_id is 'Return that it pays back; an agreement of that return has booked the goods [IAO: identifier]';
