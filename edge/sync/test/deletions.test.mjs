// What was deleted at Shopify and no webhook told of: found, and only what is really gone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Shopkeeper } from "../../fake-shopify/history.mjs";
import { madeUpShop, orderNode } from "../../fake-shopify/shop.mjs";
import { SCOPES } from "../../fake-shopify/shopify.mjs";
import { reconcileDeletions } from "../workflows/synchronise.mjs";
import { DAILY, step, until, world } from "./world.mjs";

const w = await world();
const RECONCILE = "deletion_reconcile";
const DAY = 86_400_000;

/** A shop that has been read whole, and somebody who deletes in it without a webhook that arrives. */
async function known(given) {
  const shop = w.shop({ deleted: [], deliveries: [], ...given });
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run) + w.log.slice(-10).join("\n"));
  return { shop, keeper: new Shopkeeper(shop.shopify, { start: Date.now() }) };
}

async function reconciled(shop, body) {
  const run = await shop.run(RECONCILE, body);
  assert.equal(run.status, "complete", JSON.stringify(run) + w.log.slice(-10).join("\n"));
  return run.output;
}

const deleted = ({ store }) => [...store.deleted.keys()].sort();

test("a run that an earlier deployment has begun fails where it would delete nothing", async () => {
  const answers = {
    request: { operation_id: "1" },
    poll: { operations: [{ state: "complete" }, { state: "complete" }] },
    download: { lines: 1 },
    compare: { absent: ["7", "8"] },
  };
  const runner = { do: async (_name, route) => answers[route] };
  await assert.rejects(reconcileDeletions(runner, {}, "", {}), /^Error: earlier_deployment: compare order_ids: /);
});

test("the daily run finds products that Shopify remembers to have been deleted", async () => {
  const { shop, keeper } = await known();
  const [product] = shop.shopify.data.products;
  keeper.deleteProduct(product);
  const events = shop.events().length;
  const run = await shop.run(DAILY, { date: "2026-11-25" });
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.deepEqual([run.output.deleted_products, deleted(shop)], [1, [product.id]]);
  const told = shop.events().slice(events).filter(({ product_id }) => product_id === product.id.split("/").pop());
  assert.equal(told.length, 1);
  const step = shop.telemetry().findLast(({ step }) => step === "deleted products");
  assert.deepEqual([step.status, step.records_read, step.records_upserted, step.records_streamed], ["succeeded", 1, 1, 1]);
  assert.equal(await shop.watermark(), run.output.window.to);
});

test("orders and products that are known and not among all ids of the shop are deleted, once", async () => {
  const { shop, keeper } = await known();
  const { orders, products } = shop.shopify.data;
  const gone = [orders[3], orders[7], products[2]];
  keeper.deleteOrder(gone[0]);
  keeper.deleteOrder(gone[1]);
  keeper.deleteProduct(gone[2]);
  const output = await reconciled(shop);
  assert.deepEqual(output.order_ids, { there: 18, absent: 2, deleted: 2 });
  assert.deepEqual(output.product_ids, { there: 4, absent: 1, deleted: 1 });
  assert.deepEqual([output.totals.events, output.totals.streamed], [3, 3]);
  assert.deepEqual(deleted(shop), gone.map(({ id }) => id).sort());
  const step = (name) => shop.telemetry().find((event) => event.step === name);
  assert.deepEqual([step("compare order_ids").records_read, step("compare order_ids").records_unchanged], [20, 18]);
  assert.equal(step("delete order_ids 0").records_upserted, 2);
  const again = await reconciled(shop, { date: "2026-11-25" });
  assert.deepEqual([again.order_ids.absent, again.product_ids.absent], [0, 0]);
});

test("what comes into being while the ids are read is not missed", async () => {
  const { shop } = await known();
  let release;
  shop.faults.hold = new Promise((resolve) => (release = resolve));
  const { instance_id } = await shop.start(RECONCILE);
  await until("the ids are being read", () => shop.shopify.operations.running().filter(({ status }) => status === "RUNNING").length === 2);
  // A webhook tells of it meanwhile; the operation, which began before, has it not.
  const order = orderNode(700, new Date().toISOString(), 1);
  const { lineItems, shippingLines, agreements, returns, ...row } = order;
  shop.store.rows.set(`orders_core ${order.id} `, JSON.stringify(Object.entries(row)));
  release();
  const run = await w.end(RECONCILE, instance_id);
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.deepEqual(run.output.order_ids, { there: 20, absent: 0, deleted: 0 });
  assert.deepEqual(deleted(shop), []);
});

test("what a search does not show and a look finds is not deleted", async () => {
  const { shop } = await known();
  shop.faults.unlisted = shop.shopify.data.orders[5].id;
  const output = await reconciled(shop);
  assert.deepEqual(output.order_ids, { there: 19, absent: 1, deleted: 0 });
  assert.deepEqual(deleted(shop), []);
});

test("a result that is cut off, partial or miscounted deletes nothing", async () => {
  const cut = (await known()).shop;
  cut.faults.truncated = 1;
  assert.deepEqual((await reconciled(cut)).order_ids, { there: 20, absent: 0, deleted: 0 }, "downloaded again");
  const partial = (await known()).shop;
  partial.faults.ending = () => ({ status: "CANCELED", withUrl: true });
  const miscounted = (await known()).shop;
  miscounted.faults.ending = () => ({ objectCount: (count) => count - 1 });
  for (const [shop, kind] of [[partial, "operation_canceled"], [miscounted, "incomplete_download"]]) {
    const run = await shop.run(RECONCILE);
    assert.equal(run.status, "errored", JSON.stringify(run));
    assert.match(run.error.message, new RegExp(kind));
    assert.deepEqual([deleted(shop), deleted(cut)], [[], []]);
    assert.ok(shop.steps().includes(`report failed ${kind}`), String(shop.steps()));
  }
});

test("a query of all ids that fails is asked for again, and never halved", async () => {
  const { shop } = await known();
  shop.faults.ending = ({ query }) => (query.includes("created_at:<") ? { status: "FAILED", errorCode: "INTERNAL_SERVER_ERROR" } : {});
  const run = await shop.run(RECONCILE);
  assert.equal(run.status, "errored", JSON.stringify(run));
  assert.match(run.error.message, /operation_failed_internal_server_error: \w+_ids failed 3 times/);
  assert.ok(!shop.steps().some((step) => step.startsWith("halve")), String(shop.steps()));
});

test("more deletions than are believable are none until somebody says so", async () => {
  const { shop, keeper } = await known();
  for (const order of [...shop.shopify.data.orders]) keeper.deleteOrder(order);
  const run = await shop.run(RECONCILE, { most: 5 });
  assert.equal(run.status, "errored", JSON.stringify(run));
  const command = `weir sync deletions --shop ${shop.domain} --most 20 --again`;
  assert.match(run.error.message, new RegExp(`too_many_deletions: 20 of 20 known orders .*: ${command}$`));
  assert.deepEqual(deleted(shop), []);
  const again = await reconciled(shop, { most: 20, again: true });
  assert.deepEqual(again.order_ids, { there: 0, absent: 20, deleted: 20 });
});

test("more deletions than a step's result has room for are carried out", async () => {
  const { shop } = await known();
  const count = 70_000;
  shop.store.known = ({ after, limit }) => {
    const ids = Array.from({ length: Math.min(limit, count - Number(after)) }, (_, index) => String(Number(after) + index + 1));
    return { ids, next: ids.length === limit ? ids.at(-1) : null };
  };
  const at = new Date().toISOString();
  const input = { resource: "order", operation_id: "gid://shopify/BulkOperation/77", kind: "order_ids", date: "ids-test", key: null, lines: 0, started_at: at };
  const { absent, list } = await step(w, "compare", shop, { ...input, until: at, most: count });
  assert.deepEqual([absent, list], [count, `archive/${shop.domain}/ids-test/77.absent.json`]);
  const done = await step(w, "delete", shop, { resource: "order", list, from: count - 300, most: 1000, at });
  assert.deepEqual([done.read, done.deleted], [300, 300]);
  assert.ok(shop.store.deleted.has(`gid://shopify/Order/${count}`));
});

test("without the scope for all orders those that the app cannot see are not missed", async () => {
  const { shop, keeper } = await known({ data: madeUpShop({ count: 20, days: 100 }) });
  shop.shopify.scopes = SCOPES.filter((scope) => scope !== "read_all_orders");
  const { orders } = shop.shopify.data;
  const [old, recent] = [orders[0], orders.at(-1)];
  assert.ok(Date.now() - Date.parse(old.createdAt) > 60 * DAY);
  keeper.deleteOrder(old);
  keeper.deleteOrder(recent);
  await reconciled(shop);
  assert.deepEqual(deleted(shop), [recent.id]);
});

test("a backfill that has come to its end looks for what was deleted", async () => {
  const { shop, keeper } = await known({ data: madeUpShop({ count: 8, days: 3, now: Date.now() - 140 * DAY }) });
  const from = new Date(Date.now() - 160 * DAY).toISOString();
  const first = await shop.run("full_backfill", { from });
  assert.deepEqual(first.output.deletions?.order_ids, { there: 8, absent: 0, deleted: 0 }, JSON.stringify(first));
  keeper.deleteOrder(shop.shopify.data.orders[1]);
  // Two windows that end in the same second are the same query, and share its operations.
  const second = Math.floor(Date.now() / 1000);
  await until("the next second", () => Math.floor(Date.now() / 1000) > second);
  assert.deepEqual((await reconciled(shop)).order_ids, { there: 7, absent: 1, deleted: 1 });
});
