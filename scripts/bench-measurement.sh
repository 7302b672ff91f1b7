#!/usr/bin/env bash
# What a refresh costs, beside plain SQL in DuckDB, polars and PostgreSQL over the same events.
# usage: scripts/bench-measurement.sh [EVENTS] [PRODUCTS]     (10,000,000 events of 50,000 products without arguments)
# Prints one JSON line per step: time, processor time, peak memory; at the end the ratios. Release build unless
# WEIR_BENCH_PROFILE says otherwise; DuckDB may have 1 GiB and the machine's cores. Every contender's rows are compared with
# weir's: the run fails if one differs.
#
# WEIR_BENCH_STEPS="generate refresh duckdb polars postgres" chooses: `refresh` is weir's own, `duckdb` plain SQL right after it.
# WEIR_BENCH_ROUNDS     how often weir and plain SQL run in turn (3); the ratios are those of the medians.
# WEIR_BENCH_DIR        where the warehouse lies (about 110 bytes an event); it is removed at the end.
# WEIR_BENCH_WAREHOUSE  a folder that is kept: a later run without the step `generate` begins with what is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"
events="${1:-10000000}" products="${2:-50000}" profile="${WEIR_BENCH_PROFILE:-release}"
steps=" ${WEIR_BENCH_STEPS:-generate refresh duckdb polars postgres} "

. scripts/bench-venv.sh
cargo build --locked --profile "$profile" "${WEIR_HOST_PACKAGES[@]}" --bin bench_measurement --bin weir
binaries="${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}"
if [ -n "${WEIR_BENCH_WAREHOUSE:-}" ]; then
  folder="$WEIR_BENCH_WAREHOUSE"
  mkdir -p "$folder"
else
  folder="$(mktemp -d "${WEIR_BENCH_DIR:-${TMPDIR:-/tmp}}/weir-bench.XXXXXX")"
fi
warehouse="$folder/warehouse" results="$folder/results.jsonl" data="$folder/postgres"
as_server() { # the server refuses to run as root
  if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}
postgres="$("$WEIR_PG_CONFIG" --bindir)"
clean_up() {
  [ ! -e "$data/postmaster.pid" ] || as_server "$postgres/pg_ctl" -D "$data" -m immediate -w stop >/dev/null
  rm -rf "$data"
  [ -n "${WEIR_BENCH_WAREHOUSE:-}" ] || rm -rf "$folder"
}
trap clean_up EXIT
bench() { "$binaries/bench_measurement" "$@" | tee -a "$results"; }
chosen() { [[ "$steps" == *" $1 "* ]]; }
# The warehouse at an earlier moment: no file of it is ever written twice, so that links are a copy. Its tables know where
# they lie, so that it always lies in one place.
keep() { rm -rf "$folder/$1" && cp -al "$warehouse" "$folder/$1"; }
restore() { rm -rf "$warehouse" && cp -al "$folder/$1" "$warehouse"; }

uptime
if chosen generate; then
  rm -rf "$warehouse"
  mkdir "$warehouse"
  bench generate "$warehouse" "$events" "$products"
  keep generated
fi
[ -d "$folder/generated" ] || { echo "no warehouse in $folder; run the step generate first" >&2; exit 2; }
! chosen refresh || : >"$results" # those of weir are kept for contenders that run later
if chosen refresh; then
  restore generated
  bench full "$warehouse"
  bench more "$warehouse" "$events" "$products"
  keep grown
  for ((round = 1; round <= ${WEIR_BENCH_ROUNDS:-3}; round++)); do
    restore grown
    bench incremental "$warehouse"
    bench incremental-again "$warehouse"
    [ "$round" -gt 1 ] || bench explain "$warehouse" "$binaries/weir"
    bench full-more "$warehouse"
    ! chosen duckdb || bench plain "$warehouse" "$folder"
  done
  ! chosen duckdb || bench compare "$warehouse" "$folder" duckdb
fi
if chosen polars; then
  bench inputs "$warehouse" "$folder"
  POLARS_MAX_THREADS="$(nproc)" "$WEIR_BENCH_VENV/bin/python" tests/bench/measurement.py "$folder" | tee -a "$results"
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
  "$postgres/psql" -X -q -h "$data" -U postgres "${variables[@]}" -f tests/bench/measurement.sql <"$folder/events.csv" |
    tee "$folder/postgres.log"
  rm "$folder/events.csv"
  "$WEIR_PYTHON" -c '
import json, re, sys
ms = sum(float(ms) for ms in re.findall(r"^Time: ([0-9.]+) ms", open(sys.argv[1]).read(), re.M))
print(json.dumps({"what": "postgres", "ms": round(ms)}))' "$folder/postgres.log" | tee -a "$results"
  bench compare "$warehouse" "$folder" postgres
fi
"$WEIR_PYTHON" tests/bench/measurement_ratios.py "$results"
uptime
