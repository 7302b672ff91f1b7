// One cut at each boundary that a delivery crosses: before the queue has it, between PostgreSQL and the stream, after the
// stream and before the acknowledgement, and a PostgreSQL that goes and comes back under a backlog.

import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptAll, fakePostgres, until } from "./doubles.mjs";
import { SHOP, TOO_LONG, world } from "./world.mjs";

const BODY = '{"id": 820982911946154508}';

// The built Worker, with a queue in front of the real one that fails while told to (POST /refuse): before it took the message
// ("true"), or after ("after"), or that never answers ("hang").
const REFUSING_QUEUE = `
import { WorkerEntrypoint } from "cloudflare:workers";
import Worker from "./build/index.js";
export * from "./build/index.js";

let refusing = "";

class WorkerQueue {
  constructor(queue) { this.queue = queue; }
  async send(...message) {
    if (refusing === "hang") return new Promise(() => {});
    if (refusing !== "true") await this.queue.send(...message);
    if (refusing) throw new Error("Queue send failed: Internal Server Error");
  }
}

export default class extends WorkerEntrypoint {
  async fetch(request) {
    if (new URL(request.url).pathname === "/refuse") {
      refusing = await request.text();
      return new Response();
    }
    return new Worker(this.ctx, { ...this.env, DELIVERIES: new WorkerQueue(this.env.DELIVERIES) }).fetch(request);
  }
  queue(batch) {
    return new Worker(this.ctx, this.env).queue(batch);
  }
}
`;

const refuse = (url, refusing) => fetch(`${url}/refuse`, { method: "POST", body: refusing });

const LARGE = JSON.stringify({ id: 1, note: "x".repeat(200_000) });

/** Answers as weir.ingest does: what it has seen before is a duplicate, with the same events. */
function remembering() {
  const seen = new Set();
  return (deliveries) => {
    const result = acceptAll(deliveries);
    for (const verdict of result.deliveries) {
      if (seen.has(verdict.webhook_id)) verdict.verdict = "duplicate";
      seen.add(verdict.webhook_id);
    }
    return result;
  };
}

test("the queue refuses: 503, so that Shopify comes back, and then nothing is missing", async (t) => {
  const { url, deliver, lake, postgres } = await world(t, { entry: REFUSING_QUEUE });
  await refuse(url, "true");
  for (const [id, body] of [["small", BODY], ["large", LARGE]]) {
    const answer = await deliver(body, { id });
    assert.deepEqual([answer.status, answer.body.reason], [503, "hand_over_failed"], id);
  }
  await refuse(url, "");
  assert.equal((await deliver(BODY, { id: "small" })).status, 200);
  assert.equal((await deliver(LARGE, { id: "large" })).status, 200);
  await until("both events", () => lake.events.length === 2);
  const bodies = new Map(postgres.calls.flat().map(({ webhook_id, body }) => [webhook_id, body]));
  assert.deepEqual([bodies.get("small"), bodies.get("large")], [BODY, LARGE]);
});

test("the queue took it and nobody heard: 503, Shopify comes back, and each event is the same one", async (t) => {
  const { url, deliver, lake, postgres, quarantine } = await world(t, { entry: REFUSING_QUEUE, answer: remembering() });
  const deliveries = [["small", BODY], ["large", LARGE]];
  await refuse(url, "after");
  for (const [id, body] of deliveries) assert.equal((await deliver(body, { id })).status, 503, id);
  await until("both from the queue all the same", () => new Set(lake.ids()).size === 2);
  await refuse(url, "");
  const before = postgres.calls.flat().length;
  for (const [id, body] of deliveries) assert.equal((await deliver(body, { id })).status, 200, id);
  await until("both again", () => postgres.calls.flat().length >= before + 2);
  assert.deepEqual([...new Set(lake.ids())].sort(), ["event-large", "event-small"]);
  assert.deepEqual(await quarantine(), []);
});

test("the queue never answers: 503 in time, to come again, and then each is there once", async (t) => {
  const { url, deliver, lake, quarantine } = await world(t, { entry: REFUSING_QUEUE, webhookBudgetMillis: 300 });
  const deliveries = [["small", BODY], ["large", LARGE]];
  await refuse(url, "hang");
  // The first webhook of an isolate reads the configuration before; the second finds it.
  for (const [id, body] of [...deliveries, ...deliveries]) await assertLate(deliver(body, { id }));
  await refuse(url, "");
  for (const [id, body] of deliveries) assert.equal((await deliver(body, { id })).status, 200, id);
  await until("both events", () => lake.events.length === 2);
  assert.deepEqual([lake.ids().sort(), await quarantine()], [["event-large", "event-small"], []]);
});

async function assertLate(delivering) {
  const { status, body, headers } = await delivering;
  assert.deepEqual([status, body.reason], [503, "hand_over_failed"]);
  assert.match(headers.get("retry-after"), /^\d+$/);
}

test("the queue refuses a replay: 503, and the record stays until it does not", async (t) => {
  const { url, deliver, internal, quarantine, lake } = await world(t, { entry: REFUSING_QUEUE });
  assert.equal((await deliver(BODY, { headers: TOO_LONG })).status, 400);
  const [{ key }] = await quarantine();
  await refuse(url, "true");
  assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 503);
  assert.deepEqual((await quarantine()).map((record) => record.key), [key]);
  await refuse(url, "");
  assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 200);
  await until("the event", () => lake.events.length === 1);
  assert.deepEqual(await quarantine(), []);
});

test("the stream fails after PostgreSQL committed, before and after it kept the events: the same events come again", async (t) => {
  const { deliver, lake, postgres, quarantine } = await world(t, { answer: remembering() });
  const ids = ["a", "b", "c"];
  lake.down = true;
  await Promise.all(ids.map((id) => deliver(BODY, { id })));
  await until("an attempt that the stream did not take", () => lake.attempts >= 1);
  assert.deepEqual(lake.events, []);

  lake.failAfterWrite = true;
  lake.down = false;
  await until("events that the stream took without saying so", () => new Set(lake.ids()).size === ids.length);
  lake.failAfterWrite = false;
  const unconfirmed = lake.events.length;
  await until("the confirmed ones", () => new Set(lake.ids().slice(unconfirmed)).size === ids.length);

  assert.deepEqual([...new Set(lake.ids())].sort(), ids.map((id) => `event-${id}`));
  for (const event of lake.events) {
    assert.deepEqual(event, lake.events.find(({ event_id }) => event_id === event.event_id));
  }
  assert.ok(postgres.calls.flat().length >= 3 * ids.length, "each was ingested once and then again as a duplicate");
  assert.deepEqual(await quarantine(), []);
});

test("PostgreSQL goes and comes back: the backlog drains, each event once", async (t) => {
  const { deliver, postgres, lake, log, quarantine } = await world(t);
  await postgres.stop();
  const ids = Array.from({ length: 250 }, (_, index) => `w-${index}`);
  const answers = await Promise.all(ids.map((id) => deliver(BODY, { id })));
  assert.ok(answers.every(({ status }) => status === 200));
  await until("a retry", () => log.some((line) => line.includes("again in")));
  assert.deepEqual(lake.events, []);

  const back = await fakePostgres(acceptAll, postgres.port);
  t.after(back.stop);
  await until("the backlog", () => lake.events.length >= ids.length, 60_000);
  assert.deepEqual(lake.ids().sort(), ids.map((id) => `event-${id}`).sort());
  assert.deepEqual(await quarantine(), []);
});

// The built Worker over a bucket of which one method fails while told to (POST /failing), or never answers ("hang put"). GET /lists says how often one batch had
// it listed at most.
const FAILING_BUCKET = `
import { WorkerEntrypoint } from "cloudflare:workers";
import Worker from "./build/index.js";
export * from "./build/index.js";

let failing = "";
let lists = 0;
let mostLists = 0;

// The binding is known by the name of its class.
class R2Bucket {
  constructor(bucket) { this.bucket = bucket; }
  put(...object) { return this.call("put", object); }
  get(...object) { return this.call("get", object); }
  delete(...keys) { return this.call("delete", keys); }
  list(...options) {
    mostLists = Math.max(mostLists, (lists += 1));
    return this.call("list", options);
  }
  async call(method, object) {
    if (failing === "hang " + method) return new Promise(() => {});
    if (failing !== method) return this.bucket[method](...object);
    console.log("bucket refused a " + method);
    throw new Error(method + ": We encountered an internal error. Please try again. (10001)");
  }
}

export default class extends WorkerEntrypoint {
  async fetch(request) {
    if (new URL(request.url).pathname === "/failing") {
      failing = await request.text();
      return new Response();
    }
    if (new URL(request.url).pathname === "/lists") return Response.json(mostLists);
    return new Worker(this.ctx, this.bindings()).fetch(request);
  }
  queue(batch) {
    lists = 0;
    return new Worker(this.ctx, this.bindings()).queue(batch);
  }
  bindings() { return { ...this.env, BUCKET: new R2Bucket(this.env.BUCKET) }; }
}
`;

const fail = (url, method) => fetch(`${url}/failing`, { method: "POST", body: method });

test("R2 never answers: 503 in time for a large body and for one to quarantine, and nothing of either is lost", async (t) => {
  const { url, deliver, lake, quarantine } = await world(t, { entry: FAILING_BUCKET, webhookBudgetMillis: 300 });
  await fail(url, "hang put");
  await assertLate(deliver(LARGE, { id: "large" }));
  await assertLate(deliver(BODY, { id: "refused", headers: TOO_LONG }));
  assert.equal((await deliver(BODY, { id: "small" })).status, 200, "what needs no object is taken");
  await fail(url, "");
  assert.equal((await deliver(LARGE, { id: "large" })).status, 200);
  assert.equal((await deliver(BODY, { id: "refused", headers: TOO_LONG })).status, 400);
  await until("both events", () => new Set(lake.ids()).size === 2);
  assert.deepEqual((await quarantine()).map(({ webhook_id }) => webhook_id), ["refused"]);
});

test("R2 takes no object: 503 for a large body and for one to quarantine, and nothing of either is lost", async (t) => {
  const { url, deliver, lake, quarantine } = await world(t, { entry: FAILING_BUCKET });
  await fail(url, "put");
  for (const [id, body, headers] of [["large", LARGE], ["refused", BODY, TOO_LONG]]) {
    const answer = await deliver(body, { id, headers });
    assert.deepEqual([answer.status, answer.body.reason], [503, "hand_over_failed"], id);
  }
  assert.equal((await deliver(BODY, { id: "small" })).status, 200, "what needs no object is taken");
  await fail(url, "");
  assert.equal((await deliver(LARGE, { id: "large" })).status, 200);
  assert.equal((await deliver(BODY, { id: "refused", headers: TOO_LONG })).status, 400);
  await until("both events", () => lake.events.length === 2);
  assert.deepEqual((await quarantine()).map(({ webhook_id }) => webhook_id), ["refused"]);
});

test("R2 takes no object when a rejected delivery is to be kept: it is not acknowledged until it is", async (t) => {
  const { url, deliver, quarantine, log } = await world(t, { entry: FAILING_BUCKET });
  await fail(url, "put");
  assert.equal((await deliver(BODY, { id: "bad-1" })).status, 200);
  await until("a retry", () => log.some((line) => line.includes("again in") && line.includes("quarantine failed")));
  assert.deepEqual(await quarantine(), []);
  await fail(url, "");
  const [kept] = await until("the record", async () => (await quarantine()).length && quarantine());
  assert.equal(kept.webhook_id, "bad-1");
});

test("R2 gives no object: the large delivery is retried, its neighbours are not held up", async (t) => {
  const { url, deliver, lake, log, postgres } = await world(t, { entry: FAILING_BUCKET });
  await fail(url, "get");
  assert.equal((await deliver(LARGE, { id: "large" })).status, 200);
  assert.equal((await deliver(BODY, { id: "small" })).status, 200);
  await until("the neighbour", () => lake.events.length === 1);
  await until("a retry", () => log.some((line) => line.includes("again in")));
  assert.deepEqual(lake.ids(), ["event-small"]);
  await fail(url, "");
  await until("the large one", () => lake.events.length === 2);
  assert.equal(postgres.calls.flat().find(({ webhook_id }) => webhook_id === "large").body, LARGE);
});

test("R2 removes no record after its replay: said so, and replayed again it is the same event", async (t) => {
  const { url, deliver, internal, quarantine, lake } = await world(t, { entry: FAILING_BUCKET });
  assert.equal((await deliver(BODY, { id: "refused", headers: TOO_LONG })).status, 400);
  const [{ key }] = await quarantine();
  await fail(url, "delete");
  const answer = await internal(`${key}/replay`, { method: "POST" });
  assert.deepEqual([answer.status, answer.body.reason], [503, "not_removed"]);
  await until("the event", () => lake.events.length === 1);
  await fail(url, "");
  assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 200);
  await until("the event again", () => lake.events.length === 2);
  assert.deepEqual([new Set(lake.ids()).size, await quarantine()], [1, []]);
});

const CERTIFICATE = { certificate_id: "c-1", redacted_at: "2026-11-24T10:00:02.000Z", removed: {} };
/** weir.ingest that accepts everything, beside the functions that give a certificate. */
const forgetting = (argument, _number, name) => (name === "ingest" ? acceptAll(argument) : CERTIFICATE);
const redaction = (id) => [JSON.stringify({ shop_domain: SHOP, customer: { id }, orders_to_redact: [] }), { id: `redact-${id}`, topic: "customers/redact" }];

for (const method of ["list", "get", "delete", "put"]) {
  test(`R2 fails at ${method} while a customer is to be forgotten: not acknowledged until everything is done`, async (t) => {
    const { url, deliver, miniflare, log } = await world(t, { entry: FAILING_BUCKET, answer: forgetting });
    const bucket = await miniflare.getR2Bucket("BUCKET", "commerce");
    const key = "bodies/2026-11-20/demo.myshopify.com/w-0.json";
    await bucket.put(key, JSON.stringify({ id: 1, customer: { id: 7 } }));
    const keys = async () => (await bucket.list()).objects.map((object) => object.key);
    await fail(url, method);
    assert.equal((await deliver(...redaction(7))).status, 200);
    await until("a retry", () => log.some((line) => line.includes("again in")));
    assert.ok(log.some((line) => line.includes(`bucket refused a ${method}`)));
    assert.ok(!(await keys()).some((name) => name.startsWith("certificates/")), "nothing is certified");
    await fail(url, "");
    await until("the certificate", async () => (await keys()).some((name) => name.startsWith("certificates/")));
    assert.ok(!(await keys()).includes(key));
  });
}

test("many requests to forget at once share what one batch may ask of R2", async (t) => {
  const config = { entry: FAILING_BUCKET, answer: forgetting, redactionPassObjects: 12, maxBatchTimeoutSeconds: 1 };
  const { url, deliver, log } = await world(t, config);
  const customers = Array.from({ length: 8 }, (_, index) => 1000 + index);
  await Promise.all(customers.map((id) => deliver(...redaction(id))));
  await until("each certificate", () => log.filter((line) => line.includes("certificate certificates/")).length >= customers.length);
  const most = await (await fetch(`${url}/lists`)).json();
  assert.ok(most >= 3 && most <= 6, `${most} lists in one batch`);
});
