#!/usr/bin/env bash
# Builds the Workers to edge/*/build, and prints the size of each as it would be uploaded. No-op when up to date; a build of
# the same inputs in another clone is taken from the cache.
# usage: scripts/build-workers.sh [--dev] [worker ...]     (--dev skips wasm-opt)
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"

optimise=()
if [ "${1:-}" = --dev ]; then
  optimise=(--no-opt)
  shift
fi
workers=("$@")
[ ${#workers[@]} -gt 0 ] || workers=(commerce publication sync)

# worker-build asks rustup for the target when rustup's rustc lacks it. Where the system's own rustc has it, that one goes
# first and nothing has to be fetched.
if [ -d /usr/lib/rustlib/wasm32-unknown-unknown/lib ] && [ -x /usr/bin/cargo ]; then
  PATH="/usr/bin:$PATH"
fi
# A directory of its own: two compilers must not take turns in one.
export CARGO_TARGET_DIR="${WEIR_WASM_TARGET_DIR:-$WEIR_CACHE/target-wasm}"

inputs_digest() { # of everything that the build of worker $1 reads
  {
    echo "${optimise[*]-} $(rustc --version) $WEIR_WASM_BINDGEN_VERSION $WEIR_WORKER_BUILD_VERSION"
    # package-lock.json names the wasm-opt and esbuild.
    find Cargo.toml Cargo.lock package-lock.json domain/Cargo.toml domain/src edge/shared/Cargo.toml edge/shared/src \
      "edge/$1/Cargo.toml" "edge/$1/src" $(ls -d "edge/$1/graphql" 2>/dev/null) -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -d' ' -f1
}

# Keeps the build of worker $1 as folder $2, which appears whole or not at all; the five newest of a worker stay.
keep_build() {
  local fresh
  mkdir -p "$WEIR_CACHE/workers"
  fresh="$(mktemp -d "$WEIR_CACHE/workers/.$1.XXXXXX")"
  cp -R "edge/$1/build/." "$fresh"
  # Where another clone was first, its folder is as good.
  mv -T "$fresh" "$2" 2>/dev/null || rm -rf "$fresh"
  find "$WEIR_CACHE/workers" -maxdepth 1 -name "$1-*" -printf '%T@ %p\0' | sort -zrn | tail -zn +6 | cut -zd' ' -f2- | xargs -0r rm -rf
}

for worker in "${workers[@]}"; do
  stamp="edge/$worker/build/.inputs"
  digest="$(inputs_digest "$worker")"
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$digest" ]; then
    kept="$WEIR_CACHE/workers/$worker-$digest"
    rm -rf "edge/$worker/build"
    if [ -d "$kept" ]; then
      cp -R "$kept" "edge/$worker/build"
    else
      (cd "edge/$worker" && worker-build --profile worker ${optimise[@]+"${optimise[@]}"})
      echo "$digest" >"$stamp"
      keep_build "$worker" "$kept"
    fi
  fi
  bytes=$(find "edge/$worker/build" -maxdepth 1 \( -name '*.js' -o -name '*.wasm' \) -print0 \
    | LC_ALL=C sort -z | xargs -0 cat | gzip -9 | wc -c)
  echo "$worker: $((bytes / 1024)) KiB gzip"
done
