// The far ends of the commerce Worker, scripted: PostgreSQL's wire protocol (as much as one simple query needs) and the
// stream endpoint of `weir serve`, which record what reached them; and a faulty way to a real PostgreSQL. Each listens on a
// port of its own.

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";

/** A message of PostgreSQL's protocol: type, length, payload. */
function message(type, ...parts) {
  const payload = Buffer.concat(parts.map((part) => (Buffer.isBuffer(part) ? part : Buffer.from(part + "\0"))));
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(payload.length + 4, 1);
  return Buffer.concat([head, payload]);
}

const int16 = (value) => Buffer.from([value >> 8, value & 255]);
const int32 = (value) => Buffer.from([value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255]);
const READY = message("Z", Buffer.from("I"));
const AUTHENTICATED = Buffer.concat([message("R", int32(0)), READY]);

function textRow(value) {
  const column = [int16(1), "text", int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)];
  const text = Buffer.from(value);
  return Buffer.concat([message("T", ...column), message("D", int16(1), int32(text.length), text), message("C", "SELECT 1"), READY]);
}

/** A batch whose bodies stand after its lines, as the array of deliveries that it is. */
function deliveriesOf(text) {
  const [, sizes, headers, bodies] = /^([^\n]*)\n([^\n]*)\n(.*)$/s.exec(text);
  const bytes = Buffer.from(bodies);
  let start = 0;
  return JSON.parse(headers).map((delivery, index) => {
    const end = start + JSON.parse(sizes).body_bytes[index];
    const body = bytes.subarray(start, end).toString();
    start = end;
    return { ...delivery, body };
  });
}

/** `select weir.f('...'::json)::text` -> { name, argument }; deliveries always as an array. */
function callOf(sql) {
  const [, name, literal, cast] = /^select weir\.(\w+)\('(.*)'(::json)?\)::text$/s.exec(sql) ?? [];
  if (literal === undefined) return undefined;
  const text = literal.replaceAll("''", "'");
  if (name === "ingest" && !cast) return { name, argument: deliveriesOf(text) };
  return { name, argument: cast ? JSON.parse(text) : text };
}

const failure = ({ code, text }) =>
  Buffer.concat([message("E", Buffer.from("SERROR\0VERROR\0C" + code + "\0M" + text + "\0\0")), READY]);

/**
 * Starts a server that answers each statement with `answer(argument, number, function)`: the result of weir.ingest (or of
 * another function with one argument), `{ sqlstate, text }` for an error, or null to cut the connection.
 *
 * `read` takes function and argument from a statement's text, or undefined from one that is not expected. `port` (0 = any)
 * brings one back where another was. `hang` makes it hold its tongue: "connection" from the first byte on, "statement" once a statement has come. `connections`
 * counts those opened, `open` those open now.
 */
export async function fakePostgres(answer, port = 0, read = callOf) {
  const postgres = { calls: [], connections: 0, hang: null };
  const { calls } = postgres;
  const open = new Set();
  const server = createServer((socket) => {
    open.add(socket);
    postgres.connections += 1;
    socket.on("close", () => open.delete(socket)).on("error", () => {});
    let buffer = Buffer.alloc(0);
    let started = false;
    socket.on("data", (chunk) => {
      buffer = Buffer.concat([buffer, chunk]);
      for (;;) {
        const head = started ? 1 : 0;
        if (buffer.length < head + 4) return;
        const length = head + buffer.readInt32BE(head);
        if (buffer.length < length) return;
        const type = started ? String.fromCharCode(buffer[0]) : "startup";
        const payload = buffer.subarray(head + 4, length);
        buffer = buffer.subarray(length);
        if (type === "startup") {
          started = true;
          if (postgres.hang !== "connection") socket.write(AUTHENTICATED);
        } else if (type === "Q") {
          respond(socket, payload.subarray(0, -1).toString());
        } else if (type === "X") {
          socket.end();
        } else {
          socket.destroy(new Error("only simple queries are expected, got " + type));
        }
      }
    });
  });
  const respond = (socket, sql) => {
    const { name, argument } = read(sql) ?? {};
    if (argument === undefined) return socket.destroy();
    calls.push(argument);
    if (postgres.hang === "statement") return;
    const result = answer(argument, calls.length, name);
    if (result === null) return socket.destroy();
    socket.write(result.sqlstate ? failure({ code: result.sqlstate, text: result.text }) : textRow(JSON.stringify(result)));
  };
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(postgres, {
    open,
    port: server.address().port,
    url: `postgres://edge:secret@127.0.0.1:${server.address().port}/weir?sslmode=disable`,
    stop: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/**
 * The stream endpoint of the `weir` server. `events` are those of commerce_v1, `published` those of publication_v1, `second`
 * those of the second versions. `down` (true, or the name of a stream) makes it answer 503; `failAfterWrite` too, but then it
 * has kept the events: what a cut connection looks like to the sender. `hang` names a stream that never answers, until
 * `release` cuts those who wait.
 */
export async function fakeLake(token) {
  const lake = { events: [], published: [], second: [], attempts: 0, down: false, failAfterWrite: false, hang: null };
  const hanging = [];
  const streams = {
    "/v1/streams/commerce_v1": lake.events,
    "/v1/streams/publication_v1": lake.published,
    "/v1/streams/commerce_v2": lake.second,
    "/v1/streams/publication_v2": lake.second,
  };
  lake.ids = () => lake.events.map(({ event_id }) => event_id);
  const server = createHttpServer(async (request, response) => {
    const chunks = await request.toArray();
    lake.attempts += 1;
    const authorised = request.headers.authorization === `Bearer ${token}`;
    if (lake.hang && request.url.endsWith(lake.hang)) return hanging.push(response);
    const stream = streams[request.url];
    const down = lake.down === true || (lake.down && request.url.endsWith(lake.down));
    const status = down ? 503 : !authorised ? 401 : stream ? 200 : 404;
    const events = status === 200 ? JSON.parse(Buffer.concat(chunks).toString()) : [];
    stream?.push(...events);
    response.writeHead(lake.failAfterWrite ? 503 : status, { "content-type": "application/json" });
    response.end(JSON.stringify({ accepted: events.length, rejected: [] }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  lake.url = `http://127.0.0.1:${server.address().port}`;
  lake.release = () => {
    lake.hang = null;
    for (const response of hanging.splice(0)) response.destroy();
  };
  lake.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return lake;
}

/** An event that passes the schema of commerce_v1. */
export const event = (id, more = {}) => ({
  event_id: id,
  event_type: "order_created",
  schema_version: 1,
  occurred_at: "2026-11-24T10:00:00.000Z",
  received_at: "2026-11-24T10:00:01.000Z",
  event_date: "2026-11-24",
  event_hour: 10,
  source: "webhook",
  shop_domain: "demo.myshopify.com",
  ...more,
});

/** What weir.ingest answers when it accepts everything; ids that start with "bad" are rejected. */
export function acceptAll(deliveries) {
  const bad = ({ webhook_id }) => webhook_id.startsWith("bad");
  return {
    deliveries: deliveries.map((delivery) => ({
      webhook_id: delivery.webhook_id,
      topic: delivery.topic,
      shop_domain: delivery.shop_domain,
      verdict: bad(delivery) ? "rejected" : "accepted",
      reason: bad(delivery) ? "missing_field" : null,
      detail: bad(delivery) ? "id" : null,
      event_ids: bad(delivery) ? [] : [`event-${delivery.webhook_id}`],
    })),
    events: deliveries.filter((delivery) => !bad(delivery)).map(({ webhook_id }) => event(`event-${webhook_id}`)),
  };
}

/** Waits until `condition` holds, or fails naming it. */
export async function until(what, condition, limitMillis = 15_000) {
  const deadline = Date.now() + limitMillis;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${limitMillis} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * A way to a real PostgreSQL at `url` that can fail. `mode`: "pass"; "refuse" cuts each connection at once; "lose" lets a
 * statement be committed and cuts before its answer arrives. `refused` and `lost` count.
 */
export async function faultyWay(url) {
  const { hostname, port } = new URL(url);
  const way = { mode: "pass", refused: 0, lost: 0 };
  // ReadyForQuery, idle: the statement's transaction is over. Then only does PostgreSQL say so.
  const done = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
  const open = new Set();
  const server = createServer((near) => {
    if (way.mode === "refuse") {
      way.refused += 1;
      return near.destroy();
    }
    const far = connect(Number(port), hostname);
    let asked = false;
    for (const [socket, other] of [[near, far], [far, near]]) {
      open.add(socket);
      socket.on("error", () => {}).on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
    near.on("data", (chunk) => {
      asked ||= chunk.includes("select weir.");
      far.write(chunk);
    });
    far.on("data", (chunk) => {
      if (way.mode !== "lose" || !asked) return near.write(chunk);
      if (!chunk.subarray(-done.length).equals(done)) return;
      way.lost += 1;
      near.destroy();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const here = new URL(url);
  here.port = String(server.address().port);
  way.url = here.href;
  way.stop = () => {
    for (const socket of open) socket.destroy();
    server.close();
  };
  return way;
}
