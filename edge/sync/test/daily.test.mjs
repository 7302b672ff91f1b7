// A day's synchronisation: everything changed at Shopify is in PostgreSQL and in the stream, and the watermark has moved.

import assert from "node:assert/strict";
import { test } from "node:test";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { DAILY, DATE, SHOP, world } from "./world.mjs";

test("a day's run reads everything, streams it, and moves the watermark", async (t) => {
  const w = await world(t);
  const before = Date.now();
  const run = await w.run(DAILY);
  assert.equal(run.status, "complete", JSON.stringify(run) + w.log.join("\n"));
  const { totals } = run.output;
  assert.deepEqual(totals, { lines: 20 + 40 + 20 + 20 + 40 + 5 + 5, read: 150, upserted: 150, unchanged: 0, rejected: 0, events: 25, streamed: 25, events_rejected: 0 });
  assert.equal(new Set(w.lake.ids()).size, 25);
  const reached = Date.parse(await w.watermark());
  assert.ok(reached >= before - 1000 && reached <= Date.now(), await w.watermark());
  const { objects } = await (await w.stack.bucket()).list({ prefix: `archive/${SHOP}/${DATE}/` });
  assert.equal(objects.length, 3);
  assert.equal(w.shopify.leaks, 0);
  assert.ok(w.lake.sync_v1.every((event) => event.status === "succeeded" && event.workflow === DAILY));
});
