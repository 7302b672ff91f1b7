// The border between JavaScript and wasm, for what every request needs: each crossing converts and copies, so it is asked for
// in one call. Nothing is decided here; border.rs has the Rust side.

// Values of the headers `names`, a line each: none of them can hold a line break. An absent header is empty.
function withHeaders(text, headers, names) {
  for (const name of names) text += "\n" + (headers.get(name) ?? "");
  return text;
}

/** Method, URL and the headers `names`, a line each. */
export const readHead = ({ method, url, headers }, names) => withHeaders(method + "\n" + url, headers, names);

/**
 * The body, or null when it has more than `limit` bytes. `announced` is its Content-Length, if it says one. At most
 * `discarded` bytes of a body that is too large are read and dropped.
 */
export async function readBody(request, announced, limit, discarded) {
  if (announced <= limit) {
    const buffer = await request.arrayBuffer();
    return buffer.byteLength <= limit ? new Uint8Array(buffer) : null;
  }
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes <= limit) chunks.push(chunk);
    else if (bytes > discarded) break;
  }
  if (bytes > limit) return null;
  const body = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.byteLength;
  }
  return body;
}

/** Keys of HMAC-SHA256, one for each of `secrets`. */
export const importKeys = (secrets) => {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const bytesOf = new TextEncoder();
  return Promise.all(secrets.map((secret) => crypto.subtle.importKey("raw", bytesOf.encode(secret), algorithm, false, ["verify"])));
};

/**
 * Whether one of `keys` signed `body`. The platform compares in constant time, and a forged signature is compared with every
 * key's.
 */
export async function isSigned(keys, signature, body) {
  for (const key of keys) if (await crypto.subtle.verify("HMAC", key, signature, body)) return true;
  return false;
}

const BYTES = { contentType: "bytes" };
const LINE_BREAK = 10;
const encoder = new TextEncoder();
// Where messages are put together. `send` copies what it is given before it returns, unless it can take the buffer itself away, which of
// a WebAssembly.Memory nobody can. A buffer for each message lies outside V8's heap, and costs V8 more to give back than all else
// here costs.
const scratch = new Uint8Array(new WebAssembly.Memory({ initial: 2 }).buffer);
/** Most bytes of UTF-8 for one unit of a string. */
const MOST_BYTES = 3;
/**
 * Sends a message to a queue, the text `line` and behind it the bytes of `body`; settles when it is durable there. As bytes, since a
 * body comes as bytes: of a text the queue would make bytes again.
 */
export function sendMessage(queue, line, body) {
  const most = line.length * MOST_BYTES + 1 + body.length;
  const room = most <= scratch.length ? scratch : new Uint8Array(most);
  const { written } = encoder.encodeInto(line, room);
  room[written] = LINE_BREAK;
  room.set(body, written + 1);
  return queue.send(room.subarray(0, written + 1 + body.length), BYTES);
}

/** `answer`, or what `late` gives when that takes longer than `millis`. */
export const within = (answer, millis, late) =>
  new Promise((resolve, reject) => {
    let isOver = false;
    // It goes with the request, so that nobody needs to clear it; that would be one more call of the platform each time.
    setTimeout(() => isOver || resolve(late()), millis);
    answer.then(
      (response) => {
        isOver = true;
        resolve(response);
      },
      (error) => {
        isOver = true;
        reject(error);
      },
    );
  });

/**
 * What takeSigned has of every request. With `take(request, env, context, broken)`, which takes those to `path` that it knows by
 * their head, before Rust is asked for anything; of others it gives undefined. `broken` is told what `settle` threw.
 */
export function intakeOf(path, signed, keys, names, limit, discarded, queue, millis, taken, settle, failed, late) {
  const intake = { keys, names, limit, discarded, queue, millis, taken: JSON.parse(taken), settle, failed, late };
  intake.take = (request, env, context, broken) => {
    const announced = keys.length > 0 && request.method === "POST" && isAt(path, request.url) && request.headers.get("content-length");
    if (!(announced && announced <= limit)) return undefined;
    const signature = bytesOf(request.headers.get(signed));
    return signature && takeSigned(intake, request, Number(announced), signature, env, context, broken);
  };
  return intake;
}

// Whether `url`, as the platform gives it, has `path` and nothing behind it.
function isAt(path, url) {
  const at = url.indexOf("/", url.indexOf("://") + 3);
  return url.length === at + path.length && url.startsWith(path, at);
}

// Of base64; what is none, and where the engine cannot tell, Rust is asked.
function bytesOf(base64) {
  try {
    return Uint8Array.fromBase64(base64);
  } catch {
    return undefined;
  }
}

/**
 * Takes a signed request to a queue and gives the answer. `intake` has what stays the same: the `keys`, the `names` of the headers
 * that belong to a body, the `limit` and the number of `discarded` bytes of readBody, the `queue`, the `millis` that it may take,
 * what is answered to what was `taken`, and the functions of Rust that decide. `settle` says what becomes of a body, of
 * which there is none when it is too large or none of the keys signed it: the line to send before it, or else a promise of the
 * answer. `failed` answers for a message that is not durable, `late` when there is no answer in time.
 */
export const takeSigned = (intake, request, announced, signature, env, context, broken) =>
  within(take(intake, request, announced, signature, env, context, broken), intake.millis, intake.late);

async function take({ keys, names, limit, discarded, queue, taken, settle, failed }, request, announced, signature, env, context, broken) {
  const received = new Date().toISOString();
  const body = await readBody(request, announced, limit, discarded);
  const signed = body && (await isSigned(keys, signature, body)) ? body : undefined;
  let line;
  try {
    line = settle(request, withHeaders(received, request.headers, names), signed, !body, env, context);
  } catch (error) {
    broken?.(error);
    throw error;
  }
  if (typeof line !== "string") return line;
  try {
    await sendMessage(queue, line, body);
  } catch (error) {
    return failed(error);
  }
  return Response.json(taken);
}

const JSON_HEADERS = { "content-type": "application/json" };
/** An answer of JSON text. */
export const jsonResponse = (status, text) => new Response(text, { status, headers: JSON_HEADERS });
/** 503 with JSON text; may be asked again after `seconds`. */
export const unavailableResponse = (text, seconds) =>
  new Response(text, { status: 503, headers: { ...JSON_HEADERS, "retry-after": String(seconds) } });

// JSON leaves out what these hold, and throws at the last.
const asJson = (_name, value) => {
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  return typeof value === "bigint" ? String(value) : value;
};

/** What a queue message holds: text, or bytes; of anything else its JSON. */
export function contentOf(body) {
  if (typeof body === "string") return body;
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  try {
    return JSON.stringify(body, asJson) ?? String(body);
  } catch {
    return String(body);
  }
}

/** Writes a data point, JSON text; a promise where the dataset is an RPC stub. */
export const writePoint = (dataset, text) => dataset.writeDataPoint(JSON.parse(text));
