// The Worker over a real PostgreSQL with the extension. Started by tests/tests/worker_over_postgres.rs, which makes the
// database and says in WEIR_TEST_POSTGRES where it is: the connection string of a role in weir_edge, with
// demo.myshopify.com registered. Without it this file fails, since then it would test nothing.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomInt, randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { faultyWay, until } from "../doubles.mjs";
import { SHOP, world } from "../world.mjs";

const postgres = process.env.WEIR_TEST_POSTGRES;
assert.ok(postgres, "WEIR_TEST_POSTGRES is not set; run `cargo test -p weir-tests --test worker_over_postgres`");

function order(id, name, more = {}) {
  return JSON.stringify({
    ...more,
    id,
    name,
    currency: "EUR",
    created_at: "2026-11-24T10:00:00+01:00",
    processed_at: "2026-11-24T10:00:00+01:00",
    updated_at: "2026-11-24T10:00:00+01:00",
    financial_status: "pending",
    total_price: "30.00",
    line_items: [{ id: id + 1, product_id: 7, variant_id: 8, title: "O'Hara's \\ mug", quantity: 2, price: "15.00" }],
  });
}

const newId = () => randomInt(2 ** 40, 2 ** 47);

test("an order becomes an event, and one that PostgreSQL cannot hold is quarantined alone", async (t) => {
  const { deliver, lake, quarantine } = await world(t, { postgres });
  const id = newId();
  const [good, bad] = [randomUUID(), randomUUID()];
  assert.equal((await deliver(order(id, "#1"), { id: good })).status, 200);
  assert.equal((await deliver(order(id + 10, "#\u0000"), { id: bad })).status, 200);
  await until("the event", () => lake.events.length === 1);
  const [event] = lake.events;
  assert.deepEqual([event.event_type, event.order_id, event.currency], ["order_created", String(id), "EUR"]);
  assert.equal(event.lines[0].title, "O'Hara's \\ mug");
  assert.equal(event.lines[0].unit_price, 1500);
  const [kept] = await until("the quarantine", async () => (await quarantine()).length && quarantine());
  assert.deepEqual([kept.webhook_id, kept.reason], [bad, "invalid_text"]);

  // The same delivery again gives the same event: it may never have been sent.
  assert.equal((await deliver(order(id, "#1"), { id: good })).status, 200);
  await until("the event again", () => lake.events.length === 2);
  assert.equal(lake.events[1].event_id, event.event_id);
});

test("answers are lost after the commit, then nothing answers, then the stream fails: each order is one event in the end", async (t) => {
  const way = await faultyWay(postgres);
  t.after(way.stop);
  const { deliver, lake, quarantine } = await world(t, { postgres: way.url });
  const ids = Array.from({ length: 20 }, (_, index) => 2 ** 48 + randomInt(2 ** 30) * 100 + index);
  const webhooks = ids.map(() => randomUUID());
  const deliverAll = () => Promise.all(ids.map((id, index) => deliver(order(id, `#${index}`), { id: webhooks[index] })));

  way.mode = "lose";
  assert.ok((await deliverAll()).every(({ status }) => status === 200));
  await until("an answer lost after the commit", () => way.lost >= 1);
  way.mode = "refuse";
  await until("a refused connection", () => way.refused >= 1);
  assert.equal(lake.attempts, 0);

  lake.failAfterWrite = true;
  way.mode = "pass";
  await until("events taken and not confirmed", () => new Set(lake.ids()).size === ids.length, 60_000);
  lake.failAfterWrite = false;
  const unconfirmed = lake.events.length;
  await until("the confirmed events", () => new Set(lake.ids().slice(unconfirmed)).size === ids.length, 60_000);

  // Shopify's own retry of them all.
  const confirmed = lake.events.length;
  assert.ok((await deliverAll()).every(({ status }) => status === 200));
  await until("the events of the redelivery", () => new Set(lake.ids().slice(confirmed)).size === ids.length, 60_000);

  const once = new Map();
  for (const [index, event] of lake.events.entries()) {
    const first = once.get(event.event_id) ?? event;
    // The queue delivers the same message again; Shopify's retry is received at another time, and is the same otherwise.
    const { received_at } = index < confirmed ? event : first;
    assert.deepEqual({ ...event, received_at }, first);
    once.set(event.event_id, first);
  }
  const orders = [...once.values()].map(({ order_id, event_type }) => [order_id, event_type]);
  assert.deepEqual(orders.sort(), ids.map((id) => [String(id), "order_created"]).sort());
  assert.deepEqual(await quarantine(), []);
});

const certificates = (bucket, count) =>
  until(`certificate ${count}`, async () => {
    const { objects } = await bucket.list({ prefix: "certificates/" });
    const read = async ({ key }) => ({ key, ...(await (await bucket.get(key)).json()) });
    return objects.length === count && Promise.all(objects.map(read));
  });

const received_at = "2026-11-20T10:00:00.000Z";
const keptKey = (id) => `quarantine/2026-11-20/${SHOP}/${id}.json`;
const kept = (webhook_id, body) => {
  const delivery = { webhook_id, topic: "orders/create", shop_domain: SHOP, received_at, body };
  return JSON.stringify({ reason: "retries_exhausted", detail: "", quarantined_at: received_at, delivery });
};

test("a customer is forgotten in PostgreSQL and in R2, an order of theirs that never arrived counts without them", async (t) => {
  const { deliver, lake, miniflare, quarantine } = await world(t, { postgres });
  const bucket = await miniflare.getR2Bucket("BUCKET", "commerce");
  const [id, customer] = [newId(), newId()];
  const buyer = { customer: { id: customer, email: "jane.doe@example.com" }, email: "jane.doe@example.com" };
  assert.equal((await deliver(order(id, "#1", buyer), { id: randomUUID() })).status, 200);
  await until("the event", () => lake.events.length === 1);
  assert.ok(lake.events[0].customer_key);
  const lost = randomUUID();
  await bucket.put(keptKey(lost), kept(lost, order(id + 10, "#2", buyer)));

  const request = JSON.stringify({ shop_domain: SHOP, customer: { id: customer, email: "jane.doe@example.com" }, orders_to_redact: [id] });
  const redact = { id: randomUUID(), topic: "customers/redact" };
  assert.equal((await deliver(request, redact)).status, 200);
  const [first] = await certificates(bucket, 1);
  assert.deepEqual([first.subject, first.removed["privacy.salt"], first.objects["commerce/quarantine"]], ["customer", 1, 1]);
  assert.ok(!JSON.stringify(first).includes("jane") && !JSON.stringify(first).includes(String(customer)));
  const event = lake.events.find(({ order_id }) => order_id === String(id + 10));
  assert.deepEqual([event.event_type, event.customer_key ?? null], ["order_created", null]);
  assert.deepEqual(await quarantine(), []);

  // The request again, and a late retry that names the customer: forgotten they stay, under the same certificate.
  assert.equal((await deliver(request, redact)).status, 200);
  assert.equal((await deliver(order(id + 20, "#3", buyer), { id: randomUUID() })).status, 200);
  const late = await until("the late order", () => lake.events.find(({ order_id }) => order_id === String(id + 20)));
  assert.equal(late.customer_key ?? null, null);
  assert.deepEqual(await certificates(bucket, 1), [first]);
});

test("customers/redact with a contact alone, which PostgreSQL cannot act upon, leaves no address behind", async (t) => {
  const { deliver, quarantine } = await world(t, { postgres });
  const request = JSON.stringify({ shop_domain: SHOP, customer: { email: "jane.doe@example.com" }, orders_to_redact: [] });
  assert.equal((await deliver(request, { id: "by-contact", topic: "customers/redact" })).status, 200);
  const [record] = await until("the record", async () => (await quarantine()).length && quarantine());
  assert.equal(record.webhook_id, "by-contact");
  assert.ok(!JSON.stringify(record).includes("jane"), JSON.stringify(record));
});

test("requests that an older deployment could not read: one is replayed and done, and what it finds of the other is too", async (t) => {
  const { deliver, internal, lake, miniflare } = await world(t, { postgres });
  const bucket = await miniflare.getR2Bucket("BUCKET", "commerce");
  const [id, customer] = [newId(), newId()];
  const contact = { id: customer, email: "jane.doe@example.com" };
  assert.equal((await deliver(order(id, "#1", { customer: contact }), { id: randomUUID() })).status, 200);
  await until("the event", () => lake.events.length === 1);

  const unread = async (webhook_id, topic, body) => {
    const text = JSON.stringify({ shop_domain: SHOP, ...body });
    const delivery = { webhook_id, topic, shop_domain: SHOP, received_at, body: "" };
    const message = `${JSON.stringify({ delivery, body_bytes: text.length })}\n${text}`;
    const record = JSON.parse(kept(`message-${webhook_id}`, message));
    Object.assign(record.delivery, { topic: "unknown", shop_domain: "unknown" });
    const key = `quarantine/2026-11-20/unknown/message-${webhook_id}.json`;
    await bucket.put(key, JSON.stringify({ ...record, reason: "unreadable_message" }));
    return key;
  };
  await unread("asks", "customers/data_request", { customer: contact, data_request: { id: newId() }, orders_requested: [id] });
  const key = await unread("redacts", "customers/redact", { customer: contact, orders_to_redact: [id] });
  assert.equal((await internal(`${key}/replay`, { method: "POST" })).status, 200);
  const [certificate] = await certificates(bucket, 1);
  assert.deepEqual([certificate.subject, certificate.removed["privacy.salt"]], ["customer", 1]);
  const { objects } = await bucket.list();
  assert.deepEqual(objects.map((object) => object.key), [certificate.key], "neither request is kept, nor their contact");
});

test("what is understood and asks for nothing is kept nowhere", async (t) => {
  const { deliver, lake, quarantine } = await world(t, { postgres, maxBatchTimeoutSeconds: 1 });
  const owner = { id: 1, email: "owner@example.com", iana_timezone: "Asia/Tokyo" };
  for (const topic of ["shop/update", "app/uninstalled", "bulk_operations/finish"]) {
    assert.equal((await deliver(JSON.stringify(owner), { id: randomUUID(), topic })).status, 200);
  }
  const moved = randomUUID();
  const elsewhere = JSON.stringify({ ...owner, iana_timezone: "Europe/Paris" });
  assert.equal((await deliver(elsewhere, { id: moved, topic: "shop/update" })).status, 200);
  assert.equal((await deliver(order(newId(), "#1"), { id: randomUUID() })).status, 200);
  await until("the event", () => lake.events.length === 1);
  // Settled in the sequence of the queue: what is kept of the others would be there before.
  const kept = await until("what asks for something", async () => (await quarantine()).length && quarantine());
  assert.deepEqual(kept.map(({ webhook_id, reason }) => [webhook_id, reason]), [[moved, "time_zone_changed"]]);
});

/** A request of now: one of before the shop was registered would be passed over. */
const redact = () => ({ id: randomUUID(), topic: "shop/redact", headers: { "X-Shopify-Triggered-At": new Date().toISOString() } });

// The last but one: afterwards PostgreSQL takes nothing of this shop any more, until it registers anew.
test("a shop is forgotten in PostgreSQL and in R2, and what arrives late is dropped", async (t) => {
  const { deliver, lake, miniflare, quarantine } = await world(t, { postgres });
  const bucket = await miniflare.getR2Bucket("BUCKET", "commerce");
  const id = newId();
  assert.equal((await deliver(order(id, "#1"), { id: randomUUID() })).status, 200);
  await until("the event", () => lake.events.length === 1);
  await bucket.put(keptKey("old"), kept("old", "{}"));
  assert.equal((await deliver(JSON.stringify({ shop_domain: SHOP }), redact())).status, 200);
  const [certificate] = await certificates(bucket, 1);
  assert.equal(certificate.subject, "shop");
  assert.ok(certificate.removed["commerce.order_header"] >= 1);
  assert.equal(certificate.objects["commerce/quarantine"], 1);
  const large = order(id + 10, "#2", { note: "x".repeat(200_000) });
  assert.equal((await deliver(large, { id: randomUUID() })).status, 200);
  // Processed after the order: one consumer, and its certificate is the next one.
  assert.equal((await deliver(JSON.stringify({ shop_domain: SHOP }), redact())).status, 200);
  await until("the late body is gone too", async () => (await bucket.list({ prefix: "bodies/" })).objects.length === 0);
  assert.deepEqual([lake.events.length, await quarantine()], [1, []]);
});

/** What an administrator asks PostgreSQL, whose tools lie beside pg_config. */
const ask = (sql) => {
  const psql = join(dirname(process.env.WEIR_PG_CONFIG ?? ""), "psql");
  return execFileSync(psql, [process.env.WEIR_TEST_POSTGRES_ADMIN, "-AtXqc", sql], { encoding: "utf8" }).trim();
};
const register = () => {
  const shop = { shop_id: 1, shop_domain: SHOP, iana_time_zone: "Asia/Tokyo", currency: "EUR" };
  ask(`select weir.register_shop('${JSON.stringify(shop)}')`);
};

test("a shop that registers anew keeps what it has since, when R2 is swept again and when its redaction is delivered again", async (t) => {
  register();
  const { deliver, lake, log, miniflare } = await world(t, { postgres, redactionAgainSeconds: 8 });
  const bucket = await miniflare.getR2Bucket("BUCKET", "commerce");
  assert.equal((await deliver(order(newId(), "#1"), { id: randomUUID() })).status, 200);
  await until("the event", () => lake.events.length === 1);
  const request = redact();
  const certified = () => log.filter((line) => line.includes("certificate certificates/")).length;
  assert.equal((await deliver(JSON.stringify({ shop_domain: SHOP }), request)).status, 200);
  await until("the first time", () => certified() === 1);
  assert.equal(ask("select count(*) from commerce.order_header"), "0");

  register();
  const id = newId();
  assert.equal((await deliver(order(id, "#2"), { id: randomUUID() })).status, 200);
  await until("its event", () => lake.events.some(({ order_id }) => order_id === String(id)));
  // One that failed since, and one of before that comes late to the quarantine.
  const now = new Date().toISOString();
  const since = `quarantine/${now.slice(0, 10)}/${SHOP}/since.json`;
  await bucket.put(since, kept("since", "{}").replaceAll(received_at, now));
  await bucket.put(keptKey("late"), kept("late", "{}"));
  await until("the second time", () => certified() === 2, 60_000);
  assert.equal(await bucket.head(keptKey("late")), null);
  // Shopify's own retry: it may come hours later.
  assert.equal((await deliver(JSON.stringify({ shop_domain: SHOP }), request)).status, 200);
  await until("the retry", () => certified() === 3);
  assert.ok(await bucket.head(since));
  assert.equal(ask(`select count(*) from commerce.order_header where order_id = ${id}`), "1");
  const next = newId();
  assert.equal((await deliver(order(next, "#3"), { id: randomUUID() })).status, 200);
  await until("the next event", () => lake.events.some(({ order_id }) => order_id === String(next)));
});
