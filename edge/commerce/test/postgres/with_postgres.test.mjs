// The Worker over a real PostgreSQL with the extension. Started by tests/tests/worker_over_postgres.rs, which makes the
// database and says in WEIR_TEST_POSTGRES where it is: the connection string of a role in weir_edge, with
// demo.myshopify.com registered. Without it this file fails, since then it would test nothing.

import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { test } from "node:test";
import { until } from "../doubles.mjs";
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
