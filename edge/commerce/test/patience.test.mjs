// R2, the queue and the sync Worker never answer the consumer of the queue, or a replay: given up, said so, and nothing is lost.

import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptAll, until } from "./doubles.mjs";
import { SHOP, TOO_LONG, world } from "./world.mjs";

// The built Worker, whose far ends never answer the calls named in `hanging` (POST /hanging, JSON of names such as "get"), be
// it in a request or in a batch. Answers with how many such calls one batch made at most; `GET /batches` with how many came.
const HANGING = `
import { WorkerEntrypoint } from "cloudflare:workers";
import Worker from "./build/index.js";
export * from "./build/index.js";

let hanging = [];
let calls = 0;
let mostCalls = 0;
let batches = 0;

function call(far, method, given) {
  if (!hanging.includes(method)) return far[method](...given);
  mostCalls = Math.max(mostCalls, (calls += 1));
  return new Promise(() => {});
}
// Bindings are known by the names of their classes.
class R2Bucket {
  constructor(bucket) { this.bucket = bucket; }
  put(...given) { return call(this.bucket, "put", given); }
  get(...given) { return call(this.bucket, "get", given); }
  delete(...given) { return call(this.bucket, "delete", given); }
  list(...given) { return call(this.bucket, "list", given); }
}
class WorkerQueue {
  constructor(queue) { this.queue = queue; }
  send(...given) { return call(this.queue, "send", given); }
}

export default class extends WorkerEntrypoint {
  async fetch(request) {
    if (new URL(request.url).pathname === "/hanging") {
      hanging = await request.json();
      return Response.json(mostCalls);
    }
    if (new URL(request.url).pathname === "/batches") return Response.json(batches);
    return this.worker().fetch(request);
  }
  queue(batch) {
    calls = 0;
    batches += 1;
    return this.worker().queue(batch);
  }
  worker() {
    const { BUCKET, DELIVERIES } = this.env;
    return new Worker(this.ctx, { ...this.env, BUCKET: new R2Bucket(BUCKET), DELIVERIES: new WorkerQueue(DELIVERIES) });
  }
}
`;

const BODY = '{"id": 820982911946154508}';
const LARGE = JSON.stringify({ id: 1, note: "x".repeat(200_000) });
const MILLIS = 300;

const patient = async (t, config) => {
  const stack = await world(t, { entry: HANGING, platformTimeoutMillis: MILLIS, ...config });
  const hang = async (...methods) => (await fetch(`${stack.url}/hanging`, { method: "POST", body: JSON.stringify(methods) })).json();
  const retried = (cause) =>
    until(`a retry because ${cause}`, () => stack.log.some((line) => line.includes("again in") && line.includes(cause)));
  return { ...stack, hang, retried };
};

test("R2 never gives the large bodies of a batch: it is asked once, all are retried, their neighbour is not held up", async (t) => {
  const { deliver, hang, lake, quarantine, retried } = await patient(t, { maxBatchTimeoutSeconds: 1 });
  await hang("get");
  const ids = ["a", "b", "c", "d"];
  const delivered = [...ids.map((id) => deliver(LARGE, { id })), deliver(BODY, { id: "small" })];
  assert.ok((await Promise.all(delivered)).every(({ status }) => status === 200));
  await until("the neighbour", () => lake.ids().includes("event-small"));
  await retried(`R2 did not answer within ${MILLIS} ms`);
  assert.equal(await hang(), 1, "calls of one batch that were waited for");
  await until("the large ones", () => new Set(lake.ids()).size === 5);
  assert.deepEqual(await quarantine(), []);
});

test("a stream that does not answer is asked once by a batch, in however many parts it is delivered", async (t) => {
  const { deliver, lake, quarantine, log, url } = await patient(t, { streamTimeoutMillis: MILLIS, maxBatchTimeoutSeconds: 2 });
  lake.hang = "commerce_v1";
  t.after(lake.release);
  // Memory holds three of these at once.
  const body = JSON.stringify({ id: 1, note: "x".repeat(800_000) });
  const ids = Array.from({ length: 10 }, (_, index) => `w-${index}`);
  for (const id of ids) assert.equal((await deliver(body, { id })).status, 200);
  await until("all are to come again", () => log.filter((line) => line.includes("again in")).length >= ids.length);
  const attempts = lake.attempts;
  const batches = await (await fetch(`${url}/batches`)).json();
  assert.ok(attempts <= batches, `${attempts} attempts of ${batches} batches`);
  lake.hang = null;
  await until("all events", () => new Set(lake.ids()).size === ids.length);
  assert.deepEqual(await quarantine(), []);
});

test("R2 never takes what is to be kept: it is not acknowledged until it is", async (t) => {
  const { deliver, hang, quarantine, queue, retried } = await patient(t);
  await hang("put");
  assert.equal((await deliver(BODY, { id: "bad-1" })).status, 200);
  await (await queue()).send("not one of ours", { contentType: "text" });
  await retried(`quarantine failed: R2 did not answer within ${MILLIS} ms`);
  assert.deepEqual(await quarantine(), []);
  await hang();
  const kept = await until("both records", async () => {
    const records = await quarantine();
    return records.length >= 2 && records;
  });
  assert.deepEqual(kept.map(({ webhook_id }) => webhook_id.replace(/^message-.*/, "message")).sort(), ["bad-1", "message"]);
});

const CERTIFICATE = { certificate_id: "c-1", redacted_at: "2026-11-24T10:00:02.000Z", removed: {} };
const forgetting = (argument, _number, name) => (name === "ingest" ? acceptAll(argument) : CERTIFICATE);

const BY = { webhook_id: "redact-7", topic: "customers/redact", shop_domain: SHOP, received_at: "2026-11-24T10:00:00.000Z", body: "" };
/** A request to forget as it lies on the queue; its way there is not what hangs. */
const REQUEST = `${JSON.stringify({ delivery: BY, body_bytes: 2 })}\n${JSON.stringify({ shop_domain: SHOP, customer: { id: 7 }, orders_to_redact: [] })}`;

for (const [method, farEnd] of [["send", "the queue"], ["list", "R2"], ["delete", "R2"], ["put", "R2"]]) {
  test(`${farEnd} never answers ${method} while a customer is to be forgotten: not acknowledged until everything is done`, async (t) => {
    const { hang, miniflare, queue, retried } = await patient(t, { answer: forgetting, redactionPassObjects: 1 });
    const bucket = await miniflare.getR2Bucket("BUCKET", "commerce");
    const keys = async () => (await bucket.list()).objects.map(({ key }) => key);
    const bodies = ["w-1", "w-2"].map((id) => `bodies/2026-11-20/demo.myshopify.com/${id}.json`);
    for (const key of bodies) await bucket.put(key, JSON.stringify({ id: 1, customer: { id: 7 } }));
    await hang(method);
    await (await queue()).send(REQUEST, { contentType: "text" });
    await retried(`${farEnd} did not answer within ${MILLIS} ms`);
    assert.ok(!(await keys()).some((key) => key.startsWith("certificates/")), "nothing is certified");
    await hang();
    await until("the certificate", async () => (await keys()).some((key) => key.startsWith("certificates/")));
    assert.ok(!(await keys()).some((key) => bodies.includes(key)));
  });
}

test("the sync Worker never answers: the notice is told again, and what came with it goes its way", async (t) => {
  let answer = () => new Promise(() => {});
  const { deliver, lake, quarantine, retried } = await patient(t, { sync: (request) => answer(request) });
  const notice = JSON.stringify({ admin_graphql_api_id: "gid://shopify/BulkOperation/1", status: "completed", error_code: null, type: "query" });
  assert.equal((await deliver(notice, { id: "finish", topic: "bulk_operations/finish" })).status, 200);
  assert.equal((await deliver(BODY)).status, 200);
  await retried(`sync Worker: it did not answer within ${MILLIS} ms`);
  await until("the other", () => lake.events.length === 1);
  let told = 0;
  answer = () => {
    told += 1;
    return new Response(null, { status: 202 });
  };
  await until("the notice", () => told > 0);
  assert.deepEqual(await quarantine(), []);
});

test("R2 or the queue never answers an operator: 503 that says which, and the record stays until it was replayed", async (t) => {
  const { deliver, hang, internal, quarantine, lake } = await patient(t);
  assert.equal((await deliver(BODY, { id: "refused", headers: TOO_LONG })).status, 400);
  const [{ key }] = await quarantine();
  const replay = [`${key}/replay`, { method: "POST" }];
  for (const [method, path, options, reason, said] of [
    ["list", "quarantine", {}, "not_read", `R2 did not answer within ${MILLIS} ms`],
    ["get", key, {}, "not_read", `R2 did not answer within ${MILLIS} ms`],
    ["get", ...replay, "hand_over_failed", `R2 did not answer within ${MILLIS} ms; it is still in the quarantine`],
    ["send", ...replay, "hand_over_failed", `the queue did not answer within ${MILLIS} ms; it is still in the quarantine`],
    ["delete", ...replay, "not_removed", `R2 did not answer within ${MILLIS} ms; replayed, and still in the quarantine`],
  ]) {
    await hang(method);
    const answer = await internal(path, options);
    assert.deepEqual([answer.status, answer.body.reason], [503, reason], `${method} ${path}`);
    assert.ok(answer.body.detail.startsWith(said), answer.body.detail);
    assert.deepEqual((await quarantine()).map((record) => record.key), [key]);
  }
  await hang();
  assert.equal((await internal(...replay)).status, 200);
  await until("the event", () => lake.events.length >= 2);
  assert.deepEqual([new Set(lake.ids()).size, await quarantine()], [1, []]);
});
