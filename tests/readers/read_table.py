#!/usr/bin/env python3
"""Reads an Iceberg table through its REST catalog with a reader that is not weir, and prints its rows as JSON lines.

    read_table.py pyiceberg URI WAREHOUSE NAMESPACE.TABLE [COLUMN]
    read_table.py duckdb    URI WAREHOUSE NAMESPACE.TABLE [COLUMN]

With COLUMN it prints one line instead: how many rows there are, and how many different values that column has.

WEIR_READER_PROPERTIES may hold a JSON object of further catalog properties under pyiceberg's names (credential, s3.endpoint,
s3.access-key-id, s3.secret-access-key, s3.region); DuckDB is given the same.

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


def properties():
    return json.loads(os.environ.get("WEIR_READER_PROPERTIES", "{}"))


def counted(column, arrow):
    return [{"rows": arrow.num_rows, "distinct": len(arrow.column(column).unique())}]


def read_pyiceberg(uri, warehouse, table, column=None):
    from pyiceberg.catalog import load_catalog

    catalog = load_catalog("weir", type="rest", uri=uri, warehouse=warehouse, **properties())
    if column:
        return counted(column, catalog.load_table(table).scan(selected_fields=(column,)).to_arrow())
    return catalog.load_table(table).scan().to_arrow().to_pylist()


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def read_duckdb(uri, warehouse, table, column=None):
    import duckdb

    connection = duckdb.connect()
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set TimeZone = 'UTC'")
    folder = pathlib.Path(os.environ["WEIR_DUCKDB_EXTENSION_DIR"])
    # iceberg needs the two others.
    for name in ("avro", "httpfs", "iceberg"):
        file = str(folder / f"{name}.duckdb_extension").replace("'", "''")
        connection.execute(f"load '{file}'")
    given = properties()
    if "s3.endpoint" in given:
        tls, host = given["s3.endpoint"].split("://")
        secret = {
            "type": "s3",
            "key_id": given["s3.access-key-id"],
            "secret": given["s3.secret-access-key"],
            "region": given["s3.region"],
            "endpoint": host,
            "url_style": "path",
        }
        options = ", ".join(f"{name} {literal(text)}" for name, text in secret.items())
        connection.execute(f"create secret storage ({options}, use_ssl {str(tls == 'https').lower()})")
    access = "authorization_type 'none'"
    if "credential" in given:
        identity, password = given["credential"].split(":")
        token_uri = f"{uri}/v1/oauth/tokens"
        connection.execute(
            f"create secret catalog (type iceberg, client_id {literal(identity)}, client_secret {literal(password)}, "
            f"oauth2_server_uri {literal(token_uri)}, oauth2_scope 'catalog')"
        )
        access = "secret 'catalog'"
    connection.execute(f"attach {literal(warehouse)} as lake (type iceberg, endpoint {literal(uri)}, {access})")
    name = ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
    if column:
        return counted(column, connection.execute(f'select "{column}" from lake.{name}').fetch_arrow_table())
    # By way of Arrow: DuckDB's own conversion of timestamptz wants pytz.
    return connection.execute(f"select * from lake.{name}").fetch_arrow_table().to_pylist()


def main():
    readers = {"pyiceberg": read_pyiceberg, "duckdb": read_duckdb}
    if len(sys.argv) not in (5, 6) or sys.argv[1] not in readers:
        sys.exit(__doc__)
    for row in readers[sys.argv[1]](*sys.argv[2:]):
        print(json.dumps(row, default=plain, ensure_ascii=False))


if __name__ == "__main__":
    main()
