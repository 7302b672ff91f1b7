// The local runner as the end-to-end harness uses it: one line when ready, an inspection API, a clean end.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { SECRETS, SHOP, sign } from "./world.mjs";

const RUNNER = fileURLToPath(new URL("../../local/local.mjs", import.meta.url));
const CONFIG = {
  postgres: "postgres://edge:secret@127.0.0.1:1/weir?sslmode=disable",
  lake: "http://127.0.0.1:1",
  token: "T",
  secrets: SECRETS.new,
  shops: [SHOP],
  persist: null,
  port: 0,
};

async function start(t) {
  const runner = spawn(process.execPath, [RUNNER, JSON.stringify(CONFIG)], { stdio: ["pipe", "pipe", "ignore"] });
  t.after(() => runner.kill("SIGKILL"));
  const [line] = await once(createInterface({ input: runner.stdout }), "line");
  return { runner, exited: once(runner, "exit"), ...JSON.parse(line) };
}

test("says where it listens, lists the quarantine, and ends on SIGTERM", async (t) => {
  const { runner, exited, listening, admin } = await start(t);
  const body = "{}";
  const response = await fetch(`${listening}/webhooks/shopify`, {
    method: "POST",
    body,
    headers: {
      "x-shopify-topic": "orders/create",
      "x-shopify-hmac-sha256": sign(body),
      "x-shopify-shop-domain": SHOP,
      "x-shopify-webhook-id": "w-1",
      "x-shopify-api-version": "2026-10".repeat(20),
    },
  });
  assert.equal(response.status, 400);
  const [kept] = await (await fetch(`${admin}/quarantine`)).json();
  assert.deepEqual([kept.webhook_id, kept.reason, kept.shop_domain], ["w-1", "header_too_long", SHOP]);
  runner.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("ends when its starter's end of stdin closes", async (t) => {
  const { runner, exited } = await start(t);
  runner.stdin.end();
  assert.deepEqual(await exited, [0, null]);
});
