// bulk_operations/finish wakes the run of the sync Worker that waits for it; nothing depends on that.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { until } from "./doubles.mjs";
import { SHOP, world } from "./world.mjs";

const OPERATION = "gid://shopify/BulkOperation/147595010";
const BODY = JSON.stringify({ admin_graphql_api_id: OPERATION, status: "completed", type: "query" });

/** A sync Worker that only takes notes. */
async function notebook(t, status) {
  const calls = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    calls.push({ path: request.url, token: request.headers.authorization, body: JSON.parse(body) });
    response.writeHead(status).end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { calls, url: `http://127.0.0.1:${server.address().port}` };
}

test("the end of a bulk operation is passed on, with the token, and only that", async (t) => {
  const sync = await notebook(t, 200);
  const w = await world(t, { syncUrl: sync.url });
  assert.equal((await w.deliver(BODY, { id: "w-1", topic: "bulk_operations/finish" })).status, 200);
  assert.equal((await w.deliver(`{"id":1}`, { id: "w-2" })).status, 200);
  await until("the other delivery is through", () => w.lake.ids().includes("event-w-2"));
  assert.deepEqual(w.postgres.calls.flat().map(({ webhook_id }) => webhook_id), ["w-2"], "not PostgreSQL's, nor the quarantine's");
  assert.deepEqual(sync.calls, [
    { path: "/internal/finished", token: "Bearer test-internal-token", body: { shop: SHOP, operation_id: OPERATION } },
  ]);
});

test("a sync Worker that fails or is not there does not make Shopify deliver again", async (t) => {
  const sync = await notebook(t, 500);
  const failing = await world(t, { syncUrl: sync.url });
  assert.equal((await failing.deliver(BODY, { topic: "bulk_operations/finish" })).status, 200);
  const alone = await world(t);
  assert.equal((await alone.deliver(BODY, { topic: "bulk_operations/finish" })).status, 200);
});
