#!/usr/bin/env bash
# What a refresh costs, beside the SQL that somebody would write in DuckDB alone: analytics/bench/measurement.rs, step by step.
#   scripts/bench-measurement.sh [EVENTS] [PRODUCTS]    default 10,000,000 events of 50,000 products
# One JSON line a step: milliseconds, peak memory of the process. DuckDB has 1 GiB (engine.rs) and the machine's cores. The
# warehouse lies in WEIR_BENCH_DIR (about 100 bytes an event) and is removed at the end.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"
events="${1:-10000000}" products="${2:-50000}" profile="${WEIR_BENCH_PROFILE:-release}"

cargo build --locked --profile "$profile" -p weir-analytics --features bench --bin bench-measurement
folder="${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}"
warehouse="$(mktemp -d "${WEIR_BENCH_DIR:-${TMPDIR:-/tmp}}/weir-bench.XXXXXX")"
trap 'rm -rf "$warehouse"' EXIT
bench() { "$folder/bench-measurement" "$@"; }

bench generate "$warehouse" "$events" "$products"
bench full "$warehouse"
bench more "$warehouse" "$events" "$products"
bench incremental "$warehouse"
bench incremental "$warehouse" # again: nothing has changed
bench explain "$warehouse"
bench full-more "$warehouse"
bench plain "$warehouse"
