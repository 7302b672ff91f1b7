// What the runtime calls; everything is decided in Rust.

import { handlersOf, withIntake } from "../shared/handlers.mjs";
import Rust from "./build/index.js";

export default withIntake(Rust, "intake", handlersOf(Rust, ["fetch", "queue"]));
