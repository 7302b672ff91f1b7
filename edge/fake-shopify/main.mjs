// The fake as a process of its own, until SIGTERM or the end of stdin:
//
//   node edge/fake-shopify/main.mjs '{"shops":[{"domain":"demo.myshopify.com","token":"shpat_...","files":{"orders_core":"path.jsonl",...},
//     "webhook":{"url":"http://.../webhooks/shopify","secret":"..."}}],"port":0}'
//
// Prints one line {"listening": address, "origin": address with {shop} in it} when ready. `files` are results as they are
// given, whatever window is asked for; with "history" ({"seed":7,"orders":30}) a shop that lived answers, whose webhooks
// POST /control/{shop}/deliver sends; without both a made-up shop answers.

import { fakeShopify } from "./shopify.mjs";
import { madeUpShop } from "./shop.mjs";

const config = JSON.parse(process.argv[2] ?? "null");
if (!Array.isArray(config?.shops)) {
  console.error("usage: main.mjs '{\"shops\":[{\"domain\":...,\"token\":...}]}'");
  process.exit(2);
}
const shops = config.shops.map((shop) => (shop.files || shop.history ? shop : { ...shop, data: madeUpShop({ domain: shop.domain }) }));
const fake = await fakeShopify(shops, config.port ?? 0);
const stop = async () => {
  await fake.stop();
  process.exit(0);
};
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, stop);
process.stdin.on("end", stop).on("error", stop).resume();
console.log(JSON.stringify({ listening: fake.url, origin: fake.origin }));
