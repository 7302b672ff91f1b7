#!/usr/bin/env bash
# All tests, in the order in which a failure is cheapest to find. Every service is started and stopped by the tests.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$WEIR_ROOT/scripts/stage.sh"
cd "$WEIR_ROOT"
# Most tests wait for servers and for workerd as long as they compute.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$((2 * $(nproc)))}"

stage "test: domain builds for wasm32" env PATH="/usr/bin:$PATH" CARGO_TARGET_DIR="${WEIR_WASM_TARGET_DIR:-$WEIR_CACHE/target-wasm}" \
  cargo check --locked -q -p weir-domain --target wasm32-unknown-unknown
# Tests over workerd wait more than they compute, so that several files run at once, beside the compilation of the others.
workers() {
  stage "test: Workers and the played Shopify in workerd, the snippet in Chromium" "$WEIR_NODE" --test --test-concurrency=3 \
    edge/{commerce,publication,fake-shopify,sync}/test/*.test.mjs
  stage "test: dry run of every deployment" bash scripts/dry-run-workers.sh
}
told="$(mktemp)"
workers >"$told" 2>&1 &
pid=$!
trap '[ -z "$pid" ] || kill "$pid"; rm -f "$told"' EXIT
compiled=0 passed=0
(stage "test: compile the host's" cargo test --locked --no-run "${WEIR_HOST_PACKAGES[@]}") || compiled=$?
wait "$pid" || passed=$?
pid=
cat "$told"
[ "$compiled" = 0 ] || exit "$compiled"
[ "$passed" = 0 ] || exit "$passed"
# Domain, edge on the host, analytics, the extension over PostgreSQL, end to end.
stage "test: domain, edge, analytics, extension, end to end" cargo test --locked "${WEIR_HOST_PACKAGES[@]}"
# The same suite over PostgreSQL 18; fewer random histories, the rules they try are the same code.
stage "test: extension over PostgreSQL 18" env WEIR_PG_CONFIG="$WEIR_PG18_CONFIG" WEIR_HISTORIES=100 \
  cargo test --locked "${WEIR_HOST_PACKAGES[@]}" --test extension
