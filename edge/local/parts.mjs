// What every local stack is made of: the built Worker, the doubles of bindings that keep nothing locally, its quarantine.
//
// Cloudflare's own local Pipelines and Analytics Engine bindings discard what they are given, so their names are bound to
// RPC classes with the same methods. The calling code is the same as in production.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Log, LogLevel, Miniflare } from "miniflare";
import workerd from "workerd";

// Throws unless the server confirmed the batch (200 = durable). Rows that it rejected were kept in its own quarantine and
// are logged: production's stream would have accepted and dropped them.
const STREAM_DOUBLE = `
import { WorkerEntrypoint } from "cloudflare:workers";

export class Telemetry extends WorkerEntrypoint {
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

// Refuses what Analytics Engine would discard without a word, and keeps the rest in memory; fetch returns it.
const COUNTERS_DOUBLE = `
import { WorkerEntrypoint } from "cloudflare:workers";

const points = [];
const bytes = (text) => new TextEncoder().encode(text).length;

export class Dataset extends WorkerEntrypoint {
  writeDataPoint({ indexes = [], blobs = [], doubles = [] }) {
    if (indexes.length !== 1 || bytes(indexes[0]) > 96) throw new Error("one index of at most 96 bytes");
    if (blobs.length > 20 || doubles.length > 20) throw new Error("at most 20 blobs and 20 doubles");
    if (blobs.reduce((sum, blob) => sum + bytes(blob), 0) > 16_384) throw new Error("at most 16 KB of blobs");
    points.push({ indexes, blobs, doubles });
  }
}

export default { fetch: () => Response.json(points) };
`;

/**
 * The streams that the Worker called `worker` feeds, as `{ bindings, workers }`: its service bindings and the Workers behind
 * them. Of each of `families` the versions in `config.streamVersions` (`{ commerce: [1, 2] }`), without it the first.
 */
export function streams(worker, families, { lake, token, streamVersions = {} }) {
  const versions = families.flatMap((family) => (streamVersions[family] ?? [1]).map((number) => ({ family, number })));
  const named = versions.map(({ family, number }) => {
    const stream = `${family}_v${number}`;
    const binding = `${family.toUpperCase()}_TELEMETRY${number === 1 ? "" : `_V${number}`}`;
    return { stream, binding, name: `${worker}-${stream}` };
  });
  return {
    bindings: Object.fromEntries(named.map(({ binding, name }) => [binding, { name, entrypoint: "Telemetry" }])),
    workers: named.map(({ stream, name }) => ({
      name,
      modules: true,
      script: STREAM_DOUBLE,
      compatibilityDate: "2026-07-01",
      bindings: { LAKE: lake, TOKEN: token, STREAM: stream },
    })),
  };
}

/** The Worker that stands for an Analytics Engine dataset; bind `{ name, entrypoint: "Dataset" }`. */
export const countersDouble = (name) => ({ name, modules: true, script: COUNTERS_DOUBLE, compatibilityDate: "2026-07-01" });

/**
 * Starts workerd with `workers`. config: port (0 = any), log (function of one line). `more`: further options of Miniflare.
 */
export async function startWorkerd(config, workers, more = {}) {
  const log = config.log ?? (() => {});
  const miniflare = new Miniflare({
    host: "127.0.0.1",
    port: config.port ?? 0,
    cf: false,
    log: new Log(LogLevel.WARN),
    handleRuntimeStdio: (stdout, stderr) => {
      for (const stream of [stdout, stderr]) forEachLine(stream, log);
    },
    ...more,
    workers,
  });
  return { url: (await miniflare.ready).origin, miniflare, stop: () => miniflare.dispose() };
}

const EDGE = fileURLToPath(new URL("..", import.meta.url));

/** Lets every workerd started from now on die with this process, however that ends (workerd.sh). */
export function dieTogether() {
  if (process.platform !== "linux") return;
  process.env.WEIR_WORKERD = workerd.default;
  process.env.MINIFLARE_WORKERD_PATH = fileURLToPath(new URL("workerd.sh", import.meta.url));
}

/** A file of the Worker `worker`, of its build or beside it, in folder `edge`. */
export async function fileOf(worker, path, edge = EDGE) {
  try {
    return await readFile(join(edge, worker, path));
  } catch (error) {
    throw new Error(`the ${worker} Worker is not built in ${edge}: run scripts/build-workers.sh`, { cause: error });
  }
}

/**
 * The modules of the Worker `worker`, built in folder `edge`; `entry` is the text of a module in the place of its entry.mjs, for
 * tests.
 */
export async function builtModules(worker, entry, edge) {
  const file = (of, path) => fileOf(of, path, edge);
  const script = async (of, path, text) => ({ type: "ESModule", path: `${of}/${path}`, contents: text ?? (await file(of, path)).toString() });
  const wasm = "build/index_bg.wasm";
  return [
    await script(worker, "entry.mjs", entry),
    await script("shared", "handlers.mjs"),
    await script(worker, "build/index.js"),
    { type: "CompiledWasm", path: `${worker}/${wasm}`, contents: await file(worker, wasm) },
  ];
}

/** The var `name`, unless there is no `value`. */
export const optional = (name, value) => (value === undefined ? {} : { [name]: String(value) });

/**
 * The vars that bound a call of PostgreSQL (postgresTimeoutMillis), of a stream (streamTimeoutMillis), and of R2, a queue or
 * another Worker (platformTimeoutMillis).
 */
export function timeouts({ postgresTimeoutMillis: postgres, streamTimeoutMillis: stream, platformTimeoutMillis: platform }) {
  const limits = {
    POSTGRES_CONNECT_TIMEOUT_MILLIS: postgres,
    POSTGRES_STATEMENT_TIMEOUT_MILLIS: postgres,
    STREAM_TIMEOUT_MILLIS: stream,
    PLATFORM_TIMEOUT_MILLIS: platform,
  };
  return Object.assign({}, ...Object.entries(limits).map(([name, millis]) => optional(name, millis)));
}

/**
 * The consumers of `queue` and of the dead letters behind it, as in wrangler.jsonc, but a batch is awaited for a moment only, and
 * no queue stands behind the dead letters. Tests say maxBatchTimeoutSeconds and maxRetries.
 */
export const queueConsumers = (queue, deadLetterQueue, { maxBatchTimeoutSeconds = 0.2, maxRetries = 100 }) => ({
  [queue]: { maxBatchSize: 100, maxBatchTimeout: maxBatchTimeoutSeconds, maxRetries, deadLetterQueue },
  [deadLetterQueue]: { maxBatchSize: 100, maxBatchTimeout: 0.2, maxRetries: 100 },
});

/** The objects of a bucket's quarantine as `{ key, record }`, all pages. */
export async function quarantined(bucket) {
  const found = [];
  let cursor;
  do {
    const page = await bucket.list({ prefix: "quarantine/", cursor });
    for (const { key } of page.objects) {
      const object = await bucket.get(key);
      // A replay or a redaction may take it away meanwhile.
      if (object) found.push({ key, record: await object.json() });
    }
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor);
  return found;
}

/** Calls `log` with each line of a stream of text. */
function forEachLine(stream, log) {
  let rest = "";
  stream.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    lines.forEach(log);
  });
}
