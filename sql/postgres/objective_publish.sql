-- Revisions are only added; what held at a past time stays readable. The triggers of the table take turns, give the
-- revision, validate, fill the columns from the body and write the change log.
insert into configuration.macrodata_artifact (artifact_id, body) values ($1, $2::json) returning body::text
