// The Worker is killed after each step's work is done and before the runtime knows: the run goes on, and nothing is twice.
//
// A restart takes seconds, so by default it is killed once at each kind of step; WEIR_KILL_EVERY_STEP=1 kills it at each step.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { fakeShopify } from "../../fake-shopify/shopify.mjs";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { bulkLake, bulkPostgres, Store } from "./doubles.mjs";
import { DAILY, DATE, until } from "./world.mjs";

const SHOP = "demo.myshopify.com";
const RUNNER = fileURLToPath(new URL("../../local/local.mjs", import.meta.url));

/** The runner as a process: killing it kills workerd with it. */
async function start(config) {
  const process_ = spawn(process.execPath, [RUNNER, JSON.stringify(config)], { stdio: ["pipe", "pipe", "pipe"] });
  const log = [];
  createInterface({ input: process_.stderr }).on("line", (line) => log.push(line));
  const [line] = await once(createInterface({ input: process_.stdout }), "line");
  const { sync } = JSON.parse(line);
  const call = async (path, body) => {
    const response = await fetch(`${sync}/internal/${path}`, {
      method: body ? "POST" : "GET",
      headers: { authorization: "Bearer T" },
      body: body && JSON.stringify(body),
    });
    return response.json();
  };
  return {
    call,
    log,
    kill: async () => {
      process_.kill("SIGKILL");
      await once(process_, "exit");
    },
  };
}

test("killed at every step, a run resumes, finishes, and does nothing twice", { timeout: 300_000 }, async (t) => {
  const store = new Store();
  const postgres = await bulkPostgres(() => store);
  const lake = await bulkLake("L");
  const fake = await fakeShopify([{ domain: SHOP, token: "S", data: madeUpShop({ count: 12, linesOf: (index) => (index === 3 ? 120 : 2) }) }]);
  const persist = await mkdtemp(join(tmpdir(), "weir-sync-"));
  t.after(async () => {
    await Promise.all([postgres.stop(), lake.stop(), fake.stop()]);
    await rm(persist, { recursive: true, force: true });
  });
  const config = {
    postgres: postgres.url,
    lake: lake.url,
    token: "L",
    shops: [SHOP],
    internalToken: "T",
    persist,
    sync: { shopifyOrigin: fake.origin, accessTokens: { [SHOP]: "S" }, pollMillis: 50, retryDelayMillis: 20 },
  };
  let worker = await start(config);
  t.after(() => worker.kill());
  // The telemetry of a step is the last thing that it does: its answer is held there, and the Worker is killed meanwhile.
  const killedAt = new Set();
  let killing = null;
  lake.beforeReply = async (stream, events) => {
    const step = process.env.WEIR_KILL_EVERY_STEP ? events[0].step?.replace(/ \d+$/, "") : events[0].step?.split(" ")[0];
    if (stream !== "sync_v1" || killedAt.has(step) || killing) return;
    killedAt.add(step);
    killing = worker.kill();
    await killing;
  };
  const { instance_id } = await worker.call(`workflows/${DAILY}`, { shop: SHOP, date: DATE });
  const path = `workflows/${DAILY}/${instance_id}`;
  const run = await until("the run is over", async () => {
    if (killing) {
      await killing;
      worker = await start(config);
      killing = null;
      // After a restart the local runtime continues an instance only when it is paused and resumed.
      await worker.call(`${path}/resume`, {});
    }
    const state = await worker.call(path).catch(() => null);
    return state?.status === "complete" || state?.status === "errored" ? state : null;
  }, 280_000);
  assert.equal(run.status, "complete", JSON.stringify(run) + worker.log.join("\n"));
  for (const step of ["preflight", "initiate", "request", "poll", "download", "rest", "upsert", "stream", "advance"]) {
    assert.ok([...killedAt].some((one) => one.startsWith(step)), `never killed at ${step}: ${[...killedAt]}`);
  }
  assert.equal(fake.shops[SHOP].operations.all.length, 3, "each operation was found again, none was started twice");
  const ids = lake.ids();
  assert.equal(new Set(ids).size, 12 + 3);
  assert.equal(store.upserts, store.rows.size, "no row was written twice");
  const { moves, watermarks } = await worker.call(`status?shop=${SHOP}`);
  assert.deepEqual(moves.map(({ key }) => key).sort(), ["orders_last_watermark", "orders_read_since"], "each has moved once");
  assert.equal(watermarks[0].value_json.ts, run.output.window.to);
  assert.equal(run.output.totals.read, run.output.totals.lines);
});
