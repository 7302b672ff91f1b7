// Handlers as plain functions (edge/shared/handlers.mjs), over a stand-in for a build: what happens after a panic.

import assert from "node:assert/strict";
import { test } from "node:test";
import { enqueue, handlersOf } from "../../shared/handlers.mjs";

test("an event reaches the handler with env and context; after a panic it goes through the build's own export", () => {
  const state = (globalThis.__worker_init_state = { criticalError: false });
  let made = 0;
  class Rust {
    constructor(ctx, env) {
      made += 1;
      Object.assign(this, { ctx, env });
    }
    fetch(event) {
      if (event === "panic") throw new WebAssembly.RuntimeError("unreachable");
      if (event === "fail") throw new Error("no panic");
      return [event, this.env, this.ctx];
    }
  }
  const platform = globalThis.queueMicrotask;
  try {
    const { fetch } = handlersOf(Rust, ["fetch"]);
    assert.deepEqual([fetch("e", "env", "ctx"), made], [["e", "env", "ctx"], 0]);
    assert.throws(() => fetch("fail", "env", "ctx"), /no panic/);
    assert.equal(state.criticalError, false);
    assert.throws(() => fetch("panic", "env", "ctx"), WebAssembly.RuntimeError);
    assert.equal(state.criticalError, true);
    assert.deepEqual([fetch("e", "env", "ctx"), made], [["e", "env", "ctx"], 1]);
  } finally {
    globalThis.queueMicrotask = platform;
    delete globalThis.__worker_init_state;
  }
});

test("tasks run in their sequence, and what one throws is reported and holds up no other", async () => {
  const seen = [];
  globalThis.reportError = ({ message }) => seen.push(message);
  enqueue(() => seen.push("first"));
  enqueue(() => {
    throw new Error("second");
  });
  enqueue(() => seen.push("third"));
  seen.push("none yet");
  await new Promise((resolve) => setTimeout(resolve));
  delete globalThis.reportError;
  assert.deepEqual(seen, ["none yet", "first", "second", "third"]);
});
