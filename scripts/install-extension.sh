#!/usr/bin/env bash
# Builds the extension and installs it for the PostgreSQL of WEIR_PG_CONFIG. Skips both when nothing has changed since.
# usage: scripts/install-extension.sh [--release]     (a debug build otherwise: it compiles in half the time)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"

profile=("$@")
library="$("$WEIR_PG_CONFIG" --pkglibdir)/weir.so"
control="$("$WEIR_PG_CONFIG" --sharedir)/extension/weir.control"
major="$("$WEIR_PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')"
stamp="$WEIR_CACHE/extension-$major.stamp"
export PGRX_PG_CONFIG_PATH="$WEIR_PG_CONFIG"
# A build directory of its own for every other version: in a shared one they would build pgrx again and again, in turn.
[ "$major" = 15 ] || export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$WEIR_ROOT/target}/pg$major"
# What the extension is made of, and the file that an earlier run installed from it.
fingerprint() {
  echo "${profile[*]-}"
  # pg_ext/sql is a link to a folder that is listed itself.
  git ls-files -co --exclude-standard -- domain pg_ext ':!pg_ext/sql' sql/postgres Cargo.toml Cargo.lock | sort -u |
    xargs -d '\n' sha256sum
  sha256sum "$library" "$control" 2>/dev/null || true
}
if [ -e "$stamp" ] && [ -e "$library" ] && [ "$(fingerprint | sha256sum)" = "$(cat "$stamp")" ]; then
  echo "the extension is up to date in PostgreSQL $major"
  exit 0
fi
sudo_flag=() as_owner=()
[ -w "$(dirname "$library")" ] || { sudo_flag=(--sudo); as_owner=(sudo); }
# The extension is small enough for link-time optimisation of its release build.
export CARGO_PROFILE_RELEASE_LTO=thin
cargo pgrx install ${profile[@]+"${profile[@]}"} --manifest-path pg_ext/Cargo.toml --pg-config "$WEIR_PG_CONFIG" \
  --no-default-features --features "pg$major" "${sudo_flag[@]}"
# Install scripts of released versions, for the tests of updating; whoever has such a version has its objects already.
"${as_owner[@]}" install -m 644 sql/postgres/released/weir--*.sql "$(dirname "$control")"
fingerprint | sha256sum >"$stamp"
