#!/usr/bin/env bash
# Ingest side by side in one run: weir (POST to committed Iceberg), dlt, and pyiceberg with ready Arrow as the ceiling;
# then how often a table gets a commit at steady load, for 90 seconds. Two cores for each, senders included; prints figures
# and asserts nothing. EVENTS=1000000 by default, WEIR_BENCH_STEADY=0 leaves the second part out.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"

. scripts/bench-venv.sh
cargo build --locked --release "${WEIR_HOST_PACKAGES[@]}" --bin bench_lake --bin weir

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
two_cores() { if [ "$(nproc)" -gt 2 ]; then taskset -c 0,1 "$@"; else "$@"; fi; }
bench="${CARGO_TARGET_DIR:-target}/release/bench_lake"
uptime
two_cores "$bench" "$folder" ingest "${EVENTS:-1000000}"
two_cores "$WEIR_BENCH_VENV/bin/python" tests/bench/lake.py "$folder"
[ "${WEIR_BENCH_STEADY:-1}" = 0 ] || two_cores "$bench" "$folder" steady
uptime
