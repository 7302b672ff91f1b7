-- Nothing but the memory of deliveries goes: what they said is in the tables.
with gone as (
    delete from commerce.webhook_delivery as old where old.received_at < now() - $1 returning 1
)
select count(*) from gone
