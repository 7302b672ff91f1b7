// What is deployed (wrangler.jsonc) binds what the local stacks bind, which all other tests run over: a name that one of them
// lacks would be missed in production only.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { streams } from "../../local/parts.mjs";
import { publicationWorker } from "../../local/publication.mjs";
import { commerceWorker } from "../../local/stack.mjs";
import { syncWorkers } from "../../local/sync.mjs";
import { SCHEDULES } from "../workflows/schedules.mjs";
import { MAX_POLLS } from "../workflows/synchronise.mjs";

const { unstable_readConfig } = createRequire(import.meta.url)("wrangler");
const ENVIRONMENTS = ["dev", "staging", "production"];
const deployed = (worker, env) => {
  const config = new URL(`../../${worker}/wrangler.jsonc`, import.meta.url).pathname;
  return unstable_readConfig({ config, env }, { hideWarnings: true });
};

const CONFIG = { lake: "http://lake", token: "", postgres: "postgres://localhost/", shops: [], secrets: "", rateLimit: 600, sync: () => {} };
const of = (worker, families) => streams(worker, families, CONFIG).bindings;
const LOCAL = {
  commerce: commerceWorker(CONFIG, [], of("commerce", ["commerce"])),
  publication: publicationWorker(CONFIG, [], of("publication", ["publication", "commerce"])),
  sync: (await syncWorkers(CONFIG))[0],
};

const names = (record) => Object.keys(record ?? {});
const under = (list, key = "binding") => (list ?? []).map((one) => one[key]);
const sorted = (groups) => Object.fromEntries(Object.entries(groups).map(([kind, list]) => [kind, [...list].sort()]));

/** The bindings of a deployment, by kind. Streams and counters are service bindings locally, where the platform's discard. */
const bindingsOf = (config) =>
  sorted({
    services: [...under(config.services), ...under(config.pipelines), ...under(config.analytics_engine_datasets)],
    queues: under(config.queues.producers),
    buckets: under(config.r2_buckets),
    kv: under(config.kv_namespaces),
    databases: under(config.hyperdrive),
    limits: under(config.ratelimits, "name"),
    workflows: config.workflows.map(({ binding, class_name }) => `${binding} ${class_name}`),
    objects: config.durable_objects.bindings.map(({ name, class_name }) => `${name} ${class_name}`),
  });

const localBindingsOf = (worker) =>
  sorted({
    services: names(worker.serviceBindings),
    queues: names(worker.queueProducers),
    buckets: names(worker.r2Buckets),
    kv: names(worker.kvNamespaces),
    databases: names(worker.hyperdrives),
    limits: names(worker.ratelimits),
    workflows: Object.entries(worker.workflows ?? {}).map(([binding, { className }]) => `${binding} ${className}`),
    objects: Object.entries(worker.durableObjects ?? {}).map(([name, { className }]) => `${name} ${className}`),
  });

test("each environment of each Worker binds what the local stack does, and has its vars and secrets", () => {
  for (const [worker, local] of Object.entries(LOCAL)) {
    for (const environment of ENVIRONMENTS) {
      const config = deployed(worker, environment);
      const where = `${worker} (${environment})`;
      assert.deepEqual(bindingsOf(config), localBindingsOf(local), where);
      assert.equal(config.compatibility_date, local.compatibilityDate, where);
      for (const secret of config.secrets.required) assert.ok(secret in local.bindings, `${where}: ${secret}`);
      const source = deployed(worker, environment === "dev" ? "staging" : "dev");
      assert.deepEqual(names(config.vars).sort(), names(source.vars).sort(), where);
    }
  }
});

test("what belongs together in a configuration does", () => {
  for (const environment of ENVIRONMENTS) {
    const where = `(${environment})`;
    const [commerce, publication, sync] = Object.keys(LOCAL).map((worker) => deployed(worker, environment));
    for (const config of [commerce, publication]) {
      const [{ queue }] = config.queues.producers;
      const [main, dead] = config.queues.consumers;
      assert.deepEqual([main.queue, main.dead_letter_queue, config.vars.DEAD_LETTER_QUEUE], [queue, dead.queue, dead.queue], where);
    }
    // Bodies of all parts that one isolate may have in memory, seven times over (edge/commerce/src/message.rs).
    const [, part] = /MAX_BATCH_BODY_BYTES: usize = ([\d_]+);/.exec(readFileSync(new URL("../../commerce/src/message.rs", import.meta.url), "utf8"));
    assert.ok(commerce.queues.consumers[0].max_concurrency * 7 * Number(part.replaceAll("_", "")) < 100_000_000, where);
    assert.deepEqual(commerce.services.map(({ service }) => service), [sync.name], where);
    assert.deepEqual(sync.services, [{ binding: "SELF", service: sync.name, entrypoint: "Steps" }], where);
    const bucketOf = (config, binding) => config.r2_buckets.find((bucket) => bucket.binding === binding).bucket_name;
    assert.equal(bucketOf(commerce, "PUBLICATION_BUCKET"), bucketOf(publication, "BUCKET"), where);
    assert.equal(bucketOf(commerce, "SYNC_BUCKET"), bucketOf(sync, "BUCKET"), where);
  }
});

test("the crons are those that start a workflow, and a run's polls fit into the steps that Cloudflare allows it", () => {
  for (const environment of ENVIRONMENTS) {
    const { triggers, workflows, limits } = deployed("sync", environment);
    assert.deepEqual([...triggers.crons].sort(), Object.keys(SCHEDULES).sort(), environment);
    const routes = readFileSync(new URL("../workflows/routes.mjs", import.meta.url), "utf8");
    for (const workflow of Object.values(SCHEDULES)) assert.match(routes, new RegExp(`^  ${workflow}: \\{ binding:`, "m"));
    for (const { binding } of workflows) assert.match(routes, new RegExp(`binding: "${binding}"`));
    const steps = (class_name) => workflows.find((workflow) => workflow.class_name === class_name).limits?.steps ?? 10_000;
    // A request, a poll and the wait, of the one window that a daily run has; a backfill begins none beyond 10,000 steps.
    assert.ok(3 * MAX_POLLS + 10_000 <= steps("DailyShopifyBulkSync"));
    assert.ok(10_000 + 3 * MAX_POLLS + 5_000 <= steps("FullBackfill"));
    assert.ok(3 * MAX_POLLS + 2_000 <= steps("DeletionReconcile"));
    // Each attempt at a step is a subrequest of its instance, and a step that fails is tried up to ten times (workflows/runner.mjs).
    for (const { class_name } of workflows) assert.ok(10 * steps(class_name) <= (limits.subrequests ?? 10_000), class_name);
  }
});
