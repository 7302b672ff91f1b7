#!/usr/bin/env python3
"""Reads an Iceberg table through its REST catalog with a reader that is not weir, and prints its rows as JSON lines.

    read_table.py pyiceberg URI WAREHOUSE NAMESPACE.TABLE
    read_table.py duckdb    URI WAREHOUSE NAMESPACE.TABLE

Times are printed in UTC with microseconds, dates as yyyy-mm-dd. DuckDB's extensions are loaded from the files in
WEIR_DUCKDB_EXTENSION_DIR; nothing is installed.
"""

import datetime
import json
import os
import pathlib
import sys


def plain(value):
    """What json cannot print by itself."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    raise TypeError(f"{type(value)} in a row")


def read_pyiceberg(uri, warehouse, table):
    from pyiceberg.catalog import load_catalog

    catalog = load_catalog("weir", type="rest", uri=uri, warehouse=warehouse)
    return catalog.load_table(table).scan().to_arrow().to_pylist()


def read_duckdb(uri, warehouse, table):
    import duckdb

    connection = duckdb.connect()
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set TimeZone = 'UTC'")
    folder = pathlib.Path(os.environ["WEIR_DUCKDB_EXTENSION_DIR"])
    # iceberg needs the two others.
    for name in ("avro", "httpfs", "iceberg"):
        file = str(folder / f"{name}.duckdb_extension").replace("'", "''")
        connection.execute(f"load '{file}'")
    literal = [text.replace("'", "''") for text in (warehouse, uri)]
    connection.execute(
        f"attach '{literal[0]}' as lake (type iceberg, endpoint '{literal[1]}', authorization_type 'none')"
    )
    name = ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
    # By way of Arrow: DuckDB's own conversion of timestamptz wants pytz.
    return connection.execute(f"select * from lake.{name}").fetch_arrow_table().to_pylist()


def main():
    readers = {"pyiceberg": read_pyiceberg, "duckdb": read_duckdb}
    if len(sys.argv) != 5 or sys.argv[1] not in readers:
        sys.exit(__doc__)
    for row in readers[sys.argv[1]](*sys.argv[2:]):
        print(json.dumps(row, default=plain, ensure_ascii=False))


if __name__ == "__main__":
    main()
