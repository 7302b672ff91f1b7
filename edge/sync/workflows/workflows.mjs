// The workflows. Each is a list of steps; what a step does is Rust's.

import { WorkflowEntrypoint } from "cloudflare:workers";
import { Runner } from "./runner.mjs";
import { deletedProducts, noCounts, reconcileDeletions, stream, synchronise, upsert } from "./synchronise.mjs";

const runnerOf = (workflow, source, { env }, event, step) => {
  const shop_domain = event.payload.shop ?? "*";
  return new Runner(env, step, { workflow, instance_id: event.instanceId, shop_domain, source });
};

/** Daily: everything of Shopify's that changed since the watermark. payload: shop, date (yyyy-mm-dd, names the archive). */
export class DailyShopifyBulkSync extends WorkflowEntrypoint {
  run(event, step) {
    const runner = runnerOf("daily_shopify_bulk_sync", "bulk_sync", this, event, step);
    return runner.guarded(async () => {
      const { days_readable, registered_at } = await runner.do("preflight", "preflight");
      const { window, watermark, read_since } = await runner.do("initiate", "initiate", { days_readable, registered_at });
      const totals = await synchronise(runner, window, event.payload.date);
      const deleted_products = await deletedProducts(runner, window.from, totals);
      const move = { key: "orders_last_watermark", expected: watermark, to: window.to, read_since, totals, registered_at };
      await runner.do("advance", "advance", move);
      return { window, totals, deleted_products, days_readable };
    });
  }
}

/**
 * Slices of one instance of a backfill, and steps after which it begins with none: a run has a limited number of steps, so the next
 * instance goes on. The last slice may take 9,000 steps of waiting (synchronise.mjs), and has 15,000 left (wrangler.jsonc).
 */
const SLICES_AN_INSTANCE = 12;
const STEPS_AN_INSTANCE = 10_000;

/**
 * History, month by month from the oldest, told anew by each run. payload: shop, from (RFC 3339), until (RFC 3339, or "now";
 * without it up to where the daily runs have begun to read everything).
 */
export class FullBackfill extends WorkflowEntrypoint {
  run(event, step) {
    const { shop, from, until } = event.payload;
    const runner = runnerOf("full_backfill", "backfill", this, event, step);
    return runner.guarded(async () => {
      const { days_readable, registered_at } = await runner.do("preflight", "preflight");
      const plan = await runner.do("slices", "slices", { from, until, days_readable, registered_at, most: SLICES_AN_INSTANCE });
      const most = Number(this.env.STEPS_AN_INSTANCE ?? STEPS_AN_INSTANCE);
      let [expected, slices] = [plan.watermark, 0];
      for (const window of plan.slices) {
        if (slices > 0 && runner.taken > most) break;
        const month = window.from.slice(0, 7);
        const totals = await synchronise(runner, window, `backfill-${month}`, `${month} `);
        const move = { key: plan.key, expected, to: window.to, totals, registered_at };
        await runner.do(`advance ${month}`, "advance", move);
        expected = window.to;
        slices += 1;
        // Shopify's bulk capacity is the merchant's too: other apps get their turn between two months.
        await step.sleep(`pause ${month}`, Number(this.env.BACKFILL_PAUSE_MILLIS ?? 60_000));
      }
      const complete = plan.complete && slices === plan.slices.length;
      const output = { slices, reached: expected, complete };
      if (!complete) await this.#goOn(step, event, { shop, from, until });
      // Now everything is known that is there; what is known beyond it was deleted.
      else output.deletions = await missing(runner, `backfill-${from.slice(0, 10)}`, { days_readable });
      return output;
    });
  }

  async #goOn(step, event, params) {
    const { head, number } = partOf(event.instanceId);
    await step.do("continue", async () => {
      await createOnce(this.env.FULL_BACKFILL, partId(head, number + 1), params);
    });
  }
}

/** The id of the `number`th instance of a run that is done in parts. */
export const partId = (head, number) => (number === 1 ? head : `${head}-part${number}`);

/** What `partId` makes the instance `id` of: {head, number}. */
export function partOf(id) {
  const [, head, number = "1"] = /^(.*?)(?:-part(\d+))?$/.exec(id);
  return { head, number: Number(number) };
}

async function missing(runner, date, limits) {
  const { window } = await runner.do("initiate", "initiate");
  return reconcileDeletions(runner, window, date, limits);
}

/**
 * Weekly: what was deleted at Shopify without a webhook that arrived. payload: shop, date, most (deletions of a kind that are
 * believed, 1000 unless told otherwise).
 */
export class DeletionReconcile extends WorkflowEntrypoint {
  run(event, step) {
    const { date, most } = event.payload;
    const runner = runnerOf("deletion_reconcile", "bulk_sync", this, event, step);
    return runner.guarded(async () => {
      const { days_readable } = await runner.do("preflight", "preflight");
      return missing(runner, `ids-${date}`, { days_readable, most });
    });
  }
}

/** How long Cloudflare keeps what became of an instance: at most 30 days, and 7 unless asked (Workers Paid). */
const RETENTION = { successRetention: "30 days", errorRetention: "30 days" };

/**
 * Creates an instance; one that exists already is the same run and no error. Returns whether it is new. Looked for first,
 * since the local runtime does not refuse a second one; created with the refusal in mind, since two may look at once.
 */
export async function createOnce(workflow, id, params) {
  if (await find(workflow, id)) return false;
  try {
    await workflow.create({ id, params, retention: RETENTION });
    return true;
  } catch (error) {
    if (/already.?exists/i.test(String(error))) return false;
    throw error;
  }
}

/** Whether Cloudflare says that there is no such instance. */
export const isAbsent = (error) => /not.?found|does not exist/i.test(String(error));

/** How the instance `id` is, {status, error, output}; undefined when there is none. */
export async function find(workflow, id) {
  try {
    return await (await workflow.get(id)).status();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Hourly: the container refreshes the measurement; this owns the order and the retries. payload: now (optional). */
export class MeasurementRefresh extends WorkflowEntrypoint {
  run(event, step) {
    const runner = runnerOf("measurement_refresh", "workflow", this, event, step);
    return runner.guarded(async () => {
      // Thresholds before the labels that they decide. Where some were not taken, labels are due all the same, by those that
      // were; the run fails afterwards, so that somebody looks.
      const [replicated] = await Promise.allSettled([runner.do("replicate", "replicate")]);
      const { refresh_id } = await runner.do("refresh", "refresh", { now: event.payload.now });
      if (replicated.status === "rejected") throw replicated.reason;
      return { sequence: replicated.value.sequence, refresh_id };
    });
  }
}

/** Objective specifications from PostgreSQL to the lake; a repetition changes nothing. */
export class ArtifactReplication extends WorkflowEntrypoint {
  run(event, step) {
    const runner = runnerOf("artifact_replication", "workflow", this, event, step);
    return runner.guarded(() => runner.do("replicate", "replicate"));
  }
}

/** Daily: subscriptions that Shopify removed are created again. payload: shop. */
export class WebhookReconcile extends WorkflowEntrypoint {
  run(event, step) {
    const runner = runnerOf("webhook_reconcile", "workflow", this, event, step);
    return runner.guarded(() => runner.do("subscriptions", "subscriptions"));
  }
}

/** Results of the archive, or rejected lines of the quarantine, through the same path as live. payload: shop, prefix. */
export class Replay extends WorkflowEntrypoint {
  run(event, step) {
    const runner = runnerOf("replay", "replay", this, event, step);
    return runner.guarded(async () => {
      const totals = noCounts();
      const operations = new Set();
      for (let cursor = null, page = 1; page === 1 || cursor; page += 1) {
        const listing = await runner.do(`list ${page}`, "replayed", { prefix: event.payload.prefix, cursor });
        for (const { key, size, etag, run } of listing.objects) {
          await upsert(runner, { ...run, key, bytes: size, etag, lines: 0, name: key }, totals);
          operations.add(run.operation_id);
        }
        cursor = listing.cursor;
      }
      if (operations.size > 0) await stream(runner, [...operations], totals);
      return totals;
    });
  }
}
