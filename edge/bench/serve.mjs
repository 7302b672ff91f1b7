// One contender of the benchmark of webhook acceptance, in a workerd of its own:
//
//   node edge/bench/serve.mjs '{"contender":"commerce","secrets":"a,b","shops":["demo.myshopify.com"]}'     (or "plain")
//
// Its queue has no consumer, so that nothing but accepting is measured, and no counters are bound. Prints
// {"listening": address} and ends with its stdin.

import { readFile } from "node:fs/promises";
import { Log, LogLevel, Miniflare } from "miniflare";
import { builtModules } from "../local/parts.mjs";

const { contender: name, secrets, shops, inspectorPort } = JSON.parse(process.argv[2]);

const plain = async () => [
  { type: "ESModule", path: "plain.mjs", contents: await readFile(new URL("plain.mjs", import.meta.url), "utf8") },
];
const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: 0,
  cf: false,
  ...(inspectorPort === undefined ? {} : { inspectorPort }),
  log: new Log(LogLevel.WARN),
  name,
  modules: name === "plain" ? await plain() : await builtModules("commerce"),
  compatibilityDate: "2026-07-01",
  bindings: { SHOPIFY_WEBHOOK_SECRETS: secrets, SHOPS: JSON.stringify(shops) },
  queueProducers: { DELIVERIES: "bench" },
  r2Buckets: { BUCKET: "bench" },
});
const url = (await miniflare.ready).origin;
process.stdin
  .on("end", async () => {
    await miniflare.dispose();
    process.exit(0);
  })
  .resume();
console.log(JSON.stringify({ listening: url }));
