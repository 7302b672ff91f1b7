// The Worker over a real PostgreSQL with the extension. Started by tests/tests/worker_over_postgres.rs, which makes the
// database and says in WEIR_TEST_POSTGRES where it is: the connection string of a role in weir_edge, with
// demo.myshopify.com registered. Without it this file fails, since then it would test nothing.

import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { test } from "node:test";
import { faultyWay, until } from "../doubles.mjs";
import { world } from "../world.mjs";

const postgres = process.env.WEIR_TEST_POSTGRES;
assert.ok(postgres, "WEIR_TEST_POSTGRES is not set; run `cargo test -p weir-tests --test worker_over_postgres`");

function order(id, name) {
  return JSON.stringify({
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
