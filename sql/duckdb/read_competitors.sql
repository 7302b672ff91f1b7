-- GET /v1/explain and /v1/performance: who competes for the banana places, best rank first.
-- $1 shop, $2 day of computation, $3 specification, $4 rules that keep a product out, separated by commas.
select product_id, rank, aggregate_measurement_value, net_sales_last_30_days
from measurement_performance
where shop_domain = $1
  and computed_on = $2::date
  and objective_spec_id = $3
  and aggregate_measurement_value > 0
  and not list_has_any(matched_rules, string_split($4, ','))
order by rank;
