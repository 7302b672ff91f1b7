// Dual send of the sync Worker: what a run reads and what it tells of itself goes to both versions of each stream.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DAILY, world } from "./world.mjs";

const w = await world({ shops: 2, streamVersions: { commerce: [1, 2], sync: [1, 2] } });
const once = (events) => [...new Set(events.map(({ event_id }) => event_id))].sort();

test("both versions get every event of a run; while one fails the step is not done", async () => {
  const shop = w.shop();
  w.lake.refusals = { commerce_v2: 2 };
  const result = await shop.run(DAILY);
  assert.equal(result.status, "complete", JSON.stringify(result));
  const { commerce_v1, commerce_v2, sync_v1, sync_v2 } = w.lake;
  assert.ok(once(commerce_v1).length > 0 && once(sync_v1).length > 0);
  assert.deepEqual(once(commerce_v2), once(commerce_v1));
  assert.deepEqual(once(sync_v2), once(sync_v1));
  const failed = sync_v2.filter(({ status, error_kind }) => status === "failed" && error_kind === "stream");
  assert.equal(failed.length, 2, "each refusal is an attempt that failed at the stream");
});
