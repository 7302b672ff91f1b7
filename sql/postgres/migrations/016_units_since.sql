-- A body says how many units a line has and how many are gone, not since when. The earliest body that says as many does, and
-- it need be neither the newest nor the first to come: so an order keeps, of all its bodies, which told of so many units
-- first. jsonb and not a table: it is read and written with its order alone, and most orders have none.
alter table commerce.order_header
    add column first_updated_at timestamptz,
    add column quantity_since jsonb,
    add column removed_since jsonb;
comment on column commerce.order_header.first_updated_at is 'updated_at of the earliest body, null where the newest is the only one [BFO: temporal instant]';
comment on column commerce.order_header.quantity_since is 'By line item, as of which earliest updated_at of a body (since, microseconds since 1970) it had so many units; only of lines that the bodies told differently [BFO: temporal instant]';
comment on column commerce.order_header.removed_since is 'By line item, as of which earliest updated_at of a body (since, microseconds since 1970) so many units were gone, null where none ever were [BFO: temporal instant]';

-- What is known of orders so far: their newest body.
update commerce.order_header as header set removed_since = known.removed_since
from (
    select header.shop_id, header.order_id, jsonb_agg(jsonb_build_object(
        'line_item_id', line.line_item_id, 'units', line.quantity - line.current_quantity,
        'since', (extract(epoch from header.updated_at) * 1000000)::bigint
    ) order by line.line_item_id) as removed_since
    from commerce.order_header as header
    join commerce.order_line_item as line using (shop_id, order_id)
    where line.quantity > line.current_quantity
    group by header.shop_id, header.order_id
) as known
where header.shop_id = known.shop_id and header.order_id = known.order_id;
