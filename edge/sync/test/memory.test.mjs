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

const w = await world({ shops: 1, partBytes: 8_000_000, inspectorPort: 0 });

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
