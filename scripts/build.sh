#!/usr/bin/env bash
# Builds everything that runs: the extension (and installs it into PostgreSQL 15), the Worker, `weir`, the harness.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$WEIR_ROOT/scripts/stage.sh"
cd "$WEIR_ROOT"

stage "build: PostgreSQL extension" bash scripts/install-extension.sh
stage "build: PostgreSQL extension for 18" env WEIR_PG_CONFIG="$WEIR_PG18_CONFIG" bash scripts/install-extension.sh
workers() { stage "build: Workers" bash scripts/build-workers.sh; }
# They compile into directories of their own, so that neither waits for the other's lock.
beside workers stage "build: weir and the harness" cargo build --locked "${WEIR_HOST_PACKAGES[@]}" --bins
