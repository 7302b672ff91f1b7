// The sync Worker in workerd: workflows, the watermark object, the archive in R2, and a service binding to itself.

import { join } from "node:path";
import { Log, LogLevel } from "miniflare";
import { fileOf, optional, startWorkerd, streams, timeouts } from "./parts.mjs";

const SCRIPTS = ["entry.mjs", "workflows/routes.mjs", "workflows/schedules.mjs", "workflows/tokens.mjs", "workflows/workflows.mjs", "workflows/synchronise.mjs", "workflows/runner.mjs", "build/index.js"];
const WASM = "build/index_bg.wasm";

/** Binding, name and class of each workflow, as in wrangler.jsonc. */
const WORKFLOWS = {
  DAILY_SHOPIFY_BULK_SYNC: { name: "daily-shopify-bulk-sync", className: "DailyShopifyBulkSync" },
  FULL_BACKFILL: { name: "full-backfill", className: "FullBackfill" },
  MEASUREMENT_REFRESH: { name: "measurement-refresh", className: "MeasurementRefresh" },
  ARTIFACT_REPLICATION: { name: "artifact-replication", className: "ArtifactReplication" },
  WEBHOOK_RECONCILE: { name: "webhook-reconcile", className: "WebhookReconcile" },
  DELETION_RECONCILE: { name: "deletion-reconcile", className: "DeletionReconcile" },
  REPLAY: { name: "replay", className: "Replay" },
};

/** The Worker's modules. `entry`, for tests, is the text of a module in the place of entry.mjs, which is "./own.mjs" to it. */
async function modules(entry) {
  const script = async (path, name = path) => ({ type: "ESModule", path: name, contents: (await fileOf("sync", path)).toString() });
  const [own, ...scripts] = SCRIPTS;
  const first = entry === undefined ? [script(own)] : [{ type: "ESModule", path: own, contents: entry }, script(own, "own.mjs")];
  const wasm = { type: "CompiledWasm", path: WASM, contents: await fileOf("sync", WASM) };
  return [...(await Promise.all([...first, ...scripts.map((path) => script(path))])), wasm];
}

/**
 * The sync Worker. config as in startStack, and: shopifyOrigin (with {shop} in it), accessTokens (by shop), webhookUrl, and
 * for tests partBytes, streamVersions and timeouts (of parts.mjs), inspectorPort, pollMillis, retryDelayMillis, backfillPauseMillis,
 * stepsAnInstance (of a backfill), syncEntry (of `modules`).
 */
async function syncWorker(config, telemetry) {
  return {
    name: "sync",
    // An address of its own also where another Worker has the first one.
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    modules: await modules(config.syncEntry),
    compatibilityDate: "2026-07-01",
    bindings: {
      SHOPS: JSON.stringify(config.shops),
      WEIR_INTERNAL_TOKEN: config.internalToken ?? "",
      SHOPIFY_ORIGIN: config.shopifyOrigin,
      SHOPIFY_ACCESS_TOKENS: JSON.stringify(config.accessTokens ?? {}),
      WEBHOOK_URL: config.webhookUrl ?? "",
      LAKE_URL: config.lake,
      LAKE_TOKEN: config.token,
      // Locally an operation takes seconds, and an outage too.
      POLL_MILLIS: String(config.pollMillis ?? 1000),
      RETRY_DELAY_MILLIS: String(config.retryDelayMillis ?? 200),
      BACKFILL_PAUSE_MILLIS: String(config.backfillPauseMillis ?? 1000),
      ...timeouts(config),
      ...optional("STEPS_AN_INSTANCE", config.stepsAnInstance),
      ...(config.partBytes ? { PART_BYTES: String(config.partBytes) } : {}),
    },
    workflows: WORKFLOWS,
    durableObjects: { WATERMARKS: { className: "WatermarkObject", useSQLite: true } },
    r2Buckets: { BUCKET: "weir-sync" },
    hyperdrives: { POSTGRES: config.postgres },
    serviceBindings: {
      SELF: { name: "sync", entrypoint: "Steps" },
      ...telemetry,
    },
  };
}

/** Where workflows, objects and the archive are kept between runs: options of Miniflare. */
export const persistence = (directory) =>
  directory
    ? { r2Persist: join(directory, "r2"), workflowsPersist: join(directory, "workflows"), durableObjectsPersist: join(directory, "objects") }
    : {};

/** The sync Worker with its streams. */
export async function syncWorkers(config) {
  const telemetry = streams("sync", ["commerce", "sync"], config);
  return [await syncWorker(config, telemetry.bindings), ...telemetry.workers];
}

/** Workflows make Miniflare warn of what it cannot do; nothing of that is ours. */
export const quiet = () => ({ log: new Log(LogLevel.NONE) });

/** Starts the sync Worker alone, with its streams; for its tests. */
export async function startSync(config) {
  const { inspectorPort } = config;
  const stack = await startWorkerd(config, await syncWorkers(config), {
    ...(inspectorPort === undefined ? {} : { inspectorPort }),
    ...quiet(),
    ...persistence(config.persist),
  });
  return { ...stack, bucket: () => stack.miniflare.getR2Bucket("BUCKET", "sync") };
}
