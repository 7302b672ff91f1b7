// The whole chain in one workerd, with the bindings of production between both Workers: Shopify's webhook, the commerce
// Worker, its queue, the sync Worker, the run that waits.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startStack } from "../../local/stack.mjs";
import { fakeShopify } from "../../fake-shopify/shopify.mjs";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { bulkLake, bulkPostgres, PLATFORM, Store } from "./doubles.mjs";
import { DAILY, DATE, until } from "./world.mjs";

const SHOP = "demo.myshopify.com";
const SECRET = "test_secret";
const HOUR = 3_600_000;

/** Both Workers over a played Shopify whose webhooks go to the commerce Worker; `sync` overrides the sync Worker's options. */
async function chain(t, sync = {}) {
  const store = new Store();
  const postgres = await bulkPostgres(() => store);
  const lake = await bulkLake("L");
  const fake = await fakeShopify([{ domain: SHOP, token: "S", data: madeUpShop() }]);
  const log = [];
  const stack = await startStack({
    postgres: postgres.url,
    lake: lake.url,
    token: "L",
    secrets: SECRET,
    shops: [SHOP],
    internalToken: "T",
    log: (line) => log.push(line),
    sync: { shopifyOrigin: fake.origin, accessTokens: { [SHOP]: "S" }, pollMillis: HOUR, retryDelayMillis: 20, ...sync },
  });
  t.after(async () => {
    await stack.stop();
    await Promise.all([postgres.stop(), lake.stop(), fake.stop()]);
  });
  const shopify = fake.shops[SHOP];
  shopify.webhook = { url: `${stack.url}/webhooks/shopify`, secret: SECRET };
  const call = async (path, body) => {
    const headers = { authorization: "Bearer T" };
    const init = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
    return (await fetch(`${stack.syncUrl}/internal/${path}`, init)).json();
  };
  const steps = () => lake.sync_v1.map(({ step, status }) => `${step} ${status}`);
  return { stack, shopify, lake, store, log, call, steps };
}

test("Shopify's webhook, taken by the commerce Worker, wakes the run that waits in the sync Worker", async (t) => {
  const { stack, shopify, lake, log, call, steps } = await chain(t);
  let release;
  shopify.faults.hold = new Promise((resolve) => (release = resolve));
  const { instance_id } = await call(`workflows/${DAILY}`, { shop: SHOP, date: DATE });
  await until("the run waits for its operations", () => steps().some((step) => step.startsWith("poll 1 ")));
  assert.equal(shopify.operations.running().length, 3);
  // The next poll is an hour away: only the webhooks can bring the run to its end.
  release();
  const run = await until("the run is over", async () => {
    const state = await call(`workflows/${DAILY}/${instance_id}`);
    return state.status === "complete" || state.status === "errored" ? state : null;
  });
  assert.equal(run.status, "complete", JSON.stringify(run) + log.join("\n"));
  assert.equal(new Set(lake.ids()).size, 25);
  const { watermarks } = await call(`status?shop=${SHOP}`);
  assert.equal(watermarks[0].value_json.ts, run.output.window.to);
  assert.deepEqual(await stack.quarantine(), []);
});

test("a notice that comes when its run is over, or no longer kept, is acknowledged: nothing lands in the quarantine", async (t) => {
  const { stack, shopify, log, call } = await chain(t, { syncEntry: PLATFORM, pollMillis: 20 });
  shopify.faults.silent = true;
  const { instance_id } = await call(`workflows/${DAILY}`, { shop: SHOP, date: DATE });
  const state = () => call(`workflows/${DAILY}/${instance_id}`);
  await until("the run is complete", async () => (await state()).status === "complete");
  shopify.faults.silent = false;
  const [first, second] = shopify.operations.all;
  const woken = (operation) => call("finished", { shop: SHOP, operation_id: operation.id });
  await shopify.finished(first);
  assert.deepEqual(await woken(first), { woken: null });
  await fetch(`${stack.syncUrl}/forget`, { method: "POST", body: instance_id });
  assert.equal((await state()).reason, "unknown_instance");
  await shopify.finished(second);
  assert.deepEqual(await woken(second), { woken: null });
  // What the queue still has to say, it says before this one.
  assert.equal(await shopify.fire("bulk_operations/finish", JSON.stringify({ status: "completed" }), { webhook_id: "nameless" }), 200);
  await until("the nameless one is kept", async () => (await stack.quarantine()).length > 0);
  assert.deepEqual((await stack.quarantine()).map(({ webhook_id }) => webhook_id), ["nameless"]);
  assert.ok(!log.some((line) => line.includes("finite state")), log.join("\n"));
});

test("a stranger's operation is acknowledged and wakes nobody; one without a name is kept", async (t) => {
  const { stack, shopify, steps } = await chain(t);
  const stranger = shopify.operations.add("{ products { edges { node { id } } } }", { status: "COMPLETED" });
  await shopify.finished(stranger);
  const body = JSON.stringify({ status: "completed" });
  assert.equal(await shopify.fire("bulk_operations/finish", body, { webhook_id: "nameless" }), 200);
  const [kept] = await until("the nameless one is kept", async () => {
    const records = await stack.quarantine();
    return records.length > 0 && records;
  });
  assert.deepEqual([kept.webhook_id, kept.reason], ["nameless", "missing_field"]);
  assert.deepEqual(steps(), []);
});
