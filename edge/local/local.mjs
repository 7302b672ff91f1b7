// Runs the commerce Worker, and the sync Worker if asked for, locally until SIGTERM, SIGINT or the end of stdin:
//
//   node edge/local/local.mjs '{"postgres":"postgres://...?sslmode=disable","lake":"http://127.0.0.1:8080","token":"...",
//     "secrets":"new,old","shops":["demo.myshopify.com"],"internalToken":"...","persist":null,"port":0,
//     "sync":{"shopifyOrigin":"http://.../shops/{shop}","accessTokens":{"demo.myshopify.com":"..."}}}'
//
// Prints one line {"listening": address of the commerce Worker, "sync": address of the sync Worker, "admin": address of the
// inspection API} when ready. With "sync" and without "secrets" only the sync Worker runs. The inspection API is for people and tests at this machine only: GET /quarantine lists what the Worker quarantined.

import { once } from "node:events";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { startStack } from "./stack.mjs";
import { startSync } from "./sync.mjs";
import workerd from "workerd";

const config = JSON.parse(process.argv[2] ?? "null");
if (!config?.postgres || !config?.lake || !(config?.secrets || config?.sync) || !Array.isArray(config?.shops)) {
  console.error("usage: local.mjs '{\"postgres\":...,\"lake\":...,\"token\":...,\"secrets\":...,\"shops\":[...]}'");
  process.exit(2);
}

if (process.platform === "linux") {
  process.env.WEIR_WORKERD = workerd.default;
  process.env.MINIFLARE_WORKERD_PATH = fileURLToPath(new URL("workerd.sh", import.meta.url));
}

const log = (line) => console.error(line);
const { sync: syncConfig, ...shared } = config;
const stack = config.secrets ? await startStack({ ...shared, sync: syncConfig, log }) : undefined;
const sync = syncConfig && !stack ? await startSync({ ...shared, port: 0, ...syncConfig, log }) : undefined;

const admin = createServer(async (request, response) => {
  const reply = (status, value) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  try {
    if (stack && request.method === "GET" && request.url === "/quarantine") reply(200, await stack.quarantine());
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
  await stack?.stop();
  await sync?.stop();
  process.exit(0);
}
// Miniflare's own handlers would exit with the signal's status before workerd and the storage are closed.
for (const signal of ["SIGTERM", "SIGINT"]) process.removeAllListeners(signal).on(signal, stop);
// Whoever started this holds the other end: when it dies, so does the Worker.
process.stdin.on("end", stop).on("error", stop).resume();

console.log(JSON.stringify({ listening: stack?.url, sync: sync?.url ?? stack?.syncUrl, admin: `http://127.0.0.1:${admin.address().port}` }));
