#!/usr/bin/env bash
# Lints: format, clippy without a warning, licences and sources of dependencies; and what setup does when it fails.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$WEIR_ROOT/scripts/stage.sh"
cd "$WEIR_ROOT"

stage "check: fmt" cargo fmt --all --check
stage "check: clippy" cargo clippy --locked --workspace --all-targets -- -D warnings
# Not `advisories`: its database is not in a package registry, and CI reaches nothing else.
stage "check: cargo deny" cargo deny check bans licenses sources
stage "check: setup where PyPI fails" bash scripts/check-setup.sh
