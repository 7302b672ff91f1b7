// Everything of a window: operations at Shopify, their results in the archive, rows in PostgreSQL, events in the stream.

const KINDS = ["orders_core", "orders_ledger", "products"];
/** The queries that read the ids of a whole shop, and what they are the ids of. */
const ID_KINDS = { order_ids: "order", product_ids: "product" };
/** Absent ids that one step looks up and marks deleted; several calls of Shopify. */
const DELETIONS_A_STEP = 1000;

/** How many operations of one app Shopify runs at once in a shop. */
const MAX_AT_ONCE = 5;
/** How often one query is asked for before its window is halved, or the run fails where a smaller window would not help. */
const TRIES = 3;
/**
 * How many polls without an end before an operation is given up, and after how many the next is awaited five times as long: with a
 * minute between two that is ten days, after which Shopify itself ends an operation. A request for which there is no room, a poll and
 * the wait for it are three steps.
 */
export const MAX_POLLS = 3_000;
const QUICK_POLLS = 60;

/** Synchronises `window` and returns the counts that must agree. `label` sets apart the steps of several windows of one run. */
export async function synchronise(runner, window, date, label = "") {
  const results = await collect(runner, KINDS, window, date, label);
  const totals = noCounts();
  for (const result of results) {
    await upsert(runner, result, totals);
    for await (const rest of restOf(runner, result)) await upsert(runner, rest, totals);
  }
  const operations = results.map(({ operation_id }) => operation_id);
  await stream(runner, operations, totals, label);
  return totals;
}

/** What a run counts, before it has. */
export const noCounts = () => ({ lines: 0, read: 0, upserted: 0, unchanged: 0, rejected: 0, events: 0, streamed: 0, events_rejected: 0 });

function addEvents(totals, sent) {
  for (const count of ["events", "streamed", "events_rejected"]) totals[count] += sent[count];
}

/** Products whose deletion since `from` Shopify remembers, whether or not a webhook told of it. Returns how many. */
export async function deletedProducts(runner, from, totals) {
  const sent = await runner.do("deleted products", "deleted_products", { from });
  addEvents(totals, sent);
  return sent.deleted;
}

/**
 * What is known and no longer at Shopify, by all ids of the shop as of the end of `window`: marked deleted. `most`: how many
 * deletions of a kind are believed. Returns the counts, by kind.
 */
export async function reconcileDeletions(runner, window, date, { days_readable, most }) {
  const found = {};
  const totals = noCounts();
  for (const result of await collect(runner, Object.keys(ID_KINDS), window, date, "")) {
    const { kind, lines, started_at } = result;
    const resource = ID_KINDS[kind];
    const { absent, list } = await runner.do(`compare ${kind}`, "compare", { ...result, resource, until: window.to, days_readable, most });
    // A run keeps what its steps answered, also over a deployment; an earlier one's answer had the ids themselves.
    if (Array.isArray(absent)) throw new Error(`earlier_deployment: compare ${kind}: start the run again`);
    found[kind] = { there: lines, absent, deleted: 0 };
    for (let from = 0; from < absent; from += DELETIONS_A_STEP) {
      const sent = await runner.do(`delete ${kind} ${from}`, "delete", { resource, list, from, most: DELETIONS_A_STEP, at: started_at });
      addEvents(totals, sent);
      found[kind].deleted += sent.deleted;
    }
  }
  return { ...found, totals };
}

/**
 * The whole results of the queries `kinds` over `window`: [{name, kind, operation_id, started_at, key, lines, bytes, cut}].
 *
 * Up to five operations run at once. One wait serves all of them: the webhook bulk_operations/finish ends it, or the time
 * until the next poll.
 */
async function collect(runner, kinds, window, date, label) {
  const item = (kind, window, name) => ({ kind, window, name, tries: 0, refusals: 0, excluded: [], operation_id: null });
  let open = kinds.map((kind) => item(kind, window, `${label}${kind}`));
  const results = [];
  for (let round = 1; open.length > 0; round += 1) {
    if (round > MAX_POLLS) throw new Error(`operation_endless: after ${MAX_POLLS} polls an operation still runs`);
    const running = open.filter(({ operation_id }) => operation_id !== null).length;
    const fitting = open.filter(({ operation_id }) => operation_id === null).slice(0, MAX_AT_ONCE - running);
    let isFull = false;
    for (const one of fitting) {
      isFull = !(await request(runner, one));
      if (isFull) break;
    }
    const waiting = open.filter(({ operation_id }) => operation_id !== null);
    const ids = waiting.map(({ operation_id }) => operation_id);
    const { operations } = ids.length > 0 ? await runner.do(`poll ${label}${round}`, "poll", { operations: ids }) : {};
    const next = open.filter(({ operation_id }) => operation_id === null);
    for (const [index, one] of waiting.entries()) {
      const { result, again } = await settle(runner, one, operations[index], date);
      if (result) results.push(result);
      next.push(...again);
    }
    open = next;
    if (isFull || open.some(({ operation_id }) => operation_id !== null)) await wait(runner, `${label}${round}`, round);
  }
  return results.sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** Starts the operation `one`, or finds it again; whether there was room for it. Others' operations may take all of it for days. */
async function request(runner, one) {
  const { kind, window, excluded, refusals } = one;
  const name = `request ${one.name} ${one.tries + 1}${refusals > 0 ? ` again ${refusals}` : ""}`;
  const { operation_id, full } = await runner.do(name, "request", { kind, window, excluded });
  if (full) {
    one.refusals += 1;
    return false;
  }
  Object.assign(one, { operation_id, tries: one.tries + 1, refusals: 0 });
  return true;
}

/** What the state of an operation leads to: a result, or what is still to be done. */
async function settle(runner, one, operation, date) {
  if (operation.state === "running") return { again: [one] };
  if (operation.state === "failed") throw new Error(`${operation.error_kind}: ${one.name}`);
  if (operation.state === "complete") {
    const { kind, operation_id } = one;
    const input = { operation_id, kind, started_at: operation.started_at, date };
    const result = await runner.do(`download ${one.name} ${one.tries}`, "download", input);
    if (!result.gone) return { result: { ...result, ...input, name: one.name }, again: [] };
  }
  return { again: await anew(runner, one, operation) };
}

/** The same query again, without the operation that failed; its halves when it has failed too often. */
async function anew(runner, one, operation) {
  const fresh = { ...one, operation_id: null, excluded: [...one.excluded, one.operation_id] };
  if (one.tries < TRIES) return [fresh];
  const error_kind = operation.error_kind ?? "result_gone";
  // A query of all ids has no beginning to move: its halves would be itself and a part of it.
  if (!operation.halves || ID_KINDS[one.kind]) throw new Error(`${error_kind}: ${one.name} failed ${TRIES} times`);
  const { windows } = await runner.do(`halve ${one.name}`, "halve", { window: one.window });
  if (windows.length < 2) throw new Error(`${error_kind}: ${one.name} cannot be halved any more`);
  return windows.map((window, index) => ({ ...fresh, window, name: `${one.name}.${index + 1}`, tries: 0, excluded: [] }));
}

/** Waits for the webhook; polling is the fallback. */
function wait(runner, name, round) {
  const between = Number(runner.env.POLL_MILLIS ?? 60_000);
  return runner.event(`finish ${name}`, "bulk_operations_finish", round > QUICK_POLLS ? 5 * between : between);
}

/** The connections that a result has cut, as results of their own. */
async function* restOf(runner, result) {
  if (!result.cut) return;
  const { kind, operation_id, started_at, key, name } = result;
  for (let from = 0; from !== null; ) {
    const input = { key, kind, operation_id, started_at, from };
    const { next, ...rest } = await runner.do(`rest ${name} ${from}`, "rest", input);
    yield { ...result, ...rest, name: `${name} rest ${from}`, cut: 0 };
    from = next;
  }
}

const ROWS = ["read", "upserted", "unchanged", "rejected"];

/**
 * One result into PostgreSQL, part by part. Where a redaction writes it anew meanwhile, it is read from its beginning once more: what
 * of it is there already is unchanged. How many lines it has then only its reading says.
 */
export async function upsert(runner, result, totals) {
  const { kind, operation_id, started_at, key, name } = result;
  let { bytes, etag, lines } = result;
  let rows = noCounts();
  for (let [offset, times] = [bytes > 0 ? 0 : null, 1]; offset !== null; ) {
    const input = { key, kind, operation_id, started_at, offset, size: bytes, etag };
    const step = times === 1 ? `upsert ${name} ${offset}` : `upsert ${name} again ${times} ${offset}`;
    const { next, counts, changed } = await runner.do(step, "upsert", input);
    if (changed) {
      ({ bytes, etag } = changed);
      [rows, lines, offset, times] = [noCounts(), null, bytes > 0 ? 0 : null, times + 1];
      continue;
    }
    for (const count of ROWS) rows[count] += counts[count];
    offset = next;
  }
  totals.lines += lines ?? rows.read;
  for (const count of ROWS) totals[count] += rows[count];
}

/** The events of what these operations have read, page by page. */
export async function stream(runner, operation_ids, totals, label = "") {
  let after = null;
  for (let page = 1; ; page += 1) {
    const sent = await runner.do(`stream ${label}${page}`, "stream", { operation_ids, after });
    addEvents(totals, sent);
    after = sent.next;
    if (after === null) return;
  }
}
