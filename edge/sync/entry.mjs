// The sync Worker: workflows in JavaScript, since the Rust crate has no Workflow support; everything they do in Rust.

import { WorkerEntrypoint } from "cloudflare:workers";
import Rust from "./build/index.js";
import { route, scheduled } from "./workflows/routes.mjs";

export { WatermarkObject } from "./build/index.js";
export {
  ArtifactReplication,
  DailyShopifyBulkSync,
  DeletionReconcile,
  FullBackfill,
  MeasurementRefresh,
  Replay,
  WebhookReconcile,
} from "./workflows/workflows.mjs";

/** Steps. Bound to this Worker itself as SELF; nothing else binds it, and no route leads here. */
export class Steps extends WorkerEntrypoint {
  fetch(request) {
    return new Rust(this.ctx, this.env).fetch(request);
  }
}

export default class extends WorkerEntrypoint {
  fetch(request) {
    return route(request, this.env);
  }

  scheduled({ cron }) {
    return scheduled(cron, this.env);
  }
}
