// Starting workflows and looking at them: by schedule, and over HTTP with a token.

import { SCHEDULES } from "./schedules.mjs";
import { tokensOf } from "./tokens.mjs";
import { createOnce, find, isAbsent, partId, partOf } from "./workflows.mjs";

const day = () => new Date().toISOString().slice(0, 10);
const handle = (shop) => shop.replace(/\.myshopify\.com$/, "").replace(/[^a-zA-Z0-9_-]/g, "_");
const plain = (text) => text.replace(/[^a-zA-Z0-9_-]/g, "_");

const daysOf = ({ from, until }) => [from, until].filter(Boolean).map((day) => plain(day.slice(0, 10))).join("-");

/** The day on which those who made Shopify opened their own shop: nothing is older, and each month before would be a run of queries. */
const FIRST_DAY = "2004-01-01";

function daysRefused(env, { from, until }) {
  const end = until === undefined || until === "now" ? Date.now() : Date.parse(until);
  const wrong = (detail) => ["bad_parameter", detail];
  if (Date.parse(from) < Date.parse(FIRST_DAY)) return wrong(`from is before ${FIRST_DAY}, when there was no Shopify`);
  if (Date.parse(from) > Date.now()) return wrong("from is yet to come");
  if (Date.parse(from) >= end) return wrong("until is not after from");
}

/** A replay reads what is kept of its own shop. */
async function prefixRefused(env, { shop, prefix }) {
  const response = await internal(env, "replayable", { shop_domain: shop, prefix });
  if (response.status === 200) return undefined;
  const { error_kind, detail } = await response.json();
  if (response.status !== 422) throw new Error(`replayable: ${response.status} ${error_kind}: ${detail}`);
  return [error_kind, detail];
}

const backfillKey = (id) => `orders_backfill_watermark/${id}`;

/**
 * The workflows by name: binding, whose it is, and the part of the instance's id after name and shop. The id makes a second
 * start of the same run find the first. `watermarkOf`: the key of the watermark of a run that is done in parts, by its id.
 * `moves`: the key of the watermark that tells whether a run is of before its shop was registered.
 * `repeats`: whether a run that is complete may be wanted once more, for what it looks at may have changed since.
 * `alone`: whether by schedule none begins beside an earlier one of its shop, whose work it would do once more.
 * `refusal`: why a run would read nothing, [reason, detail]; undefined where it would not.
 */
const WORKFLOWS = {
  daily_shopify_bulk_sync: { binding: "DAILY_SHOPIFY_BULK_SYNC", perShop: true, alone: true, run: ({ date }) => date, moves: () => "orders_last_watermark" },
  full_backfill: { binding: "FULL_BACKFILL", perShop: true, run: daysOf, needs: ["from"], refusal: daysRefused, moves: backfillKey, watermarkOf: backfillKey },
  measurement_refresh: { binding: "MEASUREMENT_REFRESH", run: ({ now }) => plain(now ?? new Date().toISOString().slice(0, 13)) },
  artifact_replication: { binding: "ARTIFACT_REPLICATION", run: () => plain(new Date().toISOString().slice(0, 16)) },
  webhook_reconcile: { binding: "WEBHOOK_RECONCILE", perShop: true, run: ({ date }) => date, repeats: true },
  deletion_reconcile: { binding: "DELETION_RECONCILE", perShop: true, run: ({ date }) => date },
  replay: { binding: "REPLAY", perShop: true, run: ({ prefix }) => plain(`${prefix.slice(-40)}-${Date.now()}`), needs: ["prefix"], refusal: prefixRefused },
};

/** Starts what `cron` is for, for every shop it is for: one that cannot be started does not cost the others their day. */
export async function scheduled(cron, env) {
  const name = SCHEDULES[cron];
  if (!name) throw new Error(`no workflow is scheduled at ${cron}`);
  const shops = WORKFLOWS[name].perShop ? JSON.parse(env.SHOPS) : [undefined];
  const starts = await Promise.allSettled(shops.map((shop) => begun(env, name, shop)));
  const failed = starts.flatMap(({ reason }, index) => (reason ? [`${shops[index]} (${reason.message ?? reason})`] : []));
  if (failed.length === 0) return;
  const message = `${name} was not started for ${failed.join(", ")}`;
  console.error(message);
  throw new Error(message);
}

/** Starts the run of a schedule. */
async function begun(env, name, shop) {
  const before = WORKFLOWS[name].alone && (await atWork(env, name, shop));
  if (!before) return start(env, name, { shop });
  console.warn(`${name} of ${shop} was not started: ${before} is still at work`);
}

/** The newest run of `name` that is at work for `shop`; undefined when there is none. One that was paused waits for somebody, perhaps for ever. */
async function atWork(env, name, shop) {
  const { runs } = await watermarks(env, "state", shop);
  for (const { workflow, instance_id } of runs) {
    if (workflow !== name) continue;
    const { status } = (await find(env[WORKFLOWS[name].binding], instance_id)) ?? {};
    if (["queued", "running", "waiting"].includes(status)) return instance_id;
  }
}

/** Most characters of an instance's id, of Cloudflare's 100: the number of the run and of its part follow. */
const MAX_ID = 87;

/** The id of the first run. A handle is cut where it has to be, what sets runs apart never. */
function firstId(name, shop, run) {
  const room = MAX_ID - name.length - run.length - 2;
  return [name, ...(shop === undefined ? [] : [handle(shop).slice(0, room)]), run].join("-").slice(0, MAX_ID);
}

/**
 * Starts a run, or finds its newest instance: then `status` is how that is. `again` starts another one under the next id where
 * the last one failed: the failed one stays as it is, and its telemetry too. A run that is done in parts goes on with its next
 * part then, and begins anew where it is complete, as does one that repeats.
 */
async function start(env, name, { again = false, ...given }) {
  const { binding, perShop, run, watermarkOf, moves, repeats } = WORKFLOWS[name];
  const params = { date: day(), ...given };
  const workflow = env[binding];
  const first = firstId(name, perShop ? params.shop : undefined, run(params));
  const runId = (number) => (number === 1 ? first : `${first}-${number}`);
  const known = async (id) => (await find(workflow, id)) ?? (watermarkOf && (await forgotten(env, params.shop, watermarkOf(id))));
  const begin = async (id) => {
    const status = (await createOnce(workflow, id, params)) ? "started" : (await find(workflow, id)).status;
    return { workflow: name, instance_id: id, status };
  };
  const last = await lastOf(runId, known);
  if (!last) return begin(first);
  const goesOn = watermarkOf || last.status === "complete";
  if (moves && goesOn && (await isOfBefore(env, params.shop, moves(last.id)))) return begin(runId(last.number + 1));
  const part = watermarkOf && (await newestPart(env, workflow, params.shop, last.id, watermarkOf(last.id)));
  const { id, status, error } = part ?? last;
  if (again && ["errored", "terminated"].includes(status)) return begin(part ? partId(last.id, part.number + 1) : runId(last.number + 1));
  if (status === "forgotten" || (again && (part || repeats) && status === "complete")) return begin(runId(last.number + 1));
  return { workflow: name, instance_id: id, status, error: whyOf({ error }) };
}

/** Why an instance failed, "error_kind: detail"; null where it has not. */
const whyOf = ({ error }) => error?.message ?? error ?? null;

/** Whether the watermark `key` moved last before the shop was registered: what was read until then was forgotten with the shop. */
async function isOfBefore(env, shop, key) {
  const { moved_at } = await watermarks(env, "get", shop, { key });
  if (!moved_at) return false;
  const response = await internal(env, "registration", { shop_domain: shop });
  // A shop that is not registered: the run that was found says so, or the next one will.
  if (response.status === 422) return false;
  if (response.status !== 200) throw new Error(`registration: ${response.status} ${await response.text()}`);
  return Date.parse(moved_at) < Date.parse((await response.json()).registered_at);
}

/**
 * The newest instance of the run `head`, whose watermark is `key`. Looked for from the one on that last moved it: a run may outlast
 * the instances of its first parts. That one may be gone too, and the next at work on its first month.
 */
async function newestPart(env, workflow, shop, head, key) {
  const { mover } = await watermarks(env, "get", shop, { key });
  const { number } = partOf(mover ?? head);
  const since = (first) => lastOf((number) => partId(head, number), (id) => find(workflow, id), first);
  return (await since(number)) ?? since(number + 1);
}

/** The last of the instances `idOf(first)`, `idOf(first + 1)`, ... that `known` finds; undefined when there is none. */
async function lastOf(idOf, known, first = 1) {
  let last;
  for (let number = first; ; number += 1) {
    const found = await known(idOf(number));
    if (!found) return last;
    last = { ...found, number, id: idOf(number) };
  }
}

/** A run whose instances Cloudflare no longer keeps has left its watermark, and its id must not go on from there. */
async function forgotten(env, shop, key) {
  const { watermark } = await watermarks(env, "get", shop, { key });
  return watermark ? { status: "forgotten" } : undefined;
}

/** How an instance is that takes no more steps. */
const OVER = ["complete", "errored", "terminated"];

const json = (status, body) => Response.json(body, { status });
const refuse = (status, reason, detail = "") => json(status, { reason, detail });

async function isAuthorised(request, env) {
  const digest = (text) => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const given = await digest((request.headers.get("authorization") ?? "").replace(/^Bearer /, ""));
  const same = tokensOf(env).map(async (token) => crypto.subtle.timingSafeEqual(given, await digest(token)));
  return (await Promise.all(same)).includes(true);
}

/** Answers a request from outside. Steps are not among the routes: they are reached over the binding to itself only. */
export async function route(request, env) {
  const url = new URL(request.url);
  const [room, ...path] = url.pathname.slice(1).split("/");
  if (room === "healthz" && request.method === "GET") return json(200, { status: "ok" });
  if (room !== "internal") return refuse(404, "not_found");
  if (!(await isAuthorised(request, env))) return refuse(401, "unauthorised", "the bearer token is missing or wrong");
  const [what, name, id, verb] = path;
  const key = `${request.method} ${what}`;
  if (key === "POST workflows" && WORKFLOWS[name] && !id) return begin(request, env, name);
  if (key === "POST workflows" && WORKFLOWS[name] && verb === "resume") return resume(env, name, id);
  if (key === "GET workflows" && WORKFLOWS[name] && id && !verb) return look(env, name, id);
  if (key === "POST stop" && !name) return stop(request, env);
  if (key === "GET status" && !name) return status(env, url.searchParams.get("shop") ?? "");
  if (key === "GET quarantine" && !name) return quarantine(env, url.searchParams);
  if (key === "POST finished" && !name) return finished(request, env);
  return refuse(404, "not_found");
}

const isTime = (text, orNow) => typeof text === "string" && ((orNow && text === "now") || !Number.isNaN(Date.parse(text)));

async function begin(request, env, name) {
  const body = await request.json().catch(() => null);
  if (body === null || typeof body !== "object") return refuse(400, "bad_parameter", "the body is a JSON object");
  const { perShop, needs = [], refusal } = WORKFLOWS[name];
  if (perShop && !JSON.parse(env.SHOPS).includes(body.shop)) return refuse(404, "unknown_shop", "this shop is not registered here");
  const absent = needs.find((parameter) => typeof body[parameter] !== "string" || body[parameter] === "");
  if (absent) return refuse(400, "bad_parameter", `${absent} is missing`);
  const wrong = ["from", "until"].find((day) => body[day] !== undefined && !isTime(body[day], day === "until"));
  if (wrong) return refuse(400, "bad_parameter", `${wrong} is no time`);
  const refused = await refusal?.(env, body);
  if (refused) return refuse(422, ...refused);
  return json(200, await start(env, name, body));
}

async function look(env, name, id) {
  try {
    const instance = await env[WORKFLOWS[name].binding].get(id);
    const { status, error, output } = await instance.status();
    return json(200, { workflow: name, instance_id: id, status, error: error ?? null, output: output ?? null });
  } catch (error) {
    if (isAbsent(error)) return refuse(404, "unknown_instance", id);
    throw error;
  }
}

/** Lets a run go on that stands still: one that was paused, or, locally, one that a restart has interrupted. */
async function resume(env, name, id) {
  const instance = await env[WORKFLOWS[name].binding].get(id);
  const { status } = await instance.status();
  if (status !== "paused") await instance.pause();
  await instance.resume();
  return json(200, { workflow: name, instance_id: id, status: "resumed" });
}

/**
 * Ends a run of a shop, and its operations at Shopify, which would hold places until they are done. Steps that it has taken stay;
 * `again` goes on as after a failure. To stop it once more cancels what was asked for in the moment of the first stop.
 */
async function stop(request, env) {
  const { shop, instance_id } = await request.json().catch(() => ({}));
  if (shop !== "*" && !JSON.parse(env.SHOPS).includes(shop)) return refuse(404, "unknown_shop", "this shop is not registered here");
  const name = Object.keys(WORKFLOWS).find((workflow) => String(instance_id).startsWith(`${workflow}-`));
  const { is_known, is_reported, operations } = name ? await watermarks(env, "waited", shop, { instance_id }) : {};
  const known = is_known && (await find(env[WORKFLOWS[name].binding], instance_id));
  if (!known) return refuse(404, "unknown_instance", `${instance_id} is no run of ${shop}`);
  const status = OVER.includes(known.status) ? known.status : await terminated(env[WORKFLOWS[name].binding], instance_id);
  const run = { workflow: name, instance_id, shop_domain: shop, step: "report", attempt: 1, source: "workflow" };
  const cancel = operations.length > 0 && (await tried(env, "cancel", { shop_domain: shop, operations }));
  // By whom it was ended and whenever: one that ends by itself has said so itself.
  const isSilent = status === "terminated" && !is_reported;
  const report = isSilent && (await tried(env, "step/report", { run, input: { error_kind: "stopped" } }));
  const undone = (what, { error_kind, detail }) => refuse(503, error_kind, `the run is over, ${what} (stop it again): ${detail}`);
  if (cancel?.error_kind) return undone("its operations at Shopify may not be", cancel);
  if (report?.error_kind) return undone("and SYNC_TELEMETRY does not know it", report);
  return json(200, { workflow: name, instance_id, status, cancelled: cancel?.cancelled ?? 0 });
}

/** Ends an instance. How it is then: it may have come to its own end meanwhile. */
async function terminated(workflow, id) {
  try {
    await (await workflow.get(id)).terminate();
    return "terminated";
  } catch (error) {
    const found = isOver(error) ? await find(workflow, id) : undefined;
    if (!OVER.includes(found?.status)) throw error;
    return found.status;
  }
}

/** Whether Cloudflare says that an instance takes no event any more, and cannot be ended: over, or no longer kept. */
const isOver = (error) => isAbsent(error) || /finite.?state/i.test(String(error));

const internal = (env, path, body) =>
  env.SELF.fetch(`http://sync/internal/${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${tokensOf(env)[0]}` },
    body: JSON.stringify(body),
  });

const answered = async (env, path, body, statuses) => {
  const response = await internal(env, path, body);
  if (!statuses.includes(response.status)) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
};

const asked = (env, path, body) => answered(env, path, body, [200]);

/** The same of what may fail: {error_kind, detail} then. */
const tried = (env, path, body) => answered(env, path, body, [200, 422, 503]);

const watermarks = (env, verb, shop_domain, more = {}) => asked(env, `watermark/${verb}`, { shop_domain, ...more });

/** Watermarks, their last moves, the newest runs with how each is, its last step and why it failed, and the newest steps of all of them. */
async function status(env, shop) {
  if (shop !== "*" && !JSON.parse(env.SHOPS).includes(shop)) return refuse(404, "unknown_shop", "this shop is not registered here");
  const { runs, ...state } = await watermarks(env, "state", shop);
  const how = async ({ workflow, instance_id, noted_at, step }) => {
    const instance = await env[WORKFLOWS[workflow].binding].get(instance_id).then((found) => found.status(), () => ({ status: "unknown" }));
    return { workflow, instance_id, status: instance.status, noted_at, step, error: whyOf(instance) };
  };
  return json(200, { shop_domain: shop, ...state, instances: await Promise.all(runs.map(how)) });
}

/** Keys of the lines and events of a shop that were not taken, a page of them; each can be replayed. */
async function quarantine(env, parameters) {
  const shop = parameters.get("shop") ?? "";
  if (!JSON.parse(env.SHOPS).includes(shop)) return refuse(404, "unknown_shop", "this shop is not registered here");
  const page = await env.BUCKET.list({ prefix: `quarantine/${shop}/`, cursor: parameters.get("cursor") ?? undefined });
  const records = page.objects.map(({ key, size, uploaded }) => ({ key, bytes: size, quarantined_at: uploaded.toISOString() }));
  return json(200, { records, cursor: page.truncated ? page.cursor : null });
}

/**
 * The webhook bulk_operations/finish: wakes the run that waits for the operation. A stranger's operation wakes nobody, nor does
 * one whose run is over, as when Shopify's notice came after a poll: to fail would have the webhook retried for nothing.
 */
async function finished(request, env) {
  const { shop, operation_id } = await request.json();
  if (!JSON.parse(env.SHOPS).includes(shop)) return refuse(404, "unknown_shop", "this shop is not registered here");
  const { workflow, instance_id } = await watermarks(env, "whose", shop, { operation_id });
  if (!instance_id) return json(200, { woken: null });
  try {
    const instance = await env[WORKFLOWS[workflow].binding].get(instance_id);
    await instance.sendEvent({ type: "bulk_operations_finish", payload: { operation_id } });
  } catch (error) {
    if (!isOver(error)) throw error;
    return json(200, { woken: null });
  }
  return json(200, { woken: instance_id });
}
