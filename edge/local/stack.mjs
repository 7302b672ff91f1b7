// The commerce Worker in workerd with everything it binds, on this machine and without a network.
//
// Same code as production; only the bindings' far ends differ. Cloudflare's own local Pipelines binding discards events,
// so COMMERCE_TELEMETRY is bound to an RPC class with the same `send(events)` that posts to the `weir` server.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { Log, LogLevel, Miniflare } from "miniflare";

const BUILD = fileURLToPath(new URL("../commerce/build/", import.meta.url));
const BUCKET = "weir-commerce";
const QUEUE = "weir-commerce-deliveries";
const DEAD_LETTER_QUEUE = "weir-commerce-deliveries-dead";

// Throws unless the server confirmed the batch (200 = durable). Rows that it rejected were kept in its own quarantine and
// are logged: production's stream would have accepted and dropped them.
const STREAM_DOUBLE = `
import { WorkerEntrypoint } from "cloudflare:workers";

export class CommerceTelemetry extends WorkerEntrypoint {
  async send(events) {
    const response = await fetch(this.env.LAKE + "/v1/streams/" + this.env.STREAM, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer " + this.env.TOKEN },
      body: JSON.stringify(events),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(this.env.STREAM + ": " + response.status + " " + text.slice(0, 200));
    const rejected = JSON.parse(text).rejected ?? [];
    if (rejected.length > 0) console.error(this.env.STREAM + " rejected " + JSON.stringify(rejected));
  }
}

export default { fetch: () => new Response("this Worker is reached by RPC only", { status: 404 }) };
`;

/**
 * Starts the stack.
 *
 * config: postgres (connection string), lake (base address of `weir serve`), token (its bearer token), secrets (comma
 * separated), shops (domains), internalToken (opens /internal/quarantine; none = closed), persist (directory for
 * queue-independent state, or null), port (0 = any), and for tests maxBodyBytes, maxRetries, maxBatchTimeoutSeconds,
 * postgresTimeoutMillis (of connection and statement), entry (text of a module that wraps ./index.js), log (function of
 * one line).
 */
export async function startStack(config) {
  const log = config.log ?? (() => {});
  const miniflare = new Miniflare({
    host: "127.0.0.1",
    port: config.port ?? 0,
    cf: false,
    log: new Log(LogLevel.WARN),
    handleRuntimeStdio: (stdout, stderr) => {
      for (const stream of [stdout, stderr]) forEachLine(stream, log);
    },
    ...(config.persist ? { r2Persist: join(config.persist, "r2") } : {}),
    workers: [commerceWorker(config, await modules(config.entry)), streamDouble(config)],
  });
  const url = (await miniflare.ready).origin;
  return {
    url,
    miniflare,
    quarantine: async () => listQuarantine(await miniflare.getR2Bucket("BUCKET", "commerce")),
    stop: () => miniflare.dispose(),
  };
}

async function modules(entry) {
  const read = async (path) => {
    try {
      return await readFile(join(BUILD, path));
    } catch (error) {
      throw new Error("the commerce Worker is not built: run scripts/build-workers.sh", { cause: error });
    }
  };
  return [
    ...(entry ? [{ type: "ESModule", path: "entry.js", contents: entry }] : []),
    { type: "ESModule", path: "index.js", contents: (await read("index.js")).toString() },
    { type: "CompiledWasm", path: "index_bg.wasm", contents: await read("index_bg.wasm") },
  ];
}

function commerceWorker(config, modules) {
  const consumer = {
    maxBatchSize: 100,
    maxBatchTimeout: config.maxBatchTimeoutSeconds ?? 0.2,
    maxRetries: config.maxRetries ?? 100,
    deadLetterQueue: DEAD_LETTER_QUEUE,
  };
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
      ...postgresTimeouts(config.postgresTimeoutMillis),
    },
    queueProducers: { DELIVERIES: QUEUE },
    queueConsumers: { [QUEUE]: consumer, [DEAD_LETTER_QUEUE]: { maxBatchSize: 100, maxBatchTimeout: 0.2, maxRetries: 100 } },
    r2Buckets: { BUCKET },
    hyperdrives: { POSTGRES: config.postgres },
    serviceBindings: { COMMERCE_TELEMETRY: { name: "stream", entrypoint: "CommerceTelemetry" } },
  };
}

function postgresTimeouts(millis) {
  if (millis === undefined) return {};
  return { POSTGRES_CONNECT_TIMEOUT_MILLIS: String(millis), POSTGRES_STATEMENT_TIMEOUT_MILLIS: String(millis) };
}

function streamDouble(config) {
  return {
    name: "stream",
    modules: true,
    script: STREAM_DOUBLE,
    compatibilityDate: "2026-07-01",
    bindings: { LAKE: config.lake, TOKEN: config.token, STREAM: "commerce_v1" },
  };
}

/** The quarantined objects with their records, all pages. */
async function listQuarantine(bucket) {
  const found = [];
  let cursor;
  do {
    const page = await bucket.list({ prefix: "quarantine/", cursor });
    for (const { key } of page.objects) {
      const record = await (await bucket.get(key)).json();
      const { webhook_id, topic, shop_domain } = record.delivery;
      found.push({ key, reason: record.reason, detail: record.detail, webhook_id, topic, shop_domain, record });
    }
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor);
  return found;
}

function forEachLine(stream, log) {
  let rest = "";
  stream.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    lines.forEach(log);
  });
}
