#!/usr/bin/env bash
# Benchmarks: release builds, contenders side by side in one run, ratios rather than times. Asserts nothing about time.
# usage: scripts/bench.sh [ingest | bulk | lake | measurement | edge ...]     (all without a name)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$WEIR_ROOT/scripts/stage.sh"
cd "$WEIR_ROOT"

# release BINARY arguments... : builds a benchmark and runs it.
release() {
  cargo build --locked --release "${WEIR_HOST_PACKAGES[@]}" --bin "$1"
  "${CARGO_TARGET_DIR:-target}/release/$1" "${@:2}"
}

names=("$@")
[ ${#names[@]} -gt 0 ] || names=(ingest bulk lake measurement edge)
for name in "${names[@]}"; do
  case "$name" in
    ingest)
      stage "bench: the extension, release build" bash scripts/install-extension.sh --release
      # It installs the SQL-only contender.
      stage "bench: weir, release build" cargo build --locked --release "${WEIR_HOST_PACKAGES[@]}" --bin weir
      stage "bench: weir.ingest beside plain SQL" \
        release bench_ingest ${WEIR_BENCH_ORDERS:-}
      ;;
    bulk)
      stage "bench: the extension, release build" bash scripts/install-extension.sh --release
      stage "bench: weir, release build" cargo build --locked --release "${WEIR_HOST_PACKAGES[@]}" --bin weir
      stage "bench: bulk JSONL into PostgreSQL, its events into the committed table" \
        release bench_bulk ${WEIR_BENCH_ORDERS:-}
      ;;
    lake)
      stage "bench: streams to Iceberg beside dlt and pyiceberg" bash scripts/bench-lake.sh
      ;;
    measurement)
      stage "bench: a refresh beside DuckDB, polars and PostgreSQL" bash scripts/bench-measurement.sh ${WEIR_BENCH_EVENTS:-}
      ;;
    edge) bash scripts/bench-edge.sh ${WEIR_BENCH_EDGE:-} ;;
    *)
      echo "bench.sh: no benchmark is called $name; there are: ingest, bulk, lake, measurement, edge" >&2
      exit 2
      ;;
  esac
done
