// workerd with a configuration of its own: one Worker on a socket, and a queue that has a message as soon as it has read it.
// Miniflare's entry Worker before it and its broker behind it, a Durable Object, cost several times what a Worker does here.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import workerd from "workerd";

// What `env.DELIVERIES.send` asks, and answers to it as the platform does.
const QUEUE = `
const taken = { metadata: { metrics: { backlogCount: 0, backlogBytes: 0, oldestMessageTimestamp: 0 } } };
export default {
  async fetch(request) {
    await request.arrayBuffer();
    return Response.json(taken);
  },
};
`;

const KINDS = { ESModule: "esModule", CompiledWasm: "wasm" };
// A text of Cap'n Proto is written as one of JSON is.
const quoted = JSON.stringify;

function configuration({ modules, bindings, queue, compatibilityDate }) {
  const moduleLines = modules.map(({ type, path }) => `(name = ${quoted(path)}, ${KINDS[type]} = embed ${quoted(path)})`);
  const bindingLines = Object.entries(bindings).map(([name, value]) => `(name = ${quoted(name)}, text = ${quoted(value)})`);
  bindingLines.push(`(name = ${quoted(queue)}, queue = "queue")`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "worker", worker = .worker), (name = "queue", worker = .queue) ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "worker") ]
);
const worker :Workerd.Worker = (
  modules = [ ${moduleLines.join(", ")} ],
  bindings = [ ${bindingLines.join(", ")} ],
  compatibilityDate = ${quoted(compatibilityDate)}
);
const queue :Workerd.Worker = (
  modules = [ (name = "queue.mjs", esModule = ${quoted(QUEUE)}) ],
  compatibilityDate = ${quoted(compatibilityDate)}
);
`;
}

/**
 * Starts workerd (MINIFLARE_WORKERD_PATH, as miniflare does) with one Worker: its `modules`, `bindings` that are text, the name of its `queue`,
 * and its `compatibilityDate`. Gives its `url`, and `dispose`.
 */
export async function startDirect(worker) {
  const directory = await mkdtemp(join(tmpdir(), "weir-bench-"));
  try {
    for (const { path, contents } of worker.modules) {
      const file = join(directory, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, contents);
    }
    await writeFile(join(directory, "config.capnp"), configuration(worker));
    const options = ["serve", "config.capnp", "--control-fd=3"];
    const child = spawn(process.env.MINIFLARE_WORKERD_PATH ?? workerd.default, options, { cwd: directory, stdio: ["ignore", "inherit", "inherit", "pipe"] });
    const ended = once(child, "exit");
    const lines = createInterface({ input: child.stdio[3] });
    const port = await Promise.race([listening(lines), ended.then(() => Promise.reject(new Error("workerd ended; see above")))]);
    return {
      url: `http://127.0.0.1:${port}`,
      async dispose() {
        child.kill();
        await ended;
      },
    };
  } finally {
    // It has read them.
    await rm(directory, { recursive: true });
  }
}

async function listening(lines) {
  for await (const line of lines) {
    const { event, port } = JSON.parse(line);
    if (event === "listen") return port;
  }
  throw new Error("workerd does not listen");
}
