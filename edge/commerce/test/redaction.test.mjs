// Forgetting at the edge: what R2 keeps of a customer or a shop is gone before the request is acknowledged, everything else
// stays, and a certificate is kept.

import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptAll, until } from "./doubles.mjs";
import { SHOP, world } from "./world.mjs";

const CUSTOMER = 207119551;
const ORDER = 299938;
const EMAIL = "jane.doe@example.com";
const OTHER_SHOP = "other.myshopify.com";
const DAY = "2026-11-20";

const CERTIFICATE = {
  certificate_id: "c-1",
  shop_id: "1",
  redacted_at: "2026-11-24T10:00:02.000Z",
  removed: { "privacy.salt": 1 },
};

/** weir.ingest that accepts everything, and functions that give the certificate; `requests` has what they were asked. */
function postgresOf(requests, { refuseCertificates = 0 } = {}) {
  let refusals = refuseCertificates;
  return (argument, _number, name) => {
    if (name === "ingest") return acceptAll(argument);
    requests.push([name, argument]);
    return refusals-- > 0 ? null : { ...CERTIFICATE, subject: name };
  };
}

const record = (id, { topic = "orders/create", shop = SHOP, reason = "missing_field", ...body }) => [
  `quarantine/${DAY}/${shop}/${id}.json`,
  JSON.stringify({
    reason,
    detail: "",
    quarantined_at: `${DAY}T10:00:00.000Z`,
    delivery: { webhook_id: id, topic, shop_domain: shop, received_at: `${DAY}T10:00:00.000Z`, body: JSON.stringify(body) },
  }),
];

/** What a deployment keeps of a message `text` that it cannot read: nobody says whose it is. */
const unreadable = (id, text) => [
  `quarantine/${DAY}/unknown/message-${id}.json`,
  JSON.stringify({
    reason: "unreadable_message",
    detail: "the queue message is not a delivery",
    quarantined_at: `${DAY}T10:00:00.000Z`,
    delivery: { webhook_id: `message-${id}`, topic: "unknown", shop_domain: "unknown", received_at: `${DAY}T10:00:00.000Z`, body: text },
  }),
];

/** A message as it travels: a line of JSON, then the body. */
const message = (id, { topic, shop = SHOP, ...body }) => {
  const text = JSON.stringify(body);
  const delivery = { webhook_id: id, topic, shop_domain: shop, received_at: `${DAY}T10:00:00.000Z`, body: "" };
  return `${JSON.stringify({ delivery, body_bytes: text.length })}\n${text}`;
};

/** Puts messages that an older deployment could not read; the keys of those that do not name the customer. */
async function putUnreadable({ commerce, publication }) {
  const named = [
    unreadable("id", message("unread-id", { topic: "customers/update", id: CUSTOMER })),
    unreadable("order", message("unread-order", { topic: "orders/create", id: ORDER })),
    unreadable("request", message("unread-request", { topic: "customers/data_request", shop_domain: SHOP, customer: { id: CUSTOMER, email: EMAIL } })),
    unreadable("none-of-ours", `v9\u0001${EMAIL}\u0002`),
  ];
  const others = [
    unreadable("product", message("unread-product", { topic: "products/update", id: CUSTOMER })),
    unreadable("elsewhere", message("unread-elsewhere", { topic: "customers/update", shop: OTHER_SHOP, id: CUSTOMER })),
    unreadable("neither", "not one of ours"),
  ];
  for (const [key, text] of [...named, ...others]) await commerce.put(key, text);
  const interaction = { reason: "unreadable_message", message: null, text: `v9 ${SHOP} ${ORDER}` };
  await publication.put(`quarantine/${DAY}/unknown/message-1.json`, JSON.stringify(interaction));
  return { others: others.map(([key]) => key) };
}

async function bucketsOf({ miniflare }) {
  const names = { commerce: "BUCKET", publication: "PUBLICATION_BUCKET", sync: "SYNC_BUCKET" };
  const opened = Object.entries(names).map(async ([name, binding]) => [name, await miniflare.getR2Bucket(binding, "commerce")]);
  return Object.fromEntries(await Promise.all(opened));
}

const keysOf = async (bucket, prefix = "") => (await bucket.list({ prefix })).objects.map(({ key }) => key).sort();

const certificateOf = (bucket) =>
  until("the certificate", async () => {
    const [key] = await keysOf(bucket, "certificates/");
    return key && { key, certificate: await (await bucket.get(key)).json() };
  });

const redactCustomer = JSON.stringify({
  shop_id: 1,
  shop_domain: SHOP,
  customer: { id: CUSTOMER, email: EMAIL, phone: "555-625-1199" },
  orders_to_redact: [ORDER],
});

const orderLine = (id, customer) =>
  `{"__typename":"Order","id":"gid:\\/\\/shopify\\/Order\\/${id}","customer":{"id":"gid:\\/\\/shopify\\/Customer\\/${customer}"},"customAttributes":[{"key":"gift","value":"for Jane"},{"key":"weir_publisher","value":"blog"}],"rate":0.10}`;
const childLine = `{"__typename":"LineItem","id":"gid:\\/\\/shopify\\/LineItem\\/${CUSTOMER}","__parentId":"gid:\\/\\/shopify\\/Order\\/${ORDER}"}`;
const UNNAMED = [orderLine(1, 6), childLine, orderLine(CUSTOMER, 8)];
/** A result that names the customer by id and by order among others. */
const NAMED = [orderLine(2, CUSTOMER), ...UNNAMED, orderLine(ORDER, 9)];

/** What names the customer in each room, and what does not. */
async function furnish({ commerce, publication, sync }) {
  const named = [
    record("by-id", { id: 1, customer: { id: CUSTOMER } }),
    record("by-order", { id: ORDER }),
    record("by-email", { id: 2, contact_email: EMAIL.toUpperCase() }),
  ];
  const others = [
    record("of-another", { id: 3, customer: { id: 4 }, email: "john@example.com" }),
    record("same-id-elsewhere", { id: 1, shop: OTHER_SHOP, customer: { id: CUSTOMER } }),
  ];
  for (const [key, text] of [...named, ...others]) await commerce.put(key, text);
  const interaction = (order_id) =>
    JSON.stringify({ reason: "x", message: { kind: "interaction", event: { event_id: "e", shop_domain: SHOP, order_id, visitor_key: "v", session_key: "s", publisher_id: "blog" } } });
  await publication.put(`quarantine/${DAY}/${SHOP}/e-1.json`, interaction(String(ORDER)));
  await publication.put(`quarantine/${DAY}/${SHOP}/e-2.json`, interaction("5"));
  const lines = (id) => JSON.stringify({ lines: `{"id":"gid://shopify/Order/1","customer":{"id":"gid://shopify/Customer/${id}"}}\n{}` });
  await sync.put(`quarantine/${SHOP}/${DAY}/1.json`, lines(CUSTOMER));
  await sync.put(`quarantine/${SHOP}/${DAY}/2.json`, lines(6));
  await sync.put(`replay/${SHOP}/${DAY}/1.jsonl`, `${orderLine(1, CUSTOMER)}\n`);
  const customMetadata = { kind: "orders_core", operation_id: "gid://shopify/BulkOperation/1", started_at: `${DAY}T10:00:00Z` };
  await sync.put(`archive/${SHOP}/${DAY}/1.jsonl`, `${NAMED.join("\n")}\n`, { customMetadata });
  await sync.put(`archive/${SHOP}/${DAY}/2.jsonl`, `${UNNAMED.join("\n")}\n`, { customMetadata });
  await sync.put(`archive/${OTHER_SHOP}/${DAY}/1.jsonl`, `${NAMED.join("\n")}\n`, { customMetadata });
  return { named: named.map(([key]) => key), others: others.map(([key]) => key) };
}

test("customers/redact: what names the customer goes, in every bucket, and is given to PostgreSQL once more before", async (t) => {
  const requests = [];
  const started = await world(t, { answer: postgresOf(requests, { refuseCertificates: 1 }) });
  const { deliver, postgres, log } = started;
  const buckets = await bucketsOf(started);
  const { others } = await furnish(buckets);
  // A body too large for a message.
  const large = JSON.stringify({ id: 7, customer: { id: CUSTOMER }, note: "x".repeat(200_000) });
  assert.equal((await deliver(large, { id: "large" })).status, 200);
  await until("the large body in PostgreSQL", () => postgres.calls.flat().some(({ webhook_id }) => webhook_id === "large"));
  assert.equal((await keysOf(buckets.commerce, "bodies/")).length, 1);

  assert.equal((await deliver(redactCustomer, { id: "redact", topic: "customers/redact" })).status, 200);
  const { key, certificate } = await certificateOf(buckets.commerce);
  assert.deepEqual(await keysOf(buckets.commerce), [key, ...others].sort());
  // An attribution is the publisher's: it stays, and nobody can tell whose it was.
  const interactions = ["e-1", "e-2"].map((id) => `quarantine/${DAY}/${SHOP}/${id}.json`);
  assert.deepEqual(await keysOf(buckets.publication), interactions);
  const [ofOrder, ofAnother] = await Promise.all(interactions.map(async (key) => (await (await buckets.publication.get(key)).json()).message.event));
  assert.deepEqual(ofOrder, { event_id: "e", shop_domain: SHOP, order_id: String(ORDER), publisher_id: "blog" });
  assert.equal(ofAnother.visitor_key, "v");
  assert.deepEqual(await keysOf(buckets.sync, "quarantine/"), [`quarantine/${SHOP}/${DAY}/2.json`]);
  assert.deepEqual(await keysOf(buckets.sync, "replay/"), []);
  assert.equal((await keysOf(buckets.sync, "archive/")).length, 3, "results are whole operations and stay");
  const archived = async (key) => buckets.sync.get(`archive/${key}.jsonl`);
  const rewritten = await archived(`${SHOP}/${DAY}/1`);
  const lines = (await rewritten.text()).trimEnd().split("\n");
  assert.deepEqual(lines.slice(1, -1), UNNAMED, "byte for byte");
  for (const [line, id] of [[lines[0], 2], [lines.at(-1), ORDER]]) {
    const { customer, customAttributes, ...order } = JSON.parse(line);
    assert.deepEqual([customer, customAttributes], [undefined, [{ key: "weir_publisher", value: "blog" }]]);
    assert.equal(order.id, `gid://shopify/Order/${id}`);
    assert.ok(line.includes('"rate":0.10'), line);
  }
  assert.equal(rewritten.customMetadata.kind, "orders_core", "a replay still knows what it is");
  assert.equal(await (await archived(`${SHOP}/${DAY}/2`)).text(), `${UNNAMED.join("\n")}\n`);
  assert.equal(await (await archived(`${OTHER_SHOP}/${DAY}/1`)).text(), `${NAMED.join("\n")}\n`);

  assert.equal(key, "certificates/2026-11-24/c-1.json");
  assert.deepEqual([certificate.shop_id, certificate.removed], ["1", CERTIFICATE.removed]);
  for (const personal of [EMAIL, String(CUSTOMER), "555-625-1199"]) {
    assert.ok(!JSON.stringify(certificate).includes(personal));
    assert.ok(!log.some((line) => line.includes(personal)), personal);
  }
  assert.ok(log.some((line) => line.includes(key)));
  assert.deepEqual(requests[0], ["redact_customer", { customer_id: CUSTOMER, orders: [ORDER], shop_domain: SHOP }]);
  assert.equal(requests.length, 2, "the lost answer was asked for again");

  const again = postgres.calls.filter(Array.isArray).flat().map(({ webhook_id }) => webhook_id);
  for (const id of ["by-id", "by-order", "by-email", "large"]) assert.ok(again.lastIndexOf(id) > again.indexOf("redact"), id);
  const replayed = postgres.calls.filter(Array.isArray).flat().find(({ webhook_id }) => webhook_id === "by-id");
  assert.equal(replayed.source, "replay");
  const rest = postgres.calls.filter(Array.isArray).flat().findLast(({ webhook_id }) => webhook_id === "large");
  assert.equal(rest.body, large);
});

test("a repeated customers/redact changes nothing: the certificate keeps its counts", async (t) => {
  const started = await world(t, { answer: postgresOf([]) });
  const buckets = await bucketsOf(started);
  await furnish(buckets);
  await started.deliver(redactCustomer, { id: "redact", topic: "customers/redact" });
  const { key, certificate } = await certificateOf(buckets.commerce);
  const counts = {
    "commerce/bodies": 0,
    "commerce/quarantine": 3,
    "publication/quarantine": 1,
    "sync/quarantine": 1,
    "sync/archive": 1,
    "sync/replay": 1,
  };
  assert.deepEqual(certificate.objects, counts);
  const certified = () => started.log.filter((line) => line.includes(`certificate ${key}`)).length;
  await until("the line in the log", () => certified() === 1);
  await started.deliver(redactCustomer, { id: "redact", topic: "customers/redact" });
  await until("the second run", () => certified() === 2);
  assert.deepEqual((await certificateOf(buckets.commerce)).certificate, certificate);
});

test("customers/redact: what an older deployment could not read is read again, and goes like everything else", async (t) => {
  const started = await world(t, { answer: postgresOf([]) });
  const buckets = await bucketsOf(started);
  const { others } = await putUnreadable(buckets);
  await started.deliver(redactCustomer, { id: "redact", topic: "customers/redact" });
  const { key } = await certificateOf(buckets.commerce);
  assert.deepEqual(await keysOf(buckets.commerce), [key, ...others].sort());
  assert.deepEqual(await keysOf(buckets.publication), []);
  const taken = started.postgres.calls.filter(Array.isArray).flat();
  const order = taken.find(({ webhook_id }) => webhook_id === "unread-order");
  assert.deepEqual(JSON.parse(order.body), { id: ORDER }, "PostgreSQL, which has forgotten the customer, has it");
  assert.ok(taken.some(({ webhook_id }) => webhook_id === "unread-request"), "a request that was never answered is not lost");
  assert.ok(!started.log.some((line) => line.includes(EMAIL)));
});

test("shop/redact: what an older deployment could not read goes too, where it is the shop's", async (t) => {
  const started = await world(t, { answer: postgresOf([]) });
  const buckets = await bucketsOf(started);
  await putUnreadable(buckets);
  const similar = unreadable("similar", `{"shop": "my-${SHOP}"}`);
  await buckets.commerce.put(...similar);
  await started.deliver(JSON.stringify({ shop_domain: SHOP }), { id: "redact", topic: "shop/redact" });
  await certificateOf(buckets.commerce);
  const left = (await keysOf(buckets.commerce, "quarantine/")).map((key) => key.replace(/^.*message-|\.json$/g, ""));
  assert.deepEqual(left, ["elsewhere", "neither", "none-of-ours", "similar"]);
  assert.deepEqual(await keysOf(buckets.publication), []);
});

test("shop/redact: everything of the shop goes, in several runs, and nothing of another shop", async (t) => {
  const requests = [];
  const started = await world(t, { answer: postgresOf(requests), redactionPassObjects: 7 });
  const { deliver, postgres } = started;
  const buckets = await bucketsOf(started);
  await furnish(buckets);
  for (let index = 0; index < 40; index += 1) {
    const [key, text] = record(`w-${String(index).padStart(2, "0")}`, { id: index, shop: index % 2 ? OTHER_SHOP : SHOP });
    await buckets.commerce.put(key, text);
  }
  const body = JSON.stringify({ shop_id: 1, shop_domain: SHOP });
  assert.equal((await deliver(body, { id: "redact", topic: "shop/redact" })).status, 200);
  const { key, certificate } = await certificateOf(buckets.commerce);
  const left = await keysOf(buckets.commerce, "quarantine/");
  assert.equal(left.length, 21);
  assert.ok(left.every((name) => name.includes(OTHER_SHOP)), left.join());
  assert.deepEqual(await keysOf(buckets.publication), []);
  assert.deepEqual(await keysOf(buckets.sync), [`archive/${OTHER_SHOP}/${DAY}/1.jsonl`]);
  const [[name, { requested_at, ...asked }], ...more] = requests;
  assert.deepEqual([name, asked, typeof requested_at, more], ["redact_shop", { shop_domain: SHOP }, "string", []]);
  assert.equal(certificate.objects["commerce/quarantine"], 24);
  assert.deepEqual(await keysOf(buckets.commerce, "certificates/"), [key]);
  const runs = postgres.calls.filter(Array.isArray).flat().filter(({ webhook_id }) => webhook_id === "redact");
  assert.equal(runs.length, 1, "a later run does not ask PostgreSQL again, where the shop may have registered anew");
});

/** A record of an order received at `received_at`, and a large body. */
async function putReceived({ commerce }, id, received_at) {
  const delivery = { webhook_id: id, topic: "orders/create", shop_domain: SHOP, received_at, body: "" };
  const text = JSON.stringify({ reason: "retries_exhausted", detail: "", quarantined_at: received_at, delivery: { ...delivery, body: "{}" } });
  await commerce.put(`quarantine/${received_at.slice(0, 10)}/${SHOP}/orders_create/${id}.json`, text);
  const customMetadata = { delivery: JSON.stringify(delivery) };
  await commerce.put(`bodies/${received_at.slice(0, 10)}/${SHOP}/orders_create/${id}.json`, "{}", { customMetadata });
}

const leftOf = async ({ commerce }) => (await keysOf(commerce)).filter((key) => !key.startsWith("certificates/")).map((key) => key.replace(/^(\w+)\/.*\/|\.json$/g, "$1 ").trim());

test("shop/redact: the second time asks PostgreSQL for nothing, and what was received since stays", async (t) => {
  const requests = [];
  const started = await world(t, { answer: postgresOf(requests), redactionAgainSeconds: 2 });
  const buckets = await bucketsOf(started);
  await started.deliver(JSON.stringify({ shop_domain: SHOP }), { id: "redact", topic: "shop/redact" });
  await certificateOf(buckets.commerce);
  await putReceived(buckets, "before", `${DAY}T10:00:00.000Z`);
  await putReceived(buckets, "since", new Date().toISOString());
  await until("what was on its way is gone", async () => (await leftOf(buckets)).join() === "bodies since,quarantine since");
  await until("the certificate of both", async () => (await certificateOf(buckets.commerce)).certificate.objects["commerce/quarantine"] === 1);
  const runs = started.postgres.calls.filter(Array.isArray).flat().filter(({ webhook_id }) => webhook_id === "redact");
  assert.deepEqual([runs.length, requests.length], [1, 1]);
});

test("shop/redact of before the shop registered anew: what was received since then stays", async (t) => {
  const hour = 3_600_000;
  const at = (millis) => new Date(Date.now() - millis).toISOString();
  const forgotten = postgresOf([]);
  const answer = (argument, number, name) => ({ ...forgotten(argument, number, name), ...(name === "ingest" ? {} : { registered_anew_at: at(hour) }) });
  const started = await world(t, { answer });
  const buckets = await bucketsOf(started);
  await putReceived(buckets, "before", at(2 * hour));
  await putReceived(buckets, "since", at(hour / 2));
  await started.deliver(JSON.stringify({ shop_domain: SHOP }), { id: "redact", topic: "shop/redact" });
  const { certificate } = await certificateOf(buckets.commerce);
  assert.deepEqual(await leftOf(buckets), ["bodies since", "quarantine since"]);
  assert.equal(certificate.registered_anew_at, undefined);
});

test("customers/redact: of rows that wait for the stream those of others stay", async (t) => {
  const started = await world(t, { answer: postgresOf([]) });
  const { commerce, publication } = await bucketsOf(started);
  const row = (event_id, order_id) => ({ event_id, shop_domain: SHOP, order_id, visitor_key: event_id });
  const kept = (...rows) => JSON.stringify({ reason: "retries_exhausted", detail: "", quarantined_at: `${DAY}T10:00:00.000Z`, message_id: "1", message: { kind: "rows", rows, replays: 0 } });
  const [both, hers, theirs] = ["both", "hers", "theirs"].map((id) => `quarantine/${DAY}/${SHOP}/${id}.json`);
  await publication.put(both, kept(row("a", String(ORDER)), row("b", "5"), row("c", null)), { customMetadata: { reason: "retries_exhausted" } });
  await publication.put(hers, kept(row("d", String(ORDER))));
  await publication.put(theirs, kept(row("e", "5")));
  await started.deliver(redactCustomer, { id: "redact", topic: "customers/redact" });
  const { certificate } = await certificateOf(commerce);
  assert.equal(certificate.objects["publication/quarantine"], 2);
  assert.deepEqual(await keysOf(publication), [both, theirs]);
  const rewritten = await publication.get(both);
  assert.equal(rewritten.customMetadata.reason, "retries_exhausted");
  assert.deepEqual(await rewritten.json(), JSON.parse(kept(row("b", "5"), row("c", null))));
  assert.equal(await (await publication.get(theirs)).text(), kept(row("e", "5")));
});

test("PostgreSQL is away while a customer is to be forgotten: nothing is acknowledged, and then everything is done", async (t) => {
  let away = true;
  const answer = postgresOf([]);
  const started = await world(t, { answer: (...call) => (away ? null : answer(...call)) });
  const buckets = await bucketsOf(started);
  const { named } = await furnish(buckets);
  await started.deliver(redactCustomer, { id: "redact", topic: "customers/redact" });
  await until("a retry", () => started.log.some((line) => line.includes("again in")));
  assert.ok((await keysOf(buckets.commerce, "quarantine/")).includes(named[0]));
  away = false;
  await certificateOf(buckets.commerce);
  assert.ok(!(await keysOf(buckets.commerce, "quarantine/")).includes(named[0]));
});

test("customers/redact with a contact and orders and no id: everything is forgotten, and no address is kept", async (t) => {
  const requests = [];
  const started = await world(t, { answer: postgresOf(requests) });
  const buckets = await bucketsOf(started);
  const { others } = await furnish(buckets);
  const body = JSON.stringify({ shop_domain: SHOP, customer: { email: EMAIL, phone: null }, orders_to_redact: [ORDER] });
  assert.equal((await started.deliver(body, { id: "redact", topic: "customers/redact" })).status, 200);
  const { key, certificate } = await certificateOf(buckets.commerce);
  assert.deepEqual(requests, [["redact_customer", { customer_id: null, orders: [ORDER], shop_domain: SHOP }]]);
  // Only by their id would the request find this one: it names somebody whom the request does not.
  const byId = record("by-id", { id: 1, customer: { id: CUSTOMER } })[0];
  assert.deepEqual(await keysOf(buckets.commerce), [key, byId, ...others].sort());
  assert.deepEqual(certificate.objects["sync/archive"], 1);
  const lines = (await (await buckets.sync.get(`archive/${SHOP}/${DAY}/1.jsonl`)).text()).trimEnd().split("\n");
  assert.deepEqual(lines.slice(0, -1), [orderLine(2, CUSTOMER), ...UNNAMED], "byte for byte");
  const { customer, id } = JSON.parse(lines.at(-1));
  assert.deepEqual([customer, id], [undefined, `gid://shopify/Order/${ORDER}`]);
  for (const bucket of Object.values(buckets)) {
    for (const key of await keysOf(bucket)) {
      assert.ok(!(await (await bucket.get(key)).text()).toLowerCase().includes(EMAIL), key);
    }
  }
  assert.ok(!started.log.some((line) => line.includes(EMAIL)));
});

test("customers/redact with a contact alone: the edge forgets by contact, and the quarantine keeps no address", async (t) => {
  const refuse = (argument, _number, name) => {
    assert.equal(name, "ingest");
    const result = acceptAll(argument);
    argument.forEach(({ topic }, index) => {
      if (topic !== "customers/redact") return;
      Object.assign(result.deliveries[index], { verdict: "rejected", reason: "missing_field", detail: "customer.id", event_ids: [] });
    });
    return result;
  };
  const started = await world(t, { answer: refuse });
  const buckets = await bucketsOf(started);
  await buckets.commerce.put(...record("by-email", { id: 2, email: EMAIL }));
  const body = JSON.stringify({ shop_domain: SHOP, customer: { email: EMAIL, phone: null }, orders_to_redact: [] });
  assert.equal((await started.deliver(body, { id: "redact", topic: "customers/redact" })).status, 200);
  const [kept] = await until("the record", async () => {
    const records = await started.quarantine();
    return records.length === 1 && records[0].webhook_id === "redact" && records;
  });
  assert.equal(kept.reason, "missing_field");
  assert.match(kept.detail, /^customer\.id; of this request its numbers alone are kept$/);
  assert.deepEqual(JSON.parse(kept.record.delivery.body), { customer: {}, orders_to_redact: [], shop_domain: SHOP });
  assert.ok(!JSON.stringify(kept).includes(EMAIL));

  // Not even JSON: nothing of it is kept but that it came.
  const broken = `{"customer": {"email": "${EMAIL}"`;
  assert.equal((await started.deliver(broken, { id: "broken", topic: "customers/redact" })).status, 422);
  const both = await started.quarantine();
  assert.deepEqual(both.map(({ webhook_id }) => webhook_id).sort(), ["broken", "redact"]);
  assert.ok(!JSON.stringify(both).includes(EMAIL));
});

test("customers/redact too large for a message: done in several runs, and its own body goes last", async (t) => {
  const started = await world(t, { answer: postgresOf([], { refuseCertificates: 1 }), redactionPassObjects: 7, redactionAgainSeconds: 0 });
  const { deliver, log, quarantine } = started;
  const buckets = await bucketsOf(started);
  const { others } = await furnish(buckets);
  for (let index = 0; index < 20; index += 1) await buckets.commerce.put(...record(`other-${index}`, { id: 3, customer: { id: 4 } }));
  const orders_to_redact = [ORDER, ...Array.from({ length: 20_000 }, (_, index) => 5_000_000_000_000 + index)];
  const body = JSON.stringify({ ...JSON.parse(redactCustomer), orders_to_redact });
  assert.equal((await deliver(body, { id: "redact", topic: "customers/redact" })).status, 200);
  const { certificate } = await certificateOf(buckets.commerce);
  assert.equal(certificate.objects["commerce/quarantine"], 3);
  await until("its own body gone", async () => (await keysOf(buckets.commerce, "bodies/")).length === 0);
  const left = (await quarantine()).map(({ key }) => key).filter((key) => !key.includes("other-"));
  assert.deepEqual(left.sort(), others.sort());
  assert.ok(!log.some((line) => line.includes("body_missing")));
});

/** The built Worker; `GET /batches` says how many batches came. */
const COUNTING = `
import { WorkerEntrypoint } from "cloudflare:workers";
import Worker from "./build/index.js";
export * from "./build/index.js";

let batches = 0;

export default class extends WorkerEntrypoint {
  fetch(request) {
    return new URL(request.url).pathname === "/batches" ? Response.json(batches) : new Worker(this.ctx, this.env).fetch(request);
  }
  queue(batch) {
    batches += 1;
    return new Worker(this.ctx, this.env).queue(batch);
  }
}
`;

const askedToForget = ({ postgres }) => postgres.calls.filter(Array.isArray).flat().filter(({ webhook_id }) => webhook_id === "redact").length;

test("each result of the archive is looked at for what it costs before the next is begun: one that is not read costs as any object", async (t) => {
  // Four rooms take a request each, a result forty and its page one.
  const customer = [redactCustomer, "customers/redact"];
  const shop = [JSON.stringify({ shop_domain: SHOP }), "shop/redact"];
  for (const [kind, [body, topic], removed, runs] of [
    ["orders_core", customer, 3, 3 + 1], // one run for each, and one for the last room
    ["orders_ledger", customer, 0, 1],
    ["orders_core", shop, 3, 1],
  ]) {
    const started = await world(t, { answer: postgresOf([]), redactionPassObjects: 41, redactionAgainSeconds: 0, entry: COUNTING });
    const { commerce, sync } = await bucketsOf(started);
    const customMetadata = { kind, started_at: `${DAY}T10:00:00Z` };
    for (const name of [1, 2, 3]) await sync.put(`archive/${SHOP}/${DAY}/${name}.jsonl`, NAMED.join("\n") + "\n", { customMetadata });
    await started.deliver(body, { id: "redact", topic });
    const { certificate } = await certificateOf(commerce);
    assert.equal(certificate.objects["sync/archive"], removed, `${topic} ${kind}`);
    assert.equal(await (await fetch(`${started.url}/batches`)).json(), runs, `runs of ${topic} over ${kind}`);
  }
});

test("PostgreSQL forgets a customer once in each sweep, in however many runs that is done", async (t) => {
  const started = await world(t, { answer: postgresOf([]), redactionPassObjects: 1, redactionAgainSeconds: 2 });
  const { commerce } = await bucketsOf(started);
  await furnish(await bucketsOf(started));
  await started.deliver(redactCustomer, { id: "redact", topic: "customers/redact" });
  const { key } = await certificateOf(commerce);
  assert.equal(askedToForget(started), 1);
  await until("the second sweep", () => started.log.filter((line) => line.includes(`certificate ${key}`)).length === 2);
  assert.equal(askedToForget(started), 2);
});

test("customers/redact: an earlier request about the same customer that was never done is done too, with its own orders", async (t) => {
  const requests = [];
  const started = await world(t, { answer: postgresOf(requests) });
  const buckets = await bucketsOf(started);
  const earlier = { reason: "retries_exhausted", topic: "customers/redact", customer: { id: CUSTOMER }, orders_to_redact: [77] };
  await buckets.commerce.put(...record("earlier", { ...earlier, shop_domain: SHOP }));
  await buckets.commerce.put(...record("by-its-order", { id: 77 }));
  // An earlier deployment kept of it not whose it is: it is neither carried out nor lost.
  const unsaid = record("unsaid", earlier);
  await buckets.commerce.put(...unsaid);
  await started.deliver(redactCustomer, { id: "redact", topic: "customers/redact" });
  await until("both certificates", () => requests.length === 2);
  assert.deepEqual(requests.map(([, { orders }]) => orders), [[ORDER], [77]]);
  await until("what the earlier one names is gone", async () => (await keysOf(buckets.commerce, "quarantine/")).join() === unsaid[0]);
});

test("customers/redact: of what was refused of a bulk operation other people's lines stay", async (t) => {
  const started = await world(t, { answer: postgresOf([]) });
  const { sync, commerce } = await bucketsOf(started);
  const refusal = (id, customer) => ({ reason: "type_mismatch", detail: "test", id: `gid://shopify/Order/${id}`, line: orderLine(id, customer) });
  const run = { operation_id: "gid://shopify/BulkOperation/1", kind: "orders_core", source: "bulk_sync" };
  const chunk = (...rejections) => JSON.stringify({ shop_domain: SHOP, object: `archive/${SHOP}/${DAY}/1.jsonl`, run, rejections });
  const [both, hers, theirs] = ["both", "hers", "theirs"].map((name) => `quarantine/${SHOP}/run-1/${name}.json`);
  await sync.put(both, chunk(refusal(1, CUSTOMER), refusal(2, 6), refusal(ORDER, 9)));
  await sync.put(hers, chunk(refusal(3, CUSTOMER)));
  await sync.put(theirs, chunk(refusal(4, 6)));
  await started.deliver(redactCustomer, { id: "redact", topic: "customers/redact" });
  const { certificate } = await certificateOf(commerce);
  assert.equal(certificate.objects["sync/quarantine"], 2);
  assert.deepEqual(await keysOf(sync), [both, theirs].sort());
  assert.deepEqual(await (await sync.get(both)).json(), JSON.parse(chunk(refusal(2, 6))));
  assert.equal(await (await sync.get(theirs)).text(), chunk(refusal(4, 6)));
});

test("requests of a shop that PostgreSQL does not know are kept, each once, and none revives another", async (t) => {
  const requests = [];
  const refuse = (argument, _number, name) => {
    if (name !== "ingest") {
      requests.push(name);
      return { sqlstate: "22023", text: "the shop is not registered" };
    }
    const result = acceptAll(argument);
    for (const verdict of result.deliveries) Object.assign(verdict, { verdict: "rejected", reason: "unknown_shop", detail: "", event_ids: [] });
    return { ...result, events: [] };
  };
  const started = await world(t, { answer: refuse });
  const buckets = await bucketsOf(started);
  const earlier = record("earlier", { reason: "unknown_shop", topic: "customers/redact", customer: { id: CUSTOMER }, orders_to_redact: [77] });
  await buckets.commerce.put(...earlier);
  // Orders of before anybody registered the shop: there is no other copy of them.
  const noted = [{ name: "for", value: "Jane" }, { name: "weir_publisher", value: "blog" }];
  await buckets.commerce.put(...record("by-email", { id: 2, email: EMAIL, customer: { id: CUSTOMER }, total_price: "1.00", note_attributes: noted }));
  await buckets.commerce.put(...record("by-order", { id: ORDER, contact_email: EMAIL }));
  const [broken, text] = record("broken", { id: 3, email: EMAIL });
  await buckets.commerce.put(broken, text.replace('{\\"id\\":3', '{\\"id'));
  const large = `bodies/${DAY}/${SHOP}/orders_create/large.json`;
  const described = { webhook_id: "large", topic: "orders/create", shop_domain: SHOP, received_at: `${DAY}T10:00:00.000Z`, body: "" };
  await buckets.commerce.put(large, JSON.stringify({ id: 4, email: EMAIL }), { customMetadata: { delivery: JSON.stringify(described) } });
  const stay = ["by-email", "by-order", "customer", "earlier"];
  for (const [id, topic, body] of [["customer", "customers/redact", redactCustomer], ["shop", "shop/redact", JSON.stringify({ shop_id: 1, shop_domain: SHOP })]]) {
    await started.deliver(body, { id, topic });
    const kept = await until(`the record of ${id}`, async () => {
      const records = await started.quarantine();
      return records.some(({ webhook_id }) => webhook_id === id) && records;
    });
    // What names the customer is gone, orders and requests wait for the shop to be registered. Those of the shop go with the shop.
    assert.deepEqual(kept.map(({ webhook_id }) => webhook_id).sort(), id === "customer" ? stay : ["shop"]);
    assert.ok(kept.every(({ reason }) => reason === "unknown_shop"));
    if (id !== "customer") continue;
    const bodyOf = (id) => JSON.parse(kept.find(({ webhook_id }) => webhook_id === id).record.delivery.body);
    assert.deepEqual(bodyOf("by-email"), { id: 2, total_price: "1.00", note_attributes: noted.slice(1) });
    assert.deepEqual(bodyOf("by-order"), { id: ORDER });
    const left = await buckets.commerce.get(large);
    assert.deepEqual([await left.json(), JSON.parse(left.customMetadata.delivery)], [{ id: 4 }, described]);
    const listed = await buckets.commerce.list({ prefix: `quarantine/${DAY}/${SHOP}/by-`, include: ["customMetadata"] });
    assert.deepEqual(listed.objects.map(({ customMetadata }) => customMetadata.reason), ["unknown_shop", "unknown_shop"]);
  }
  assert.deepEqual(requests, ["redact_customer", "redact_shop"]);
  assert.deepEqual(await keysOf(buckets.commerce, "certificates/"), [], "nobody who is not forgotten is certified");
  assert.ok(!started.log.some((line) => line.includes("again in")));
  const told = started.postgres.calls.filter(Array.isArray).flat().map(({ webhook_id }) => webhook_id);
  assert.deepEqual(told, ["customer", "broken", "by-email", "by-order", "large", "shop"]);
});

test("a redaction that fails half way has done its half", async (t) => {
  const failing = "w-30";
  let away = true;
  const answer = postgresOf([]);
  const started = await world(t, {
    answer: (argument, ...more) => (away && Array.isArray(argument) && argument.some(({ webhook_id }) => webhook_id === failing) ? null : answer(argument, ...more)),
    redactionPassObjects: 60,
  });
  const { commerce } = await bucketsOf(started);
  for (let index = 0; index < 40; index += 1) {
    await commerce.put(...record(`w-${String(index).padStart(2, "0")}`, { id: index, customer: { id: CUSTOMER } }));
  }
  await started.deliver(redactCustomer, { id: "redact", topic: "customers/redact" });
  await until("a retry", () => started.log.some((line) => line.includes("again in")));
  assert.equal((await keysOf(commerce, "quarantine/")).length, 10);
  away = false;
  const { certificate } = await certificateOf(commerce);
  assert.deepEqual(await keysOf(commerce, "quarantine/"), []);
  assert.equal(certificate.objects["commerce/quarantine"], 40, "what was done before it failed is certified too");
  const handedIn = started.postgres.calls.filter(Array.isArray).flat().filter(({ webhook_id }) => webhook_id.startsWith("w-") && webhook_id !== failing);
  assert.equal(handedIn.length, 39, "each once");
});

test("what comes to the quarantine after everything was swept goes the second time, and there is no third", async (t) => {
  for (const large of [false, true]) {
    const started = await world(t, { answer: postgresOf([]), redactionAgainSeconds: 2 });
    const { commerce } = await bucketsOf(started);
    const more = large ? Array.from({ length: 20_000 }, (_, index) => 5_000_000_000_000 + index) : [];
    const body = JSON.stringify({ ...JSON.parse(redactCustomer), orders_to_redact: [ORDER, ...more] });
    await started.deliver(body, { id: "redact", topic: "customers/redact" });
    const { key, certificate } = await certificateOf(commerce);
    assert.equal(certificate.objects["commerce/quarantine"], 0);
    // A dead letter of before, say.
    await commerce.put(...record("late", { reason: "retries_exhausted", id: 1, customer: { id: CUSTOMER } }));
    await until("it is gone", async () => (await keysOf(commerce, "quarantine/")).length === 0);
    await until("nothing but the certificate", async () => (await keysOf(commerce)).join() === key);
    assert.equal((await certificateOf(commerce)).certificate.objects["commerce/quarantine"], 1);
    const runs = () => started.postgres.calls.filter(Array.isArray).flat().filter(({ webhook_id }) => webhook_id === "redact").length;
    assert.equal(runs(), 2);
  }
});

test("a message whose large body is gone is kept without it and holds up nobody", async (t) => {
  const { deliver, miniflare, quarantine, postgres } = await world(t, { maxBatchTimeoutSeconds: 1 });
  const bucket = await miniflare.getR2Bucket("BUCKET", "commerce");
  assert.equal((await deliver(JSON.stringify({ id: 1, note: "x".repeat(200_000) }), { id: "large" })).status, 200);
  const [key] = await keysOf(bucket, "bodies/");
  await bucket.delete(key);
  const [kept] = await until("the record", async () => (await quarantine()).length && quarantine());
  assert.deepEqual([kept.webhook_id, kept.reason, postgres.calls.length], ["large", "body_missing", 0]);
});
