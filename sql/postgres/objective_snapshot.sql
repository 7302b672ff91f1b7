-- One consistent read of what governs now and in future: every revision from the one in force on, and the number of
-- revisions ever written, by which a consumer sees whether anything changed.
select json_build_object(
    'sequence', (select count(*) from configuration.macrodata_artifact),
    'specifications', coalesce((
        select json_agg(artifact.body order by artifact.artifact_id, artifact.revision)
        from configuration.macrodata_artifact as artifact
        where artifact.revision >= coalesce((
            select max(in_force.revision)
            from configuration.macrodata_artifact as in_force
            where in_force.artifact_id = artifact.artifact_id and in_force.valid_from <= now()
        ), 0)
    ), '[]'::json)
)::text
