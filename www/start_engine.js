// Starts the engine's module in its worker.

import init from "./worker.js";

// Without WebGPU there is nothing to count or to prepare. Both have to be there before the program asks for
// its adapter.
if ("GPUAdapter" in globalThis) {
  // Where the page shows what the engine measures, it gives the worker this name.
  if (globalThis.name === "stats") {
    const { countGpu } = await import("./gpu_counters.mjs");
    globalThis.gpuCounters = countGpu();
  }
  const { prepareGpu } = await import("./programs.mjs");
  globalThis.gpuPrograms = prepareGpu();
}

const wasm = await init();
// The static constructors. build.rs exports them, so that they run here once, before the first message,
// and not with every call into the module.
wasm.__wasm_call_ctors();
