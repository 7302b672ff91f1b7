// The far end of a stream binding on this machine.
//
// Cloudflare's own local Pipelines binding discards events, so each stream is bound to an RPC class with the same
// `send(events)` that posts to the `weir` server.

// Throws unless the server confirmed the batch (200 = durable). Rows that it rejected were kept in its own quarantine and
// are logged: production's stream would have accepted and dropped them.
const SCRIPT = `
import { WorkerEntrypoint } from "cloudflare:workers";

export class Telemetry extends WorkerEntrypoint {
  async send(events) {
    const response = await fetch(this.env.LAKE + "/v1/streams/" + this.env.STREAM, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer " + this.env.TOKEN },
      body: JSON.stringify(events),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(this.env.STREAM + ": " + response.status + " " + text.slice(0, 200));
    const rejected = JSON.parse(text).rejected ?? [];
    if (rejected.length > 0) console.error(this.env.STREAM + " rejected " + JSON.stringify(rejected));
  }
}

export default { fetch: () => new Response("this Worker is reached by RPC only", { status: 404 }) };
`;

/** The Worker that stands for `stream`; config: lake (base address of `weir serve`), token. */
export const streamWorker = (config, stream) => ({
  name: stream,
  modules: true,
  script: SCRIPT,
  compatibilityDate: "2026-07-01",
  bindings: { LAKE: config.lake, TOKEN: config.token, STREAM: stream },
});

/** How a Worker binds it. */
export const streamBinding = (stream) => ({ name: stream, entrypoint: "Telemetry" });
