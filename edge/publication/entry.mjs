// What the runtime calls; everything is done in Rust.

import { handlersOf } from "../shared/handlers.mjs";
import Rust from "./build/index.js";

export default handlersOf(Rust, ["fetch", "queue", "scheduled"]);
