-- measurement.performance: the label of every product and the rules it met.
-- Reads:  product_windows, product_measured, product_before, product_told, objective_spec; variables performance_refresh_id,
--         source_snapshot_id.
-- Writes: product_label, of each product its rank, its label and its rules, by its row of product_measured (product_row);
--         performance, a view with one row per product for the day of computation, with spec_number and
--         days_without_activity.
-- Guarantees: equals weir_domain::classification on every row (each refresh compares). A missing threshold makes its
-- comparison null, which is not true: the rule is disabled. is_active null is unknown, not inactive. Places are total:
-- value, net sales, product id.

-- Few columns: what is windowed is copied.
create or replace table product_label as
-- Where each rule stands in the precedence; 1 comes first.
with ordered_spec as (
    select
        *,
        list_position(precedence, 'top_riser') as top_riser_at,
        list_position(precedence, 'winner') as winner_at,
        list_position(precedence, 'banana') as banana_at,
        list_position(precedence, 'archive_candidate') as archive_candidate_at
    from objective_spec
),
met as (
    select
        product_row,
        spec_number,
        product_id,
        aggregate_measurement_value,
        net_sales_last_30_days,
        coalesce(
            sales_first_7_days >= threshold_7d and sales_first_14_days >= threshold_14d,
            false
        ) as is_top_riser,
        coalesce(sales_last_30_days >= threshold_30d, false) as is_winner,
        (is_active is false) or coalesce(days_without_activity >= stale_after_days, false) as is_archive_candidate,
        -- Whether it may take a banana place: value above 0 and, in the unclassified pool, no earlier rule holds.
        aggregate_measurement_value > 0
        and (
            banana_pool = 'all'
            or not (
                (is_top_riser and top_riser_at < banana_at)
                or (is_winner and winner_at < banana_at)
                or (is_archive_candidate and archive_candidate_at < banana_at)
            )
        ) as competes
    from product_windows
    join ordered_spec using (spec_number)
),
ruled as (
    select
        product_row,
        spec_number,
        row_number() over (
            partition by spec_number
            order by aggregate_measurement_value desc, net_sales_last_30_days desc, product_id
        ) as rank,
        is_top_riser,
        is_winner,
        is_archive_candidate,
        competes
    from met
),
-- The rank of the last banana place.
last_place as (
    select spec_number, max(rank) as last_banana_rank
    from (
        select spec_number, rank, row_number() over (partition by spec_number order by rank) as place
        from ruled
        where competes
    )
    join objective_spec using (spec_number)
    where place <= banana_count
    group by spec_number
),
placed as (
    select ruled.*, competes and coalesce(rank <= last_banana_rank, false) as is_banana
    from ruled
    left join last_place using (spec_number)
)
select
    product_row,
    rank,
    is_top_riser::integer + 2 * is_winner::integer + 4 * is_banana::integer + 8 * is_archive_candidate::integer as mask,
    coalesce(
        precedence[least(
            if(is_top_riser, top_riser_at, null),
            if(is_winner, winner_at, null),
            if(is_banana, banana_at, null),
            if(is_archive_candidate, archive_candidate_at, null)
        )],
        'none'
    ) as nominal_classification
from placed
join ordered_spec using (spec_number);

create or replace view performance as
-- Every set of rules: bit 0 is top_riser, in the default precedence.
with rule_set as (
    select
        mask,
        list_filter(
            ['top_riser', 'winner', 'banana', 'archive_candidate'],
            lambda rule, place: (mask >> (place - 1)) & 1 = 1
        ) as matched_rules
    from range(16) as sets(mask)
)
select
    product.shop_domain,
    product.product_id,
    product.computed_on,
    if(told.product_id is null, before.product_title, told.state.product_title) as product_title,
    if(told.product_id is null, before.product_type, told.state.product_type) as product_type,
    product.is_active,
    product.launched_on,
    last_activity_on,
    windows.last_engagement_on,
    product.measure,
    product.currency,
    windows.sales_first_7_days,
    windows.sales_first_14_days,
    windows.sales_last_7_days,
    windows.sales_last_14_days,
    windows.sales_last_30_days,
    windows.net_sales_last_30_days,
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
    clicks_last_7_days / nullif(impressions_last_7_days, 0) as click_through_rate_last_7_days,
    clicks_last_30_days / nullif(impressions_last_30_days, 0) as click_through_rate_last_30_days,
    conversions_last_7_days / nullif(clicks_last_7_days, 0) as conversion_rate_last_7_days,
    conversions_last_30_days / nullif(clicks_last_30_days, 0) as conversion_rate_last_30_days,
    nominal_classification,
    matched_rules,
    spec.objective_spec_id,
    spec.revision as objective_spec_revision,
    getvariable('source_snapshot_id')::bigint as source_snapshot_id,
    getvariable('performance_refresh_id')::varchar as refresh_id,
    if(told.product_id is null, before.product_published_at, told.state.product_published_at) as product_published_at,
    product.first_sale_on,
    product.last_sale_on,
    if(told.product_id is null, before.product_state_key, told.state_key) as product_state_key,
    windows.spec_number,
    days_without_activity
from product_windows as windows
join product_label as label using (product_row)
join product_measured as product on product.rowid = windows.product_row
left join product_before as before on before.rowid = product.row_before
left join product_told as told on told.rowid = product.row_told
join objective_spec as spec on spec.spec_number = windows.spec_number
join rule_set using (mask);
