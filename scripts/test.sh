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
# Tests wait for servers more than they compute, so that some run beside the compilation of the others, and those of the
# host in three lanes.
tests() { cargo test --locked "${WEIR_HOST_PACKAGES[@]}" "$@"; }
# `--test NAME` of each integration test for which a condition holds, of its `test` and its `crate`.
integration() {
  cargo metadata --locked --no-deps --format-version 1 | "$WEIR_NODE" -e '
    const { packages } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    const busy = ["extension", "sql_only"]; // keep PostgreSQL busy; the rest of weir-tests mostly waits
    const testsOf = (one) => one.targets.filter(({ kind }) => kind.includes("test")).map(({ name: test }) => ({ test, crate: one.name }));
    const chosen = packages.flatMap(testsOf).filter(({ test, crate }) => '"$1"');
    console.log(chosen.map(({ test }) => `--test ${test}`).join(" "));'
}
read -ra over_postgres <<<"$(integration 'crate === "weir-tests" && busy.includes(test)')"
read -ra over_stacks <<<"$(integration 'crate === "weir-tests" && !busy.includes(test)')"
read -ra others <<<"$(integration 'crate !== "weir-tests"')"

workers() {
  stage "test: Workers and the played Shopify in workerd, the snippet in Chromium" "$WEIR_NODE" --test --test-concurrency=3 \
    edge/{commerce,publication,fake-shopify,sync}/test/*.test.mjs
  stage "test: dry run of every deployment" bash scripts/dry-run-workers.sh
}
beside workers stage "test: compile the host's" tests --no-run
alone() {
  stage "test: domain, edge on the host, analytics" tests --lib --bins "${others[@]}"
  stage "test: examples in the documentation" tests --doc
  stage "test: what README and docs/ name is there" "$WEIR_NODE" scripts/check-docs.mjs
  # The same suite over PostgreSQL 18; fewer random histories, the rules they try are the same code.
  WEIR_PG_CONFIG="$WEIR_PG18_CONFIG" WEIR_HISTORIES=100 stage "test: extension over PostgreSQL 18" tests --test extension
  # Of the SQL-only install what tells whether that server takes it at all, which here has no pgcrypto.
  WEIR_PG_CONFIG="$WEIR_PG18_CONFIG" WEIR_HISTORIES=2 stage "test: SQL only over PostgreSQL 18" tests --test sql_only -- \
    contract::every_topic contract::the_ledger contract::bulk:: contract::readback contract::objectives contract::privacy
}
stacks() { stage "test: end to end, sync, crashes" tests "${over_stacks[@]}"; }
beside "alone stacks" stage "test: extension and SQL only" tests "${over_postgres[@]}"
