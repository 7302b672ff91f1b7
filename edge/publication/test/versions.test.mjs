// Dual send of interactions: both versions of the stream get them, and one that is down gets them from the queue.

import assert from "node:assert/strict";
import { test } from "node:test";
import { event as commerceEvent, until } from "../../commerce/test/doubles.mjs";
import { event, recordAll, world } from "./world.mjs";

const once = (events) => [...new Set(events.map(({ event_id }) => event_id))].sort();

test("both versions get every interaction, also when one of them was down", async (t) => {
  const { send, lake, log, quarantine } = await world(t, { streamVersions: { publication: [1, 2] } });
  const first = await send([event("click", "a"), event("view", "b")]);
  assert.equal(first.status, 202);
  assert.deepEqual([once(lake.published), once(lake.second)], Array(2).fill(first.body.verdicts.map(({ event_id }) => event_id).sort()));

  lake.down = "publication_v2";
  assert.equal((await send([event("click", "c")])).status, 202, "it is on the queue");
  await until("the stream's name in the log", () => log.some((line) => line.includes("stream: publication_v2: ")));
  assert.deepEqual([once(lake.published).length, once(lake.second).length], [3, 2]);
  lake.down = false;
  await until("the row from the queue", () => once(lake.second).length === 3);
  assert.deepEqual(once(lake.second), once(lake.published));
  assert.deepEqual(await quarantine(), []);
});

test("what an interaction causes goes to both versions of the commerce stream before the acknowledgement", async (t) => {
  const cause = ({ event_id, order_id }) => [commerceEvent(`caused-by-${event_id}`, { event_type: "order_updated", order_id, publisher_id: "p-1" })];
  const { send, lake, postgres, quarantine } = await world(t, { answer: recordAll(cause), streamVersions: { commerce: [1, 2] } });
  lake.down = "commerce_v2";
  assert.equal((await send([event("conversion", "a", { order_id: "7" })])).status, 202);
  await until("a second attempt, since the first was not acknowledged", () => postgres.calls.length >= 2);
  assert.deepEqual([once(lake.events).length, lake.second.length], [1, 0]);
  lake.down = false;
  await until("the event in both", () => lake.second.length >= 1);
  assert.deepEqual(once(lake.second), once(lake.events));
  assert.deepEqual(await quarantine(), []);
});

test("with no stream of what is caused nothing is acknowledged, and it comes again later, not at once", async (t) => {
  const { send, log, quarantine } = await world(t, { answer: recordAll(() => []), streamVersions: { commerce: [] }, maxRetries: 1 });
  assert.equal((await send([event("conversion", "a", { order_id: "7" })])).status, 202);
  const [kept] = await until("the dead letter", async () => (await quarantine()).length && quarantine());
  assert.equal(kept.reason ?? kept.record.reason, "retries_exhausted");
  const unbound = /again in up to \d+ s: .*no stream is bound: COMMERCE_TELEMETRY/;
  assert.ok(log.some((line) => unbound.test(line)), log.join("\n"));
});
