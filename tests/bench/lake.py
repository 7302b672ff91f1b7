#!/usr/bin/env python3
"""Feeds the events of bench_lake to others: dlt (JSON lines to Iceberg), and pyiceberg with Arrow that is ready.

    lake.py FOLDER      FOLDER/events.jsonl is what bench_lake wrote

Prints one JSON object per measurement. The second is a ceiling, not a competitor: nothing is parsed, validated or journaled.
"""

import json
import os
import pathlib
import sys
import time


def told(what, events, seconds, **more):
    print(json.dumps({"what": what, "events": events, "committed_per_second": round(events / seconds), "seconds": seconds, **more}))


def with_dlt(folder, lines):
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt

    def rows():
        # In batches, as dlt advises; parsed as its own JSON reader does.
        batch = []
        with open(lines, encoding="utf-8") as file:
            for line in file:
                batch.append(json.loads(line))
                if len(batch) == 2000:
                    yield batch
                    batch = []
        if batch:
            yield batch

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.filesystem(bucket_url=(folder / "dlt-lake").as_uri()),
        dataset_name="commerce",
    )
    # Nested lists stay in the row, as they do in weir's table.
    resource = dlt.resource(rows, name="telemetry", table_format="iceberg", max_table_nesting=0)
    began = time.monotonic()
    pipeline.run(resource, loader_file_format="parquet", write_disposition="append")
    seconds = time.monotonic() - began
    count = pipeline.last_trace.last_normalize_info.row_counts["telemetry"]
    told("dlt: JSON lines to Iceberg", count, seconds)


def with_ready_arrow(folder, lines):
    import pyarrow.json
    from pyiceberg.catalog.sql import SqlCatalog

    rows = pyarrow.json.read_json(lines)
    (folder / "pyiceberg").mkdir()
    catalog = SqlCatalog("bench", uri=f"sqlite:///{folder}/pyiceberg/catalog.db", warehouse=(folder / "pyiceberg").as_uri())
    catalog.create_namespace("commerce")
    table = catalog.create_table("commerce.telemetry", schema=rows.schema)
    began = time.monotonic()
    table.append(rows)
    told("pyiceberg: append of ready Arrow (ceiling)", rows.num_rows, time.monotonic() - began)


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    lines = folder / "events.jsonl"
    with_ready_arrow(folder, lines)
    with_dlt(folder, lines)


if __name__ == "__main__":
    main()
