// Both Workers over one real PostgreSQL with the extension: what a publisher states reaches the order. Started by
// tests/tests/worker_over_postgres.rs, which makes the database with shop and catalogue and says in WEIR_TEST_POSTGRES where
// it is. Without it this file fails, since then it would test nothing.

import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { test } from "node:test";
import { faultyWay, until } from "../../../commerce/test/doubles.mjs";
import { world as commerceWorld } from "../../../commerce/test/world.mjs";
import { event, INTERNAL_TOKEN, SHOP, world } from "../world.mjs";

const postgres = process.env.WEIR_TEST_POSTGRES;
assert.ok(postgres, "WEIR_TEST_POSTGRES is not set; run `cargo test -p weir-tests --test worker_over_postgres`");

const newId = () => randomInt(2 ** 40, 2 ** 47);
const trusted = { token: INTERNAL_TOKEN };

function order(id) {
  const at = "2026-11-24T10:00:00+01:00";
  return JSON.stringify({
    id,
    name: `#${id}`,
    currency: "EUR",
    created_at: at,
    processed_at: at,
    updated_at: at,
    financial_status: "pending",
    total_price: "15.00",
    line_items: [{ id: id + 1, product_id: 7, variant_id: 8, title: "Lamp", quantity: 1, price: "15.00" }],
  });
}

const attribution = (id, more = {}) => event("attribution", randomUUID(), { item_id: undefined, order_id: String(id), ...more });
const credit = ({ publisher_id, program_id }) => [publisher_id, program_id];

test("the catalogue comes from PostgreSQL, and an attribution reaches the order that is there", async (t) => {
  const commerce = await commerceWorld(t, { postgres });
  const publication = await world(t, { postgres });
  const refreshed = await publication.internal("catalogue", { body: { shop_domain: SHOP } });
  assert.deepEqual([refreshed.status, refreshed.body.items, refreshed.body.links], [200, 1, 1]);

  const id = newId();
  assert.equal((await commerce.deliver(order(id), { id: randomUUID() })).status, 200);
  const [created] = await until("the order", () => commerce.lake.events.length === 1 && commerce.lake.events);
  assert.ok(credit(created).every((id) => id == null), "nobody's yet");

  // The item's publisher is the catalogue's word.
  const answer = await publication.send([attribution(id, { item_id: "ten-lamps", program_id: "autumn" })], trusted);
  assert.equal(answer.status, 202);
  const [updated] = await until("the attributed order", () => publication.lake.events.length && publication.lake.events);
  assert.deepEqual([updated.event_type, updated.order_id, ...credit(updated)], ["order_updated", String(id), "daily-lamp", "autumn"]);
  assert.ok(updated.order_revision > created.order_revision);
  assert.deepEqual(updated.sales, created.sales, "the ledger is whole, so that the newest revision is enough");
  assert.deepEqual(await publication.quarantine(), []);
});

test("an attribution may come before its order", async (t) => {
  const commerce = await commerceWorld(t, { postgres });
  const publication = await world(t, { postgres });
  const id = newId();
  const conversion = event("conversion", randomUUID(), { item_id: undefined, order_id: String(id) });
  assert.equal((await publication.send([attribution(id, { publisher_id: "daily-lamp" }), conversion], trusted)).status, 202);
  await until("both in the stream", () => publication.lake.published.length === 2);
  // The attribution is recorded some time after it was acknowledged; each order comes with what is known by then.
  let deliveries = 0;
  await until("the order with its publisher", async () => {
    deliveries += 1;
    await commerce.deliver(order(id), { id: `${id}-${deliveries}` });
    const all = [...commerce.lake.events, ...publication.lake.events];
    return all.some(({ order_id, publisher_id }) => order_id === String(id) && publisher_id === "daily-lamp");
  });
  assert.deepEqual(await publication.quarantine(), []);
});

test("of attributions told days later the later one wins, in either sequence", async (t) => {
  const commerce = await commerceWorld(t, { postgres });
  const publication = await world(t, { postgres });
  const before = (hours) => new Date(Date.now() - hours * 3_600_000).toISOString();
  // Eight orders: by chance alone, which ids of events are, one of them would go to the other.
  const ids = Array.from({ length: 8 }, newId);
  const both = (id, index) => {
    const told = [attribution(id, { publisher_id: "p-1", occurred_at: before(73) }), attribution(id, { publisher_id: "p-2", occurred_at: before(72) })];
    return index % 2 ? told.reverse() : told;
  };
  assert.equal((await publication.send(ids.flatMap(both), trusted)).status, 202);
  for (const [index, id] of ids.entries()) {
    let deliveries = 0;
    const found = await until("the order with its publisher", async () => {
      deliveries += 1;
      await commerce.deliver(order(id), { id: `${id}-${deliveries}` });
      const all = [...commerce.lake.events, ...publication.lake.events];
      return all.find(({ order_id, publisher_id }) => order_id === String(id) && publisher_id);
    });
    assert.equal(found.publisher_id, "p-2", `order ${index}`);
  }
  assert.deepEqual(await publication.quarantine(), []);
});

test("the answer is lost after the commit, then the stream fails: the order's event comes all the same, once", async (t) => {
  const way = await faultyWay(postgres);
  t.after(way.stop);
  const commerce = await commerceWorld(t, { postgres });
  const publication = await world(t, { postgres: way.url });
  const id = newId();
  assert.equal((await commerce.deliver(order(id), { id: randomUUID() })).status, 200);
  await until("the order", () => commerce.lake.events.length === 1);

  way.mode = "lose";
  assert.equal((await publication.send([attribution(id, { publisher_id: "daily-lamp" })], trusted)).status, 202);
  await until("an answer lost after the commit", () => way.lost >= 1);
  publication.lake.failAfterWrite = true;
  way.mode = "pass";
  await until("the event, unconfirmed", () => publication.lake.events.length >= 1, 60_000);
  const unconfirmed = publication.lake.events.length;
  publication.lake.failAfterWrite = false;
  await until("the event, confirmed", () => publication.lake.events.length > unconfirmed, 60_000);
  assert.equal(new Set(publication.lake.ids()).size, 1);
  assert.deepEqual(credit(publication.lake.events[0])[0], "daily-lamp");
  assert.deepEqual(await publication.quarantine(), []);
});

test("an order of a shop that PostgreSQL does not know is kept, with the reason", async (t) => {
  const publication = await world(t, { postgres, shops: [SHOP, "stranger.myshopify.com"] });
  const stranger = { ...event("conversion", randomUUID(), { order_id: "7", item_id: undefined }), shop_domain: "stranger.myshopify.com" };
  assert.equal((await publication.send([stranger])).status, 202);
  const [kept] = await until("the quarantine", async () => (await publication.quarantine()).length && publication.quarantine());
  assert.equal(kept.record.reason, "unknown_shop");
});
