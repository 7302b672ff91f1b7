// The far ends of the sync Worker besides Shopify: weir.ingest_bulk and weir.bulk_events over PostgreSQL's wire, with their
// contract kept in memory, and the `weir` server's streams, specifications and refresh.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { fakePostgres } from "../../commerce/test/doubles.mjs";

/** `select weir.f('a', '{}'::json)::text` -> { name, argument: all of its arguments as texts }. */
function callOf(sql) {
  const [, name, list] = /^select weir\.(\w+)\((.*)\)::text$/s.exec(sql) ?? [];
  if (!name) return undefined;
  const values = [...list.matchAll(/'((?:[^']|'')*)'(::json)?/g)];
  return { name, argument: values.map(([, text]) => text.replaceAll("''", "'")) };
}

const uuid = (text) => createHash("sha256").update(text).digest("hex").replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, "$1-$2-5$3-8$4-$5");

/** An event that passes commerce_v1, with an id that depends on the root and its revision only. */
function eventOf(shop, root, about) {
  const occurred_at = new Date(root.updatedAt).toISOString();
  return {
    event_id: uuid(`${root.id} ${root.updatedAt}`),
    event_type: root.__typename === "Product" ? "product_changed" : "order_created",
    schema_version: 1,
    occurred_at,
    received_at: about.received_at,
    event_date: occurred_at.slice(0, 10),
    event_hour: Number(occurred_at.slice(11, 13)),
    source: about.source,
    shop_domain: shop,
    [root.__typename === "Product" ? "product_id" : "order_id"]: root.id.split("/").pop(),
  };
}

/** The same value with the keys of all objects in order: the rest of a connection is written with others than the bulk result. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

/**
 * An entry.mjs (syncEntry of edge/local/sync.mjs) under which Cloudflare answers as it does in production and miniflare never:
 * an instance that is over takes no event and is not ended, and one that was named by `POST /forget` with its id is kept no longer. Of one that
 * was named by `POST /late` it is said once that it runs, whatever it does. `GET /created` tells with which options instances were created.
 */
export const PLATFORM = `
import { WorkerEntrypoint } from "cloudflare:workers";
import { route } from "./workflows/routes.mjs";
import Own from "./own.mjs";

export * from "./own.mjs";

const forgotten = new Set();
const late = new Set();
const created = [];

const asDeployed = (workflow) => ({
  create(options) {
    created.push(options);
    return workflow.create(options);
  },
  async get(id) {
    if (forgotten.has(id)) throw new Error("(instance.not_found) Provided instance id does not exist");
    const instance = await workflow.get(id);
    const isOver = async () => ["complete", "errored", "terminated"].includes((await instance.status()).status);
    return {
      status: async () => (late.delete(id) ? { status: "running" } : instance.status()),
      async sendEvent(event) {
        if (await isOver()) throw new Error("(instance.in_finite_state) Instance reached a finite state, cannot send events to it");
        return instance.sendEvent(event);
      },
      async terminate() {
        if (await isOver()) throw new Error("Cannot terminate instance since its on a finite state");
        return instance.terminate();
      },
    };
  },
});

export default class extends WorkerEntrypoint {
  async fetch(request) {
    const named = { "/forget": forgotten, "/late": late }[new URL(request.url).pathname];
    if (named) {
      named.add(await request.text());
      return new Response();
    }
    if (new URL(request.url).pathname === "/created") return Response.json(created);
    const env = { ...this.env };
    for (const name of ["DAILY_SHOPIFY_BULK_SYNC", "FULL_BACKFILL"]) env[name] = asDeployed(env[name]);
    return route(request, env);
  }

  scheduled(event) {
    return new Own(this.ctx, this.env).scheduled(event);
  }
}
`;

/** What weir.ingest_bulk takes lines of. */
const BULK_KINDS = ["orders_core", "orders_ledger", "products"];

/** Rows by gid, as the extension would have them. */
export class Store {
  constructor() {
    this.rows = new Map(); // gid -> line text
    this.readBy = new Map(); // operation -> root gids
    this.deleted = new Map(); // gid -> when
    this.upserts = 0;
    this.specifications = { sequence: 0, specifications: [] };
    this.failing = 0; // calls that are cut off
    this.miscount = 0; // rows that an answer forgets
    this.registered = "2026-01-01T00:00:00.000Z"; // null where the shop is not registered
    this.forgotten = false;
    this.zone = "Europe/Paris";
    this.currency = "EUR";
    this.lose = 0; // events that a page says it has and has not
  }

  answer(values, number, name) {
    if (this.failing > 0) {
      this.failing -= 1;
      return null;
    }
    if (name === "registration") {
      return { registered_at: this.registered, iana_time_zone: this.zone, currency: this.currency, is_forgotten: this.forgotten };
    }
    if (name === "ingest_bulk") return this.ingest(values[1], JSON.parse(values[2]));
    if (name === "bulk_events") return this.events(values[0], JSON.parse(values[1]));
    if (name === "objective_snapshot") return this.specifications;
    if (name === "known_ids") return this.known(JSON.parse(values[1]));
    if (name === "ingest") return this.take(JSON.parse(values[0]));
    return { sqlstate: "42883", text: `function weir.${name} does not exist` };
  }

  ingest(text, run) {
    if (!BULK_KINDS.includes(run.kind)) return { sqlstate: "22023", text: `weir.ingest_bulk: kind is none of ${BULK_KINDS.join(", ")}` };
    const rejections = [];
    let upserted = 0;
    let unchanged = 0;
    const roots = this.readBy.get(run.operation_id) ?? new Set();
    this.readBy.set(run.operation_id, roots);
    const lines = text.split("\n").filter(Boolean);
    for (const [index, line] of lines.entries()) {
      const reason = this.forgotten ? "redacted" : this.refusal(line);
      if (reason) {
        rejections.push({ line: index + 1, id: null, reason, detail: "test" });
        continue;
      }
      const row = JSON.parse(line);
      // The core and the ledger of one order are two rows of one gid.
      const key = `${run.kind} ${row.id} ${row.__parentId ?? ""}`;
      if (row.__parentId === undefined) roots.add(key);
      const canonical = JSON.stringify(Object.entries(sorted(row)));
      if (this.rows.get(key) === canonical) unchanged += 1;
      else {
        this.rows.set(key, canonical);
        upserted += 1;
      }
    }
    this.upserts += upserted;
    const read = lines.length - this.miscount;
    return { read, upserted, unchanged, rejected: rejections.length, roots: 0, rejections };
  }

  /** Ids of orders or products that are not deleted, as weir.known_ids gives them. */
  known({ resource, created_from, created_before, after, limit }) {
    const kind = resource === "order" ? "orders_core " : "products ";
    const roots = [...this.rows].filter(([key]) => key.startsWith(kind)).map(([, row]) => Object.fromEntries(JSON.parse(row)));
    const isMeant = ({ __typename, id, createdAt }) =>
      __typename.toLowerCase() === resource &&
      !this.deleted.has(id) &&
      Date.parse(createdAt) >= Date.parse(created_from) &&
      Date.parse(createdAt) < Date.parse(created_before);
    const numbers = roots.filter(isMeant).map(({ id }) => BigInt(id.split("/").pop())).sort((a, b) => (a < b ? -1 : 1));
    const page = numbers.filter((id) => id > BigInt(after)).slice(0, limit);
    return { ids: page.map(String), next: page.length === limit ? String(page.at(-1)) : null };
  }

  /** Deletions, as weir.ingest takes them: an event each, the same one when it is told again. */
  take(deliveries) {
    const events = [];
    const verdicts = deliveries.map(({ webhook_id, topic, shop_domain, triggered_at, received_at, source, body }) => {
      const __typename = topic === "orders/delete" ? "Order" : "Product";
      const id = `gid://shopify/${__typename}/${/^\{"id":(\d+)\}$/.exec(body)[1]}`;
      const verdict = this.deleted.has(id) ? "duplicate" : "accepted";
      if (verdict === "accepted") this.deleted.set(id, triggered_at);
      const event = eventOf(shop_domain, { __typename, id, updatedAt: this.deleted.get(id) }, { received_at, source });
      events.push({ ...event, event_id: uuid(`${id} deleted`) });
      return { webhook_id, topic, shop_domain, verdict, reason: null, detail: null, event_ids: [events.at(-1).event_id] };
    });
    return { deliveries: verdicts, events };
  }

  refusal(line) {
    try {
      const row = JSON.parse(line);
      return row.poison ? "type_mismatch" : row.id ? null : "missing_field";
    } catch {
      return "parse_failure";
    }
  }

  events(shop, about) {
    const keys = [...new Set(about.operation_ids.flatMap((id) => [...(this.readBy.get(id) ?? [])]))].sort();
    const roots = keys.filter((key) => !key.startsWith("orders_ledger ")).map((key) => Object.fromEntries(JSON.parse(this.rows.get(key))));
    const from = Number(about.after ?? 0);
    const events = roots.slice(from, from + about.limit).map((root) => eventOf(shop, root, about));
    const next = from + about.limit < roots.length ? String(from + about.limit) : null;
    return { events, next };
  }
}

/** PostgreSQL with one store a shop; `storeOf` finds it by the shop's domain. */
export async function bulkPostgres(storeOf) {
  const domainOf = (values, name) => (name === "ingest" ? JSON.parse(values[0])[0].shop_domain : values[0]);
  return fakePostgres((values, number, name) => storeOf(domainOf(values, name)).answer(values, number, name), 0, callOf);
}

/** The answer to a refresh, field by field as `weir serve` gives it (analytics/src/measurement/refresh.rs). */
const refreshed = (number) => ({
  refresh_id: `r-${number}`,
  mode: "incremental",
  reason: null,
  source_snapshot_id: "9007199254740993",
  computed_on: ["2026-11-24"],
  event_count: 3,
  order_count: 2,
  product_count: 1,
  changed_days: ["2026-11-24"],
  sales_rows: 2,
  performance_rows: 1,
  rows_committed: 2,
  committed_tables: ["measurement.sales"],
  warnings: [],
});

/** `weir serve` as far as the sync Worker knows it. `down`: what the next calls are answered, but for telemetry of steps. `refusals`: how often each stream still answers 503. */
export async function bulkLake(token) {
  const lake = { commerce_v1: [], sync_v1: [], commerce_v2: [], sync_v2: [], objectives: [], refreshes: [], down: [], failAfterWrite: 0, beforeReply: null, refusals: {} };
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    const reply = (status, value) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    if (request.headers.authorization !== `Bearer ${token}`) return reply(401, {});
    const stream = /^\/v1\/streams\/(\w+)$/.exec(request.url)?.[1];
    if (lake.down.length > 0 && !stream?.startsWith("sync_")) return reply(lake.down.shift(), {});
    if (lake.refusals[stream] > 0) {
      lake.refusals[stream] -= 1;
      return reply(503, {});
    }
    if (stream) {
      const events = JSON.parse(body);
      await lake.beforeReply?.(stream, events);
      lake[stream].push(...events);
      if (lake.failAfterWrite > 0 && stream === "commerce_v1") {
        lake.failAfterWrite -= 1;
        return reply(503, {});
      }
      return reply(200, { accepted: events.length, rejected: [] });
    }
    if (request.url === "/v1/objective") {
      lake.objectives.push(JSON.parse(body));
      return reply(200, { objectives: [] });
    }
    if (request.url === "/v1/refresh") {
      lake.refreshes.push(JSON.parse(body));
      return reply(200, refreshed(lake.refreshes.length));
    }
    return reply(404, {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  lake.url = `http://127.0.0.1:${server.address().port}`;
  lake.ids = () => lake.commerce_v1.map(({ event_id }) => event_id);
  lake.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return lake;
}
