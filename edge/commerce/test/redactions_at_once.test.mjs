// Redactions that meet: two over the same objects at the same time, and one whose message comes again after it was certified.

import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptAll, until } from "./doubles.mjs";
import { SHOP, world } from "./world.mjs";

const DAY = "2026-11-20";
const AT = `${DAY}T10:00:00.000Z`;
const CERTIFICATE = { certificate_id: "c-1", shop_id: "1", redacted_at: "2026-11-24T10:00:02.000Z", removed: {} };
const answer = (argument, _number, name) => (name === "ingest" ? acceptAll(argument) : CERTIFICATE);

// The built Worker over buckets in which the first write of the object named by POST /hold waits until another one of it is made:
// both have read before either has written. A large object is written in parts; there the first part waits until another is
// complete. Its queue fails once after a certificate was kept, if told to (POST /fail).
const MEETING = `
import { WorkerEntrypoint } from "cloudflare:workers";
import Worker from "./build/index.js";
export * from "./build/index.js";

let held = "";
let release;
// The first one only, if it is of that object.
const wait = (key) => key === held && !release && new Promise((resolve) => (release = resolve));
const letGo = (key) => key === held && release();
let fails = false;
let certified = false;

// Bindings are known by the names of their classes.
class R2Bucket {
  constructor(bucket) { this.bucket = bucket; }
  async put(key, ...object) {
    const waiting = wait(key);
    await waiting;
    const put = await this.bucket.put(key, ...object);
    certified ||= key.startsWith("certificates/");
    if (!waiting) letGo(key);
    return put;
  }
  async createMultipartUpload(key, ...options) {
    const upload = await this.bucket.createMultipartUpload(key, ...options);
    return {
      uploadPart: async (...part) => {
        await wait(key);
        return upload.uploadPart(...part);
      },
      complete: async (parts) => {
        const complete = await upload.complete(parts);
        letGo(key);
        return complete;
      },
      abort: () => upload.abort(),
    };
  }
  head(...key) { return this.bucket.head(...key); }
  get(...key) { return this.bucket.get(...key); }
  list(...options) { return this.bucket.list(...options); }
  delete(...keys) { return this.bucket.delete(...keys); }
}
class WorkerQueue {
  constructor(queue) { this.queue = queue; }
  async send(...message) {
    if (!fails || !certified) return this.queue.send(...message);
    fails = false;
    throw new Error("Queue send failed: Internal Server Error");
  }
}

export default class extends WorkerEntrypoint {
  async fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/hold": return new Response((held = await request.text()));
      case "/fail": return new Response((fails = true));
    }
    return new Worker(this.ctx, this.env).fetch(request);
  }
  queue(batch) {
    const { BUCKET, PUBLICATION_BUCKET, SYNC_BUCKET, DELIVERIES } = this.env;
    const buckets = { BUCKET: new R2Bucket(BUCKET), PUBLICATION_BUCKET: new R2Bucket(PUBLICATION_BUCKET), SYNC_BUCKET: new R2Bucket(SYNC_BUCKET) };
    return new Worker(this.ctx, { ...this.env, ...buckets, DELIVERIES: new WorkerQueue(DELIVERIES) }).queue(batch);
  }
}
`;

const [JANE, JOHN, OTHER] = [7, 8, 9];
const request = (customer) => JSON.stringify({ shop_domain: SHOP, customer: { id: customer }, orders_to_redact: [customer * 100] });
const line = (id, customer, more = {}) =>
  JSON.stringify({ __typename: "Order", id: `gid://shopify/Order/${id}`, customer: { id: `gid://shopify/Customer/${customer}` }, ...more });

/** Has both customers forgotten at the same time, in an invocation each. */
async function forgetBoth({ miniflare, url }, held) {
  await fetch(`${url}/hold`, { method: "POST", body: held });
  const worker = await miniflare.getWorker("commerce");
  const invoke = (customer) => {
    const delivery = { webhook_id: `redact-${customer}`, topic: "customers/redact", shop_domain: SHOP, received_at: AT, body: "" };
    const body = `${JSON.stringify({ delivery, body_bytes: request(customer).length })}\n${request(customer)}`;
    return worker.queue("weir-commerce-deliveries", [{ id: `m-${customer}`, timestamp: new Date(), attempts: 1, body }]);
  };
  await Promise.all([JANE, JOHN].map(invoke));
}

async function bucketsOf({ miniflare }) {
  const [commerce, publication, sync] = ["BUCKET", "PUBLICATION_BUCKET", "SYNC_BUCKET"].map((name) => miniflare.getR2Bucket(name, "commerce"));
  return { commerce: await commerce, publication: await publication, sync: await sync };
}

const CERTIFIED = "certificates/2026-11-24/c-1.json";
const certificateOf = async ({ commerce }) => (await commerce.get(CERTIFIED))?.json();
const customersOf = (text) => text.trimEnd().split("\n").map((line) => JSON.parse(line).customer?.id.split("/").at(-1));

const lines = [line(1, JANE), line(2, JOHN), line(3, OTHER)];
const row = (customer) => ({ event_id: String(customer), shop_domain: SHOP, order_id: String(customer * 100) });
const rejections = lines.map((line) => ({ reason: "type_mismatch", id: null, line }));
const message = { kind: "rows", rows: [JANE, JOHN, OTHER].map(row), replays: 0 };
const kept = (customer) => ({ webhook_id: String(customer), topic: "orders/create", shop_domain: SHOP, received_at: AT, body: JSON.stringify({ id: customer, customer: { id: customer } }) });

/** What names both customers, or is written for both: its room, its key, and what it is before and after. */
const SHARED = [
  ["sync/archive", `archive/${SHOP}/${DAY}/1.jsonl`, `${lines.join("\n")}\n`, (text) => assert.deepEqual(customersOf(text), [undefined, undefined, String(OTHER)])],
  ["sync/quarantine", `quarantine/${SHOP}/${DAY}/1.json`, JSON.stringify({ shop_domain: SHOP, rejections }), (text) => assert.deepEqual(JSON.parse(text).rejections, rejections.slice(2))],
  [
    "publication/quarantine",
    `quarantine/${DAY}/${SHOP}/e.rows-1.json`,
    JSON.stringify({ reason: "retries_exhausted", detail: "", quarantined_at: AT, message_id: "1", message }),
    (text) => assert.deepEqual(JSON.parse(text).message.rows, [row(OTHER)]),
  ],
  ["commerce/quarantine", CERTIFIED],
];

for (const [room, key, before, assertAfter] of SHARED) {
  test(`two customers are forgotten at once: neither is left, and ${key === CERTIFIED ? "their certificate" : room} has both`, async (t) => {
    const started = await world(t, { answer, entry: MEETING, redactionAgainSeconds: 0 });
    const buckets = await bucketsOf(started);
    const bucket = buckets[room.split("/")[0]];
    if (before) await bucket.put(key, before);
    else for (const customer of [JANE, JOHN]) await bucket.put(`quarantine/${DAY}/${SHOP}/${customer}.json`, JSON.stringify({ reason: "missing_field", detail: "", quarantined_at: AT, delivery: kept(customer) }));
    await forgetBoth(started, key);
    await until("the certificate of both", async () => (await certificateOf(buckets))?.objects[room] === 2);
    assertAfter?.(await (await bucket.get(key)).text());
    assert.ok(started.log.some((line) => line.includes("the object has changed while it was read")));
  });
}

test("two customers are forgotten at once in a result that is written in parts", async (t) => {
  const started = await world(t, { answer, entry: MEETING, redactionAgainSeconds: 0 });
  const buckets = await bucketsOf(started);
  const result = `archive/${SHOP}/${DAY}/1.jsonl`;
  const others = Array.from({ length: 9000 }, (_, index) => line(1000 + index, OTHER, { name: "x".repeat(1000) }));
  await buckets.sync.put(result, `${[line(1, JANE), ...others, line(2, JOHN)].join("\n")}\n`);
  await forgetBoth(started, result);
  const text = await until("neither of them", async () => {
    const text = await (await buckets.sync.get(result)).text();
    const customers = customersOf(text);
    return !customers.includes(String(JANE)) && !customers.includes(String(JOHN)) && text;
  });
  assert.deepEqual(text.trimEnd().split("\n").slice(1, -1), others, "byte for byte");
  assert.ok(started.log.some((line) => line.includes("the object has changed while it was read")));
});

test("the queue fails after the certificate was kept: the message comes again, and nothing counts twice", async (t) => {
  const started = await world(t, { answer, entry: MEETING, redactionAgainSeconds: 2, redactionPassObjects: 40 });
  const buckets = await bucketsOf(started);
  await fetch(`${started.url}/fail`, { method: "POST" });
  for (let index = 0; index < 20; index += 1) {
    const id = `w-${String(index).padStart(2, "0")}`;
    const delivery = { webhook_id: id, topic: "orders/create", shop_domain: SHOP, received_at: AT, body: JSON.stringify({ id: index, customer: { id: JANE } }) };
    await buckets.commerce.put(`quarantine/${DAY}/${SHOP}/${id}.json`, JSON.stringify({ reason: "missing_field", detail: "", quarantined_at: AT, delivery }));
  }
  await started.deliver(request(JANE), { id: "redact", topic: "customers/redact" });
  const certified = () => started.log.filter((line) => line.includes("certificate certificates/")).length;
  await until("the first time, once more, and the second time", () => certified() === 3);
  assert.ok(started.log.some((line) => line.includes("again in") && line.includes("Queue send failed")));
  const { objects, runs } = await certificateOf(buckets);
  assert.equal(objects["commerce/quarantine"], 20);
  assert.deepEqual(Object.values(runs), [{ "commerce/quarantine": 20 }]);
});
