-- What the last refresh left, for one that builds on it; empty for a full one.
-- Writes: shop_before, product_before, sales_file, which the caller fills; changed_day, changed_key.

-- product_state_key orders what is told of a product: what its own events say ('1') comes after what order lines say
-- ('0'), the newer after the older. Whole numbers in it are texts of which the greater number is the greater text.
create or replace macro sortable(number) as
    lpad((coalesce(number, 0)::hugeint + 9223372036854775808)::varchar, 20, '0');

create or replace macro is_seen_only(state_key) as
    coalesce(state_key, '') < '1';

create or replace table shop_before (
    shop_domain varchar primary key,
    shop_time_zone varchar, -- null: no event has told one yet
    told_at timestamptz,    -- received_at of the newest event that told it
    computed_on date not null,
    currency varchar,       -- that of newest_sale_on; null: no sale by computed_on
    newest_sale_on date
);

-- The products of the last refresh: what of them older telemetry and older sales still decide.
create or replace table product_before (
    shop_domain varchar not null,
    product_id varchar not null,
    product_title varchar,
    product_type varchar,
    is_active boolean,
    product_published_at timestamptz,
    product_state_key varchar,
    first_sale_on date,
    last_sale_on date,
    last_engagement_on date,
    launched_on date,
    computed_on date not null,
    measure varchar not null,
    currency varchar,
    sales_first_7_days bigint not null,
    sales_first_14_days bigint not null,
    sales_last_7_days bigint not null,
    sales_last_14_days bigint not null,
    sales_last_30_days bigint not null,
    net_sales_last_30_days bigint not null
);

-- Every data file of its sales with its day; null where that is not known.
create or replace table sales_file (path varchar not null, day date, row_count bigint not null);

-- What has changed in sales since.
create or replace table changed_day (day date not null);

-- What keys of sales have more than before, as 32_changed_days.sql writes it.
create or replace table changed_key (
    shop_domain varchar not null,
    product_id varchar not null,
    day date not null,
    currency varchar not null,
    units_sold bigint not null,
    units_returned bigint not null,
    gross_sales bigint not null,
    discounts bigint not null,
    returns bigint not null,
    net_sales bigint not null,
    order_count bigint not null,
    fewest bigint not null,
    added_times timestamptz[]
);
