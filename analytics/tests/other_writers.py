"""Writes to a weir catalog with pyiceberg and DuckDB, and checks that each sees the other's rows.

    other_writers.py URI
"""

import sys

import pyarrow
from duckdb_lake import attached
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError

uri = sys.argv[1]
catalog = load_catalog("weir", type="rest", uri=uri, warehouse="weir")
catalog.create_namespace("scratch")
schema = pyarrow.schema([("a", pyarrow.int64()), ("b", pyarrow.string())])
table = catalog.create_table("scratch.by_pyiceberg", schema)
table.append(pyarrow.table({"a": [1, 2], "b": ["x", "y"]}))
table.overwrite(pyarrow.table({"a": [3], "b": ["z"]}))
try:
    catalog.load_table("scratch.absent")
    sys.exit("a table that does not exist was loaded")
except NoSuchTableError:
    pass

connection = attached(uri)
connection.execute("insert into lake.scratch.by_pyiceberg values (4, 'w')")
rows = connection.execute("select * from lake.scratch.by_pyiceberg order by a").fetchall()
assert rows == [(3, "z"), (4, "w")], rows
rows = catalog.load_table("scratch.by_pyiceberg").scan().to_arrow().sort_by("a").to_pylist()
assert rows == [{"a": 3, "b": "z"}, {"a": 4, "b": "w"}], rows

connection.execute("create schema lake.more")
connection.execute("create table lake.more.by_duckdb (n bigint)")
connection.execute("insert into lake.more.by_duckdb values (1), (2)")
connection.execute("delete from lake.more.by_duckdb where n = 1")
rows = connection.execute("from lake.more.by_duckdb").fetchall()
assert rows == [(2,)], rows
