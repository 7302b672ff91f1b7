// The handlers of a Rust Worker as plain functions, for what every request pays otherwise: worker-build's default export makes
// an object and two proxies of each event, and wasm-bindgen's executor asks the runtime's queueMicrotask for each step of
// a future, which crosses into C++ where a promise's reaction stays in V8.

const SETTLED = Promise.resolve();

/** queueMicrotask over a settled promise. What `task` throws is reported as the platform reports it: worker-build listens there. */
export function enqueue(task) {
  SETTLED.then(() => {
    try {
      task();
    } catch (error) {
      reportError(error);
    }
  });
}

const stateOf = () => globalThis.__worker_init_state;
/** Notes in `state` what was thrown, if it was a panic. */
const note = (state, error) => {
  state.criticalError ||= error instanceof WebAssembly.RuntimeError;
};
const unknown = (what) => new TypeError(`worker-build's output has no ${what}; edge/shared/handlers.mjs does not know this version of it`);

/**
 * The handlers `names` of `Rust`, the default export of a build. After a panic they go through that export, which makes a new
 * instance of the wasm module. What this knows of a build is looked for at the start, so that another version of worker-build
 * cannot be deployed unnoticed.
 */
export function handlersOf(Rust, names) {
  globalThis.queueMicrotask = enqueue;
  const state = stateOf();
  if (typeof state?.criticalError !== "boolean") throw unknown("__worker_init_state.criticalError");
  const handler = (name) => {
    const handle = Rust.prototype[name];
    if (typeof handle !== "function") throw unknown(`handler ${name}`);
    return (event, env, ctx) => {
      if (state.criticalError) return new Rust(ctx, env)[name](event);
      try {
        return handle.call({ env, ctx }, event);
      } catch (error) {
        note(state, error);
        throw error;
      }
    };
  };
  return Object.fromEntries(names.map((name) => [name, handler(name)]));
}

/**
 * `handlers`, before whose `fetch` the intake is asked that the function `name` of `Rust` gives, if it gives one (border.js): requests
 * that it takes need no call of Rust before their body is there. Each instance of the wasm module has its own.
 */
export function withIntake(Rust, name, handlers) {
  const state = stateOf();
  if (typeof state.instanceId !== "number") throw unknown("__worker_init_state.instanceId");
  const intakeOf = Rust.prototype[name];
  if (typeof intakeOf !== "function") throw unknown(`function ${name}`);
  let intake, instance;
  const broken = (error) => note(state, error);
  const fetch = (request, env, ctx) => {
    if (state.criticalError) return handlers.fetch(request, env, ctx);
    if (instance !== state.instanceId) intake = undefined;
    instance = state.instanceId;
    intake ??= intakeOf();
    return intake?.take(request, env, ctx, broken) ?? handlers.fetch(request, env, ctx);
  };
  return { ...handlers, fetch };
}
