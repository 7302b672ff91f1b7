-- Nothing but the memory of deliveries and of bulk lines goes: what they said is in the tables.
with gone as (
    delete from commerce.webhook_delivery as old where old.received_at < now() - $1 returning 1
), operation as (
    delete from commerce.bulk_operation as old where old.received_at < now() - $1 returning old.shop_id, old.operation_id
), line as (
    delete from commerce.bulk_line as old using operation
    where old.shop_id = operation.shop_id and old.operation_id = operation.operation_id
)
select count(*) from gone
