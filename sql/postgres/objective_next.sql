-- The revision to write and PostgreSQL's time as RFC 3339. The lock holds to the end of the transaction: without it two
-- writers would read the same number.
select coalesce(max(known.revision), 0) + 1,
    to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
from configuration.macrodata_artifact as known
where known.artifact_id = $1
