// What is taken, what is answered, and what is kept of a visitor.

import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../commerce/test/doubles.mjs";
import { CATALOGUE, event, INTERNAL_TOKEN, SHOP, world } from "./world.mjs";

test("each event has its verdict; accepted ones are rows of the stream, enriched and without the visitor", async (t) => {
  const { send, lake, catalogues, counters } = await world(t);
  await (await catalogues()).put(`catalogue/${SHOP}`, JSON.stringify(CATALOGUE));
  const answer = await send([
    event("click", "a", {
      url: "https://user:pw@blog.example/a/jane%40example.com?email=jane@example.com&utm_source=n#x",
      referrer: "https://search.example/?q=private",
      publisher_id: "p-forged",
      placement: "jane@example.com",
      email: "jane@example.com",
      occurred_at: "2001-01-01T00:00:00Z",
    }),
    event("purchase", "b"),
    event("click", "c", { shop_domain: "other.myshopify.com" }),
    event("attribution", "d", { order_id: "7" }),
    event("click", "a"),
    event("engagement", "e", { engaged_seconds: 2.5 }),
  ]);
  assert.equal(answer.status, 202);
  assert.deepEqual(answer.body.verdicts.map(({ verdict, reason }) => [verdict, reason]), [
    ["accepted", null],
    ["rejected", "unsupported_kind"],
    ["rejected", "unknown_shop"],
    ["rejected", "unauthorised"],
    ["duplicate", null],
    ["accepted", null],
  ]);
  assert.deepEqual([answer.body.accepted, answer.body.duplicate, answer.body.retry, answer.body.rejected], [2, 1, 0, 3]);

  // Answered means: the stream has it.
  const [click, engagement] = lake.published;
  assert.equal(lake.published.length, 2);
  assert.equal(click.event_id, answer.body.verdicts[0].event_id);
  assert.equal(click.url, "https://blog.example/a/redacted?utm_source=n");
  assert.equal(click.occurred_at, click.received_at);
  assert.deepEqual(
    [click.publisher_id, click.referrer_host, click.country, click.device_class, click.is_bot, click.source],
    ["p-1", "search.example", "JP", "phone", false, "interaction"],
  );
  assert.equal(engagement.engaged_seconds, 2.5);
  assert.equal(engagement.visitor_key, click.visitor_key);
  const text = JSON.stringify(lake.published);
  for (const personal of ["203.0.113.7", "jane", "private", "iPhone", "pw@"]) assert.ok(!text.includes(personal), personal);

  const points = await until("the counters", async () => (await counters()).length >= 5 && counters());
  const accepted = points.filter(({ blobs }) => blobs[1] === "accepted");
  assert.deepEqual(accepted.map(({ indexes, blobs }) => [indexes[0], blobs[0], blobs[3], blobs[9]]), [
    [SHOP, "click", "p-1", "known"],
    [SHOP, "engagement", "p-1", "known"],
  ]);
  assert.deepEqual(accepted[1].doubles, [1, 2.5]);
  assert.deepEqual(points.filter(({ blobs }) => blobs[1] === "rejected").map(({ blobs }) => blobs[2]).sort(), [
    "unauthorised",
    "unknown_shop",
    "unsupported_kind",
  ]);
});

test("a repeated beacon has the same id, whatever was learnt in between", async (t) => {
  const { send, lake, catalogues } = await world(t, { catalogueTtlSeconds: 0 });
  const beacon = { shop_domain: SHOP, events: [{ event_type: "view", event_key: "k", item_id: "i-1" }] };
  assert.equal((await send(beacon, { type: "text/plain;charset=UTF-8" })).status, 204);
  assert.equal(lake.published[0].publisher_id, undefined, "an unknown item stays as it was given");
  await (await catalogues()).put(`catalogue/${SHOP}`, JSON.stringify(CATALOGUE));
  assert.equal((await send(beacon, { type: "text/plain" })).status, 204);
  assert.equal(lake.published[1].publisher_id, "p-1");
  assert.equal(lake.published[0].event_id, lake.published[1].event_id);
});

test("Do-Not-Track and Global Privacy Control leave no keys; a program is marked", async (t) => {
  const { send, lake } = await world(t);
  for (const headers of [{}, { dnt: "1" }, { "sec-gpc": "1" }, { dnt: "0" }, { "user-agent": "Googlebot/2.1" }]) {
    assert.equal((await send([event("view", JSON.stringify(headers))], { headers })).status, 202);
  }
  assert.deepEqual(lake.published.map(({ visitor_key, session_key }) => [!!visitor_key, !!session_key]), [
    [true, true],
    [false, false],
    [false, false],
    [true, true],
    [true, true],
  ]);
  assert.deepEqual(lake.published.map(({ is_bot }) => is_bot), [false, false, false, false, true]);
  assert.equal(lake.published[4].device_class, "bot");
  assert.notEqual(lake.published[4].visitor_key, lake.published[0].visitor_key);
});

test("refusals of a whole request", async (t) => {
  const { send, lake, url } = await world(t);
  const cases = [
    ["[", {}, 422, "parse_failure"],
    ["{}", {}, 422, "missing_field"],
    [[], {}, 422, "missing_field"],
    [[event("view", "a")], { type: "text/html" }, 415, "unsupported_media_type"],
    [Array.from({ length: 101 }, (_, index) => event("view", `k${index}`)), {}, 413, "batch_too_large"],
    [JSON.stringify([event("view", "x".repeat(70_000))]), {}, 413, "too_large"],
  ];
  for (const [body, options, status, reason] of cases) {
    const answer = await send(body, options);
    assert.deepEqual([answer.status, answer.body.reason], [status, reason]);
  }
  const all = await send([event("buy", "a"), "text"]);
  assert.equal(all.status, 422);
  assert.deepEqual(all.body.verdicts.map(({ reason }) => reason), ["unsupported_kind", "parse_failure"]);
  assert.equal((await fetch(`${url}/v1/events`)).status, 405);
  assert.equal((await fetch(`${url}/v1/other`)).status, 404);
  assert.deepEqual(lake.published, []);
});

test("a hundred orders of a page with a long address are more than the queue takes at once, and are taken", async (t) => {
  const { send, lake, postgres } = await world(t);
  const orders = Array.from({ length: 100 }, (_, index) => ({ event_type: "conversion", event_key: `k${index}`, order_id: String(index + 1) }));
  const answer = await send({ shop_domain: SHOP, url: `https://blog.example/${"灯".repeat(960)}`, events: orders });
  assert.deepEqual([answer.status, answer.body.accepted], [202, 100]);
  await until("all of them in PostgreSQL", () => new Set(postgres.calls.flat().map(({ order_id }) => order_id)).size === 100);
  assert.equal(lake.published.length, 100);
});

test("any page may send, and read what became of it", async (t) => {
  const { send, url } = await world(t);
  const preflight = await fetch(`${url}/v1/events`, {
    method: "OPTIONS",
    headers: { origin: "https://blog.example", "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
  });
  assert.equal(preflight.status, 204);
  const allowed = ({ headers }) => ["origin", "credentials"].map((what) => headers.get(`access-control-allow-${what}`));
  assert.deepEqual(allowed(preflight), ["https://blog.example", "true"]);
  assert.match(preflight.headers.get("access-control-allow-methods"), /POST/);
  assert.match(preflight.headers.get("access-control-allow-headers"), /content-type/);
  const answer = await send([event("view", "a")], { headers: { origin: "https://blog.example" } });
  assert.deepEqual([...allowed(answer), answer.headers.get("vary")], ["https://blog.example", "true", "origin"]);
  assert.deepEqual(allowed(await send([event("view", "b")])), ["*", null]);
  assert.equal(answer.headers.get("set-cookie"), null);
});

test("who sends too fast is told so, by address", async (t) => {
  const { send, get, lake, internal } = await world(t, { rateLimit: 3 });
  const { body } = await internal("links", { body: { shop_domain: SHOP, code: "a", url: "https://shop.example/p" } });
  // The local limiter counts anew with each minute of the clock, which shall not begin meanwhile.
  await until("a minute with room", () => Date.now() % 60_000 < 50_000);
  const statuses = [];
  for (let index = 0; index < 5; index += 1) statuses.push((await send([event("view", `k${index}`)])).status);
  assert.deepEqual(statuses, [202, 202, 202, 429, 429]);
  assert.equal((await get(`/v1/p.gif?shop_domain=${SHOP}`)).headers.get("retry-after"), "60");
  assert.equal((await get(body.path)).status, 302, "a visitor is led on all the same");
  const elsewhere = await send([event("view", "k9")], { headers: { "cf-connecting-ip": "203.0.113.8" } });
  assert.equal(elsewhere.status, 202);
  assert.equal(lake.published.length, 4);
});

test("a pixel is an impression of the page that embeds it", async (t) => {
  const { get, lake } = await world(t);
  const image = await get(`/v1/p.gif?shop_domain=${SHOP}&item_id=i-1&placement=foot`, { referer: "https://blog.example/a?x=1" });
  assert.deepEqual([image.status, image.headers.get("content-type"), image.headers.get("cache-control")], [200, "image/gif", "no-store"]);
  assert.equal(Buffer.from(await image.arrayBuffer()).subarray(0, 6).toString(), "GIF89a");
  const [row] = await until("the row", () => lake.published.length && lake.published);
  assert.deepEqual([row.event_type, row.item_id, row.placement, row.url], ["impression", "i-1", "foot", "https://blog.example/a"]);
  // Of a page that the browser fetches ahead of anybody; what is empty is not there.
  assert.equal((await get(`/v1/p.gif?shop_domain=${SHOP}&item_id=ahead`, { "sec-purpose": "prefetch;prerender" })).status, 200);
  assert.equal((await get(`/v1/p.gif?shop_domain=${SHOP}&item_id=i-2&occurred_at=&engaged_seconds=`)).status, 200);
  await until("the next row", () => lake.published.length === 2);
  assert.equal(lake.published[1].item_id, "i-2");
  assert.equal((await get("/v1/p.gif")).status, 422);
  assert.equal((await get(`/v1/p.gif?shop_domain=${SHOP}&event_type=attribution&order_id=7`)).status, 422);
});

test("a server with the token is no visitor: no program, no keys, and it may tell late; what names an order has no keys at all", async (t) => {
  const { send, lake } = await world(t);
  const monday = new Date(Date.now() - 3 * 86_400_000).toISOString();
  const headers = { "user-agent": "python-requests/2.32" };
  const told = [event("view", "a", { occurred_at: monday }), event("conversion", "b", { order_id: "7" })];
  assert.equal((await send(told, { token: INTERNAL_TOKEN, headers })).status, 202);
  for (const row of lake.published) {
    assert.equal(row.is_bot, false);
    for (const name of ["visitor_key", "session_key", "country", "device_class"]) assert.equal(row[name], undefined, name);
  }
  assert.equal(lake.published[0].occurred_at, monday);

  assert.equal((await send([event("view", "c", { occurred_at: monday })], { headers })).status, 202);
  const [, , program] = lake.published;
  assert.deepEqual([program.is_bot, program.occurred_at], [true, program.received_at]);
  assert.equal((await send([event("conversion", "d", { order_id: "7" })])).status, 202);
  const [, , , bought] = lake.published;
  assert.deepEqual([bought.device_class, bought.country, bought.visitor_key, bought.session_key], ["phone", "JP", undefined, undefined]);
});

test("the token lets a publisher's system attribute an order", async (t) => {
  const { send, postgres } = await world(t);
  const events = [event("attribution", "a", { order_id: "gid://shopify/Order/7", publisher_id: "p-1" })];
  assert.deepEqual([(await send(events)).status, (await send(events, { token: "wrong" })).status], [422, 401]);
  assert.equal((await send(events, { token: INTERNAL_TOKEN })).status, 202);
  const [[recorded]] = await until("the call", () => postgres.calls.length && postgres.calls);
  assert.deepEqual([recorded.event_type, recorded.order_id, recorded.publisher_id], ["attribution", "7", "p-1"]);
});

test("an event that is refused twice in a batch is refused twice", async (t) => {
  const { send } = await world(t);
  const toNobody = event("attribution", "a", { order_id: "7", item_id: "unknown" });
  const { status, body } = await send([toNobody, toNobody], { token: INTERNAL_TOKEN });
  assert.deepEqual([status, body.rejected, body.duplicate, body.retry], [422, 2, 0, 0], JSON.stringify(body));
});

test("a wrong token is no visitor: it is refused, as a server whose secret was changed has to learn", async (t) => {
  const { send, get, lake } = await world(t);
  const page = `/v1/p.gif?shop_domain=${SHOP}`;
  for (const authorization of ["Bearer of-last-year", INTERNAL_TOKEN, "Bearer"]) {
    const answer = await send([event("view", "a")], { headers: { authorization } });
    const image = await get(page, { authorization });
    assert.deepEqual([answer.status, answer.body.reason, image.status], [401, "unauthorised", 401], authorization);
  }
  // A page behind a password, on the host of the Worker's route.
  assert.equal((await send([event("view", "b")], { headers: { authorization: "Basic eDp5" } })).status, 202);
  assert.equal((await send([event("view", "c")], { token: INTERNAL_TOKEN })).status, 202);
  assert.equal(lake.published.length, 2);
});

test("a token is changed while servers still send the one before it, and who sends neither is counted", async (t) => {
  const { send, get, internal, counters } = await world(t, { internalToken: "of-tomorrow, of-today" });
  const told = (key) => [event("attribution", key, { order_id: "7", publisher_id: "p-1" })];
  for (const token of ["of-tomorrow", "of-today"]) {
    assert.equal((await send(told(token), { token })).status, 202, token);
    assert.equal((await internal("quarantine", { method: "GET", token })).status, 200, token);
  }
  const wrong = { token: "of-yesterday" };
  assert.equal((await send(told("a"), wrong)).status, 401);
  assert.equal((await get(`/v1/p.gif?shop_domain=${SHOP}`, { authorization: `Bearer ${wrong.token}` })).status, 401);
  assert.equal((await internal("quarantine", { method: "GET", ...wrong })).status, 401);
  const refused = async () => (await counters()).filter(({ indexes, blobs }) => indexes[0] === "refused" && blobs[2] === "unauthorised");
  const points = await until("both are counted", async () => ((await refused()).length === 2 ? refused() : undefined));
  for (const { blobs, doubles } of points) assert.deepEqual([blobs, doubles], [["", "rejected", "unauthorised"], [1]]);
});

test("a pixel of an unknown shop is no pixel", async (t) => {
  const { get, lake } = await world(t);
  const image = await get("/v1/p.gif?shop_domain=nope.myshopify.com");
  assert.deepEqual([image.status, (await image.json()).reason], [422, "unknown_shop"]);
  assert.deepEqual(lake.published, []);
});
