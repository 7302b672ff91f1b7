// A day's synchronisation: everything changed at Shopify is in PostgreSQL and in the stream, and the watermark has moved.

import assert from "node:assert/strict";
import { test } from "node:test";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { DAILY, DATE, until, world } from "./world.mjs";

const w = await world();

test("a day's run reads everything, streams it, and moves the watermark", async () => {
  const shop = w.shop();
  const before = Date.now();
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run) + w.log.join("\n"));
  // Of 20 orders with two lines each: core 20 + 40, ledger 20 + 20 agreements + 40 sales; 5 products with a variant each.
  const rows = 20 + 40 + 20 + 20 + 40 + 5 + 5;
  const totals = { lines: rows, read: rows, upserted: rows, unchanged: 0, rejected: 0, events: 25, streamed: 25, events_rejected: 0 };
  assert.deepEqual(run.output.totals, totals);
  assert.equal(shop.ids().size, 25);
  const reached = Date.parse(await shop.watermark());
  assert.ok(reached >= before - 1000 && reached <= Date.now(), await shop.watermark());
  const { objects } = await (await w.stack.bucket()).list({ prefix: `archive/${shop.domain}/${DATE}/` });
  assert.equal(objects.length, 3);
  assert.equal(shop.shopify.leaks, 0, "the address of a result is somebody else's: no token goes there");
});

test("each step tells of itself, with counts, bytes and the watermark", async () => {
  const shop = w.shop();
  await shop.run();
  const events = shop.telemetry();
  assert.ok(events.every(({ workflow, status, attempt }) => workflow === DAILY && status === "succeeded" && attempt === 1));
  const step = (name) => events.find((event) => event.step.startsWith(name)) ?? assert.fail(`${name} is not told of`);
  for (const name of ["preflight", "initiate", "request orders_core", "poll", "download orders_ledger", "upsert products", "stream"]) step(name);
  assert.equal(step("upsert orders_core").records_upserted, 60);
  assert.ok(step("download orders_core").bytes > 1000);
  assert.equal(step("stream").records_streamed, 25);
  assert.equal(step("advance").watermark_after, await shop.watermark());
  assert.equal(new Set(events.map(({ event_id }) => event_id)).size, events.length);
});

test("the next day reads from ten minutes before the watermark, and what it knows is unchanged", async () => {
  const shop = w.shop();
  const first = await shop.run();
  shop.shopify.data.orders.at(-1).updatedAt = new Date().toISOString();
  const second = await shop.run(DAILY, { date: "2026-11-25" });
  assert.equal(Date.parse(second.output.window.from), Date.parse(first.output.window.to) - 600_000);
  assert.equal(shop.shopify.operations.all.length, 6);
  assert.ok(await shop.watermark() >= first.output.window.to);
});

test("a second start on the same day finds the first and is no error", async () => {
  const shop = w.shop();
  const first = await shop.start(DAILY);
  const second = await shop.start(DAILY);
  assert.deepEqual([first.status, second.instance_id], ["started", first.instance_id]);
  assert.ok(["queued", "running", "waiting", "complete"].includes(second.status), second.status);
  await w.end(DAILY, first.instance_id);
  assert.equal((await shop.start(DAILY)).status, "complete");
  assert.equal(shop.shopify.operations.all.length, 3, "nothing was asked for twice");
});

test("a webhook wakes the run long before the next poll; a stranger's wakes nobody", async () => {
  const slow = await world({ shops: 1, pollMillis: 3_600_000 });
  const shop = slow.shop();
  let release;
  shop.faults.hold = new Promise((resolve) => (release = resolve));
  const { instance_id } = await shop.start(DAILY);
  await until("three operations run", () => shop.shopify.operations.running().filter(({ status }) => status === "RUNNING").length === 3);
  await until("the run waits", () => shop.steps().some((step) => step.startsWith("poll")));
  const finish = (operation_id) => slow.call("finished", { method: "POST", body: { shop: shop.domain, operation_id } });
  assert.deepEqual((await finish("gid://shopify/BulkOperation/1")).body, { woken: null });
  release();
  await until("they are over", () => shop.shopify.operations.running().length === 0);
  // Events that come while no wait is open are kept for the next one, so that none is missed.
  for (const { id } of shop.shopify.operations.all) assert.equal((await finish(id)).body.woken, instance_id);
  assert.equal((await slow.end(DAILY, instance_id)).status, "complete");
});

test("the order of the lines, escapes and ids above 2^53 make no difference", async () => {
  const data = madeUpShop({ now: Date.now() });
  const [grouped, shuffled] = [w.shop({ data }), w.shop({ data })];
  shuffled.faults.shuffled = true;
  await grouped.run();
  await shuffled.run();
  assert.deepEqual(shuffled.store.rows, grouped.store.rows);
  const order = data.orders[0];
  const kept = Object.fromEntries(JSON.parse(grouped.store.rows.get(`orders_core ${order.id} `)));
  assert.deepEqual(kept.tags, ["R&D", "<b>"]);
  assert.ok(BigInt(kept.legacyResourceId) > 2n ** 53n && kept.legacyResourceId === order.legacyResourceId);
});

test("a connection that the result has cut is read to its end", async () => {
  const data = madeUpShop({ count: 4, linesOf: (index) => (index === 1 ? 230 : index === 2 ? 100 : 3) });
  const shop = w.shop({ data });
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run));
  const rows = (typename) => [...shop.store.rows.values()].filter((row) => row.includes(`["__typename","${typename}"]`)).length;
  assert.equal(rows("LineItem"), 230 + 100 + 3 + 3);
  assert.equal(rows("ProductSale"), 230 + 100 + 3 + 3, "and so is one below another");
  assert.equal(run.output.totals.lines, run.output.totals.read);
  const listed = await (await w.stack.bucket()).list({ prefix: `archive/${shop.domain}/`, include: ["customMetadata"] });
  // All that is kept of a result says of when it is: a redaction of the shop has to know.
  assert.ok(listed.objects.some(({ key }) => key.endsWith(".cut.json")));
  for (const { key, customMetadata } of listed.objects) assert.ok(Date.parse(customMetadata.started_at) > 0, key);
  // A replay of its first object alone is one of all of it: the rest would be gone.
  const { key } = listed.objects.find(({ key, customMetadata }) => customMetadata.kind === "orders_core" && /\d\.jsonl$/.test(key) && !key.includes("rest"));
  shop.store.rows.clear();
  const replay = await shop.run("replay", { prefix: key });
  assert.equal(replay.status, "complete", JSON.stringify(replay));
  assert.equal(rows("LineItem"), 230 + 100 + 3 + 3);
});

test("so are cut variants, shipping lines and lines of returns", async () => {
  const data = madeUpShop({ count: 4 });
  const many = (count, make) => Array.from({ length: count }, (_, index) => make(index));
  const [order] = data.orders;
  const [product] = data.products;
  const zero = order.totalTaxSet;
  product.variants = many(130, (index) => ({ ...product.variants[0], id: `gid://shopify/ProductVariant/${7000 + index}` }));
  order.shippingLines = many(110, (index) => ({
    __typename: "ShippingLine",
    id: `gid://shopify/ShippingLine/${index}`,
    title: "Post",
    code: null,
    isRemoved: false,
    originalPriceSet: zero,
    discountedPriceSet: zero,
  }));
  const returned = (index) => ({
    __typename: "ReturnLineItem",
    id: `gid://shopify/ReturnLineItem/${index}`,
    quantity: 1,
    refundableQuantity: 1,
    refundedQuantity: 0,
    customerNote: null,
    returnReasonNote: "",
    returnReasonDefinition: null,
    fulfillmentLineItem: { id: `gid://shopify/FulfillmentLineItem/${index}`, lineItem: order.lineItems[0] },
  });
  const at = order.createdAt;
  order.returns = many(2, (index) => ({
    __typename: "Return",
    id: `gid://shopify/Return/${index}`,
    name: "#1-R1",
    status: "OPEN",
    createdAt: at,
    requestApprovedAt: at,
    closedAt: null,
    totalQuantity: 1,
    returnLineItems: index === 1 ? many(205, returned) : [returned(900)],
  }));
  const shop = w.shop({ data });
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run) + w.log.slice(-5).join("\n"));
  const rows = (typename) => [...shop.store.rows.values()].filter((row) => row.includes(`["__typename","${typename}"]`)).length;
  assert.deepEqual([rows("ProductVariant"), rows("ShippingLine"), rows("Return"), rows("ReturnLineItem")], [130, 110, 2, 206]);
});
