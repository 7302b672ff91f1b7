-- measurement.performance: the label of every product and the rules it met.
-- Reads:  product_windows, objective_spec; variables performance_refresh_id, source_snapshot_id.
-- Writes: performance, one row per product for the day of computation.
-- Guarantees: equals weir_domain::classification on every row (each refresh compares). A missing threshold makes its
-- comparison null, which is not true: the rule is disabled. is_active null is unknown, not inactive.

create or replace table performance as
with ruled as (
    select
        product.*,
        spec.* exclude (spec_number, shop_domain, product_type),
        coalesce(
            sales_first_7_days >= threshold_7d and sales_first_14_days >= threshold_14d,
            false
        ) as is_top_riser,
        coalesce(sales_last_30_days >= threshold_30d, false) as is_winner,
        (is_active is false) or coalesce(days_without_activity >= stale_after_days, false) as is_archive_candidate
    from product_windows as product
    join objective_spec as spec using (spec_number)
),
-- Whether it may take a banana place: value above 0 and, in the unclassified pool, no earlier rule holds.
competing as (
    select
        *,
        aggregate_measurement_value > 0
        and (
            banana_pool = 'all'
            or not (
                (is_top_riser and list_position(precedence, 'top_riser') < list_position(precedence, 'banana'))
                or (is_winner and list_position(precedence, 'winner') < list_position(precedence, 'banana'))
                or (
                    is_archive_candidate
                    and list_position(precedence, 'archive_candidate') < list_position(precedence, 'banana')
                )
            )
        ) as competes
    from ruled
),
placed as (
    select
        *,
        competes
        and coalesce(row_number() over (partition by spec_number, competes order by rank) <= banana_count, false)
            as is_banana
    from competing
),
matched as (
    select
        *,
        list_filter(
            [
                if(is_top_riser, 'top_riser', null),
                if(is_winner, 'winner', null),
                if(is_banana, 'banana', null),
                if(is_archive_candidate, 'archive_candidate', null)
            ],
            lambda rule: rule is not null
        ) as matched_rules
    from placed
)
select
    shop_domain,
    product_id,
    computed_on,
    product_title,
    product_type,
    is_active,
    launched_on,
    last_activity_on,
    last_engagement_on,
    measure,
    currency,
    sales_first_7_days,
    sales_first_14_days,
    sales_last_7_days,
    sales_last_14_days,
    sales_last_30_days,
    net_sales_last_30_days,
    aggregate_measurement_value,
    rank,
    impressions_last_7_days,
    clicks_last_7_days,
    views_last_7_days,
    conversions_last_7_days,
    impressions_last_30_days,
    clicks_last_30_days,
    views_last_30_days,
    conversions_last_30_days,
    click_through_rate_last_7_days,
    click_through_rate_last_30_days,
    conversion_rate_last_7_days,
    conversion_rate_last_30_days,
    coalesce(
        list_filter(precedence, lambda rule: list_contains(matched_rules, rule))[1],
        'none'
    ) as nominal_classification,
    matched_rules,
    objective_spec_id,
    revision as objective_spec_revision,
    getvariable('source_snapshot_id')::bigint as source_snapshot_id,
    getvariable('performance_refresh_id')::varchar as refresh_id
from matched
order by shop_domain, product_id;
