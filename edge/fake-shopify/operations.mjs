// Bulk operations and their life: CREATED, RUNNING, then COMPLETED, FAILED, CANCELED or EXPIRED; at most five at once.

import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { parse } from "graphql";
import { denied } from "./access.mjs";
import { bulkLines, lineText } from "./execute.mjs";
import { complaints } from "./rules.mjs";

const MAX_AT_ONCE = 5;
const IS_OVER = new Set(["COMPLETED", "FAILED", "CANCELED", "EXPIRED"]);
/** How an operation ends that selects what the app has no scope for: it is taken, and fails while it runs. */
const DENIED = { status: "FAILED", errorCode: "ACCESS_DENIED" };
const seconds = () => new Date().toISOString().replace(/\.\d+Z$/, "Z");

export class Operations {
  #next = 8_066_670_100_786n;
  #results = new Map();

  /** `shop`: see FakeShopify. */
  constructor(shop) {
    this.shop = shop;
    this.all = [];
  }

  running() {
    return this.all.filter(({ status }) => !IS_OVER.has(status));
  }

  find(id) {
    return this.all.find((operation) => operation.id === id) ?? null;
  }

  /** The payload of bulkOperationRunQuery. */
  run({ query }) {
    const errors = complaints(this.shop.schema, query).map((message) => ({ field: ["query"], message, code: "INVALID" }));
    if (errors.length > 0) return { bulkOperation: null, userErrors: errors };
    const running = this.running();
    if (running.length >= MAX_AT_ONCE) {
      const ids = running.map(({ id }) => id).join(", ");
      const message = `A bulk query operation for this app and shop is already in progress: ${ids}.`;
      return { bulkOperation: null, userErrors: [{ field: null, message, code: "OPERATION_IN_PROGRESS" }] };
    }
    const operation = this.add(query);
    this.#live(operation);
    return { bulkOperation: operation, userErrors: [] };
  }

  /** An operation that only is there: a stranger's, which runs for ever unless it is told otherwise. */
  add(query, more = {}) {
    this.#next += 32_768n;
    const operation = {
      id: `gid://shopify/BulkOperation/${this.#next}`,
      status: "CREATED",
      type: "QUERY",
      errorCode: null,
      createdAt: seconds(),
      completedAt: null,
      objectCount: "0",
      rootObjectCount: "0",
      fileSize: null,
      url: null,
      partialDataUrl: null,
      query,
      ...more,
    };
    this.all.push(operation);
    return operation;
  }

  cancel({ id }) {
    const operation = this.find(id);
    if (operation && !IS_OVER.has(operation.status)) operation.status = "CANCELING";
    return { bulkOperation: operation, userErrors: [] };
  }

  async #live(operation) {
    const { faults } = this.shop;
    operation.settings = { ...faults };
    await pause(faults.runMillis);
    if (operation.status === "CREATED") operation.status = "RUNNING";
    await pause(faults.runMillis);
    await faults.hold;
    const isDenied = denied(this.shop.schema, parse(operation.query), this.shop.scopes).length > 0;
    if (operation.status === "CANCELING") return this.end(operation, { status: "CANCELED" });
    await this.end(operation, isDenied ? DENIED : (faults.ending?.(operation, this.all.length) ?? {}));
  }

  /** Ends an operation: with its whole result, or as `ending` says (status, errorCode, withUrl, partial, objectCount). */
  async end(operation, ending) {
    const result = await this.#result(operation);
    const status = ending.status ?? "COMPLETED";
    const whole = status === "COMPLETED" || ending.withUrl;
    if (result.lines > 0) this.#results.set(operation.id, ending.withUrl ? await half(result) : result);
    const url = result.lines > 0 ? this.shop.resultUrl(operation.id) : null;
    Object.assign(operation, {
      objectCount: String(ending.objectCount?.(result.lines) ?? result.lines),
      rootObjectCount: String(result.roots),
      fileSize: whole ? String(result.bytes) : null,
      url: whole ? url : null,
      partialDataUrl: status === "FAILED" && ending.partial ? url : null,
      errorCode: ending.errorCode ?? null,
      completedAt: status === "COMPLETED" ? seconds() : null,
      status,
    });
    await this.shop.finished(operation);
  }

  async #result(operation) {
    const file = this.shop.files?.[kindOf(operation.query)];
    if (file) return fileResult(file);
    const { cutAt, shuffled, unlisted } = this.shop.faults;
    const listed = ({ id }) => id !== unlisted;
    const data = { orders: this.shop.data.orders.filter(listed), products: this.shop.data.products.filter(listed) };
    const lines = await bulkLines(this.shop.schema, operation.query, data, cutAt);
    const roots = lines.filter(({ __parentId }) => __parentId === undefined).length;
    if (shuffled) shuffle(lines);
    const text = lines.map((line) => lineText(line) + "\n").join("");
    return { lines: lines.length, roots, bytes: Buffer.byteLength(text), body: () => [text] };
  }

  /** The bytes of a result, in pieces. */
  result(id) {
    return this.#results.get(id);
  }
}

const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

const kindOf = (query) => IDS_OF[/^\{ (order|product)s\([^{]*\) \{ edges \{ node \{ __typename id \}/.exec(query)?.[1]] ?? contentOf(query);
const IDS_OF = { order: "order_ids", product: "product_ids" };
const contentOf = (query) => (query.includes("agreements") ? "orders_ledger" : query.includes("products(") ? "products" : "orders_core");

async function half(result) {
  const text = (await Array.fromAsync(result.body())).join("");
  return { ...result, body: () => [text.slice(0, text.length / 2)] };
}

/** A result that lies in a file, of any size. */
async function fileResult(path) {
  let lines = 0;
  let last = 10;
  const handle = await open(path);
  for await (const piece of handle.createReadStream()) {
    for (const byte of piece) if (byte === 10) lines += 1;
    last = piece.at(-1);
  }
  const { size } = await stat(path);
  return { lines: lines + (size > 0 && last !== 10 ? 1 : 0), roots: 0, bytes: size, body: () => createReadStream(path) };
}

/** The same for the same number of lines: a failure can be repeated. */
function shuffle(lines) {
  let state = 12345;
  for (let index = lines.length - 1; index > 0; index -= 1) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    const other = state % (index + 1);
    [lines[index], lines[other]] = [lines[other], lines[index]];
  }
}
