// A commerce Worker in workerd with scripted far ends, stopped at the end of its test.

import { createHmac } from "node:crypto";
import { startStack } from "../../local/stack.mjs";
import { acceptAll, fakeLake, fakePostgres } from "./doubles.mjs";

export const SHOP = "demo.myshopify.com";
/** A header for which a delivery is refused at the door, 400, and kept. */
export const TOO_LONG = { "X-Shopify-API-Version": "2026-10".repeat(20) };
export const SECRETS = { new: "test_secret_new", old: "test_secret_old" };
const TOKEN = "test-token";
const INTERNAL_TOKEN = "test-internal-token";

export const sign = (body, secret = SECRETS.new) => createHmac("sha256", secret).update(body).digest("base64");

/** Starts a Worker; `answer` scripts PostgreSQL, `config` overrides the stack's. */
export async function world(t, { answer = acceptAll, ...config } = {}) {
  const postgres = await fakePostgres(answer);
  t.after(postgres.stop);
  const lake = await fakeLake(TOKEN);
  t.after(lake.stop);
  const log = [];
  const stack = await startStack({
    postgres: postgres.url,
    lake: lake.url,
    token: TOKEN,
    secrets: `${SECRETS.new},${SECRETS.old}`,
    shops: [SHOP],
    internalToken: INTERNAL_TOKEN,
    log: (line) => log.push(line),
    ...config,
  });
  t.after(stack.stop);
  return {
    postgres,
    lake,
    log,
    ...stack,
    deliver: (body, options) => deliver(stack.url, body, options),
    internal: (path, options) => internal(stack.url, path, options),
  };
}

/** Calls an internal route; `authorization` null sends none. */
async function internal(url, path, { method = "GET", authorization = `Bearer ${INTERNAL_TOKEN}` } = {}) {
  const headers = authorization === null ? {} : { authorization };
  const response = await fetch(`${url}/internal/${path}`, { method, headers });
  return { status: response.status, body: await response.json() };
}

export async function deliver(url, body, { id = "w-1", topic = "orders/create", shop = SHOP, signature, prefix = "X-", without, headers: other = {} } = {}) {
  const headers = {
    "content-type": "application/json",
    [`${prefix}Shopify-Topic`]: topic,
    [`${prefix}Shopify-Hmac-Sha256`]: signature ?? sign(body),
    [`${prefix}Shopify-Shop-Domain`]: shop,
    [`${prefix}Shopify-Webhook-Id`]: id,
    [`${prefix}Shopify-Triggered-At`]: "2026-11-24T10:00:00.000Z",
    [`${prefix}Shopify-API-Version`]: "2026-10",
    ...other,
  };
  delete headers[without];
  const response = await fetch(`${url}/webhooks/shopify`, { method: "POST", headers, body });
  return { status: response.status, headers: response.headers, body: await response.json() };
}
