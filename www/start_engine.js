// Starts the engine's module in its worker.

import init from "./worker.js";

// Where the page shows what the engine measures, it gives the worker this name. The counters have to be
// there before the program asks for its adapter; without WebGPU there is nothing to count.
if (globalThis.name === "stats" && "GPUAdapter" in globalThis) {
  const { countGpu } = await import("./gpu_counters.mjs");
  globalThis.gpuCounters = countGpu();
}

const wasm = await init();
// The static constructors. build.rs exports them, so that they run here once, before the first message,
// and not with every call into the module.
wasm.__wasm_call_ctors();
