// One contender of the benchmark of webhook acceptance, in a workerd of its own:
//
//   node edge/bench/serve.mjs '{"contender":"commerce","secrets":"a,b","shops":["demo.myshopify.com"]}'     (or "plain")
//
// "edge" is the folder in which the commerce Worker is built, of another checkout for example; without it, the one of this.
// Its queue has no consumer, so that nothing but accepting is measured, and no counters are bound. Prints
// {"listening": address} and ends with its stdin. With "direct" it runs without miniflare (direct.mjs). With "drainMillis" the
// queue is consumed, that long for each message, and {"admin": address} answers with the bytes of the isolate.

import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import { Log, LogLevel, Miniflare } from "miniflare";
import { openHeap } from "../local/heap.mjs";
import { builtModules, dieTogether } from "../local/parts.mjs";
import { startDirect } from "./direct.mjs";

const { contender: name, edge, direct, secrets, shops, drainMillis } = JSON.parse(process.argv[2]);
dieTogether();

const plain = async () => [
  { type: "ESModule", path: "plain.mjs", contents: await readFile(new URL("plain.mjs", import.meta.url), "utf8") },
];
const worker = {
  modules: name === "plain" ? await plain() : await builtModules("commerce", undefined, edge ?? undefined),
  compatibilityDate: "2026-07-01",
  bindings: { SHOPIFY_WEBHOOK_SECRETS: secrets, SHOPS: JSON.stringify(shops), DRAIN_MILLIS: String(drainMillis ?? 0) },
};
const QUEUE = "DELIVERIES";

async function startMiniflare() {
  const miniflare = new Miniflare({
    host: "127.0.0.1",
    port: 0,
    cf: false,
    ...(drainMillis === undefined ? {} : { inspectorPort: 0, queueConsumers: { bench: { maxBatchSize: 100, maxBatchTimeout: 0.2 } } }),
    log: new Log(LogLevel.WARN),
    name,
    ...worker,
    queueProducers: { [QUEUE]: "bench" },
    r2Buckets: { BUCKET: "bench" },
  });
  const url = (await miniflare.ready).origin;
  let admin;
  if (drainMillis !== undefined) {
    const heap = await openHeap(miniflare, name);
    const server = createServer(async (_request, response) => response.end(JSON.stringify({ bytes: await heap.sample() }))).listen(0, "127.0.0.1");
    await once(server, "listening");
    admin = `http://127.0.0.1:${server.address().port}`;
  }
  return { url, admin, dispose: () => miniflare.dispose() };
}

const { url, admin, dispose } = direct ? await startDirect({ ...worker, queue: QUEUE }) : await startMiniflare();
process.stdin
  .on("end", async () => {
    await dispose();
    process.exit(0);
  })
  .resume();
console.log(JSON.stringify({ listening: url, admin }));
