#!/usr/bin/env python3
"""The measurement in polars, from the same data files: what bench_measurement.rs compares with weir's.

    measurement.py FOLDER      FOLDER/inputs.json is what `bench_measurement inputs` wrote

Writes FOLDER/polars.sales.parquet and polars.performance.parquet and prints one JSON object.
"""

import datetime
import json
import pathlib
import resource
import sys
import time

import polars as pl

ORDER = ["shop_domain", "order_id"]
PRODUCT = ["shop_domain", "product_id"]
AMOUNTS = ["units_sold", "units_returned", "gross_sales", "discounts", "returns", "net_sales"]


def daily_sales(telemetry):
    orders = telemetry.filter(pl.col("order_revision").is_not_null())
    # Events of one revision tell the same; by its number the newest row of an order is one.
    newest = orders.group_by(ORDER).agg(pl.col("row").get(pl.col("order_revision").arg_max()))
    return (
        orders.join(newest.select("row"), on="row", how="semi")
        .filter(~pl.col("is_test"))
        .select(*ORDER, "currency", "order_processed_at", "sales")
        .explode("sales")
        .unnest("sales")
        .with_columns(pl.col("day").str.to_date("%Y-%m-%d"))
        .group_by("shop_domain", "product_id", "day", "currency")
        .agg(
            *[pl.col(amount).sum() for amount in AMOUNTS],
            (pl.col("kind") == "sale").sum().cast(pl.Int64).alias("order_count"),
            pl.col("order_processed_at").min().alias("first_event_at"),
            pl.col("order_processed_at").max().alias("last_event_at"),
        )
    )


def products(telemetry):
    told = telemetry.filter(pl.col("event_type") == "product_changed")
    newest = pl.col("product_updated_at").arg_max()
    return told.group_by(PRODUCT).agg(
        pl.col("product_is_active").get(newest).alias("is_active"),
        pl.col("product_published_at").get(newest).dt.date().alias("launched_on"),
    )


def windows(products, sales, today):
    day, units, launch = pl.col("day"), pl.col("units_sold") - pl.col("units_returned"), pl.col("launched_on")

    def within(value, condition):
        return value.filter(condition).sum()

    def since(days):
        return day > today - datetime.timedelta(days=days)

    def first(days):
        return (day >= launch) & (day <= launch + datetime.timedelta(days=days - 1))

    return (
        products.join(sales, on=PRODUCT, how="left")
        .group_by(*PRODUCT, "is_active", "launched_on")
        .agg(
            *[within(units, first(days)).alias(f"sales_first_{days}_days") for days in (7, 14)],
            *[within(units, since(days)).alias(f"sales_last_{days}_days") for days in (7, 14, 30)],
            within(pl.col("net_sales"), since(30)).alias("net_sales_last_30_days"),
            day.filter(pl.col("units_sold") > 0).max().alias("last_sale_on"),
        )
    )


def labelled(windows, objective, today):
    last_30, rank = pl.col("sales_last_30_days"), pl.col("rank")
    idle = (today - pl.max_horizontal("last_sale_on", "launched_on")).dt.total_days()
    label = (
        pl.when(
            (pl.col("sales_first_7_days") >= objective["threshold_7d"])
            & (pl.col("sales_first_14_days") >= objective["threshold_14d"])
        )
        .then(pl.lit("top_riser"))
        .when(last_30 >= objective["threshold_30d"])
        .then(pl.lit("winner"))
        .when((last_30 > 0) & (rank <= objective["banana_count"]))
        .then(pl.lit("banana"))
        .when(~pl.col("is_active") | (idle >= objective["stale_after_days"]))
        .then(pl.lit("archive_candidate"))
        .otherwise(pl.lit("none"))
    )
    return (
        windows.sort(["sales_last_30_days", "net_sales_last_30_days", "product_id"], descending=[True, True, False])
        .with_row_index("rank", offset=1)
        .with_columns(label.alias("nominal_classification"))
    )


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    objective = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
    today = datetime.date.fromisoformat(objective["today"])
    began, busy = time.monotonic(), time.process_time()
    telemetry = pl.scan_parquet(objective["files"], missing_columns="insert", extra_columns="ignore", row_index_name="row")
    sales = daily_sales(telemetry).collect(engine="streaming").sort("day", "shop_domain", "product_id", "currency")
    sales.write_parquet(folder / "polars.sales.parquet")
    performance = windows(products(telemetry), sales.lazy(), today).collect(engine="streaming")
    labelled(performance, objective, today).sort(PRODUCT).write_parquet(folder / "polars.performance.parquet")
    print(
        json.dumps(
            {
                "what": f"polars {pl.__version__}, streaming",
                "ms": round((time.monotonic() - began) * 1000),
                "cpu_ms": round((time.process_time() - busy) * 1000),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
