// Starts the engine's module in the worker.

import init from "./worker.js";

const wasm = await init();
// The static constructors that build.rs exports. The engine has no message to handle yet, and
// nothing else needs them.
wasm.__wasm_call_ctors();
