// Makes this process to a program for the browser what a dedicated Web Worker is, with Dawn as its WebGPU.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { create, globals } from "webgpu";

import { countGpu } from "../../www/gpu_counters.mjs";

Object.assign(globalThis, globals);
/** What the GPU is asked for. */
export const counters = countGpu();
// Dawn ends the process if its instance is collected while an object of it is alive: the global
// object keeps it.
export const gpu = create([]);
Object.defineProperty(globalThis, "navigator", {
  value: { gpu, userAgent: `Node.js ${process.version}`, hardwareConcurrency: 1 },
});
globalThis.self = globalThis;

// Programs ask for the class of their global object to tell a worker from a page.
class WorkerGlobalScope {
  static [Symbol.hasInstance](object) {
    return object === globalThis;
  }
}

/** Starts a program that wasm-bindgen has written to a folder, and gives what it exports. */
export async function instantiate(folder, name) {
  globalThis.WorkerGlobalScope = WorkerGlobalScope;
  globalThis.DedicatedWorkerGlobalScope = WorkerGlobalScope;
  const program = await import(pathToFileURL(join(folder, `${name}.js`)));
  const bytes = await readFile(join(folder, `${name}_bg.wasm`));
  const wasm = await program.default({ module_or_path: bytes });
  // As www/start_engine.js does; the loader has none.
  wasm.__wasm_call_ctors?.();
  return program;
}
