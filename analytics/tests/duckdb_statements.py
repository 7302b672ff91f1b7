"""Runs statements in DuckDB over a weir catalog, attached as `lake`.

    duckdb_statements.py URI STATEMENT...
"""

import sys

from duckdb_lake import attached

uri, *statements = sys.argv[1:]
connection = attached(uri)
for statement in statements:
    connection.execute(statement)
