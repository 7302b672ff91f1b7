#!/usr/bin/env bash
# All tests, in the order in which a failure is cheapest to find. Every service is started and stopped by the tests.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$WEIR_ROOT/scripts/stage.sh"
cd "$WEIR_ROOT"

stage "test: domain builds for wasm32" env PATH="/usr/bin:$PATH" CARGO_TARGET_DIR="${WEIR_WASM_TARGET_DIR:-$WEIR_CACHE/target-wasm}" \
  cargo check --locked -q -p weir-domain --target wasm32-unknown-unknown
stage "test: commerce Worker in workerd" "$WEIR_NODE" --test edge/commerce/test/*.test.mjs
stage "test: publication Worker in workerd, its snippet in Chromium" "$WEIR_NODE" --test edge/publication/test/*.test.mjs
stage "test: dry run of every deployment" bash scripts/dry-run-workers.sh
# Domain, edge on the host, analytics, the extension over PostgreSQL, end to end.
stage "test: domain, edge, analytics, extension, end to end" cargo test --locked "${WEIR_HOST_PACKAGES[@]}"
# The same suite over PostgreSQL 18; fewer random histories, the rules they try are the same code.
stage "test: extension over PostgreSQL 18" env WEIR_PG_CONFIG="$WEIR_PG18_CONFIG" WEIR_HISTORIES=100 \
  cargo test --locked "${WEIR_HOST_PACKAGES[@]}" --test extension
