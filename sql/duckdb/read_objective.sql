-- Every revision of every objective specification, as JSON texts that weir_domain::objective reads.
select to_json(spec)
from (
    select * replace (
        strftime(valid_from::timestamptz, '%Y-%m-%dT%H:%M:%S.%gZ') as valid_from,
        strftime(ended_at::timestamptz, '%Y-%m-%dT%H:%M:%S.%gZ') as ended_at
    )
    from configuration_objective_spec
    order by shop_domain, objective_spec_id, revision
) as spec;
