#!/usr/bin/env bash
# Builds the Workers to edge/*/build, and prints the size of each as it would be uploaded. No-op when up to date.
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
[ ${#workers[@]} -gt 0 ] || workers=(commerce publication)

# worker-build asks rustup for the target when rustup's rustc lacks it. Where the system's own rustc has it, that one goes
# first and nothing has to be fetched.
if [ -d /usr/lib/rustlib/wasm32-unknown-unknown/lib ] && [ -x /usr/bin/cargo ]; then
  PATH="/usr/bin:$PATH"
fi
# A directory of its own: two compilers must not take turns in one.
export CARGO_TARGET_DIR="${WEIR_WASM_TARGET_DIR:-$WEIR_CACHE/target-wasm}"

inputs_digest() { # of everything that the build of worker $1 reads
  {
    echo "${optimise[*]-} $(rustc --version) $WEIR_WASM_BINDGEN_VERSION"
    find Cargo.toml Cargo.lock domain/Cargo.toml domain/src edge/shared/Cargo.toml edge/shared/src \
      "edge/$1/Cargo.toml" "edge/$1/src" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -d' ' -f1
}

for worker in "${workers[@]}"; do
  stamp="edge/$worker/build/.inputs"
  digest="$(inputs_digest "$worker")"
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$digest" ]; then
    rm -f "$stamp"
    (cd "edge/$worker" && worker-build --profile worker ${optimise[@]+"${optimise[@]}"})
    echo "$digest" >"$stamp"
  fi
  bytes=$(find "edge/$worker/build" -maxdepth 1 \( -name '*.js' -o -name '*.wasm' \) -print0 \
    | LC_ALL=C sort -z | xargs -0 cat | gzip -9 | wc -c)
  echo "$worker: $((bytes / 1024)) KiB gzip"
done
