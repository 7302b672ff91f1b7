// What the Worker answers to a delivery.

import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptAll, until } from "./doubles.mjs";
import { SECRETS, SHOP, sign, world } from "./world.mjs";

const BODY = '{"id": 820982911946154508, "note": "O\'Hara \\u0000 \\\\ é"}';

test("refusals have their status and reason, and reach nobody", async (t) => {
  const { deliver, postgres, quarantine, url } = await world(t, { maxBodyBytes: 1000 });
  const cases = [
    ["forged signature", BODY, { signature: sign(BODY, "forged") }, 401, "bad_signature"],
    ["signature of other bytes", BODY, { signature: sign(JSON.stringify(JSON.parse(BODY))) }, 401, "bad_signature"],
    ["no signature", BODY, { without: "X-Shopify-Hmac-Sha256" }, 401, "missing_signature"],
    ["unknown shop", BODY, { shop: "other.myshopify.com" }, 404, "unknown_shop"],
    ["wrong topic", BODY, { topic: "carts/update" }, 415, "unsupported_topic"],
    ["no webhook id", BODY, { without: "X-Shopify-Webhook-Id" }, 400, "missing_header"],
    ["oversized", JSON.stringify("x".repeat(1000)), {}, 413, "too_large"],
  ];
  for (const [name, body, options, status, reason] of cases) {
    const answer = await deliver(body, options);
    assert.deepEqual([answer.status, answer.body.reason], [status, reason], name);
  }
  assert.equal((await fetch(`${url}/webhooks/shopify`)).status, 405);
  assert.equal((await fetch(`${url}/internal`)).status, 404);
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  assert.deepEqual(postgres.calls, []);
  assert.deepEqual(await quarantine(), []);
});

test("an oversized body without Content-Length is refused too", async (t) => {
  const { url } = await world(t, { maxBodyBytes: 1000 });
  const chunks = ReadableStream.from([new Uint8Array(600), new Uint8Array(600)]);
  const response = await fetch(`${url}/webhooks/shopify`, { method: "POST", body: chunks, duplex: "half" });
  assert.equal(response.status, 413);
});

test("a signed body is taken whatever it is: PostgreSQL tells what is not JSON, and what is no text at all is kept", async (t) => {
  const { deliver, internal, quarantine, postgres } = await world(t);
  const broken = '{"id": 1,\n broken}';
  assert.equal((await deliver(broken)).status, 200);
  await until("the call", () => postgres.calls.flat().some(({ body }) => body === broken));
  const [small, large] = [Buffer.from([0x22, 0xff, 0x22]), Buffer.alloc(200_000, 0xff)];
  assert.equal((await deliver(small, { id: "w-2" })).status, 200);
  assert.equal((await deliver(large, { id: "w-3" })).status, 200);

  const kept = await until("both", async () => {
    const records = await quarantine();
    return records.length === 2 && records.sort((one, other) => one.webhook_id.localeCompare(other.webhook_id));
  });
  assert.deepEqual(kept.map(({ webhook_id, reason }) => [webhook_id, reason]), [["w-2", "parse_failure"], ["w-3", "parse_failure"]]);
  assert.deepEqual(kept.map(({ record }) => record.detail), ["not UTF-8 at byte 1", "not UTF-8 at byte 0"]);
  assert.match(kept[0].key, /^quarantine\/\d{4}-\d\d-\d\d\/demo\.myshopify\.com\/orders_create\/w-2\.json$/);
  assert.equal(kept[0].record.body_base64, small.toString("base64"));
  assert.match(kept[1].record.body_key, /^bodies\/.*\/w-3\.json$/);
  for (const { key } of kept) assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 422);
  assert.equal(postgres.calls.flat().length, 1);
});

test("of deliveries at the same time each reaches PostgreSQL with its own body", async (t) => {
  const { deliver, lake, postgres } = await world(t);
  const bodies = Array.from({ length: 60 }, (_, at) => JSON.stringify({ id: at, note: String(at).repeat(1 + 331 * at) }));
  const answers = await Promise.all(bodies.map((body, at) => deliver(body, { id: `w-${at}` })));
  assert.ok(answers.every(({ status }) => status === 200));
  await until("all events", () => lake.events.length === bodies.length);
  const told = new Map(postgres.calls.flat().map(({ webhook_id, body }) => [webhook_id, body]));
  bodies.forEach((body, at) => assert.equal(told.get(`w-${at}`), body));
});

test("of a shop that is not taken any more its requests about privacy are kept, and can be replayed", async (t) => {
  const certificate = { certificate_id: "c-1", redacted_at: "2026-11-24T10:00:02.000Z", removed: {} };
  const answer = (argument, _number, name) => (name === "ingest" ? acceptAll(argument) : certificate);
  const { deliver, internal, quarantine, postgres } = await world(t, { answer });
  const shop = "gone.myshopify.com";
  const redact = JSON.stringify({ shop_id: 7, shop_domain: shop });
  const customer = JSON.stringify({ shop_id: 7, shop_domain: shop, customer: { id: 8, email: "jane@example.com" }, orders_to_redact: [9] });
  for (const [id, topic, body] of [["shop", "shop/redact", redact], ["customer", "customers/redact", customer]]) {
    const answer = await deliver(body, { id, topic, shop });
    assert.deepEqual([answer.status, answer.body.reason], [404, "unknown_shop"]);
  }
  const kept = Object.fromEntries((await quarantine()).map((record) => [record.webhook_id, record]));
  assert.deepEqual(JSON.parse(kept.shop.record.delivery.body), JSON.parse(redact));
  assert.ok(!JSON.stringify(kept).includes("jane"));
  assert.deepEqual(JSON.parse(kept.customer.record.delivery.body), { customer: { id: 8 }, orders_to_redact: [9], shop_domain: shop, shop_id: 7 });
  // The shop last: its requests go with it.
  for (const id of ["customer", "shop"]) {
    assert.equal((await internal(`${kept[id].key}/replay`, { method: "POST" })).status, 200);
    await until("the replay", () => postgres.calls.flat().some(({ webhook_id }) => webhook_id === id));
  }
});

test("no signed body of something else has a shop or a customer forgotten, whatever its headers say, also where it was kept before", async (t) => {
  const { deliver, internal, quarantine, postgres, miniflare } = await world(t);
  const order = { id: 1, email: "jane@example.com", customer: { id: 2 } };
  const topics = ["shop/redact", "customers/redact"];
  for (const topic of topics) {
    for (const id of [topic, topic + "w".repeat(4000)]) {
      const answer = await deliver(JSON.stringify(order), { id, topic });
      assert.deepEqual([answer.status, answer.body.reason], [422, "other_shop"]);
    }
  }
  const kept = await quarantine();
  assert.deepEqual(kept.map(({ reason }) => reason), Array(4).fill("other_shop"));
  assert.ok(!JSON.stringify(kept).includes("jane"), "another shop's body would lie where its redactions do not look");
  // What an earlier deployment has kept for another reason, or sent to the queue; a large body is read when it comes.
  const bucket = await miniflare.getR2Bucket("BUCKET", "commerce");
  const at = "2026-11-20T10:00:00.000Z";
  const large = `bodies/2026-11-20/${SHOP}/shop_redact/large.json`;
  for (const [id, reason, body_key] of [["small", "header_too_long"], ["large", "retries_exhausted", large]]) {
    const delivery = { webhook_id: id, topic: "shop/redact", shop_domain: SHOP, received_at: at, body: body_key ? "" : JSON.stringify(order) };
    await bucket.put(`quarantine/2026-11-20/${SHOP}/shop_redact/${id}.json`, JSON.stringify({ reason, detail: "", quarantined_at: at, delivery, body_key }));
  }
  await bucket.put(large, JSON.stringify({ ...order, note: "x".repeat(200_000) }));
  for (const { key, record } of await quarantine()) {
    const { status } = await internal(`${key}/replay`, { method: "POST" });
    assert.equal(status, record.delivery.webhook_id === "large" ? 200 : 422, key);
  }
  const again = await until("the large one kept again", async () =>
    (await quarantine()).find(({ webhook_id, reason }) => webhook_id === "large" && reason === "other_shop"));
  assert.ok(!JSON.stringify(again).includes("jane"));
  assert.deepEqual((await bucket.list({ prefix: "bodies/" })).objects, []);
  assert.deepEqual(postgres.calls, []);
});

test("a header too long for a key or a message is refused and named; the body is kept, and can be replayed", async (t) => {
  const { deliver, internal, quarantine, postgres, lake } = await world(t);
  const long = "w".repeat(4000);
  const large = JSON.stringify({ id: 1, note: "x".repeat(200_000) });
  const cases = [
    ["X-Shopify-Webhook-Id", BODY, { id: long }],
    ["X-Shopify-Webhook-Id", BODY, { id: `${long}-2` }],
    ["X-Shopify-API-Version", BODY, { id: "b", headers: { "X-Shopify-API-Version": long } }],
    // Beside a large body it would travel as metadata of an object, which has room for 8 KiB.
    ["X-Shopify-Triggered-At", large, { id: "c", headers: { "X-Shopify-Triggered-At": long.repeat(3) } }],
  ];
  for (const [name, body, options] of cases) {
    const answer = await deliver(body, options);
    assert.deepEqual([answer.status, answer.body.reason], [400, "header_too_long"], name);
    assert.match(answer.body.detail, new RegExp(`^${name} is longer than \\d+ bytes$`));
  }
  assert.deepEqual(postgres.calls, []);
  const kept = await quarantine();
  assert.equal(kept.length, cases.length, "two long ids that begin alike do not overwrite each other");
  for (const { key, reason, record } of kept) {
    assert.equal(reason, "header_too_long");
    assert.ok([BODY, large].includes(record.delivery.body));
    assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 200);
  }
  await until("the replays", () => lake.events.length === cases.length);
  assert.deepEqual(await quarantine(), []);
});

test("an accepted body reaches PostgreSQL byte for byte, by either secret and either form of the headers", async (t) => {
  const { deliver, postgres, lake } = await world(t);
  assert.equal((await deliver(BODY, { id: "a" })).status, 200);
  assert.equal((await deliver(BODY, { id: "b", signature: sign(BODY, SECRETS.old) })).status, 200);
  assert.equal((await deliver(BODY, { id: "c", prefix: "" })).status, 200);
  await until("three events in the stream", () => lake.events.length === 3);
  const deliveries = postgres.calls.flat();
  assert.deepEqual(deliveries.map(({ webhook_id }) => webhook_id).sort(), ["a", "b", "c"]);
  for (const delivery of deliveries) {
    assert.equal(delivery.body, BODY);
    assert.equal(delivery.topic, "orders/create");
    assert.equal(delivery.shop_domain, "demo.myshopify.com");
    assert.equal(delivery.api_version, "2026-10");
    assert.match(delivery.received_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  }
});

test("a body beyond a queue message's size travels through R2 unchanged", async (t) => {
  const { deliver, postgres, lake } = await world(t);
  const body = JSON.stringify({ id: 1, note: "ü'\\".repeat(100_000) });
  assert.equal((await deliver(body)).status, 200);
  await until("the event in the stream", () => lake.events.length === 1);
  assert.equal(postgres.calls[0][0].body, body);
});

test("two topics under one webhook id are two deliveries, in R2 as well", async (t) => {
  let down = true;
  const { deliver, internal, lake, postgres, quarantine } = await world(t, {
    answer: (deliveries) => (down ? null : acceptAll(deliveries)),
    maxRetries: 0,
  });
  const bodies = { "orders/create": "created", "orders/updated": "updated" };
  const body = (note) => JSON.stringify({ id: 1, note: note.repeat(30_000) });
  for (const [topic, note] of Object.entries(bodies)) assert.equal((await deliver(body(note), { id: "one", topic })).status, 200);
  const kept = await until("both in the quarantine", async () => (await quarantine()).length === 2 && quarantine());
  down = false;
  for (const { key } of kept) assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 200);
  await until("both replayed", () => lake.events.length >= 1 && postgres.calls.flat().filter(({ source }) => source === "replay").length === 2);
  for (const delivery of postgres.calls.flat()) assert.equal(delivery.body, body(bodies[delivery.topic]), delivery.topic);
});
