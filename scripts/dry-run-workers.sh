#!/usr/bin/env bash
# `wrangler deploy --dry-run` of every Worker in every environment: its configuration is valid, its bundle complete, and an
# address leads to it. Prints the size of each upload and fails above the goal. Needs no account and no network.
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

# Environments of all workers to which no address leads: neither routes nor workers.dev; a WEBHOOK_URL that is no route of the
# commerce Worker, so that Shopify would deliver to nobody; consumers without a dead letter queue; and requests that the platform would log or trace: addresses, user
# agents and queries of visitors would lie in the account's logs.
"$WEIR_NODE" - "${workers[@]}" <<'EOF'
const { unstable_readConfig: read } = require("wrangler");
const of = (worker, env) => read({ config: `edge/${worker}/wrangler.jsonc`, env }, { hideWarnings: true });
const faults = [];
for (const env of ["dev", "staging", "production"]) {
  const hosts = (of("commerce", env).routes ?? []).map((route) => (route.pattern ?? route).split("/")[0]);
  for (const worker of process.argv.slice(2)) {
    const { routes = [], workers_dev, vars, observability, queues } = of(worker, env);
    for (const { queue, dead_letter_queue } of queues.consumers ?? []) {
      if (!dead_letter_queue || dead_letter_queue === queue) faults.push(`${worker} (${env}): ${queue} needs a dead_letter_queue, or the platform drops what fails`);
    }
    if (routes.length === 0 && workers_dev !== true) faults.push(`${worker} (${env}): no address leads to it; give it routes or workers_dev`);
    if (observability?.logs?.invocation_logs !== false || observability.traces?.enabled !== false) {
      faults.push(`${worker} (${env}): observability needs "invocation_logs": false and no traces`);
    }
    const target = vars.WEBHOOK_URL && new URL(vars.WEBHOOK_URL).host;
    if (target && hosts.length > 0 && !hosts.includes(target)) faults.push(`${worker} (${env}): WEBHOOK_URL names ${target}, the commerce Worker is at ${hosts}`);
  }
}
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
EOF

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
