"""Runs statements in DuckDB over a weir catalog, attached as `lake`.

    duckdb_statements.py URI STATEMENT...
"""

import os
import pathlib
import sys

import duckdb

uri, *statements = sys.argv[1:]
connection = duckdb.connect()
connection.execute("set autoinstall_known_extensions = false")
for name in ("avro", "httpfs", "iceberg"):
    file = pathlib.Path(os.environ["WEIR_DUCKDB_EXTENSION_DIR"]) / f"{name}.duckdb_extension"
    connection.execute(f"load '{file}'")
connection.execute(f"attach 'weir' as lake (type iceberg, endpoint '{uri}', authorization_type 'none')")
for statement in statements:
    connection.execute(statement)
