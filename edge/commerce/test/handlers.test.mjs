// Handlers as plain functions (edge/shared/handlers.mjs), over a stand-in for a build and over the build: what happens after a
// panic.

import assert from "node:assert/strict";
import { test } from "node:test";
import { enqueue, handlersOf } from "../../shared/handlers.mjs";
import { until } from "./doubles.mjs";
import { world } from "./world.mjs";

// The built Worker; /panic/task makes its Rust panic in a task of the executor, /panic/call has JavaScript throw below Rust.
const PANICKING = `
import { handlersOf } from "../shared/handlers.mjs";
import Rust from "./build/index.js";

const handlers = handlersOf(Rust, ["fetch", "queue"]);
const broken = () => { throw new Error("made to fail"); };

export default {
  ...handlers,
  fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname === "/panic/call") return handlers.fetch({ get method() { return broken(); } }, env, ctx);
    if (pathname !== "/panic/task") return handlers.fetch(request, env, ctx);
    handlers.queue({ queue: "any", get messages() { return broken(); } }, env, ctx);
    return new Response();
  },
};
`;

for (const where of ["task", "call"]) {
  test(`after a panic in a ${where} of the build the next delivery is taken, by a new instance`, async (t) => {
    const { url, deliver, lake, log } = await world(t, { entry: PANICKING });
    const count = (text) => log.filter((line) => line.includes(text)).length;
    const ids = ["before", "after-1", "after-2"];
    for (const [panics, id] of ids.entries()) {
      if (panics > 0) await (await fetch(`${url}/panic/${where}`)).text();
      if (where === "task") await until(`panic ${panics}`, () => count("Critical RuntimeError: unreachable") === panics);
      assert.equal((await deliver('{"id": 1}', { id })).status, 200, id);
      if (where === "task") await until(`instance ${panics}`, () => count("Reinitializing Wasm application") === panics);
    }
    await until("every event", () => new Set(lake.ids()).size === ids.length);
    assert.deepEqual([...new Set(lake.ids())].sort(), ids.map((id) => `event-${id}`).sort());
  });
}

test("a build of another kind is refused at the start, with what it lacks", () => {
  const platform = globalThis.queueMicrotask;
  try {
    assert.throws(() => handlersOf(class {}, []), /no __worker_init_state\.criticalError/);
    globalThis.__worker_init_state = { criticalError: false };
    assert.throws(() => handlersOf(class {}, ["fetch"]), /no handler fetch/);
  } finally {
    globalThis.queueMicrotask = platform;
    delete globalThis.__worker_init_state;
  }
});

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
