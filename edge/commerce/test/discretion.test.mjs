// What the commerce and the publication Worker print and answer in good days and bad ones: no secret of theirs, and nothing
// personal of what they are sent. Both run in a process of their own, of which every byte of output is kept.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { event, recordAll, send } from "../../publication/test/world.mjs";
import { acceptAll, fakeLake, fakePostgres, until } from "./doubles.mjs";
import { deliver, SHOP, sign } from "./world.mjs";

const RUNNER = fileURLToPath(new URL("../../local/local.mjs", import.meta.url));

const SECRET = {
  webhook: "webhook-key-4711",
  rotated: "webhook-key-0815",
  replay: "replay-token-2718",
  stream: "stream-token-3141",
  visitor: "visitor-salt-1618",
  link: "link-key-5772",
  user: "login_9192",
  password: "password-6626",
};
const PERSON = { email: "jane.doe@example.com", phone: "+4915112345678", last_name: "Ostrowski", ip: "198.51.100.23" };
const BUYER = { id: 207119551, email: PERSON.email, phone: PERSON.phone, last_name: PERSON.last_name };
const ORDER = JSON.stringify({ id: 7, email: PERSON.email, client_details: { browser_ip: PERSON.ip }, customer: BUYER });
const CERTIFICATE = { certificate_id: "c-1", redacted_at: "2026-11-24T10:00:02.000Z", removed: {} };

// What PostgreSQL says, by what the id of a delivery or the key of an order begins with.
const REFUSALS = {
  refused: { sqlstate: "22P02", text: `invalid input syntax for type bigint: "${PERSON.email}" of "${PERSON.last_name}"` },
  broken: { sqlstate: "XX000", text: `no customer ${PERSON.last_name}: Unreadable("${PERSON.last_name}", ${PERSON.phone})` },
  unreadable: { deliveries: PERSON.email, interactions: PERSON.last_name },
  login: { sqlstate: "28P01", text: `password authentication failed for user "${SECRET.user}"` },
  cut: null,
};

/** Answers of PostgreSQL. What it refuses for a while is answered `patience` times, and then taken. */
function scripted(patience) {
  const times = new Map();
  const refusalOf = (text) => {
    const name = Object.keys(REFUSALS).find((one) => text.includes(`"${one}`));
    if (!name) return undefined;
    times.set(name, (times.get(name) ?? 0) + 1);
    return name === "refused" || times.get(name) <= patience ? name : undefined;
  };
  const record = recordAll();
  return (argument, number, name) => {
    if (name === "publication_catalogue") return { sqlstate: "42501", text: `permission denied: "${SECRET.password}"` };
    const refusal = refusalOf(JSON.stringify(argument));
    if (refusal) return REFUSALS[refusal];
    if (name === "ingest") return acceptAll(argument);
    return name === "record_interactions" ? record(argument, number, name) : CERTIFICATE;
  };
}

async function start(t, answer) {
  const [postgres, lake] = [await fakePostgres(answer), await fakeLake(SECRET.stream)];
  t.after(postgres.stop);
  t.after(lake.stop);
  const config = {
    postgres: postgres.url.replace("edge:secret", `${SECRET.user}:${SECRET.password}`),
    lake: lake.url,
    token: SECRET.stream,
    secrets: `${SECRET.webhook},${SECRET.rotated}`,
    shops: [SHOP],
    internalToken: SECRET.replay,
    publication: { visitorSecret: SECRET.visitor, linkSecrets: SECRET.link },
  };
  const runner = spawn(process.execPath, [RUNNER, JSON.stringify(config)], { stdio: "pipe" });
  t.after(() => runner.kill("SIGKILL"));
  const printed = [];
  for (const stream of [runner.stdout, runner.stderr]) stream.setEncoding("utf8").on("data", (text) => printed.push(text));
  const ended = once(runner, "exit").then(() => assert.fail(`the Workers did not start: ${printed.join("")}`));
  const [line] = await Promise.race([once(createInterface({ input: runner.stdout }), "line"), ended]);
  const stop = async () => {
    const closed = once(runner, "close");
    runner.kill("SIGTERM");
    await closed;
    return printed.join("");
  };
  return { lake, stop, printed: () => printed.join(""), ...JSON.parse(line) };
}

function assertSilent(what, text, named) {
  for (const [name, value] of Object.entries(named)) {
    assert.ok(!text.includes(value) && !text.includes(JSON.stringify(value).slice(1, -1)), `${what}: ${name}\n${text}`);
  }
}

test("neither output nor answers tell a secret or a person, whatever fails", async (t) => {
  const { lake, stop, printed, listening, publication } = await start(t, scripted(2));
  const answers = [];
  const told = ({ status, headers, body }) => {
    answers.push(JSON.stringify([body, [...headers]]));
    return status;
  };
  const headers = { "cf-connecting-ip": PERSON.ip };
  const webhook = async (id, options = {}, body = ORDER) =>
    told(await deliver(listening, body, { id, signature: sign(body, SECRET.webhook), headers, ...options }));
  const interactions = async (events, options = {}) => told(await send(publication, events, { headers, ...options }));
  const get = async (url, token, options = {}) => {
    const response = await fetch(url, { redirect: "manual", ...options, headers: { ...headers, ...(token && { authorization: `Bearer ${token}` }) } });
    return { status: response.status, headers: response.headers, body: await response.text() };
  };

  // Commerce: taken, refused at the door, refused and failed behind it.
  assert.equal(await webhook("taken"), 200);
  assert.equal(await webhook("rotated", { signature: sign(ORDER, SECRET.rotated) }), 200);
  assert.equal(await webhook("forged", { signature: sign(ORDER, "forged") }), 401);
  assert.equal(await webhook("no-base64", { signature: SECRET.webhook }), 401);
  assert.equal(await webhook("unknown", { shop: "other.myshopify.com" }), 404);
  assert.equal(await webhook("topic", { topic: "carts/update" }), 415);
  assert.equal(await webhook("no-text", {}, Buffer.concat([Buffer.from(ORDER + PERSON.email), Buffer.from([0xff])])), 200);
  assert.equal(await webhook("bad-rejected"), 200);
  for (const name of Object.keys(REFUSALS)) assert.equal(await webhook(`${name}-1`), 200);
  const late = ["broken", "unreadable", "login", "cut"].map((name) => `event-${name}-1`);
  await until("what was only late", () => late.every((id) => lake.ids().includes(id)));

  // Publication: the same, and whoever knows the token.
  const page = `https://blog.example/a?email=${PERSON.email}`;
  const visit = (key, more) => event("click", key, { url: page, ...more });
  const trusted = { token: SECRET.replay };
  assert.equal(await interactions([visit("taken", { email: PERSON.email }), visit(PERSON.email)]), 202);
  assert.equal(await interactions([visit("no-kind", { event_type: PERSON.last_name })]), 422);
  assert.equal(await interactions(`[{"event_type": ${PERSON.email}`), 422);
  for (const name of Object.keys(REFUSALS)) {
    assert.equal(await interactions([event("conversion", name, { order_id: "7", placement: `${name}-1` })]), 202);
  }
  assert.equal(await interactions([event("attribution", "a", { order_id: "8" })], { token: "wrong" }), 401);
  assert.equal(await interactions([event("attribution", "b", { order_id: "8", publisher_id: "p-1" })], trusted), 202);
  assert.equal(told(await get(`${publication}/v1/p.gif?shop=${SHOP}&kind=view&email=${PERSON.email}`)), 422);
  const link = { method: "POST", body: JSON.stringify({ shop_domain: SHOP, code: "x", url: page }) };
  const signed = await get(`${publication}/internal/links`, SECRET.replay, link);
  assertSilent("a link", signed.body, SECRET);
  assert.equal(told(await get(publication + JSON.parse(signed.body).path.replace(/.$/, "_"))), 403);
  assert.equal(told(await get(`${publication}/internal/links`, SECRET.replay, { ...link, body: JSON.stringify(PERSON.email) })), 422);
  const refresh = { method: "POST", body: JSON.stringify({ shop_domain: SHOP }) };
  assert.equal(told(await get(`${publication}/internal/catalogue`, SECRET.replay, refresh)), 503);

  // The stream is down, for either.
  lake.down = true;
  assert.equal(await webhook("stream"), 200);
  assert.equal(await interactions([visit("stream")]), 202);
  await until("attempts at both", () => ["commerce_v1: 503", "publication_v1: 503"].every((line) => printed().includes(line)));
  lake.down = false;
  await until("both events", () => lake.ids().includes("event-stream") && lake.published.length >= 9);

  // What is listed of the quarantine; a record itself is whole, for whoever has the token.
  const kept = await until("the quarantines", async () => {
    const lists = await Promise.all([listening, publication].map((url) => get(`${url}/internal/quarantine`, SECRET.replay)));
    const records = lists.flatMap(({ body }) => JSON.parse(body).records);
    const kept = (reason) => records.filter((record) => record.reason === reason).length;
    return kept("database_refused") === 2 && kept("parse_failure") === 1 && { lists, records };
  });
  kept.lists.forEach(told);
  const reasons = [...new Set(kept.records.map(({ reason }) => reason))].sort();
  assert.deepEqual(reasons, ["database_refused", "missing_field", "parse_failure"]);
  for (const url of [listening, publication]) assert.equal(told(await get(`${url}/internal/quarantine`, "wrong")), 401);
  for (const { key, topic } of kept.records) {
    const url = `${topic.startsWith("interactions") ? publication : listening}/internal/${key}`;
    const { body } = await get(url, SECRET.replay);
    assertSilent(`record ${key}`, body, SECRET);
    answers.push(JSON.parse(body).detail);
    told(await get(`${url}/replay`, SECRET.replay, { method: "POST" }));
  }

  // Last, since it empties the quarantine of this person.
  const request = JSON.stringify({ shop_domain: SHOP, customer: BUYER, orders_to_redact: [7] });
  for (const topic of ["customers/redact", "customers/data_request"]) assert.equal(await webhook(`privacy-${topic}`, { topic }, request), 200);
  await until("the certificate", () => printed().includes("certificate certificates/"));

  assert.ok(answers.some((text) => text.includes("22P02")), answers.join("\n"));
  for (const answer of answers) assertSilent("an answer", answer, { ...SECRET, ...PERSON });
  assertSilent("the stream", JSON.stringify(lake.published), { ...SECRET, ...PERSON });
  const output = await stop();
  for (const said of ["XX000", "28P01", "42501", "again in", "quarantined", "certificate", "weir.ingest is not"]) {
    assert.ok(output.includes(said), `it has happened, and the log says so: ${said}\n${output}`);
  }
  assertSilent("the output", output, { ...SECRET, ...PERSON });
});
