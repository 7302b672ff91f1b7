// A publication Worker in workerd with scripted far ends, stopped at the end of its test.

import { fakeLake, fakePostgres } from "../../commerce/test/doubles.mjs";
import { startPublication } from "../../local/publication.mjs";

export const SHOP = "demo.myshopify.com";
const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1";
const TOKEN = "test-token";
const INTERNAL_TOKEN = "test-internal-token";

/** A catalogue as weir.publication_catalogue gives it. */
export const CATALOGUE = {
  shop_domain: SHOP,
  revision: 3,
  publishers: { "p-1": { name: "One" } },
  items: { "i-1": { publisher_id: "p-1", title: "Lamps" } },
  programs: { "g-1": { name: "Spring", publisher_id: "p-1" } },
  links: { spring: { url: "https://shop.example/p?a=1", publisher_id: "p-1", item_id: "i-1", program_id: "g-1", placement: "hero", product_id: "7" } },
};

/** Answers as the extension does: accepts interactions and gives the catalogue. Orders' events are those of `events`. */
export function recordAll(events = () => []) {
  return (argument, _number, name) => {
    if (name === "publication_catalogue") return CATALOGUE;
    const verdict = ({ event_id }) => ({ event_id, verdict: "accepted", reason: null, detail: null });
    return { interactions: argument.map(verdict), events: argument.flatMap(events) };
  };
}

/** Starts a Worker; `answer` scripts PostgreSQL, `config` overrides the stack's. */
export async function world(t, { answer = recordAll(), ...config } = {}) {
  const postgres = await fakePostgres(answer);
  t.after(postgres.stop);
  const lake = await fakeLake(TOKEN);
  t.after(lake.stop);
  const log = [];
  const stack = await startPublication({
    postgres: postgres.url,
    lake: lake.url,
    token: TOKEN,
    shops: [SHOP],
    visitorSecret: "test-visitor-secret",
    linkSecrets: "test-link-secret,old-link-secret",
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
    send: (events, options) => send(stack.url, events, options),
    internal: (path, options) => internal(stack.url, path, options),
    get: (path, headers = {}) => fetch(stack.url + path, { redirect: "manual", headers: { ...VISITOR, ...headers } }),
  };
}

/** A visitor as Cloudflare tells of one. */
const VISITOR = {
  "user-agent": PHONE,
  "cf-connecting-ip": "203.0.113.7",
  "mf-cf-blob": JSON.stringify({ country: "JP" }),
};

/** An event of the shop. */
export const event = (event_type, event_key, more = {}) => ({ event_type, event_key, shop_domain: SHOP, item_id: "i-1", ...more });

export async function send(url, events, { type = "application/json", token, headers = {} } = {}) {
  const authorization = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch(`${url}/v1/events`, {
    method: "POST",
    headers: { ...VISITOR, "content-type": type, ...authorization, ...headers },
    body: typeof events === "string" ? events : JSON.stringify(events),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : null };
}

async function internal(url, path, { method = "POST", body, token = INTERNAL_TOKEN } = {}) {
  const response = await fetch(`${url}/internal/${path}`, {
    method,
    headers: token ? { authorization: `Bearer ${token}` } : {},
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

export { INTERNAL_TOKEN };
