#!/usr/bin/env bash
# Builds `weir` and lays it and the libduckdb it links into $PREFIX/bin and $PREFIX/lib, where it runs as it is.
# usage: [PREFIX=/usr/local] [DESTDIR=] scripts/install.sh     (a release build; WEIR_INSTALL_PROFILE=dev: the one of the tests)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"
profile="${WEIR_INSTALL_PROFILE:-release}" prefix="${DESTDIR:-}${PREFIX:-/usr/local}"
cargo build --locked --profile "$profile" "${WEIR_HOST_PACKAGES[@]}" --bin weir
binary="${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}/weir"
# Built as whoever this is; only the copying may need more.
root=()
if ! mkdir -p "$prefix/bin" "$prefix/lib" 2>/dev/null || [ ! -w "$prefix/bin" ] || [ ! -w "$prefix/lib" ]; then
  command -v sudo >/dev/null || { echo "$prefix cannot be written: run this as root, or say PREFIX=..." >&2; exit 1; }
  root=(sudo)
fi
"${root[@]}" install -D -m 755 "$binary" "$prefix/bin/weir"
"${root[@]}" install -D -m 644 "$DUCKDB_LIB_DIR/libduckdb.so" "$prefix/lib/libduckdb.so"
# As whoever runs it will: without what env.sh says.
env -u LD_LIBRARY_PATH "$prefix/bin/weir" --version
