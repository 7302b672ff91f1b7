// Runs the commerce Worker, and the sync and the publication Worker if asked for, locally until SIGTERM, SIGINT or the end of
// stdin:
//
//   node edge/local/local.mjs '{"postgres":"postgres://...?sslmode=disable","lake":"http://127.0.0.1:8080","token":"...",
//     "secrets":"new,old","shops":["demo.myshopify.com"],"internalToken":"...","persist":null,"port":0,
//     "sync":{"shopifyOrigin":"http://.../shops/{shop}","accessTokens":{"demo.myshopify.com":"..."}},
//     "publication":{"visitorSecret":"...","linkSecrets":"new,old"}}'
//
// Prints one line {"listening": address of the commerce Worker, "sync": of the sync Worker, "publication": of the publication
// Worker, "admin": of the inspection API} when ready. Without "secrets" there is no commerce Worker. The inspection API is for
// people and tests at this machine only: GET /quarantine lists what the commerce Worker quarantined, GET /heap says how many
// bytes its isolate holds (with "inspect": true).

import { once } from "node:events";
import { createServer } from "node:http";
import { openHeap } from "./heap.mjs";
import { dieTogether } from "./parts.mjs";
import { startPublication } from "./publication.mjs";
import { startStack } from "./stack.mjs";
import { startSync } from "./sync.mjs";

const config = JSON.parse(process.argv[2] ?? "null");
if (!config?.postgres || !config?.lake || !(config?.secrets || config?.sync || config?.publication) || !Array.isArray(config?.shops)) {
  console.error("usage: local.mjs '{\"postgres\":...,\"lake\":...,\"token\":...,\"secrets\":...,\"shops\":[...]}'");
  process.exit(2);
}

dieTogether();

const log = (line) => console.error(line);
const { sync: syncConfig, publication: publicationConfig, inspect, ...shared } = config;
const publication = publicationConfig ? await startPublication({ ...shared, port: 0, ...publicationConfig, log }) : undefined;
const inspected = inspect ? { inspectorPort: 0 } : {};
const stack = config.secrets ? await startStack({ ...shared, ...inspected, sync: syncConfig, log }) : undefined;
const sync = syncConfig && !stack ? await startSync({ ...shared, port: 0, ...syncConfig, log }) : undefined;
const heap = stack && inspect ? await openHeap(stack.miniflare, "commerce") : undefined;

const admin = createServer(async (request, response) => {
  const reply = (status, value) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  try {
    if (stack && request.method === "GET" && request.url === "/quarantine") reply(200, await stack.quarantine());
    else if (heap && request.method === "GET" && request.url === "/heap") reply(200, { bytes: await heap.sample() });
    else reply(404, { reason: "not_found" });
  } catch (error) {
    console.error(error);
    reply(500, { reason: "failed" });
  }
});
admin.listen(0, "127.0.0.1");
await once(admin, "listening");

let stopping = false;
async function stop() {
  if (stopping) return;
  stopping = true;
  admin.close();
  admin.closeAllConnections();
  heap?.close();
  await stack?.stop();
  await publication?.stop();
  await sync?.stop();
  process.exit(0);
}
// Miniflare's own handlers would exit with the signal's status before workerd and the storage are closed.
for (const signal of ["SIGTERM", "SIGINT"]) process.removeAllListeners(signal).on(signal, stop);
// Whoever started this holds the other end: when it dies, so does the Worker.
process.stdin.on("end", stop).on("error", stop).resume();

const addresses = { listening: stack?.url, sync: sync?.url ?? stack?.syncUrl, publication: publication?.url };
console.log(JSON.stringify({ ...addresses, admin: `http://127.0.0.1:${admin.address().port}` }));
