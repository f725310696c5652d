// Starts the engine's module in its worker.

import init from "./worker.js";

const wasm = await init();
// The static constructors. build.rs exports them, so that they run here once, before the first message,
// and not with every call into the module.
wasm.__wasm_call_ctors();
