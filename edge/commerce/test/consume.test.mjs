// What happens after the 200: nothing is acknowledged before it is durable downstream.

import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptAll, event, until } from "./doubles.mjs";
import { world } from "./world.mjs";

const BODY = '{"id": 820982911946154508}';

/** What was counted of deliveries that were taken from the queue. */
const outcomes = async (counters) =>
  (await counters()).filter(({ blobs }) => blobs[0] === "consumed").map(({ blobs }) => blobs.slice(1).join(" "));

test("a batch is one call, one stream request, and is delivered once", async (t) => {
  const { deliver, postgres, lake } = await world(t, { maxBatchTimeoutSeconds: 1 });
  const ids = Array.from({ length: 20 }, (_, index) => `w-${index}`);
  const answers = await Promise.all(ids.map((id) => deliver(BODY, { id })));
  assert.ok(answers.every(({ status }) => status === 200));
  await until("all events", () => lake.events.length === ids.length);
  assert.deepEqual(lake.events.map(({ event_id }) => event_id).sort(), ids.map((id) => `event-${id}`).sort());
  assert.ok(postgres.calls.length <= 2, `${postgres.calls.length} calls`);
});

test("PostgreSQL cuts the connection: 200 to Shopify, retried, nothing lost", async (t) => {
  const { deliver, postgres, lake, quarantine } = await world(t, {
    answer: (deliveries, call) => (call <= 2 ? null : acceptAll(deliveries)),
  });
  assert.equal((await deliver(BODY)).status, 200);
  await until("the event after two failures", () => lake.events.length === 1);
  assert.equal(postgres.calls.length, 3);
  assert.deepEqual(await quarantine(), []);
});

test("PostgreSQL is unreachable: nothing is acknowledged, and the dead letter is kept", async (t) => {
  const { deliver, lake, quarantine, counters } = await world(t, {
    postgres: "postgres://edge:secret@127.0.0.1:1/weir?sslmode=disable",
    maxRetries: 2,
  });
  assert.equal((await deliver(BODY)).status, 200);
  const [kept] = await until("the dead letter", async () => (await quarantine()).length && quarantine());
  assert.equal(kept.reason, "retries_exhausted");
  assert.equal(kept.record.delivery.body, BODY);
  assert.equal(lake.attempts, 0);
  await until("a count of it, by which an alarm goes", async () => (await outcomes(counters)).includes("orders/create quarantined retries_exhausted"));
});

for (const hang of ["connection", "statement"]) {
  test(`PostgreSQL hangs at the ${hang}: given up, retried, and the consumer is free for others`, async (t) => {
    const { deliver, postgres, lake, quarantine } = await world(t, { postgresTimeoutMillis: 500 });
    postgres.hang = hang;
    assert.equal((await deliver(BODY, { id: "a" })).status, 200);
    // A second attempt means that the first was given up and its message not acknowledged.
    await until("two attempts", () => postgres.connections >= 2);
    assert.equal((await deliver(BODY, { id: "b" })).status, 200);
    await until("a third attempt", () => postgres.connections >= 3);
    assert.deepEqual(lake.events, []);
    postgres.hang = null;
    await until("both events", () => lake.events.length === 2);
    assert.deepEqual(lake.events.map(({ event_id }) => event_id).sort(), ["event-a", "event-b"]);
    await until("the end of every connection, the abandoned ones too", () => postgres.open.size === 0);
    assert.deepEqual(await quarantine(), []);
  });
}

test("the stream never answers: given up, retried, and the consumer is free for others", async (t) => {
  const { deliver, lake, log, quarantine } = await world(t, { streamTimeoutMillis: 500 });
  lake.hang = "commerce_v1";
  t.after(lake.release);
  assert.equal((await deliver(BODY, { id: "a" })).status, 200);
  await until("a second attempt", () => lake.attempts >= 2);
  assert.ok(log.some((line) => line.includes("again in") && line.includes("the stream did not answer within 500 ms")));
  assert.equal((await deliver(BODY, { id: "b" })).status, 200);
  await until("a third attempt", () => lake.attempts >= 3);
  assert.deepEqual(lake.events, []);
  lake.hang = null;
  await until("both events", () => new Set(lake.ids()).size === 2);
  assert.deepEqual(await quarantine(), []);
});

test("the stream is down: retried until it takes the same event", async (t) => {
  const { deliver, postgres, lake, quarantine } = await world(t);
  lake.down = true;
  assert.equal((await deliver(BODY)).status, 200);
  await until("two refused attempts", () => lake.attempts >= 2);
  assert.deepEqual(lake.events, []);
  lake.down = false;
  await until("the event", () => lake.events.length === 1);
  assert.ok(postgres.calls.length >= 3);
  assert.deepEqual(await quarantine(), []);
});

test("one rejected delivery is quarantined alone", async (t) => {
  const { deliver, lake, quarantine } = await world(t, { maxBatchTimeoutSeconds: 1 });
  await Promise.all(["a", "bad-1", "c"].map((id) => deliver(BODY, { id })));
  await until("the good events", () => lake.events.length === 2);
  const [kept] = await until("the quarantine", async () => (await quarantine()).length && quarantine());
  assert.deepEqual([kept.webhook_id, kept.reason, kept.detail], ["bad-1", "missing_field", "id"]);
  assert.deepEqual(lake.events.map(({ event_id }) => event_id).sort(), ["event-a", "event-c"]);
});

test("an event that the stream would drop quarantines its delivery", async (t) => {
  const invalid = ({ webhook_id }) => event(`event-${webhook_id}`, webhook_id === "b" ? { event_hour: "ten" } : {});
  const { deliver, lake, quarantine } = await world(t, {
    answer: (deliveries) => ({ ...acceptAll(deliveries), events: deliveries.map(invalid) }),
  });
  await Promise.all(["a", "b"].map((id) => deliver(BODY, { id })));
  const [kept] = await until("the quarantine", async () => (await quarantine()).length && quarantine());
  assert.deepEqual([kept.webhook_id, kept.reason], ["b", "type_mismatch"]);
  await until("the valid event", () => lake.events.length === 1);
  assert.equal(lake.events[0].event_id, "event-a");
});

for (const [sqlstate, what] of [["22P05", "untranslatable"], ["54000", "index row size 4016 exceeds btree maximum"], ["21000", "a row twice"]]) {
  test(`a data error of the whole statement (${sqlstate}) is pinned on the delivery that causes it`, async (t) => {
    const poisoned = (deliveries) => deliveries.some(({ webhook_id }) => webhook_id === "poison");
    const { deliver, lake, quarantine } = await world(t, {
      maxBatchTimeoutSeconds: 1,
      answer: (deliveries) => (poisoned(deliveries) ? { sqlstate, text: what } : acceptAll(deliveries)),
    });
    await Promise.all(["a", "poison", "c"].map((id) => deliver(BODY, { id })));
    await until("the good events", () => lake.events.length === 2);
    const [kept] = await until("the quarantine", async () => (await quarantine()).length && quarantine());
    assert.deepEqual([kept.webhook_id, kept.reason], ["poison", "database_refused"]);
    assert.match(kept.detail, new RegExp(sqlstate));
  });
}

test("an internal error of the server holds up no neighbour, and nobody is blamed before every retry failed", async (t) => {
  const poisoned = (deliveries) => deliveries.some(({ webhook_id }) => webhook_id === "poison");
  const { deliver, lake, log, quarantine } = await world(t, {
    maxBatchTimeoutSeconds: 1,
    maxRetries: 2,
    answer: (deliveries) => (poisoned(deliveries) ? { sqlstate: "XX000", text: "panicked" } : acceptAll(deliveries)),
  });
  await Promise.all(["a", "poison", "c"].map((id) => deliver(BODY, { id })));
  await until("the good events", () => lake.events.length === 2);
  const [kept] = await until("the quarantine", async () => (await quarantine()).length && quarantine());
  assert.deepEqual([kept.webhook_id, kept.reason], ["poison", "retries_exhausted"]);
  assert.ok(log.some((line) => line.includes("again in") && line.includes("XX000")));
});

test("deliveries and refusals are counted by shop, topic and outcome", async (t) => {
  const { deliver, counters } = await world(t);
  for (const id of ["a", "b", "bad-c"]) assert.equal((await deliver(BODY, { id })).status, 200);
  assert.equal((await deliver(BODY, { signature: "forged" })).status, 401);
  const total = (points, ...blobs) =>
    points.filter((point) => blobs.every((blob, index) => point.blobs[index] === blob)).reduce((sum, { doubles }) => sum + doubles[0], 0);
  const points = await until("all verdicts", async () => {
    const found = await counters();
    return total(found, "consumed") === 3 && total(found, "received") === 4 && found;
  });
  assert.equal(total(points, "received", "orders/create", "accepted"), 3);
  assert.equal(total(points, "received", "", "refused", "bad_signature"), 1);
  assert.equal(total(points, "consumed", "orders/create", "acknowledged"), 2);
  assert.equal(total(points, "consumed", "orders/create", "quarantined", "missing_field"), 1);
});

test("a finished bulk operation is told to the sync Worker, again until it listens; without one it goes the way of all", async (t) => {
  const told = [];
  const sync = async (request) => {
    told.push([new URL(request.url).pathname, request.headers.get("authorization"), await request.json()]);
    return new Response("{}", { status: told.length === 1 ? 503 : 200 });
  };
  const body = JSON.stringify({ admin_graphql_api_id: "gid://shopify/BulkOperation/1", status: "completed" });
  const finished = { topic: "bulk_operations/finish" };
  const bound = await world(t, { sync });
  assert.equal((await bound.deliver(body, finished)).status, 200);
  await until("the second call", () => told.length === 2);
  const notice = { shop: "demo.myshopify.com", operation_id: "gid://shopify/BulkOperation/1", status: "completed" };
  assert.deepEqual(told[1], ["/internal/finished", "Bearer test-internal-token", notice]);
  assert.deepEqual(bound.postgres.calls, []);
  assert.deepEqual(await bound.quarantine(), []);

  const unbound = await world(t);
  assert.equal((await unbound.deliver(body, finished)).status, 200);
  await until("PostgreSQL", () => unbound.postgres.calls.length === 1);
});

// Each invocation has its memory for three of these bodies; ten come as one batch.
const PARTS = { maxRetries: 0, maxBatchTimeoutSeconds: 2 };
for (const [what, config] of [["parts of one invocation", {}], ["messages of their own when its time is over", { batchBudgetMillis: 1 }]]) {
  test(`more bodies than memory holds are delivered, as ${what}, and none loses an attempt`, async (t) => {
    const { deliver, postgres, lake, quarantine } = await world(t, { ...PARTS, ...config });
    const body = JSON.stringify({ id: 1, note: "x".repeat(800_000) });
    const ids = Array.from({ length: 10 }, (_, index) => `w-${index}`);
    for (const id of ids) assert.equal((await deliver(body, { id })).status, 200);
    await until("all events", () => new Set(lake.ids()).size === ids.length);
    assert.deepEqual(await quarantine(), []);
    for (const deliveries of postgres.calls) assert.ok(deliveries.length <= 3, `${deliveries.length} bodies at once`);
    assert.ok(postgres.calls.some(({ length }) => length === 3));
  });
}

test("what is no text on the queue is kept whole: bytes, and the JSON of any value", async (t) => {
  const { queue, quarantine } = await world(t);
  const { send } = await queue();
  const binary = Uint8Array.from([0x7b, 0xff, 0x00]);
  await send({ from: "elsewhere", id: [1, null] }, { contentType: "json" });
  await send(binary, { contentType: "bytes" });
  await send(new TextEncoder().encode("text as bytes"), { contentType: "bytes" });
  const kept = await until("all of them", async () => {
    const records = (await quarantine()).map(({ record }) => [record.delivery.body, record.body_base64]);
    return records.length === 3 && records.sort();
  });
  assert.deepEqual(kept, [
    ["", Buffer.from(binary).toString("base64")],
    ["text as bytes", undefined],
    ['{"from":"elsewhere","id":[1,null]}', undefined],
  ]);
});

test("a message of an earlier deployment is taken, and what is none of ours is kept as it came", async (t) => {
  const { queue, postgres, lake, quarantine, counters } = await world(t);
  const { send } = await queue();
  const delivery = { webhook_id: "earlier", topic: "orders/create", shop_domain: "demo.myshopify.com", received_at: "2026-11-24T10:00:00.000Z" };
  await send(JSON.stringify({ delivery: { ...delivery, body: BODY }, body_bytes: BODY.length }), { contentType: "text" });
  await send("not one of ours", { contentType: "text" });
  await send("{}\nnor this", { contentType: "text" });
  await until("the event of the earlier one", () => lake.events.length === 1);
  assert.deepEqual(postgres.calls.flat().map(({ webhook_id, body }) => [webhook_id, body]), [["earlier", BODY]]);
  const kept = await until("the others", async () => {
    const records = await quarantine();
    return records.length === 2 && records;
  });
  assert.deepEqual([...new Set(kept.map(({ reason }) => reason))], ["unreadable_message"]);
  assert.deepEqual(kept.map(({ record }) => record.delivery.body).sort(), ["not one of ours", "{}\nnor this"]);
  await until("a count of them", async () => (await outcomes(counters)).includes("unknown quarantined unreadable_message"));
});
