#!/usr/bin/env bash
# Webhooks accepted per second, the commerce Worker beside a plain JavaScript one, and the drain of a backlog.
# usage: scripts/bench-edge.sh [--beside EDGE]... [requests of a round] [rounds] [deliveries to drain]
#   EDGE: the `edge` folder of another checkout, whose built commerce Worker takes part (tests/src/bin/bench_edge)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$WEIR_ROOT/scripts/stage.sh"
cd "$WEIR_ROOT"

stage "bench: the commerce Worker" bash scripts/build-workers.sh commerce
stage "bench: the extension, release build" bash scripts/install-extension.sh --release
# `weir` lies beside the benchmark, which starts it.
stage "bench: weir serve, release build" cargo build --locked --release "${WEIR_HOST_PACKAGES[@]}" --bin weir --bin bench_edge
stage "bench: webhooks accepted and drained" "${CARGO_TARGET_DIR:-target}/release/bench_edge" "$@"
