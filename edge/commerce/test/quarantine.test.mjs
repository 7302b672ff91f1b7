// The quarantine as an operator uses it: list, show, replay. Behind a token, and nothing leaves it before the queue has it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptAll, until } from "./doubles.mjs";
import { SHOP, world } from "./world.mjs";

const BODY = '{"id": 820982911946154508}';

/** A world whose PostgreSQL rejects everything while `cause.present`. */
async function rejecting(t, config = {}) {
  const cause = { present: true };
  const reject = (deliveries) => ({
    deliveries: deliveries.map(({ webhook_id, topic, shop_domain }) => ({
      webhook_id,
      topic,
      shop_domain,
      verdict: "rejected",
      reason: "unknown_shop",
      detail: "not registered",
      event_ids: [],
    })),
    events: [],
  });
  const answer = (deliveries) => (cause.present ? reject(deliveries) : acceptAll(deliveries));
  return { cause, ...(await world(t, { answer, ...config })) };
}

const kept = (quarantine, count) =>
  until(`${count} in the quarantine`, async () => {
    const records = await quarantine();
    return records.length === count && records;
  });

test("without the token every internal route answers 401 and does nothing", async (t) => {
  const { deliver, internal, quarantine } = await rejecting(t);
  await deliver(BODY);
  const [{ key }] = await kept(quarantine, 1);
  for (const authorization of [null, "Bearer ", "Bearer wrong", "Bearer test-internal-toke", "test-internal-token"]) {
    for (const [method, path] of [["GET", "quarantine"], ["GET", key], ["POST", `${key}/replay`], ["GET", "other"]]) {
      const answer = await internal(path, { method, authorization });
      assert.deepEqual([answer.status, answer.body.reason], [401, "unauthorised"], `${authorization} ${path}`);
    }
  }
  await kept(quarantine, 1);
});

test("without a configured token nobody gets in", async (t) => {
  const { internal } = await world(t, { internalToken: "" });
  for (const authorization of [null, "Bearer ", "Bearer test-internal-token"]) {
    assert.equal((await internal("quarantine", { authorization })).status, 401);
  }
});

test("the listing has pages, and a record is shown whole", async (t) => {
  const { deliver, internal, quarantine } = await rejecting(t);
  await Promise.all(["w-1", "w-2", "w-3"].map((id) => deliver(BODY, { id })));
  const records = await kept(quarantine, 3);

  const { body: first } = await internal("quarantine?limit=2");
  assert.equal(first.records.length, 2);
  const { body: second } = await internal(`quarantine?limit=2&cursor=${encodeURIComponent(first.cursor)}`);
  assert.deepEqual([second.records.length, second.cursor], [1, null]);
  const listed = [...first.records, ...second.records];
  assert.deepEqual(listed.map(({ key }) => key), records.map(({ key }) => key));
  const { reason, webhook_id, topic, shop_domain, quarantined_at } = listed[0];
  assert.deepEqual([reason, webhook_id, topic, shop_domain], ["unknown_shop", "w-1", "orders/create", SHOP]);
  assert.match(quarantined_at, /^\d{4}-\d\d-\d\dT/);

  const shown = await internal(listed[0].key);
  assert.deepEqual([shown.status, shown.body], [200, records[0].record]);
  assert.equal(shown.body.delivery.body, BODY);

  for (const [path, method, status] of [
    ["quarantine?limit=0", "GET", 400],
    ["quarantine", "POST", 405],
    [`${listed[0].key}/replay`, "GET", 405],
    ["quarantine/2026-11-24/none.json", "GET", 404],
    ["quarantine/2026-11-24/none.json/replay", "POST", 404],
    ["bodies/2026-11-24/demo.myshopify.com/w-1.json", "GET", 404],
  ]) {
    assert.equal((await internal(path, { method })).status, status, path);
  }
});

test("a replay succeeds once the cause is gone, and the record goes", async (t) => {
  const { cause, deliver, internal, quarantine, lake, postgres } = await rejecting(t);
  await deliver(BODY);
  const [{ key }] = await kept(quarantine, 1);
  cause.present = false;
  assert.deepEqual(await internal(`${key}/replay`, { method: "POST" }), { status: 200, body: { status: "replayed", key } });
  await until("the event", () => lake.events.length === 1);
  assert.equal(lake.events[0].event_id, "event-w-1");
  const [first, again] = postgres.calls.map(([delivery]) => delivery);
  assert.deepEqual(again, { ...first, source: "replay" });
  await kept(quarantine, 0);
  assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 404);
});

test("a replay that fails again is kept again, under a key of its own", async (t) => {
  const { cause, deliver, internal, quarantine, lake } = await rejecting(t);
  await deliver(BODY);
  let [{ key }] = await kept(quarantine, 1);
  for (const replays of [1, 2]) {
    assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 200);
    const next = key.replace(/(\.replay-\d+)?\.json$/, `.replay-${replays}.json`);
    await until(`replay ${replays} alone in the quarantine`, async () => {
      const records = await quarantine();
      return records.length === 1 && records[0].key === next && records[0].record.replays === replays;
    });
    key = next;
  }
  cause.present = false;
  assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 200);
  await until("the event", () => lake.events.length === 1);
  await kept(quarantine, 0);
});

test("a dead letter with a large body is replayed from R2", async (t) => {
  let down = true;
  const { deliver, internal, quarantine, lake, postgres } = await world(t, {
    answer: (deliveries) => (down ? null : acceptAll(deliveries)),
    maxRetries: 0,
  });
  const body = JSON.stringify({ id: 1, note: "ü'\\".repeat(100_000) });
  await deliver(body);
  const [{ key, reason, record }] = await kept(quarantine, 1);
  assert.deepEqual([reason, record.delivery.body], ["retries_exhausted", ""]);
  down = false;
  assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 200);
  await until("the event", () => lake.events.length === 1);
  assert.equal(postgres.calls.at(-1)[0].body, body);
  await kept(quarantine, 0);
});

test("what no consumer could take is not replayed and stays", async (t) => {
  const { deliver, internal, quarantine } = await world(t);
  assert.equal((await deliver(Buffer.from([0x22, 0xff, 0x22]))).status, 200);
  const [{ key }] = await kept(quarantine, 1);
  const answer = await internal(`${key}/replay`, { method: "POST" });
  assert.deepEqual([answer.status, answer.body.reason], [422, "not_replayable"]);
  await kept(quarantine, 1);
});

test("a record that cannot be read is not replayed, stays, and nothing of it is told", async (t) => {
  const { internal, miniflare, log } = await world(t);
  const bucket = await miniflare.getR2Bucket("BUCKET", "commerce");
  const key = "quarantine/2026-11-24/demo/orders_create/w-1.json";
  await bucket.put(key, JSON.stringify({ delivery: "jane@example.com" }));
  const { status, body } = await internal(`${key}/replay`, { method: "POST" });
  assert.deepEqual([status, body.reason], [422, "not_replayable"]);
  assert.match(body.detail, /^the record is not of the expected form at line 1/);
  assert.ok(!log.some((line) => line.includes("jane")), log.join("\n"));
  assert.ok(await bucket.head(key));
});
