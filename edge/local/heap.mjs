// The memory of a Worker's isolate as V8 says it, JavaScript's heap and buffers with wasm's memory among them. The process
// around it holds more than that: other isolates, what the local doubles keep, memory that the allocator has not given back.

import { once } from "node:events";

/**
 * Opens the inspector of Worker `name` in `miniflare`, which runs with an inspectorPort. `sample()` gives the isolate's bytes;
 * with `collect`, after V8 has collected its garbage.
 */
export async function openHeap(miniflare, name) {
  const { origin } = await miniflare.getInspectorURL();
  const socket = new WebSocket(`${origin.replace("http", "ws")}/core:user:${name}`);
  await once(socket, "open");
  const waiting = new Map();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(data);
    waiting.get(id)?.(result ?? {});
    waiting.delete(id);
  });
  socket.addEventListener("close", () => {
    for (const resolve of waiting.values()) resolve({});
  });
  let last = 0;
  const call = (method) =>
    new Promise((resolve) => {
      waiting.set((last += 1), resolve);
      socket.send(JSON.stringify({ id: last, method }));
    });
  return {
    async sample({ collect = false } = {}) {
      if (collect) await call("HeapProfiler.collectGarbage");
      const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await call("Runtime.getHeapUsage");
      return usedSize === undefined ? undefined : usedSize + embedderHeapUsedSize + backingStorageSize;
    },
    close: () => socket.close(),
  };
}
