// What the commerce Worker is measured beside: the least that a JavaScript Worker does to take a webhook. The same signature
// over the raw bytes, the same secrets, the same message on the queue; it does not check that the body is JSON, counts
// nothing and quarantines nothing.

const bytesOf = (text) => new TextEncoder().encode(text);

let keys;
const importKeys = (secrets) =>
  (keys ??= Promise.all(
    secrets.split(",").map((secret) => crypto.subtle.importKey("raw", bytesOf(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"])),
  ));

async function isSigned(env, body, header) {
  const signature = Uint8Array.from(atob(header), (letter) => letter.charCodeAt(0));
  for (const key of await importKeys(env.SHOPIFY_WEBHOOK_SECRETS)) {
    if (await crypto.subtle.verify("HMAC", key, signature, body)) return true;
  }
  return false;
}

let drained = 0;

export default {
  async fetch(request, env) {
    if (request.method === "GET") return new Response(String(drained));
    const { headers } = request;
    const body = await request.arrayBuffer();
    if (!(await isSigned(env, body, headers.get("x-shopify-hmac-sha256") ?? ""))) return new Response(null, { status: 401 });
    const shop_domain = headers.get("x-shopify-shop-domain");
    if (!JSON.parse(env.SHOPS).includes(shop_domain)) return new Response(null, { status: 404 });
    const delivery = {
      webhook_id: headers.get("x-shopify-webhook-id"),
      topic: headers.get("x-shopify-topic"),
      shop_domain,
      triggered_at: headers.get("x-shopify-triggered-at"),
      api_version: headers.get("x-shopify-api-version"),
      received_at: new Date().toISOString(),
      body: new TextDecoder().decode(body),
    };
    await env.DELIVERIES.send(JSON.stringify({ delivery, body_bytes: body.byteLength }), { contentType: "text" });
    return Response.json({ status: "accepted" });
  },

  /** Takes as long as the commerce Worker is told to have taken, and reads the messages. */
  async queue({ messages }, env) {
    const deliveries = messages.map(({ body }) => JSON.parse(body));
    await scheduler.wait(Number(env.DRAIN_MILLIS) * deliveries.length);
    drained += deliveries.length;
  },
};
