// The publication Worker in workerd with everything it binds, on this machine and without a network. Same code as
// production; only the bindings' far ends differ (parts.mjs).

import { builtModules, countersDouble, optional, quarantined, queueConsumers, startWorkerd, streams, timeouts } from "./parts.mjs";

const BUCKET = "weir-publication";
const QUEUE = "weir-publication-interactions";
const DEAD_LETTER_QUEUE = "weir-publication-interactions-dead";

/**
 * Starts the Worker.
 *
 * config: postgres (connection string), lake (base address of `weir serve`), token (its bearer token), shops (domains),
 * visitorSecret, linkSecrets (comma separated), internalToken (none = closed), port (0 = any), and for tests rateLimit
 * (requests a minute, none = no binding), catalogueTtlSeconds, patienceMillis, batchBudgetMillis, maxRetries, maxBatchTimeoutSeconds,
 * streamVersions and timeouts (of parts.mjs), entry (text of a module in the place of entry.mjs), log (function of one line).
 */
export async function startPublication(config) {
  const telemetry = streams("publication", ["publication", "commerce"], config);
  const stack = await startWorkerd(
    config,
    [
      publicationWorker(config, await builtModules("publication", config.entry), telemetry.bindings),
      ...telemetry.workers,
      countersDouble("counters"),
    ],
  );
  const { miniflare } = stack;
  return {
    ...stack,
    catalogues: () => miniflare.getKVNamespace("CATALOGUE", "publication"),
    queue: () => miniflare.getQueueProducer("INTERACTIONS", "publication"),
    counters: async () => (await (await miniflare.getWorker("counters")).fetch("http://counters/")).json(),
    quarantine: async () => quarantined(await miniflare.getR2Bucket("BUCKET", "publication")),
  };
}

/** The publication Worker, as `commerceWorker` in stack.mjs. */
export function publicationWorker(config, modules, telemetry) {
  return {
    name: "publication",
    modules,
    compatibilityDate: "2026-07-01",
    bindings: {
      VISITOR_SECRET: config.visitorSecret ?? "",
      LINK_SECRETS: config.linkSecrets ?? "",
      WEIR_INTERNAL_TOKEN: config.internalToken ?? "",
      SHOPS: JSON.stringify(config.shops),
      // Locally an outage lasts seconds.
      RETRY_MAX_DELAY_SECONDS: "1",
      DEAD_LETTER_QUEUE,
      ...optional("CATALOGUE_TTL_SECONDS", config.catalogueTtlSeconds),
      ...optional("PATIENCE_MILLIS", config.patienceMillis),
      ...optional("BATCH_BUDGET_MILLIS", config.batchBudgetMillis),
      ...timeouts(config),
    },
    kvNamespaces: { CATALOGUE: "weir-catalogue" },
    queueProducers: { INTERACTIONS: QUEUE },
    queueConsumers: queueConsumers(QUEUE, DEAD_LETTER_QUEUE, config),
    r2Buckets: { BUCKET },
    hyperdrives: { POSTGRES: config.postgres },
    ...(config.rateLimit
      ? { ratelimits: { RATE_LIMIT: { namespace_id: "1001", simple: { limit: config.rateLimit, period: 60 } } } }
      : {}),
    serviceBindings: {
      ...telemetry,
      PUBLICATION_COUNTERS: { name: "counters", entrypoint: "Dataset" },
    },
  };
}
