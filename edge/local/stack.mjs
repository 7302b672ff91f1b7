// The commerce Worker in workerd with everything it binds, on this machine and without a network.
//
// Same code as production; only the bindings' far ends differ (parts.mjs).

import { builtModules, countersDouble, optional, quarantined, queueConsumers, startWorkerd, streams, timeouts } from "./parts.mjs";
import { persistence, quiet, syncWorkers } from "./sync.mjs";

const BUCKET = "weir-commerce";
const QUEUE = "weir-commerce-deliveries";
const DEAD_LETTER_QUEUE = "weir-commerce-deliveries-dead";

/**
 * Starts the stack.
 *
 * config: postgres (connection string), lake (base address of `weir serve`), token (its bearer token), secrets (comma
 * separated), shops (domains), internalToken (opens /internal/quarantine; none = closed), persist (directory for
 * queue-independent state, or null), sync (what SYNC is bound to: a function, or the configuration of the sync Worker, which
 * then runs beside; none = not bound), port (0 = any), and for tests maxBodyBytes, maxRetries, maxBatchTimeoutSeconds,
 * redactionPassObjects, redactionAgainSeconds, webhookBudgetMillis, batchBudgetMillis, streamVersions and timeouts (of parts.mjs),
 * inspectorPort (of heap.mjs), entry (text of a module in the place of entry.mjs), log (function of one line).
 */
export async function startStack(config) {
  const beside = typeof config.sync === "object";
  const telemetry = streams("commerce", ["commerce"], config);
  const stack = await startWorkerd(
    config,
    [
      commerceWorker(config, await builtModules("commerce", config.entry), telemetry.bindings),
      ...telemetry.workers,
      countersDouble("counters"),
      ...(beside ? await syncWorkers({ ...config, ...config.sync }) : []),
    ],
    {
      ...persistence(config.persist),
      ...(config.inspectorPort === undefined ? {} : { inspectorPort: config.inspectorPort }),
      ...(beside ? quiet() : {}),
    },
  );
  const { miniflare } = stack;
  return {
    ...stack,
    syncUrl: beside ? (await miniflare.unsafeGetDirectURL("sync")).origin : undefined,
    queue: () => miniflare.getQueueProducer("DELIVERIES", "commerce"),
    counters: async () => (await (await miniflare.getWorker("counters")).fetch("http://counters/")).json(),
    quarantine: async () => listQuarantine(await miniflare.getR2Bucket("BUCKET", "commerce")),
  };
}

/** The commerce Worker of `config`, its modules and its streams: options of Miniflare. */
export function commerceWorker(config, modules, telemetry) {
  return {
    name: "commerce",
    modules,
    compatibilityDate: "2026-07-01",
    bindings: {
      SHOPIFY_WEBHOOK_SECRETS: config.secrets,
      WEIR_INTERNAL_TOKEN: config.internalToken ?? "",
      SHOPS: JSON.stringify(config.shops),
      MAX_BODY_BYTES: String(config.maxBodyBytes ?? 5_000_000),
      // Locally an outage lasts seconds.
      RETRY_MAX_DELAY_SECONDS: "1",
      DEAD_LETTER_QUEUE,
      ...optional("REDACTION_PASS_OBJECTS", config.redactionPassObjects),
      ...optional("REDACTION_AGAIN_SECONDS", config.redactionAgainSeconds),
      ...optional("WEBHOOK_BUDGET_MILLIS", config.webhookBudgetMillis),
      ...optional("BATCH_BUDGET_MILLIS", config.batchBudgetMillis),
      ...timeouts(config),
    },
    queueProducers: { DELIVERIES: QUEUE },
    queueConsumers: queueConsumers(QUEUE, DEAD_LETTER_QUEUE, config),
    r2Buckets: { BUCKET, PUBLICATION_BUCKET: "weir-publication", SYNC_BUCKET: "weir-sync" },
    hyperdrives: { POSTGRES: config.postgres },
    serviceBindings: {
      ...telemetry,
      ...(config.sync ? { SYNC: typeof config.sync === "object" ? "sync" : config.sync } : {}),
      COMMERCE_COUNTERS: { name: "counters", entrypoint: "Dataset" },
    },
  };
}

/** The quarantined deliveries with their records. */
async function listQuarantine(bucket) {
  return (await quarantined(bucket)).map(({ key, record }) => {
    const { webhook_id, topic, shop_domain } = record.delivery;
    return { key, reason: record.reason, detail: record.detail, webhook_id, topic, shop_domain, record };
  });
}
