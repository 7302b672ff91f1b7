"""DuckDB over a weir catalog."""

import os
import pathlib

import duckdb


def attached(uri):
    """A connection with the catalog at `uri` attached as `lake`; extensions come from WEIR_DUCKDB_EXTENSION_DIR."""
    connection = duckdb.connect()
    connection.execute("set autoinstall_known_extensions = false")
    for name in ("avro", "httpfs", "iceberg"):
        file = pathlib.Path(os.environ["WEIR_DUCKDB_EXTENSION_DIR"]) / f"{name}.duckdb_extension"
        connection.execute(f"load '{file}'")
    connection.execute(f"attach 'weir' as lake (type iceberg, endpoint '{uri}', authorization_type 'none')")
    return connection
