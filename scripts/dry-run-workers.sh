#!/usr/bin/env bash
# `wrangler deploy --dry-run` of every Worker in every environment: its configuration is valid, its bundle complete. Prints
# the size of each upload and fails above the goal. Needs no account and no network.
# usage: scripts/dry-run-workers.sh [worker ...]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$WEIR_ROOT"

max_kib=1024 # compressed; Cloudflare takes far more, but a larger Worker starts slower
workers=("$@")
if [ ${#workers[@]} -eq 0 ]; then
  for config in edge/*/wrangler.jsonc; do workers+=("$(basename "$(dirname "$config")")"); done
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# wrangler writes its log and cache below these; a CI machine's home is not its business.
export XDG_CONFIG_HOME="$out/config" WRANGLER_LOG_PATH="$out/log" CI=1
for worker in "${workers[@]}"; do
  environments=$(sed -n 's/^    "\(dev\|staging\|production\)": {$/\1/p' "edge/$worker/wrangler.jsonc")
  [ "$(wc -w <<<"$environments")" = 3 ] || { echo "$worker: expected dev, staging and production" >&2; exit 1; }
  for environment in $environments; do
    report="$out/$worker-$environment.txt"
    if ! (cd "edge/$worker" && "$WEIR_NODE" ../../node_modules/wrangler/bin/wrangler.js deploy --dry-run \
      --env "$environment" --outdir "$out/$worker-$environment") >"$report" 2>&1; then
      cat "$report" >&2
      echo "$worker ($environment): dry run failed" >&2
      exit 1
    fi
    kib=$(sed -n 's|.*Total Upload:.*gzip: \([0-9]*\).*|\1|p' "$report")
    [ -n "$kib" ] || { cat "$report" >&2; echo "$worker ($environment): wrangler named no size" >&2; exit 1; }
    echo "$worker ($environment): $kib KiB gzip"
    [ "$kib" -le "$max_kib" ] || { echo "$worker is larger than $max_kib KiB gzip" >&2; exit 1; }
  done
done
