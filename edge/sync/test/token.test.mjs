// Access by the app's client id and secret: tokens of a day, asked for and renewed by the Worker itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DAILY, world } from "./world.mjs";

const CLIENT = { id: "client-of-weir", secret: "client-secret-of-weir" };
const BY_CLIENT = { client_id: CLIENT.id, client_secret: CLIENT.secret };
const w = await world({ shops: 9, client: CLIENT, accessTokens: { "*": BY_CLIENT, "shop-9.myshopify.com": "shpat_stays" } });
const ALL_EVENTS = 25;

async function whole(shop, date = "2026-11-24") {
  const run = await shop.run(DAILY, { date });
  assert.equal(run.status, "complete", JSON.stringify(run) + shop.steps());
  assert.equal(shop.ids().size, ALL_EVENTS);
}

test("a run asks for one token and uses it in all its calls", async () => {
  const shop = w.shop();
  await whole(shop);
  assert.deepEqual([shop.shopify.grants, shop.shopify.unknownTokens], [1, 0]);
  assert.equal(shop.shopify.leaks, 0, "no credential goes to the address of a result");
  await whole(shop, "2026-11-25");
  assert.equal(shop.shopify.grants, 1, "nor does the next run need another while it is good");
});

test("a token that was withdrawn is renewed once, in the same step", async () => {
  const shop = w.shop();
  await whole(shop);
  shop.shopify.granted.clear();
  await whole(shop, "2026-11-25");
  assert.deepEqual([shop.shopify.grants, shop.shopify.unknownTokens], [2, 1]);
  assert.ok(!shop.steps().some((step) => step.includes("failed")), String(shop.steps()));
});

test("a token that is refused as soon as it was given is another attempt's business", async () => {
  const shop = w.shop();
  shop.faults.unauthorised = 2;
  await whole(shop);
  assert.deepEqual([shop.shopify.grants, shop.steps().filter((step) => step.includes("failed"))], [2, ["preflight failed shopify_401"]]);
});

test("a token is renewed before it expires, also in the middle of a run", async () => {
  const shop = w.shop();
  shop.faults.tokenSeconds = 2;
  shop.faults.runMillis = 1500;
  await whole(shop);
  assert.ok(shop.shopify.grants > 1, `${shop.shopify.grants} tokens`);
  assert.equal(shop.shopify.unknownTokens, 0);
});

test("a client that Shopify does not take fails the run and is told without its secret", async () => {
  for (const refused of ["invalid_client", "app_not_installed", "shop_not_permitted"]) {
    const shop = w.shop();
    shop.faults.grant = refused;
    const run = await shop.run();
    assert.equal(run.status, "errored", JSON.stringify(run));
    assert.match(run.error.message, new RegExp(`^(Error: )?token_refused: .*${shop.domain} \\(400 ${refused}\\)`));
    assert.deepEqual(shop.steps(), ["preflight failed token_refused", "report failed token_refused"], "not tried again");
    shop.faults.grant = undefined;
    const again = await shop.start(DAILY, { again: true });
    assert.equal((await w.end(DAILY, again.instance_id)).status, "complete");
  }
  const told = w.log.join("\n") + JSON.stringify(w.lake.sync_v1);
  assert.ok(!told.includes(CLIENT.secret) && !told.includes("shpat_"), told);
});

test("a shop's own token goes before the client of all, and one that is refused is not asked for again", async () => {
  w.used = 8;
  const shop = w.shop({ token: "shpat_stays" });
  await whole(shop);
  assert.equal(shop.shopify.grants, 0);
  shop.shopify.token = "shpat_another";
  const run = await shop.run(DAILY, { date: "2026-11-25" });
  assert.match(run.error.message, /shopify_401: /);
  assert.deepEqual([shop.shopify.grants, shop.shopify.unknownTokens], [0, 1]);
});

test("a token server that is down is waited for", async () => {
  w.used = 7;
  const shop = w.shop();
  shop.faults.grant = "unavailable";
  const { instance_id } = await shop.start(DAILY);
  while (!shop.steps().includes("preflight failed shopify_unavailable")) await new Promise((resolve) => setTimeout(resolve, 10));
  shop.faults.grant = undefined;
  assert.equal((await w.end(DAILY, instance_id)).status, "complete");
});
