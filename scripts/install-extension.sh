#!/usr/bin/env bash
# Builds the extension and installs it for the PostgreSQL of WEIR_PG_CONFIG. Skips both when nothing has changed since.
# usage: scripts/install-extension.sh [--release]     (a debug build otherwise: it compiles in half the time)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"

profile=("$@")
library="$("$WEIR_PG_CONFIG" --pkglibdir)/weir.so"
control="$("$WEIR_PG_CONFIG" --sharedir)/extension/weir.control"
stamp="$WEIR_CACHE/extension.stamp"
# What the extension is made of, and the file that an earlier run installed from it.
fingerprint() {
  echo "${profile[*]-}"
  git ls-files -co --exclude-standard -- domain pg_ext sql/postgres Cargo.toml Cargo.lock | sort -u |
    xargs -d '\n' sha256sum
  sha256sum "$library" "$control" 2>/dev/null || true
}
if [ -e "$stamp" ] && [ -e "$library" ] && [ "$(fingerprint | sha256sum)" = "$(cat "$stamp")" ]; then
  echo "the extension is up to date"
  exit 0
fi
sudo_flag=()
[ -w "$(dirname "$library")" ] || sudo_flag=(--sudo)
cargo pgrx install ${profile[@]+"${profile[@]}"} --manifest-path pg_ext/Cargo.toml --pg-config "$WEIR_PG_CONFIG" "${sudo_flag[@]}"
fingerprint | sha256sum >"$stamp"
