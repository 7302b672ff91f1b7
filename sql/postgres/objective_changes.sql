-- The next changes after a number, oldest first; `more` says that another call is due.
with page as (
    select * from configuration.objective_change where sequence > $1 order by sequence limit 1001
)
select json_build_object(
    'changes', coalesce((
        select json_agg(json_build_object(
            'sequence', change.sequence,
            'operation', change.operation,
            'objective_spec_id', change.artifact_id,
            'revision', change.revision,
            'shop_domain', change.shop_domain,
            'changed_at', to_char(change.changed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'specification', change.body
        ) order by change.sequence)
        from (select * from page order by sequence limit 1000) as change
    ), '[]'::json),
    'sequence', coalesce((select max(sequence) from (select sequence from page order by sequence limit 1000) as read), $1),
    'more', (select count(*) > 1000 from page)
)::text
