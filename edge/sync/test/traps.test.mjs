// What Shopify and the network do to a run, and what must come of it: the result is whole, or the watermark stays.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { SCOPES } from "../../fake-shopify/shopify.mjs";
import { DAILY, step, until, world } from "./world.mjs";

const w = await world({ shops: 40 });
const ALL_EVENTS = 25;

/** Runs a day and expects the whole of it. */
async function whole(shop) {
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run) + shop.steps());
  assert.equal(shop.ids().size, ALL_EVENTS);
  assert.equal(await shop.watermark(), run.output.window.to);
  return run;
}

/** Runs a day and expects it to fail as `kind`, loudly and without a moved watermark. */
async function fails(shop, kind) {
  const run = await shop.run();
  assert.equal(run.status, "errored", `a failed run must not count as a success: ${JSON.stringify(run)}`);
  assert.match(run.error.message, new RegExp(`^(Error: )?${kind}: `));
  assert.equal(await shop.watermark(), null);
  assert.ok(shop.steps().includes(`report failed ${kind}`), String(shop.steps()));
  return run;
}

const onceEnding = (ending) => {
  let times = 0;
  return (operation) => (operation.query.includes("transactions") && times++ === 0 ? ending : {});
};

test("a truncated download is noticed by its counts and downloaded again", async () => {
  const shop = w.shop();
  shop.faults.truncated = 2;
  await whole(shop);
  assert.equal(shop.shopify.downloads, 5);
  assert.equal(shop.steps().filter((step) => step.endsWith("failed incomplete_download")).length, 2);
});

test("a download that is never whole fails the run and leaves nothing in the archive", async () => {
  const shop = w.shop();
  shop.faults.ending = (operation) => (operation.query.includes("transactions") ? { objectCount: (count) => count + 1 } : {});
  await fails(shop, "incomplete_download");
  const { objects } = await (await w.stack.bucket()).list({ prefix: `archive/${shop.domain}/` });
  assert.ok(objects.every(({ key }) => !key.includes(shop.shopify.operations.all[0].id.split("/").pop())));
});

test("a partial result of a failed operation is never taken for the whole", async () => {
  const shop = w.shop();
  shop.faults.ending = onceEnding({ status: "FAILED", errorCode: "INTERNAL_SERVER_ERROR", partial: true });
  await whole(shop);
  assert.equal(shop.shopify.operations.all.length, 4);
  assert.equal(shop.shopify.downloads, 3);
});

test("a canceled operation may have a url; it is asked for again all the same", async () => {
  const shop = w.shop();
  shop.faults.ending = onceEnding({ status: "CANCELED", withUrl: true });
  await whole(shop);
  assert.equal(shop.shopify.operations.all.length, 4);
  assert.equal(shop.shopify.downloads, 3);
});

test("a completed operation without a url is a window without rows", async () => {
  const shop = w.shop({ data: { orders: [], products: [] } });
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.deepEqual([run.output.totals.lines, shop.shopify.downloads], [0, 0]);
  assert.equal(await shop.watermark(), run.output.window.to);
});

test("an expired operation, and one whose result has expired, are asked for again", async () => {
  const [expired, refused] = [w.shop(), w.shop()];
  expired.faults.ending = onceEnding({ status: "EXPIRED" });
  await whole(expired);
  refused.faults.refused = 1;
  await whole(refused);
  assert.equal(refused.shopify.operations.all.length, 4);
});

test("a throttled call waits as long as Shopify says and goes on", async () => {
  const shop = w.shop();
  Object.assign(shop.faults, { throttled: 1, tooMany: 2 });
  await whole(shop);
  assert.equal(shop.steps().filter((step) => step.endsWith("failed throttled")).length, 3);
});

test("a connection of more pages than Shopify allows between two throttles is read to its end, and nothing of it twice", async () => {
  const shop = w.shop({ data: madeUpShop({ count: 3, linesOf: (index) => (index === 1 ? 520 : 2) }) });
  shop.faults.throttledEvery = 4;
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run) + shop.steps());
  const rows = [...shop.store.rows.values()].filter((row) => row.includes(`["__typename","LineItem"]`));
  assert.equal(rows.length, 520 + 2 + 2);
  assert.deepEqual(shop.steps().filter((step) => step.includes("throttled")), []);
});

test("faults of Shopify among many cut connections make it read none twice that is whole", async () => {
  const shop = w.shop({ data: madeUpShop({ count: 10, linesOf: () => 120 }) });
  // Each connection of lines and of sales has two more pages. The first of the second fails alone, the second of the third when it is asked for once more too.
  shop.faults.unavailable = (read) => [3, 7, 8].includes(read);
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run) + shop.steps());
  const rows = [...shop.store.rows.values()].filter((row) => row.includes(`["__typename","LineItem"]`));
  assert.equal(rows.length, 10 * 120);
  const rests = shop.steps().filter((step) => step.startsWith("rest orders_core"));
  assert.deepEqual(rests, ["rest orders_core 0 succeeded", "rest orders_core 2 succeeded"]);
  assert.equal(shop.shopify.calls.filter((call) => call === "Rest").length, 2 * 10 * 2 + 1);
});

test("an incident at Shopify that outlasts six attempts at the rest of a result costs the run nothing", async () => {
  const shop = w.shop({ data: madeUpShop({ count: 4, linesOf: (index) => (index === 1 ? 230 : 3) }) });
  // An attempt asks for its page once more before it fails.
  shop.faults.unavailable = (read) => read <= 2 * 7;
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run) + shop.steps());
  const rests = shop.steps().filter((step) => step.startsWith("rest "));
  assert.equal(rests.filter((step) => step.includes("failed")).length, 7, String(rests));
  const rows = [...shop.store.rows.values()].filter((row) => row.includes(`["__typename","LineItem"]`));
  assert.equal(rows.length, 230 + 3 * 3);
  assert.equal(shop.shopify.operations.all.length, 3, "nothing was asked for anew");
});

test("a result that a redaction writes anew while it is read is read from its beginning", async () => {
  const small = await world({ shops: 1, partBytes: 6000 });
  const shop = small.shop();
  const bucket = await small.stack.bucket();
  let written = 0;
  small.lake.beforeReply = async (stream, events) => {
    if (stream !== "sync_v1" || written > 0 || !events.some(({ step }) => step === "upsert orders_core 0")) return;
    written += 1;
    const { objects } = await bucket.list({ prefix: `archive/${shop.domain}/`, include: ["customMetadata"] });
    const { key, customMetadata } = objects.find(({ customMetadata }) => customMetadata.kind === "orders_core");
    const lines = (await (await bucket.get(key)).text()).trimEnd().split("\n");
    // As one without a customer: an order's line is shorter, and all behind it lies elsewhere.
    const without = lines.map((line) => (line.includes("__parentId") ? line : JSON.stringify({ ...JSON.parse(line), tags: [], name: "" })));
    await bucket.put(key, without.join("\n") + "\n", { customMetadata });
  };
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run) + shop.steps());
  const { lines, read, rejected } = run.output.totals;
  assert.deepEqual([written, lines, read, rejected], [1, 150, 150, 0]);
  assert.ok(shop.steps().includes("upsert orders_core again 2 0 succeeded"), String(shop.steps()));
  const names = [...shop.store.rows].filter(([key]) => /^orders_core gid:..shopify.Order/.test(key)).map(([, row]) => Object.fromEntries(JSON.parse(row)).name);
  assert.deepEqual(new Set(names), new Set([""]), "all of it as it is now");
});

test("a window that is too much for Shopify is halved, and both halves are read", async () => {
  const shop = w.shop({ data: madeUpShop({ days: 100 }) });
  const day = 86_400_000;
  const length = (query) => {
    const [from, to] = [...query.matchAll(/'(\d{4}-[^']+)'/g)].map(([, time]) => Date.parse(time));
    return to - from;
  };
  shop.faults.ending = ({ query }) =>
    query.includes("transactions") && length(query) > 100 * day ? { status: "FAILED", errorCode: "TIMEOUT" } : {};
  await whole(shop);
  assert.ok(shop.steps().includes("halve orders_core succeeded"));
  assert.ok(shop.steps().includes("download orders_core.2 1 succeeded"), String(shop.steps()));
});

test("access that Shopify denies fails at once", async () => {
  const shop = w.shop();
  shop.faults.ending = onceEnding({ status: "FAILED", errorCode: "ACCESS_DENIED" });
  await fails(shop, "access_denied");
  assert.equal(shop.shopify.operations.all.length, 3);
});

test("an answer that does not account for each line fails the run, and the next run reads the same again", async () => {
  const shop = w.shop();
  shop.store.miscount = 1;
  await fails(shop, "unaccounted_lines");
  shop.store.miscount = 0;
  const again = await shop.run(DAILY, { date: "2026-11-25" });
  assert.equal(again.status, "complete");
  assert.equal(shop.ids().size, ALL_EVENTS);
});

test("counts that do not agree move nothing", async () => {
  const shop = w.shop();
  const totals = { lines: 3, read: 3, upserted: 1, unchanged: 1, rejected: 1, events: 2, streamed: 2, events_rejected: 0 };
  const advance = (more) =>
    step(w, "advance", shop, { key: "orders_last_watermark", expected: null, to: "2026-11-24T10:00:00.000Z", totals: { ...totals, ...more } });
  assert.equal((await advance({ lines: 4 })).error_kind, "count_mismatch");
  assert.equal((await advance({ streamed: 1 })).error_kind, "count_mismatch");
  assert.equal(await shop.watermark(), null);
  assert.equal((await advance({})).moved, true);
  assert.equal(await shop.watermark(), "2026-11-24T10:00:00.000Z");
  assert.equal((await advance({})).moved, false, "the same run again, whose answer was lost");
});

test("the watermark never goes back, and not under the feet of another run", async () => {
  const shop = w.shop();
  await whole(shop);
  const reached = await shop.watermark();
  let release;
  shop.faults.hold = new Promise((resolve) => (release = resolve));
  const slow = await shop.start(DAILY, { date: "2026-11-25" });
  await until("the slow run has read the watermark", () => shop.steps().filter((step) => step === "initiate succeeded").length === 2);
  await until("its operations run", () => shop.shopify.operations.running().length === 3);
  shop.faults.hold = undefined;
  // Two windows that end in the same second are the same query, and share its operations.
  const second = Math.floor(Date.now() / 1000);
  await until("the next second", () => Math.floor(Date.now() / 1000) > second);
  const quick = await shop.run(DAILY, { date: "2026-11-26" });
  assert.equal(quick.status, "complete", JSON.stringify(quick));
  release();
  const late = await w.end(DAILY, slow.instance_id);
  const { watermarks, moves } = await shop.status();
  assert.ok(watermarks[0].value_json.ts >= reached);
  assert.equal(late.status, "errored");
  assert.match(late.error.message, /stale_watermark/);
  assert.deepEqual(moves.map(({ to_ts }) => to_ts), [...moves.map(({ to_ts }) => to_ts)].sort().reverse());
  assert.equal(watermarks[0].value_json.ts, quick.output.window.to);
});

test("one's own operation is found again by its text; a stranger's is left alone", async () => {
  const shop = w.shop();
  const stranger = shop.shopify.operations.add("{ products { edges { node { id } } } }", { status: "RUNNING" });
  let release;
  shop.faults.hold = new Promise((resolve) => (release = resolve));
  const { instance_id } = await shop.start(DAILY);
  await until("a run has its operations", () => shop.shopify.operations.running().length === 4);
  const [, first] = shop.shopify.operations.all;
  // What a step does that is repeated because its answer was lost.
  const [, from, to] = /'([^']+)' updated_at:<'([^']+)'/.exec(first.query);
  const answer = await step(w, "request", shop, { kind: "orders_core", window: { from, to }, excluded: [] }, { instance_id });
  assert.deepEqual(answer, { operation_id: first.id, found: true });
  release();
  assert.equal((await w.end(DAILY, instance_id)).status, "complete");
  assert.equal(stranger.status, "RUNNING");
  assert.ok(!shop.shopify.calls.includes("Cancel"));
  assert.equal(shop.shopify.operations.all.length, 4);
});

test("one's own operation is found among any number of older ones", async () => {
  const shop = w.shop();
  for (let count = 0; count < 300; count += 1) shop.shopify.operations.add("{ products { edges { node { id } } } }", { status: "COMPLETED" });
  const request = () => step(w, "request", shop, { kind: "products", window: { from: "2026-11-23T00:00:00Z", to: "2026-11-24T00:00:00Z" }, excluded: [] });
  const [first, second] = [await request(), await request()];
  assert.deepEqual([first.found, second], [false, { operation_id: first.operation_id, found: true }]);
  assert.equal(shop.shopify.operations.all.length, 301);
});

test("while five operations run, a run waits for its turn, for longer than a step is tried, and cancels nobody's", async () => {
  const shop = w.shop();
  const strangers = Array.from({ length: 5 }, () => shop.shopify.operations.add("{ orders { edges { node { id } } } }", { status: "RUNNING" }));
  const { instance_id } = await shop.start(DAILY);
  const asked = () => shop.shopify.calls.filter((call) => call === "RunBulkQuery").length;
  await until("it was told often that there is no room", () => asked() > 12);
  assert.ok(strangers.every(({ status }) => status === "RUNNING"));
  // Room for one of three.
  let release;
  shop.faults.hold = new Promise((resolve) => (release = resolve));
  strangers[0].status = "COMPLETED";
  const before = asked();
  await until("it has one and asks for the next", () => asked() > before + 3);
  release();
  for (const stranger of strangers) stranger.status = "COMPLETED";
  const run = await w.end(DAILY, instance_id);
  assert.equal(run.status, "complete", JSON.stringify(run) + shop.steps());
  assert.equal(shop.shopify.operations.all.length, 5 + 3);
  assert.deepEqual(shop.steps().filter((step) => step.includes("failed")), []);
});

test("the filter's field is the field of the cursor", async () => {
  const shop = w.shop();
  await whole(shop);
  for (const { query } of shop.shopify.operations.all) {
    assert.match(query, /\(query: "updated_at:>='[^']+' updated_at:<'[^']+'", sortKey: UPDATED_AT\)/);
  }
});

test("a line that PostgreSQL refuses is kept with its reason and holds nobody up", async () => {
  const data = madeUpShop();
  const shop = w.shop({ data });
  const refusal = shop.store.refusal.bind(shop.store);
  shop.store.refusal = (line) => (line.includes(`"name":"#1003"`) ? "type_mismatch" : refusal(line));
  const run = await shop.run();
  assert.equal(run.status, "complete", JSON.stringify(run));
  assert.deepEqual([run.output.totals.rejected, run.output.totals.read], [1, 150]);
  const bucket = await w.stack.bucket();
  const { records } = (await w.call(`quarantine?shop=${shop.domain}`)).body;
  assert.equal(records.length, 1);
  const record = await (await bucket.get(records[0].key)).json();
  assert.equal(record.rejections[0].reason, "type_mismatch");
  assert.match(record.rejections[0].line, /"#1003"/);
  // Once whatever refused it is mended, the object is handed over again.
  shop.store.refusal = refusal;
  const replay = await shop.run("replay", { prefix: records[0].key });
  assert.equal(replay.status, "complete", JSON.stringify(replay));
  assert.equal(replay.output.upserted, 1);
  // Also when the operation's other lines are forgotten: the whole order comes again, not its one line.
  shop.store.rows.clear();
  shop.store.readBy.clear();
  const late = await shop.run("replay", { prefix: records[0].key });
  assert.equal(late.output.upserted, 60, JSON.stringify(late));
});

test("a shop that PostgreSQL has forgotten, or never knew, is not read: nothing of it is kept, and the watermark stays", async () => {
  const bucket = await w.stack.bucket();
  const kept = async ({ domain }) => {
    const lists = await Promise.all(["archive", "quarantine"].map((room) => bucket.list({ prefix: `${room}/${domain}/` })));
    return lists.flatMap(({ objects }) => objects.map(({ key }) => key));
  };
  const [forgotten, stranger, late] = [w.shop(), w.shop(), w.shop()];
  forgotten.store.forgotten = true;
  stranger.store.registered = null;
  for (const [shop, kind] of [[forgotten, "shop_forgotten"], [stranger, "unknown_shop"]]) {
    const run = await fails(shop, kind);
    assert.match(run.error.message, /weir\.register_shop/);
    assert.deepEqual([shop.shopify.operations.all.length, await kept(shop)], [0, []]);
  }
  // Forgotten after the run has begun: PostgreSQL refuses every line, and none is a rejected one.
  const ingest = late.store.ingest.bind(late.store);
  late.store.ingest = (...given) => {
    late.store.forgotten = true;
    return ingest(...given);
  };
  await fails(late, "shop_forgotten");
  assert.deepEqual((await kept(late)).filter((key) => key.startsWith("quarantine/")), []);
});

test("a shop that is registered anew while a run reads it keeps its watermark", async () => {
  const shop = w.shop();
  const events = shop.store.events.bind(shop.store);
  shop.store.events = (...given) => {
    shop.store.registered = new Date().toISOString();
    return events(...given);
  };
  await fails(shop, "shop_registered_anew");
});

test("another version of the API raises the alarm and nothing is read", async () => {
  const shop = w.shop();
  shop.faults.apiVersion = "2026-07";
  const run = await fails(shop, "api_version");
  assert.match(run.error.message, /ALARM: Shopify served API version 2026-07 instead of 2026-10/);
  assert.deepEqual([shop.shopify.operations.all.length, shop.store.rows.size], [0, 0]);
});

test("a missing scope fails before anything is asked for; without read_all_orders it is said loudly", async () => {
  const none = w.shop({ scopes: ["read_products"] });
  const run = await fails(none, "missing_scope");
  assert.match(run.error.message, /has not granted read_orders, read_customers, read_returns;/);
  const some = w.shop({ scopes: ["read_orders", "write_products", "read_customers", "read_returns"] });
  const { output } = await whole(some);
  assert.equal(output.days_readable, 60);
  assert.ok(w.log.some((line) => line.includes(some.domain) && line.includes("60 days")), w.log.join("\n"));
});

test("a shop with another currency or time zone than it is registered with is not read", async () => {
  const yen = w.shop();
  yen.store.currency = "JPY";
  const run = await fails(yen, "currency_changed");
  assert.match(run.error.message, /registered with the currency JPY, and at Shopify has EUR/);
  const tokyo = w.shop();
  tokyo.store.zone = "Asia/Tokyo";
  await fails(tokyo, "time_zone_changed");
  const backfill = await tokyo.run("full_backfill", { from: "2026-01-01T00:00:00Z" });
  assert.match(backfill.error.message, /time_zone_changed: .*registered with the time zone Asia\/Tokyo, and at Shopify has Europe\/Paris/);
  for (const shop of [yen, tokyo]) assert.deepEqual([shop.shopify.operations.all.length, shop.store.rows.size], [0, 0]);
  tokyo.store.zone = "Europe/Paris";
  assert.equal((await tokyo.run(DAILY, { again: true })).status, "complete");
});

test("exactly the scopes that docs/deploy.md calls necessary are enough; without any of them Shopify refuses what preflight refuses", async () => {
  const deploy = readFileSync(new URL("../../../docs/deploy.md", import.meta.url), "utf8");
  const necessary = /Scopes: ([^(]*)\(without one of these no run begins\)/.exec(deploy)[1].match(/\w+/g);
  await whole(w.shop({ scopes: necessary }));
  for (const scope of necessary) {
    const shop = w.shop({ scopes: necessary.filter((other) => other !== scope) });
    const run = await fails(shop, "missing_scope");
    assert.match(run.error.message, new RegExp(`has not granted ${scope};`));
    // Past the preflight, as when a scope is taken away during a run: one of the three operations is denied.
    const window = { from: "2026-11-20T00:00:00Z", to: "2026-11-24T00:00:00Z" };
    for (const kind of ["orders_core", "orders_ledger", "products"]) await step(w, "request", shop, { kind, window, excluded: [] });
    await until("its operations are over", () => shop.shopify.operations.running().length === 0);
    const codes = shop.shopify.operations.all.map(({ errorCode }) => errorCode);
    assert.ok(codes.includes("ACCESS_DENIED"), `${scope}: ${codes}`);
  }
});

test("a failed run stays failed; another one of the same day is started on demand only", async () => {
  const shop = w.shop({ scopes: [] });
  const failed = await fails(shop, "missing_scope");
  shop.shopify.scopes = SCOPES;
  const found = await shop.start(DAILY);
  assert.deepEqual([found.status, found.instance_id], ["errored", failed.instance_id]);
  assert.match(found.error, /missing_scope/);
  const again = await shop.start(DAILY, { again: true });
  assert.deepEqual([again.status, again.instance_id], ["started", `${failed.instance_id}-2`]);
  assert.equal((await w.end(DAILY, again.instance_id)).status, "complete");
  for (const body of [{ again: true }, {}]) {
    const done = await shop.start(DAILY, body);
    assert.deepEqual([done.status, done.instance_id], ["complete", again.instance_id], "it succeeded: there is nothing to do again");
  }
  const ids = shop.telemetry().map(({ event_id }) => event_id);
  assert.equal(new Set(ids).size, ids.length);
});

test("PostgreSQL and the stream may fail in the middle: nothing is lost and nothing counts twice", async () => {
  const shop = w.shop();
  shop.store.failing = 2;
  w.lake.failAfterWrite = 1;
  await whole(shop);
  assert.equal(shop.events().length, 2 * ALL_EVENTS, "sent again, since the stream did not confirm");
  assert.equal(shop.store.upserts, 150);
});
