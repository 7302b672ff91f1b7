// A result of WEIR_BULK_MEGABYTES (20 unless told otherwise) goes through the Worker in pieces: its memory stays far below
// the 128 MB that Cloudflare gives it, whatever the size of the result.

import assert from "node:assert/strict";
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lineText } from "../../fake-shopify/execute.mjs";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { DAILY, world } from "./world.mjs";

const MEGABYTES = Number(process.env.WEIR_BULK_MEGABYTES ?? 20);
/** How far workerd may grow, with its own runtime, R2's copy and the double's streams in it. */
const LIMIT_MEGABYTES = 128;

const w = await world({ shops: 2, partBytes: 8_000_000 });

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

/** Resident memory of workerd, in megabytes: the process that this one started. */
async function residentMegabytes() {
  for (const pid of await readdir("/proc")) {
    const status = /^\d+$/.test(pid) ? await readFile(`/proc/${pid}/status`, "utf8").catch(() => "") : "";
    if (/^Name:\s+workerd$/m.test(status) && new RegExp(`^PPid:\\s+${process.pid}$`, "m").test(status)) {
      return Number(/^VmRSS:\s+(\d+)/m.exec(status)[1]) / 1024;
    }
  }
  throw new Error("workerd is not among this process's children");
}

test(`${MEGABYTES} MB pass through the Worker in pieces`, { timeout: 600_000 }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "weir-bulk-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, "orders_core.jsonl");
  const lines = await write(path, MEGABYTES);
  // Small first: what the runtime takes by itself.
  assert.equal((await w.shop().run()).status, "complete");
  const before = await residentMegabytes();
  const empty = join(directory, "empty.jsonl");
  createWriteStream(empty).end();
  const shop = w.shop({ files: { orders_core: path, orders_ledger: empty, products: empty } });
  // Only counted: keeping the rows would measure this process.
  shop.store.ingest = (text) => {
    const read = text.split("\n").length - 1;
    return { read, upserted: read, unchanged: 0, rejected: 0, roots: 0, rejections: [] };
  };
  shop.store.events = () => ({ events: [], next: null });
  const { instance_id } = await shop.start(DAILY);
  let peak = 0;
  const watching = setInterval(async () => (peak = Math.max(peak, await residentMegabytes())), 50);
  const began = Date.now();
  const run = await w.end(DAILY, instance_id, 590_000).finally(() => clearInterval(watching)).catch((error) => { throw new Error(w.log.slice(-20).join("\n") + shop.steps() + peak, { cause: error }); });
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.equal(run.output.totals.read, lines);
  t.diagnostic(`${MEGABYTES} MB, ${lines} lines in ${((Date.now() - began) / 1000).toFixed(1)} s; workerd ${before.toFixed(0)} -> at most ${peak.toFixed(0)} MB`);
  assert.ok(peak - before < LIMIT_MEGABYTES, `workerd grew from ${before} to ${peak} MB`);
});
