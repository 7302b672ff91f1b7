// The sync Worker in workerd between a played Shopify and scripted far ends. One Worker serves all tests of a file; each test
// has a shop of its own, with its own data, faults and rows.

import assert from "node:assert/strict";
import { after } from "node:test";
import { startSync } from "../../local/sync.mjs";
import { fakeShopify } from "../../fake-shopify/shopify.mjs";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { bulkLake, bulkPostgres, Store } from "./doubles.mjs";

export const DATE = "2026-11-24";
export const DAILY = "daily_shopify_bulk_sync";
const TOKEN = "test-token";
const INTERNAL_TOKEN = "test-internal-token";
const ACCESS_TOKEN = "shpat_test";
const OVER = ["complete", "errored", "terminated"];

/**
 * Starts everything with room for `shops` shops, after `unstartable` ones, which the app opens with a token that stays or, where
 * given, with `client`; `config` overrides the stack's. It is stopped after the file's last test.
 */
export async function world({ shops = 30, unstartable = [], client, ...config } = {}) {
  const domains = Array.from({ length: shops }, (_, index) => `shop-${index + 1}.myshopify.com`);
  const stores = Object.fromEntries(domains.map((domain) => [domain, new Store()]));
  const postgres = await bulkPostgres((domain) => stores[domain] ?? stores[domains[0]]);
  const lake = await bulkLake(TOKEN);
  const fake = await fakeShopify(domains.map((domain) => ({ domain, ...(client ? { client } : { token: ACCESS_TOKEN }) })));
  const log = [];
  const options = {
    postgres: postgres.url,
    lake: lake.url,
    token: TOKEN,
    shops: [...unstartable, ...domains],
    internalToken: INTERNAL_TOKEN,
    shopifyOrigin: fake.origin,
    accessTokens: Object.fromEntries(domains.map((domain) => [domain, ACCESS_TOKEN])),
    webhookUrl: "https://weir.example/webhooks/shopify",
    pollMillis: 50,
    retryDelayMillis: 20,
    backfillPauseMillis: 10,
    log: (line) => log.push(line),
    ...config,
  };
  const world = { postgres, lake, fake, log, options, stack: await startSync(options), used: 0, anyStore: stores[domains[0]] };
  world.call = (path, given) => call(world.stack.url, path, given);
  world.start = (workflow, body) => begin(world, workflow, body);
  world.end = (workflow, id, patienceMillis) => ended(world, workflow, id, patienceMillis);
  world.run = async (workflow, body) => world.end(workflow, (await world.start(workflow, body)).instance_id);
  world.shop = (given) => newShop(world, domains[world.used++], stores, given);
  world.stop = async () => {
    await world.stack.stop();
    await Promise.all([postgres.stop(), lake.stop(), fake.stop()]);
  };
  after(world.stop);
  return world;
}

/** A shop that no other test has; `given` overrides its data and whatever else the fake knows of a shop. */
function newShop(world, domain, stores, given = {}) {
  const shopify = Object.assign(world.fake.shops[domain], { data: madeUpShop(), ...given });
  const store = stores[domain];
  const of = (stream) => world.lake[stream].filter(({ shop_domain }) => shop_domain === domain);
  const start = (workflow, body = {}) => world.start(workflow, { shop: domain, date: DATE, ...body });
  return {
    domain,
    shopify,
    faults: shopify.faults,
    store,
    start,
    run: async (workflow = DAILY, body = {}) => world.end(workflow, (await start(workflow, body)).instance_id),
    status: async () => (await world.call(`status?shop=${domain}`)).body,
    watermark: async (key = "orders_last_watermark") => {
      const { watermarks } = (await world.call(`status?shop=${domain}`)).body;
      return watermarks.find((one) => one.key === key)?.value_json.ts ?? null;
    },
    events: () => of("commerce_v1"),
    ids: () => new Set(of("commerce_v1").map(({ event_id }) => event_id)),
    steps: () => of("sync_v1").map(({ step, status, error_kind }) => [step, status, error_kind].filter(Boolean).join(" ")),
    telemetry: () => of("sync_v1"),
  };
}

async function call(url, path, { method = "GET", body, authorization = `Bearer ${INTERNAL_TOKEN}` } = {}) {
  const headers = authorization === null ? {} : { authorization };
  const response = await fetch(`${url}/internal/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text };
}

async function begin(world, workflow, body = {}) {
  const answer = await world.call(`workflows/${workflow}`, { method: "POST", body });
  assert.equal(answer.status, 200, JSON.stringify(answer.body) + world.log.slice(-10).join("\n"));
  return answer.body;
}

/** Waits for the end of a run and returns its status, error and output. */
async function ended(world, workflow, id, patienceMillis = 60_000) {
  const deadline = Date.now() + patienceMillis;
  for (;;) {
    // On a busy machine a connection may be cut; the run does not hang on it.
    const { body } = await world.call(`workflows/${workflow}/${id}`).catch((error) => ({ body: { status: String(error) } }));
    if (OVER.includes(body.status)) return body;
    if (Date.now() > deadline) {
      const steps = world.lake.sync_v1.filter(({ instance_id }) => instance_id === id).map(({ step, status }) => `${step} ${status}`);
      throw new Error(`${id} is ${body.status} after ${patienceMillis} ms; ${steps}; log ${world.log.slice(-30).join("\n")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits until `condition` holds, or fails naming it. */
export async function until(what, condition, patienceMillis = 30_000) {
  const deadline = Date.now() + patienceMillis;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${patienceMillis} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Takes a step as the workflow does, over the binding that leads to steps. */
export async function step(world, route, shop, input, more = {}) {
  const { SELF } = await world.stack.miniflare.getBindings("sync");
  const run = { workflow: DAILY, instance_id: "by-hand", shop_domain: shop.domain, step: route, attempt: 1, source: "bulk_sync", ...more };
  const response = await SELF.fetch(`http://sync/internal/step/${route}`, {
    method: "POST",
    headers: { authorization: `Bearer ${world.options.internalToken}` },
    body: JSON.stringify({ run, input }),
  });
  return response.json();
}
