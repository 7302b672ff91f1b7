// Shopify, played: Admin GraphQL 2026-10 over the real schema, bulk operations with their rules and faults, results, and
// webhooks of the same shop. For tests and the demo only.

import { once } from "node:events";
import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { buildSchema } from "graphql";
import { mayHear } from "./access.mjs";
import { finishedBody } from "./bodies.mjs";
import { answer, matches } from "./execute.mjs";
import { live } from "./history.mjs";
import { Operations } from "./operations.mjs";

const SCHEMA = buildSchema(readFileSync(new URL("schema.graphql", import.meta.url), "utf8"));
const API_VERSION = "2026-10";

/** Everything that weir asks a shop for. */
export const SCOPES = ["read_orders", "read_all_orders", "read_products", "read_customers", "read_fulfillments", "read_returns"];

/** What may be set to go wrong. Numbers of times count down. */
const NO_FAULTS = {
  runMillis: 5, // twice: until RUNNING, until the end
  hold: undefined, // a promise that no operation ends before
  ending: undefined, // (operation, number) -> how it ends, see Operations.end
  unlisted: undefined, // gid that a bulk query does not see, as when the search lags behind
  cutAt: 100, // nodes of a nested connection per parent
  shuffled: false,
  throttled: 0, // answers THROTTLED
  throttledEvery: 0, // every so many-th read of a connection is answered THROTTLED
  unavailable: undefined, // (number of the read of a connection) -> whether it is answered 502
  tooMany: 0, // answers 429
  apiVersion: API_VERSION, // what X-Shopify-API-Version says
  truncated: 0, // results cut off in the middle
  refused: 0, // results answered 403, as when the address has expired
  silent: false, // no webhooks
  tokenSeconds: 86_399, // how long a token is good that was given for the client's id and secret
  unauthorised: 0, // answers 401, whatever the token
  grant: undefined, // how the request for one is refused, of REFUSED_GRANTS
};

/** What Shopify answers to a request for a token that it refuses, as recorded: some in JSON, some as a page. */
const REFUSED_GRANTS = {
  invalid_client: [400, JSON.stringify({ error: "invalid_client", error_description: "The client credentials are wrong." })],
  app_not_installed: [400, JSON.stringify({ error: "app_not_installed", error_description: "The application is not installed on this shop." })],
  shop_not_permitted: [400, "<!DOCTYPE html><html><body>Oauth error shop_not_permitted: Client credentials cannot be performed on this shop.</body></html>"],
  unavailable: [503, ""],
};

/** One shop of the fake. */
export class FakeShopify {
  /**
   * config: domain, token (an access token that stays) or client ({id, secret}, exchanged for tokens of a day), data ({orders, products}), or files (JSONL by kind), or history (options of `live`);
   * currency, zone (EUR in Paris); scopes; webhook ({url, secret}); subscriptions (edges' nodes); deleted ({id, __typename, at}: what is gone).
   */
  constructor(config, server) {
    const paris = { currency: "EUR", zone: "Europe/Paris" };
    Object.assign(this, { ...paris, data: { orders: [], products: [] }, deleted: [], subscriptions: [], scopes: SCOPES }, config);
    this.schema = SCHEMA;
    this.server = server;
    this.faults = { ...NO_FAULTS };
    this.operations = new Operations(this);
    this.calls = []; // names of operations that were called
    this.rests = 0; // reads of connections that a result has cut
    this.leaks = 0; // requests of a result that carried a credential
    this.downloads = 0;
    this.granted = new Map(); // token -> until when, milliseconds
    this.grants = 0; // tokens that were given
    this.unknownTokens = 0; // calls with none that is good
    this.serial = 0; // of subscriptions
    this.deliveries = []; // webhooks of what happened in this shop, each {topic, body, triggered_at, webhook_id}
    if (config.history) live(this, config.history);
  }

  /** What happened, as Shopify tells it; sent by `deliver`. */
  tell(topic, body, triggered_at) {
    const webhook_id = `${this.domain}-${this.deliveries.length}`;
    this.deliveries.push({ topic, body: JSON.stringify(body), triggered_at, webhook_id });
  }

  /** Sends what has happened since `from`, every `step`th of it, in its sequence or the other way round. Returns what was sent. */
  async deliver({ from = 0, to, step = 1, reversed = false } = {}) {
    const chosen = this.deliveries.slice(from, to).filter((_, index) => index % step === 0);
    if (reversed) chosen.reverse();
    for (const one of chosen) {
      const status = await this.fire(one.topic, one.body, one);
      if (status !== 200) throw new Error(`${one.topic} was answered ${status}`);
    }
    return chosen;
  }

  resultUrl(id) {
    return `${this.server.url}/results/${this.domain}/${id.split("/").pop()}?Signature=${randomUUID()}`;
  }

  /** Tells the app that an operation is over, unless it is not to know. */
  async finished(operation) {
    if (this.faults.silent || !this.webhook) return;
    await this.fire("bulk_operations/finish", JSON.stringify(finishedBody(operation))).catch(() => {}); // Polling is the fallback.
  }

  /** Sends a signed webhook of this shop and returns the answer's status. */
  async fire(topic, body, { webhook_id = randomUUID(), triggered_at = new Date().toISOString() } = {}) {
    const response = await fetch(this.webhook.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-shopify-topic": topic,
        "x-shopify-shop-domain": this.domain,
        "x-shopify-webhook-id": webhook_id,
        "x-shopify-api-version": API_VERSION,
        "x-shopify-triggered-at": triggered_at,
        "x-shopify-hmac-sha256": createHmac("sha256", this.webhook.secret).update(body).digest("base64"),
      },
      body,
    });
    await response.arrayBuffer();
    return response.status;
  }

  #root() {
    const by = (rows) => ({ id }) => rows.find((row) => row.id === id) ?? null;
    return {
      shop: { id: "gid://shopify/Shop/1", name: this.domain, myshopifyDomain: this.domain, currencyCode: this.currency, ianaTimezone: this.zone },
      currentAppInstallation: { accessScopes: this.scopes.map((handle) => ({ handle })) },
      bulkOperation: ({ id }) => this.operations.find(id),
      // Newest first, and `reverse` turns that round: a live recording shows it so.
      bulkOperations: ({ reverse }) => (reverse ? [...this.operations.all] : [...this.operations.all].reverse()),
      bulkOperationRunQuery: (args) => this.operations.run(args),
      bulkOperationCancel: (args) => this.operations.cancel(args),
      nodes: ({ ids }) => ids.map((id) => [...this.data.orders, ...this.data.products].find((row) => row.id === id) ?? null),
      events: ({ query }) => this.#destroyed().filter((event) => matches(query, event)),
      order: by(this.data.orders),
      product: by(this.data.products),
      webhookSubscriptions: () => this.subscriptions,
      webhookSubscriptionCreate: ({ topic, webhookSubscription }) => {
        if (!mayHear(SCHEMA, topic, this.scopes)) {
          const message = "You cannot create a webhook subscription with the specified topic";
          return { webhookSubscription: null, userErrors: [{ field: ["topic"], message }] };
        }
        this.serial += 1;
        const made = { id: `gid://shopify/WebhookSubscription/${1000 + this.serial}`, topic, ...webhookSubscription };
        this.subscriptions.push(made);
        return { webhookSubscription: made, userErrors: [] };
      },
      webhookSubscriptionDelete: ({ id }) => {
        const index = this.subscriptions.findIndex((subscription) => subscription.id === id);
        if (index < 0) return { deletedWebhookSubscriptionId: null, userErrors: [{ field: ["id"], message: "Webhook subscription does not exist" }] };
        this.subscriptions.splice(index, 1);
        return { deletedWebhookSubscriptionId: id, userErrors: [] };
      },
    };
  }

  /** Events of destruction: Shopify keeps them of products, and of orders none. */
  #destroyed() {
    const products = this.deleted.filter(({ __typename }) => __typename === "Product");
    return products.map(({ id, at }, index) => ({
      __typename: "BasicEvent",
      id: `gid://shopify/BasicEvent/${index + 1}`,
      action: "destroy",
      createdAt: at,
      subjectId: id,
      subjectType: "PRODUCT",
    }));
  }

  /** The answer to the client credentials grant, as [status, text]. */
  grant(body) {
    const { client_id, client_secret, grant_type } = JSON.parse(body);
    if (this.faults.grant) return REFUSED_GRANTS[this.faults.grant];
    const isClient = this.client && client_id === this.client.id && client_secret === this.client.secret;
    if (grant_type !== "client_credentials" || !isClient) return REFUSED_GRANTS.invalid_client;
    const access_token = `shpat_${randomUUID()}`;
    this.grants += 1;
    this.granted.set(access_token, Date.now() + this.faults.tokenSeconds * 1000);
    return [200, JSON.stringify({ access_token, scope: this.scopes.join(","), expires_in: this.faults.tokenSeconds })];
  }

  #opens(token) {
    return token !== undefined && (token === this.token || this.granted.get(token) > Date.now());
  }

  async graphql(request, body) {
    const faults = this.faults;
    if (faults.unauthorised > 0 || !this.#opens(request.headers["x-shopify-access-token"])) {
      faults.unauthorised = Math.max(0, faults.unauthorised - 1);
      this.unknownTokens += 1;
      return [401, { errors: "[API] Invalid API key or access token (unrecognized login or wrong password)" }];
    }
    if (faults.tooMany > 0) {
      faults.tooMany -= 1;
      return [429, { errors: "Exceeded 2 calls per second for api client." }, { "retry-after": "0.05" }];
    }
    const cost = { requestedQueryCost: 10, actualQueryCost: 10, throttleStatus: { maximumAvailable: 2000, currentlyAvailable: 1990, restoreRate: 100 } };
    const call = JSON.parse(body);
    this.rests += call.operationName ? 0 : 1;
    if (!call.operationName && faults.unavailable?.(this.rests)) return [502, {}];
    const isThrottled = !call.operationName && faults.throttledEvery > 0 && this.rests % faults.throttledEvery === 0;
    if (faults.throttled > 0 || isThrottled) {
      faults.throttled = Math.max(0, faults.throttled - 1);
      cost.throttleStatus.currentlyAvailable = 0;
      return [200, { errors: [{ message: "Throttled", extensions: { code: "THROTTLED" } }], extensions: { cost } }];
    }
    this.calls.push(call.operationName ?? "Rest");
    return [200, { ...(await answer(SCHEMA, call, this.#root(), this.scopes)), extensions: { cost } }];
  }

  async download(request, response, number) {
    this.downloads += 1;
    if (request.headers["x-shopify-access-token"] || request.headers.authorization) this.leaks += 1;
    const result = this.operations.result(`gid://shopify/BulkOperation/${number}`);
    if (!result || this.faults.refused > 0) {
      if (result) this.faults.refused -= 1;
      response.writeHead(403).end("<Error><Code>ExpiredToken</Code></Error>");
      return;
    }
    const isCut = this.faults.truncated > 0;
    if (isCut) this.faults.truncated -= 1;
    response.writeHead(200, { "content-type": "application/jsonl" });
    let left = isCut ? Math.floor(result.bytes / 2) : Infinity;
    for await (const piece of result.body()) {
      const bytes = Buffer.from(piece);
      if (!response.write(bytes.subarray(0, left))) await once(response, "drain");
      left -= bytes.length;
      if (left <= 0) break;
    }
    response.end(); // A cut result ends like a whole one: only the counts tell.
  }
}

/** Starts the fake with `shops` (configs of FakeShopify). */
export async function fakeShopify(shops, port = 0) {
  const fake = { shops: {} };
  const server = createServer(async (request, response) => {
    try {
      await handle(fake, request, response);
    } catch (error) {
      console.error(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    }
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  fake.url = `http://127.0.0.1:${server.address().port}`;
  fake.origin = `${fake.url}/shops/{shop}`;
  for (const config of shops) fake.shops[config.domain] = new FakeShopify(config, fake);
  fake.stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return fake;
}

async function handle(fake, request, response) {
  const [room, domain, ...path] = new URL(request.url, fake.url).pathname.slice(1).split("/");
  const shop = fake.shops[domain];
  const isControl = shop && room === "control" && path.join("/") === "deliver";
  const body = Buffer.concat(await request.toArray()).toString();
  if (isControl) {
    const sent = await shop.deliver(JSON.parse(body || "{}"));
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(sent));
    return;
  }
  if (shop && room === "shops" && path.join("/") === "admin/oauth/access_token" && request.method === "POST") {
    const [status, text] = shop.grant(body);
    response.writeHead(status, { "content-type": text.startsWith("{") ? "application/json" : "text/html" }).end(text);
    return;
  }
  if (shop && room === "results" && path.length === 1) return shop.download(request, response, path[0]);
  if (!shop || room !== "shops" || path.join("/") !== `admin/api/${API_VERSION}/graphql.json`) {
    response.writeHead(404).end("{}");
    return;
  }
  const [status, answer, headers = {}] = await shop.graphql(request, body);
  response.writeHead(status, { "content-type": "application/json", "x-shopify-api-version": shop.faults.apiVersion, ...headers });
  response.end(JSON.stringify(answer));
}
