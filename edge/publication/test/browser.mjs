// A real Chromium without a window, driven by the DevTools protocol over its own WebSocket.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const CHROMIUM = process.env.WEIR_CHROMIUM;
/** A person's browser; without it Chromium says that it is headless, which is a bot. */
const USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

/** Starts a browser with one page, ended with the test. */
export async function browser(t) {
  if (!CHROMIUM) throw new Error("WEIR_CHROMIUM is not set; source scripts/env.sh");
  const profile = await mkdtemp(join(tmpdir(), "weir-chromium-"));
  const flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--window-size=800,600"];
  const command = [CHROMIUM, "--headless", ...flags, `--user-agent=${USER_AGENT}`, "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"];
  // Dies with the test process, also when that one is killed.
  const chromium = spawn("setpriv", ["--pdeathsig", "KILL", ...command], { stdio: ["ignore", "ignore", "pipe"] });
  const exited = once(chromium, "exit");
  t.after(async () => {
    chromium.kill("SIGKILL");
    await exited;
    await rm(profile, { recursive: true, force: true, maxRetries: 10 });
  });
  const devtools = await connect(await listening(chromium));
  t.after(devtools.close);
  const { targetId } = await devtools.call("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await devtools.call("Target.attachToTarget", { targetId, flatten: true });
  const call = (method, params) => devtools.call(method, params, sessionId);
  await call("Page.enable");
  await call("Runtime.enable");
  return {
    call,
    /** Opens `url`; returns when it has loaded. */
    open: async (url) => {
      const loaded = devtools.event("Page.loadEventFired", sessionId);
      await call("Page.navigate", { url });
      await loaded;
    },
    /** The value of a JavaScript expression in the page. */
    evaluate: async (expression) => {
      const { result, exceptionDetails } = await call("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    /** Runs `source` before anything of each page opened from now on. */
    beforePages: (source) => call("Page.addScriptToEvaluateOnNewDocument", { source }),
  };
}

/** The address of the DevTools, which Chromium writes to its log. */
async function listening(chromium) {
  const lines = [];
  for await (const line of createInterface({ input: chromium.stderr })) {
    const address = /^DevTools listening on (ws:.*)$/.exec(line)?.[1];
    if (address) {
      chromium.stderr.resume();
      return address;
    }
    lines.push(line);
  }
  throw new Error(`Chromium did not start:\n${lines.join("\n")}`);
}

async function connect(address) {
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`no DevTools at ${address}`));
  });
  const calls = new Map();
  const events = [];
  let last = 0;
  socket.onmessage = ({ data }) => {
    const { id, result, error, method, sessionId, params } = JSON.parse(data);
    if (id) {
      const { resolve, reject } = calls.get(id);
      calls.delete(id);
      if (error) reject(new Error(error.message));
      else resolve(result);
      return;
    }
    for (const waiting of events.filter((event) => event.method === method && event.sessionId === sessionId)) {
      events.splice(events.indexOf(waiting), 1);
      waiting.resolve(params);
    }
  };
  return {
    call: (method, params = {}, sessionId = undefined) =>
      new Promise((resolve, reject) => {
        last += 1;
        calls.set(last, { resolve, reject });
        socket.send(JSON.stringify({ id: last, method, params, sessionId }));
      }),
    event: (method, sessionId) => new Promise((resolve) => events.push({ method, sessionId, resolve })),
    close: () => socket.close(),
  };
}
