// Dual send: while two versions of the stream are bound, a delivery is acknowledged when both have its events.

import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptAll, event, until } from "./doubles.mjs";
import { world } from "./world.mjs";

const BODY = '{"id": 820982911946154508}';
const BOTH = { streamVersions: { commerce: [1, 2] } };
const idsOf = (events) => events.map(({ event_id }) => event_id);
const once = (events) => [...new Set(idsOf(events))].sort();

test("both versions get every event, once", async (t) => {
  const { deliver, lake, quarantine } = await world(t, { ...BOTH, maxBatchTimeoutSeconds: 1 });
  const ids = Array.from({ length: 20 }, (_, index) => `w-${index}`);
  await Promise.all(ids.map((id) => deliver(BODY, { id })));
  await until("all events in both", () => lake.events.length >= 20 && lake.second.length >= 20);
  const expected = ids.map((id) => `event-${id}`).sort();
  assert.deepEqual([idsOf(lake.events).sort(), idsOf(lake.second).sort()], [expected, expected]);
  assert.deepEqual(lake.second[0], lake.events.find(({ event_id }) => event_id === lake.second[0].event_id));
  assert.deepEqual(await quarantine(), []);
});

for (const [down, up] of [["commerce_v2", "commerce_v1"], ["commerce_v1", "commerce_v2"]]) {
  test(`${down} fails: not acknowledged, its name is told, and the retry brings every event to both`, async (t) => {
    const { deliver, lake, log, postgres, quarantine } = await world(t, BOTH);
    const got = { commerce_v1: lake.events, commerce_v2: lake.second };
    lake.down = down;
    const ids = ["a", "b", "c"];
    await Promise.all(ids.map((id) => deliver(BODY, { id })));
    await until("every delivery twice", () => ids.every((id) => postgres.calls.flat().filter(({ webhook_id }) => webhook_id === id).length >= 2));
    assert.deepEqual(got[down], []);
    assert.deepEqual(once(got[up]), ids.map((id) => `event-${id}`), "the other is not held up");
    await until("the stream's name in the log", () => log.some((line) => line.includes(`stream: ${down}: `)));
    assert.ok(!log.some((line) => line.includes(`stream: ${up}: `)));
    lake.down = false;
    await until("all events in both", () => once(lake.events).length === 3 && once(lake.second).length === 3);
    assert.deepEqual(once(lake.second), once(lake.events));
    assert.deepEqual(await quarantine(), []);
  });
}

test("an event that the streams would drop quarantines its delivery and names the stream", async (t) => {
  const invalid = ({ webhook_id }) => event(`event-${webhook_id}`, webhook_id === "b" ? { event_hour: "ten" } : {});
  const { deliver, lake, quarantine } = await world(t, {
    ...BOTH,
    answer: (deliveries) => ({ ...acceptAll(deliveries), events: deliveries.map(invalid) }),
  });
  await Promise.all(["a", "b"].map((id) => deliver(BODY, { id })));
  const [kept] = await until("the quarantine", async () => (await quarantine()).length && quarantine());
  assert.deepEqual([kept.webhook_id, kept.reason], ["b", "type_mismatch"]);
  assert.match(kept.detail, /commerce_v1: event_hour/);
  await until("the valid event in both", () => lake.events.length === 1 && lake.second.length === 1);
});

test("after the cut-over the second version alone is bound; with none nothing is acknowledged", async (t) => {
  const after = await world(t, { streamVersions: { commerce: [2] } });
  assert.equal((await after.deliver(BODY, { id: "a" })).status, 200);
  await until("the event", () => after.lake.second.length === 1);
  assert.deepEqual(after.lake.events, []);

  const none = await world(t, { streamVersions: { commerce: [] }, maxRetries: 1 });
  assert.equal((await none.deliver(BODY, { id: "a" })).status, 200);
  const [kept] = await until("the dead letter", async () => (await none.quarantine()).length && none.quarantine());
  assert.equal(kept.reason, "retries_exhausted");
  const unbound = /again in up to \d+ s: .*no stream is bound: COMMERCE_TELEMETRY, COMMERCE_TELEMETRY_V2/;
  assert.ok(none.log.some((line) => unbound.test(line)), "retried with a delay, not at once");
});
