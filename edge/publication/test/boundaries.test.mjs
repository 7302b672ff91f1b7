// Stream, queue and counters go their ways by themselves; and one cut at each boundary behind them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { event as commerceEvent, until } from "../../commerce/test/doubles.mjs";
import { CATALOGUE, event, INTERNAL_TOKEN, recordAll, SHOP, world } from "./world.mjs";

/** Wraps the Worker: what is named in `broken` (POST /broken) hangs or throws. */
const BREAKABLE = `
import { WorkerEntrypoint } from "cloudflare:workers";
import Worker from "./build/index.js";
export * from "./build/index.js";

let broken = {};
const ways = { hang: () => new Promise(() => {}), fail: () => { throw new Error("down"); } };
class WorkerQueue {
  constructor(queue) { this.queue = queue; }
  sendBatch(...batch) { return (ways[broken.queue] ?? (() => this.queue.sendBatch(...batch)))(); }
}
// The binding is known by the name of its class.
class Ratelimit {
  limit() { return (ways[broken.limiter] ?? (async () => ({ success: true })))(); }
}
let catalogueReads = 0;
class KvNamespace {
  constructor(store) { this.store = store; }
  get(...asked) {
    catalogueReads += 1;
    return (ways[broken.catalogue] ?? (() => this.store.get(...asked)))();
  }
  getWithMetadata() {}
  put(...entry) { return (ways[broken.cataloguePut] ?? (() => this.store.put(...entry)))(); }
  list() {}
  delete() {}
}
class R2Bucket {
  constructor(bucket) { this.bucket = bucket; }
  put(...object) { return (ways[broken.bucket] ?? (() => this.bucket.put(...object)))(); }
  get(...key) { return (ways[broken.bucketGet] ?? (() => this.bucket.get(...key)))(); }
  delete(...key) { return this.bucket.delete(...key); }
}
const counters = (dataset) => ({ writeDataPoint: (point) => (ways[broken.counters] ?? (() => dataset.writeDataPoint(point)))() });

export default class extends WorkerEntrypoint {
  async fetch(request) {
    if (new URL(request.url).pathname === "/broken") {
      broken = await request.json();
      return Response.json({ catalogueReads });
    }
    const { INTERACTIONS, PUBLICATION_COUNTERS, CATALOGUE } = this.env;
    const env = { ...this.env, INTERACTIONS: new WorkerQueue(INTERACTIONS), PUBLICATION_COUNTERS: counters(PUBLICATION_COUNTERS) };
    env.RATE_LIMIT = new Ratelimit();
    env.CATALOGUE = new KvNamespace(CATALOGUE);
    env.BUCKET = new R2Bucket(this.env.BUCKET);
    return new Worker(this.ctx, env).fetch(request);
  }
  queue(batch) { return new Worker(this.ctx, { ...this.env, BUCKET: new R2Bucket(this.env.BUCKET) }).queue(batch); }
}
`;

const breakable = async (t, config) => {
  const stack = await world(t, { entry: BREAKABLE, ...config });
  // Answers with how often the catalogue was asked for.
  const broken = async (what) => (await fetch(`${stack.url}/broken`, { method: "POST", body: JSON.stringify(what) })).json();
  return { ...stack, broken };
};
/** What was counted of what went to the quarantine. */
const quarantined = async (counters) =>
  (await counters()).filter(({ blobs }) => blobs[1] === "quarantined").map(({ indexes, blobs }) => [indexes[0], blobs[0], blobs[2]].join(" "));
const BATCH = [event("click", "a"), event("conversion", "b", { order_id: "7" })];
const verdicts = ({ body }) => body.verdicts.map(({ verdict }) => verdict);

test("a stream that hangs holds up neither PostgreSQL nor the counters, and gets its rows later", async (t) => {
  // So patient that only the cut below ends the wait.
  const { send, lake, postgres, counters } = await breakable(t, { patienceMillis: 600_000 });
  lake.hang = "publication_v1";
  const answering = send(BATCH);
  let answered = false;
  answering.then(() => (answered = true));
  await until("the stream's request", () => lake.attempts >= 1);
  await until("the interaction in PostgreSQL", () => postgres.calls.length === 1);
  await until("the counters", async () => (await counters()).length === 2);
  assert.equal(answered, false, "both went their way while the stream was still asked");
  lake.release();
  const answer = await answering;
  assert.deepEqual([answer.status, verdicts(answer)], [202, ["accepted", "accepted"]]);
  await until("the rows from the queue", () => lake.published.length === 2);
});

test("a queue that fails or hangs leaves the stream; what needs it must come again", async (t) => {
  for (const way of ["fail", "hang"]) {
    const { send, lake, postgres, broken } = await breakable(t, { patienceMillis: 300 });
    await broken({ queue: way });
    const answer = await send(BATCH);
    assert.deepEqual([answer.status, verdicts(answer)], [503, ["accepted", "retry"]], way);
    assert.equal(lake.published.length, 2);
    await broken({});
    const again = await send(BATCH);
    assert.deepEqual([again.status, verdicts(again)], [202, ["accepted", "accepted"]]);
    await until("the interaction", () => postgres.calls.length === 1);
    assert.equal(new Set(lake.published.map(({ event_id }) => event_id)).size, 2, "the same events");
  }
});

test("counters that fail or hang leave everything else", async (t) => {
  for (const way of ["fail", "hang"]) {
    const { send, lake, postgres, broken } = await breakable(t);
    await broken({ counters: way });
    assert.equal((await send(BATCH)).status, 202, way);
    assert.equal(lake.published.length, 2);
    await until("the interaction", () => postgres.calls.length === 1);
  }
});

test("a rate limiter that fails or hangs lets everything through, and a redirect does not wait for it at all", async (t) => {
  for (const way of ["hang", "fail"]) {
    // Nothing but the end of a wait lets the batch and the pixel on; of the redirect's no end would be seen here.
    const patient = await breakable(t, { patienceMillis: 600_000 });
    const { body } = await patient.internal("links", { body: { shop_domain: SHOP, code: "spring", url: "https://shop.example/p" } });
    await patient.broken({ limiter: way });
    const redirected = await patient.get(body.path);
    assert.deepEqual([redirected.status, redirected.headers.get("location")], [302, "https://shop.example/p"], way);

    const { send, get, broken, lake, log } = await breakable(t, { patienceMillis: 300 });
    await broken({ limiter: way });
    assert.equal((await send(BATCH)).status, 202, way);
    assert.equal((await get(`/v1/p.gif?shop_domain=${SHOP}&item_id=i-1`)).status, 200, way);
    await until("the batch and the view", () => lake.published.length === 3);
    assert.equal((await get(body.path)).status, 302);
    await until("the click", () => lake.published.length === 4);
    assert.ok(log.some((line) => line.includes("rate limit") && line.includes("let through")));
  }
});

test("PostgreSQL that hangs keeps no visitor waiting", async (t) => {
  const { send, lake, postgres } = await world(t, { postgresTimeoutMillis: 500 });
  postgres.hang = "connection";
  assert.equal((await send(BATCH)).status, 202);
  assert.equal(lake.published.length, 2);
  await until("a connection", () => postgres.connections >= 1);
  postgres.hang = null;
  await until("the interaction", () => postgres.calls.length >= 1);
});

test("stream and queue both down: 503, retry, and nothing is claimed", async (t) => {
  const { send, lake, broken } = await breakable(t);
  lake.down = true;
  await broken({ queue: "fail" });
  const answer = await send(BATCH);
  assert.deepEqual([answer.status, verdicts(answer), answer.body.accepted], [503, ["retry", "retry"], 0]);
});

test("what an attribution causes is in the stream before the acknowledgement, once it is up again", async (t) => {
  const cause = ({ event_id, order_id }) => [commerceEvent(`caused-by-${event_id}`, { event_type: "order_updated", order_id, publisher_id: "p-1" })];
  const { send, lake, log, postgres, quarantine } = await world(t, { answer: recordAll(cause) });
  const answer = await send([event("conversion", "a", { order_id: "7" }), event("conversion", "b", { order_id: "8" }), event("referral", "c")]);
  const ids = answer.body.verdicts.map(({ event_id }) => `caused-by-${event_id}`);
  await until("the events", () => new Set(lake.ids()).size === 3);
  assert.deepEqual([...new Set(lake.ids())].sort(), ids.sort());
  assert.equal(postgres.calls.length, 1, "a batch is one call");

  lake.failAfterWrite = true;
  const confirmed = lake.events.length;
  const late = await send([event("conversion", "d", { order_id: "9" })]);
  const id = `caused-by-${late.body.verdicts[0].event_id}`;
  await until("a retry", () => log.some((line) => line.includes("again in") && line.includes("commerce_v1")));
  lake.failAfterWrite = false;
  const unconfirmed = lake.events.length;
  await until("the event, confirmed", () => lake.ids().slice(unconfirmed).includes(id));
  assert.deepEqual(new Set(lake.ids().slice(confirmed)), new Set([id]));
  assert.deepEqual(await quarantine(), []);
});

test("the stream of what is caused never answers: given up, and retried until it does", async (t) => {
  const cause = ({ event_id, order_id }) => [commerceEvent(`caused-by-${event_id}`, { event_type: "order_updated", order_id })];
  const { send, lake, log, quarantine } = await world(t, { answer: recordAll(cause), streamTimeoutMillis: 500 });
  lake.hang = "commerce_v1";
  t.after(lake.release);
  assert.equal((await send([event("conversion", "a", { order_id: "7" })])).status, 202);
  await until("a retry", () => log.some((line) => line.includes("again in") && line.includes("the stream did not answer within 500 ms")));
  lake.hang = null;
  await until("the event", () => lake.events.length >= 1);
  assert.deepEqual(await quarantine(), []);
});

test("a stream that does not answer is asked once for a batch of deferred rows", async (t) => {
  const { send, queue, lake, log, quarantine } = await world(t, { streamTimeoutMillis: 500 });
  await send([event("view", "a")]);
  const [row] = await until("the row", () => lake.published.length > 0 && lake.published);
  const before = lake.attempts;
  lake.hang = "publication_v1";
  t.after(lake.release);
  const rows = Array.from({ length: 20 }, () => ({ body: JSON.stringify({ kind: "rows", rows: [row] }), contentType: "text" }));
  await (await queue()).sendBatch(rows);
  await until("all are to come again", () => log.filter((line) => line.includes("again in")).length >= 20);
  // They come again within the second.
  assert.ok(lake.attempts - before <= 2, `${lake.attempts - before} attempts`);
  lake.hang = null;
  await until("the rows", () => lake.published.length >= 1 + 20);
  assert.deepEqual(await quarantine(), []);
});

test("rows that an invocation has no time for lose no attempt", async (t) => {
  const { send, queue, lake, log, quarantine } = await world(t, { batchBudgetMillis: 1, maxRetries: 1 });
  await send([event("view", "a")]);
  const [row] = await until("the row", () => lake.published.length > 0 && lake.published);
  const rows = Array.from({ length: 12 }, () => ({ body: JSON.stringify({ kind: "rows", rows: [row] }), contentType: "text" }));
  await (await queue()).sendBatch(rows);
  await until("the rows, or what became of them", async () => lake.published.length >= 1 + 12 || (await quarantine()).length > 0);
  assert.deepEqual([await quarantine(), log.filter((line) => line.includes("again in"))], [[], []]);
});

test("one that PostgreSQL rejects is kept alone, and its replay takes the same way", async (t) => {
  let refusing = true;
  const answer = (argument, number, name) => {
    const result = recordAll()(argument, number, name);
    for (const [index, { order_id }] of argument.entries()) {
      if (refusing && order_id === "13") Object.assign(result.interactions[index], { verdict: "rejected", reason: "unknown_shop", detail: "shop_domain" });
    }
    return result;
  };
  const { send, internal, quarantine, postgres, counters } = await world(t, { answer });
  await send([event("conversion", "a", { order_id: "7" }), event("conversion", "b", { order_id: "13" })]);
  await until("a count of it, by which an alarm goes", async () => (await quarantined(counters)).includes(`${SHOP} conversion unknown_shop`));
  const [kept] = await until("the quarantine", async () => (await quarantine()).length && quarantine());
  assert.deepEqual([kept.record.reason, kept.record.message.event.order_id], ["unknown_shop", "13"]);

  const listed = await internal("quarantine", { method: "GET" });
  assert.deepEqual([listed.body.records[0].key, listed.body.records[0].reason], [kept.key, "unknown_shop"]);
  assert.equal((await internal(kept.key, { method: "GET" })).body.reason, "unknown_shop");
  assert.equal((await internal(`${kept.key}/replay`, { token: null })).status, 401);
  refusing = false;
  const calls = postgres.calls.length;
  assert.equal((await internal(`${kept.key}/replay`)).status, 200);
  await until("the replay", () => postgres.calls.length === calls + 1);
  assert.equal(postgres.calls[calls][0].event_id, kept.record.message.event.event_id);
  assert.deepEqual(await quarantine(), []);
});

test("R2 takes no object when a rejected interaction is to be kept: it is not acknowledged until it is", async (t) => {
  const reject = ({ event_id }) => ({ event_id, verdict: "rejected", reason: "unknown_shop", detail: "shop_domain" });
  const answer = (argument) => ({ interactions: argument.map(reject), events: [] });
  const { send, broken, quarantine, log } = await breakable(t, { answer });
  await broken({ bucket: "fail" });
  await send([event("conversion", "a", { order_id: "13" })]);
  await until("a retry", () => log.some((line) => line.includes("again in") && line.includes("quarantine failed")));
  assert.deepEqual(await quarantine(), []);
  await broken({});
  const [kept] = await until("the record", async () => (await quarantine()).length && quarantine());
  assert.deepEqual([kept.record.reason, kept.record.message.event.order_id], ["unknown_shop", "13"]);
});

test("what causes an event that the stream would drop is kept alone, and its neighbours are recorded", async (t) => {
  const cause = ({ event_id, order_id }) => {
    const caused = commerceEvent(`caused-by-${event_id}`, { event_type: "order_updated", order_id });
    return [order_id === "13" ? { ...caused, event_hour: "ten" } : caused];
  };
  const { send, lake, log, quarantine } = await world(t, { answer: recordAll(cause) });
  const answer = await send(["7", "13", "8"].map((order_id) => event("conversion", order_id, { order_id })));
  const [before, invalid, after] = answer.body.verdicts.map(({ event_id }) => event_id);
  const [kept] = await until("the quarantine", async () => (await quarantine()).length && quarantine());
  assert.deepEqual([kept.record.reason, kept.record.message.event.event_id], ["type_mismatch", invalid]);
  assert.match(kept.record.detail, /^event caused-by-.*event_hour/);
  await until("the others", () => new Set(lake.ids()).size === 2);
  assert.deepEqual(new Set(lake.ids()), new Set([`caused-by-${before}`, `caused-by-${after}`]));
  assert.ok(!log.some((line) => line.includes("again in")), "nobody waited");
});

test("what is never taken ends in the quarantine, and so does a message that is none of ours", async (t) => {
  const { send, queue, quarantine, lake, counters } = await world(t, { answer: () => null, maxRetries: 1 });
  lake.down = true;
  await send(BATCH);
  const binary = Uint8Array.from([0x7b, 0xff]);
  for (const [body, contentType] of [["not one of ours", "text"], [{ kind: "jane" }, "json"], [binary, "bytes"]]) {
    await (await queue()).send(body, { contentType });
  }
  const kept = await until("each record", async () => {
    const found = await quarantine();
    return found.length >= 5 && found;
  });
  const reasons = kept.map(({ record }) => [record.reason, record.message?.kind ?? record.base64 ?? record.text]).sort();
  assert.deepEqual(reasons, [
    ["retries_exhausted", "interaction"],
    ["retries_exhausted", "rows"],
    ["unreadable_message", Buffer.from(binary).toString("base64")],
    ["unreadable_message", "not one of ours"],
    ["unreadable_message", '{"kind":"jane"}'],
  ]);
  for (const { record } of kept) assert.ok(!record.detail.includes("jane"), record.detail);
  await until("a count of each", async () => {
    const counted = await quarantined(counters);
    return ["click", "conversion"].every((type) => counted.includes(`${SHOP} ${type} retries_exhausted`)) && counted.includes("unknown  unreadable_message");
  });
});

test("a conversion that neither PostgreSQL nor the stream takes is kept for both, as often as its row came, and both replays arrive", async (t) => {
  let away = true;
  const { send, queue, quarantine, lake, internal, postgres } = await world(t, { answer: (...call) => (away ? null : recordAll()(...call)), maxRetries: 0 });
  lake.down = true;
  await send([event("conversion", "b", { order_id: "7" })]);
  const records = (count) =>
    until(`${count} records`, async () => {
      const found = await quarantine();
      return found.length === count && found;
    });
  const [{ record }] = (await records(2)).filter((kept) => kept.record.message.kind === "rows");
  const { rows } = record.message;
  // Another message that begins with the same event: the visitor sent it again, beside another one.
  const beside = { ...rows[0], event_id: "6b1e4a3c-6f0e-5b7e-9b0a-1f4f6f7d8c9e" };
  await (await queue()).send(JSON.stringify({ kind: "rows", rows: [...rows, beside] }), { contentType: "text" });
  const kept = await records(3);
  const kinds = kept.map(({ record: { message } }) => [message.kind, message.rows?.length ?? 1].join(" "));
  assert.deepEqual(kinds.sort(), ["interaction 1", "rows 1", "rows 2"]);

  [away, lake.down] = [false, false];
  for (const { key } of kept) assert.equal((await internal(`${key}/replay`)).status, 200);
  await until("the rows", () => lake.published.length === 3);
  await until("the interaction", () => postgres.calls.at(-1)?.[0]?.event_id === rows[0].event_id);
  assert.deepEqual(await quarantine(), []);
});

test("rows of several shops that the stream never takes are kept as a record a shop", async (t) => {
  const { send, queue, quarantine, lake } = await world(t, { maxRetries: 0 });
  await send([event("view", "a")]);
  const [row] = await until("the row", () => lake.published.length > 0 && lake.published);
  lake.down = true;
  const other = { ...row, event_id: "6b1e4a3c-6f0e-5b7e-9b0a-1f4f6f7d8c9e", shop_domain: "other.myshopify.com" };
  await (await queue()).send(JSON.stringify({ kind: "rows", rows: [row, other] }), { contentType: "text" });
  const kept = await until("both records", async () => {
    const found = await quarantine();
    return found.length === 2 && found;
  });
  const shops = kept.map(({ key, record }) => [key.split("/")[2], record.message.rows]);
  assert.deepEqual(shops.sort(), [[SHOP, [row]], [other.shop_domain, [other]]].sort());
});

test("the catalogue goes from PostgreSQL to KV on request and by the clock, and stays when PostgreSQL fails", async (t) => {
  let revision = 1;
  const answer = (_argument, _number, name) =>
    name === "publication_catalogue" && revision > 0 ? { ...CATALOGUE, revision } : { sqlstate: "57P01", text: "shutting down" };
  const { internal, catalogues, postgres, miniflare } = await world(t, { answer });
  const stored = async () => JSON.parse(await (await catalogues()).get(`catalogue/${SHOP}`));
  const answered = await internal("catalogue", { body: { shop_domain: SHOP } });
  assert.deepEqual(answered.body, { shop_domain: SHOP, revision: 1, publishers: 1, items: 1, programs: 1, links: 1 });
  assert.deepEqual(await stored(), { ...CATALOGUE, revision: 1 });
  assert.deepEqual(postgres.calls, [SHOP]);

  revision = 2;
  await (await miniflare.getWorker("publication")).scheduled({ cron: "*/5 * * * *" });
  await until("the refresh", async () => (await stored()).revision === 2);

  revision = 0;
  assert.equal((await internal("catalogue", { body: { shop_domain: SHOP } })).status, 503);
  assert.equal((await stored()).revision, 2);
  assert.equal((await internal("catalogue", { body: { shop_domain: "other.myshopify.com" } })).status, 404);
  assert.equal((await internal("catalogue", { body: {} })).status, 422);
  assert.equal((await internal("catalogue", { body: { shop_domain: SHOP }, token: "wrong" })).status, 401);
});

test("what another deployment could not read is replayed by one that can, and stays where none can", async (t) => {
  const { internal, lake, miniflare, quarantine, send } = await world(t);
  const bucket = await miniflare.getR2Bucket("BUCKET", "publication");
  await send([event("view", "a")]);
  const [row] = lake.published;
  const put = (id, text) => {
    const record = { reason: "unreadable_message", detail: "unknown variant", quarantined_at: "2026-11-24T10:00:00.000Z", message_id: id, message: null, text };
    return bucket.put(`quarantine/2026-11-24/unknown/message-${id}.json`, JSON.stringify(record));
  };
  await put("1", JSON.stringify({ kind: "rows", rows: [row] }));
  await put("2", "not one of ours");
  const replayed = [];
  for (const { key } of await quarantine()) replayed.push((await internal(`${key}/replay`)).status);
  assert.deepEqual(replayed, [200, 422]);
  await until("the row once more", () => lake.published.length === 2);
  assert.deepEqual(lake.published[1], row);
  assert.deepEqual((await quarantine()).map(({ record }) => record.message_id), ["2"]);
});

test("KV takes no catalogue: 503, and the one it has leads on until it does", async (t) => {
  let revision = 1;
  const answer = () => ({ ...CATALOGUE, revision });
  const { internal, catalogues, broken, get } = await breakable(t, { answer, catalogueTtlSeconds: 0 });
  const stored = async () => JSON.parse(await (await catalogues()).get(`catalogue/${SHOP}`)).revision;
  assert.equal((await internal("catalogue", { body: { shop_domain: SHOP } })).status, 200);
  revision = 2;
  await broken({ cataloguePut: "fail" });
  const refused = await internal("catalogue", { body: { shop_domain: SHOP } });
  assert.deepEqual([refused.status, refused.body.reason], [503, "refresh_failed"]);
  assert.equal(await stored(), 1);
  const { body } = await internal("links", { body: { shop_domain: SHOP, code: "spring" } });
  assert.equal((await get(body.path)).headers.get("location"), CATALOGUE.links.spring.url);
  await broken({});
  assert.equal((await internal("catalogue", { body: { shop_domain: SHOP } })).status, 200);
  assert.equal(await stored(), 2);
});

test("the catalogue is asked once per time to live, not per interaction", async (t) => {
  const { send, lake, catalogues } = await world(t);
  const store = await catalogues();
  await store.put(`catalogue/${SHOP}`, JSON.stringify(CATALOGUE));
  await send([event("view", "a")]);
  await store.delete(`catalogue/${SHOP}`);
  await send([event("view", "b")]);
  assert.deepEqual(lake.published.map(({ publisher_id }) => publisher_id), ["p-1", "p-1"]);
});

test("KV that hangs or fails is not asked again by each click; the last catalogue leads on meanwhile", async (t) => {
  for (const way of ["hang", "fail"]) {
    const { get, internal, catalogues, broken } = await breakable(t, { patienceMillis: 300, catalogueTtlSeconds: 0 });
    const reads = async (what) => (await broken(what)).catalogueReads;

    const cold = await reads({ catalogue: way });
    const { body } = await internal("links", { body: { shop_domain: SHOP, code: "spring" } });
    assert.equal(body.is_known, null, "nobody can say");
    for (let click = 0; click < 10; click += 1) {
      const unknown = await get(body.path);
      assert.deepEqual([unknown.status, unknown.headers.get("retry-after")], [503, "10"], "whether there is such a link is not known");
    }
    const asked = (await reads({})) - cold;
    assert.ok(asked <= 2, `${way}: ${asked} reads for ten clicks that know nothing`);

    // Known at once in this isolate, and older than its time to live from then on.
    assert.equal((await internal("catalogue", { body: { shop_domain: SHOP } })).status, 200);
    assert.ok(await (await catalogues()).get(`catalogue/${SHOP}`));
    const warm = await reads({ catalogue: way });
    for (let click = 0; click < 10; click += 1) {
      assert.equal((await get(body.path)).headers.get("location"), CATALOGUE.links.spring.url, way);
    }
    const again = (await reads({})) - warm;
    assert.ok(again >= 1 && again <= 2, `${way}: ${again} reads for ten clicks and their records`);
  }
});

test("an attribution by link or item comes again while KV is down, and is the catalogue's once it is back", async (t) => {
  for (const way of ["hang", "fail"]) {
    const { send, lake, catalogues, broken } = await breakable(t, { patienceMillis: 300 });
    await (await catalogues()).put(`catalogue/${SHOP}`, JSON.stringify(CATALOGUE));
    await broken({ catalogue: way });
    const told = (event_key, more) => ({ event_type: "attribution", event_key, shop_domain: SHOP, order_id: "7", ...more });
    const batch = [told("a", { link_code: "spring" }), told("b", { item_id: "i-1", publisher_id: "p-9" }), told("c", { publisher_id: "p-9" })];
    const answer = await send(batch, { token: INTERNAL_TOKEN });
    assert.deepEqual([answer.status, verdicts(answer)], [503, ["retry", "retry", "accepted"]], way);
    await broken({});
    // KV is left alone for ten seconds after a failure.
    const again = await until("the catalogue", async () => {
      const { status, body } = await send(batch, { token: INTERNAL_TOKEN });
      return status === 202 && body;
    }, 30_000);
    assert.deepEqual(verdicts({ body: again }), ["accepted", "accepted", "accepted"]);
    const publisher = (index) => lake.published.find(({ event_id }) => event_id === again.verdicts[index].event_id).publisher_id;
    assert.deepEqual([publisher(0), publisher(1), publisher(2)], ["p-1", "p-1", "p-9"]);
  }
});

test("R2 or the queue never answers a consumer or a replay: given up, and nothing is lost", async (t) => {
  const { broken, internal, lake, log, miniflare, queue, quarantine, send } = await breakable(t, { patienceMillis: 300, platformTimeoutMillis: 300 });
  await send([event("view", "a")]);
  const [row] = lake.published;
  await broken({ bucket: "hang" });
  await (await queue()).send("not one of ours", { contentType: "text" });
  const retried = (line) => line.includes("again in") && line.includes("quarantine failed: R2 did not answer within 300 ms");
  await until("a retry", () => log.some(retried));
  assert.deepEqual(await quarantine(), []);
  await broken({});
  const [{ key }] = await until("the record", async () => (await quarantine()).length && quarantine());
  assert.equal((await internal(`${key}/replay`)).status, 422, "nothing that could be sent");

  const record = { reason: "retries_exhausted", detail: "", quarantined_at: "2026-11-24T10:00:00.000Z", message_id: "1", message: { kind: "rows", rows: [row] } };
  const deferred = "quarantine/2026-11-24/demo/message-1.json";
  await (await miniflare.getR2Bucket("BUCKET", "publication")).put(deferred, JSON.stringify(record));
  for (const [way, cause] of [[{ bucketGet: "hang" }, "R2 did not answer within 300 ms"], [{ queue: "hang" }, "queue: no answer in time"]]) {
    await broken(way);
    const { status, body } = await internal(`${deferred}/replay`);
    assert.deepEqual([status, body.reason, body.detail], [503, "hand_over_failed", `${cause}; it is still in the quarantine; try again`]);
  }
  await broken({});
  assert.equal((await internal(`${deferred}/replay`)).status, 200);
  await until("the row once more", () => lake.published.length === 2);
});
