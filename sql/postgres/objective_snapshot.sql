-- One consistent read of what governs now and in future: every revision from the one in force on that was not ended, those
-- that were ended with the time of it, and the number of the newest change, by which a consumer sees whether anything changed.
select json_build_object(
    'sequence', (select coalesce(max(change.sequence), 0) from configuration.objective_change as change),
    'specifications', coalesce((
        select json_agg(artifact.body order by artifact.artifact_id, artifact.revision)
        from configuration.macrodata_artifact as artifact
        where artifact.ended_at is null and artifact.revision >= coalesce((
            select max(in_force.revision)
            from configuration.macrodata_artifact as in_force
            where in_force.artifact_id = artifact.artifact_id and in_force.shop_domain = artifact.shop_domain
                and in_force.valid_from <= now()
                and in_force.ended_at is null
        ), 0)
    ), '[]'::json),
    'ended', coalesce((
        select json_agg(
            artifact.body::jsonb
                || jsonb_build_object('ended_at', to_char(artifact.ended_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
            order by artifact.artifact_id, artifact.revision
        )
        from configuration.macrodata_artifact as artifact
        where artifact.ended_at is not null
    ), '[]'::json)
)::text
