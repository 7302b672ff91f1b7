#!/usr/bin/env bash
# Builds the extension and installs it for the PostgreSQL of WEIR_PG_CONFIG. Skips both when nothing has changed since.
# usage: scripts/install-extension.sh [--release]     (a debug build otherwise: it compiles in half the time)
# With DESTDIR=FOLDER the files go below FOLDER, in the folders that they have on the server: docs/deploy.md.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$WEIR_ROOT/scripts/put.sh"
cd "$WEIR_ROOT"

die() { printf 'the extension was not installed: %s\n  what to do: %s\n' "$1" "$2" >&2; exit 1; }
profile=("$@")
[ -x "$WEIR_PG_CONFIG" ] || die "no pg_config at $WEIR_PG_CONFIG" "name it: WEIR_PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config"
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
command -v cargo-pgrx >/dev/null ||
  die "no cargo-pgrx" "run this on a machine where 'make build' was run; for a server without: DESTDIR, docs/deploy.md"
[ -e "$("$WEIR_PG_CONFIG" --includedir-server)/postgres.h" ] ||
  die "PostgreSQL $major has no headers here" "apt-get install postgresql-server-dev-$major"
if [ -z "${DESTDIR:-}" ] && [ -e "$stamp" ] && [ -e "$library" ] && [ "$(fingerprint | sha256sum)" = "$(cat "$stamp")" ]; then
  echo "the extension is up to date in PostgreSQL $major"
  exit 0
fi
as_owner=()
[ -n "${DESTDIR:-}" ] || [ -w "$(dirname "$library")" ] || as_owner=(sudo)
# The extension is small enough for link-time optimisation of its release build.
export CARGO_PROFILE_RELEASE_LTO=thin
package="${CARGO_TARGET_DIR:-$WEIR_ROOT/target}/weir-pg$major"
rm -rf "$package"
build=(--debug)
[ "${profile[*]-}" != --release ] || build=()
cargo pgrx package ${build[@]+"${build[@]}"} --manifest-path pg_ext/Cargo.toml --pg-config "$WEIR_PG_CONFIG" \
  --no-default-features --features "pg$major" --out-dir "$package"
put 755 "$package$library" "$library"
# Install scripts of released versions, for the tests of updating; whoever has such a version has its objects already.
for file in "$package$control" "${package}${control%/*}"/weir--*.sql sql/postgres/released/weir--*.sql; do
  put 644 "$file" "${control%/*}/${file##*/}"
done
[ -n "${DESTDIR:-}" ] || fingerprint | sha256sum >"$stamp"
