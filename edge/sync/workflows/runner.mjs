// How a workflow takes its steps: each is one call of Rust over the service binding to itself, with a named retry policy.

import { NonRetryableError } from "cloudflare:workflows";
import { tokensOf } from "./tokens.mjs";

const minutes = (count) => count * 60_000;

/**
 * The retry policies. Delays grow exponentially from `delay`; a wait that Shopify asks for comes on top of it. `timeout` is
 * for one attempt.
 */
const POLICIES = {
  // Shopify: throttles pass in seconds, an incident in an hour.
  shopify: { limit: 9, delayMillis: 10_000, timeout: minutes(5) },
  // Shopify again, or what keeps its results; one of gigabytes takes minutes to copy.
  archive: { limit: 9, delayMillis: 10_000, timeout: minutes(30) },
  // PostgreSQL and the streams: a failover takes a minute, a maintenance an hour.
  database: { limit: 9, delayMillis: 5_000, timeout: minutes(15) },
  // The watermark object: a restart of it takes seconds. A move of it asks PostgreSQL too, see `database`.
  watermark: { limit: 5, delayMillis: 1_000, timeout: minutes(1) },
  // `weir serve` while a container starts or another refresh runs.
  lake: { limit: 6, delayMillis: 20_000, timeout: minutes(30) },
};

const POLICY_OF = {
  preflight: "shopify",
  request: "shopify",
  poll: "shopify",
  subscriptions: "shopify",
  deleted_products: "shopify",
  delete: "shopify",
  download: "archive",
  rest: "archive",
  replayed: "archive",
  upsert: "database",
  compare: "database",
  stream: "database",
  initiate: "watermark",
  slices: "watermark",
  halve: "watermark",
  advance: "database",
  report: "watermark",
  refresh: "lake",
  replicate: "lake",
};

/** What a failed step said, "error_kind: detail", without the words that the runtime puts before it. */
const said = (error) =>
  String(error?.message ?? error)
    .replace(/^Step threw a NonRetryableError with message "(.*)"$/s, "$1")
    .replace(/^(Error|NonRetryableError): */, "");

/** The class of a failure, for example "missing_scope"; undefined for what is not a step's own failure. */
const errorKind = (error) => /^([a-zA-Z0-9_]+): /.exec(said(error))?.[1];

export class Runner {
  /** `run`: workflow, instance_id, shop_domain, source. */
  constructor(env, step, run) {
    this.env = env;
    this.step = step;
    this.run = run;
    /** Steps so far, which Cloudflare limits; the same when the run is replayed. */
    this.taken = 0;
  }

  /** Takes the step `route` under the name `name`, which is unique in the run, and returns its result. */
  do(name, route, input = {}) {
    const { limit, delayMillis, timeout } = POLICIES[POLICY_OF[route]];
    const delay = Number(this.env.RETRY_DELAY_MILLIS ?? delayMillis);
    const policy = { retries: { limit, delay, backoff: "exponential" }, timeout };
    this.taken += 1;
    return this.step.do(name, policy, ({ attempt }) => this.#call(route, { run: { ...this.run, step: name, attempt }, input }));
  }

  /** Waits for an event of `type` under the name `name`, or for `timeout` milliseconds. */
  async event(name, type, timeout) {
    this.taken += 1;
    try {
      await this.step.waitForEvent(name, { type, timeout });
    } catch (error) {
      // One that does not come is no failure.
      if (!/timed? ?out/i.test(String(error))) throw error;
    }
  }

  async #call(route, body) {
    const response = await this.env.SELF.fetch(`http://sync/internal/step/${route}`, {
      method: "POST",
      headers: { authorization: `Bearer ${tokensOf(this.env)[0]}` },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.status === 200) return JSON.parse(text);
    const failure = response.status === 503 || response.status === 422 ? JSON.parse(text) : {};
    const message = `${failure.error_kind ?? `step_${response.status}`}: ${failure.detail ?? text.slice(0, 200)}`;
    if (response.status === 422) throw new NonRetryableError(message);
    if (failure.retry_after_ms > 0) await scheduler.wait(failure.retry_after_ms);
    throw new Error(message);
  }

  /** Runs `work`; when a step of it fails for good, that is told in SYNC_TELEMETRY before the run fails. */
  async guarded(work) {
    try {
      return await work();
    } catch (error) {
      const error_kind = errorKind(error);
      if (!error_kind) throw error;
      await this.do("report", "report", { error_kind });
      // Anew: of a NonRetryableError that leaves run() the runtime keeps no message.
      throw new Error(said(error));
    }
  }
}
