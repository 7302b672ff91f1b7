// A result of WEIR_BULK_MEGABYTES (20 unless told otherwise) goes through the Worker in pieces: its isolate stays below the
// 128 MB that Cloudflare gives it, whatever the size of the result.

import assert from "node:assert/strict";
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { lineText } from "../../fake-shopify/execute.mjs";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { openHeap } from "../../local/heap.mjs";
import { DAILY, world } from "./world.mjs";

const MEGABYTES = Number(process.env.WEIR_BULK_MEGABYTES ?? 20);
/** What Cloudflare gives an isolate, in megabytes. */
const LIMIT_MEGABYTES = 128;

const w = await world({ shops: 2, partBytes: 8_000_000, inspectorPort: 0 });

/** Orders with two lines each, `megabytes` of them, written as a bulk result. */
async function write(path, megabytes) {
  const file = createWriteStream(path);
  let lines = 0;
  for (let bytes = 0, batch = 0; bytes < megabytes * 1e6; batch += 1) {
    for (const { lineItems, shippingLines, agreements, returns, ...order } of madeUpShop({ count: 100, restart: batch * 100 }).orders) {
      for (const line of [order, ...lineItems.map((item) => ({ ...item, __parentId: order.id }))]) {
        const text = lineText(line) + "\n";
        bytes += text.length;
        lines += 1;
        if (!file.write(text)) await once(file, "drain");
      }
    }
  }
  file.end();
  await once(file, "close");
  return lines;
}

/** An event of an order of `count` lines, as large as PostgreSQL gives them. */
function eventOf(shop, number, count) {
  const id = (room, index) => String(9_000_000_000_000 + room * 1_000_000 + number * 1000 + index);
  const lines = Array.from({ length: count }, (_, index) => ({
    line_item_id: id(1, index),
    product_id: id(2, index),
    variant_id: id(3, index),
    title: "A lamp of brass with a shade of linen",
    product_title: "A lamp of brass with a shade of linen",
    vendor: "The lamp makers of the harbour",
    product_type: "Table lamps",
    is_active: true,
    is_gift_card: false,
    quantity: 2,
    current_quantity: 2,
    unit_price: 129_900,
    discount: 0,
  }));
  const sales = lines.map(({ product_id }) => ({
    product_id,
    day: "2026-11-24",
    kind: "order",
    units_sold: 2,
    units_returned: 0,
    gross_sales: 259_800,
    discounts: 0,
    returns: 0,
    net_sales: 259_800,
    presentment_gross_sales: 259_800,
    presentment_discounts: 0,
    presentment_returns: 0,
    presentment_net_sales: 259_800,
  }));
  return {
    event_id: `0b0c7b0e-0000-5000-8000-${String(number).padStart(12, "0")}`,
    event_type: "order_updated",
    schema_version: 1,
    occurred_at: "2026-11-24T10:00:00.000Z",
    received_at: "2026-11-24T10:00:01.000Z",
    event_date: "2026-11-24",
    event_hour: 10,
    source: "bulk_sync",
    shop_domain: shop,
    order_id: id(0, 0),
    lines,
    sales,
  };
}

/** Watches the memory of the sync Worker's isolate. */
async function watch() {
  const heap = await openHeap(w.stack.miniflare, "sync");
  const watched = { peak: 0, samples: 0 };
  let watching = true;
  const ended = (async () => {
    while (watching) {
      const bytes = await heap.sample();
      watched.peak = Math.max(watched.peak, (bytes ?? 0) / 1e6);
      watched.samples += bytes === undefined ? 0 : 1;
      await setTimeout(20);
    }
    heap.close();
  })();
  watched.stop = () => {
    watching = false;
    return ended;
  };
  return watched;
}

test(`${MEGABYTES} MB pass through the Worker in pieces`, { timeout: 600_000 }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "weir-bulk-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, "orders_core.jsonl");
  const empty = join(directory, "empty.jsonl");
  const lines = await write(path, MEGABYTES);
  await write(empty, 0);
  const shop = w.shop({ files: { orders_core: path, orders_ledger: empty, products: empty } });
  // Only counted: keeping the rows would fill this process.
  shop.store.ingest = (text) => {
    const read = text.split("\n").length - 1;
    return { read, upserted: read, unchanged: 0, rejected: 0, roots: 0, rejections: [] };
  };
  shop.store.events = () => ({ events: [], next: null });
  const began = Date.now();
  const watched = await watch();
  t.after(watched.stop);
  const run = await w.end(DAILY, (await shop.start(DAILY)).instance_id, 590_000);
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.equal(run.output.totals.read, lines);
  t.diagnostic(`${MEGABYTES} MB, ${lines} lines in ${((Date.now() - began) / 1000).toFixed(1)} s; isolate at most ${watched.peak.toFixed(1)} MB in ${watched.samples} samples`);
  assert.ok(watched.samples > 0 && watched.peak > 1, "the isolate was watched");
  assert.ok(watched.peak < LIMIT_MEGABYTES, `the isolate took ${watched.peak} MB`);
});

test("pages of events of orders of thirty lines pass through the Worker", { timeout: 300_000 }, async (t) => {
  const shop = w.shop();
  const ORDERS = 600;
  const EVENTS_AN_ORDER = 5;
  let largest = 0;
  // Ends a page as weir.bulk_events does: with the order that fills it.
  shop.store.events = (domain, { after, limit, bytes = Infinity }) => {
    let order = Number(after ?? 0);
    const [events, end] = [[], Math.min(ORDERS, order + limit)];
    for (let told = 0; order < end && told < bytes; order += 1) {
      for (let number = 0; number < EVENTS_AN_ORDER; number += 1) {
        events.push(eventOf(domain, order * EVENTS_AN_ORDER + number, 30));
        told += JSON.stringify(events.at(-1)).length;
      }
    }
    largest = Math.max(largest, JSON.stringify(events).length / 1e6);
    return { events, next: order < ORDERS ? String(order) : null };
  };
  const watched = await watch();
  t.after(watched.stop);
  const run = await w.end(DAILY, (await shop.start(DAILY)).instance_id, 290_000);
  assert.equal(run.status, "complete", JSON.stringify(run) + w.log.slice(-5).join("\n"));
  assert.equal(run.output.totals.streamed, ORDERS * EVENTS_AN_ORDER);
  // While it works an isolate answers nothing: what wasm has grown to is seen afterwards.
  await watched.stop();
  const kilobytes = JSON.stringify(eventOf(shop.domain, 1, 30)).length / 1000;
  t.diagnostic(`events of ${kilobytes.toFixed(1)} kB, pages of at most ${largest.toFixed(1)} MB; isolate at most ${watched.peak.toFixed(1)} MB in ${watched.samples} samples`);
  // Text, parsed events and rows for the stream are there at once.
  assert.ok(5 * largest < LIMIT_MEGABYTES, `a page of ${largest} MB`);
  assert.ok(watched.samples > 0 && watched.peak > 1, "the isolate was watched");
  assert.ok(watched.peak < LIMIT_MEGABYTES, `the isolate took ${watched.peak} MB`);
});
