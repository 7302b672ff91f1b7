// A visitor is led on whatever is broken behind the Worker, and nowhere else than the link was signed for.

import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../commerce/test/doubles.mjs";
import { CATALOGUE, SHOP, world } from "./world.mjs";

const TARGET = "https://shop.example/p?variant=1&q=a+b#top";

/** Wraps the Worker so that every binding behind it throws. */
const EVERYTHING_DOWN = `
import { WorkerEntrypoint } from "cloudflare:workers";
import Worker from "./build/index.js";
export * from "./build/index.js";

const broken = new Proxy({}, { get: () => async () => { throw new Error("down"); } });

export default class extends WorkerEntrypoint {
  fetch(request) {
    const down = { CATALOGUE: broken, INTERACTIONS: undefined, BUCKET: broken, POSTGRES: undefined, PUBLICATION_TELEMETRY: broken, PUBLICATION_COUNTERS: broken, RATE_LIMIT: broken };
    return new Worker(this.ctx, { ...this.env, ...down }).fetch(request);
  }
}
`;

const sign = async ({ internal }, body) => {
  const answer = await internal("links", { body: { shop_domain: SHOP, code: "spring", ...body } });
  assert.equal(answer.status, 200);
  return answer.body.path;
};

test("leads where the catalogue says, and the click has what the catalogue knows of the link", async (t) => {
  const stack = await world(t);
  const { get, lake, catalogues } = stack;
  await (await catalogues()).put(`catalogue/${SHOP}`, JSON.stringify(CATALOGUE));
  const answer = await get(await sign(stack, {}), { referer: "https://blog.example/a?x=1" });
  assert.deepEqual([answer.status, answer.headers.get("location")], [302, CATALOGUE.links.spring.url]);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  const [click] = await until("the click", () => lake.published.length && lake.published);
  assert.deepEqual(
    [click.event_type, click.publisher_id, click.item_id, click.program_id, click.placement, click.product_id, click.url, click.referrer_host],
    ["click", "p-1", "i-1", "g-1", "hero", "7", "https://blog.example/a", "blog.example"],
  );
});

test("two clicks are two events, a HEAD is none, and a prefetch is refused, or the click that follows would not come", async (t) => {
  const stack = await world(t);
  const { get, lake, url } = stack;
  const path = await sign(stack, { url: TARGET });
  for (const purpose of ["prefetch", "prefetch;prerender"]) {
    const ahead = await get(path, { "sec-purpose": purpose });
    assert.deepEqual([ahead.status, ahead.headers.get("location"), ahead.headers.get("cache-control")], [503, null, "no-store"]);
  }
  assert.equal((await fetch(url + path, { method: "HEAD", redirect: "manual" })).status, 302);
  for (let click = 0; click < 2; click += 1) assert.equal((await get(path)).headers.get("location"), TARGET);
  await until("the clicks", () => lake.published.length === 2);
  assert.notEqual(lake.published[0].event_id, lake.published[1].event_id);
});

test("a link with its own goal works with everything behind the Worker down", async (t) => {
  const stack = await world(t, { entry: EVERYTHING_DOWN });
  const path = await sign(stack, { url: TARGET });
  const answer = await stack.get(path);
  assert.deepEqual([answer.status, answer.headers.get("location")], [302, TARGET]);
  await until("the loss in the log", () => stack.log.some((line) => line.includes("interaction lost")));
  const bare = await stack.get(await sign(stack, {}));
  assert.equal(bare.status, 503, "without a goal of its own it needs the catalogue");
});

test("the click waits on the queue while the stream is down", async (t) => {
  const stack = await world(t);
  const { get, lake } = stack;
  lake.down = true;
  assert.equal((await get(await sign(stack, { url: TARGET }))).status, 302);
  await until("an attempt", () => lake.attempts >= 1);
  lake.down = false;
  await until("the click", () => lake.published.length === 1);
});

test("is no open redirect", async (t) => {
  const stack = await world(t);
  const { get, internal, lake } = stack;
  const path = await sign(stack, { url: TARGET });
  const target = encodeURIComponent("https://evil.example/");
  for (const forged of [
    path.replace(/u=[^&]*/, `u=${target}`),
    path.replace(/s=.*/, "s="),
    path.replace("/spring", "/summer"),
    `/r/spring?shop=${SHOP}&u=${target}`,
    `/r/${target}`,
  ]) {
    const answer = await get(forged);
    assert.ok([403, 404].includes(answer.status), forged);
    assert.equal(answer.headers.get("location"), null);
  }
  for (const url of ["javascript:alert(1)", "//evil.example", "https://a@evil.example/"]) {
    assert.equal((await internal("links", { body: { shop_domain: SHOP, code: "a", url } })).status, 422);
  }
  assert.equal((await internal("links", { body: { shop_domain: SHOP, code: "a" }, token: "wrong" })).status, 401);
  assert.deepEqual(lake.published, []);
});

test("who signs a link is told whether the catalogue has its code", async (t) => {
  const { internal, catalogues, get } = await world(t, { catalogueTtlSeconds: 0 });
  await (await catalogues()).put(`catalogue/${SHOP}`, JSON.stringify(CATALOGUE));
  for (const [code, is_known] of [["spring", true], ["zz", false]]) {
    const { status, body } = await internal("links", { body: { shop_domain: SHOP, code } });
    assert.deepEqual([status, body.is_known, (await get(body.path)).status], [200, is_known, is_known ? 302 : 404]);
  }
  const own = await internal("links", { body: { shop_domain: SHOP, code: "zz", url: TARGET } });
  assert.equal((await get(own.body.path)).status, 302);
});
