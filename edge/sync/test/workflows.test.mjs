// The other workflows, the routes, and who may use them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { SCOPES } from "../../fake-shopify/shopify.mjs";
import { PLATFORM } from "./doubles.mjs";
import { DAILY, step, until, world } from "./world.mjs";

const w = await world();
const DAY = 86_400_000;

test("a backfill reads month by month up to the floor, with a watermark of its own, and goes on where it was", async () => {
  const now = Date.now();
  const shop = w.shop({ data: madeUpShop({ count: 24, days: 400, now: now - 130 * DAY }) });
  const from = new Date(now - 540 * DAY).toISOString();
  const first = await shop.run("full_backfill", { from });
  assert.equal(first.status, "complete", JSON.stringify(first));
  assert.deepEqual([first.output.slices, first.output.complete], [12, false]);
  const head = (await shop.status()).instances.find(({ workflow }) => workflow === "full_backfill").instance_id.replace(/-part\d+$/, "");
  const second = await w.end("full_backfill", `${head}-part2`);
  assert.equal(second.output?.complete, true, JSON.stringify(second));
  const floor = now - 128 * DAY;
  assert.ok(Math.abs(Date.parse(await shop.watermark(`orders_backfill_watermark/${head}`)) - floor) < 60_000);
  assert.equal(await shop.watermark(), null, "the daily watermark is another");
  assert.equal(shop.ids().size, 24 + 6);
  assert.ok(shop.events().every(({ source }) => source === "backfill"));
  const { moves } = await shop.status();
  assert.equal(moves.length, first.output.slices + second.output.slices, "progress is visible month by month");
});

test("a backfill tells history anew, older than before and up to now, each run under a watermark of its own", async () => {
  const now = Date.now();
  const shop = w.shop({ data: madeUpShop({ count: 8, days: 20, now }) });
  const days = (count) => new Date(now - count * DAY).toISOString();
  const operations = () => shop.shopify.operations.all.length;
  const read = async (body) => {
    const before = operations();
    const { instance_id, status } = await shop.start("full_backfill", body);
    assert.equal(status, "started");
    const run = await w.end("full_backfill", instance_id);
    assert.equal(run.status, "complete", JSON.stringify(run));
    return { instance_id, run, asked: operations() - before };
  };
  const recent = { from: days(60), until: "now" };
  const first = await read(recent);
  assert.ok(first.run.output.slices > 0 && first.asked === 3 * first.run.output.slices + 2);
  assert.equal(shop.ids().size, 8 + 2, "the newest days too");
  assert.equal(await shop.watermark(), null, "the daily watermark is another");
  const told = shop.events().length;
  assert.deepEqual((await shop.start("full_backfill", recent)).status, "complete", "not by chance");
  const again = await read({ ...recent, again: true });
  assert.equal(again.instance_id, `${first.instance_id}-2`);
  assert.equal(again.asked, first.asked, "nothing of the first run's operations is taken for its own");
  assert.deepEqual([shop.events().length, shop.ids().size], [2 * told, 10], "told again under the same ids");
  const older = await read({ from: days(200), until: "now" });
  assert.ok(older.run.output.slices > first.run.output.slices);
  assert.equal((await shop.status()).watermarks.filter(({ key }) => key.startsWith("orders_backfill_watermark/")).length, 3);
});

test("events that the stream would drop are kept of each month of a backfill", async () => {
  const now = Date.now();
  const shop = w.shop({ data: madeUpShop({ count: 24, days: 100, now: now - 130 * DAY }) });
  const events = shop.store.events.bind(shop.store);
  let broken = 0;
  shop.store.events = (...given) => {
    const page = events(...given);
    if (page.events.length > 0) page.events.push({ ...page.events[0], event_type: (broken += 1) });
    return page;
  };
  const run = await shop.run("full_backfill", { from: new Date(now - 240 * DAY).toISOString() });
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.ok(broken > 2, `${broken} months`);
  const { records } = (await w.call(`quarantine?shop=${shop.domain}`)).body;
  assert.equal(records.length, broken);
});

test("a shop that was forgotten and comes back gets its whole history again, by the commands of a first run", async () => {
  const now = Date.now();
  const shop = w.shop({ data: madeUpShop({ count: 40, days: 400, now }) });
  const from = new Date(now - 540 * DAY).toISOString();
  const reads = async () => {
    const daily = await shop.start(DAILY);
    assert.equal((await w.end(DAILY, daily.instance_id)).status, "complete");
    const backfill = await shop.start("full_backfill", { from });
    assert.equal((await w.end("full_backfill", backfill.instance_id)).status, "complete");
    const part = await w.end("full_backfill", `${backfill.instance_id}-part2`);
    assert.equal(part.output?.complete, true, JSON.stringify(part));
    return { started: [daily.status, backfill.status], orders: shop.store.rows.size, ids: backfill.instance_id };
  };
  const first = await reads();
  for (const workflow of [DAILY, "full_backfill"]) assert.equal((await shop.start(workflow, { from })).status, "complete");
  const since = await shop.watermark("orders_read_since");
  shop.store.rows.clear();
  shop.store.readBy.clear();
  shop.store.registered = new Date().toISOString();
  const second = await reads();
  assert.deepEqual(second, { ...first, ids: `${first.ids}-2` });
  assert.ok((await shop.watermark("orders_read_since")) > since);
  for (const workflow of [DAILY, "full_backfill"]) assert.equal((await shop.start(workflow, { from })).status, "complete");
});

test("a backfill whose later part failed goes on there, and says meanwhile that it failed", async () => {
  const now = Date.now();
  const shop = w.shop({ data: madeUpShop({ count: 24, days: 400, now: now - 130 * DAY }) });
  const body = { from: new Date(now - 540 * DAY).toISOString() };
  // The first part reads twelve months; of the second one the last slice fails.
  const isLate = ({ query }) => Date.parse(/updated_at:>='([^']+)'/.exec(query)?.[1]) > now - 160 * DAY;
  shop.faults.ending = (operation) => (isLate(operation) ? { status: "FAILED", errorCode: "ACCESS_DENIED" } : {});
  const first = await shop.start("full_backfill", body);
  assert.equal((await w.end("full_backfill", first.instance_id)).output?.complete, false);
  const failed = await w.end("full_backfill", `${first.instance_id}-part2`);
  assert.equal(failed.status, "errored", JSON.stringify(failed));
  const found = await shop.start("full_backfill", body);
  assert.deepEqual([found.status, found.instance_id], ["errored", `${first.instance_id}-part2`]);
  assert.match(found.error, /access_denied/);
  shop.faults.ending = undefined;
  const more = await shop.start("full_backfill", { ...body, again: true });
  assert.deepEqual([more.status, more.instance_id], ["started", `${first.instance_id}-part3`]);
  const last = await w.end("full_backfill", more.instance_id);
  assert.deepEqual([last.status, last.output?.complete], ["complete", true], JSON.stringify(last));
  assert.equal(shop.ids().size, 24 + 6);
});

test("a backfill that outlasts the instances of its first parts is found where it is, and nothing starts beside it", async () => {
  const kept = await world({ shops: 1, syncEntry: PLATFORM });
  const now = Date.now();
  const shop = kept.shop({ data: madeUpShop({ count: 24, days: 400, now: now - 130 * DAY }) });
  const body = { from: new Date(now - 540 * DAY).toISOString() };
  let release;
  const held = new Promise((resolve) => (release = resolve));
  // The first part reads twelve months by three operations each; the second one is held.
  Object.defineProperty(shop.faults, "hold", { get: () => (shop.shopify.operations.all.length > 3 * 13 ? held : undefined), enumerable: true });
  const { instance_id } = await shop.start("full_backfill", body);
  const part = `${instance_id}-part2`;
  await kept.end("full_backfill", instance_id);
  await until("the second part has moved the watermark", async () => (await shop.status()).moves[0]?.instance_id === part);
  await fetch(`${kept.stack.url}/forget`, { method: "POST", body: instance_id });
  const operations = shop.shopify.operations.all.length;
  for (const again of [false, true]) {
    const found = await shop.start("full_backfill", { ...body, again });
    assert.deepEqual([found.instance_id, found.error], [part, null]);
    assert.ok(["running", "waiting"].includes(found.status), found.status);
  }
  assert.equal((await kept.call(`workflows/full_backfill/${instance_id}-2`)).body.reason, "unknown_instance");
  assert.ok(shop.shopify.operations.all.length <= operations + 3, "what is asked for is the second part's own");
  release();
  assert.equal((await kept.end("full_backfill", part)).output?.complete, true);
  const done = await shop.start("full_backfill", body);
  assert.deepEqual([done.status, done.instance_id], ["complete", part]);
  const created = await (await fetch(`${kept.stack.url}/created`)).json();
  assert.deepEqual(created.map(({ retention }) => retention), [{ successRetention: "30 days", errorRetention: "30 days" }]);
});

test("a part of a backfill that has taken its steps leaves the rest to the next", async () => {
  const few = await world({ shops: 1, stepsAnInstance: 1 });
  const now = Date.now();
  const shop = few.shop({ data: madeUpShop({ count: 8, days: 70, now: now - 130 * DAY }) });
  const { instance_id } = await shop.start("full_backfill", { from: new Date(now - 210 * DAY).toISOString() });
  const first = await few.end("full_backfill", instance_id);
  assert.deepEqual([first.output?.slices, first.output?.complete], [1, false], JSON.stringify(first));
  let last = first;
  for (let number = 2; !last.output.complete; number += 1) last = await few.end("full_backfill", `${instance_id}-part${number}`);
  assert.equal(last.output.slices, 1);
  assert.equal(shop.ids().size, 8 + 2);
});

test("what a shop hides is not counted as read: a backfill needs the scope, and ends where all was shown", async () => {
  const now = Date.now();
  const shop = w.shop({ data: madeUpShop({ count: 8, days: 100, now }), scopes: SCOPES.filter((scope) => scope !== "read_all_orders") });
  const from = new Date(now - 200 * DAY).toISOString();
  const daily = await shop.run();
  assert.equal(daily.output.days_readable, 60);
  assert.equal(await shop.watermark("orders_read_since"), daily.output.window.to);
  const refused = await shop.run("full_backfill", { from });
  assert.match(refused.error.message, /missing_scope: .*read_all_orders/);
  shop.shopify.scopes = SCOPES;
  const granted = await shop.run("full_backfill", { from, again: true });
  assert.equal(granted.output?.reached, daily.output.window.to, JSON.stringify(granted));
  await shop.run("daily_shopify_bulk_sync", { date: "2026-11-25" });
  assert.equal(await shop.watermark("orders_read_since"), daily.output.window.to, "since then nothing was hidden");
});

test("specifications go to the lake each time: what it holds only the lake knows", async () => {
  const store = w.anyStore;
  store.specifications = { sequence: 3, specifications: [{ objective_spec_id: "default" }] };
  const replicate = () => step(w, "replicate", { domain: "*" }, {});
  const sent = () => w.lake.objectives.splice(0).map((list) => list.map(({ objective_spec_id }) => objective_spec_id));
  w.lake.objectives.length = 0;
  assert.deepEqual(await replicate(), { sequence: 3, sent: 1 });
  assert.deepEqual(sent(), [["default"]], "and the lake is made anew meanwhile");
  assert.deepEqual(await replicate(), { sequence: 3, sent: 1 });
  assert.deepEqual(sent(), [["default"]]);
  // PostgreSQL was restored to an earlier day, and comes to the same number by other changes.
  store.specifications = { sequence: 1, specifications: [{ objective_spec_id: "default" }] };
  await replicate();
  store.specifications = { sequence: 3, specifications: [{ objective_spec_id: "default" }, { objective_spec_id: "shoes" }] };
  await replicate();
  assert.deepEqual(sent(), [["default"], ["default", "shoes"]]);
  // One that was ended is told too, or the lake goes on with it.
  const ended = { objective_spec_id: "lamps", revision: 1, ended_at: "2026-11-24T10:00:00.000Z" };
  store.specifications = { sequence: 4, specifications: [{ objective_spec_id: "default", revision: 2 }], ended: [ended] };
  const run = await w.run("artifact_replication", {});
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.deepEqual(run.output, { sequence: 4, sent: 2 });
  assert.deepEqual(w.lake.objectives.at(-1)[1], ended);
});

test("a refresh sends thresholds first, survives a lake that starts, and is the same within its hour", async () => {
  // Nothing to send: whatever the lake refuses is the refresh.
  w.anyStore.specifications = { sequence: 0, specifications: [] };
  w.lake.down = [503, 409, 408];
  const { instance_id } = await w.start("measurement_refresh", { now: "2026-11-24T10:00:00Z" });
  const run = await w.end("measurement_refresh", instance_id);
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.deepEqual(w.lake.refreshes, [{ now: "2026-11-24T10:00:00Z" }]);
  assert.equal((await w.start("measurement_refresh", { now: "2026-11-24T10:00:00Z" })).status, "complete");
  assert.equal(w.lake.refreshes.length, 1);
  const steps = w.lake.sync_v1.filter((event) => event.instance_id === instance_id);
  assert.deepEqual(steps.map(({ step, status }) => `${step} ${status}`), ["replicate succeeded", ...Array(3).fill("refresh failed"), "refresh succeeded"]);
  assert.deepEqual([steps.at(-1).records_read, steps.at(-1).records_upserted], [3, 2]);
});

test("specifications that the lake refuses hold up no refresh, and fail the run", async () => {
  w.anyStore.specifications = { sequence: 1, specifications: [{ objective_spec_id: "default" }] };
  w.lake.down = [422];
  const before = w.lake.refreshes.length;
  const { instance_id } = await w.start("measurement_refresh", { now: "2026-11-24T12:00:00Z" });
  const run = await w.end("measurement_refresh", instance_id);
  assert.equal(w.lake.refreshes.length, before + 1);
  assert.equal(run.status, "errored", JSON.stringify(run));
  assert.match(run.error.message, /lake_422/);
  const steps = w.lake.sync_v1.filter((event) => event.instance_id === instance_id);
  assert.deepEqual(steps.map(({ step, status }) => `${step} ${status}`), ["replicate failed", "refresh succeeded", "report failed"]);
});

test("subscriptions that Shopify removed are created again, and only those", async () => {
  const uri = w.options.webhookUrl;
  const shop = w.shop({ subscriptions: [{ id: "gid://shopify/WebhookSubscription/9", topic: "ORDERS_CREATE", uri, format: "JSON" }] });
  const run = await shop.run("webhook_reconcile");
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.ok(run.output.created.includes("BULK_OPERATIONS_FINISH") && !run.output.created.includes("ORDERS_CREATE"));
  const again = await shop.run("webhook_reconcile", { date: "2026-11-25" });
  assert.deepEqual(again.output.created, []);
  shop.shopify.scopes = [...SCOPES, "read_customer_merge"];
  const granted = await shop.run("webhook_reconcile", { date: "2026-11-26" });
  assert.deepEqual(granted.output?.created, ["CUSTOMERS_MERGE"], JSON.stringify(granted));
});

test("on the same day subscriptions are looked at again where that is asked for; those to an address of before go, others stay", async () => {
  const [wrong, stranger] = ["https://wrong.example/webhooks/shopify", "https://stranger.example/webhooks"];
  const of = (number, uri) => ({ id: `gid://shopify/WebhookSubscription/${number}`, topic: "ORDERS_CREATE", uri, format: "JSON" });
  const shop = w.shop({ subscriptions: [of(7, wrong), of(8, stranger)] });
  // What a deployment leaves behind that had the wrong WEBHOOK_URL.
  const { SELF } = await w.stack.miniflare.getBindings("sync");
  const body = JSON.stringify({ shop_domain: shop.domain, uri: wrong });
  await SELF.fetch("http://sync/internal/watermark/address", { method: "POST", headers: { authorization: `Bearer ${w.options.internalToken}` }, body });
  const first = await shop.start("webhook_reconcile");
  const { output } = await w.end("webhook_reconcile", first.instance_id);
  assert.ok(output.created.includes("ORDERS_CREATE"));
  assert.equal(output.removed, 1);
  assert.deepEqual([...new Set(shop.shopify.subscriptions.map(({ uri }) => uri))].sort(), [stranger, w.options.webhookUrl].sort());
  const lost = shop.shopify.subscriptions.findIndex(({ topic, uri }) => topic === "REFUNDS_CREATE" && uri === w.options.webhookUrl);
  shop.shopify.subscriptions.splice(lost, 1);
  const found = await shop.start("webhook_reconcile");
  assert.deepEqual([found.status, found.instance_id], ["complete", first.instance_id]);
  const again = await shop.start("webhook_reconcile", { again: true });
  assert.deepEqual([again.status, again.instance_id], ["started", `${first.instance_id}-2`]);
  assert.deepEqual((await w.end("webhook_reconcile", again.instance_id)).output, { created: ["REFUNDS_CREATE"], removed: 0 });
});

test("a topic that a shop does not allow costs the others nothing, and the scope is named", async () => {
  const shop = w.shop({ scopes: SCOPES.filter((scope) => scope !== "read_returns" && scope !== "read_fulfillments") });
  const run = await shop.run("webhook_reconcile");
  assert.equal(run.status, "errored", JSON.stringify(run));
  assert.match(run.error.message, new RegExp(`subscription_refused: .*fulfillments/create at ${shop.domain}: You cannot .*; grant read_fulfillments`));
  assert.match(run.error.message, /returns\/request at .*; grant read_returns/);
  const topics = shop.shopify.subscriptions.map(({ topic }) => topic);
  assert.ok(topics.includes("PRODUCTS_DELETE") && topics.includes("BULK_OPERATIONS_FINISH") && !topics.includes("RETURNS_REQUEST"));
  shop.shopify.scopes = SCOPES;
  assert.ok((await shop.run("webhook_reconcile", { again: true })).output.created.includes("RETURNS_REQUEST"));
});

test("the archive can be replayed: the same rows, the same events, no watermark", async () => {
  const shop = w.shop();
  await shop.run();
  const [rows, ids, watermark] = [new Map(shop.store.rows), shop.ids(), await shop.watermark()];
  // The archive has results of id queries too, which are no lines of orders.
  assert.equal((await shop.run("deletion_reconcile")).status, "complete");
  shop.store.rows.clear();
  shop.store.readBy.clear();
  const run = await shop.run("replay", { prefix: `archive/${shop.domain}/` });
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.equal(run.output.upserted, 150);
  assert.deepEqual(shop.store.rows, rows);
  assert.deepEqual(shop.ids(), ids);
  assert.ok(shop.events().some(({ source }) => source === "replay"));
  assert.equal(await shop.watermark(), watermark);
});

test("a replay of what is not there says so", async () => {
  const shop = w.shop();
  for (const [prefix, reason] of [
    ["secrets/", "bad_parameter"],
    [`quarantine/${shop.domain}/none.json`, "quarantine_missing"],
    [`archive/${shop.domain}/2020-01-01/`, "archive_missing"],
  ]) {
    const { status, body } = await w.call("workflows/replay", { method: "POST", body: { shop: shop.domain, prefix } });
    assert.deepEqual([status, body.reason], [422, reason], body.detail);
  }
  assert.deepEqual((await shop.status()).instances, [], "nothing was started");
});

test("a replay takes nothing of another shop", async () => {
  const [own, other] = [w.shop(), w.shop()];
  await other.run();
  const bucket = await w.stack.bucket();
  const record = { shop_domain: other.domain, object: `archive/${other.domain}/x.jsonl`, rejections: [] };
  await bucket.put(`quarantine/${own.domain}/run/1.json`, JSON.stringify(record));
  for (const prefix of ["archive/", `archive/${other.domain}/`, `quarantine/${other.domain}/run/1.json`, `quarantine/${own.domain}/run/1.json`]) {
    const { status, body } = await w.call("workflows/replay", { method: "POST", body: { shop: own.domain, prefix } });
    assert.deepEqual([status, body.reason], [422, "bad_parameter"], prefix);
    assert.match(body.detail, new RegExp(own.domain));
  }
  assert.deepEqual([own.store.rows.size, own.events().length], [0, 0]);
});

test("steps are not reachable from outside, with or without the token", async () => {
  const body = { run: {}, input: {} };
  for (const authorization of [undefined, null, "Bearer wrong"]) {
    for (const path of ["step/advance", "step/poll", "watermark/advance"]) {
      const { status } = await w.call(path, { method: "POST", body, authorization });
      assert.equal(status, authorization === undefined ? 404 : 401, path);
    }
  }
});

test("routes need the token and say what is wrong", async () => {
  const shop = w.shop();
  const post = (path, body) => w.call(path, { method: "POST", body });
  assert.equal((await w.call(`status?shop=${shop.domain}`, { authorization: null })).status, 401);
  assert.equal((await w.call("status?shop=stranger.myshopify.com")).status, 404);
  assert.equal((await post(`workflows/${DAILY}`, { shop: "stranger.myshopify.com" })).body.reason, "unknown_shop");
  assert.equal((await post("workflows/full_backfill", { shop: shop.domain })).body.detail, "from is missing");
  assert.equal((await post("workflows/full_backfill", { shop: shop.domain, from: "yesterday" })).body.reason, "bad_parameter");
  assert.equal((await post("workflows/full_backfill", { shop: shop.domain, from: "2026-01-01", until: "soon" })).body.detail, "until is no time");
  assert.equal((await post("workflows/no_such_workflow", {})).status, 404);
  assert.equal((await w.call(`workflows/${DAILY}/no-such-instance`)).body.reason, "unknown_instance");
  assert.equal((await post("finished", { shop: "stranger.myshopify.com", operation_id: "x" })).status, 404);
});

test("a token is changed while others still show the one before it", async () => {
  const two = await world({ shops: 1, internalToken: "of-tomorrow, of-today" });
  const ask = (authorization) => two.call("status?shop=shop-1.myshopify.com", { authorization });
  for (const token of ["of-tomorrow", "of-today"]) assert.equal((await ask(`Bearer ${token}`)).status, 200, token);
  for (const wrong of ["Bearer of-yesterday", "Bearer of-tomorrow, of-today", "Bearer "]) assert.equal((await ask(wrong)).status, 401, wrong);
  const authorization = "Bearer of-today";
  const body = { shop: "shop-1.myshopify.com" };
  assert.equal((await two.call("workflows/webhook_reconcile", { method: "POST", body, authorization })).status, 200);
  await until("its steps open each other", () => two.lake.sync_v1.some(({ step, status }) => step === "subscriptions" && status === "succeeded"));
});

test("a backfill of days on which nothing can be is not started", async () => {
  const shop = w.shop();
  const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
  for (const [days, detail] of [
    [{ from: inAnHour }, /from is yet to come/],
    [{ from: inAnHour, until: "now" }, /from is yet to come/],
    [{ from: "2026-01-01T00:00:00Z", until: "2025-01-01T00:00:00Z" }, /until is not after from/],
    [{ from: "2026-01-01T00:00:00Z", until: "2026-01-01T00:00:00Z" }, /until is not after from/],
    [{ from: "2003-12-31T00:00:00Z" }, /from is before 2004-01-01/],
  ]) {
    const { status, body } = await w.call("workflows/full_backfill", { method: "POST", body: { shop: shop.domain, ...days } });
    assert.deepEqual([status, body.reason], [422, "bad_parameter"], JSON.stringify(days));
    assert.match(body.detail, detail);
  }
  assert.deepEqual((await shop.status()).instances, []);
});

test("a run of many steps hides no other, and one that failed says why", async () => {
  const shop = w.shop({ scopes: [] });
  const failed = await shop.start(DAILY);
  await w.end(DAILY, failed.instance_id);
  const noted = new Date().toISOString();
  const { SELF } = await w.stack.miniflare.getBindings("sync");
  const headers = { authorization: `Bearer ${w.options.internalToken}` };
  for (let number = 1; number <= 1100; number += 1) {
    const busy = { shop_domain: shop.domain, workflow: "full_backfill", instance_id: "full_backfill-busy", attempt: 1, status: "succeeded" };
    const body = JSON.stringify({ ...busy, step: `poll ${number}`, noted_at: noted, facts: {} });
    const response = await SELF.fetch("http://sync/internal/watermark/note", { method: "POST", headers, body });
    await response.arrayBuffer();
  }
  const { instances, progress } = await shop.status();
  assert.deepEqual(instances.map(({ instance_id, step }) => [instance_id, step]), [
    ["full_backfill-busy", "poll 1100"],
    [failed.instance_id, "report"],
  ]);
  assert.equal(instances[1].status, "errored");
  assert.match(instances[1].error, /^missing_scope: .*read_orders/);
  assert.ok(progress.every(({ instance_id }) => instance_id === "full_backfill-busy"));
});

test("a run that is stopped holds no place at Shopify, and goes on by the same command", async () => {
  const shop = w.shop();
  let end;
  shop.faults.hold = new Promise((resolve) => {
    end = resolve;
  });
  const { instance_id } = await shop.start(DAILY);
  await until("it waits", () => shop.steps().some((step) => step.startsWith("poll")));
  const { token } = shop.shopify;
  const stop = (body) => w.call("stop", { method: "POST", body });
  for (const wrong of [{ shop: shop.domain, instance_id: "none" }, { shop: w.shop().domain, instance_id }]) {
    assert.deepEqual([(await stop(wrong)).status, (await stop(wrong)).body.reason], [404, "unknown_instance"]);
  }
  shop.shopify.token = "shpat_another";
  const half = await stop({ shop: shop.domain, instance_id });
  assert.deepEqual([half.status, half.body.reason], [503, "shopify_401"], JSON.stringify(half));
  shop.shopify.token = token;
  const stopped = await stop({ shop: shop.domain, instance_id });
  assert.deepEqual([stopped.status, stopped.body.status, stopped.body.cancelled], [200, "terminated", 3], JSON.stringify(stopped));
  assert.ok(shop.shopify.operations.all.every(({ status }) => status === "CANCELING"));
  assert.ok(shop.steps().includes("report failed stopped"), String(shop.steps()));
  assert.equal((await stop({ shop: shop.domain, instance_id })).body.cancelled, 0, "once is enough");
  end();
  shop.faults.hold = undefined;
  assert.equal((await shop.start(DAILY)).status, "terminated");
  assert.equal((await shop.run(DAILY, { again: true })).status, "complete");
  assert.ok(await shop.watermark());
});

test("a run begun while SYNC_TELEMETRY is down is seen and stopped, and its end is told when that is up again", async () => {
  const shop = w.shop();
  const stop = (instance_id) => w.call("stop", { method: "POST", body: { shop: shop.domain, instance_id } });
  w.lake.refusals.sync_v1 = Infinity;
  const { instance_id } = await shop.start(DAILY);
  try {
    const [seen] = await until("it is seen", async () => {
      const { instances } = await shop.status();
      return instances.length > 0 && instances;
    });
    assert.deepEqual([seen.instance_id, seen.step], [instance_id, "preflight"]);
    const [note] = (await shop.status()).progress;
    assert.deepEqual([note.status, note.facts], ["untold", { error_kind: "stream" }]);
    const half = await stop(instance_id);
    assert.deepEqual([half.status, half.body.reason], [503, "stream"], JSON.stringify(half));
    assert.match(half.body.detail, /^the run is over, and SYNC_TELEMETRY does not know it \(stop it again\)/);
    assert.equal((await shop.start(DAILY)).status, "terminated");
  } finally {
    w.lake.refusals.sync_v1 = 0;
  }
  for (const time of ["once", "once more"]) {
    const stopped = await stop(instance_id);
    assert.deepEqual([stopped.status, stopped.body.status], [200, "terminated"], JSON.stringify(stopped));
    assert.equal(shop.steps().filter((step) => step === "report failed stopped").length, 1, time);
  }
});

test("a run that comes to its end while it is being stopped is over, and no failure", async () => {
  const deployed = await world({ shops: 1, syncEntry: PLATFORM });
  const shop = deployed.shop();
  const run = await shop.start(DAILY);
  await deployed.end(DAILY, run.instance_id);
  await fetch(`${deployed.stack.url}/late`, { method: "POST", body: run.instance_id });
  const stopped = await deployed.call("stop", { method: "POST", body: { shop: shop.domain, instance_id: run.instance_id } });
  assert.deepEqual([stopped.status, stopped.body.status, stopped.body.cancelled], [200, "complete", 0], JSON.stringify(stopped));
  assert.ok(!shop.steps().some((step) => step.startsWith("report")));
});

test("by schedule no daily run begins beside one that still waits, and the next one does", async () => {
  const few = await world({ shops: 1 });
  const shop = few.shop();
  const worker = await few.stack.miniflare.getWorker("sync");
  const strangers = Array.from({ length: 5 }, () => shop.shopify.operations.add("{ orders { edges { node { id } } } }", { status: "RUNNING" }));
  const { instance_id } = await shop.start(DAILY);
  await until("it waits for room", () => shop.steps().some((step) => step.startsWith("request")));
  const daily = async () => (await shop.status()).instances.filter(({ workflow }) => workflow === DAILY).map((run) => run.instance_id);
  const scheduled = async () => assert.equal((await worker.scheduled({ cron: "15 3 * * *" })).outcome, "ok");
  await scheduled();
  await until("why is told", () => few.log.some((line) => line.includes(`${DAILY} of ${shop.domain} was not started: ${instance_id} is still at work`)));
  for (const stranger of strangers) stranger.status = "COMPLETED";
  assert.equal((await few.end(DAILY, instance_id)).status, "complete");
  assert.deepEqual(await daily(), [instance_id]);
  await scheduled();
  const next = `${DAILY}-shop-1-${new Date().toISOString().slice(0, 10)}`;
  assert.equal((await few.end(DAILY, next)).status, "complete");
  assert.deepEqual(await daily(), [next, instance_id]);
});

test("a shop that cannot be started costs the others nothing, and is named", async () => {
  const few = await world({ shops: 2, unstartable: [null] });
  const shops = [few.shop(), few.shop()];
  const worker = await few.stack.miniflare.getWorker("sync");
  assert.equal((await worker.scheduled({ cron: "15 3 * * *" })).outcome, "exception");
  const today = new Date().toISOString().slice(0, 10);
  for (const [index] of shops.entries()) assert.equal((await few.end(DAILY, `${DAILY}-shop-${index + 1}-${today}`)).status, "complete");
  await until("it is named", () => few.log.some((line) => line.includes(`${DAILY} was not started for null`)));
});

test("each schedule starts its workflow, for every shop it is for", async () => {
  const few = await world({ shops: 2 });
  const shops = [few.shop(), few.shop()];
  const worker = await few.stack.miniflare.getWorker("sync");
  for (const cron of ["15 3 * * *", "45 2 * * *", "30 4 * * SUN", "5 * * * *", "*/10 * * * *"]) {
    assert.equal((await worker.scheduled({ cron })).outcome, "ok", cron);
  }
  const today = new Date().toISOString().slice(0, 10);
  for (const [index] of shops.entries()) {
    for (const workflow of [DAILY, "webhook_reconcile", "deletion_reconcile"]) {
      assert.equal((await few.end(workflow, `${workflow}-shop-${index + 1}-${today}`)).status, "complete");
    }
  }
  await until("the refresh ran", () => few.lake.refreshes.length === 1);
  await until("the replication ran", () => few.lake.sync_v1.some(({ workflow }) => workflow === "artifact_replication"));
});
