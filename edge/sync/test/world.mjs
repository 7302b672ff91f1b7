// The sync Worker in workerd between a played Shopify and scripted far ends, stopped at the end of its test.

import assert from "node:assert/strict";
import { startSync } from "../../local/sync.mjs";
import { fakeShopify } from "../../fake-shopify/shopify.mjs";
import { madeUpShop } from "../../fake-shopify/shop.mjs";
import { bulkLake, bulkPostgres, Store } from "./doubles.mjs";

export const SHOP = "demo.myshopify.com";
export const DATE = "2026-11-24";
const TOKEN = "test-token";
const INTERNAL_TOKEN = "test-internal-token";
const ACCESS_TOKEN = "shpat_test";
export const DAILY = "daily_shopify_bulk_sync";

/** Starts everything; `shop` overrides the fake's, `config` the stack's. */
export async function world(t, { shop = {}, ...config } = {}) {
  const store = new Store();
  const postgres = await bulkPostgres(store);
  t.after(postgres.stop);
  const lake = await bulkLake(TOKEN);
  t.after(lake.stop);
  const fake = await fakeShopify([{ domain: SHOP, token: ACCESS_TOKEN, data: madeUpShop(), ...shop }]);
  t.after(fake.stop);
  const log = [];
  const options = {
    postgres: postgres.url,
    lake: lake.url,
    token: TOKEN,
    shops: [SHOP],
    internalToken: INTERNAL_TOKEN,
    shopifyOrigin: fake.origin,
    accessTokens: { [SHOP]: ACCESS_TOKEN },
    webhookUrl: "https://weir.example/webhooks/shopify",
    pollMillis: 50,
    retryDelayMillis: 20,
    backfillPauseMillis: 10,
    log: (line) => log.push(line),
    ...config,
  };
  const stack = await startSync(options);
  const world = { store, postgres, lake, fake, shopify: fake.shops[SHOP], log, options, stack };
  world.restart = async () => {
    await world.stack.stop();
    world.stack = await startSync(options);
  };
  t.after(() => world.stack.stop());
  world.call = (path, options) => call(world.stack.url, path, options);
  world.start = (workflow, body = {}) => begin(world, workflow, body);
  world.end = (workflow, id) => ended(world, workflow, id);
  world.run = async (workflow, body) => world.end(workflow, (await world.start(workflow, body)).instance_id);
  world.watermark = async (key = "orders_last_watermark") => {
    const { body } = await world.call(`status?shop=${SHOP}`);
    return body.watermarks.find((one) => one.key === key)?.value_json.ts ?? null;
  };
  world.steps = () => lake.sync_v1.map(({ step, status, error_kind }) => [step, status, error_kind].filter(Boolean).join(" "));
  return world;
}

async function call(url, path, { method = "GET", body, authorization = `Bearer ${INTERNAL_TOKEN}` } = {}) {
  const headers = authorization === null ? {} : { authorization };
  const response = await fetch(`${url}/internal/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text };
}

async function begin(world, workflow, body) {
  const answer = await world.call(`workflows/${workflow}`, { method: "POST", body: { shop: SHOP, date: DATE, ...body } });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

/** Waits for the end of a run and returns its status, error and output. */
async function ended(world, workflow, id, patienceMillis = 60_000) {
  const deadline = Date.now() + patienceMillis;
  for (;;) {
    const { body } = await world.call(`workflows/${workflow}/${id}`);
    if (["complete", "errored", "terminated"].includes(body.status)) return body;
    if (Date.now() > deadline) {
      throw new Error(`${id} is ${body.status} after ${patienceMillis} ms; steps ${world.steps()}; log ${world.log.slice(-30).join("\n")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
