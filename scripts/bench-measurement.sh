#!/usr/bin/env bash
# What a refresh costs, beside others that compute the same from the same files: plain SQL in DuckDB, polars, PostgreSQL.
#   scripts/bench-measurement.sh [EVENTS] [PRODUCTS]    default 10,000,000 events of 50,000 products
# One JSON line a step (analytics/src/bin/bench_measurement): milliseconds, processor time, peak memory of the process. weir
# and the plain SQL have 1 GiB and the machine's cores. Every contender's rows are compared with weir's: the run fails if one
# differs. The warehouse lies in WEIR_BENCH_DIR (about 100 bytes an event) and is removed at the end.
# WEIR_BENCH_CONTENDERS="duckdb polars postgres" chooses.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"
events="${1:-10000000}" products="${2:-50000}" profile="${WEIR_BENCH_PROFILE:-release}"
contenders=" ${WEIR_BENCH_CONTENDERS:-duckdb polars postgres} "

. scripts/bench-venv.sh
cargo build --locked --profile "$profile" "${WEIR_HOST_PACKAGES[@]}" --bin bench_measurement --bin weir
binaries="${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}"
folder="$(mktemp -d "${WEIR_BENCH_DIR:-${TMPDIR:-/tmp}}/weir-bench.XXXXXX")"
warehouse="$folder/warehouse"
mkdir "$warehouse"
data="$folder/postgres"
as_server() { # the server refuses to run as root
  if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}
postgres="$("$WEIR_PG_CONFIG" --bindir)"
clean_up() {
  [ ! -e "$data/postmaster.pid" ] || as_server "$postgres/pg_ctl" -D "$data" -m immediate -w stop >/dev/null
  rm -rf "$folder"
}
trap clean_up EXIT
bench() { "$binaries/bench_measurement" "$@"; }
chosen() { [[ "$contenders" == *" $1 "* ]]; }

bench generate "$warehouse" "$events" "$products"
bench full "$warehouse"
bench more "$warehouse" "$events" "$products"
bench incremental "$warehouse"
bench incremental "$warehouse" # again: nothing has changed
bench explain "$warehouse" "$binaries/weir"
bench full-more "$warehouse"

if chosen duckdb; then
  bench plain "$warehouse" "$folder"
  bench compare "$warehouse" "$folder" duckdb
fi
if chosen polars; then
  bench inputs "$warehouse" "$folder"
  POLARS_MAX_THREADS="$(nproc)" "$WEIR_BENCH_VENV/bin/python" tests/bench/measurement.py "$folder"
  bench compare "$warehouse" "$folder" polars
fi
if chosen postgres; then
  bench inputs "$warehouse" "$folder" csv
  chmod 755 "$folder"
  mkdir "$data"
  [ "$(id -u)" != 0 ] || chown postgres "$data"
  as_server "$postgres/initdb" -D "$data" -U postgres -A trust --no-sync -E UTF8 --locale=C >/dev/null
  as_server "$postgres/pg_ctl" -D "$data" -l "$data/log" -w start >/dev/null \
    -o "-c listen_addresses= -c unix_socket_directories=$data -c fsync=off -c max_wal_size=8GB -c shared_buffers=512MB"
  variables=(-v "folder=$folder")
  while IFS='=' read -r name value; do variables+=(-v "$name=$value"); done < <("$WEIR_PYTHON" -c '
import json, sys
for name, value in json.load(open(sys.argv[1])).items():
    if name != "files":
        print(f"{name}={value}")' "$folder/inputs.json")
  "$postgres/psql" -X -q -h "$data" -U postgres "${variables[@]}" -f tests/bench/measurement.sql <"$folder/events.csv"
  bench compare "$warehouse" "$folder" postgres
fi
